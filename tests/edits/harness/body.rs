//! What a body's steps mean in instructions; the same for every encoder. What differs (how an index is encoded, how a
//! call is redirected) is behind [`Emit`].
//!
//! Plain `i32` constants are never between 1 and 2^20: those are slots (below 1024) and addresses, which lets `equal`
//! tell them apart.

use wasm_encoder::{BlockType, Instruction as I, MemArg};

use super::model::{Bound, Def, Ent, Holds, Op, Sig, Ty, signature, with_refs};

/// How many calls an exported function leads to at most.
const BUDGET: i64 = 40;

/// Writes one body.
pub trait Emit {
    fn locals(&mut self, count: u32, ty: Ty);
    fn op(&mut self, instruction: I<'_>);
    fn call(&mut self, function: Ent, sig: Sig);
    fn call_direct(&mut self, function: Ent);
    /// Calls the function whose address is on the stack.
    fn call_indirect(&mut self, sig: Sig);
    fn address_of_function(&mut self, function: Ent);
    fn function_ref(&mut self, function: Ent);
    fn address_of_data(&mut self, data: Ent, addend: i32);
    /// `i64.load8_u` with the address of data as its offset.
    fn load_offset(&mut self, data: Ent);
    fn global_get(&mut self, global: Ent);
    fn global_set(&mut self, global: Ent);
    fn table_get(&mut self, table: Ent);
    fn table_set(&mut self, table: Ent);
    fn table_size(&mut self, table: Ent);
    fn throw(&mut self, tag: Ent);
    fn block(&mut self, sig: Sig);
    fn loop_(&mut self, sig: Sig);
}

struct Body<'a, E> {
    out: &'a mut E,
    /// The local that everything is mixed into.
    acc: u32,
    tmp: u32,
}

/// Writes the body of a function.
pub fn emit(bound: &Bound, out: &mut impl Emit) {
    let Def::Function(sig, ops) = &*bound.def else {
        panic!("only functions have bodies");
    };
    let (params, results) = signature(*sig);
    out.locals(1, Ty::I64);
    out.locals(1, Ty::I32);
    for op in ops {
        if let Op::Locals(count, ty) = op {
            out.locals((*count).into(), *ty);
        }
    }
    let acc = params.len() as u32;
    let mut body = Body {
        out,
        acc,
        tmp: acc + 1,
    };
    if ops.iter().any(Op::calls) {
        body.spend(bound.refs[0], results);
    }
    for (op, refs) in with_refs(ops, &bound.refs) {
        body.step(op, refs, params);
    }
    body.results(results);
}

