//! The table of commands and options. Help, completions and the man page are all made from it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use wasmend::output::{Durability, OutputOptions, Publish};
use wasmend::{Redirect, Types};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  bad input, a file that cannot be read or written, or wrong usage of `ld`
  2  wrong usage
  3  an output that does not say what it should
  4  another process is writing the output";

/// Mends WebAssembly files in place: rewrites only the bytes that a change touches.
#[derive(Debug, Parser)]
#[command(name = "wasmend", version, styles = STYLES, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) general: General,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands, wherever it stands.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct General {
    /// Print one JSON object a line on standard output, for programs
    #[arg(long, global = true, help_heading = "General")]
    pub(crate) json: bool,

    /// Say more: the time of each phase, and the slower ways that had to be taken
    #[arg(long, short, global = true, help_heading = "General")]
    pub(crate) verbose: bool,

    /// When to use colour: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "General"
    )]
    pub(crate) color: Color,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ld(Ld),
    #[command(hide = true)]
    LdDaemon(LdDaemon),
    Patch(Patch),
    Replay(Replay),
    ReplayLd(ReplayLd),
    Watch(Watch),
    Serve(Serve),
    Inspect(Inspect),
    Snapshot(Snapshot),
    Verify(Verify),
    Apply(Apply),
    Finish(Finish),
    Doctor(Doctor),
    Clean(Clean),
    Explain(Explain),
    Demo(Demo),
    Completions(Completions),
    Man(Man),
}

/// Link objects and archives into a patchable file, by wasm-ld's command line
///
/// The same is done if wasmend is called by the name wasm-ld, or with `-flavor wasm` first. `wasmend ld --help` lists
/// the options of the linker.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Example:\n  wasmend ld --no-entry --export=run main.o util.o -o main.wasm\n  \
                  clang --target=wasm32-wasi -fuse-ld=/usr/local/bin/wasm-ld main.o -o main.wasm"
)]
pub(crate) struct Ld {
    /// Objects, archives and options
    #[arg(
        value_name = "ARGUMENT",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) arguments: Vec<String>,
}

/// Stay, and link for those who ask: what `ld --daemon` starts
#[derive(Debug, Args)]
pub(crate) struct LdDaemon {
    /// The output that is patched
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
}

/// Create a patchable file from a module, then patch it to each further build
///
/// The builds are whole modules, as any compiler writes them. One line for each says how many functions changed and
/// how many bytes of the file were written, or why the file had to be rebuilt.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  wasmend replay -o out.wasm build1.wasm build2.wasm build3.wasm"
)]
pub(crate) struct Replay {
    /// Modules, oldest first. Without -o the first of them is the output, which must be one already or not be there
    #[arg(value_name = "BUILD", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The file to create and patch
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output whatever it is
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

/// Bring a patchable file up to date with a build, and keep what the next call needs to do so
///
/// For toolchains that write a whole module and run once for each build: put it behind them. The first call creates the
/// file; each further one goes on where the one before it ended, writes what the build changed, and does next to nothing if that
/// is nothing. What is kept stands in the folder `.wasmend` beside the file and may be removed at any time. If it does not fit,
/// the file is made anew, and the line that each call prints says why. `wasmend doctor` says what the next call will do.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  make target/app.wasm && wasmend patch dev/app.wasm target/app.wasm"
)]
pub(crate) struct Patch {
    /// The file to create and patch
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// The module that the compiler has written
    #[arg(value_name = "BUILD")]
    pub(crate) build: PathBuf,
    /// Replace the output even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    /// Where to keep what the next call needs, together with the file that is patched, of which OUT is a copy then; if it is not
    /// said, the folder that WASMEND_STATE_DIR names, or else beside OUT
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: BuildOptions,
}

