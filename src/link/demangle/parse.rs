//! Reads mangled names of C++, as the Itanium C++ ABI has them: names and what they belong to. Types and expressions have
//! files of their own. What is no mangled name, or has something in it that is not read, is `None`.

use super::node::{Graph, Node, NodeId, Qualifiers, Standard};

/// How deep things may stand in each other: what is written by people is far from it, and each level takes a piece of the
/// stack.
const MOST_DEPTH: u32 = 768;
/// An attribute of functions.
const ENABLE_IF: &str = "Ua9enable_ifI";

/// What a name says about the function that it is of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NameFacts {
    /// Whether it is a constructor, a destructor or a conversion: these have no result.
    is_without_result: bool,
    /// Only templates' functions say what their result is.
    ends_with_arguments: bool,
    pub(super) qualifiers: Qualifiers,
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) graph: Graph<'a>,
    /// What a name can name again.
    pub(super) substitutions: Vec<NodeId>,
    /// The arguments of the templates around, by level. `None` where a lambda's own parameters have no arguments.
    pub(super) arguments: Vec<Option<Vec<NodeId>>>,
    /// The level at which parameters are `auto`.
    pub(super) auto_level: Option<usize>,
    /// Whether arguments may come behind parameters: in a conversion they belong to the operator.
    pub(super) takes_arguments: bool,
    /// Whether parameters are of arguments that come later.
    pub(super) is_forward: bool,
    /// Such parameters: places in [`Graph::forwards`], and their numbers.
    pub(super) forward_numbers: Vec<(usize, usize)>,
    /// Lists that are being read.
    pub(super) scratch: Vec<NodeId>,
    depth: u32,
}

static STANDARD: [(u8, Standard); 6] = [
    (
        b'a',
        standard("std::allocator", "std::allocator", "allocator"),
    ),
    (
        b'b',
        standard("std::basic_string", "std::basic_string", "basic_string"),
    ),
    (
        b's',
        standard(
            "std::string",
            "std::basic_string<char, std::char_traits<char>, std::allocator<char>>",
            "basic_string",
        ),
    ),
    (
        b'i',
        standard(
            "std::istream",
            "std::basic_istream<char, std::char_traits<char>>",
            "basic_istream",
        ),
    ),
    (
        b'o',
        standard(
            "std::ostream",
            "std::basic_ostream<char, std::char_traits<char>>",
            "basic_ostream",
        ),
    ),
    (
        b'd',
        standard(
            "std::iostream",
            "std::basic_iostream<char, std::char_traits<char>>",
            "basic_iostream",
        ),
    ),
];

