//! The demo's program: small functions over an `i32`, a model that says what each returns, and edits of both.

use wasmend::{
    BodyStyle, DeclId, DeclKind, Function, FunctionBuilder, Instruction, Module, Result, ValType,
};

/// How many functions are exported, to be run: the first, which calls all others in the end, and some that call few.
const EXPORTS: usize = 64;
/// How many functions are edited again and again.
const HOT: usize = 24;
const I32: &[ValType] = &[ValType::I32];

/// A generator of numbers that look random and are the same in each run (SplitMix64).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Numbers(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn constant(&mut self) -> i32 {
        // Small and large ones, as in real code.
        (self.next() as i32) >> (self.next() % 32)
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Add,
    Xor,
    Mul,
    Rotl,
}

/// What a function does: operations on its parameter, then calls of other functions, each with the result so far.
#[derive(Debug, Clone)]
struct Behaviour {
    ops: Vec<(Op, i32)>,
    callees: Vec<usize>,
}

impl Behaviour {
    fn random(numbers: &mut Numbers, callees: Vec<usize>) -> Self {
        let mut behaviour = Behaviour {
            ops: Vec::new(),
            callees,
        };
        let count = 4 + numbers.below(28);
        behaviour.grow(numbers, count);
        behaviour
    }

    fn grow(&mut self, numbers: &mut Numbers, by: usize) {
        for _ in 0..by {
            let op = [Op::Add, Op::Xor, Op::Mul, Op::Rotl][numbers.below(4)];
            // Odd factors lose nothing: a change anywhere shows in what is returned.
            let odd = i32::from(matches!(op, Op::Mul));
            self.ops.push((op, numbers.constant() | odd));
        }
    }

    fn apply(&self, value: i32) -> i32 {
        self.ops
            .iter()
            .fold(value, |value, (op, constant)| match op {
                Op::Add => value.wrapping_add(*constant),
                Op::Xor => value ^ constant,
                Op::Mul => value.wrapping_mul(*constant),
                Op::Rotl => value.rotate_left(*constant as u32 & 31),
            })
    }

    fn body(&self, style: BodyStyle, ids: &[DeclId]) -> Result<Function> {
        let mut body = FunctionBuilder::new(style, I32, I32);
        body.op(&Instruction::LocalGet(0));
        for (op, constant) in &self.ops {
            body.op(&Instruction::I32Const(*constant));
            body.op(match op {
                Op::Add => &Instruction::I32Add,
                Op::Xor => &Instruction::I32Xor,
                Op::Mul => &Instruction::I32Mul,
                Op::Rotl => &Instruction::I32Rotl,
            });
        }
        for &callee in &self.callees {
            body.call(ids[callee], I32, I32);
        }
        body.finish()
    }
}

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EditKind {
    Constant,
    Grow,
    Shrink,
    Add,
    Remove,
}

impl EditKind {
    pub(super) const ALL: [EditKind; 5] = [
        EditKind::Constant,
        EditKind::Grow,
        EditKind::Shrink,
        EditKind::Add,
        EditKind::Remove,
    ];

    pub(super) fn describe(self) -> &'static str {
        match self {
            EditKind::Constant => "changed a constant",
            EditKind::Grow => "grew",
            EditKind::Shrink => "shrank",
            EditKind::Add => "calls a new function",
            EditKind::Remove => "calls one less",
        }
    }
}

/// The program as it should be, and the names of its parts.
pub(super) struct Program {
    behaviours: Vec<Behaviour>,
    ids: Vec<DeclId>,
    /// The exported functions; those behind the first are hot.
    exports: Vec<usize>,
    /// Functions that were added by an edit, with the one that calls each.
    added: Vec<(usize, usize)>,
    numbers: Numbers,
}

