//! A program made of many objects, to measure linkers with. What it computes is known, so that a link can be checked by
//! running it.
//!
//! `FOLDER [--objects N] [--functions N] [--data N] [--debug BYTES] [--block BYTES] [--archives N] [--edit OBJECT.FUNCTION[=TIMES]]`
//!
//! The objects are `FOLDER/oNNNNN.o` and `FOLDER/main.o`, listed in `FOLDER/objects.rsp`. The program exports
//! `run: () -> i32`; what it returns is printed. With the defaults, 2,000 objects of 50 functions, there are 40 MB of
//! objects and 1.3 million relocations. Each object can have more: `--data` segments of data beside one for each function,
//! `--debug` bytes of entries of debug information with their relocations, and `--block` bytes of it without. `--archives`
//! puts the objects into so many libraries `FOLDER/libunitsNNNNN.a`. `--edit` writes only the file that has that
//! function's object, with a constant changed (TIMES makes the function longer by as many steps).
//!
//! Every function is small and calls others of its own and of other objects, by index and through the table, reads
//! data, and touches the stack pointer. No call but those by an object's `entry` is ever taken.

mod archive;
mod debug;
mod object;

use std::path::PathBuf;
use std::{fs, process};

use archive::{Member, archive};
use debug::Debug;
use object::{Builder, Reloc};

struct Settings {
    folder: PathBuf,
    objects: u32,
    functions: u32,
    data: u32,
    debug: Debug,
    archives: u32,
    edit: Option<(u32, u32, u32)>,
}

/// Writes what the arguments of a command line ask for.
pub fn run(args: impl Iterator<Item = String>) {
    let Some(settings) = settings(args) else {
        eprintln!(
            "generator FOLDER [--objects N] [--functions N] [--data N] [--debug BYTES] [--block BYTES] [--archives N] [--edit OBJECT.FUNCTION[=TIMES]]"
        );
        process::exit(2);
    };
    fs::create_dir_all(&settings.folder).expect("the folder can be made");
    let mut written = Written::default();
    written.object(&settings, "main.o", main_object(&settings));
    match settings.archives {
        0 => (0..settings.objects)
            .filter(|object| settings.is_asked(|edited| edited == *object))
            .for_each(|object| {
                written.object(&settings, &unit_file(object), unit(&settings, object));
            }),
        archives => (0..archives)
            .filter(|number| settings.is_asked(|edited| edited % archives == *number))
            .for_each(|number| written.archive(&settings, number)),
    }
    let list = settings.folder.join("objects.rsp");
    fs::write(list, settings.list()).expect("the list can be written");
    println!("run() = {}", expected(&settings));
    eprintln!(
        "{} objects, {} functions, {} relocations, {} bytes",
        settings.objects + 1,
        settings.objects * settings.functions,
        written.relocs,
        written.bytes
    );
}

impl Settings {
    /// Whether a file is to be written, by whether it has the object that is edited.
    fn is_asked(&self, has: impl Fn(u32) -> bool) -> bool {
        self.edit.is_none_or(|(edited, ..)| has(edited))
    }

    /// The arguments of a linker, one a line.
    fn list(&self) -> String {
        let place = |file: String| self.folder.join(file).display().to_string();
        let files: Vec<String> = match self.archives {
            0 => (0..self.objects).map(unit_file).collect(),
            archives => (0..archives).map(archive_file).collect(),
        };
        let all = ["main.o".to_owned()].into_iter().chain(files);
        all.map(|file| place(file) + "\n").collect()
    }
}

/// What has been written.
#[derive(Default)]
struct Written {
    relocs: usize,
    bytes: usize,
}

impl Written {
    fn object(&mut self, settings: &Settings, file: &str, builder: Builder) {
        self.relocs += builder.relocs();
        self.file(settings, file, &builder.finish());
    }

