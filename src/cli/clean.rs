//! `wasmend clean`: removes what is kept beside an output. What is whose is decided by the library.

use wasmend::output::{OutputOptions, clear_state};

use crate::cli::args::Clean;
use crate::cli::daemon;
use crate::cli::files::kept_output;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::text::{count, number};

pub(crate) fn run(args: &Clean, reporter: Reporter) -> anyhow::Result<()> {
    let kept = kept_output(&args.out, args.state_dir.as_deref())?;
    let notice = move |message: &str| reporter.note(message);
    let options = OutputOptions {
        notice: Some(std::sync::Arc::new(notice)),
        ..OutputOptions::default()
    };
    daemon::end(&kept);
    let cleared = clear_state(&kept, &options)?;
    let bytes = cleared.removed.iter().map(|(_, bytes)| bytes).sum();
    for (name, bytes) in &cleared.removed {
        reporter.note(&format!("removed {name}, {} bytes", number(*bytes)));
    }
    for (name, why) in &cleared.left {
        reporter.warning(&format!("{name} stays: {why}"))?;
    }
    let names = |list: &mut dyn Iterator<Item = &String>| list.cloned().collect::<Vec<String>>();
    let event = Event::Cleaned {
        output: path(&args.out),
        removed: names(&mut cleared.removed.iter().map(|(name, _)| name)),
        bytes,
        left: names(&mut cleared.left.iter().map(|(name, _)| name)),
    };
    reporter.both(&event, || match cleared.removed.len() {
        0 => format!("{}: there is nothing to remove", args.out.display()),
        files => format!(
            "{}: {} removed, {} bytes",
            args.out.display(),
            count(files as u64, "file"),
            number(bytes)
        ),
    })
}