/// Link a program, then patch it to each further set of its objects
///
/// The files of a step take the place of the arguments' files of the same names; what a step does not have stays as it
/// was. One line for each step says what was published.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  wasmend replay-ld --step v1 --step v2 -- main.o util.o -lc -o app.wasm"
)]
pub(crate) struct ReplayLd {
    /// A folder with objects or archives; the first one's are linked first
    #[arg(long = "step", value_name = "DIR", required = true)]
    pub(crate) steps: Vec<PathBuf>,
    /// Link anew after each step too, and fail if the outputs are not equivalent
    #[arg(long)]
    pub(crate) verify: bool,
    /// The linker's arguments, as for `wasmend ld`
    #[arg(value_name = "ARGUMENT", last = true, required = true)]
    pub(crate) arguments: Vec<String>,
}

/// Patch a file each time a compiler has written a new build of a module, or new objects of a program
///
/// What is watched is a whole module or, if objects, archives or libraries are named, a program that is linked: then
/// the arguments are those of `wasmend ld`, and only what an object changed is linked anew. Response files, libraries
/// and the members of thin archives are watched as well.
///
/// Files are read once they have stopped changing and nobody has them open for writing, however they are saved: written
/// over, replaced by a rename, or deleted and written again. What is missing or half written is waited for. An output that
/// is deleted is written again. Ends on Ctrl-C.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend watch target/app.wasm -o dev/app.wasm\n  wasmend watch crt1.o main.o util.o -lc -o dev/app.wasm"
)]
pub(crate) struct Watch {
    /// The module that the compiler writes
    #[arg(value_name = "BUILD")]
    pub(crate) file: PathBuf,
    /// The file to create and patch
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Replace the output even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

/// Serve pages in which a module is brought up to date while it runs, each time a compiler has written a new build
///
/// A page that makes its module with `instantiateLive` from `/__wasmend/client/index.js` (or from the package wasmend)
/// keeps its memory, globals and tables; what cannot be brought up to date is said, and makes a fresh instance. The
/// address `/__wasmend/` shows what was changed. What is watched is a build or a link, as for `wasmend watch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend serve --demo --open\n  wasmend serve web/app.wasm --root web --run 'make -s'\n  wasmend serve --no-entry main.o util.o -o web/app.wasm --root web --open"
)]
pub(crate) struct Serve {
    /// The module that the compiler writes
    #[arg(value_name = "BUILD", required_unless_present = "demo")]
    pub(crate) file: Option<PathBuf>,
    /// Show it on a program that is built in: formulas that are edited while sparks fly by them
    #[arg(long, conflicts_with_all = ["file", "output", "force", "root", "run", "redirect", "types", "publish", "durability", "patches"])]
    pub(crate) demo: bool,
    /// The file to create and patch; a temporary one if it is not said
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) serving: Serving,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

/// What `serve` understands next to a linker's arguments.
#[derive(Debug, Parser)]
#[command(name = "wasmend serve", disable_help_flag = true)]
pub(crate) struct ServeLink {
    #[command(flatten)]
    pub(crate) watch: WatchLink,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

/// What is served, and to whom.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serving {
    /// The folder of pages; the current one if it is not said
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The port to listen at; 0 for any that is free
    #[arg(long, value_name = "PORT", default_value = "8080")]
    pub(crate) port: u16,
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Another name under which the server may be asked for
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
    /// Isolate pages from others (COOP and COEP), so that threads may share memory
    #[arg(long)]
    pub(crate) isolated: bool,
    /// Open the page in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// A command that makes the build: run at the start and when a source changes; what it says of errors is shown
    #[arg(long, value_name = "COMMAND")]
    pub(crate) run: Option<String>,
    /// A folder of sources for --run; the folder of pages if it is not said
    #[arg(long, value_name = "DIR", requires = "run")]
    pub(crate) sources: Vec<PathBuf>,
}

/// How long files are waited for.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// How many milliseconds files must have stood unchanged before they are read [default: none where it can be told that
    /// nobody has them open for writing, else 25]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    pub(crate) settle: Option<Duration>,
    /// How many milliseconds a build may be missing or torn before a line says so
    #[arg(long, value_name = "MS", default_value = "2000", value_parser = milliseconds)]
    pub(crate) patience: Duration,
}

