//! Reads expressions in mangled names of C++: values of templates' arguments, and types and constraints that are computed.

use super::node::{Node, NodeId, Operator, Precedence};
use super::parse::Parser;

/// What follows an operator's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Prefix,
    /// An operator behind its operand, or in front of it if a mark follows.
    Postfix,
    Binary,
    Member,
    Index,
    Call,
    Conditional,
    /// A type, and what becomes of that type.
    Cast,
    Conversion,
    /// Something about a type.
    OfType,
    /// Something about a value.
    OfValue,
}

impl Parser<'_> {
    /// An expression.
    pub(super) fn expression(&mut self) -> Option<NodeId> {
        self.deeper(Self::any_expression)
    }

    fn any_expression(&mut self) -> Option<NodeId> {
        if self.eat_two(b"gs") {
            let name = self.unresolved_name(true)?;
            return Some(name);
        }
        let code = [self.peek(0), self.peek(1)];
        if let Some((form, operator)) = operator(code) {
            self.at += 2;
            return self.operation(form, operator);
        }
        match &code {
            [b'L', _] => self.literal(),
            [b'T', _] => self.parameter(),
            b"fp" => self.function_parameter(),
            [b'f', b'L'] if self.peek(2).is_ascii_digit() => self.function_parameter(),
            [b'f', _] => self.fold(),
            b"il" => {
                self.at += 2;
                let items = self.expressions()?;
                Some(self.add(Node::Braces(None, items)))
            }
            b"tl" => {
                self.at += 2;
                let of = self.ty()?;
                let items = self.expressions()?;
                Some(self.add(Node::Braces(Some(of), items)))
            }
            b"sp" => {
                self.at += 2;
                let of = self.expression()?;
                Some(self.add(Node::Expansion(of)))
            }
            b"sZ" => {
                self.at += 2;
                let of = match self.peek(0) {
                    b'T' => self.parameter()?,
                    _ => self.function_parameter()?,
                };
                let all = self.add(Node::Expansion(of));
                Some(self.add(Node::Enclosed("sizeof...", all, Precedence::PRIMARY)))
            }
            [b'u', _] => {
                self.at += 1;
                let function = self.source_name()?;
                let begun = self.scratch.len();
                while !self.eat(b'E') {
                    let argument = self.argument()?;
                    self.scratch.push(argument);
                }
                let arguments = self.take_list(begun);
                Some(self.add(Node::Call(function, arguments)))
            }
            _ => self.unresolved_name(false),
        }
    }

    fn operation(&mut self, form: Form, operator: Operator) -> Option<NodeId> {
        let node = match form {
            Form::Prefix => Node::Prefix(operator, self.expression()?),
            Form::Postfix => match self.eat(b'_') {
                true => {
                    let operator = Operator {
                        precedence: Precedence::UNARY,
                        ..operator
                    };
                    Node::Prefix(operator, self.expression()?)
                }
                false => Node::Postfix(operator, self.expression()?),
            },
            Form::Binary => Node::Binary(operator, self.expression()?, self.expression()?),
            Form::Member => Node::Member(operator, self.expression()?, self.expression()?),
            Form::Index => Node::Index(self.expression()?, self.expression()?),
            Form::Call => Node::Call(self.expression()?, self.expressions()?),
            Form::Conditional => {
                let (condition, then) = (self.expression()?, self.expression()?);
                Node::Conditional(condition, then, self.expression()?)
            }
            Form::Cast => Node::Cast(operator.text, self.ty()?, self.expression()?),
            Form::Conversion => {
                let takes_arguments = std::mem::replace(&mut self.takes_arguments, false);
                let to = self.ty();
                self.takes_arguments = takes_arguments;
                let to = to?;
                let values = match self.eat(b'_') {
                    true => self.expressions()?,
                    false => {
                        let value = self.expression()?;
                        self.graph.list(&[value])
                    }
                };
                Node::Convert(to, values)
            }
            Form::OfType => Node::Enclosed(operator.text, self.ty()?, operator.precedence),
            Form::OfValue => Node::Enclosed(operator.text, self.expression()?, operator.precedence),
        };
        Some(self.add(node))
    }

    /// Expressions up to the end of a list.
    fn expressions(&mut self) -> Option<super::node::NodeList> {
        let begun = self.scratch.len();
        while !self.eat(b'E') {
            let value = self.expression()?;
            self.scratch.push(value);
        }
        Some(self.take_list(begun))
    }

    /// A parameter of a function, in what its type is.
    fn function_parameter(&mut self) -> Option<NodeId> {
        if self.text[self.at..].starts_with("fpT") {
            self.at += 3;
            return Some(self.add(Node::Text("this")));
        }
        if self.eat_two(b"fL") {
            self.signed_digits()?;
            self.expect(b'p')?;
        } else if !self.eat_two(b"fp") {
            return None;
        }
        self.qualifiers();
        let number = self.digits();
        self.expect(b'_')?;
        Some(self.add(Node::FunctionParameter(number)))
    }

    /// All of a pack with an operator between.
    fn fold(&mut self) -> Option<NodeId> {
        self.expect(b'f')?;
        let kind = self.peek(0);
        self.at += 1;
        let is_left = matches!(kind, b'l' | b'L');
        let (form, operator) = operator([self.peek(0), self.peek(1)])?;
        let fits = form == Form::Binary || (form == Form::Member && operator.text == "->*");
        if !fits || !matches!(kind, b'l' | b'r' | b'L' | b'R') {
            return None;
        }
        self.at += 2;
        let mut pack = self.expression()?;
        let mut first = match kind {
            b'L' | b'R' => Some(self.expression()?),
            _ => None,
        };
        if is_left && let Some(first) = &mut first {
            std::mem::swap(first, &mut pack);
        }
        let pack = self.add(Node::Expansion(pack));
        Some(self.add(Node::Fold {
            is_left,
            operator: operator.text,
            pack,
            first,
        }))
    }

    /// A name that the template's arguments decide about.
    fn unresolved_name(&mut self, is_global: bool) -> Option<NodeId> {
        let mut so_far = None;
        if self.text[self.at..].starts_with("srN") {
            self.at += 3;
            let mut scope = self.unresolved_scope()?;
            while !self.eat(b'E') {
                let name = self.simple_name()?;
                scope = self.add(Node::Nested(scope, name));
            }
            so_far = Some(scope);
        } else if self.eat_two(b"sr") {
            if self.peek(0).is_ascii_digit() {
                let mut is_global = is_global;
                while so_far.is_none() || !self.eat(b'E') {
                    let name = self.simple_name()?;
                    so_far = Some(match so_far {
                        Some(scope) => self.add(Node::Nested(scope, name)),
                        None if is_global => self.add(Node::Elaborated("::", name)),
                        None => name,
                    });
                    is_global = false;
                }
            } else {
                so_far = Some(self.unresolved_scope()?);
            }
        }
        let name = self.base_name()?;
        Some(match so_far {
            Some(scope) => self.add(Node::Nested(scope, name)),
            None if is_global => self.add(Node::Elaborated("::", name)),
            None => name,
        })
    }

    fn unresolved_scope(&mut self) -> Option<NodeId> {
        let scope = self.unresolved_type()?;
        self.with_arguments(scope)
    }

    fn unresolved_type(&mut self) -> Option<NodeId> {
        let read = match self.peek(0) {
            b'T' => self.parameter()?,
            b'D' => self.decltype()?,
            _ => return self.substitution(),
        };
        self.substitutions.push(read);
        Some(read)
    }

    fn simple_name(&mut self) -> Option<NodeId> {
        let name = self.source_name()?;
        self.with_arguments(name)
    }

    fn with_arguments(&mut self, name: NodeId) -> Option<NodeId> {
        if self.peek(0) != b'I' {
            return Some(name);
        }
        let arguments = self.template_arguments(false)?;
        Some(self.add(Node::Templated(name, arguments)))
    }

    fn base_name(&mut self) -> Option<NodeId> {
        if self.peek(0).is_ascii_digit() {
            return self.simple_name();
        }
        if self.eat_two(b"dn") {
            let class = match self.peek(0).is_ascii_digit() {
                true => self.simple_name()?,
                false => self.unresolved_type()?,
            };
            return Some(self.add(Node::Elaborated("~", class)));
        }
        self.eat_two(b"on");
        let name = self.operator(None)?;
        self.with_arguments(name)
    }

    /// The type of an expression.
    pub(super) fn decltype(&mut self) -> Option<NodeId> {
        if !self.eat_two(b"Dt") && !self.eat_two(b"DT") {
            return None;
        }
        let of = self.expression()?;
        self.expect(b'E')?;
        Some(self.add(Node::Enclosed("decltype", of, Precedence::PRIMARY)))
    }
}

