//! How an output is published: the choices of whoever opens it.

use std::fmt;
use std::sync::Arc;

use crate::error::Result;

/// How a patch reaches the visible file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Publish {
    /// A shadow is patched, then takes the visible file's name in one step. A reader sees the old version or
    /// the new one, whole; whoever had the file open keeps the version that was opened.
    #[default]
    Atomic,
    /// The visible file is patched itself, for consumers that hold it open or mapped on purpose. A reader can
    /// see a commit half done; a kill leaves a torn file until the next open rolls it back. A whole version
    /// ([`publish_whole`](crate::output::Output::publish_whole)) still arrives as a new file.
    InPlace,
}

/// What a published version survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// The end of the process at any point.
    #[default]
    ProcessKill,
    /// Power loss as well: data are flushed before they become visible, names before a commit returns.
    Power,
}

/// Runs when a new version has been written and before any of it is visible; if it fails, nothing is published, and its
/// error is the commit's.
pub type LastCheck<'a> = &'a dyn Fn() -> Result<()>;

/// The [`LastCheck`] of those who have nothing to check.
pub fn no_check() -> Result<()> {
    Ok(())
}

/// Called with a message for people who want to know more.
pub type NoticeHook = Arc<dyn Fn(&str) + Send + Sync>;

/// How an output file is published.
#[derive(Clone, Default)]
pub struct OutputOptions {
    /// How a patch reaches the visible file.
    pub publish: Publish,
    /// What a published version survives.
    pub durability: Durability,
    /// Whether a new file can be executed by whoever can read it, as linkers have it. One that is there keeps its
    /// permissions.
    pub executable: bool,
    /// Told, once, when the file system lacks something and a slower way is taken; and of a torn write that
    /// was rolled back.
    pub notice: Option<NoticeHook>,
}

impl OutputOptions {
    /// The defaults, but for `publish`.
    pub fn new(publish: Publish) -> Self {
        OutputOptions {
            publish,
            ..Default::default()
        }
    }

    pub(super) fn tell(&self, message: &str) {
        if let Some(notice) = &self.notice {
            notice(message);
        }
    }
}

impl fmt::Debug for OutputOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputOptions")
            .field("publish", &self.publish)
            .field("durability", &self.durability)
            .field("executable", &self.executable)
            .field("notice", &self.notice.is_some())
            .finish()
    }
}