/// What `watch` understands next to a linker's arguments.
#[derive(Debug, Parser)]
#[command(name = "wasmend watch", disable_help_flag = true)]
pub(crate) struct WatchLink {
    #[command(flatten)]
    pub(crate) general: General,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    /// Replace the output even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) patches: PatchesArg,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `ld` understands next to a linker's arguments.
#[derive(Debug, Parser)]
#[command(name = "wasmend ld", disable_help_flag = true)]
pub(crate) struct LinkGeneral {
    #[command(flatten)]
    pub(crate) general: General,
    #[command(flatten)]
    pub(crate) durability: DurabilityArgs,
}

/// Show where everything in a file stands, and what each byte is for
///
/// Works from the file alone and on any module. What is slack and what is dead is known for files that wasmend wrote.
/// Offsets and sizes are bytes, in decimal.
///
/// Of a section, `header` is what says its length, `used` what a module needs, `unreached` code that functions left behind
/// when they moved, `slack` unused room inside, and `pad` unused room behind it. A `body` is the code of a function; a
/// `thunk` or `forwarder` passes calls on to where that code is now; `filler` are instructions that do nothing, and `dead`
/// functions are places for others. A slot is an entry of the table that functions are called through.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend inspect out.wasm\n  wasmend inspect --functions out.wasm\n  \
                        wasmend inspect --json out.wasm"
)]
pub(crate) struct Inspect {
    /// A module
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// List each function: index, place, size, role and name
    #[arg(long)]
    pub(crate) functions: bool,
}

/// Write where everything in a file stands as text that tests can compare
///
/// Versions and build ids are left out, so that the text is the same whenever the same is built and edited. With a file
/// from before, it is said which bytes are other ones now, and whose they are. Of a delta, which brings a running program to
/// another version, it is said what it has. In tests in Rust, `wasmend::inspect::snapshot` also says why a patch wrote what.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend snapshot out.wasm > layout.snap\n  wasmend snapshot out.wasm before.wasm | diff - patch.snap"
)]
pub(crate) struct Snapshot {
    /// A module, or a delta
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file as it was before
    #[arg(value_name = "BEFORE")]
    pub(crate) before: Option<PathBuf>,
}

/// Look at an output of `ld --state` or `patch`, and say what the next one will do and why
///
/// Says whether the output is whole, whether there is a state and of what use it is, which inputs have changed since, what is
/// left of processes that were killed, and what the last ones did. Nothing is changed. Ends with exit code 3 if something is
/// wrong: the output or the state is damaged or was changed by somebody else, or something is left that nobody needs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wasmend doctor app.wasm")]
pub(crate) struct Doctor {
    /// The output
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Where the links keep their state, if not beside the output
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// How many of the last links to list
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) last: usize,
}

/// Remove what is kept beside an output, and what killed processes left there
///
/// The output stays as it is; the next link or patch writes it anew. What somebody is using is not touched, nor is what belongs to another
/// user or is no regular file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wasmend clean app.wasm")]
pub(crate) struct Clean {
    /// The output
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Where the links keep their state, if not beside the output
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// Say what a reason means that a relink, a whole link or a refusal was given, such as R06, F02, S04 or L02
///
/// Without a code all of them are listed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wasmend explain R06")]
pub(crate) struct Explain {
    /// The code, or the name of the reason
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

/// Prove that a patched file is equivalent to a build, declaration by declaration
///
/// Says what differs, and ends with exit code 3 if something does.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wasmend verify out.wasm build3.wasm")]
pub(crate) struct Verify {
    /// The patched file
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// The build that it should be equivalent to
    #[arg(value_name = "BUILD")]
    pub(crate) build: PathBuf,
}

/// Bring a copy of a file to another version, by patches that `--patches` wrote
///
/// A patch is for one version of the file, and no other is changed; a whole version takes the place of any. Patches are taken
/// in one after the other.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  wasmend replay --patches sent -o out.wasm build1.wasm build2.wasm\n  wasmend apply sent/*.wasmpatch copy.wasm"
)]
pub(crate) struct Apply {
    /// Patches, oldest first
    #[arg(value_name = "PATCH", required = true, num_args = 1..)]
    pub(crate) patches: Vec<PathBuf>,
    /// The copy; a whole version creates it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) publishing: PublishArgs,
}

