//! A checked program, as what is compiled: units that name one another by keys. It holds no places of the text, so a unit
//! equals the one of the build before exactly if there is nothing to compile.

use crate::lex::Span;
use crate::syntax::{Operator, Type};

/// Something that is compiled on its own, under a key that stays the same while its type does.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    pub key: String,
    pub item: Item,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Function(Function),
    /// A variable, with what it begins with.
    Variable(Value),
    /// The function through which a program is looked at.
    Looks(Vec<(Target, Type)>),
}

impl Item {
    /// The texts that stand in it.
    pub fn texts(&self) -> &[String] {
        match self {
            Item::Function(function) => &function.texts,
            Item::Variable(Value::Text(text)) => std::slice::from_ref(text),
            Item::Variable(_) | Item::Looks(_) => &[],
        }
    }

    pub fn is_exported(&self) -> bool {
        match self {
            Item::Function(function) => function.is_exported,
            Item::Variable(_) => false,
            Item::Looks(_) => true,
        }
    }
}

/// The key of [`Item::Looks`].
pub const LOOKS: &str = "brook.looks";

/// What is known when a program is compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Text(String),
    List(Vec<f64>),
}

impl Value {
    pub fn ty(&self) -> Type {
        match self {
            Value::Number(_) => Type::Number,
            Value::Text(_) => Type::Text,
            Value::List(_) => Type::List,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    pub is_exported: bool,
    pub params: Vec<Type>,
    pub result: Type,
    /// Those behind the parameters.
    pub locals: Vec<Type>,
    /// The texts that stand in it.
    pub texts: Vec<String>,
    pub code: Vec<Code>,
}

/// An expression leaves its value, a statement nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Code {
    Number(f64),
    /// One of the function's texts.
    Text(usize),
    List(Vec<Code>),
    Local(u32),
    Variable(String, Type),
    Call(Callee, Vec<Code>),
    Builtin(Builtin, Vec<Code>),
    Negate(Box<Code>),
    Not(Box<Code>),
    /// Of numbers.
    Binary(Operator, Box<Code>, Box<Code>),
    /// The number at an index of a list, or of a text.
    At(Type, Box<Code>, Box<Code>),
    /// With a value, if there is a type.
    If(Option<Type>, Box<Code>, Vec<Code>, Vec<Code>),

    SetLocal(u32, Box<Code>),
    SetVariable(String, Type, Box<Code>),
    SetAt(Box<Code>, Box<Code>, Box<Code>),
    While(Box<Code>, Vec<Code>),
    Return(Box<Code>),
    Drop(Box<Code>),
}

/// A function that is called. Its signature is part of the caller's code, which is compiled anew when it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Callee {
    pub key: String,
    pub params: Vec<Type>,
    pub result: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// The length of a list or of a text.
    Len,
    /// A list of zeros.
    Array,
    /// A text of one byte.
    Char,
    Concat,
    /// Whether two texts are equal.
    Same,
    Sqrt,
    Abs,
    Floor,
    Ceil,
    Round,
    Min,
    Max,
}

/// What somebody who looks at a program can ask for while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub target: Target,
    pub ty: Type,
    /// The name of a variable or function.
    pub name: String,
    /// Behind what its value is shown.
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// The variable with this key.
    Variable(String),
    /// What is shown: the function with this key, which takes nothing.
    Shown(String),
    /// A function of the program's own that takes nothing, and so can be run.
    Function(String),
}

/// A program without mistakes.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub units: Vec<Unit>,
    pub looks: Vec<Look>,
}
