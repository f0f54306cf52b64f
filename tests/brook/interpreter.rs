//! What programs should do: syntax trees are walked, nothing is compiled. Variables follow the policy of patches that run:
//! where the program has not changed one, it follows an edit of what it begins with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::syntax::{
    Block, DeclarationKind, Expr, ExprKind, Function, Operator, Statement, Tree, Type, parse,
};

#[derive(Debug, Clone)]
pub enum Value {
    Number(f64),
    Text(Rc<str>),
    List(Rc<RefCell<Vec<f64>>>),
}

use Value::{List, Number, Text};

/// How much of a text is shown.
const MOST_SHOWN: usize = 96;

impl Value {
    fn number(&self) -> f64 {
        match self {
            Number(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    fn list(&self) -> &Rc<RefCell<Vec<f64>>> {
        match self {
            List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    /// One that shares nothing with this one.
    fn copy(&self) -> Value {
        match self {
            List(list) => List(Rc::new(RefCell::new(list.borrow().clone()))),
            other => other.clone(),
        }
    }

    fn kind(&self) -> (u8, usize) {
        match self {
            Number(_) => (0, 0),
            Text(_) => (1, 0),
            List(list) => (2, list.borrow().len()),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Number(number) => number.to_string(),
            Text(text) => {
                let shown: String = text.chars().take(MOST_SHOWN).collect();
                let rest = if shown.len() < text.len() { "…" } else { "" };
                format!("{shown:?}{rest}")
            }
            List(list) => format!(
                "{:?}",
                list.borrow().iter().map(f64::to_string).collect::<Vec<_>>()
            )
            .replace('"', ""),
        }
    }
}

/// A variable.
#[derive(Debug, Clone)]
struct Variable {
    /// What it begins with.
    first: Value,
    /// The text or list that it began with, whatever it holds now.
    home: Value,
    value: Value,
}

/// How a program ends that cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    Return(String),
    Fault(&'static str),
}

type Result<T> = std::result::Result<T, Stop>;

/// A program and its variables.
#[derive(Debug, Clone, Default)]
pub struct Interpreter {
    functions: HashMap<String, Function>,
    constants: HashMap<String, Value>,
    variables: HashMap<String, Variable>,
    shown: Vec<Expr>,
    returned: Option<Value>,
}

impl Interpreter {
    /// Goes over to another program, which must be right.
    pub fn update(&mut self, tree: &Tree) {
        assert_eq!(tree.mistakes, []);
        let library = parse(include_str!("../../examples/brook/prelude.brook"));
        self.functions.clear();
        self.constants.clear();
        self.shown.clear();
        let old = std::mem::take(&mut self.variables);
        for declaration in library.declarations.iter().chain(&tree.declarations) {
            let name = declaration.name.text.clone();
            match &declaration.kind {
                DeclarationKind::Function(function) => {
                    self.functions.insert(name, function.clone());
                }
                DeclarationKind::Constant(value) => {
                    let value = self.value(value);
                    self.constants.insert(name, value);
                }
                DeclarationKind::Shown(expr) => self.shown.push(expr.clone()),
                DeclarationKind::Variable(first) => {
                    let first = self.value(first);
                    let before = old.get(&name);
                    let before = before.filter(|it| it.first.kind() == first.kind());
                    let variable = match before {
                        Some(before) => followed(before, first),
                        None => fresh(first),
                    };
                    self.variables.insert(name, variable);
                }
            }
        }
    }

    fn value(&mut self, expr: &Expr) -> Value {
        self.expr(expr, &mut Scope::default())
            .expect("a constant has a value")
    }

    /// What the n-th thing that is shown is; nothing that it changes lasts.
    pub fn shown(&self, at: usize) -> Result<Value> {
        let mut copy = self.clone();
        for (name, variable) in &mut copy.variables {
            let shares =
                matches!((&variable.home, &variable.value), (List(a), List(b)) if Rc::ptr_eq(a, b));
            variable.home = self.variables[name].home.copy();
            variable.value = match shares {
                true => variable.home.clone(),
                false => variable.value.copy(),
            };
        }
        let expr = copy.shown[at].clone();
        copy.expr(&expr, &mut Scope::default())
    }

    pub fn variable(&self, name: &str) -> String {
        self.variables[name].value.show()
    }

    /// Runs a function that takes nothing.
    pub fn run(&mut self, name: &str) -> Result<Value> {
        self.call(name, Vec::new())
    }

    fn call(&mut self, name: &str, arguments: Vec<Value>) -> Result<Value> {
        if let Some(value) = builtin(name, &arguments)? {
            return Ok(value);
        }
        let function = self.functions[name].clone();
        let mut scope = Scope::default();
        for (param, argument) in function.params.iter().zip(arguments) {
            scope.0.push((param.name.text.clone(), argument));
        }
        match self.block(&function.body, &mut scope) {
            Ok(value) => Ok(value.unwrap_or_else(|| match function.result {
                Type::Number => Number(0.0),
                other => panic!("`{name}` gives no {}", other.name()),
            })),
            Err(Stop::Return(_)) => Ok(self.returned.take().expect("it is returned")),
            Err(fault) => Err(fault),
        }
    }

    fn block(&mut self, block: &Block, scope: &mut Scope) -> Result<Option<Value>> {
        let outer = scope.0.len();
        let mut last = None;
        for statement in &block.statements {
            last = self.statement(statement, scope)?;
        }
        scope.0.truncate(outer);
        Ok(last)
    }

    fn statement(&mut self, statement: &Statement, scope: &mut Scope) -> Result<Option<Value>> {
        match statement {
            Statement::Let(name, value) => {
                let value = self.expr(value, scope)?;
                scope.0.push((name.text.clone(), value));
            }
            Statement::Assign(name, value) => {
                let value = self.expr(value, scope)?;
                match scope.find(&name.text) {
                    Some(local) => *local = value,
                    None => self.variables.get_mut(&name.text).unwrap().value = value,
                }
            }
            Statement::AssignAt(list, index, value) => {
                let list = self.expr(list, scope)?;
                let at = self.expr(index, scope)?.number();
                let at = index_of(at, list.list().borrow().len())?;
                let value = self.expr(value, scope)?.number();
                list.list().borrow_mut()[at] = value;
            }
            Statement::While(condition, body) => {
                while self.expr(condition, scope)?.number() != 0.0 {
                    self.block(body, scope)?;
                }
            }
            Statement::For(name, from, to, body) => {
                let from = self.expr(from, scope)?.number();
                let to = self.expr(to, scope)?.number();
                let outer = scope.0.len();
                scope.0.push((name.text.clone(), Number(from)));
                while scope.0[outer].1.number() < to {
                    self.block(body, scope)?;
                    let next = scope.0[outer].1.number() + 1.0;
                    scope.0[outer].1 = Number(next);
                }
                scope.0.truncate(outer);
            }
            Statement::Return(_, value) => {
                self.returned = Some(match value {
                    Some(value) => self.expr(value, scope)?,
                    None => Number(0.0),
                });
                return Err(Stop::Return(String::new()));
            }
            Statement::Expr(expr) => {
                if let ExprKind::If(condition, then, otherwise) = &expr.kind {
                    let is = self.expr(condition, scope)?.number() != 0.0;
                    let has_both = otherwise.is_some();
                    let block = if is { Some(then) } else { otherwise.as_ref() };
                    let value = match block {
                        Some(block) => self.block(block, scope)?,
                        None => None,
                    };
                    return Ok(value.filter(|_| has_both));
                }
                return self.expr(expr, scope).map(Some);
            }
        }
        Ok(None)
    }

    fn expr(&mut self, expr: &Expr, scope: &mut Scope) -> Result<Value> {
        Ok(match &expr.kind {
            ExprKind::Number(number) => Number(*number),
            ExprKind::Text(text) => Text(text.as_str().into()),
            ExprKind::List(items) => {
                let items = items
                    .iter()
                    .map(|item| Ok(self.expr(item, scope)?.number()));
                let items = items.collect::<Result<Vec<f64>>>()?;
                List(Rc::new(RefCell::new(items)))
            }
            ExprKind::Name(name) => match scope.find(name) {
                Some(local) => local.clone(),
                None => match self.constants.get(name) {
                    Some(constant) => constant.copy(),
                    None => self.variables[name].value.clone(),
                },
            },
            ExprKind::Call(name, arguments) => {
                let arguments = arguments.iter().map(|argument| self.expr(argument, scope));
                let arguments = arguments.collect::<Result<_>>()?;
                self.call(&name.text, arguments)?
            }
            ExprKind::Index(of, index) => {
                let of = self.expr(of, scope)?;
                let at = self.expr(index, scope)?.number();
                Number(match &of {
                    Text(text) => text.as_bytes()[index_of(at, text.len())?].into(),
                    list => {
                        let list = list.list().borrow();
                        list[index_of(at, list.len())?]
                    }
                })
            }
            ExprKind::Negate(of) => Number(-self.expr(of, scope)?.number()),
            ExprKind::Not(of) => truth(self.expr(of, scope)?.number() == 0.0),
            ExprKind::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
                let left = self.expr(left, scope)?.number() != 0.0;
                match left == (*operator == Operator::Or) {
                    true => truth(left),
                    false => truth(self.expr(right, scope)?.number() != 0.0),
                }
            }
            ExprKind::Binary(operator, left, right) => {
                let left = self.expr(left, scope)?;
                let right = self.expr(right, scope)?;
                binary(*operator, &left, &right)
            }
            ExprKind::If(condition, then, otherwise) => {
                let is = self.expr(condition, scope)?.number() != 0.0;
                let block = if is {
                    then
                } else {
                    otherwise.as_ref().unwrap()
                };
                self.block(block, scope)?.expect("a branch has a value")
            }
        })
    }
}

/// Local names, inner ones last.
#[derive(Debug, Default)]
struct Scope(Vec<(String, Value)>);

impl Scope {
    fn find(&mut self, name: &str) -> Option<&mut Value> {
        let found = self.0.iter_mut().rev().find(|(of, _)| of == name);
        found.map(|(_, value)| value)
    }
}

fn fresh(first: Value) -> Variable {
    let home = first.copy();
    let value = home.clone();
    Variable { first, home, value }
}

/// A variable whose first value is another one now.
fn followed(before: &Variable, first: Value) -> Variable {
    let mut after = before.clone();
    match (&before.first, &first) {
        (Number(old), Number(new)) => {
            if before.value.number().to_bits() == old.to_bits() {
                after.value = Number(*new);
            }
        }
        // One that says the same is another text all the same.
        (Text(_), Text(_)) => {
            let is_first = matches!((&before.home, &before.value), (Text(home), Text(now)) if Rc::ptr_eq(home, now));
            after.home = first.clone();
            if is_first {
                after.value = first.clone();
            }
        }
        // Neighbours that differ are one write, which is done if all of them are as they were.
        (List(old), List(new)) => {
            let mut home = before.home.list().borrow_mut();
            let (old, new) = (old.borrow(), new.borrow());
            let bits = |list: &[f64]| list.iter().map(|item| item.to_bits()).collect::<Vec<_>>();
            let differs = |at: usize| old[at].to_bits() != new[at].to_bits();
            let mut at = 0;
            while at < new.len() {
                let end = (at..new.len()).find(|at| !differs(*at));
                let end = end.unwrap_or(new.len());
                if bits(&home[at..end]) == bits(&old[at..end]) {
                    home[at..end].copy_from_slice(&new[at..end]);
                }
                at = end + 1;
            }
        }
        _ => unreachable!("they are of one kind"),
    }
    after.first = first;
    after
}

fn truth(is: bool) -> Value {
    Number(f64::from(u8::from(is)))
}

fn index_of(at: f64, len: usize) -> Result<usize> {
    match at >= 0.0 && at < len as f64 {
        true => Ok(at as usize),
        false => Err(Stop::Fault("there is nothing at this index")),
    }
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Value {
    if let (Text(left), Text(right)) = (left, right) {
        return match operator {
            Operator::Add => Text(format!("{left}{right}").into()),
            Operator::Equal => truth(left == right),
            Operator::NotEqual => truth(left != right),
            _ => panic!("{operator:?} of texts"),
        };
    }
    let (left, right) = (left.number(), right.number());
    match operator {
        Operator::Add => Number(left + right),
        Operator::Subtract => Number(left - right),
        Operator::Multiply => Number(left * right),
        Operator::Divide => Number(left / right),
        Operator::Remainder => Number(left - (left / right).trunc() * right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::Less => truth(left < right),
        Operator::LessEqual => truth(left <= right),
        Operator::Greater => truth(left > right),
        Operator::GreaterEqual => truth(left >= right),
        Operator::And | Operator::Or => unreachable!("they do not always look at both"),
    }
}

fn builtin(name: &str, arguments: &[Value]) -> Result<Option<Value>> {
    let number = |at: usize| arguments[at].number();
    // The lesser of two as WebAssembly has it: what is no number is never left out.
    let pick = |is_less: fn(f64, f64) -> bool| match (number(0), number(1)) {
        (a, b) if a.is_nan() || b.is_nan() => f64::NAN,
        (a, b) if is_less(a, b) => a,
        (_, b) => b,
    };
    Ok(Some(match name {
        "len" => match &arguments[0] {
            Text(text) => Number(text.len() as f64),
            list => Number(list.list().borrow().len() as f64),
        },
        "array" => {
            let len = number(0);
            if !(0.0..=8_000_000.0).contains(&len) {
                return Err(Stop::Fault("there can be no list of this length"));
            }
            List(Rc::new(RefCell::new(vec![0.0; len as usize])))
        }
        "char" => Text(char::from(number(0) as u32 as u8).to_string().into()),
        "sqrt" => Number(number(0).sqrt()),
        "abs" => Number(number(0).abs()),
        "floor" => Number(number(0).floor()),
        "ceil" => Number(number(0).ceil()),
        "round" => Number(number(0).round_ties_even()),
        "min" => Number(pick(|a, b| a < b || a == b && a.is_sign_negative())),
        "max" => Number(pick(|a, b| a > b || a == b && b.is_sign_negative())),
        _ => return Ok(None),
    }))
}
