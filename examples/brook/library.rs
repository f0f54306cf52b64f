//! The part of the library that is written by hand: memory, lists and texts. A text is a length and its bytes, a list a
//! length and, eight bytes on, its numbers; both are handled by their address.

use wasmend::ValType::{F64, I32};
use wasmend::{
    ConstExpr, DeclId, DeclKind, FunctionBuilder, Instruction as I, MemArg, MemArgTarget,
    MemoryType, Module, Result, ValType,
};

/// Where a program's own data ends, and what it makes while it runs begins.
pub const HEAP: u32 = 1 << 20;

/// Pages of memory to begin with, and at most.
const PAGES: (u64, u64) = (32, 1024);

/// What the global `brook.fault` says of a program that has stopped.
pub const FAULTS: [&str; 4] = [
    "",
    "there is nothing at this index",
    "there is no memory left",
    "there can be no list of this length",
];

/// The most numbers that fit a list.
const MOST_ITEMS: f64 = 8_000_000.0;

/// A function with its signature.
#[derive(Clone, Copy)]
pub struct Routine {
    pub id: DeclId,
    pub params: &'static [ValType],
    pub results: &'static [ValType],
}

/// What programs call, and their memory.
pub struct Library {
    pub memory: DeclId,
    pub array: Routine,
    /// The address of an item of a list.
    pub item: Routine,
    /// The byte at an index of a text.
    pub letter: Routine,
    pub char: Routine,
    pub concat: Routine,
    pub same: Routine,
}

impl Library {
    /// Declares and defines all of it in a new module.
    pub fn define(module: &mut Module) -> Result<Library> {
        let memory = module.declare(DeclKind::Memory, "brook.memory")?;
        let ty = MemoryType {
            minimum: PAGES.0,
            maximum: Some(PAGES.1),
            shared: false,
            is_64: false,
        };
        module.define_memory(memory, ty)?;
        module.reserve_data(memory, 1024..HEAP.into())?;
        module.export("brook.memory", memory)?;
        let mut global = |key: &str, value| -> Result<DeclId> {
            let id = module.declare(DeclKind::Global, key)?;
            module.define_global(id, I32, true, ConstExpr::I32(value))?;
            module.export(key, id)?;
            Ok(id)
        };
        let heap = global("brook.heap", HEAP as i32)?;
        let fault = global("brook.fault", 0)?;
        let fail = define(module, "brook.fail", &[I32], &[], |body| {
            body.op(&I::LocalGet(0))
                .global_set(fault)
                .op(&I::Unreachable);
        })?;
        let alloc = define(module, "brook.alloc", &[I32], &[I32], |body| {
            alloc(body, heap, fail);
        })?;
        Ok(Library {
            memory,
            array: define(module, "brook.array", &[F64], &[I32], |body| {
                array(body, alloc, fail);
            })?,
            item: define(module, "brook.item", &[I32, F64], &[I32], |body| {
                expect_index(body, fail);
                body.op(&I::LocalGet(0)).op(&I::I32Const(8)).op(&I::I32Add);
                body.op(&I::LocalGet(1)).op(&I::I32TruncF64U);
                body.op(&I::I32Const(3)).op(&I::I32Shl).op(&I::I32Add);
            })?,
            letter: define(module, "brook.letter", &[I32, F64], &[F64], |body| {
                expect_index(body, fail);
                body.op(&I::LocalGet(0));
                body.op(&I::LocalGet(1)).op(&I::I32TruncF64U).op(&I::I32Add);
                body.op(&I::I32Load8U(at(4, 0))).op(&I::F64ConvertI32U);
            })?,
            char: define(module, "brook.char", &[F64], &[I32], |body| {
                let text = body.locals(1, I32);
                body.op(&I::I32Const(5));
                call(body, alloc).op(&I::LocalTee(text));
                body.op(&I::I32Const(1)).op(&I::I32Store(at(0, 2)));
                body.op(&I::LocalGet(text));
                body.op(&I::LocalGet(0)).op(&I::I32TruncSatF64U);
                body.op(&I::I32Store8(at(4, 0))).op(&I::LocalGet(text));
            })?,
            concat: define(module, "brook.concat", &[I32, I32], &[I32], |body| {
                concat(body, alloc);
            })?,
            same: define(module, "brook.same", &[I32, I32], &[I32], same)?,
        })
    }
}

/// Declares and defines a function.
fn define(
    module: &mut Module,
    key: &str,
    params: &'static [ValType],
    results: &'static [ValType],
    write: impl FnOnce(&mut FunctionBuilder),
) -> Result<Routine> {
    let id = module.declare(DeclKind::Function, key)?;
    let mut body = FunctionBuilder::new(module.body_style(), params, results);
    write(&mut body);
    module.define_function(id, body.finish()?)?;
    Ok(Routine {
        id,
        params,
        results,
    })
}

pub fn call(body: &mut FunctionBuilder, routine: Routine) -> &mut FunctionBuilder {
    body.call(routine.id, routine.params, routine.results)
}

/// Memory at an offset from an address, with an alignment.
pub fn at(offset: u64, align: u32) -> MemArg {
    MemArg {
        offset,
        align,
        target: MemArgTarget::Memory(0),
        ordering: None,
    }
}

pub fn number(value: f64) -> I<'static> {
    I::F64Const(value.into())
}

