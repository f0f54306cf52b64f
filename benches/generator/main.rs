//! Writes a program made of many objects, to measure linkers with. What it computes is known, so that a link can be
//! checked by running it.
//!
//! `generator FOLDER [--objects N] [--functions N] [--edit OBJECT.FUNCTION[=TIMES]]`
//!
//! The objects are `FOLDER/oNNNN.o` and `FOLDER/main.o`, listed in `FOLDER/objects.rsp`. The program exports
//! `run: () -> i32`; what it returns is printed. With the defaults, 2,000 objects of 50 functions, there are 40 MB of
//! objects and 1.3 million relocations. `--edit` writes only that function's object, with a constant changed (TIMES
//! makes the function longer by as many steps).
//!
//! Every function is small and calls others of its own and of other objects, by index and through the table, reads
//! data, and touches the stack pointer. No call but those by an object's `entry` is ever taken.

mod object;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use object::{Builder, Reloc};

struct Settings {
    folder: PathBuf,
    objects: u32,
    functions: u32,
    edit: Option<(u32, u32, u32)>,
}

fn main() {
    let Some(settings) = settings() else {
        eprintln!(
            "generator FOLDER [--objects N] [--functions N] [--edit OBJECT.FUNCTION[=TIMES]]"
        );
        process::exit(2);
    };
    let folder = &settings.folder;
    fs::create_dir_all(folder).expect("the folder can be made");
    let mut relocs = 0;
    let mut bytes = 0;
    for object in 0..settings.objects {
        if settings.edit.is_none_or(|(edited, ..)| edited == object) {
            let builder = unit(&settings, object);
            relocs += builder.relocs();
            bytes += write(folder, &unit_file(object), builder);
        }
    }
    let main = main_object(&settings);
    relocs += main.relocs();
    bytes += write(folder, "main.o", main);
    let files: Vec<String> = (0..settings.objects).map(unit_file).collect();
    let list = ["main.o".to_owned()]
        .iter()
        .chain(&files)
        .map(|file| format!("{}\n", folder.join(file).display()))
        .collect::<String>();
    fs::write(folder.join("objects.rsp"), list).expect("the list can be written");
    println!("run() = {}", expected(&settings));
    eprintln!(
        "{} objects, {} functions, {relocs} relocations, {bytes} bytes",
        settings.objects + 1,
        settings.objects * settings.functions
    );
}

fn settings() -> Option<Settings> {
    let mut settings = Settings {
        folder: PathBuf::new(),
        objects: 2000,
        functions: 50,
        edit: None,
    };
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {}
            "--objects" => settings.objects = args.next()?.parse().ok()?,
            "--functions" => settings.functions = args.next()?.parse().ok()?,
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

fn write(folder: &Path, file: &str, builder: Builder) -> usize {
    let bytes = builder.finish();
    fs::write(folder.join(file), &bytes).expect("the object can be written");
    bytes.len()
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
    code.local_get(0);
    for function in 0..settings.functions {
        code.call_own(function);
    }
    code.op(0x0b);
    builder.end_function();
    builder
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
