//! How to hook wasmend into a compiler: a page for each question. There is nothing here but text, whose examples are compiled
//! and run with the tests.

/// A compiler in watch mode.
///
/// A [`Module`](crate::Module) is bound to the output. The compiler gives each function a key that stays the same from build to
/// build, and after each change of a source defines what it compiled anew; [`commit`](crate::Module::commit) writes the difference.
///
/// ```
/// use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, Outcome, ValType};
///
/// /// A program: functions and what they return.
/// type Program<'a> = &'a [(&'a str, i32)];
///
/// fn compile(module: &mut Module, program: Program<'_>) -> wasmend::Result<Outcome> {
///     // Names come first: a function may call one that stands further down.
///     for (name, _) in program {
///         let id = module.declare_or_get(DeclKind::Function, name)?;
///         module.export(name, id)?;
///     }
///     // Bodies can be made on as many threads as there are: they need no access to the module. (Where threads come across
///     // what nobody has declared, such as texts, `Module::reservations` has ids for it.)
///     let style = module.body_style();
///     for (name, value) in program {
///         let mut body = FunctionBuilder::new(style, &[], &[ValType::I32]);
///         body.op(&Instruction::I32Const(*value));
///         let id = module.declare_or_get(DeclKind::Function, name)?;
///         // One that is as it was costs a comparison, and nothing is written for it.
///         module.define_function(id, body.finish()?)?;
///     }
///     Ok(module.commit()?.outcome)
/// }
///
/// # fn main() -> wasmend::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let out = folder.path().join("out.wasm");
/// let mut module = Module::create(&out, ModuleOptions::default())?;
/// compile(&mut module, &[("one", 1), ("two", 2)])?;
/// let again = compile(&mut module, &[("one", 1), ("two", 2)])?;
/// assert!(matches!(again, Outcome::Unchanged));
/// let Outcome::Patched(ranges) = compile(&mut module, &[("one", 1), ("two", 22)])? else {
///     panic!("a constant is a patch");
/// };
/// assert!(ranges.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < 200);
/// # Ok(())
/// # }
/// ```
///
/// What is not there any more is removed, by [`remove`](crate::Module::remove), its exports before it; what only a function has, such as its texts and
/// closures, goes with it if it was declared as a part of it ([`declare_part`](crate::Module::declare_part)). `examples/compiler.rs` is a
/// whole one, on all cores.
#[cfg(any(doc, doctest))]
pub mod watch_mode {}

/// A compiler that ends after each build.
///
/// [`Module::open`](crate::Module::open) finds the module as the last process of the same program has
/// [closed](crate::KeptModule::close) it, with all its declarations under their keys, or makes a new one and says why
/// ([`reason`](crate::KeptModule::reason)). Defining everything again costs a comparison each; only what differs is written. What a
/// compiler's own tables say of sources is its own affair, and so is where it keeps them. [`kept`](crate::kept) says what a
/// program must do for it: an allocator and an option of its linker. `examples/once.rs` is a whole one.
///
/// Whoever gets whole modules from elsewhere has the same in [`OneShot`](crate::OneShot).
#[cfg(any(doc, doctest))]
pub mod one_shot {}

/// A language server, or whoever needs no file.
///
/// [`Module::in_memory`](crate::Module::in_memory) publishes into memory. What is sent elsewhere are the ranges of each patch; whoever has the
/// version before it writes them over their copy, and has the new one. Whoever does not know which version the copy is, or whether all
/// has arrived, sends an [`Envelope`](crate::Envelope) instead, which checks both.
///
/// ```
/// use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, Outcome, ValType};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let answer = module.declare(DeclKind::Function, "answer")?;
/// module.export("answer", answer)?;
/// let mut copy = Vec::new();
/// for number in [41, 42] {
///     let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
///     body.op(&Instruction::I32Const(number));
///     module.define_function(answer, body.finish()?)?;
///     let patch = module.commit()?;
///     match &patch.outcome {
///         Outcome::Patched(ranges) => {
///             copy.resize(patch.file_len as usize, 0);
///             for (range, bytes) in ranges.iter() {
///                 let start = range.offset as usize;
///                 copy[start..start + bytes.len()].copy_from_slice(bytes);
///             }
///         }
///         Outcome::Relinked(_) => copy = module.bytes()?,
///         Outcome::Unchanged => {}
///     }
///     assert_eq!(copy, module.bytes()?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// A program that runs is brought up to date by deltas: turn on [`ModuleOptions::live`](crate::ModuleOptions::live), load the first version into a
/// [`Live`](crate::live::Live), and hand each commit's step to [`Live::take`](crate::live::Live::take) between two calls. Memory, globals and
/// what the host holds stay. What is only being typed is tried on a [clone](crate::Module::try_clone). `examples/brook` is a language server that does this, `examples/forth.rs` the smallest program.
#[cfg(any(doc, doctest))]
pub mod in_memory {}

