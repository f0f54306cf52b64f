//! A mangled name's graph as text, spelled as LLVM does. A declaration in C++ stands around what it declares: each node has
//! a left part and a right one.

use super::node::{Graph, Node, NodeId, NodeList, Qualifiers};

/// Longer texts are given up: names can be made to expand without end.
const MOST_BYTES: usize = 100_000;
/// Nodes that are written at most, since some are nothing in the text.
const MOST_NODES: u32 = 200_000;
/// How deep nodes stand in each other at most.
const MOST_DEPTH: u32 = 1_000;

pub(super) struct Printer<'g, 'a> {
    pub(super) graph: &'g Graph<'a>,
    out: String,
    /// Which of a pack's arguments is meant, and how many there are, if one is expanded and has been come across.
    pack: Option<(usize, usize)>,
    /// In how many parentheses this is, inside of the innermost arguments of a template: there, `>` ends them otherwise.
    pub(super) parentheses: u32,
    /// By node: from where to where in the text it stands, if it has been written and is the same everywhere.
    written: Vec<(u32, u32)>,
    /// Counts what was written that is another thing elsewhere.
    pub(super) unsteady: u32,
    nodes: u32,
    depth: u32,
}

/// What a type's text depends on beside its left part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Array,
    Function,
}

/// The text of a node; `None` if it is too long.
pub(super) fn print(graph: &Graph<'_>, id: NodeId, expected_bytes: usize) -> Option<String> {
    let mut printer = Printer {
        graph,
        out: String::with_capacity(expected_bytes),
        pack: None,
        parentheses: 1,
        written: vec![(0, 0); graph.len()],
        unsteady: 0,
        nodes: 0,
        depth: 0,
    };
    printer.both(id)?;
    Some(printer.out)
}

