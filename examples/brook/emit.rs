//! From checked code to the body of a function. It works on one function at a time and shares nothing, so that all cores can
//! do it at once.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmend::ValType::{F64, I32};
use wasmend::{BodyStyle, DeclId, Function, FunctionBuilder, Instruction as I, Result, ValType};

use crate::code::{self, Builtin, Code, Item, Target, Unit};
use crate::library::{Library, Routine, at, call, number};
use crate::syntax::{Operator, Type};

/// How much of a text is part of its key.
const MOST_SHOWN: usize = 100;

/// What code generation must know of the program around a function: what the keys are in the module.
pub struct Names<'a> {
    pub style: BodyStyle,
    pub library: &'a Library,
    pub lookup: &'a (dyn Fn(&str) -> DeclId + Sync),
}

pub fn val_type(ty: Type) -> ValType {
    match ty {
        Type::Number => F64,
        Type::Text | Type::List => I32,
    }
}

/// The key of a text that belongs to a declaration. Another text is other data, at another address: variables may still hold
/// the old one when the program is edited.
pub fn text_key(owner: &str, text: &str) -> String {
    let shown: String = text.chars().take(MOST_SHOWN).collect();
    if shown.len() == text.len() {
        return format!("{owner}, text {text:?}");
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{owner}, text {shown:?} {:x}", hasher.finish())
}

/// The body of a unit that is a function.
pub fn body(names: &Names<'_>, unit: &Unit) -> Option<Result<Function>> {
    match &unit.item {
        Item::Function(code) => Some(function(names, &unit.key, code)),
        Item::Looks(all) => Some(looks(names, all)),
        Item::Variable(_) => None,
    }
}

fn function(names: &Names<'_>, key: &str, function: &code::Function) -> Result<Function> {
    let params: Vec<_> = function.params.iter().map(|ty| val_type(*ty)).collect();
    let result = val_type(function.result);
    let mut emitter = Emitter {
        body: FunctionBuilder::new(names.style, &params, &[result]),
        names,
        key,
        texts: &function.texts,
    };
    for local in &function.locals {
        emitter.body.locals(1, val_type(*local));
    }
    emitter.all(&function.code);
    emitter.body.finish()
}

/// The function through which whoever runs a program looks at it: it takes the number of a look and gives what is there, an
/// address as a number too. An instance has the exports that it began with, so one that never changes its type leads to
/// all that will ever be of interest.
fn looks(names: &Names<'_>, looks: &[(Target, Type)]) -> Result<Function> {
    let mut body = FunctionBuilder::new(names.style, &[I32], &[F64]);
    for (number, (target, ty)) in looks.iter().enumerate() {
        body.op(&I::LocalGet(0)).op(&I::I32Const(number as i32));
        body.op(&I::I32Eq).if_(&[], &[]);
        match target {
            Target::Variable(key) => body.global_get((names.lookup)(key)),
            Target::Shown(key) | Target::Function(key) => {
                body.call((names.lookup)(key), &[], &[val_type(*ty)])
            }
        };
        if *ty != Type::Number {
            body.op(&I::F64ConvertI32U);
        }
        body.op(&I::Return).op(&I::End);
    }
    body.op(&I::Unreachable);
    body.finish()
}

struct Emitter<'a> {
    body: FunctionBuilder,
    names: &'a Names<'a>,
    key: &'a str,
    texts: &'a [String],
}