    fn archive(&mut self, settings: &Settings, number: u32) {
        let objects = (number..settings.objects).step_by(settings.archives as usize);
        let members = objects.map(|object| {
            let builder = unit(settings, object);
            self.relocs += builder.relocs();
            Member {
                file: unit_file(object),
                names: builder.function_names(),
                bytes: builder.finish(),
            }
        });
        let members: Vec<Member> = members.collect();
        self.file(settings, &archive_file(number), &archive(&members));
    }

    fn file(&mut self, settings: &Settings, file: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        fs::write(settings.folder.join(file), bytes).expect("the file can be written");
    }
}

fn settings(mut args: impl Iterator<Item = String>) -> Option<Settings> {
    let mut settings = Settings {
        folder: PathBuf::new(),
        objects: 2000,
        functions: 50,
        data: 0,
        debug: Debug {
            entries: 0,
            block: 0,
        },
        archives: 0,
        edit: None,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--objects" => settings.objects = args.next()?.parse().ok()?,
            "--functions" => settings.functions = args.next()?.parse().ok()?,
            "--data" => settings.data = args.next()?.parse().ok()?,
            "--debug" => settings.debug.entries = args.next()?.parse().ok()?,
            "--block" => settings.debug.block = args.next()?.parse().ok()?,
            "--archives" => settings.archives = args.next()?.parse().ok()?,
            "--edit" => {
                let value = args.next()?;
                let (place, times) = value.split_once('=').unwrap_or((&value, "0"));
                let (object, function) = place.split_once('.')?;
                settings.edit = Some((
                    object.parse().ok()?,
                    function.parse().ok()?,
                    times.parse().ok()?,
                ));
            }
            _ if arg.starts_with('-') => return None,
            _ => settings.folder = arg.into(),
        }
    }
    (!settings.folder.as_os_str().is_empty() && settings.objects > 0 && settings.functions > 0)
        .then_some(settings)
}

fn unit_file(object: u32) -> String {
    format!("o{object:05}.o")
}

fn archive_file(number: u32) -> String {
    format!("libunits{number:05}.a")
}

/// A cheap mixture: the same numbers for every run.
fn mix(object: u32, function: u32, purpose: u32) -> u32 {
    let mut value = u64::from(object) << 40 ^ u64::from(function) << 16 ^ u64::from(purpose);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ value >> 31) as u32
}

const LOADS: u32 = 5;
const CALLS: u32 = 3;
/// How many functions of other objects one object calls.
const FOREIGN: u32 = 60;
const WORDS: u32 = 8;

fn function_name(object: u32, function: u32) -> String {
    format!("_ZN4unit{object:05}4work{function:03}Ei")
}

fn entry_name(object: u32) -> String {
    format!("unit_{object:05}_entry")
}

/// What a function adds for an edit.
fn step(settings: &Settings, object: u32, function: u32) -> (i32, u32) {
    match settings.edit {
        Some((o, f, times)) if (o, f) == (object, function) => (12345, times),
        _ => (0, 0),
    }
}

fn word(object: u32, function: u32, index: u32) -> i32 {
    mix(object, function, 1000 + index) as i32
}

fn multiplier(object: u32, function: u32, load: u32) -> i32 {
    (mix(object, function, 100 + load) & 0xffff | 1) as i32
}

fn expected(settings: &Settings) -> i32 {
    let mut x = 1i32;
    for object in 0..settings.objects {
        for function in 0..settings.functions {
            for load in 0..LOADS {
                x = x.wrapping_mul(multiplier(object, function, load));
                x ^= word(object, function, load % WORDS);
            }
            let (extra, times) = step(settings, object, function);
            for _ in 0..=times {
                x = x.wrapping_add(extra);
            }
        }
    }
    x
}