/// Write a patched file anew for release, without the room and the detours that patches need
///
/// The result depends on what the file says, not on the history of its patches.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  wasmend finish out.wasm -o app.wasm")]
pub(crate) struct Finish {
    /// The patched file; it is left as it is
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// The file to write, or `-` for standard output
    #[arg(long, short, value_name = "DENSE")]
    pub(crate) output: PathBuf,
    /// Replace the file to write even if it neither is a module nor is called one
    #[arg(long)]
    pub(crate) force: bool,
}

/// Build a large module, edit and run it, and compare patching with rewriting
///
/// Needs nothing else: the module is made through the library, and an interpreter is built in. Each edit is
/// published to a file. The interpreter loads that file again and again, and what its functions return is compared
/// with a model. A plain write of the same file, in the same run, is what patching is measured against.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend demo\n  wasmend demo --functions 100000 --redirect direct -o big.wasm"
)]
pub(crate) struct Demo {
    /// Keep the module here instead of in a temporary folder; with both redirections, that of the first
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file to keep the module in even if it neither is one nor is called one
    #[arg(long)]
    pub(crate) force: bool,
    /// How many functions the module begins with
    #[arg(long, value_name = "N", default_value = "20000", value_parser = clap::value_parser!(u32).range(100..=400_000))]
    pub(crate) functions: u32,
    /// How many edits are made with each redirection
    #[arg(long, value_name = "N", default_value = "400", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) edits: u32,
    /// Decides what the functions are and which edits are made
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) seed: u64,
    /// Show one redirection only: `table` or `direct`
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub(crate) redirect: Option<RedirectArg>,
    #[command(flatten)]
    pub(crate) out: OutputArgs,
}

/// Print a script that completes wasmend's commands and options in a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  wasmend completions bash > ~/.local/share/bash-completion/completions/wasmend"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  wasmend man > ~/.local/share/man/man1/wasmend.1\n  wasmend man watch | man -l -"
)]
pub(crate) struct Man {
    /// A command, to print its page only
    #[arg(
        value_name = "COMMAND",
        hide_possible_values = true,
        value_parser = [
            "ld", "patch", "replay", "replay-ld", "watch", "serve", "inspect", "snapshot", "verify", "apply", "finish", "doctor",
            "clean", "explain", "demo",
            "completions", "man",
        ]
    )]
    pub(crate) command: Option<String>,
}

/// How outputs are built and published.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct BuildOptions {
    /// How a call reaches a function whose code has moved: a patch rewrites the callers, or, where the output can be patched while
    /// it runs, a slot of the table that they call through. `direct` forbids the latter
    #[arg(
        long,
        value_name = "HOW",
        default_value = "table",
        hide_possible_values = true
    )]
    pub(crate) redirect: RedirectArg,
    /// Make the output such that it can be patched while it runs; not with direct calls
    #[arg(long)]
    pub(crate) live: bool,
    #[command(flatten)]
    pub(crate) patches: PatchesArg,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What is kept for the next process.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "State")]
pub(crate) struct StateArgs {
    /// Go on where an earlier process ended, such as `wasmend patch`, and keep what the next one needs; also if WASMEND_STATE is 1
    #[arg(long, conflicts_with = "no_state")]
    pub(crate) state: bool,
    /// Begin from nothing, and keep nothing
    #[arg(long)]
    pub(crate) no_state: bool,
    /// Where to keep it, together with the file that is patched, of which the output is a copy then; if it is not said, the folder
    /// that WASMEND_STATE_DIR names, or else beside the output
    #[arg(long, value_name = "DIR", conflicts_with = "no_state")]
    pub(crate) state_dir: Option<PathBuf>,
}