impl Emitter<'_> {
    fn op(&mut self, instruction: &I<'_>) -> &mut Self {
        self.body.op(instruction);
        self
    }

    fn routine(&mut self, routine: Routine) {
        call(&mut self.body, routine);
    }

    fn lookup(&self, key: &str) -> DeclId {
        (self.names.lookup)(key)
    }

    fn all(&mut self, code: &[Code]) {
        code.iter().for_each(|code| self.code(code));
    }

    fn code(&mut self, code: &Code) {
        match code {
            Code::Number(value) => {
                self.op(&number(*value));
            }
            Code::Text(text) => {
                let data = self.lookup(&text_key(self.key, &self.texts[*text]));
                self.body.address_of_data(data, 0);
            }
            Code::List(items) => self.list(items),
            Code::Local(local) => {
                self.op(&I::LocalGet(*local));
            }
            Code::Variable(key, _) => {
                let variable = self.lookup(key);
                self.body.global_get(variable);
            }
            Code::Call(callee, arguments) => {
                self.all(arguments);
                let params: Vec<_> = callee.params.iter().map(|ty| val_type(*ty)).collect();
                let function = self.lookup(&callee.key);
                self.body
                    .call(function, &params, &[val_type(callee.result)]);
            }
            Code::Builtin(Builtin::Same, _) | Code::Not(_) => self.condition_as_number(code),
            Code::Builtin(builtin, arguments) => {
                self.all(arguments);
                self.builtin(*builtin);
            }
            Code::Negate(of) => {
                self.code(of);
                self.op(&I::F64Neg);
            }
            Code::Binary(operator, left, right) => match arithmetic(*operator) {
                Some(instruction) => {
                    self.code(left);
                    self.code(right);
                    self.op(&instruction);
                }
                None if *operator == Operator::Remainder => self.remainder(left, right),
                None => self.condition_as_number(code),
            },
            Code::At(ty, of, index) => {
                self.code(of);
                self.code(index);
                match ty {
                    Type::Text => self.routine(self.names.library.letter),
                    _ => {
                        self.routine(self.names.library.item);
                        self.op(&I::F64Load(at(0, 3)));
                    }
                }
            }
            Code::If(ty, condition, then, otherwise) => {
                self.condition(condition);
                let results: Vec<_> = ty.iter().map(|ty| val_type(*ty)).collect();
                self.body.if_(&[], &results);
                self.all(then);
                self.op(&I::Else);
                self.all(otherwise);
                self.op(&I::End);
            }
            statement => self.statement(statement),
        }
    }

    fn statement(&mut self, code: &Code) {
        match code {
            Code::SetLocal(local, value) => {
                self.code(value);
                self.op(&I::LocalSet(*local));
            }
            Code::SetVariable(key, _, value) => {
                self.code(value);
                let variable = self.lookup(key);
                self.body.global_set(variable);
            }
            Code::SetAt(list, index, value) => {
                self.code(list);
                self.code(index);
                self.routine(self.names.library.item);
                self.code(value);
                self.op(&I::F64Store(at(0, 3)));
            }
            Code::While(condition, body) => {
                self.body.loop_(&[], &[]);
                self.condition(condition);
                self.body.if_(&[], &[]);
                self.all(body);
                self.op(&I::Br(1)).op(&I::End).op(&I::End);
            }
            Code::Return(value) => {
                self.code(value);
                self.op(&I::Return);
            }
            Code::Drop(value) => {
                self.code(value);
                self.op(&I::Drop);
            }
            _ => unreachable!("is an expression"),
        }
    }

    /// Leaves whether a number is not zero, without making a number of it first.
    fn condition(&mut self, code: &Code) {
        match code {
            Code::Not(of) => {
                self.condition(of);
                self.op(&I::I32Eqz);
            }
            Code::Builtin(Builtin::Same, arguments) => {
                self.all(arguments);
                self.routine(self.names.library.same);
            }
            Code::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
                self.condition(left);
                self.body.if_(&[], &[I32]);
                if *operator == Operator::And {
                    self.condition(right);
                    self.op(&I::Else).op(&I::I32Const(0));
                } else {
                    self.op(&I::I32Const(1)).op(&I::Else);
                    self.condition(right);
                }
                self.op(&I::End);
            }
            Code::Binary(operator, left, right) if comparison(*operator).is_some() => {
                self.code(left);
                self.code(right);
                self.body.op(&comparison(*operator).expect("it is one"));
            }
            code => {
                self.code(code);
                self.op(&number(0.0)).op(&I::F64Ne);
            }
        }
    }

    fn condition_as_number(&mut self, code: &Code) {
        self.condition(code);
        self.op(&I::F64ConvertI32U);
    }

    fn list(&mut self, items: &[Code]) {
        let list = self.body.locals(1, I32);
        self.op(&number(items.len() as f64));
        self.routine(self.names.library.array);
        self.op(&I::LocalSet(list));
        for (at_, item) in items.iter().enumerate() {
            self.op(&I::LocalGet(list));
            self.code(item);
            self.op(&I::F64Store(at(8 + 8 * at_ as u64, 3)));
        }
        self.op(&I::LocalGet(list));
    }

    /// What is left of a division whose result is rounded towards zero.
    fn remainder(&mut self, left: &Code, right: &Code) {
        let (of, by) = (self.body.locals(1, F64), self.body.locals(1, F64));
        self.code(left);
        self.code(right);
        self.op(&I::LocalSet(by)).op(&I::LocalTee(of));
        self.op(&I::LocalGet(of))
            .op(&I::LocalGet(by))
            .op(&I::F64Div);
        self.op(&I::F64Trunc).op(&I::LocalGet(by)).op(&I::F64Mul);
        self.op(&I::F64Sub);
    }

    fn builtin(&mut self, builtin: Builtin) {
        let library = self.names.library;
        let instruction = match builtin {
            Builtin::Len => {
                self.op(&I::I32Load(at(0, 2)));
                I::F64ConvertI32U
            }
            Builtin::Array => return self.routine(library.array),
            Builtin::Char => return self.routine(library.char),
            Builtin::Concat => return self.routine(library.concat),
            Builtin::Same => unreachable!("is a condition"),
            Builtin::Sqrt => I::F64Sqrt,
            Builtin::Abs => I::F64Abs,
            Builtin::Floor => I::F64Floor,
            Builtin::Ceil => I::F64Ceil,
            Builtin::Round => I::F64Nearest,
            Builtin::Min => I::F64Min,
            Builtin::Max => I::F64Max,
        };
        self.op(&instruction);
    }
}

fn arithmetic(operator: Operator) -> Option<I<'static>> {
    Some(match operator {
        Operator::Add => I::F64Add,
        Operator::Subtract => I::F64Sub,
        Operator::Multiply => I::F64Mul,
        Operator::Divide => I::F64Div,
        _ => return None,
    })
}

fn comparison(operator: Operator) -> Option<I<'static>> {
    Some(match operator {
        Operator::Equal => I::F64Eq,
        Operator::NotEqual => I::F64Ne,
        Operator::Less => I::F64Lt,
        Operator::LessEqual => I::F64Le,
        Operator::Greater => I::F64Gt,
        Operator::GreaterEqual => I::F64Ge,
        _ => return None,
    })
}