/// Memory: data here, the stack and the heap there.
///
/// Data that is declared gets its address from wasmend, from the range that [`reserve_data`](crate::Module::reserve_data) sets aside. A
/// compiler places the rest itself, outside of that range: leave room for data to grow, then the stack, then the heap, which has no end.
///
/// ```
/// use wasmend::{ConstExpr, Data, DeclKind, MemoryType, Module, ModuleOptions, ValType};
///
/// # fn main() -> wasmend::Result<()> {
/// const DATA: std::ops::Range<u64> = 1024..512 << 10;
/// const STACK_TOP: i32 = 1 << 20;
///
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let memory = module.declare(DeclKind::Memory, "memory")?;
/// let pages = MemoryType { minimum: 17, ..MemoryType::default() };
/// module.define_memory(memory, pages)?;
/// module.reserve_data(memory, DATA)?;
/// let stack = module.declare(DeclKind::Global, "stack pointer")?;
/// module.define_global(stack, ValType::I32, true, ConstExpr::I32(STACK_TOP))?;
/// // The heap begins where the stack does, and grows the other way.
/// let heap = module.declare(DeclKind::Global, "heap")?;
/// module.define_global(heap, ValType::I32, true, ConstExpr::I32(STACK_TOP))?;
///
/// let list = module.declare(DeclKind::Data, "list")?;
/// let text = module.declare(DeclKind::Data, "text")?;
/// module.define_data(text, memory, Data::new(*b"hello", 0).constant())?;
/// // Four bytes of it are the address of the text, wherever that stands.
/// module.define_data(list, memory, Data::new([0; 8], 2).with_address(4, text, 0))?;
/// module.commit()?;
/// # Ok(())
/// # }
/// ```
///
/// Where it ends is known after each commit ([`data_end`](crate::Declaration::data_end)). Data that grows moves within the reserve, and code that names it follows ([`address_of_data`](crate::FunctionBuilder::address_of_data)).
/// When the reserve is used up a commit fails and says so: a larger one is a rebuild of the file (R12). Where programs run
/// while they are edited, data that is only read should be [`constant`](crate::Data::constant): then it may change in a running program, while
/// a variable's first value is applied only where the program has not changed it.
#[cfg(any(doc, doctest))]
pub mod memory {}

/// Which options when.
///
/// | option | take | when |
/// |---|---|---|
/// | [`Redirect::Table`](crate::Redirect::Table) | by default | calls cost a load and a check of the signature; a patch touches the body and its slot |
/// | [`Redirect::TableThunks`](crate::Redirect::TableThunks) | with ready-made code, which calls by index, in instances that run | with [`live`](crate::ModuleOptions::live) each function has a thunk, and files are 15 % larger; without, calls are direct |
/// | [`Redirect::Direct`](crate::Redirect::Direct) | where calls must cost nothing | a body that moves has its callers rewritten, up to [`fan_in`](crate::ModuleOptions::fan_in) of them; no instance that runs can be patched |
/// | [`Types::PerDeclaration`](crate::Types::PerDeclaration) | by default | a type that is new with an edit stands in a block of the declaration that brought it, to be rewritten there |
/// | [`Types::Interned`](crate::Types::Interned) | for edits that bring the same new types to many declarations | such a type stands there once |
/// | [`validate`](crate::ModuleOptions::validate) | until the compiler is trusted | a few microseconds for each body |
/// | [`live`](crate::ModuleOptions::live) | where programs run while they are edited | a commit takes 1.2 times as long, and so does a call of what is not called through the table anyway |
/// | [`undo`](crate::ModuleOptions::undo) | where an edit is taken back in a running program | twice the work for deltas |
/// | [`names`](crate::ModuleOptions::names) | by default | names in stack traces |
/// | [`OutputOptions`](crate::output::OutputOptions) | by default atomic | readers see a whole version or the one before; in place saves a copy of the file |
///
/// A commit of one changed function of 260 bytes takes 11 to 17 us for 1,000 to 100,000 functions, in all three modes, and writes some 100 bytes beyond
/// the body; rewriting the file would take 46 to 3,700 times as long. All of it was measured, with what was missed: see `design/figures.md` in the
/// sources.
#[cfg(any(doc, doctest))]
pub mod options {}

/// Errors, and what stays after them.
///
/// An edit that makes no sense is refused at once, and has changed nothing. A commit refuses what does not fit together: a function that calls
/// one with another signature than that has, a body that is not valid code, an export of what was never defined. It names all that is wrong at once
/// ([`Error::others`](crate::Error::others)). The output is what it was, in memory and on disk; the edits are still pending. Either
/// they are mended by further edits and committed again, or dropped: after [`discard`](crate::Module::discard) the module is what it was at the
/// last commit, by every question one can ask it.
///
/// ```
/// use wasmend::{DeclKind, ErrorKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let callee = module.declare(DeclKind::Function, "callee")?;
/// let caller = module.declare(DeclKind::Function, "caller")?;
/// let style = module.body_style();
/// let mut body = FunctionBuilder::new(style, &[], &[ValType::I32]);
/// body.op(&Instruction::I32Const(1));
/// module.define_function(callee, body.finish()?)?;
/// let mut body = FunctionBuilder::new(style, &[], &[]);
/// body.call(callee, &[], &[ValType::I64]).op(&Instruction::Drop);
/// module.define_function(caller, body.finish()?)?;
/// let error = module.commit().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::BadEdit);
/// assert_eq!(error.symbol(), Some("caller"));
/// // The edits are pending: mend one, and all of them are published.
/// let mut body = FunctionBuilder::new(style, &[], &[]);
/// body.call(callee, &[], &[ValType::I32]).op(&Instruction::Drop);
/// module.define_function(caller, body.finish()?)?;
/// module.commit()?;
/// # Ok(())
/// # }
/// ```
///
/// Errors of the system ([`ErrorKind::Io`](crate::ErrorKind::Io)) leave the edits pending as well: a disk that was full can be written to again.
/// [`ErrorKind::Locked`](crate::ErrorKind::Locked) says that another process writes this output, [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged) that somebody
/// has changed it: the next commit can write it whole if [`request_relink`](crate::Module::request_relink) was called. A relink is no error: the patch
/// says why the file was written anew ([`RelinkReason`](crate::RelinkReason)).
#[cfg(any(doc, doctest))]
pub mod errors {}
