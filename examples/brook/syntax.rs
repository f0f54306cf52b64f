//! From tokens to declarations, each read on its own: a mistake in one of them says nothing about the others.

use crate::lex::{Mistake, Span, Token, TokenKind, tokens};

/// How deep things may stand in one another: whoever goes through a program does so by recursion.
const MOST_NESTED: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Number,
    Text,
    List,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Number => "number",
            Type::Text => "text",
            Type::List => "list",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// What stands at the top of a program.
#[derive(Debug, Clone)]
pub struct Declaration {
    pub kind: DeclarationKind,
    /// Empty for what is shown.
    pub name: Name,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum DeclarationKind {
    Function(Function),
    /// `var`: it can be assigned to, and keeps its value while the program is edited.
    Variable(Expr),
    /// `let`: known when the program is compiled.
    Constant(Expr),
    /// `show`: evaluated after each edit.
    Shown(Expr),
}

#[derive(Debug, Clone)]
pub struct Function {
    pub is_exported: bool,
    pub params: Vec<Param>,
    pub result: Type,
    pub body: Block,
}

#[derive(Debug, Clone)]
pub struct Param {
    pub name: Name,
    pub ty: Type,
}

/// Statements; if the last one is an expression, its value is the block's.
#[derive(Debug, Clone)]
pub struct Block {
    pub statements: Vec<Statement>,
    pub span: Span,
    depth: u32,
}

#[derive(Debug, Clone)]
pub enum Statement {
    Let(Name, Expr),
    Assign(Name, Expr),
    /// `list[index] = value`
    AssignAt(Expr, Expr, Expr),
    While(Expr, Block),
    /// `for name in from..to`
    For(Name, Expr, Expr, Block),
    Return(Span, Option<Expr>),
    Expr(Expr),
}

impl Statement {
    fn depth(&self) -> u32 {
        match self {
            Statement::Let(_, value) | Statement::Assign(_, value) | Statement::Expr(value) => {
                value.depth
            }
            Statement::AssignAt(list, index, value) => list.depth.max(index.depth).max(value.depth),
            Statement::While(condition, body) => condition.depth.max(body.depth),
            Statement::For(_, from, to, body) => from.depth.max(to.depth).max(body.depth),
            Statement::Return(_, value) => value.as_ref().map_or(0, |value| value.depth),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
    depth: u32,
}

#[derive(Debug, Clone)]
pub enum ExprKind {
    Number(f64),
    Text(String),
    List(Vec<Expr>),
    Name(String),
    Call(Name, Vec<Expr>),
    Index(Box<Expr>, Box<Expr>),
    Negate(Box<Expr>),
    Not(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Block, Option<Block>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// The operator that a symbol is, and how tightly it binds.
    fn of(symbol: &str) -> Option<(Operator, u8)> {
        Some(match symbol {
            "or" => (Operator::Or, 1),
            "and" => (Operator::And, 2),
            "==" => (Operator::Equal, 3),
            "!=" => (Operator::NotEqual, 3),
            "<" => (Operator::Less, 3),
            "<=" => (Operator::LessEqual, 3),
            ">" => (Operator::Greater, 3),
            ">=" => (Operator::GreaterEqual, 3),
            "+" => (Operator::Add, 4),
            "-" => (Operator::Subtract, 4),
            "*" => (Operator::Multiply, 5),
            "/" => (Operator::Divide, 5),
            "%" => (Operator::Remainder, 5),
            _ => return None,
        })
    }
}

/// What a text says, and what is wrong with it. A declaration with a mistake is left out.
#[derive(Debug, Default)]
pub struct Tree {
    pub declarations: Vec<Declaration>,
    pub mistakes: Vec<Mistake>,
    /// Names of what was left out: nobody needs to be told that there is no such thing.
    pub left_out: Vec<String>,
}

pub fn parse(text: &str) -> Tree {
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
        nested: 0,
        declares: None,
    };
    let mut tree = Tree::default();
    while parser.token().kind != TokenKind::End {
        match parser.declaration() {
            Ok(declaration) => tree.declarations.push(declaration),
            Err(mistake) => {
                tree.mistakes.push(mistake);
                tree.left_out.extend(parser.declares.take());
                parser.skip_to_declaration();
            }
        }
    }
    tree
}

type Result<T> = std::result::Result<T, Mistake>;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nested: u32,
    /// The name of the declaration that is being read.
    declares: Option<String>,
}

impl Parser {
    /// The token that is read next. The last one is never passed.
    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Token {
        let token = self.token().clone();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token().kind, TokenKind::Symbol(it) if it == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let is = self.is(symbol);
        if is {
            self.at += 1;
        }
        is
    }

