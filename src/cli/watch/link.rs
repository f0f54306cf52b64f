//! A watched link: a program whose objects a compiler writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wasmend::link::watched::{CommandLine, KnownFiles, LinkFiles};
use wasmend::link::{Failed, LinkOptions};
use wasmend::output::OutputOptions;
use wasmend::{Error, ErrorKind, Patch, Types};

use crate::cli::args::WatchLink;
use crate::cli::files::claim_output;
use crate::cli::following::{Following, Kept};
use crate::cli::ld;
use crate::cli::link_patcher::{LinkError, LinkPatcher};
use crate::cli::link_report;
use crate::cli::report::Reporter;
use crate::cli::text::count;
use crate::cli::watch::looks;
use crate::cli::watch::settle::{FileName, Haste};
use crate::cli::watch::subject::{Complaint, Followed, Refusal, Subject};

/// A link and the output that follows it.
pub(super) struct Link {
    arguments: Vec<String>,
    force: bool,
    /// The command line as it reads now, and what it leads to.
    command: CommandLine,
    found: LinkFiles,
    known: KnownFiles,
    /// The output that was named last.
    output: PathBuf,
    patcher: LinkPatcher,
    /// What is linked, if anything is.
    basis: Option<Basis>,
}

/// What a link is made from, beside the contents of its files.
#[derive(PartialEq, Eq)]
struct Basis {
    options: LinkOptions,
    libraries: Vec<PathBuf>,
    lists: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Link {
    /// A link by a linker's arguments.
    ///
    /// # Errors
    /// If these make no sense, whatever files there are.
    pub(super) fn new(
        args: &WatchLink,
        arguments: &[String],
        keeps_state: bool,
        reporter: Reporter,
    ) -> wasmend::Result<Link> {
        if args.output.types() == Some(Types::PerDeclaration) {
            let error = Error::bad_input("--types per-declaration: a link shares equal types");
            return Err(error.with_hint("leave it out; it is for whole modules"));
        }
        let command = CommandLine::read(arguments);
        match &command.options {
            Ok(options) => {
                ld::use_options(options);
                let found = LinkFiles::of(options, &mut KnownFiles::default());
                claim(options, &found, args.force)?;
            }
            // A response file may be on its way.
            Err(error) if error.kind() == ErrorKind::Io => {}
            Err(error) => return Err(error.clone()),
        }
        let publishing = OutputOptions {
            executable: true,
            ..args.output.options(move |message| reporter.note(message))
        };
        let patches = args.patches.patches.as_deref();
        let mut patcher = LinkPatcher::new(publishing, patches, reporter);
        patcher.following.silence_unchanged();
        if keeps_state {
            patcher = patcher.keeping_state();
        }
        Ok(Link {
            arguments: arguments.to_vec(),
            force: args.force,
            command,
            found: LinkFiles::default(),
            known: KnownFiles::default(),
            output: PathBuf::new(),
            patcher,
            basis: None,
        })
    }

    /// What the next link is made from.
    fn basis(&self) -> wasmend::Result<Basis> {
        let options = self.command.options.clone()?;
        // An update reads that of the command line by itself.
        let allowed = options.allow_undefined_file.clone();
        let lists = self.found.lists.iter();
        let lists = lists.filter(|list| Some(*list) != allowed.as_ref());
        Ok(Basis {
            options,
            libraries: self.found.libraries.clone(),
            lists: lists
                .map(|list| (list.clone(), looks::read(list).ok()))
                .collect(),
        })
    }

    /// Those of the changed files that were linked. For members of thin archives, these are their archives.
    fn linked_files(&self, changed: &[PathBuf]) -> Vec<PathBuf> {
        let mut files: BTreeSet<&PathBuf> = changed.iter().collect();
        let archives = self.found.members.iter();
        let archives = archives.filter(|(member, _)| files.contains(member));
        let archives: Vec<&PathBuf> = archives.map(|(_, archive)| archive).collect();
        files.extend(archives);
        let linked = self.patcher.files().filter(|file| files.contains(file));
        let linked: BTreeSet<PathBuf> = linked.collect();
        linked.into_iter().collect()
    }

    fn try_update(&mut self, basis: Basis, changed: &[PathBuf]) -> Result<Patch, LinkError> {
        if self.basis.as_ref() == Some(&basis) {
            let files = self.linked_files(changed);
            return match &files[..] {
                [one] => self.patcher.update(&files, one),
                many => {
                    let name = count(many.len() as u64, "file");
                    self.patcher.update(&files, Path::new(&name))
                }
            };
        }
        // One output has one writer, also within a process.
        self.basis = None;
        self.patcher.following.forget();
        let options = basis.options.clone();
        claim(&options, &self.found, self.force).map_err(Failed::from)?;
        let patch = self.patcher.link(options)?;
        self.basis = Some(basis);
        Ok(patch)
    }

    /// What a link that failed comes to.
    fn refusal(&mut self, failed: Failed, limit: usize) -> Refusal {
        let error = match failed.0.errors.first() {
            Some(error) => error.clone(),
            None => Error::bad_input("the link failed"),
        };
        let is_first = self.versions() == 0;
        let is_about_output = self.is_about_output(&error);
        let complaint = Complaint::new(error.clone(), move |reporter| {
            link_report::report_errors(&failed, limit, reporter).map(|_| ())
        });
        match error.kind() {
            ErrorKind::Locked if is_first => Refusal::End(error.into()),
            ErrorKind::Locked | ErrorKind::OutputChanged => Refusal::Later(complaint),
            ErrorKind::Io if is_about_output => Refusal::Later(complaint),
            // A file is not what it was when it was read, though it looks as it did: one that is kept from before.
            ErrorKind::Io if self.basis.is_some() => {
                self.basis = None;
                Refusal::Overtaken
            }
            ErrorKind::Io => Refusal::Later(complaint),
            _ => Refusal::Useless(complaint, Haste::Soon),
        }
    }

    /// Whether an error is about the output or its folder.
    fn is_about_output(&self, error: &Error) -> bool {
        let absolute = |path: &Path| std::path::absolute(path).ok();
        let output = absolute(&self.output);
        let folder = absolute(looks::folder(&self.output));
        error.path().is_none_or(|path| {
            let path = absolute(path);
            let kept = self.patcher.following.place().map(Path::to_path_buf);
            path == output || path == folder || path == kept
        })
    }
}

impl Subject for Link {
    fn describe(&self) -> String {
        let files = self.found.inputs.len() + self.found.libraries.len();
        match files {
            0 => "a link".to_owned(),
            files => count(files as u64, "file"),
        }
    }