/// What an operator's code stands for.
fn operator(code: [u8; 2]) -> Option<(Form, Operator)> {
    use Form::*;
    let (form, text, precedence) = match &code {
        b"ad" => (Prefix, "&", Precedence::UNARY),
        b"co" => (Prefix, "~", Precedence::UNARY),
        b"de" => (Prefix, "*", Precedence::UNARY),
        b"ng" => (Prefix, "-", Precedence::UNARY),
        b"nt" => (Prefix, "!", Precedence::UNARY),
        b"ps" => (Prefix, "+", Precedence::UNARY),
        b"mm" => (Postfix, "--", Precedence::POSTFIX),
        b"pp" => (Postfix, "++", Precedence::POSTFIX),
        b"dt" => (Member, ".", Precedence::POSTFIX),
        b"pt" => (Member, "->", Precedence::POSTFIX),
        b"ds" => (Member, ".*", Precedence::MEMBER_POINTER),
        b"pm" => (Member, "->*", Precedence::MEMBER_POINTER),
        b"ix" => (Index, "", Precedence::POSTFIX),
        b"cl" => (Call, "", Precedence::POSTFIX),
        b"qu" => (Conditional, "", Precedence::CONDITIONAL),
        b"cv" => (Conversion, "", Precedence::CAST),
        b"cc" => (Cast, "const_cast", Precedence::POSTFIX),
        b"dc" => (Cast, "dynamic_cast", Precedence::POSTFIX),
        b"rc" => (Cast, "reinterpret_cast", Precedence::POSTFIX),
        b"sc" => (Cast, "static_cast", Precedence::POSTFIX),
        b"at" => (OfType, "alignof ", Precedence::UNARY),
        b"az" => (OfValue, "alignof ", Precedence::UNARY),
        b"st" => (OfType, "sizeof ", Precedence::UNARY),
        b"sz" => (OfValue, "sizeof ", Precedence::UNARY),
        b"ti" => (OfType, "typeid ", Precedence::POSTFIX),
        b"te" => (OfValue, "typeid ", Precedence::POSTFIX),
        b"nx" => (OfValue, "noexcept ", Precedence::UNARY),
        b"ml" => (Binary, "*", Precedence::MULTIPLICATIVE),
        b"dv" => (Binary, "/", Precedence::MULTIPLICATIVE),
        b"rm" => (Binary, "%", Precedence::MULTIPLICATIVE),
        b"pl" => (Binary, "+", Precedence::ADDITIVE),
        b"mi" => (Binary, "-", Precedence::ADDITIVE),
        b"ls" => (Binary, "<<", Precedence::SHIFT),
        b"rs" => (Binary, ">>", Precedence::SHIFT),
        b"ss" => (Binary, "<=>", Precedence::THREE_WAY),
        b"lt" => (Binary, "<", Precedence::RELATIONAL),
        b"gt" => (Binary, ">", Precedence::RELATIONAL),
        b"le" => (Binary, "<=", Precedence::RELATIONAL),
        b"ge" => (Binary, ">=", Precedence::RELATIONAL),
        b"eq" => (Binary, "==", Precedence::EQUALITY),
        b"ne" => (Binary, "!=", Precedence::EQUALITY),
        b"an" => (Binary, "&", Precedence::BIT_AND),
        b"eo" => (Binary, "^", Precedence::BIT_XOR),
        b"or" => (Binary, "|", Precedence::BIT_OR),
        b"aa" => (Binary, "&&", Precedence::AND),
        b"oo" => (Binary, "||", Precedence::OR),
        b"cm" => (Binary, ",", Precedence::COMMA),
        b"aS" => (Binary, "=", Precedence::ASSIGN),
        b"pL" => (Binary, "+=", Precedence::ASSIGN),
        b"mI" => (Binary, "-=", Precedence::ASSIGN),
        b"mL" => (Binary, "*=", Precedence::ASSIGN),
        b"dV" => (Binary, "/=", Precedence::ASSIGN),
        b"rM" => (Binary, "%=", Precedence::ASSIGN),
        b"aN" => (Binary, "&=", Precedence::ASSIGN),
        b"oR" => (Binary, "|=", Precedence::ASSIGN),
        b"eO" => (Binary, "^=", Precedence::ASSIGN),
        b"lS" => (Binary, "<<=", Precedence::ASSIGN),
        b"rS" => (Binary, ">>=", Precedence::ASSIGN),
        _ => return None,
    };
    Some((form, Operator { text, precedence }))
}
