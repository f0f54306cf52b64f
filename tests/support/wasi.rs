//! Runs WASI preview 1 commands in the built-in interpreter, with what they say captured.
//!
//! A command sees its arguments, its standard input and nothing else: no files, no environment, a fixed source of random
//! numbers, and a clock that goes on by a millisecond each time that it is read. So two runs of one program are the same.
//! What a program imports must be what preview 1 defines, with the types that it defines: the interpreter gives a host
//! function whatever type the module asks for, and a linker that got one wrong must not go unnoticed.

// Each test reads what it needs of an output.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};

use wasmend::engine::{Engine, Imports, Trap, Value};
use wasmend::{Error, Result};
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef, ValType};

pub const MODULE: &str = "wasi_snapshot_preview1";

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Its exit status; 134 (as after an abort) when it trapped.
    pub exit_code: i32,
    /// The trap that ended it, if one did. A call of `proc_exit` is not one.
    pub trap: Option<Trap>,
}

/// Runs the command `wasm`: its arguments (the program's name first) and standard input are given.
///
/// # Errors
/// The module is malformed, uses what the interpreter does not support, imports anything but preview 1, or has no
/// `_start`. A trap of the program is not an error: see [`Output::trap`].
pub fn run_command(wasm: &[u8], arguments: &[&str], stdin: &[u8]) -> Result<Output> {
    let world = Arc::new(Mutex::new(World::new(arguments, stdin)));
    let mut imports = Imports::new();
    for (name, ..) in functions() {
        let world = world.clone();
        imports = imports.function(MODULE, name, move |memory, arguments| {
            let mut world = world.lock().expect("no call of another function panicked");
            world.call(name, memory, arguments)
        });
    }
    // Instantiated first: it says where a malformed module is wrong.
    let mut instance = Engine::new().instantiate(wasm, &imports)?;
    check_types(wasm)?;
    if !instance.functions().iter().any(|name| name == "_start") {
        return Err(Error::bad_input("the module exports no function `_start`")
            .with_hint("build it as a WASI command, or instantiate it and call its exports"));
    }
    let (exit_code, trap) = match instance.call("_start", &[]) {
        Ok(_) => (0, None),
        Err(Trap::Exit(status)) => (status, None),
        Err(trap) => (134, Some(trap)),
    };
    let mut world = world.lock().expect("no call of a function panicked");
    Ok(Output {
        stdout: std::mem::take(&mut world.written[0]),
        stderr: std::mem::take(&mut world.written[1]),
        exit_code,
        trap,
    })
}

/// The functions of preview 1 and what they take: `i` for a number of 32 bits, `I` for one of 64. All but `proc_exit`
/// return an error number.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