fn unit(settings: &Settings, object: u32) -> Builder {
    let mut builder = Builder::new();
    let unary = builder.function_type(&[0x7f], &[0x7f]);
    let foreign: Vec<u32> = (0..FOREIGN)
        .map(|index| {
            let other = mix(object, index, 1) % settings.objects;
            let function = mix(object, index, 2) % settings.functions;
            let name = function_name(other, function);
            match other == object {
                true => builder.defined_function(function),
                false => builder.undefined_function(&name, unary),
            }
        })
        .collect();
    let stack = builder.undefined_global("__stack_pointer");
    let table = builder.indirect_table();
    let data: Vec<u32> = (0..settings.functions)
        .map(|function| {
            let words = (0..WORDS).flat_map(|index| word(object, function, index).to_le_bytes());
            let name = format!("numbers_{object:05}_{function:03}");
            builder.data(&format!(".data.{name}"), 0, &name, words.collect(), &[])
        })
        .collect();
    let more = more_data(&mut builder, settings, object);
    for function in 0..settings.functions {
        let code = builder.begin_function(&function_name(object, function), unary, false);
        code.local_get(0).local_set(1);
        for load in 0..LOADS {
            code.local_get(1)
                .i32_const(multiplier(object, function, load))
                .op(0x6c);
            code.i32_const(0)
                .load(data[function as usize], 4 * (load % WORDS));
            code.op(0x73).local_set(1);
        }
        let (extra, times) = step(settings, object, function);
        for _ in 0..=times {
            code.local_get(1).i32_const(extra).op(0x6a).local_set(1);
        }
        for call in 0..CALLS {
            // if ((x | 1) == 0) x = callee(x)
            code.local_get(1)
                .i32_const(1)
                .op(0x72)
                .op(0x45)
                .op(0x04)
                .op(0x40);
            let choice = mix(object, function, 200 + call);
            code.local_get(1);
            match choice % 4 {
                0 => code.call_own(choice / 4 % settings.functions),
                _ => code.call(foreign[(choice / 4 % FOREIGN) as usize]),
            };
            code.local_set(1).op(0x0b);
        }
        code.local_get(1)
            .i32_const(1)
            .op(0x72)
            .op(0x45)
            .op(0x04)
            .op(0x40);
        let choice = foreign[(mix(object, function, 300) % FOREIGN) as usize];
        code.local_get(1)
            .reloc_const(Reloc::TableIndexSleb, choice)
            .call_indirect(unary, table);
        code.local_set(1).op(0x0b);
        code.global_get(stack).op(0x1a);
        code.local_get(1).op(0x0b);
        builder.end_function();
    }
    let code = builder.begin_function(&entry_name(object), unary, false);
    if let Some(more) = more {
        code.i32_const(0).load(more, 0).op(0x1a);
    }
    code.local_get(0);
    for function in 0..settings.functions {
        code.call_own(function);
    }
    code.op(0x0b);
    builder.end_function();
    if settings.debug.entries + settings.debug.block > 0 {
        debug::add(&mut builder, object, settings.functions, settings.debug);
    }
    builder
}

/// Segments that nothing but a list of their addresses refers to.
fn more_data(builder: &mut Builder, settings: &Settings, object: u32) -> Option<u32> {
    let more = (0..settings.data).map(|number| {
        let name = format!("more_{object:05}_{number:05}");
        let bytes = word(object, number, WORDS).to_le_bytes().repeat(8);
        builder.data(&format!(".data.{name}"), 0, &name, bytes, &[])
    });
    let more: Vec<u32> = more.collect();
    let name = format!("all_of_{object:05}");
    (!more.is_empty()).then(|| builder.addresses(&format!(".data.{name}"), &name, &more))
}

fn main_object(settings: &Settings) -> Builder {
    let mut builder = Builder::new();
    let unary = builder.function_type(&[0x7f], &[0x7f]);
    let nullary = builder.function_type(&[], &[0x7f]);
    let entries: Vec<u32> = (0..settings.objects)
        .map(|object| builder.undefined_function(&entry_name(object), unary))
        .collect();
    let code = builder.begin_function("run", nullary, true);
    code.i32_const(1);
    for entry in entries {
        code.call(entry);
    }
    code.op(0x0b);
    builder.end_function();
    builder
}
