//! Reads types and the arguments of templates in mangled names of C++.

use super::node::{Node, NodeId, Qualifiers};
use super::parse::Parser;

impl Parser<'_> {
    /// A type.
    pub(super) fn ty(&mut self) -> Option<NodeId> {
        self.deeper(Self::any_type)
    }

    fn any_type(&mut self) -> Option<NodeId> {
        let first = self.peek(0);
        if let Some(name) = builtin(first) {
            self.at += 1;
            return Some(self.add(Node::Text(name)));
        }
        let read = match first {
            b'r' | b'V' | b'K' | b'U' => {
                let begun = self.at;
                self.qualifiers();
                let is_function = self.begins_function();
                self.at = begun;
                match is_function {
                    true => self.function()?,
                    false => self.qualified()?,
                }
            }
            b'D' => match self.type_of_d()? {
                (builtin, true) => return Some(builtin),
                (read, false) => read,
            },
            b'u' => {
                self.at += 1;
                let name = self.bare_name()?;
                match self.eat(b'I') {
                    true => {
                        let of = self.ty()?;
                        self.expect(b'E')?;
                        self.add(Node::Transformed(name, of))
                    }
                    false => self.add(Node::Text(name)),
                }
            }
            b'F' => self.function()?,
            b'A' => self.array()?,
            b'M' => {
                self.at += 1;
                let class = self.ty()?;
                let member = self.ty()?;
                self.add(Node::MemberPointer(class, member))
            }
            b'T' => match self.peek(1) {
                b's' => self.elaborated("struct ")?,
                b'u' => self.elaborated("union ")?,
                b'e' => self.elaborated("enum ")?,
                _ => {
                    let parameter = self.parameter()?;
                    if self.takes_arguments && self.peek(0) == b'I' {
                        self.substitutions.push(parameter);
                        let arguments = self.template_arguments(false)?;
                        self.add(Node::Templated(parameter, arguments))
                    } else {
                        parameter
                    }
                }
            },
            b'P' => {
                self.at += 1;
                let to = self.ty()?;
                self.add(Node::Pointer(to))
            }
            b'R' => {
                self.at += 1;
                let to = self.ty()?;
                self.add(Node::LvalueReference(to))
            }
            b'O' => {
                self.at += 1;
                let to = self.ty()?;
                self.add(Node::RvalueReference(to))
            }
            b'C' | b'G' => {
                self.at += 1;
                let of = self.ty()?;
                let word = if first == b'C' {
                    "complex"
                } else {
                    "imaginary"
                };
                self.add(Node::Worded(of, word, None))
            }
            b'S' if self.peek(1) != b't' => {
                let name = self.substitution()?;
                if self.peek(0) != b'I' || !self.takes_arguments {
                    return Some(name);
                }
                let arguments = self.template_arguments(false)?;
                self.add(Node::Templated(name, arguments))
            }
            _ => self.name(None)?,
        };
        self.substitutions.push(read);
        Some(read)
    }

    /// A type that begins with a D, and whether nothing can name it again.
    fn type_of_d(&mut self) -> Option<(NodeId, bool)> {
        let name = match self.peek(1) {
            b'd' => "decimal64",
            b'e' => "decimal128",
            b'f' => "decimal32",
            b'h' => "half",
            b'i' => "char32_t",
            b's' => "char16_t",
            b'u' => "char8_t",
            b'a' => "auto",
            b'c' => "decltype(auto)",
            b'n' => "std::nullptr_t",
            b'F' if self.text[self.at..].starts_with("DF16_") => {
                self.at += 5;
                return Some((self.add(Node::Text("_Float16")), true));
            }
            b'B' | b'U' => {
                let is_signed = self.peek(1) == b'B';
                self.at += 2;
                let bits = self.number()?;
                self.expect(b'_')?;
                return Some((self.add(Node::BitInt(bits, is_signed)), true));
            }
            b'p' => {
                self.at += 2;
                let of = self.ty()?;
                return Some((self.add(Node::Expansion(of)), false));
            }
            b'v' => {
                self.at += 2;
                let count = self.number()?;
                self.expect(b'_')?;
                let of = self.ty()?;
                return Some((self.add(Node::Vector(of, count)), false));
            }
            b'o' => return Some((self.function()?, false)),
            b't' | b'T' => return Some((self.decltype()?, false)),
            // What is rarer.
            _ => return None,
        };
        self.at += 2;
        Some((self.add(Node::Text(name)), true))
    }

    fn number(&mut self) -> Option<NodeId> {
        let digits = self.digits();
        (!digits.is_empty()).then(|| self.add(Node::Text(digits)))
    }

    fn elaborated(&mut self, word: &'static str) -> Option<NodeId> {
        self.at += 2;
        let name = self.name(None)?;
        Some(self.add(Node::Elaborated(word, name)))
    }

    fn qualified(&mut self) -> Option<NodeId> {
        self.deeper(|parser| {
            if parser.eat(b'U') {
                let word = parser.bare_name()?;
                let arguments = match parser.peek(0) {
                    b'I' => Some(parser.template_arguments(false)?),
                    _ => None,
                };
                let of = parser.qualified()?;
                return Some(parser.add(Node::Worded(of, word, arguments)));
            }
            let qualifiers = parser.qualifiers();
            let of = parser.ty()?;
            Some(match qualifiers.is_empty() {
                true => of,
                false => parser.add(Node::Qualified(of, qualifiers)),
            })
        })
    }

    fn begins_function(&self) -> bool {
        self.peek(0) == b'F' || (self.peek(0) == b'D' && self.peek(1) == b'o')
    }

    fn function(&mut self) -> Option<NodeId> {
        let mut qualifiers = self.qualifiers();
        let is_noexcept = self.eat_two(b"Do");
        self.expect(b'F')?;
        // It is C's.
        self.eat(b'Y');
        let result = self.ty()?;
        let begun = self.scratch.len();
        loop {
            if self.eat(b'E') {
                break;
            }
            if self.eat(b'v') {
                continue;
            }
            if self.eat_two(b"RE") {
                qualifiers = qualifiers.with(Qualifiers::LVALUE);
                break;
            }
            if self.eat_two(b"OE") {
                qualifiers = qualifiers.with(Qualifiers::RVALUE);
                break;
            }
            let parameter = self.ty()?;
            self.scratch.push(parameter);
        }
        let parameters = self.take_list(begun);
        Some(self.add(Node::Function {
            result,
            parameters,
            qualifiers,
            is_noexcept,
        }))
    }

    fn array(&mut self) -> Option<NodeId> {
        self.expect(b'A')?;
        let count = match self.peek(0) {
            b'_' => None,
            b'0'..=b'9' => Some(self.number()?),
            _ => Some(self.expression()?),
        };
        self.expect(b'_')?;
        let of = self.ty()?;
        Some(self.add(Node::Array(of, count)))
    }

    /// A parameter of a template.
    pub(super) fn parameter(&mut self) -> Option<NodeId> {
        self.expect(b'T')?;
        let mut level = 0;
        if self.eat(b'L') {
            level = self.digits().parse::<usize>().ok()?.checked_add(1)?;
            self.expect(b'_')?;
        }
        let mut number = 0;
        if !self.eat(b'_') {
            number = self.digits().parse::<usize>().ok()?.checked_add(1)?;
            self.expect(b'_')?;
        }
        if self.is_forward && level == 0 {
            let place = self.graph.forwards.len();
            self.graph.forwards.push(None);
            self.forward_numbers.push((place, number));
            return Some(self.add(Node::Forward(place as u32)));
        }
        let arguments = self.arguments.get(level).and_then(Option::as_ref);
        if let Some(argument) = arguments.and_then(|list| list.get(number)) {
            return Some(*argument);
        }
        if self.auto_level != Some(level) || level > self.arguments.len() {
            return None;
        }
        if level == self.arguments.len() {
            self.arguments.push(None);
        }
        Some(self.add(Node::Text("auto")))
    }

    /// The arguments of a template; `is_own` if parameters further on are of these.
    pub(super) fn template_arguments(&mut self, is_own: bool) -> Option<NodeId> {
        self.expect(b'I')?;
        if is_own {
            self.arguments.clear();
            self.arguments.push(Some(Vec::new()));
        }
        let begun = self.scratch.len();
        while !self.eat(b'E') {
            // What it must fulfil is not written.
            if self.eat(b'Q') {
                self.expression()?;
                self.expect(b'E')?;
                break;
            }
            let argument = self.argument()?;
            self.scratch.push(argument);
            if !is_own {
                continue;
            }
            let meant = match self.graph.get(argument) {
                Node::Pack(items) => self.add(Node::PackParameter(items)),
                _ => argument,
            };
            self.arguments.first_mut()?.as_mut()?.push(meant);
        }
        let list = self.take_list(begun);
        Some(self.add(Node::Arguments(list)))
    }

    pub(super) fn argument(&mut self) -> Option<NodeId> {
        self.deeper(|parser| match parser.peek(0) {
            b'J' => {
                parser.at += 1;
                let begun = parser.scratch.len();
                while !parser.eat(b'E') {
                    let argument = parser.argument()?;
                    parser.scratch.push(argument);
                }
                let items = parser.take_list(begun);
                Some(parser.add(Node::Pack(items)))
            }
            b'L' => parser.literal(),
            b'X' => {
                parser.at += 1;
                let value = parser.expression()?;
                parser.expect(b'E')?;
                Some(value)
            }
            b'T' if matches!(parser.peek(1), b'y' | b'n' | b'k' | b't' | b'p') => {
                parser.declared_parameter()?;
                parser.argument()
            }
            _ => parser.ty(),
        })
    }

    /// What a parameter is, in front of an argument that would be read as another kind without it. It is not written.
    fn declared_parameter(&mut self) -> Option<()> {
        self.deeper(|parser| {
            let kind = parser.peek(1);
            parser.at += 2;
            match kind {
                b'y' => {}
                b'n' => {
                    parser.ty()?;
                }
                b'p' => parser.declared_parameter()?,
                b'k' => {
                    parser.name(None)?;
                }
                _ => {
                    while !parser.eat(b'E') {
                        (parser.peek(0) == b'T').then_some(())?;
                        parser.declared_parameter()?;
                    }
                }
            }
            Some(())
        })
    }

    /// A value that is an argument.
    pub(super) fn literal(&mut self) -> Option<NodeId> {
        self.expect(b'L')?;
        if self.eat_two(b"_Z") || self.eat(b'Z') {
            let named = self.encoding()?;
            self.expect(b'E')?;
            return Some(named);
        }
        let of = match self.peek(0) {
            b'b' if matches!(self.peek(1), b'0' | b'1') && self.peek(2) == b'E' => {
                let word = if self.peek(1) == b'1' {
                    "true"
                } else {
                    "false"
                };
                self.at += 3;
                return Some(self.add(Node::Text(word)));
            }
            b'D' if self.peek(1) == b'n' => {
                self.at += 2;
                self.eat(b'0');
                self.expect(b'E')?;
                return Some(self.add(Node::Text("nullptr")));
            }
            b'w' => "wchar_t",
            b'c' => "char",
            b'a' => "signed char",
            b'h' => "unsigned char",
            b's' => "short",
            b't' => "unsigned short",
            b'i' => "",
            b'j' => "u",
            b'l' => "l",
            b'm' => "ul",
            b'x' => "ll",
            b'y' => "ull",
            b'n' => "__int128",
            b'o' => "unsigned __int128",
            b'A' => {
                let of = self.ty()?;
                self.expect(b'E')?;
                return Some(self.add(Node::TextOfType(of)));
            }
            // Neither fractions nor lambdas.
            b'f' | b'd' | b'e' | b'g' | b'U' | b'T' | b'b' => return None,
            _ => {
                let of = self.ty()?;
                let digits = self.signed_digits()?;
                self.expect(b'E')?;
                return Some(self.add(Node::EnumNumber(of, digits)));
            }
        };
        self.at += 1;
        let digits = self.signed_digits()?;
        self.expect(b'E')?;
        Some(self.add(Node::Number(of, digits)))
    }
}

fn builtin(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'v' => "void",
        b'w' => "wchar_t",
        b'b' => "bool",
        b'c' => "char",
        b'a' => "signed char",
        b'h' => "unsigned char",
        b's' => "short",
        b't' => "unsigned short",
        b'i' => "int",
        b'j' => "unsigned int",
        b'l' => "long",
        b'm' => "unsigned long",
        b'x' => "long long",
        b'y' => "unsigned long long",
        b'n' => "__int128",
        b'o' => "unsigned __int128",
        b'f' => "float",
        b'd' => "double",
        b'e' => "long double",
        b'g' => "__float128",
        b'z' => "...",
        _ => return None,
    })
}
