//! From declarations to code: what each name means and of what type each expression is. All mistakes are found, not only
//! the first. It knows nothing of WebAssembly.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::code::{
    Builtin, Callee, Code, Function, Item, LOOKS, Look, Program, Target, Unit, Value,
};
use crate::lex::{Mistake, Span};
use crate::syntax::{
    self, Block, Declaration, DeclarationKind, Expr, ExprKind, Name, Operator, Statement, Tree,
    Type,
};

/// The longest list that a program can begin with.
const MOST_ITEMS: f64 = 65536.0;

/// What a name at the top means.
#[derive(Debug, Clone)]
pub enum Symbol {
    Function { params: Vec<Type>, result: Type },
    Variable { key: String, ty: Type },
    Constant(Value),
}

pub type Symbols = HashMap<String, Symbol>;

/// The part of the library that is written in the language.
static PRELUDE: LazyLock<Tree> = LazyLock::new(|| {
    let tree = syntax::parse(include_str!("prelude.brook"));
    assert!(tree.mistakes.is_empty(), "{:?}", tree.mistakes);
    tree
});

/// What a checked text gives: a program if there is no mistake, and what its names mean in any case.
pub struct Checked {
    pub program: Result<Program, Vec<Mistake>>,
    pub symbols: Symbols,
}

pub fn check(tree: &Tree) -> Checked {
    let mut checker = Checker {
        mistakes: tree.mistakes.clone(),
        left_out: &tree.left_out,
        symbols: Symbols::new(),
    };
    let own = || PRELUDE.declarations.iter().chain(&tree.declarations);
    // Names first: a function may use what stands further down.
    for declaration in own() {
        checker.declare(declaration);
    }
    let mut program = Program::default();
    for (at, declaration) in own().enumerate() {
        let is_library = at < PRELUDE.declarations.len();
        checker.define(declaration, is_library, &mut program);
    }
    let looks = program.looks.iter();
    let looks = looks.map(|look| (look.target.clone(), look.ty));
    program.units.push(Unit {
        key: LOOKS.to_owned(),
        item: Item::Looks(looks.collect()),
    });
    let mut mistakes = checker.mistakes;
    mistakes.sort_by_key(|mistake| mistake.span.start);
    Checked {
        program: match mistakes.is_empty() {
            true => Ok(program),
            false => Err(mistakes),
        },
        symbols: checker.symbols,
    }
}

/// Builtins that are called by a name, with the types of what they take and give. `len` takes two types.
fn builtin(name: &str) -> Option<(Builtin, &'static [Type], Type)> {
    use Type::{List, Number, Text};
    Some(match name {
        "len" => (Builtin::Len, &[List], Number),
        "array" => (Builtin::Array, &[Number], List),
        "char" => (Builtin::Char, &[Number], Text),
        "sqrt" => (Builtin::Sqrt, &[Number], Number),
        "abs" => (Builtin::Abs, &[Number], Number),
        "floor" => (Builtin::Floor, &[Number], Number),
        "ceil" => (Builtin::Ceil, &[Number], Number),
        "round" => (Builtin::Round, &[Number], Number),
        "min" => (Builtin::Min, &[Number, Number], Number),
        "max" => (Builtin::Max, &[Number, Number], Number),
        _ => return None,
    })
}

/// What a builtin takes and gives.
pub fn signature_of_builtin(name: &str) -> Option<(&'static [Type], Type)> {
    builtin(name).map(|(_, params, result)| (params, result))
}

struct Checker<'a> {
    mistakes: Vec<Mistake>,
    left_out: &'a [String],
    symbols: Symbols,
}