    fn expect(&mut self, symbol: &str) -> Result<Span> {
        match self.is(symbol) {
            true => Ok(self.next().span),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    fn unexpected(&self, wanted: &str) -> Mistake {
        let token = self.token();
        let message = match &token.kind {
            TokenKind::Wrong(why) => why.clone(),
            TokenKind::End => format!("there should be {wanted} here, but the program ends"),
            _ => format!("there should be {wanted} here"),
        };
        Mistake::new(token.span, message)
    }

    /// Goes on to where a declaration may begin: to a line that begins with one of their words.
    fn skip_to_declaration(&mut self) {
        loop {
            let token = self.token();
            let is_top = ["fn", "export", "var", "show"].iter().any(|it| self.is(it));
            // A `let` may stand in a function too; there it is indented.
            let is_let = self.is("let") && token.is_flush;
            if token.kind == TokenKind::End || token.begins_line && (is_top || is_let) {
                return;
            }
            self.at += 1;
        }
    }

    fn name(&mut self, wanted: &str) -> Result<Name> {
        match &self.token().kind {
            TokenKind::Name(_) => {
                let token = self.next();
                let TokenKind::Name(text) = token.kind else {
                    unreachable!("it has just been looked at");
                };
                let span = token.span;
                Ok(Name { text, span })
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn declaration(&mut self) -> Result<Declaration> {
        let start = self.token().span;
        // Whatever went wrong before, this one begins anew.
        self.nested = 0;
        self.declares = None;
        let (name, kind) = if self.eat("show") {
            let name = Name {
                text: String::new(),
                span: start,
            };
            (name, DeclarationKind::Shown(self.expr()?))
        } else if self.is("var") || self.is("let") {
            let is_variable = self.next().kind == TokenKind::Symbol("var");
            let name = self.name("a name")?;
            self.declares = Some(name.text.clone());
            self.expect("=")?;
            let value = self.expr()?;
            let kind = match is_variable {
                true => DeclarationKind::Variable(value),
                false => DeclarationKind::Constant(value),
            };
            (name, kind)
        } else {
            let is_exported = self.eat("export");
            if !self.eat("fn") {
                return Err(self.unexpected("`fn`, `export fn`, `var`, `let` or `show`"));
            }
            let name = self.name("the function's name")?;
            self.declares = Some(name.text.clone());
            let function = self.function(is_exported)?;
            (name, DeclarationKind::Function(function))
        };
        if !self.token().begins_line {
            return Err(self.unexpected("the end of the line"));
        }
        let span = start.to(self.tokens[self.at - 1].span);
        Ok(Declaration { kind, name, span })
    }

    fn function(&mut self, is_exported: bool) -> Result<Function> {
        self.expect("(")?;
        let mut params = Vec::new();
        while !self.is(")") {
            let name = self.name("a parameter's name")?;
            let ty = self.ty()?;
            params.push(Param { name, ty });
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        let result = self.ty()?;
        let body = self.block()?;
        Ok(Function {
            is_exported,
            params,
            result,
            body,
        })
    }

    /// `: type`, or nothing for a number.
    fn ty(&mut self) -> Result<Type> {
        if !self.eat(":") {
            return Ok(Type::Number);
        }
        let name = self.name("a type")?;
        let all = [Type::Number, Type::Text, Type::List];
        let ty = all.into_iter().find(|ty| ty.name() == name.text);
        ty.ok_or_else(|| Mistake::new(name.span, "types are `number`, `text` and `list`"))
    }

    fn block(&mut self) -> Result<Block> {
        let start = self.expect("{")?;
        self.enter()?;
        let mut statements = Vec::new();
        let mut depth = 0;
        while !self.is("}") {
            let statement = self.statement()?;
            depth = depth.max(statement.depth());
            statements.push(statement);
            let ends = self.eat(";") || self.token().begins_line || self.is("}");
            if !ends {
                return Err(self.unexpected("the end of the statement"));
            }
        }
        self.nested -= 1;
        let span = start.to(self.expect("}")?);
        Ok(Block {
            statements,
            span,
            depth,
        })
    }

    /// Goes one deeper.
    fn enter(&mut self) -> Result<()> {
        self.nested += 1;
        match self.nested > MOST_NESTED {
            true => Err(Mistake::new(self.token().span, "this stands too deep")),
            false => Ok(()),
        }
    }

    fn statement(&mut self) -> Result<Statement> {
        if self.eat("let") {
            let name = self.name("a name")?;
            self.expect("=")?;
            return Ok(Statement::Let(name, self.expr()?));
        }
        if self.eat("while") {
            let condition = self.expr()?;
            return Ok(Statement::While(condition, self.block()?));
        }
        if self.eat("for") {
            let name = self.name("a name")?;
            self.expect("in")?;
            let from = self.expr()?;
            self.expect("..")?;
            let to = self.expr()?;
            return Ok(Statement::For(name, from, to, self.block()?));
        }
        if self.is("return") {
            let span = self.next().span;
            let ends = self.token().begins_line || self.is("}") || self.is(";");
            let value = match ends {
                true => None,
                false => Some(self.expr()?),
            };
            return Ok(Statement::Return(span, value));
        }
        let target = self.expr()?;
        if !self.is("=") || self.token().begins_line {
            return Ok(Statement::Expr(target));
        }
        self.next();
        let value = self.expr()?;
        match target.kind {
            ExprKind::Name(text) => {
                let span = target.span;
                Ok(Statement::Assign(Name { text, span }, value))
            }
            ExprKind::Index(list, index) => Ok(Statement::AssignAt(*list, *index, value)),
            _ => Err(Mistake::new(target.span, "this cannot be assigned to")),
        }
    }

    fn expr(&mut self) -> Result<Expr> {
        self.binary(0)
    }

    /// An expression whose operators bind more tightly than `above`.
    fn binary(&mut self, above: u8) -> Result<Expr> {
        self.enter()?;
        let mut left = self.unary()?;
        while let TokenKind::Symbol(symbol) = self.token().kind
            && !self.token().begins_line
            && let Some((operator, binds)) = Operator::of(symbol)
            && binds > above
        {
            self.next();
            let right = self.binary(binds)?;
            let span = left.span.to(right.span);
            let depth = left.depth.max(right.depth);
            let kind = ExprKind::Binary(operator, left.into(), right.into());
            left = deeper(kind, span, depth)?;
        }
        self.nested -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        let start = self.token().span;
        let is_not = self.is("not") || self.is("!");
        if !is_not && !self.is("-") {
            return self.postfix();
        }
        self.next();
        self.enter()?;
        let of = self.unary()?;
        self.nested -= 1;
        let (span, depth) = (start.to(of.span), of.depth);
        let kind = match is_not {
            true => ExprKind::Not(of.into()),
            false => ExprKind::Negate(of.into()),
        };
        deeper(kind, span, depth)
    }

    fn postfix(&mut self) -> Result<Expr> {
        let mut expr = self.primary()?;
        while self.is("[") && !self.token().begins_line {
            self.next();
            let index = self.expr()?;
            let span = expr.span.to(self.expect("]")?);
            let depth = expr.depth.max(index.depth);
            expr = deeper(ExprKind::Index(expr.into(), index.into()), span, depth)?;
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr> {
        let token = self.token().clone();
        let leaf = |kind| Expr {
            kind,
            span: token.span,
            depth: 0,
        };
        match token.kind {
            TokenKind::Number(number) => {
                self.next();
                Ok(leaf(ExprKind::Number(number)))
            }
            TokenKind::Text(text) => {
                self.next();
                Ok(leaf(ExprKind::Text(text)))
            }
            TokenKind::Symbol(word @ ("true" | "false")) => {
                self.next();
                let value = f64::from(u8::from(word == "true"));
                Ok(leaf(ExprKind::Number(value)))
            }
            TokenKind::Name(text) => {
                self.next();
                if !self.is("(") || self.token().begins_line {
                    return Ok(leaf(ExprKind::Name(text)));
                }
                let name = Name {
                    text,
                    span: token.span,
                };
                let (arguments, end, depth) = self.list("(", ")")?;
                let kind = ExprKind::Call(name, arguments);
                deeper(kind, token.span.to(end), depth)
            }
            TokenKind::Symbol("[") => {
                let (items, end, depth) = self.list("[", "]")?;
                deeper(ExprKind::List(items), token.span.to(end), depth)
            }
            TokenKind::Symbol("(") => {
                self.next();
                let mut inner = self.expr()?;
                inner.span = token.span.to(self.expect(")")?);
                Ok(inner)
            }
            TokenKind::Symbol("if") => self.if_(),
            _ => Err(self.unexpected("an expression")),
        }
    }

    fn if_(&mut self) -> Result<Expr> {
        let start = self.expect("if")?;
        self.enter()?;
        let condition = self.expr()?;
        let then = self.block()?;
        let mut end = then.span;
        let mut otherwise = None;
        let mut depth = condition.depth.max(then.depth);
        if self.eat("else") {
            let block = match self.is("if") {
                true => {
                    let inner = self.if_()?;
                    Block {
                        span: inner.span,
                        depth: inner.depth,
                        statements: vec![Statement::Expr(inner)],
                    }
                }
                false => self.block()?,
            };
            end = block.span;
            depth = depth.max(block.depth);
            otherwise = Some(block);
        }
        self.nested -= 1;
        let kind = ExprKind::If(condition.into(), then, otherwise);
        deeper(kind, start.to(end), depth)
    }

    /// Expressions between brackets, where the last bracket stands, and how deep the deepest is.
    fn list(&mut self, open: &str, close: &str) -> Result<(Vec<Expr>, Span, u32)> {
        self.expect(open)?;
        let mut all = Vec::new();
        while !self.is(close) {
            all.push(self.expr()?);
            if !self.eat(",") {
                break;
            }
        }
        let depth = all.iter().map(|expr| expr.depth).max().unwrap_or(0);
        Ok((all, self.expect(close)?, depth))
    }
}

/// An expression around others, of which the deepest has this depth. Long chains of operators are deep too.
fn deeper(kind: ExprKind, span: Span, depth: u32) -> Result<Expr> {
    match depth >= 2 * MOST_NESTED {
        true => Err(Mistake::new(span, "this expression is too long")),
        false => Ok(Expr {
            kind,
            span,
            depth: depth + 1,
        }),
    }
}