const fn standard(text: &'static str, in_full: &'static str, base: &'static str) -> Standard {
    Standard {
        text,
        in_full,
        base,
    }
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Parser<'a> {
        Parser {
            text,
            at: 0,
            graph: Graph::new(),
            substitutions: Vec::with_capacity(32),
            arguments: Vec::new(),
            auto_level: None,
            takes_arguments: true,
            is_forward: false,
            forward_numbers: Vec::new(),
            scratch: Vec::new(),
            depth: 0,
        }
    }

    /// The byte at a distance from here; 0 where there is none.
    #[inline]
    pub(super) fn peek(&self, distance: usize) -> u8 {
        let byte = self.text.as_bytes().get(self.at + distance);
        byte.copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek(0) == byte && self.at < self.text.len();
        self.at += usize::from(is_there);
        is_there
    }

    #[inline]
    pub(super) fn eat_two(&mut self, bytes: &[u8; 2]) -> bool {
        let is_there = self.text.as_bytes()[self.at..].starts_with(bytes);
        self.at += if is_there { 2 } else { 0 };
        is_there
    }

    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.eat(byte).then_some(())
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> NodeId {
        self.graph.add(node)
    }

    /// Reads something one level deeper.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let read = if self.depth > MOST_DEPTH {
            None
        } else {
            read(self)
        };
        self.depth -= 1;
        read
    }

    /// The whole of a mangled name.
    pub(super) fn whole(&mut self) -> Option<NodeId> {
        if !self.eat_two(b"_Z") {
            return None;
        }
        let mut name = self.encoding()?;
        if self.peek(0) == b'.' {
            let suffix = &self.text[self.at..];
            self.at = self.text.len();
            name = self.add(Node::Suffixed(name, suffix));
        }
        (self.at == self.text.len()).then_some(name)
    }

    /// A function with its parameters, data, or something that the compiler made.
    pub(super) fn encoding(&mut self) -> Option<NodeId> {
        // The parameters of a function around are others.
        let arguments = std::mem::take(&mut self.arguments);
        let read = self.deeper(|parser| match parser.peek(0) {
            b'G' | b'T' => parser.made(),
            _ => parser.function_or_data(),
        });
        self.arguments = arguments;
        read
    }

    fn ends(&self) -> bool {
        self.at == self.text.len() || matches!(self.peek(0), b'E' | b'.' | b'_')
    }

    fn function_or_data(&mut self) -> Option<NodeId> {
        let mut facts = NameFacts::default();
        let before = std::mem::take(&mut self.forward_numbers);
        let name = self.name(Some(&mut facts));
        let forwards = std::mem::replace(&mut self.forward_numbers, before);
        let name = name?;
        for (place, number) in forwards {
            let meant = self.arguments.first()?.as_ref()?.get(number)?;
            self.graph.forwards[place] = Some(*meant);
        }
        if self.ends() {
            return Some(name);
        }
        let conditions = match self.text[self.at..].starts_with(ENABLE_IF) {
            true => {
                self.at += ENABLE_IF.len();
                let begun = self.scratch.len();
                while !self.eat(b'E') {
                    let condition = self.argument()?;
                    self.scratch.push(condition);
                }
                Some(self.take_list(begun))
            }
            false => None,
        };
        let result = match !facts.is_without_result && facts.ends_with_arguments {
            true => Some(self.ty()?),
            false => None,
        };
        let begun = self.scratch.len();
        if !self.eat(b'v') {
            loop {
                let parameter = self.ty()?;
                self.scratch.push(parameter);
                if self.ends() || self.peek(0) == b'Q' {
                    break;
                }
            }
        }
        let parameters = self.take_list(begun);
        let constraint = match self.eat(b'Q') {
            true => Some(self.expression()?),
            false => None,
        };
        Some(self.add(Node::Encoding {
            result,
            name,
            parameters,
            qualifiers: facts.qualifiers,
            conditions,
            constraint,
        }))
    }

    /// What was put into `scratch` since it was `begun` long, as a list.
    pub(super) fn take_list(&mut self, begun: usize) -> super::node::NodeList {
        let list = self.graph.list(&self.scratch[begun..]);
        self.scratch.truncate(begun);
        list
    }

    /// What the compiler made for something.
    fn made(&mut self) -> Option<NodeId> {
        let (first, second) = (self.peek(0), self.peek(1));
        self.at = (self.at + 2).min(self.text.len());
        let (word, of) = match (first, second) {
            (b'T', b'V') => ("vtable for ", self.ty()?),
            (b'T', b'T') => ("VTT for ", self.ty()?),
            (b'T', b'I') => ("typeinfo for ", self.ty()?),
            (b'T', b'S') => ("typeinfo name for ", self.ty()?),
            (b'T', b'A') => ("template parameter object for ", self.argument()?),
            (b'T', b'W') => ("thread-local wrapper routine for ", self.name(None)?),
            (b'T', b'H') => ("thread-local initialization routine for ", self.name(None)?),
            (b'T', b'c') => {
                self.call_offset()?;
                self.call_offset()?;
                ("covariant return thunk to ", self.encoding()?)
            }
            (b'T', b'C') => {
                let within = self.ty()?;
                self.signed_digits()?;
                self.expect(b'_')?;
                let of = self.ty()?;
                return Some(self.add(Node::ConstructionTable(within, of)));
            }
            (b'T', b'h' | b'v') => {
                self.at -= 1;
                self.call_offset()?;
                let word = match second {
                    b'v' => "virtual thunk to ",
                    _ => "non-virtual thunk to ",
                };
                (word, self.encoding()?)
            }
            (b'G', b'V') => ("guard variable for ", self.name(None)?),
            (b'G', b'R') => {
                let name = self.name(None)?;
                let is_numbered = self.sequence_number().is_some();
                if !self.eat(b'_') && is_numbered {
                    return None;
                }
                ("reference temporary for ", name)
            }
            _ => return None,
        };
        Some(self.add(Node::MadeFor(word, of)))
    }

    fn call_offset(&mut self) -> Option<()> {
        let is_virtual = self.peek(0) == b'v';
        if !self.eat(b'h') {
            self.expect(b'v')?;
        }
        self.signed_digits()?;
        self.expect(b'_')?;
        if is_virtual {
            self.signed_digits()?;
            self.expect(b'_')?;
        }
        Some(())
    }

    /// The name of anything.
    pub(super) fn name(&mut self, facts: Option<&mut NameFacts>) -> Option<NodeId> {
        self.deeper(|parser| match parser.peek(0) {
            b'N' => parser.nested_name(facts),
            b'Z' => parser.local_name(facts),
            _ => {
                let mut facts = facts;
                let (mut name, is_known) = parser.unscoped_name(facts.as_deref_mut())?;
                if parser.peek(0) == b'I' {
                    if !is_known {
                        parser.substitutions.push(name);
                    }
                    let arguments = parser.template_arguments(facts.is_some())?;
                    if let Some(facts) = facts {
                        facts.ends_with_arguments = true;
                    }
                    name = parser.add(Node::Templated(name, arguments));
                } else if is_known {
                    return None;
                }
                Some(name)
            }
        })
    }

    /// A name of the global or the standard's scope, or a substitution; and whether it is one.
    pub(super) fn unscoped_name(
        &mut self,
        facts: Option<&mut NameFacts>,
    ) -> Option<(NodeId, bool)> {
        let mut scope = None;
        if self.eat_two(b"St") {
            scope = Some(self.add(Node::Text("std")));
        } else if self.peek(0) == b'S' {
            return Some((self.substitution()?, true));
        }
        Some((self.unqualified_name(facts, scope)?, false))
    }

    fn nested_name(&mut self, mut facts: Option<&mut NameFacts>) -> Option<NodeId> {
        self.expect(b'N')?;
        let mut qualifiers = self.qualifiers();
        if self.eat(b'O') {
            qualifiers = qualifiers.with(Qualifiers::RVALUE);
        } else if self.eat(b'R') {
            qualifiers = qualifiers.with(Qualifiers::LVALUE);
        }
        if let Some(facts) = &mut facts {
            facts.qualifiers = qualifiers;
        }
        let mut so_far: Option<NodeId> = None;
        while !self.eat(b'E') {
            if let Some(facts) = &mut facts {
                facts.ends_with_arguments = false;
            }
            let next = match self.peek(0) {
                b'T' if so_far.is_none() => self.parameter()?,
                b'D' if so_far.is_none() && matches!(self.peek(1), b't' | b'T') => {
                    self.decltype()?
                }
                b'I' => {
                    let template = so_far?;
                    let arguments = self.template_arguments(facts.is_some())?;
                    if matches!(self.graph.get(template), Node::Templated(..)) {
                        return None;
                    }
                    if let Some(facts) = &mut facts {
                        facts.ends_with_arguments = true;
                    }
                    self.add(Node::Templated(template, arguments))
                }
                b'S' if so_far.is_none() => {
                    so_far = Some(match self.eat_two(b"St") {
                        true => self.add(Node::Text("std")),
                        false => self.substitution()?,
                    });
                    continue;
                }
                _ => self.unqualified_name(facts.as_deref_mut(), so_far)?,
            };
            so_far = Some(next);
            self.substitutions.push(next);
            // It is initialised where it is a member.
            self.eat(b'M');
        }
        // The whole of it is none, unless it is nothing but one.
        let name = so_far?;
        self.substitutions.pop()?;
        Some(name)
    }

    /// A name within a function.
    fn local_name(&mut self, facts: Option<&mut NameFacts>) -> Option<NodeId> {
        self.expect(b'Z')?;
        let is_own = facts.is_some();
        let function = self.encoding()?;
        self.expect(b'E')?;
        let name = match self.peek(0) {
            b's' => {
                self.at += 1;
                self.discriminator();
                self.add(Node::Text("string literal"))
            }
            b'd' => {
                self.at += 1;
                self.signed_digits();
                self.expect(b'_')?;
                self.name(facts)?
            }
            _ => {
                let name = self.name(facts)?;
                self.discriminator();
                name
            }
        };
        // LLVM knows no template parameters in the types of what stands within a function.
        if is_own {
            self.arguments.clear();
        }
        Some(self.add(Node::Local(function, name)))
    }

    /// Tells local names apart, and is not written.
    fn discriminator(&mut self) {
        let begun = self.at;
        let is_read = match self.eat(b'_') {
            true if self.peek(0).is_ascii_digit() => {
                self.at += 1;
                true
            }
            true => self.eat(b'_') && !self.digits().is_empty() && self.eat(b'_'),
            // Some have the number alone, at the end.
            false => self.digits().is_empty() || self.at == self.text.len(),
        };
        if !is_read {
            self.at = begun;
        }
    }

    /// A name in a scope.
    fn unqualified_name(
        &mut self,
        facts: Option<&mut NameFacts>,
        scope: Option<NodeId>,
    ) -> Option<NodeId> {
        let is_friend = scope.is_some() && self.eat(b'F');
        self.eat(b'L');
        let name = match self.peek(0) {
            b'1'..=b'9' => self.source_name()?,
            b'U' => self.unnamed()?,
            b'D' if self.peek(1) == b'C' => self.binding()?,
            b'C' | b'D' => return self.constructor(facts, scope?),
            _ => self.operator(facts)?,
        };
        let name = self.tags(name)?;
        Some(match scope {
            Some(scope) if is_friend => self.add(Node::Friend(scope, name)),
            Some(scope) => self.add(Node::Nested(scope, name)),
            None => name,
        })
    }

    fn constructor(&mut self, facts: Option<&mut NameFacts>, scope: NodeId) -> Option<NodeId> {
        let scope = match self.graph.get(scope) {
            Node::Standard(class) => self.add(Node::StandardInFull(class)),
            _ => scope,
        };
        if let Some(facts) = facts {
            facts.is_without_result = true;
        }
        let (kind, which) = (self.peek(0), self.peek(1));
        let name = match (kind, which) {
            (b'C', b'1'..=b'5') => self.add(Node::Constructor(scope)),
            (b'D', b'0' | b'1' | b'2' | b'4' | b'5') => self.add(Node::Destructor(scope)),
            _ => return None,
        };
        self.at += 2;
        let name = self.tags(name)?;
        Some(self.add(Node::Nested(scope, name)))
    }

    /// A name with the tags of its interface, if it has some.
    pub(super) fn tags(&mut self, name: NodeId) -> Option<NodeId> {
        let mut name = name;
        while self.eat(b'B') {
            let tag = self.bare_name()?;
            name = self.add(Node::Tagged(name, tag));
        }
        Some(name)
    }

    pub(super) fn source_name(&mut self) -> Option<NodeId> {
        let name = self.bare_name()?;
        let shown = match name.starts_with("_GLOBAL__N") {
            true => "(anonymous namespace)",
            false => name,
        };
        Some(self.add(Node::Text(shown)))
    }

    pub(super) fn bare_name(&mut self) -> Option<&'a str> {
        let mut len = 0_usize;
        while let digit @ b'0'..=b'9' = self.peek(0) {
            len = len.checked_mul(10)?.checked_add((digit - b'0').into())?;
            self.at += 1;
        }
        let name = self.text.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        (len > 0).then_some(name)
    }

    /// A type without a name: a lambda, or another one.
    pub(super) fn unnamed(&mut self) -> Option<NodeId> {
        if self.eat_two(b"Ut") {
            let number = self.digits();
            self.expect(b'_')?;
            return Some(self.add(Node::Unnamed(number)));
        }
        if !self.eat_two(b"Ul") {
            return None;
        }
        // Parameters that are declared, which are rare, are not read.
        let level = self.auto_level.replace(self.arguments.len());
        let depth = self.arguments.len();
        let parameters = self.lambda_parameters();
        self.arguments.truncate(depth);
        self.auto_level = level;
        let parameters = parameters?;
        let number = self.digits();
        self.expect(b'_')?;
        Some(self.add(Node::Lambda(parameters, number)))
    }

    fn lambda_parameters(&mut self) -> Option<super::node::NodeList> {
        let begun = self.scratch.len();
        if !self.eat_two(b"vE") {
            loop {
                let parameter = self.ty()?;
                self.scratch.push(parameter);
                if self.eat(b'E') {
                    break;
                }
            }
        }
        Some(self.take_list(begun))
    }

    /// Names that are bound together.
    fn binding(&mut self) -> Option<NodeId> {
        self.at += 2;
        let begun = self.scratch.len();
        while !self.eat(b'E') {
            let name = self.source_name()?;
            self.scratch.push(name);
        }
        let names = self.take_list(begun);
        Some(self.add(Node::Binding(names)))
    }

    /// The name of an operator.
    pub(super) fn operator(&mut self, facts: Option<&mut NameFacts>) -> Option<NodeId> {
        let code = [self.peek(0), self.peek(1)];
        if let Some(name) = operator_name(code) {
            self.at += 2;
            return Some(self.add(Node::Text(name)));
        }
        match code {
            [b'c', b'v'] => {
                self.at += 2;
                let takes_arguments = std::mem::replace(&mut self.takes_arguments, false);
                let is_forward = self.is_forward;
                self.is_forward = is_forward || facts.is_some();
                let to = self.ty();
                self.takes_arguments = takes_arguments;
                self.is_forward = is_forward;
                let to = to?;
                if let Some(facts) = facts {
                    facts.is_without_result = true;
                }
                Some(self.add(Node::Conversion(to)))
            }
            [b'l', b'i'] => {
                self.at += 2;
                let suffix = self.source_name()?;
                Some(self.add(Node::LiteralOperator(suffix)))
            }
            _ => None,
        }
    }

    /// Something that stands in the name before.
    pub(super) fn substitution(&mut self) -> Option<NodeId> {
        self.expect(b'S')?;
        if self.peek(0).is_ascii_lowercase() {
            let which = self.peek(0);
            let known = STANDARD.iter().find(|(letter, _)| *letter == which)?;
            self.at += 1;
            let name = self.add(Node::Standard(&known.1));
            let tagged = self.tags(name)?;
            if tagged != name {
                self.substitutions.push(tagged);
            }
            return Some(tagged);
        }
        let at = match self.eat(b'_') {
            true => 0,
            false => {
                let number = self.sequence_number()?;
                self.expect(b'_')?;
                number.checked_add(1)?
            }
        };
        self.substitutions.get(at).copied()
    }

    /// A number of digits and capital letters.
    fn sequence_number(&mut self) -> Option<usize> {
        let begun = self.at;
        let mut number = 0_usize;
        while let Some(digit) = char::from(self.peek(0)).to_digit(36) {
            if self.peek(0).is_ascii_lowercase() {
                break;
            }
            number = number.checked_mul(36)?.checked_add(digit as usize)?;
            self.at += 1;
        }
        (self.at > begun).then_some(number)
    }

    /// Digits, of which there may be none.
    pub(super) fn digits(&mut self) -> &'a str {
        let begun = self.at;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        &self.text[begun..self.at]
    }

    /// Digits, of which there is one at least, with a sign if there is one.
    pub(super) fn signed_digits(&mut self) -> Option<&'a str> {
        let begun = self.at;
        self.eat(b'n');
        match self.digits() {
            "" => {
                self.at = begun;
                None
            }
            _ => Some(&self.text[begun..self.at]),
        }
    }

    /// Qualifiers of a type or of a member function.
    pub(super) fn qualifiers(&mut self) -> Qualifiers {
        let mut qualifiers = Qualifiers::default();
        for (letter, which) in [
            (b'r', Qualifiers::RESTRICT),
            (b'V', Qualifiers::VOLATILE),
            (b'K', Qualifiers::CONST),
        ] {
            if self.eat(letter) {
                qualifiers = qualifiers.with(which);
            }
        }
        qualifiers
    }
}