    fn build(&self) -> &Path {
        &self.output
    }

    fn output(&self) -> &Path {
        &self.output
    }

    fn files(&mut self, changed: &[PathBuf]) -> Vec<Followed> {
        self.known.forget(changed);
        self.command = CommandLine::read(&self.arguments);
        self.found = match &self.command.options {
            Ok(options) => {
                self.output.clone_from(&options.output);
                LinkFiles::of(options, &mut self.known)
            }
            Err(_) => LinkFiles::default(),
        };
        followed(&self.command, &self.found)
    }

    fn update(&mut self, changed: &[PathBuf]) -> Result<Patch, Refusal> {
        let basis = self.basis().map_err(|error| {
            let is_io = error.kind() == ErrorKind::Io;
            let complaint = Complaint::of(error.with_hint("watching goes on"));
            match is_io {
                true => Refusal::Later(complaint),
                false => Refusal::Useless(complaint, Haste::Soon),
            }
        })?;
        let limit = basis.options.error_limit;
        self.try_update(basis, changed)
            .map_err(|error| match error {
                LinkError::Unsaid(error) => Refusal::End(error),
                LinkError::Failed(failed) => self.refusal(failed, limit),
            })
    }

    fn forget(&mut self) {
        if self.patcher.following.forget() {
            self.basis = None;
        }
    }

    fn versions(&self) -> u64 {
        self.patcher.following.versions()
    }

    fn kept(&mut self) -> Option<&mut Following<dyn Kept>> {
        Some(&mut self.patcher.following)
    }
}

/// Makes sure that the output can be written and is no input.
fn claim(options: &LinkOptions, found: &LinkFiles, force: bool) -> wasmend::Result<()> {
    let members = found.members.iter().map(|(member, _)| member);
    let files = found.inputs.iter().chain(&found.libraries).chain(members);
    claim_output(&options.output, files, Some(force))
}

/// The files to look at for a command line.
fn followed(command: &CommandLine, found: &LinkFiles) -> Vec<Followed> {
    let required = command.response_files.iter().chain(&found.inputs);
    let members = found.members.iter().map(|(member, _)| member);
    let others = found.libraries.iter().chain(&found.places);
    let others = others.chain(members).chain(&found.lists);
    let mut files: Vec<Followed> = required
        .map(|path| (path, true))
        .chain(others.map(|path| (path, false)))
        .map(|(path, is_required)| Followed {
            name: FileName::new(path),
            is_required,
        })
        .collect();
    files.sort();
    // Of those that are named twice, the one that is required is kept.
    files.reverse();
    files.dedup_by(|other, kept| other.name == kept.name);
    files
}