/// Stops the program if what is on the stack is zero.
fn expect(body: &mut FunctionBuilder, fail: Routine, fault: i32) {
    body.op(&I::I32Eqz).if_(&[], &[]);
    body.op(&I::I32Const(fault));
    call(body, fail).op(&I::End);
}

/// Stops the program unless the second parameter is an index of the first.
fn expect_index(body: &mut FunctionBuilder, fail: Routine) {
    body.op(&I::LocalGet(1)).op(&number(0.0)).op(&I::F64Ge);
    body.op(&I::LocalGet(1)).op(&I::LocalGet(0));
    body.op(&I::I32Load(at(0, 2))).op(&I::F64ConvertI32U);
    body.op(&I::F64Lt).op(&I::I32And);
    expect(body, fail, 1);
}

/// Memory that was never used, at a multiple of eight.
fn alloc(body: &mut FunctionBuilder, heap: DeclId, fail: Routine) {
    let address = body.locals(1, I32);
    body.global_get(heap).op(&I::LocalSet(address));
    body.op(&I::MemorySize(0))
        .op(&I::I32Const(16))
        .op(&I::I32Shl);
    body.op(&I::LocalGet(address)).op(&I::I32Sub);
    body.op(&I::LocalGet(0)).op(&I::I32LtU);
    body.if_(&[], &[]);
    body.op(&I::LocalGet(0))
        .op(&I::I32Const(16))
        .op(&I::I32ShrU);
    body.op(&I::I32Const(1)).op(&I::I32Add);
    body.op(&I::MemoryGrow(0))
        .op(&I::I32Const(-1))
        .op(&I::I32Ne);
    expect(body, fail, 2);
    body.op(&I::End);
    body.op(&I::LocalGet(address))
        .op(&I::LocalGet(0))
        .op(&I::I32Add);
    body.op(&I::I32Const(7)).op(&I::I32Add);
    body.op(&I::I32Const(-8)).op(&I::I32And).global_set(heap);
    body.op(&I::LocalGet(address));
}

fn array(body: &mut FunctionBuilder, alloc: Routine, fail: Routine) {
    let (size, list) = (body.locals(1, I32), body.locals(1, I32));
    body.op(&I::LocalGet(0)).op(&number(0.0)).op(&I::F64Ge);
    body.op(&I::LocalGet(0))
        .op(&number(MOST_ITEMS))
        .op(&I::F64Le);
    body.op(&I::I32And);
    expect(body, fail, 3);
    body.op(&I::LocalGet(0)).op(&I::I32TruncF64U);
    body.op(&I::I32Const(3)).op(&I::I32Shl);
    body.op(&I::I32Const(8))
        .op(&I::I32Add)
        .op(&I::LocalTee(size));
    call(body, alloc).op(&I::LocalTee(list));
    body.op(&I::I32Const(0))
        .op(&I::LocalGet(size))
        .op(&I::MemoryFill(0));
    body.op(&I::LocalGet(list));
    body.op(&I::LocalGet(0))
        .op(&I::I32TruncF64U)
        .op(&I::I32Store(at(0, 2)));
    body.op(&I::LocalGet(list));
}

fn concat(body: &mut FunctionBuilder, alloc: Routine) {
    let text = body.locals(1, I32);
    let len = |body: &mut FunctionBuilder, of| {
        body.op(&I::LocalGet(of)).op(&I::I32Load(at(0, 2)));
    };
    let add = |body: &mut FunctionBuilder, value| {
        body.op(&I::I32Const(value)).op(&I::I32Add);
    };
    len(body, 0);
    len(body, 1);
    body.op(&I::I32Add);
    add(body, 4);
    call(body, alloc).op(&I::LocalTee(text));
    len(body, 0);
    len(body, 1);
    body.op(&I::I32Add).op(&I::I32Store(at(0, 2)));
    for part in [0, 1] {
        body.op(&I::LocalGet(text));
        add(body, 4);
        if part == 1 {
            len(body, 0);
            body.op(&I::I32Add);
        }
        body.op(&I::LocalGet(part));
        add(body, 4);
        len(body, part);
        body.op(&I::MemoryCopy {
            src_mem: 0,
            dst_mem: 0,
        });
    }
    body.op(&I::LocalGet(text));
}

fn same(body: &mut FunctionBuilder) {
    let index = body.locals(1, I32);
    let byte = |body: &mut FunctionBuilder, of| {
        body.op(&I::LocalGet(of))
            .op(&I::LocalGet(index))
            .op(&I::I32Add);
        body.op(&I::I32Load8U(at(4, 0)));
    };
    body.op(&I::LocalGet(0)).op(&I::I32Load(at(0, 2)));
    body.op(&I::LocalGet(1)).op(&I::I32Load(at(0, 2)));
    body.op(&I::I32Ne).if_(&[], &[]);
    body.op(&I::I32Const(0)).op(&I::Return).op(&I::End);
    body.loop_(&[], &[]);
    body.op(&I::LocalGet(index))
        .op(&I::LocalGet(0))
        .op(&I::I32Load(at(0, 2)));
    body.op(&I::I32LtU).if_(&[], &[]);
    byte(body, 0);
    byte(body, 1);
    body.op(&I::I32Ne).if_(&[], &[]);
    body.op(&I::I32Const(0)).op(&I::Return).op(&I::End);
    body.op(&I::LocalGet(index))
        .op(&I::I32Const(1))
        .op(&I::I32Add);
    body.op(&I::LocalSet(index)).op(&I::Br(1));
    body.op(&I::End).op(&I::End);
    body.op(&I::I32Const(1));
}