impl Checker<'_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(span, message));
    }

    fn declare(&mut self, declaration: &Declaration) {
        let name = &declaration.name;
        let symbol = match &declaration.kind {
            DeclarationKind::Shown(_) => return,
            DeclarationKind::Function(function) => Symbol::Function {
                params: function.params.iter().map(|param| param.ty).collect(),
                result: function.result,
            },
            // Those that are used must stand above: so nothing can be known by itself.
            DeclarationKind::Constant(value) => match self.constant(value) {
                Some(value) => Symbol::Constant(value),
                None => return,
            },
            DeclarationKind::Variable(value) => match self.constant(value) {
                Some(value) => Symbol::Variable {
                    key: variable_key(&name.text, &value),
                    ty: value.ty(),
                },
                None => return,
            },
        };
        if self.symbols.contains_key(&name.text) || builtin(&name.text).is_some() {
            self.wrong(name.span, format!("there is another `{}`", name.text));
        } else {
            self.symbols.insert(name.text.clone(), symbol);
        }
    }

    fn define(&mut self, declaration: &Declaration, is_library: bool, program: &mut Program) {
        let name = &declaration.name.text;
        let (key, item) = match &declaration.kind {
            DeclarationKind::Constant(_) => return,
            DeclarationKind::Variable(value) => {
                // A mistake in it has been told already.
                let before = self.mistakes.len();
                let value = self.constant(value);
                self.mistakes.truncate(before);
                let Some(value) = value else { return };
                let key = variable_key(name, &value);
                program.looks.push(Look {
                    target: Target::Variable(key.clone()),
                    ty: value.ty(),
                    name: name.clone(),
                    span: declaration.span,
                });
                (key, Item::Variable(value))
            }
            DeclarationKind::Shown(value) => {
                let shown = program.looks.iter();
                let shown = shown.filter(|look| matches!(look.target, Target::Shown(_)));
                let key = format!("show {}", shown.count());
                let mut body = Body::new(self);
                let Some((code, ty)) = body.expr(value) else {
                    return;
                };
                let function = body.function(ty, vec![code]);
                program.looks.push(Look {
                    target: Target::Shown(key.clone()),
                    ty,
                    name: String::new(),
                    span: declaration.span,
                });
                (key, Item::Function(function))
            }
            DeclarationKind::Function(function) => {
                if !is_library && function.params.is_empty() {
                    program.looks.push(Look {
                        target: Target::Function(name.clone()),
                        ty: function.result,
                        name: name.clone(),
                        span: declaration.name.span,
                    });
                }
                let item = Item::Function(self.function(function));
                (name.clone(), item)
            }
        };
        program.units.push(Unit { key, item });
    }

    fn function(&mut self, function: &syntax::Function) -> Function {
        let mut body = Body::new(self);
        for param in &function.params {
            let local = body.add_local(&param.name.text, param.ty);
            debug_assert!(local < function.params.len() as u32);
        }
        body.result = Some(function.result);
        let (mut code, ty) = body.block(&function.body);
        match ty {
            Some(ty) => body.expect(ty, function.result, last_span(&function.body)),
            None if function.result == Type::Number => code.push(Code::Number(0.0)),
            // What cannot be reached needs no value.
            None if matches!(code.last(), Some(Code::Return(_))) => {}
            None => {
                let end = function.body.span.end;
                let span = Span {
                    start: end.saturating_sub(1),
                    end,
                };
                let result = function.result.name();
                body.wrong(span, format!("the function must end with a {result}"));
            }
        }
        let params = function.params.iter().map(|param| param.ty).collect();
        let mut done = body.function(function.result, code);
        done.locals.drain(..function.params.len());
        Function {
            is_exported: function.is_exported,
            params,
            ..done
        }
    }

    /// The value of an expression that is known when the program is compiled.
    fn constant(&mut self, expr: &Expr) -> Option<Value> {
        let before = self.mistakes.len();
        let value = self.fold(expr);
        if value.is_none() && self.mistakes.len() == before {
            let text = "this is not known when the program is compiled: numbers, texts, lists of numbers, \
                `array(n)`, and each `let` that stands above are";
            self.wrong(expr.span, text);
        }
        value
    }

    fn fold(&mut self, expr: &Expr) -> Option<Value> {
        use Value::{List, Number, Text};
        Some(match &expr.kind {
            ExprKind::Number(number) => Number(*number),
            ExprKind::Text(text) => Text(text.clone()),
            ExprKind::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    let Number(number) = self.constant(item)? else {
                        self.wrong(item.span, "a list is of numbers");
                        return None;
                    };
                    all.push(number);
                }
                List(all)
            }
            ExprKind::Name(name) => match self.symbols.get(name) {
                Some(Symbol::Constant(value)) => value.clone(),
                _ => return None,
            },
            ExprKind::Call(name, arguments) if name.text == "array" && arguments.len() == 1 => {
                match self.constant(&arguments[0])? {
                    Number(len) if (0.0..=MOST_ITEMS).contains(&len) => {
                        List(vec![0.0; len as usize])
                    }
                    _ => {
                        let text = format!("a list begins with at most {MOST_ITEMS} numbers");
                        self.wrong(expr.span, text);
                        return None;
                    }
                }
            }
            ExprKind::Negate(of) => match self.constant(of)? {
                Number(number) => Number(-number),
                _ => return None,
            },
            ExprKind::Binary(operator, left, right) => {
                match (operator, self.constant(left)?, self.constant(right)?) {
                    (Operator::Add, Number(left), Number(right)) => Number(left + right),
                    (Operator::Subtract, Number(left), Number(right)) => Number(left - right),
                    (Operator::Multiply, Number(left), Number(right)) => Number(left * right),
                    (Operator::Divide, Number(left), Number(right)) => Number(left / right),
                    (Operator::Add, Text(left), Text(right)) => Text(left + &right),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// The key of a variable: with its type, and a list's length, since one of another type is another variable.
fn variable_key(name: &str, value: &Value) -> String {
    match value {
        Value::List(items) => format!("{name}: list of {}", items.len()),
        value => format!("{name}: {}", value.ty().name()),
    }
}

fn last_span(block: &Block) -> Span {
    match block.statements.last() {
        Some(Statement::Expr(expr)) => expr.span,
        _ => block.span,
    }
}

/// An expression with its type, or nothing if it has a mistake, which has been told.
type Typed = Option<(Code, Type)>;

/// The body of a function, or what is shown.
struct Body<'a, 'b> {
    checker: &'a mut Checker<'b>,
    /// What names mean, inner ones last.
    scope: Vec<(String, u32)>,
    locals: Vec<Type>,
    texts: Vec<String>,
    /// What `return` must give; nothing where it cannot stand.
    result: Option<Type>,
}

impl<'a, 'b> Body<'a, 'b> {
    fn new(checker: &'a mut Checker<'b>) -> Self {
        Body {
            checker,
            scope: Vec::new(),
            locals: Vec::new(),
            texts: Vec::new(),
            result: None,
        }
    }

    fn function(self, result: Type, code: Vec<Code>) -> Function {
        Function {
            is_exported: false,
            params: Vec::new(),
            result,
            locals: self.locals,
            texts: self.texts,
            code,
        }
    }

    fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.checker.wrong(span, message);
    }

    fn expect(&mut self, ty: Type, wanted: Type, span: Span) {
        if ty != wanted {
            let (ty, wanted) = (ty.name(), wanted.name());
            self.wrong(span, format!("this is a {ty}, and should be a {wanted}"));
        }
    }

    fn add_local(&mut self, name: &str, ty: Type) -> u32 {
        let local = self.locals.len() as u32;
        self.locals.push(ty);
        self.scope.push((name.to_owned(), local));
        local
    }

    fn local(&self, name: &str) -> Option<u32> {
        let found = self.scope.iter().rev().find(|(of, _)| of == name);
        found.map(|(_, local)| *local)
    }

    /// The statements of a block, and the type of its value if it has one.
    fn block(&mut self, block: &Block) -> (Vec<Code>, Option<Type>) {
        let outer = self.scope.len();
        let mut code = Vec::new();
        let mut ty = None;
        let last = block.statements.len().saturating_sub(1);
        for (at, statement) in block.statements.iter().enumerate() {
            match statement {
                Statement::Expr(expr) => {
                    // A value that nobody wants is dropped, but for the last, which is the block's.
                    if let Some(is) = self.statement_expr(expr, at == last, &mut code) {
                        ty = Some(is);
                    }
                }
                statement => self.statement(statement, &mut code),
            }
        }
        self.scope.truncate(outer);
        (code, ty)
    }

    /// An expression as a statement; if its value is wanted and it has one, that stays and its type is returned.
    fn statement_expr(
        &mut self,
        expr: &Expr,
        is_wanted: bool,
        code: &mut Vec<Code>,
    ) -> Option<Type> {
        if let ExprKind::If(condition, then, otherwise) = &expr.kind {
            let condition = self.number(condition);
            let (mut then, ty) = self.block(then);
            let (mut otherwise, other) = match otherwise {
                Some(otherwise) => self.block(otherwise),
                None => (Vec::new(), None),
            };
            let (Some(ty), Some(other), true) = (ty, other, is_wanted) else {
                drop_value(&mut then, ty);
                drop_value(&mut otherwise, other);
                code.push(Code::If(None, condition?.into(), then, otherwise));
                return None;
            };
            if ty != other {
                let (ty, other) = (ty.name(), other.name());
                let text = format!("one branch gives a {ty}, the other one a {other}");
                self.wrong(expr.span, text);
            }
            code.push(Code::If(Some(ty), condition?.into(), then, otherwise));
            return Some(ty);
        }
        let (value, ty) = self.expr(expr)?;
        match is_wanted {
            true => code.push(value),
            false => code.push(Code::Drop(value.into())),
        }
        is_wanted.then_some(ty)
    }

    fn statement(&mut self, statement: &Statement, code: &mut Vec<Code>) {
        let statement = match statement {
            Statement::Expr(_) => unreachable!("blocks look at these themselves"),
            Statement::Let(name, value) => {
                let value = self.expr(value);
                let ty = value.as_ref().map_or(Type::Number, |(_, ty)| *ty);
                let local = self.add_local(&name.text, ty);
                value.map(|(value, _)| Code::SetLocal(local, value.into()))
            }
            Statement::Assign(name, value) => self.assign(name, value),
            Statement::AssignAt(list, index, value) => {
                let list_code = self.of_type(list, Type::List);
                let index = self.number(index);
                let value = self.number(value);
                list_code
                    .zip(index)
                    .zip(value)
                    .map(|((list, index), value)| {
                        Code::SetAt(list.into(), index.into(), value.into())
                    })
            }
            Statement::While(condition, body) => {
                let condition = self.number(condition);
                let (mut body, ty) = self.block(body);
                drop_value(&mut body, ty);
                condition.map(|condition| Code::While(condition.into(), body))
            }
            Statement::For(name, from, to, body) => {
                self.for_(name, from, to, body, code);
                return;
            }
            Statement::Return(span, value) => {
                let Some(result) = self.result else {
                    return self.wrong(*span, "there is no function here to return from");
                };
                let value = match value {
                    Some(value) => self.of_type(value, result),
                    None => {
                        self.expect(Type::Number, result, *span);
                        Some(Code::Number(0.0))
                    }
                };
                value.map(|value| Code::Return(value.into()))
            }
        };
        code.extend(statement);
    }

    fn assign(&mut self, name: &Name, value: &Expr) -> Option<Code> {
        if let Some(local) = self.local(&name.text) {
            let ty = self.locals[local as usize];
            let value = self.of_type(value, ty)?;
            return Some(Code::SetLocal(local, value.into()));
        }
        match self.checker.symbols.get(&name.text).cloned() {
            Some(Symbol::Variable { key, ty }) => {
                let value = self.of_type(value, ty)?;
                Some(Code::SetVariable(key, ty, value.into()))
            }
            Some(_) => {
                self.wrong(name.span, format!("`{}` cannot be assigned to", name.text));
                None
            }
            None => {
                self.expr(value);
                self.unknown(name);
                None
            }
        }
    }

    fn for_(&mut self, name: &Name, from: &Expr, to: &Expr, body: &Block, code: &mut Vec<Code>) {
        let (from, to) = (self.number(from), self.number(to));
        let outer = self.scope.len();
        let end = self.add_local("", Type::Number);
        let counter = self.add_local(&name.text, Type::Number);
        let (mut body, ty) = self.block(body);
        drop_value(&mut body, ty);
        self.scope.truncate(outer);
        let Some((from, to)) = from.zip(to) else {
            return;
        };
        let now = || Box::new(Code::Local(counter));
        let next = Code::Binary(Operator::Add, now(), Code::Number(1.0).into());
        body.push(Code::SetLocal(counter, next.into()));
        let goes_on = Code::Binary(Operator::Less, now(), Code::Local(end).into());
        code.push(Code::SetLocal(counter, from.into()));
        code.push(Code::SetLocal(end, to.into()));
        code.push(Code::While(goes_on.into(), body));
    }

    fn unknown(&mut self, name: &Name) {
        if !self.checker.left_out.contains(&name.text) {
            self.wrong(name.span, format!("there is no `{}`", name.text));
        }
    }

    fn of_type(&mut self, expr: &Expr, wanted: Type) -> Option<Code> {
        let (code, ty) = self.expr(expr)?;
        self.expect(ty, wanted, expr.span);
        (ty == wanted).then_some(code)
    }

    fn number(&mut self, expr: &Expr) -> Option<Code> {
        self.of_type(expr, Type::Number)
    }

    fn text(&mut self, text: &str) -> Code {
        let known = self.texts.iter().position(|known| known == text);
        Code::Text(known.unwrap_or_else(|| {
            self.texts.push(text.to_owned());
            self.texts.len() - 1
        }))
    }

    fn expr(&mut self, expr: &Expr) -> Typed {
        match &expr.kind {
            ExprKind::Number(number) => Some((Code::Number(*number), Type::Number)),
            ExprKind::Text(text) => Some((self.text(text), Type::Text)),
            ExprKind::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.number(item)).collect();
                let items = items.into_iter().collect::<Option<_>>()?;
                Some((Code::List(items), Type::List))
            }
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Call(name, arguments) => self.call(name, arguments),
            ExprKind::Index(of, index) => {
                let of_code = self.expr(of);
                let index = self.number(index);
                let (of_code, ty) = of_code?;
                if ty == Type::Number {
                    self.wrong(of.span, "this is a number, which has no parts");
                    return None;
                }
                let code = Code::At(ty, of_code.into(), index?.into());
                Some((code, Type::Number))
            }
            ExprKind::Negate(of) => {
                let of = self.number(of)?;
                Some((Code::Negate(of.into()), Type::Number))
            }
            ExprKind::Not(of) => {
                let of = self.number(of)?;
                Some((Code::Not(of.into()), Type::Number))
            }
            ExprKind::Binary(operator, left, right) => self.binary(*operator, left, right),
            ExprKind::If(..) => {
                let mut code = Vec::new();
                let before = self.checker.mistakes.len();
                let ty = self.statement_expr(expr, true, &mut code);
                if ty.is_none() && self.checker.mistakes.len() == before {
                    let text =
                        "this `if` gives no value: both branches must, and there must be an `else`";
                    self.wrong(expr.span, text);
                }
                Some((code.pop()?, ty?))
            }
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Typed {
        if let Some(local) = self.local(name) {
            return Some((Code::Local(local), self.locals[local as usize]));
        }
        match self.checker.symbols.get(name).cloned() {
            Some(Symbol::Variable { key, ty }) => Some((Code::Variable(key, ty), ty)),
            Some(Symbol::Constant(value)) => {
                let ty = value.ty();
                let code = match value {
                    Value::Number(number) => Code::Number(number),
                    Value::Text(text) => self.text(&text),
                    Value::List(items) => Code::List(items.into_iter().map(Code::Number).collect()),
                };
                Some((code, ty))
            }
            Some(Symbol::Function { .. }) => {
                self.wrong(
                    span,
                    format!("`{name}` is a function: `{name}(...)` calls it"),
                );
                None
            }
            None => {
                let text = name.to_owned();
                self.unknown(&Name { text, span });
                None
            }
        }
    }

    fn call(&mut self, name: &Name, arguments: &[Expr]) -> Typed {
        let builtin = builtin(&name.text);
        let function = match self.checker.symbols.get(&name.text) {
            Some(Symbol::Function { params, result }) => Some((params.clone(), *result)),
            _ => None,
        };
        let given: Vec<_> = arguments
            .iter()
            .map(|argument| self.expr(argument))
            .collect();
        let (params, result) = match (&builtin, function) {
            (Some((_, params, result)), _) => (params.to_vec(), *result),
            (None, Some(function)) => function,
            (None, None) => {
                if self.local(&name.text).is_some() || self.checker.symbols.contains_key(&name.text)
                {
                    self.wrong(name.span, format!("`{}` is no function", name.text));
                } else {
                    self.unknown(name);
                }
                return None;
            }
        };
        if params.len() != arguments.len() {
            let (wants, name_of) = (params.len(), &name.text);
            let text = format!("`{name_of}` takes {wants}, not {}", arguments.len());
            self.wrong(name.span, text);
            return None;
        }
        let is_len = matches!(builtin, Some((Builtin::Len, ..)));
        let mut codes = Vec::new();
        let mut is_right = true;
        for ((given, argument), wanted) in given.into_iter().zip(arguments).zip(&params) {
            let Some((code, ty)) = given else {
                is_right = false;
                continue;
            };
            if !(is_len && ty == Type::Text) {
                is_right &= ty == *wanted;
                self.expect(ty, *wanted, argument.span);
            }
            codes.push(code);
        }
        let code = match builtin {
            Some((builtin, ..)) => Code::Builtin(builtin, codes),
            None => {
                let key = name.text.clone();
                let callee = Callee {
                    key,
                    params,
                    result,
                };
                Code::Call(callee, codes)
            }
        };
        is_right.then_some((code, result))
    }

    fn binary(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Typed {
        let (left_code, right_code) = (self.expr(left), self.expr(right));
        let ((left_code, left_ty), (right_code, right_ty)) = left_code.zip(right_code)?;
        let is_text = left_ty == Type::Text && right_ty == Type::Text;
        let both = |builtin, left, right| Code::Builtin(builtin, vec![left, right]);
        match operator {
            Operator::Add if is_text => {
                Some((both(Builtin::Concat, left_code, right_code), Type::Text))
            }
            Operator::Equal if is_text => {
                Some((both(Builtin::Same, left_code, right_code), Type::Number))
            }
            Operator::NotEqual if is_text => {
                let same = both(Builtin::Same, left_code, right_code);
                Some((Code::Not(same.into()), Type::Number))
            }
            _ => {
                let before = self.checker.mistakes.len();
                // The text that is there says what was meant.
                let is_glued = operator == Operator::Add && left_ty == Type::Text;
                if is_glued && right_ty == Type::Number {
                    self.wrong(
                        right.span,
                        "this is a number: `text(...)` makes a text of it",
                    );
                } else {
                    self.expect(left_ty, Type::Number, left.span);
                    self.expect(right_ty, Type::Number, right.span);
                }
                let code = Code::Binary(operator, left_code.into(), right_code.into());
                (self.checker.mistakes.len() == before).then_some((code, Type::Number))
            }
        }
    }
}

fn drop_value(code: &mut Vec<Code>, ty: Option<Type>) {
    if ty.is_some()
        && let Some(value) = code.pop()
    {
        code.push(Code::Drop(value.into()));
    }
}
