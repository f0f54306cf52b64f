//! The demo's language: lines that are functions of numbers. From text to bodies; of files and modules it knows nothing but
//! what a body calls.
//!
//! ```text
//! wave(x, t) = if(x < 0, 0, 3 * sin(x / 20 + t))    # what is behind this sign is for readers
//! ```

use std::collections::HashMap;
use std::fmt;

use wasmend::{BodyStyle, DeclId, Function, FunctionBuilder, Ieee64, Instruction, ValType};

use crate::cli::text::count;

/// How deep an expression may be nested.
const DEEPEST: u32 = 60;
/// How many parameters a function may have.
const MOST_PARAMETERS: usize = 16;

/// What is wrong with a text, and where: line and column, from 1 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

/// A function as it is written. Two are equal if they mean the same.
#[derive(Debug, Clone)]
pub(super) struct Formula {
    pub(super) name: String,
    pub(super) parameters: usize,
    value: Expr,
    place: Place,
}

impl PartialEq for Formula {
    fn eq(&self, other: &Formula) -> bool {
        self.name == other.name && self.parameters == other.parameters && self.value == other.value
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

/// Where something is written makes no difference to what it is.
impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

impl Place {
    fn fault(self, text: impl Into<String>) -> Fault {
        let Place { line, column } = self;
        let text = text.into();
        Fault { line, column, text }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Expr {
    Number(f64),
    Parameter(u32),
    Unary(Operator, Box<Expr>),
    Binary(Operator, Box<[Expr; 2]>),
    /// What it is if the first is not 0, and if it is.
    If(Box<[Expr; 3]>),
    Call(String, Vec<Expr>, Place),
}

/// What an engine has an instruction for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Less,
    Greater,
    Minimum,
    Maximum,
    Negate,
    Root,
    Absolute,
    Floor,
}

/// Functions that stand for one instruction, with how many values each takes.
const BUILT_IN: [(&str, usize, Operator); 5] = [
    ("sqrt", 1, Operator::Root),
    ("abs", 1, Operator::Absolute),
    ("floor", 1, Operator::Floor),
    ("min", 2, Operator::Minimum),
    ("max", 2, Operator::Maximum),
];

/// What may be called: by name, what it is and how many values it takes.
pub(super) type Callees = HashMap<String, (DeclId, usize)>;

/// Reads a text. `given` are functions that are there without being written.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn read(text: &str, given: &[(&str, usize)]) -> Result<Vec<Formula>, Fault> {
    let mut formulas: Vec<Formula> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut reader = Reader::of(line, at + 1)?;
        if reader.tokens.is_empty() {
            continue;
        }
        let formula = reader.formula()?;
        let is_given = given.iter().any(|(name, _)| *name == formula.name);
        let is_built_in = BUILT_IN.iter().any(|(name, ..)| *name == formula.name);
        if is_given || is_built_in || formula.name == "if" {
            let text = format!("`{}` is there already: choose another name", formula.name);
            return Err(formula.place.fault(text));
        }
        if formulas.iter().any(|before| before.name == formula.name) {
            let text = format!("`{}` is written twice", formula.name);
            return Err(formula.place.fault(text));
        }
        formulas.push(formula);
    }
    let known = formulas
        .iter()
        .map(|formula| (formula.name.as_str(), formula.parameters));
    let known: HashMap<&str, usize> = known.chain(given.iter().copied()).collect();
    for formula in &formulas {
        check(&formula.value, &known)?;
    }
    Ok(formulas)
}

fn check(value: &Expr, known: &HashMap<&str, usize>) -> Result<(), Fault> {
    match value {
        Expr::Number(_) | Expr::Parameter(_) => Ok(()),
        Expr::Unary(_, value) => check(value, known),
        Expr::Binary(_, values) => values.iter().try_for_each(|value| check(value, known)),
        Expr::If(values) => values.iter().try_for_each(|value| check(value, known)),
        Expr::Call(name, values, place) => {
            match known.get(name.as_str()) {
                Some(&takes) if takes == values.len() => {}
                Some(&takes) => {
                    let given = values.len();
                    return Err(place.fault(takes_others(name, takes, given)));
                }
                None => return Err(place.fault(format!("there is no `{name}`"))),
            }
            values.iter().try_for_each(|value| check(value, known))
        }
    }
}

fn takes_others(name: &str, takes: usize, given: usize) -> String {
    format!(
        "`{name}` takes {}, not {given}",
        count(takes as u64, "value")
    )
}

impl Formula {
    /// What an engine runs.
    pub(super) fn compile(&self, style: BodyStyle, callees: &Callees) -> wasmend::Result<Function> {
        let params = [ValType::F64; MOST_PARAMETERS];
        let mut body = FunctionBuilder::new(style, &params[..self.parameters], &[ValType::F64]);
        emit(&self.value, &mut body, callees);
        body.finish()
    }
}

fn emit(value: &Expr, body: &mut FunctionBuilder, callees: &Callees) {
    match value {
        Expr::Number(number) => {
            body.op(&Instruction::F64Const(Ieee64::from(*number)));
        }
        Expr::Parameter(index) => {
            body.op(&Instruction::LocalGet(*index));
        }
        Expr::Unary(operator, value) => {
            emit(value, body, callees);
            apply(*operator, body);
        }
        Expr::Binary(operator, values) => {
            values.iter().for_each(|value| emit(value, body, callees));
            apply(*operator, body);
        }
        Expr::If(values) => {
            let [condition, then, otherwise] = &**values;
            emit(condition, body, callees);
            body.op(&Instruction::F64Const(Ieee64::from(0.0)));
            body.op(&Instruction::F64Ne);
            body.if_(&[], &[ValType::F64]);
            emit(then, body, callees);
            body.op(&Instruction::Else);
            emit(otherwise, body, callees);
            body.op(&Instruction::End);
        }
        Expr::Call(name, values, _) => {
            values.iter().for_each(|value| emit(value, body, callees));
            // It was checked that there is one.
            if let Some((callee, takes)) = callees.get(name) {
                let params = [ValType::F64; MOST_PARAMETERS];
                body.call(*callee, &params[..*takes], &[ValType::F64]);
            }
        }
    }
}

fn apply(operator: Operator, body: &mut FunctionBuilder) {
    body.op(match operator {
        Operator::Add => &Instruction::F64Add,
        Operator::Subtract => &Instruction::F64Sub,
        Operator::Multiply => &Instruction::F64Mul,
        Operator::Divide => &Instruction::F64Div,
        Operator::Less => &Instruction::F64Lt,
        Operator::Greater => &Instruction::F64Gt,
        Operator::Minimum => &Instruction::F64Min,
        Operator::Maximum => &Instruction::F64Max,
        Operator::Negate => &Instruction::F64Neg,
        Operator::Root => &Instruction::F64Sqrt,
        Operator::Absolute => &Instruction::F64Abs,
        Operator::Floor => &Instruction::F64Floor,
    });
    if matches!(operator, Operator::Less | Operator::Greater) {
        body.op(&Instruction::F64ConvertI32U);
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    Sign(char),
}

/// What is left of a line, from its end to its beginning.
struct Reader {
    tokens: Vec<(Token, Place)>,
    parameters: Vec<String>,
    /// The end of the line.
    end: Place,
    depth: u32,
}

impl Reader {
    fn of(line: &str, number: usize) -> Result<Reader, Fault> {
        let code = line.split('#').next().unwrap_or_default().trim_end();
        let place = |at: usize| Place {
            line: number,
            column: code[..at].chars().count() + 1,
        };
        let mut tokens = Vec::new();
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            let at = code.len() - rest.len();
            let length = |is_part: fn(char) -> bool| {
                rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())
            };
            let (token, length) = match first {
                _ if first.is_whitespace() => (None, first.len_utf8()),
                '0'..='9' | '.' => {
                    let length = length(|letter| letter.is_ascii_digit() || letter == '.');
                    let number = rest[..length].parse();
                    let number = number.map_err(|_| place(at).fault("this is not a number"))?;
                    (Some(Token::Number(number)), length)
                }
                'a'..='z' | 'A'..='Z' | '_' => {
                    let length = length(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                    (Some(Token::Name(rest[..length].to_owned())), length)
                }
                '+' | '-' | '*' | '/' | '<' | '>' | '(' | ')' | ',' | '=' => {
                    (Some(Token::Sign(first)), 1)
                }
                _ => {
                    return Err(
                        place(at).fault(format!("`{}` means nothing here", first.escape_debug()))
                    );
                }
            };
            tokens.extend(token.map(|token| (token, place(at))));
            rest = &rest[length..];
        }
        tokens.reverse();
        Ok(Reader {
            tokens,
            parameters: Vec::new(),
            end: place(code.len()),
            depth: 0,
        })
    }

    fn place(&self) -> Place {
        self.tokens.last().map_or(self.end, |(_, place)| *place)
    }

    fn takes(&mut self, sign: char) -> bool {
        let found = self.tokens.pop_if(|(token, _)| *token == Token::Sign(sign));
        found.is_some()
    }

    fn expect(&mut self, sign: char) -> Result<(), Fault> {
        match self.takes(sign) {
            true => Ok(()),
            false => Err(self.place().fault(format!("`{sign}` is missing"))),
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        let place = self.place();
        match self.tokens.pop() {
            Some((Token::Name(name), _)) => Ok(name),
            _ => Err(place.fault("a name is missing")),
        }
    }

    /// `name(parameter, ...) = value`
    fn formula(&mut self) -> Result<Formula, Fault> {
        let place = self.place();
        let name = self.name()?;
        self.expect('(')?;
        while !self.takes(')') {
            if !self.parameters.is_empty() {
                self.expect(',')?;
            }
            let place = self.place();
            let parameter = self.name()?;
            if self.parameters.contains(&parameter) {
                return Err(place.fault(format!("there is a `{parameter}` already")));
            }
            if self.parameters.len() == MOST_PARAMETERS {
                return Err(place.fault(format!("these are more than {MOST_PARAMETERS} values")));
            }
            self.parameters.push(parameter);
        }
        self.expect('=')?;
        let value = self.value()?;
        if !self.tokens.is_empty() {
            return Err(self.place().fault("what is this doing here?"));
        }
        Ok(Formula {
            name,
            parameters: self.parameters.len(),
            value,
            place,
        })
    }

    fn value(&mut self) -> Result<Expr, Fault> {
        self.deeper(|reader| {
            let left = reader.sum()?;
            let operator = match () {
                () if reader.takes('<') => Operator::Less,
                () if reader.takes('>') => Operator::Greater,
                () => return Ok(left),
            };
            let right = reader.sum()?;
            Ok(Expr::Binary(operator, Box::new([left, right])))
        })
    }

    fn sum(&mut self) -> Result<Expr, Fault> {
        let signs = [('+', Operator::Add), ('-', Operator::Subtract)];
        self.chain(signs, Reader::product)
    }

    fn product(&mut self) -> Result<Expr, Fault> {
        let signs = [('*', Operator::Multiply), ('/', Operator::Divide)];
        self.chain(signs, Reader::factor)
    }

    /// Values with signs between them, from left to right.
    fn chain(
        &mut self,
        signs: [(char, Operator); 2],
        part: fn(&mut Reader) -> Result<Expr, Fault>,
    ) -> Result<Expr, Fault> {
        let mut value = part(self)?;
        let mut length = 0;
        while let Some((_, operator)) = signs.into_iter().find(|(sign, _)| self.takes(*sign)) {
            length += 1;
            if length > DEEPEST {
                return Err(self
                    .place()
                    .fault("this is too long: give a part of it a name"));
            }
            value = Expr::Binary(operator, Box::new([value, part(self)?]));
        }
        Ok(value)
    }

    fn factor(&mut self) -> Result<Expr, Fault> {
        let place = self.place();
        match self.tokens.pop() {
            Some((Token::Sign('-'), _)) => self.deeper(|reader| {
                let value = Box::new(reader.factor()?);
                Ok(Expr::Unary(Operator::Negate, value))
            }),
            Some((Token::Sign('('), _)) => {
                let value = self.value()?;
                self.expect(')')?;
                Ok(value)
            }
            Some((Token::Number(number), _)) => Ok(Expr::Number(number)),
            Some((Token::Name(name), _)) if self.takes('(') => self.call(name, place),
            Some((Token::Name(name), _)) => self.named(&name, place),
            _ => Err(place.fault("a value is missing")),
        }
    }

    fn named(&self, name: &str, place: Place) -> Result<Expr, Fault> {
        let mut parameters = self.parameters.iter();
        match parameters.position(|parameter| parameter == name) {
            Some(index) => Ok(Expr::Parameter(index as u32)),
            None if name == "pi" => Ok(Expr::Number(std::f64::consts::PI)),
            None => Err(place.fault(format!("`{name}` is no value of this function"))),
        }
    }

    fn call(&mut self, name: String, place: Place) -> Result<Expr, Fault> {
        let mut values = Vec::new();
        if !self.takes(')') {
            values.push(self.value()?);
            while self.takes(',') {
                values.push(self.value()?);
            }
            self.expect(')')?;
        }
        let takes = BUILT_IN.iter().find(|(built_in, ..)| *built_in == name);
        let wrong = |takes: usize, given: usize| place.fault(takes_others(&name, takes, given));
        match takes.map(|(_, takes, operator)| (*takes, *operator)) {
            _ if name == "if" => <[Expr; 3]>::try_from(values)
                .map(|values| Expr::If(Box::new(values)))
                .map_err(|values| wrong(3, values.len())),
            Some((1, operator)) => <[Expr; 1]>::try_from(values)
                .map(|[value]| Expr::Unary(operator, Box::new(value)))
                .map_err(|values| wrong(1, values.len())),
            Some((takes, operator)) => <[Expr; 2]>::try_from(values)
                .map(|values| Expr::Binary(operator, Box::new(values)))
                .map_err(|values| wrong(takes, values.len())),
            None => Ok(Expr::Call(name, values, place)),
        }
    }

    fn deeper(
        &mut self,
        read: impl FnOnce(&mut Reader) -> Result<Expr, Fault>,
    ) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.place().fault("this is nested too deeply"));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &[(&str, usize)] = &[("sin", 1)];

    fn fault(text: &str) -> String {
        read(text, GIVEN).expect_err(text).to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("f(x) = y", "1:8: `y` is no value of this function"),
            ("\nf() = g(1)", "2:7: there is no `g`"),
            ("f(x) = sin(x, 2)", "1:8: `sin` takes 1 value, not 2"),
            ("f(x) = max(x)", "1:8: `max` takes 2 values, not 1"),
            ("f(x) = if(x, 1)", "1:8: `if` takes 3 values, not 2"),
            ("f(x) = (x", "1:10: `)` is missing"),
            ("f(x) = x +", "1:11: a value is missing"),
            ("f(x) = 1 2", "1:10: what is this doing here?"),
            ("f(x) = 1.2.3", "1:8: this is not a number"),
            ("f(x) = x ; 1", "1:10: `;` means nothing here"),
            ("f(x, x) = 1", "1:6: there is a `x` already"),
            ("f = 1", "1:3: `(` is missing"),
            (
                "sin(x) = x",
                "1:1: `sin` is there already: choose another name",
            ),
            ("f() = 1\nf() = 2", "2:1: `f` is written twice"),
            ("é", "1:1: `é` means nothing here"),
        ] {
            assert_eq!(fault(text), expected);
        }
        let deep = format!("f() = {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(fault(&deep).contains("too deeply"));
        let signs = format!("f() = {}1", "-".repeat(10_000));
        assert!(fault(&signs).contains("too deeply"));
        assert!(fault(&format!("f() = 1{}", "+1".repeat(10_000))).contains("too long"));
    }

    #[test]
    fn how_a_function_is_written_makes_no_difference() {
        let one = |text| read(text, GIVEN).unwrap().remove(0);
        assert_eq!(one("f(x) = x*2"), one("# a\n  f( y )=( y )  *  2  # b"));
        assert_ne!(one("f(x) = x*2"), one("f(x) = x*3"));
        assert_ne!(one("f(x) = 1-x-2"), one("f(x) = 1-(x-2)"));
    }
}
