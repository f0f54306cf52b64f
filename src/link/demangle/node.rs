//! What a mangled name of C++ says, as a graph: substitutions and parameters of templates are named more than once. It
//! knows neither how names are read nor how they are written.

use std::num::NonZero;

/// A node of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(NonZero<u32>);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Some nodes of a [`Graph`], in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeList {
    start: u32,
    len: u32,
}

/// `const`, `volatile`, `restrict`, and what an object must be that a member function is called on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Qualifiers(u8);

impl Qualifiers {
    pub(super) const CONST: Qualifiers = Qualifiers(1);
    pub(super) const VOLATILE: Qualifiers = Qualifiers(2);
    pub(super) const RESTRICT: Qualifiers = Qualifiers(4);
    pub(super) const LVALUE: Qualifiers = Qualifiers(8);
    pub(super) const RVALUE: Qualifiers = Qualifiers(16);

    /// In the order in which they are written.
    pub(super) const WORDS: [(Qualifiers, &'static str); 5] = [
        (Qualifiers::CONST, " const"),
        (Qualifiers::VOLATILE, " volatile"),
        (Qualifiers::RESTRICT, " restrict"),
        (Qualifiers::LVALUE, " &"),
        (Qualifiers::RVALUE, " &&"),
    ];

    pub(super) fn has(self, other: Qualifiers) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn with(self, other: Qualifiers) -> Qualifiers {
        Qualifiers(self.0 | other.0)
    }
}

/// A name or type of the standard library that has an abbreviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standard {
    /// What it is written as.
    pub(super) text: &'static str,
    /// What it is written as where it is the class of its own constructor.
    pub(super) in_full: &'static str,
    /// The name of that constructor.
    pub(super) base: &'static str,
}

/// How closely an operator binds: the less, the closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence(u8);

impl Precedence {
    pub(super) const PRIMARY: Precedence = Precedence(0);
    pub(super) const POSTFIX: Precedence = Precedence(1);
    pub(super) const UNARY: Precedence = Precedence(2);
    pub(super) const CAST: Precedence = Precedence(3);
    pub(super) const MEMBER_POINTER: Precedence = Precedence(4);
    pub(super) const MULTIPLICATIVE: Precedence = Precedence(5);
    pub(super) const ADDITIVE: Precedence = Precedence(6);
    pub(super) const SHIFT: Precedence = Precedence(7);
    pub(super) const THREE_WAY: Precedence = Precedence(8);
    pub(super) const RELATIONAL: Precedence = Precedence(9);
    pub(super) const EQUALITY: Precedence = Precedence(10);
    pub(super) const BIT_AND: Precedence = Precedence(11);
    pub(super) const BIT_XOR: Precedence = Precedence(12);
    pub(super) const BIT_OR: Precedence = Precedence(13);
    pub(super) const AND: Precedence = Precedence(14);
    pub(super) const OR: Precedence = Precedence(15);
    pub(super) const CONDITIONAL: Precedence = Precedence(16);
    pub(super) const ASSIGN: Precedence = Precedence(17);
    pub(super) const COMMA: Precedence = Precedence(18);
    pub(super) const ANY: Precedence = Precedence(19);

    /// The next that binds less closely.
    pub(super) fn looser(self) -> Precedence {
        Precedence(self.0 + 1)
    }
}

/// An operator of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) text: &'static str,
    pub(super) precedence: Precedence,
}