impl<E: Emit> Body<'_, E> {
    fn ops(&mut self, ops: &[I<'_>]) {
        ops.iter().for_each(|op| self.out.op(op.clone()));
    }

    /// Returns if the budget is used up.
    fn spend(&mut self, budget: Ent, results: &[Ty]) {
        self.out.global_get(budget);
        self.ops(&[I::I64Const(-1), I::I64Add]);
        self.out.global_set(budget);
        self.out.global_get(budget);
        self.ops(&[I::I64Const(0), I::I64LtS, I::If(BlockType::Empty)]);
        self.results(results);
        self.ops(&[I::Return, I::End]);
    }

    fn results(&mut self, results: &[Ty]) {
        for ty in results {
            self.convert(*ty);
        }
    }

    /// Pushes the accumulator as a value of this type.
    fn convert(&mut self, ty: Ty) {
        self.out.op(I::LocalGet(self.acc));
        match ty {
            Ty::I32 => self.out.op(I::I32WrapI64),
            Ty::I64 => {}
            Ty::F32 => self.out.op(I::F32ConvertI64S),
            Ty::F64 => self.out.op(I::F64ConvertI64S),
        }
    }

    /// Mixes the value on the stack into the accumulator.
    fn fold(&mut self, ty: Ty) {
        match ty {
            Ty::I32 => self.out.op(I::I64ExtendI32S),
            Ty::I64 => {}
            Ty::F32 => self.out.op(I::I64TruncSatF32S),
            Ty::F64 => self.out.op(I::I64TruncSatF64S),
        }
        self.ops(&[
            I::LocalGet(self.acc),
            I::I64Const(31),
            I::I64Mul,
            I::I64Add,
            I::LocalSet(self.acc),
        ]);
    }

    fn arguments(&mut self, sig: Sig) {
        for ty in signature(sig).0 {
            self.convert(*ty);
        }
    }

    fn fold_results(&mut self, sig: Sig) {
        for ty in signature(sig).1.iter().rev() {
            self.fold(*ty);
        }
    }

    /// Reads four bytes of data's header.
    fn header(&mut self, data: Ent, offset: i32) {
        self.out.address_of_data(data, offset);
        self.ops(&[I::I32Load(at(0, 2))]);
    }

    /// Calls through the address on the stack, unless it is zero.
    fn call_address(&mut self, sig: Sig) {
        self.ops(&[I::LocalTee(self.tmp), I::If(BlockType::Empty)]);
        self.arguments(sig);
        self.ops(&[I::LocalGet(self.tmp)]);
        self.out.call_indirect(sig);
        self.fold_results(sig);
        self.out.op(I::End);
    }

    /// Pushes the address of the byte that the accumulator chooses, if there are any bytes; then `with_it` follows.
    fn chosen(&mut self, data: Ent, with_it: impl FnOnce(&mut Self)) {
        let (acc, tmp) = (self.acc, self.tmp);
        self.out.address_of_data(data, 0);
        self.ops(&[
            I::LocalTee(tmp),
            I::I32Load(at(0, 2)),
            I::If(BlockType::Empty),
            I::LocalGet(tmp),
            I::LocalGet(acc),
            I::I32WrapI64,
            I::LocalGet(tmp),
            I::I32Load(at(0, 2)),
            I::I32RemU,
            I::I32Add,
        ]);
        with_it(self);
        self.out.op(I::End);
    }

    fn step(&mut self, op: &Op, refs: &[Ent], params: &[Ty]) {
        let (acc, tmp) = (self.acc, self.tmp);
        match *op {
            Op::Const(value) => {
                self.out.op(I::I64Const(value));
                self.fold(Ty::I64);
            }
            Op::Work(times, value) => {
                for time in 0..i64::from(times) {
                    self.ops(&[
                        I::LocalGet(acc),
                        I::I64Const(value.wrapping_add(time)),
                        I::I64Xor,
                        I::LocalSet(acc),
                    ]);
                }
            }
            Op::Param(index) => {
                if !params.is_empty() {
                    let index = usize::from(index) % params.len();
                    self.out.op(I::LocalGet(index as u32));
                    self.fold(params[index]);
                }
            }
            Op::Locals(..) => {}
            Op::Call(_, sig) => {
                self.arguments(sig);
                self.out.call(refs[0], sig);
                self.fold_results(sig);
            }
            Op::CallDirect(_, sig) => {
                self.arguments(sig);
                self.out.call_direct(refs[0]);
                self.fold_results(sig);
            }
            Op::CallAddress(_, sig) => {
                self.arguments(sig);
                self.out.address_of_function(refs[0]);
                self.out.call_indirect(sig);
                self.fold_results(sig);
            }
            Op::IsNull(_) => {
                self.out.function_ref(refs[0]);
                self.out.op(I::RefIsNull);
                self.fold(Ty::I32);
            }
            Op::GetGlobal(_, Holds::Value(ty)) => {
                self.out.global_get(refs[0]);
                self.fold(ty);
            }
            Op::GetGlobal(_, Holds::FunctionAddress) => {
                self.out.global_get(refs[0]);
                self.ops(&[I::I32Eqz]);
                self.fold(Ty::I32);
            }
            Op::GetGlobal(_, Holds::DataAddress) => {
                self.out.global_get(refs[0]);
                self.ops(&[I::I64Load8U(at(0, 0)), I::Drop]);
            }
            Op::SetGlobal(_, ty) => {
                self.convert(ty);
                self.out.global_set(refs[0]);
            }
            Op::CallGlobal(_, sig) => {
                self.out.global_get(refs[0]);
                self.call_address(sig);
            }
            Op::Load(_) => self.chosen(refs[0], |body| {
                body.out.op(I::I64Load8U(at(16, 0)));
                body.fold(Ty::I64);
            }),
            Op::LoadOffset(_) => {
                self.out.op(I::I32Const(0));
                self.out.load_offset(refs[0]);
                self.fold(Ty::I64);
            }
            Op::Store(_) => self.chosen(refs[0], |body| {
                body.ops(&[I::LocalGet(acc), I::I64Store8(at(16, 0))]);
            }),
            Op::CallData(_, sig) => {
                self.header(refs[0], 4);
                self.call_address(sig);
            }
            Op::Follow(_) => {
                self.header(refs[0], 8);
                self.ops(&[I::LocalTee(tmp), I::If(BlockType::Empty), I::LocalGet(tmp)]);
                self.header(refs[0], 12);
                self.ops(&[I::I32Sub, I::I64Load8U(at(0, 0))]);
                self.fold(Ty::I64);
                self.out.op(I::End);
            }
            Op::TableSize(_) => {
                self.out.table_size(refs[0]);
                self.fold(Ty::I32);
            }
            Op::TableSet(..) => {
                self.out.op(I::I32Const(0));
                self.out.function_ref(refs[1]);
                self.out.table_set(refs[0]);
                self.out.op(I::I32Const(0));
                self.out.table_get(refs[0]);
                self.out.op(I::RefIsNull);
                self.fold(Ty::I32);
            }
            Op::Block(sig) | Op::Loop(sig) => {
                self.arguments(sig);
                if matches!(op, Op::Block(_)) {
                    self.out.block(sig);
                } else {
                    self.out.loop_(sig);
                }
                let (params, results) = signature(sig);
                params.iter().for_each(|_| self.out.op(I::Drop));
                self.results(results);
                self.out.op(I::End);
                self.fold_results(sig);
            }
            Op::Throw(_, sig) => {
                self.ops(&[
                    I::LocalGet(acc),
                    I::I64Const(i64::MIN + 12345),
                    I::I64Eq,
                    I::If(BlockType::Empty),
                ]);
                self.arguments(sig);
                self.out.throw(refs[0]);
                self.out.op(I::End);
            }
            Op::Reset => {
                self.out.op(I::I64Const(BUDGET));
                self.out.global_set(refs[0]);
            }
        }
    }
}

fn at(offset: u64, align: u32) -> MemArg {
    MemArg {
        offset,
        align,
        target: wasm_encoder::MemArgTarget::Memory(0),
        ordering: None,
    }
}
