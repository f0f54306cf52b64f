//! What a command line says, as a value: wasm-ld's options and those of wasmend itself. How they are spelt stands in the
//! table of options.
//!
//! Nothing here opens files, but for lists of symbols.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kept::Compare;
use crate::link::command::response_file::read_list;
use crate::module::Redirect;

/// An argument whose place among the others matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputArgument {
    /// A file to link.
    File(PathBuf),
    /// `-l NAME`: `libNAME.a` in the search paths, or for `:FILE` the file of that name.
    Library(String),
    /// Whether all members of the archives that follow are linked.
    WholeArchive(bool),
    /// The objects that follow are linked as members of an archive would be: when one defines what is needed.
    StartLib,
    /// The end of these objects.
    EndLib,
    /// Whether `-l` may find shared libraries.
    SharedLibraries(bool),
}

/// The function that a program starts with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Entry {
    /// `_start`.
    #[default]
    Default,
    /// There is none.
    None,
    /// This one.
    Named(String),
}

impl Entry {
    /// The function's name, if there is to be one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Entry::Default => Some("_start"),
            Entry::None => None,
            Entry::Named(name) => Some(name),
        }
    }
}

/// What becomes of symbols that nothing defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unresolved {
    /// They are errors.
    #[default]
    Error,
    /// They are warnings.
    Warn,
    /// They are zero, or functions that trap.
    Ignore,
}

/// Which custom section tells builds apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BuildId {
    /// None.
    #[default]
    None,
    /// A quick hash of what was linked.
    Fast,
    /// A cryptographic hash of what was linked, as long as one of SHA-1.
    Sha1,
    /// A random number.
    Uuid,
    /// These bytes.
    Bytes(Vec<u8>),
}

/// When messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On terminals.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--defsym NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinedSymbol {
    /// The symbol to define.
    pub name: String,
    /// What it means.
    pub value: DefinedValue,
}

/// What a symbol of `--defsym` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinedValue {
    /// An address.
    Address(u64),
    /// The same as another symbol.
    Symbol(String),
}