/// What can stand in a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'a> {
    Text(&'a str),
    /// A scope, and what is in it.
    Nested(NodeId, NodeId),
    /// A class, and a function that is defined in it as a friend.
    Friend(NodeId, NodeId),
    /// A function, and what is local to it.
    Local(NodeId, NodeId),
    /// A template, and its arguments.
    Templated(NodeId, NodeId),
    Arguments(NodeList),
    /// Several arguments that stand for one parameter.
    Pack(NodeList),
    /// A parameter that several arguments stand for: one of them, in turn, where it is expanded.
    PackParameter(NodeList),
    Expansion(NodeId),
    /// A parameter whose argument is further on in the name; a place in [`Graph::forwards`].
    Forward(u32),
    Standard(&'static Standard),
    /// The same as the class of its own constructor.
    StandardInFull(&'static Standard),
    Pointer(NodeId),
    LvalueReference(NodeId),
    RvalueReference(NodeId),
    /// A class, and the type of what the pointer points to in it.
    MemberPointer(NodeId, NodeId),
    Qualified(NodeId, Qualifiers),
    /// A type with a word behind it, and the word's arguments.
    Worded(NodeId, &'a str, Option<NodeId>),
    /// A type that the compiler makes of another one.
    Transformed(&'a str, NodeId),
    /// A type or name with something in front.
    Elaborated(&'static str, NodeId),
    Array(NodeId, Option<NodeId>),
    Vector(NodeId, NodeId),
    BitInt(NodeId, bool),
    Function {
        result: NodeId,
        parameters: NodeList,
        qualifiers: Qualifiers,
        is_noexcept: bool,
    },
    /// A function with its type.
    Encoding {
        result: Option<NodeId>,
        name: NodeId,
        parameters: NodeList,
        qualifiers: Qualifiers,
        /// Values of what says when it is there.
        conditions: Option<NodeList>,
        constraint: Option<NodeId>,
    },
    /// Something that the compiler made for another thing.
    MadeFor(&'static str, NodeId),
    /// The table with which the second is constructed as a part of the first.
    ConstructionTable(NodeId, NodeId),
    Constructor(NodeId),
    Destructor(NodeId),
    Conversion(NodeId),
    LiteralOperator(NodeId),
    /// A lambda by its parameters and its number.
    Lambda(NodeList, &'a str),
    /// A type without a name, by its number.
    Unnamed(&'a str),
    /// Names that are bound together.
    Binding(NodeList),
    /// With a tag of its interface.
    Tagged(NodeId, &'a str),
    /// A number of a type that is written as a suffix or, if it is longer, in front.
    Number(&'static str, &'a str),
    /// A number of another type.
    EnumNumber(NodeId, &'a str),
    /// Text by its type.
    TextOfType(NodeId),
    /// What was made of a function by an optimiser.
    Suffixed(NodeId, &'a str),
    Prefix(Operator, NodeId),
    Postfix(Operator, NodeId),
    Binary(Operator, NodeId, NodeId),
    Member(Operator, NodeId, NodeId),
    Index(NodeId, NodeId),
    Call(NodeId, NodeList),
    Conditional(NodeId, NodeId, NodeId),
    /// A named cast: its name, the type and the value.
    Cast(&'static str, NodeId, NodeId),
    Convert(NodeId, NodeList),
    /// Something about what stands in parentheses.
    Enclosed(&'static str, NodeId, Precedence),
    /// A list of values, with the type of what it initialises.
    Braces(Option<NodeId>, NodeList),
    /// A parameter of a function by its number.
    FunctionParameter(&'a str),
    Fold {
        is_left: bool,
        operator: &'static str,
        pack: NodeId,
        first: Option<NodeId>,
    },
}

/// Nodes, of which none refers to one that comes later but by [`Node::Forward`].
pub(super) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    lists: Vec<NodeId>,
    /// What parameters mean whose arguments are further on.
    pub(super) forwards: Vec<Option<NodeId>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new() -> Graph<'a> {
        Graph {
            nodes: Vec::with_capacity(64),
            lists: Vec::with_capacity(32),
            forwards: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, node: Node<'a>) -> NodeId {
        self.nodes.push(node);
        NodeId(NonZero::<u32>::MIN.saturating_add(self.nodes.len() as u32 - 1))
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn list(&mut self, items: &[NodeId]) -> NodeList {
        let start = self.lists.len() as u32;
        self.lists.extend_from_slice(items);
        NodeList {
            start,
            len: items.len() as u32,
        }
    }

    pub(super) fn get(&self, id: NodeId) -> Node<'a> {
        self.nodes[id.index()]
    }

    pub(super) fn items(&self, list: NodeList) -> &[NodeId] {
        &self.lists[list.start as usize..][..list.len as usize]
    }
}