fn check_types(wasm: &[u8]) -> Result<()> {
    let mut types: Vec<Option<wasmparser::FuncType>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("the interpreter took the module") {
            Payload::TypeSection(section) => {
                for group in section {
                    let group = group.expect("the interpreter took the module");
                    types.extend(group.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty),
                        _ => None,
                    }));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("the interpreter took the module");
                    let TypeRef::Func(ty) = import.ty else {
                        continue;
                    };
                    let ty = types[ty as usize].as_ref();
                    let is_right = FUNCTIONS
                        .iter()
                        .find(|function| function.0 == import.name)
                        .zip(ty)
                        .is_some_and(|(function, ty)| is_type_of(function, ty));
                    if !is_right {
                        let message = format!("preview 1 has no such function: {ty:?}");
                        return Err(Error::bad_input(message).with_symbol(import.name));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_type_of((name, takes): &(&str, &str), ty: &wasmparser::FuncType) -> bool {
    let params = takes.chars().map(|letter| match letter {
        'I' => ValType::I64,
        _ => ValType::I32,
    });
    let results: &[ValType] = match *name {
        "proc_exit" => &[],
        _ => &[ValType::I32],
    };
    params.eq(ty.params().iter().copied()) && ty.results() == results
}

/// An error number of preview 1.
type Errno = i32;
const BADF: Errno = 8;
const FAULT: Errno = 21;
const INVAL: Errno = 28;
const NOTDIR: Errno = 54;
const NOTSUP: Errno = 58;
const SPIPE: Errno = 70;

/// What a program sees of the world, and what it has left there.
#[derive(Default)]
pub struct World {
    arguments: Vec<String>,
    stdin: Vec<u8>,
    /// How much of `stdin` has been read.
    read: usize,
    /// Standard output and standard error.
    written: [Vec<u8>; 2],
    /// Which of the three streams have been closed.
    closed: [bool; 3],
    milliseconds: u64,
    random: u8,
}

/// The functions of preview 1: name, whether each parameter has 64 bits, and whether it returns an error number.
pub fn functions() -> impl Iterator<Item = (&'static str, Vec<bool>, bool)> {
    FUNCTIONS.iter().map(|(name, takes)| {
        let wide = takes.chars().map(|letter| letter == 'I').collect();
        (*name, wide, *name != "proc_exit")
    })
}

impl World {
    /// What a program sees that was given these arguments and this input.
    pub fn new(arguments: &[&str], stdin: &[u8]) -> World {
        World {
            arguments: arguments.iter().map(|text| text.to_string()).collect(),
            stdin: stdin.to_vec(),
            ..World::default()
        }
    }

    /// What was written to standard output since this was asked for.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.written[0])
    }

    /// Calls a function.
    ///
    /// # Errors
    /// The program ends itself.
    pub fn call(
        &mut self,
        name: &str,
        memory: &mut [u8],
        arguments: &[Value],
    ) -> Result<Vec<Value>, Trap> {
        // Addresses and sizes are unsigned; the numbers of 64 bits are offsets, rights and times that nobody asks for here.
        let numbers: Vec<u32> = arguments
            .iter()
            .map(|argument| match argument {
                Value::I32(number) => *number as u32,
                _ => 0,
            })
            .collect();
        if let ("proc_exit", &[status]) = (name, numbers.as_slice()) {
            return Err(Trap::Exit(status as i32));
        }
        let done = self.errno(name, &mut Memory(memory), &numbers);
        Ok(vec![Value::I32(done.err().unwrap_or(0))])
    }

    fn errno(&mut self, name: &str, memory: &mut Memory, numbers: &[u32]) -> Result<(), Errno> {
        match (name, numbers) {
            ("args_sizes_get", &[count, size]) => {
                memory.put_u32(count, self.arguments.len() as u32)?;
                let bytes: usize = self.arguments.iter().map(|text| text.len() + 1).sum();
                memory.put_u32(size, bytes as u32)
            }
            ("args_get", &[pointers, mut at]) => {
                for (text, pointer) in self.arguments.iter().zip((pointers..).step_by(4)) {
                    memory.put_u32(pointer, at)?;
                    memory.put(at, text.as_bytes())?;
                    at += text.len() as u32;
                    memory.put(at, &[0])?;
                    at += 1;
                }
                Ok(())
            }
            ("environ_sizes_get", &[count, size]) => {
                memory.put_u32(count, 0)?;
                memory.put_u32(size, 0)
            }
            ("environ_get", _) => Ok(()),
            // Realtime and monotonic; the clocks of processes and threads are not supported.
            ("clock_res_get", &[0 | 1, resolution]) => memory.put_u64(resolution, 1_000_000),
            ("clock_time_get", &[0 | 1, _, time]) => {
                self.milliseconds += 1;
                memory.put_u64(time, (1_700_000_000_000 + self.milliseconds) * 1_000_000)
            }
            ("clock_res_get" | "clock_time_get", _) => Err(BADF),
            ("random_get", &[at, len]) => {
                for byte in memory.range(at, len)? {
                    *byte = self.random;
                    self.random = self.random.wrapping_add(1);
                }
                Ok(())
            }
            ("sched_yield", _) => Ok(()),
            ("path_symlink", &[_, _, fd, ..]) => Err(self.open(fd).err().unwrap_or(NOTDIR)),
            (name, &[fd, ..]) if name.starts_with("path_") => {
                Err(self.open(fd).err().unwrap_or(NOTDIR))
            }
            (name, &[fd, ref rest @ ..]) if name.starts_with("fd_") => {
                self.open(fd)?;
                self.on_stream(name, fd, memory, rest)
            }
            _ => Err(NOTSUP),
        }
    }

    fn on_stream(
        &mut self,
        name: &str,
        fd: u32,
        memory: &mut Memory,
        numbers: &[u32],
    ) -> Result<(), Errno> {
        match (name, numbers) {
            ("fd_read", &[vectors, count, done]) if fd == 0 => {
                let mut read = 0;
                for (at, len) in memory.vectors(vectors, count)? {
                    let left = &self.stdin[self.read..];
                    let len = left.len().min(len as usize);
                    memory.put(at, &left[..len])?;
                    self.read += len;
                    read += len as u32;
                }
                memory.put_u32(done, read)
            }
            ("fd_write", &[vectors, count, done]) if fd != 0 => {
                let mut written = 0;
                for (at, len) in memory.vectors(vectors, count)? {
                    let bytes = memory.range(at, len)?;
                    self.written[fd as usize - 1].extend_from_slice(bytes);
                    written += len;
                }
                memory.put_u32(done, written)
            }
            ("fd_read" | "fd_write", _) => Err(BADF),
            ("fd_close", _) => {
                self.closed[fd as usize] = true;
                Ok(())
            }
            // A stream of unknown type, neither terminal nor file, with all rights; it is written at its end.
            ("fd_fdstat_get", &[at]) => {
                memory.put(at, &[0; 24])?;
                memory.put(at + 2, &[u8::from(fd != 0)])?;
                memory.put_u64(at + 8, u64::MAX)
            }
            ("fd_filestat_get", &[at]) => memory.put(at, &[0; 64]),
            ("fd_fdstat_set_flags" | "fd_fdstat_set_rights" | "fd_sync" | "fd_datasync", _) => {
                Ok(())
            }
            ("fd_seek" | "fd_tell" | "fd_pread" | "fd_pwrite", _) => Err(SPIPE),
            ("fd_prestat_get" | "fd_prestat_dir_name" | "fd_readdir", _) => Err(NOTDIR),
            ("fd_advise", _) => Err(INVAL),
            _ => Err(NOTSUP),
        }
    }

    /// Whether `fd` is one of the three streams and still open.
    fn open(&self, fd: u32) -> Result<(), Errno> {
        match self.closed.get(fd as usize) {
            Some(false) => Ok(()),
            _ => Err(BADF),
        }
    }
}

/// A program's memory. What reaches beyond it is an error of the call, not of the host.
struct Memory<'a>(&'a mut [u8]);

impl Memory<'_> {
    fn range(&mut self, at: u32, len: u32) -> Result<&mut [u8], Errno> {
        let (at, len) = (at as usize, len as usize);
        self.0.get_mut(at..at + len).ok_or(FAULT)
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        self.range(at, bytes.len() as u32)?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_u32(&mut self, at: u32, number: u32) -> Result<(), Errno> {
        self.put(at, &number.to_le_bytes())
    }

    fn put_u64(&mut self, at: u32, number: u64) -> Result<(), Errno> {
        self.put(at, &number.to_le_bytes())
    }

    /// The addresses and lengths in a list of buffers.
    fn vectors(&mut self, at: u32, count: u32) -> Result<Vec<(u32, u32)>, Errno> {
        let bytes = self.range(at, count.checked_mul(8).ok_or(FAULT)?)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let numbers = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes));
        let starts = numbers.clone().step_by(2);
        Ok(starts.zip(numbers.skip(1).step_by(2)).collect())
    }
}