impl Program {
    /// Declares and defines `count` functions in `module`.
    pub(super) fn build(module: &mut Module, count: usize, seed: u64) -> Result<Program> {
        let mut numbers = Numbers::new(seed);
        let mut program = Program {
            behaviours: Vec::with_capacity(count),
            ids: Vec::with_capacity(count),
            exports: (0..EXPORTS)
                .map(|at| {
                    if at == 0 {
                        0
                    } else {
                        count / 8 + at * (count - count / 8 - 1) / EXPORTS
                    }
                })
                .collect(),
            added: Vec::new(),
            numbers: Numbers::new(seed ^ 1),
        };
        for at in 0..count {
            // A tree, so that each function is reached and no call runs in circles. Some of its leaves have many callers.
            let mut callees: Vec<usize> = [2 * at + 1, 2 * at + 2]
                .into_iter()
                .filter(|at| *at < count)
                .collect();
            if at < count / 2 && numbers.below(3) == 0 {
                callees.push(count - 1 - numbers.below(count / 16));
            }
            program
                .behaviours
                .push(Behaviour::random(&mut numbers, callees));
            program
                .ids
                .push(module.declare(DeclKind::Function, &format!("demo::f{at}"))?);
        }
        let style = module.body_style();
        for (id, behaviour) in program.ids.iter().zip(&program.behaviours) {
            module.define_function(*id, behaviour.body(style, &program.ids)?)?;
        }
        for &at in &program.exports {
            module.export(&format!("f{at}"), program.ids[at])?;
        }
        Ok(program)
    }

    /// The names and numbers of the exported functions.
    pub(super) fn exports(&self) -> impl Iterator<Item = (String, usize)> + '_ {
        self.exports.iter().map(|at| (format!("f{at}"), *at))
    }

    /// What a function returns.
    pub(super) fn result(&self, function: usize, argument: i32) -> i32 {
        let behaviour = &self.behaviours[function];
        let value = behaviour.apply(argument);
        behaviour
            .callees
            .iter()
            .fold(value, |value, callee| self.result(*callee, value))
    }

    /// Makes the next edit, in the model and in the module; returns what it was and which function it changed.
    pub(super) fn edit(&mut self, module: &mut Module) -> Result<(EditKind, usize)> {
        let mut kind = EditKind::ALL[self.numbers.below(EditKind::ALL.len())];
        if kind == EditKind::Remove && self.added.is_empty() {
            kind = EditKind::Add;
        }
        if kind == EditKind::Remove {
            let at = self.numbers.below(self.added.len());
            let (removed, caller) = self.added.swap_remove(at);
            self.behaviours[caller]
                .callees
                .retain(|callee| *callee != removed);
            self.define(module, caller)?;
            module.remove(self.ids[removed])?;
            return Ok((kind, caller));
        }
        let function = match self.numbers.below(10) {
            // Cold functions are edited too, but those that are worked on are edited again and again.
            0..3 => self.exports[1 + self.numbers.below(EXPORTS - 1)],
            _ => self.exports[1 + self.numbers.below(HOT)],
        };
        if kind == EditKind::Add {
            let added = self.ids.len();
            self.behaviours
                .push(Behaviour::random(&mut self.numbers, Vec::new()));
            self.ids
                .push(module.declare(DeclKind::Function, &format!("demo::f{added}"))?);
            self.behaviours[function].callees.push(added);
            self.added.push((added, function));
            self.define(module, added)?;
            self.define(module, function)?;
            return Ok((kind, function));
        }
        let behaviour = &mut self.behaviours[function];
        match kind {
            EditKind::Grow => {
                let by = 1 + self.numbers.below(24);
                behaviour.grow(&mut self.numbers, by);
            }
            EditKind::Shrink => {
                let keep = behaviour.ops.len().div_ceil(2).max(1);
                behaviour.ops.truncate(keep);
            }
            _ => {
                let at = self.numbers.below(behaviour.ops.len());
                behaviour.ops[at] = (Op::Add, behaviour.ops[at].1 ^ 1);
            }
        }
        self.define(module, function)?;
        Ok((kind, function))
    }

    fn define(&self, module: &mut Module, function: usize) -> Result<()> {
        let body = self.behaviours[function].body(module.body_style(), &self.ids)?;
        module.define_function(self.ids[function], body)
    }
}