impl<'a> Printer<'_, 'a> {
    pub(super) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// All of a node.
    pub(super) fn both(&mut self, id: NodeId) -> Option<()> {
        match self.graph.get(id) {
            Node::Text(text) => {
                self.push(text);
                Some(())
            }
            Node::Nested(..) | Node::Templated(..) => self.qualified_name(id),
            Node::Pointer(_)
            | Node::LvalueReference(_)
            | Node::RvalueReference(_)
            | Node::MemberPointer(..)
            | Node::Qualified(..)
            | Node::Array(..)
            | Node::Function { .. }
            | Node::Encoding { .. }
            | Node::Forward(_)
            | Node::PackParameter(_) => {
                self.left(id)?;
                self.right(id)
            }
            // All others have nothing on the right.
            _ => self.left(id),
        }
    }

    /// A name in a scope, or with arguments. What has been written before is copied: such names stand in others many times.
    fn qualified_name(&mut self, id: NodeId) -> Option<()> {
        let (from, to) = self.written[id.index()];
        if to > 0 {
            self.out.extend_from_within(from as usize..to as usize);
            return (self.out.len() <= MOST_BYTES).then_some(());
        }
        self.enter()?;
        let (from, unsteady) = (self.out.len() as u32, self.unsteady);
        match self.graph.get(id) {
            Node::Nested(scope, name) => {
                self.both(scope)?;
                self.push("::");
                self.both(name)?;
            }
            Node::Templated(name, arguments) => {
                self.both(name)?;
                self.both(arguments)?;
            }
            _ => return None,
        }
        self.depth -= 1;
        if unsteady == self.unsteady {
            self.written[id.index()] = (from, self.out.len() as u32);
        }
        Some(())
    }

    /// Takes back what was written behind a place.
    fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
        let written = self.written.iter_mut();
        written
            .filter(|(_, to)| *to as usize > len)
            .for_each(|place| *place = (0, 0));
    }

    /// Behind a parameter, what stands for it here.
    #[inline(always)]
    fn resolve(&mut self, id: NodeId) -> Option<NodeId> {
        match self.graph.get(id) {
            Node::Forward(_) | Node::PackParameter(_) => self.resolve_parameter(id),
            _ => Some(id),
        }
    }

    fn resolve_parameter(&mut self, mut id: NodeId) -> Option<NodeId> {
        // A parameter can only be behind others of conversions, which could name each other.
        for _ in 0..8 {
            id = match self.graph.get(id) {
                Node::Forward(at) => self.graph.forwards[at as usize]?,
                Node::PackParameter(list) => {
                    self.unsteady += 1;
                    let items = self.graph.items(list);
                    let (at, _) = *self.pack.get_or_insert((0, items.len()));
                    match items.get(at) {
                        Some(item) => *item,
                        None => return Some(id),
                    }
                }
                _ => return Some(id),
            };
        }
        None
    }

    /// What the innermost type is that pointers lead to, if `through_pointers`, or that qualifiers belong to.
    fn shape(&mut self, id: NodeId, through_pointers: bool) -> Option<Shape> {
        let mut id = self.resolve(id)?;
        loop {
            let inner = match self.graph.get(id) {
                Node::Array(..) => return Some(Shape::Array),
                Node::Function { .. } | Node::Encoding { .. } => return Some(Shape::Function),
                Node::Qualified(of, _) => of,
                Node::Pointer(to)
                | Node::LvalueReference(to)
                | Node::RvalueReference(to)
                | Node::MemberPointer(_, to)
                    if through_pointers =>
                {
                    to
                }
                _ => return Some(Shape::Plain),
            };
            id = self.resolve(inner)?;
        }
    }

    pub(super) fn list(&mut self, list: NodeList) -> Option<()> {
        let graph = self.graph;
        let mut is_first = true;
        for &id in graph.items(list) {
            let before = self.out.len();
            if !is_first {
                self.push(", ");
            }
            let begun = self.out.len();
            self.both(id)?;
            // An empty pack is nothing, and has no comma.
            if self.out.len() == begun {
                self.truncate(before);
            } else {
                is_first = false;
            }
        }
        Some(())
    }

    pub(super) fn parenthesized(&mut self, list: NodeList) -> Option<()> {
        self.open("(");
        self.list(list)?;
        self.close(")");
        Some(())
    }

    pub(super) fn open(&mut self, text: &str) {
        self.parentheses += 1;
        self.push(text);
    }

    pub(super) fn close(&mut self, text: &str) {
        self.parentheses -= 1;
        self.push(text);
    }

    fn qualifiers(&mut self, qualifiers: Qualifiers) {
        if qualifiers.is_empty() {
            return;
        }
        for (which, word) in Qualifiers::WORDS {
            if qualifiers.has(which) {
                self.push(word);
            }
        }
    }

    /// Notes that a node is written.
    fn enter(&mut self) -> Option<()> {
        self.nodes += 1;
        self.depth += 1;
        let fits =
            self.nodes <= MOST_NODES && self.depth <= MOST_DEPTH && self.out.len() <= MOST_BYTES;
        fits.then_some(())
    }

    /// What stands in front of what is declared.
    fn left(&mut self, id: NodeId) -> Option<()> {
        self.enter()?;
        let id = self.resolve(id)?;
        match self.graph.get(id) {
            Node::Text(text) => self.push(text),
            Node::Standard(name) => self.push(name.text),
            Node::StandardInFull(name) => self.push(name.in_full),
            Node::Nested(..) | Node::Templated(..) => self.qualified_name(id)?,
            Node::Local(scope, name) => {
                self.around("", scope, "::")?;
                self.both(name)?;
            }
            Node::Arguments(list) => {
                let parentheses = std::mem::replace(&mut self.parentheses, 0);
                self.push("<");
                self.list(list)?;
                self.push(">");
                self.parentheses = parentheses;
            }
            Node::Pack(list) => self.list(list)?,
            // One that is empty.
            Node::PackParameter(_) | Node::Forward(_) => {}
            Node::Expansion(of) => self.expansion(of)?,
            Node::Pointer(_)
            | Node::LvalueReference(_)
            | Node::RvalueReference(_)
            | Node::MemberPointer(..)
            | Node::Qualified(..)
            | Node::Array(..)
            | Node::Function { .. } => self.left_of_type(id)?,
            Node::Encoding { result, name, .. } => {
                if let Some(result) = result {
                    self.left(result)?;
                    if self.shape(result, true)? == Shape::Plain {
                        self.push(" ");
                    }
                }
                self.both(name)?;
            }
            other => self.plain(other)?,
        }
        self.depth -= 1;
        Some(())
    }

    /// What has nothing on the right, and is rarer.
    #[inline(never)]
    fn plain(&mut self, node: Node<'a>) -> Option<()> {
        match node {
            Node::Worded(of, word, arguments) => {
                self.both(of)?;
                self.push(" ");
                self.push(word);
                if let Some(arguments) = arguments {
                    self.both(arguments)?;
                }
            }
            Node::Elaborated(word, of) | Node::MadeFor(word, of) => self.around(word, of, "")?,
            Node::Vector(of, count) => {
                self.both(of)?;
                self.around(" vector[", count, "]")?;
            }
            Node::BitInt(bits, true) => self.around("_BitInt(", bits, ")")?,
            Node::BitInt(bits, false) => self.around("unsigned _BitInt(", bits, ")")?,
            Node::ConstructionTable(within, of) => {
                self.around("construction vtable for ", of, "-in-")?;
                self.both(within)?;
            }
            Node::Number(of, digits) => {
                // Longer than a suffix: a type of its own.
                let is_suffix = of.len() <= 3;
                if !is_suffix {
                    self.push("(");
                    self.push(of);
                    self.push(")");
                }
                self.number(digits);
                if is_suffix {
                    self.push(of);
                }
            }
            Node::EnumNumber(of, digits) => {
                self.around("(", of, ")")?;
                self.number(digits);
            }
            Node::Transformed(how, of) => {
                self.push(how);
                self.open("(");
                self.both(of)?;
                self.close(")");
            }
            Node::TextOfType(of) => self.around("\"<", of, ">\"")?,
            Node::Suffixed(name, suffix) => {
                self.both(name)?;
                self.push(" (");
                self.push(suffix);
                self.push(")");
            }
            other => self.name(other)?,
        }
        Some(())
    }

    /// A name that is not just a word.
    fn name(&mut self, node: Node<'a>) -> Option<()> {
        match node {
            Node::Constructor(class) => self.base_name(class)?,
            Node::Destructor(class) => {
                self.push("~");
                self.base_name(class)?;
            }
            Node::Conversion(to) => self.around("operator ", to, "")?,
            Node::LiteralOperator(suffix) => self.around("operator\"\" ", suffix, "")?,
            Node::Lambda(parameters, number) => {
                self.push("'lambda");
                self.push(number);
                self.push("'");
                self.parenthesized(parameters)?;
            }
            Node::Unnamed(number) => {
                self.push("'unnamed");
                self.push(number);
                self.push("'");
            }
            Node::Binding(names) => {
                self.push("[");
                self.list(names)?;
                self.push("]");
            }
            Node::Tagged(name, tag) => {
                self.both(name)?;
                self.push("[abi:");
                self.push(tag);
                self.push("]");
            }
            Node::Friend(class, name) => {
                self.around("", class, "::friend ")?;
                self.both(name)?;
            }
            other => self.expression(other)?,
        }
        Some(())
    }

    fn around(&mut self, before: &str, of: NodeId, behind: &str) -> Option<()> {
        self.push(before);
        self.both(of)?;
        self.push(behind);
        Some(())
    }

    fn left_of_type(&mut self, id: NodeId) -> Option<()> {
        match self.graph.get(id) {
            Node::Pointer(to) => self.left_of_pointer(to, "*")?,
            Node::LvalueReference(to) | Node::RvalueReference(to) => {
                let (to, sign) = self.referred(id, to)?;
                self.left_of_pointer(to, sign)?;
            }
            Node::MemberPointer(class, member) => {
                self.left(member)?;
                let is_plain = self.shape(member, false)? == Shape::Plain;
                self.push(if is_plain { " " } else { "(" });
                self.both(class)?;
                self.push("::*");
            }
            Node::Qualified(of, qualifiers) => {
                self.left(of)?;
                self.qualifiers(qualifiers);
            }
            Node::Array(of, _) => self.left(of)?,
            Node::Function { result, .. } => {
                self.left(result)?;
                self.push(" ");
            }
            _ => {}
        }
        Some(())
    }

    fn left_of_pointer(&mut self, to: NodeId, sign: &str) -> Option<()> {
        self.left(to)?;
        match self.shape(to, false)? {
            Shape::Plain => {}
            Shape::Array => self.push(" ("),
            Shape::Function => self.push("("),
        }
        self.push(sign);
        Some(())
    }

    /// What stands behind what is declared.
    fn right(&mut self, id: NodeId) -> Option<()> {
        let id = self.resolve(id)?;
        if let Node::Text(_) | Node::Nested(..) | Node::Templated(..) = self.graph.get(id) {
            return Some(());
        }
        self.enter()?;
        match self.graph.get(id) {
            Node::Pointer(to) => self.right_of_pointer(to)?,
            Node::LvalueReference(to) | Node::RvalueReference(to) => {
                let (to, _) = self.referred(id, to)?;
                self.right_of_pointer(to)?;
            }
            Node::MemberPointer(_, to) => self.right_of_pointer(to)?,
            Node::Qualified(of, _) => self.right(of)?,
            Node::Array(of, count) => {
                if !self.out.ends_with(']') {
                    self.push(" ");
                }
                self.open("[");
                if let Some(count) = count {
                    self.both(count)?;
                }
                self.close("]");
                self.right(of)?;
            }
            Node::Function {
                result,
                parameters,
                qualifiers,
                is_noexcept,
            } => {
                self.parenthesized(parameters)?;
                self.right(result)?;
                self.qualifiers(qualifiers);
                if is_noexcept {
                    self.push(" noexcept");
                }
            }
            Node::Encoding {
                result,
                parameters,
                qualifiers,
                conditions,
                constraint,
                ..
            } => {
                self.parenthesized(parameters)?;
                if let Some(result) = result {
                    self.right(result)?;
                }
                self.qualifiers(qualifiers);
                if let Some(conditions) = conditions {
                    self.push(" [enable_if:");
                    self.list(conditions)?;
                    self.push("]");
                }
                if let Some(constraint) = constraint {
                    self.push(" requires ");
                    self.both(constraint)?;
                }
            }
            _ => {}
        }
        self.depth -= 1;
        Some(())
    }

    fn right_of_pointer(&mut self, to: NodeId) -> Option<()> {
        if self.shape(to, false)? != Shape::Plain {
            self.push(")");
        }
        self.right(to)
    }

    /// What a reference refers to when references to references are one, and how it is written.
    fn referred(&mut self, id: NodeId, to: NodeId) -> Option<(NodeId, &'static str)> {
        let mut is_lvalue = matches!(self.graph.get(id), Node::LvalueReference(_));
        let mut to = self.resolve(to)?;
        loop {
            let next = match self.graph.get(to) {
                Node::LvalueReference(next) => {
                    is_lvalue = true;
                    next
                }
                Node::RvalueReference(next) => next,
                _ => return Some((to, if is_lvalue { "&" } else { "&&" })),
            };
            to = self.resolve(next)?;
        }
    }

    /// One after the other, what a pack makes of a pattern.
    fn expansion(&mut self, of: NodeId) -> Option<()> {
        let outer = self.pack.take();
        let begun = self.out.len();
        self.both(of)?;
        match self.pack {
            None => self.push("..."),
            Some((_, 0)) => self.truncate(begun),
            Some((_, count)) => {
                for at in 1..count {
                    self.push(", ");
                    self.pack = Some((at, count));
                    self.both(of)?;
                }
            }
        }
        self.pack = outer;
        Some(())
    }

    fn number(&mut self, digits: &str) {
        match digits.strip_prefix('n') {
            Some(digits) => {
                self.push("-");
                self.push(digits);
            }
            None => self.push(digits),
        }
    }

    /// A class's name without scopes and arguments, which is what its constructors are called.
    fn base_name(&mut self, class: NodeId) -> Option<()> {
        let mut class = class;
        loop {
            class = match self.graph.get(class) {
                Node::Nested(_, name) | Node::Local(_, name) => name,
                Node::Templated(name, _) | Node::Tagged(name, _) => name,
                Node::Text(_) => return self.both(class),
                Node::Standard(name) | Node::StandardInFull(name) => {
                    self.push(name.base);
                    return Some(());
                }
                // Nobody can write such a constructor.
                _ => return Some(()),
            };
        }
    }
}