/// Everything that the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// The response files that the command line was read from.
    pub response_files: Vec<PathBuf>,
    /// Files, libraries, and what holds for those that follow, in order.
    pub inputs: Vec<InputArgument>,
    /// Where libraries are looked for, in order.
    pub search_paths: Vec<PathBuf>,
    /// The file to write.
    pub output: PathBuf,
    /// Whether memory is indexed with 64 bits; if nothing is said, it is not.
    pub is_64: Option<bool>,
    /// The function that the program starts with.
    pub entry: Entry,
    /// Symbols to export, which must exist.
    pub exports: Vec<String>,
    /// Symbols to export if they exist.
    pub exports_if_defined: Vec<String>,
    /// Whether everything is exported.
    pub export_all: bool,
    /// Whether everything that is not hidden is exported.
    pub export_dynamic: bool,
    /// Symbols to look for in archives although nothing refers to them.
    pub undefined: Vec<String>,
    /// Whether undefined functions become imports.
    pub import_undefined: bool,
    /// What becomes of other undefined symbols.
    pub unresolved: Unresolved,
    /// A file that lists symbols which may be undefined.
    pub allow_undefined_file: Option<PathBuf>,
    /// Whether the first of several definitions is taken.
    pub allow_multiple_definition: bool,
    /// Symbols whose references go to `__wrap_SYMBOL`.
    pub wrap: Vec<String>,
    /// Symbols defined on the command line.
    pub defined_symbols: Vec<DefinedSymbol>,
    /// Whether what cannot be reached is dropped.
    pub gc_sections: bool,
    /// Whether dropped sections are listed.
    pub print_gc_sections: bool,
    /// Whether segments are merged by the beginning of their names.
    pub merge_data_segments: bool,
    /// Whether all custom sections but those to be kept are dropped.
    pub strip_all: bool,
    /// Whether debug information is dropped.
    pub strip_debug: bool,
    /// Custom sections that `strip_all` keeps.
    pub keep_sections: Vec<String>,
    /// Whether relocated fields of code get as few bytes as possible.
    pub compress_relocations: bool,
    /// How much to optimise; 0 turns string merging off.
    pub optimize: u8,
    /// Which custom section tells builds apart.
    pub build_id: BuildId,
    /// The name of the module in the name section.
    pub module_name: Option<String>,
    /// Bytes of the stack.
    pub stack_size: u64,
    /// Whether the stack stands before the data.
    pub stack_first: bool,
    /// The address of the first data; `None` for the default.
    pub global_base: Option<u64>,
    /// The first entry of the function table that is used; `None` for the default.
    pub table_base: Option<u32>,
    /// Bytes of memory at the start; `None` for as much as needed.
    pub initial_memory: Option<u64>,
    /// Bytes of the heap at the start; `None` for what is left of the last page.
    pub initial_heap: Option<u64>,
    /// Bytes of memory at most; `None` for no limit.
    pub max_memory: Option<u64>,
    /// Whether memory cannot grow.
    pub no_growable_memory: bool,
    /// Bytes of a page of memory.
    pub page_size: u64,
    /// Module and name that memory is imported from.
    pub import_memory: Option<(String, String)>,
    /// The name under which memory is exported; see [`exported_memory`](LinkOptions::exported_memory).
    pub export_memory: Option<String>,
    /// Whether threads share memory.
    pub shared_memory: bool,
    /// Whether the function table is imported.
    pub import_table: bool,
    /// Whether the function table is exported.
    pub export_table: bool,
    /// Whether the function table can grow.
    pub growable_table: bool,
    /// Whether the features that objects use are compared.
    pub check_features: bool,
    /// The features of the output, instead of those that the objects use.
    pub features: Option<Vec<String>>,
    /// Features of the output next to those.
    pub extra_features: Vec<String>,
    /// Whether warnings are errors.
    pub fatal_warnings: bool,
    /// Whether an output is written in spite of errors that allow it.
    pub no_inhibit_exec: bool,
    /// After how many errors to stop; 0 for never.
    pub error_limit: usize,
    /// When messages are coloured.
    pub color: Color,
    /// Whether messages and the name section show names as they were in the source.
    pub demangle: bool,
    /// Where to write a map of the output; `-` for standard output.
    pub map: Option<PathBuf>,
    /// Where to write why archive members were linked.
    pub why_extract: Option<PathBuf>,
    /// Whether the linked files are listed.
    pub trace: bool,
    /// Symbols whose references and definitions are listed.
    pub trace_symbols: Vec<String>,
    /// How many threads to use; `None` for all.
    pub threads: Option<usize>,
    /// Whether to say what is done.
    pub verbose: bool,
    /// How much was linked and how long it took is said.
    pub stats: bool,
    /// Whether to print the version; with inputs, linking goes on.
    pub version: bool,
    /// Whether to print help, and do nothing else.
    pub help: bool,
    /// How calls reach code that has moved.
    pub redirect: Option<Redirect>,
    /// Whether updates also make deltas for instances that run; see [`ModuleOptions::live`](crate::ModuleOptions::live).
    pub live: bool,
    /// Whether the output can be patched; `None` for the command's default.
    pub incremental: Option<bool>,
    /// Whether what the link knows is kept for the next one ([`KeptLink`](crate::link::KeptLink)); `None` for the command's default.
    pub state: Option<bool>,
    /// Whether a process is to stay that keeps it in memory; `None` for the command's default.
    pub daemon: Option<bool>,
    /// Where that is kept, if not beside the output.
    pub state_dir: Option<PathBuf>,
    /// How it is found out which inputs have changed since.
    pub compare: Compare,
    /// What was said on the command line without effect.
    pub warnings: Vec<String>,
}

impl Default for LinkOptions {
    fn default() -> Self {
        LinkOptions {
            response_files: Vec::new(),
            inputs: Vec::new(),
            search_paths: Vec::new(),
            output: PathBuf::new(),
            is_64: None,
            entry: Entry::Default,
            exports: Vec::new(),
            exports_if_defined: Vec::new(),
            export_all: false,
            export_dynamic: false,
            undefined: Vec::new(),
            import_undefined: false,
            unresolved: Unresolved::Error,
            allow_undefined_file: None,
            allow_multiple_definition: false,
            wrap: Vec::new(),
            defined_symbols: Vec::new(),
            gc_sections: true,
            print_gc_sections: false,
            merge_data_segments: true,
            strip_all: false,
            strip_debug: false,
            keep_sections: Vec::new(),
            compress_relocations: false,
            optimize: 1,
            build_id: BuildId::None,
            module_name: None,
            stack_size: 65536,
            stack_first: false,
            global_base: None,
            table_base: None,
            initial_memory: None,
            initial_heap: None,
            max_memory: None,
            no_growable_memory: false,
            page_size: 65536,
            import_memory: None,
            export_memory: None,
            shared_memory: false,
            import_table: false,
            export_table: false,
            growable_table: false,
            check_features: true,
            features: None,
            extra_features: Vec::new(),
            fatal_warnings: false,
            no_inhibit_exec: false,
            error_limit: 20,
            color: Color::Auto,
            demangle: true,
            map: None,
            why_extract: None,
            trace: false,
            trace_symbols: Vec::new(),
            threads: None,
            verbose: false,
            stats: false,
            version: false,
            help: false,
            redirect: None,
            live: false,
            incremental: None,
            state: None,
            daemon: None,
            state_dir: None,
            compare: Compare::Times,
            warnings: Vec::new(),
        }
    }
}