impl StateArgs {
    /// Nothing is kept.
    pub(crate) fn none() -> StateArgs {
        StateArgs {
            state: false,
            no_state: true,
            state_dir: None,
        }
    }

    /// Whether something is to be kept, if that is said.
    pub(crate) fn wanted(&self) -> Option<bool> {
        match (self.state || self.state_dir.is_some(), self.no_state) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// Where patches are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PatchesArg {
    /// Also write each version into this folder as a patch, for `wasmend apply`
    #[arg(long, value_name = "DIR")]
    pub(crate) patches: Option<PathBuf>,
}

/// How types are owned and files published.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Who owns types that edits bring: with `per-declaration` the declaration that first uses one, which is what the demo does if
    /// this is not said; with `interned` they are shared, as those of a new layout are, which is what other commands do
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub(crate) types: Option<TypesArg>,
    #[command(flatten)]
    pub(crate) publishing: PublishArgs,
}

/// How files are published.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct PublishArgs {
    /// How a patch becomes visible: `atomic` lets a patched copy take the file's place; `in-place` writes the file
    /// itself, for readers that hold it open on purpose
    #[arg(
        long,
        value_name = "HOW",
        default_value = "atomic",
        hide_possible_values = true
    )]
    pub(crate) publish: PublishArg,
    #[command(flatten)]
    pub(crate) durability: DurabilityArgs,
}

/// What a version survives.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct DurabilityArgs {
    /// What a published version survives: `kill`, the end of the process at any point, or `power`, a power cut too
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "kill",
        hide_possible_values = true
    )]
    durability: DurabilityArg,
}

impl DurabilityArgs {
    pub(crate) fn durability(self) -> Durability {
        match self.durability {
            DurabilityArg::Kill => Durability::ProcessKill,
            DurabilityArg::Power => Durability::Power,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RedirectArg {
    Table,
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypesArg {
    PerDeclaration,
    Interned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishArg {
    Atomic,
    InPlace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DurabilityArg {
    Kill,
    Power,
}

impl PublishArgs {
    /// How files are published; `notice` hears of slower ways that had to be taken.
    pub(crate) fn options(&self, notice: impl Fn(&str) + Send + Sync + 'static) -> OutputOptions {
        let publish = match self.publish {
            PublishArg::Atomic => Publish::Atomic,
            PublishArg::InPlace => Publish::InPlace,
        };
        let mut options = OutputOptions::new(publish);
        options.durability = self.durability.durability();
        options.notice = Some(std::sync::Arc::new(notice));
        options
    }
}

impl OutputArgs {
    /// How files are published; `notice` hears of slower ways that had to be taken.
    pub(crate) fn options(&self, notice: impl Fn(&str) + Send + Sync + 'static) -> OutputOptions {
        self.publishing.options(notice)
    }

    /// Who owns types, if it was said.
    pub(crate) fn types(&self) -> Option<Types> {
        self.types.map(|types| match types {
            TypesArg::PerDeclaration => Types::PerDeclaration,
            TypesArg::Interned => Types::Interned,
        })
    }
}

impl RedirectArg {
    /// The redirection of code that is made here: calls through the table stand at the call site.
    pub(crate) fn inline(self) -> Redirect {
        match self {
            RedirectArg::Table => Redirect::Table,
            RedirectArg::Direct => Redirect::Direct,
        }
    }

    /// The redirection of code that somebody else made, whose calls are what they are.
    pub(crate) fn ready_made(self) -> Redirect {
        match self {
            RedirectArg::Table => Redirect::TableThunks,
            RedirectArg::Direct => Redirect::Direct,
        }
    }

    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            RedirectArg::Table => "table",
            RedirectArg::Direct => "direct",
        }
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let number = text
        .parse::<u32>()
        .map_err(|_| "a number of milliseconds is needed".to_owned())?;
    Ok(Duration::from_millis(number.into()))
}