fn operator_name(code: [u8; 2]) -> Option<&'static str> {
    Some(match &code {
        b"nw" => "operator new",
        b"na" => "operator new[]",
        b"dl" => "operator delete",
        b"da" => "operator delete[]",
        b"aw" => "operator co_await",
        b"ps" | b"pl" => "operator+",
        b"ng" | b"mi" => "operator-",
        b"ad" | b"an" => "operator&",
        b"de" | b"ml" => "operator*",
        b"co" => "operator~",
        b"dv" => "operator/",
        b"rm" => "operator%",
        b"or" => "operator|",
        b"eo" => "operator^",
        b"aS" => "operator=",
        b"pL" => "operator+=",
        b"mI" => "operator-=",
        b"mL" => "operator*=",
        b"dV" => "operator/=",
        b"rM" => "operator%=",
        b"aN" => "operator&=",
        b"oR" => "operator|=",
        b"eO" => "operator^=",
        b"ls" => "operator<<",
        b"rs" => "operator>>",
        b"lS" => "operator<<=",
        b"rS" => "operator>>=",
        b"eq" => "operator==",
        b"ne" => "operator!=",
        b"lt" => "operator<",
        b"gt" => "operator>",
        b"le" => "operator<=",
        b"ge" => "operator>=",
        b"ss" => "operator<=>",
        b"nt" => "operator!",
        b"aa" => "operator&&",
        b"oo" => "operator||",
        b"pp" => "operator++",
        b"mm" => "operator--",
        b"cm" => "operator,",
        b"pm" => "operator->*",
        b"pt" => "operator->",
        b"cl" => "operator()",
        b"ix" => "operator[]",
        b"qu" => "operator?",
        _ => return None,
    })
}