/// Settings whose last mention counts, whichever way it goes, before they become what they mean.
#[derive(Default)]
pub(super) struct Later {
    pub(super) allow_undefined: bool,
    pub(super) report_unresolved: Option<Unresolved>,
    pub(super) unresolved: Option<Unresolved>,
    /// Whether the option that was read last says something of bitcode only.
    pub(super) is_idle: bool,
}

impl LinkOptions {
    /// The files that the arguments name; libraries are found, and members of thin archives opened, by the link.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().filter_map(|input| match input {
            InputArgument::File(file) => Some(&**file),
            _ => None,
        })
    }

    /// The first place in the function table that a function may have: the null address is none.
    pub(crate) fn first_slot(&self) -> u32 {
        self.table_base.unwrap_or(1).max(1)
    }

    /// Whether an option says something of the symbol of this name, so that it makes a difference that there is one; or
    /// the linker does: destructors are called if there are any.
    pub(crate) fn names_symbol(&self, name: &str) -> bool {
        let lists = [
            &self.exports,
            &self.exports_if_defined,
            &self.undefined,
            &self.trace_symbols,
        ];
        let is_wrapped = |wrapped: &String| {
            let name = name.strip_prefix("__real_").unwrap_or(name);
            name.strip_prefix("__wrap_").unwrap_or(name) == wrapped
        };
        self.entry.name() == Some(name)
            || lists.into_iter().flatten().any(|named| named == name)
            || self.wrap.iter().any(is_wrapped)
            || self
                .defined_symbols
                .iter()
                .any(|defined| defined.name == name)
            || name == "__wasm_call_dtors"
    }

    /// The name under which memory is exported. It is, as `memory`, unless it is imported or the command line says
    /// otherwise.
    pub fn exported_memory(&self) -> Option<&str> {
        match (&self.export_memory, &self.import_memory) {
            (Some(name), _) => Some(name),
            (None, None) => Some("memory"),
            (None, Some(_)) => None,
        }
    }

    /// Where the first data stands if the stack does not stand before it.
    pub fn data_base(&self) -> u64 {
        match self.global_base {
            Some(base) => base,
            None if self.stack_first => 0,
            None => 1024,
        }
    }

    pub(super) fn settle(&mut self, later: &Later) -> Result<()> {
        let report = later.report_unresolved.unwrap_or_default();
        self.unresolved = match later.unresolved {
            Some(Unresolved::Error) | None => report,
            Some(other) => other,
        };
        if later.allow_undefined {
            self.import_undefined = true;
            self.unresolved = Unresolved::Ignore;
        }
        if self.help || self.version {
            return Ok(());
        }
        let contradiction = |text: &str| Err(Error::bad_input(text));
        if self.import_table && self.export_table {
            return contradiction("--import-table and --export-table exclude each other");
        }
        if self.max_memory.is_some() && self.no_growable_memory {
            return contradiction("--max-memory and --no-growable-memory exclude each other");
        }
        if self.compress_relocations && !self.strip_debug && !self.strip_all {
            return Err(Error::bad_input(
                "--compress-relocations moves code away from its debug information",
            )
            .with_hint("add --strip-debug or --strip-all"));
        }
        if !self.stack_size.is_multiple_of(16) {
            return contradiction("-z stack-size: not a multiple of 16");
        }
        let has_input = self
            .inputs
            .iter()
            .any(|input| matches!(input, InputArgument::File(_) | InputArgument::Library(_)));
        if !has_input {
            return contradiction("no input files");
        }
        if self.output.as_os_str().is_empty() {
            return Err(Error::bad_input("no output file").with_hint("name one with -o"));
        }
        Ok(())
    }
}

/// A number, decimal or with `0x` in front.
pub(super) fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| Error::bad_input(format!("`{text}` is no number")))
}

/// The symbols listed in a file, one on a line. Lines that begin with `#` are comments.
///
/// # Errors
/// If the file cannot be read.
pub fn symbol_list(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(read_list(path)?)
        .map_err(|_| Error::bad_input("a list of symbols is not UTF-8").with_path(path))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}
