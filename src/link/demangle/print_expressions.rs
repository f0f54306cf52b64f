//! Expressions of a mangled name as text, with parentheses where operators that bind less closely want them.

use super::node::{Node, NodeId, Operator, Precedence};
use super::print::Printer;

fn precedence(node: Node<'_>) -> Precedence {
    match node {
        Node::Prefix(operator, _)
        | Node::Postfix(operator, _)
        | Node::Binary(operator, ..)
        | Node::Member(operator, ..) => operator.precedence,
        Node::Index(..) | Node::Call(..) | Node::Cast(..) => Precedence::POSTFIX,
        Node::Conditional(..) => Precedence::CONDITIONAL,
        Node::Convert(..) => Precedence::CAST,
        Node::Enclosed(_, _, precedence) => precedence,
        _ => Precedence::PRIMARY,
    }
}

impl<'a> Printer<'_, 'a> {
    /// An operand, in parentheses if it binds as `limit` or less closely.
    fn operand(&mut self, id: NodeId, limit: Precedence) -> Option<()> {
        let is_loose = precedence(self.graph.get(id)) >= limit;
        if is_loose {
            self.open("(");
        }
        self.both(id)?;
        if is_loose {
            self.close(")");
        }
        Some(())
    }

    pub(super) fn expression(&mut self, node: Node<'a>) -> Option<()> {
        match node {
            Node::Prefix(operator, of) => {
                self.push(operator.text);
                self.operand(of, operator.precedence)?;
            }
            Node::Postfix(operator, of) => {
                self.operand(of, operator.precedence.looser())?;
                self.push(operator.text);
            }
            Node::Binary(operator, left, right) => self.binary(operator, left, right)?,
            Node::Member(operator, of, member) => {
                self.operand(of, operator.precedence.looser())?;
                self.push(operator.text);
                self.operand(member, operator.precedence)?;
            }
            Node::Index(of, at) => {
                self.operand(of, Precedence::POSTFIX)?;
                self.open("[");
                self.both(at)?;
                self.close("]");
            }
            Node::Call(function, arguments) => {
                self.both(function)?;
                self.parenthesized(arguments)?;
            }
            Node::Conditional(condition, then, otherwise) => {
                self.operand(condition, Precedence::CONDITIONAL)?;
                self.push(" ? ");
                self.operand(then, Precedence::ANY)?;
                self.push(" : ");
                self.operand(otherwise, Precedence::ASSIGN.looser())?;
            }
            Node::Cast(how, to, value) => {
                self.push(how);
                let parentheses = std::mem::replace(&mut self.parentheses, 0);
                self.push("<");
                self.both(to)?;
                self.push(">");
                self.parentheses = parentheses;
                self.open("(");
                self.both(value)?;
                self.close(")");
            }
            Node::Convert(to, values) => {
                self.open("(");
                self.both(to)?;
                self.close(")");
                self.parenthesized(values)?;
            }
            Node::Enclosed(what, of, _) => {
                self.push(what);
                self.open("(");
                self.both(of)?;
                self.close(")");
            }
            Node::Braces(of, items) => {
                if let Some(of) = of {
                    self.both(of)?;
                }
                self.push("{");
                self.list(items)?;
                self.push("}");
            }
            Node::FunctionParameter(number) => {
                self.push("fp");
                self.push(number);
            }
            Node::Fold {
                is_left,
                operator,
                pack,
                first,
            } => self.fold(is_left, operator, pack, first)?,
            // All others are written elsewhere.
            _ => return None,
        }
        Some(())
    }

    fn binary(&mut self, operator: Operator, left: NodeId, right: NodeId) -> Option<()> {
        let is_assignment = operator.precedence == Precedence::ASSIGN;
        let (left_limit, right_limit) = match is_assignment {
            true => (Precedence::OR, operator.precedence.looser()),
            false => (operator.precedence.looser(), operator.precedence),
        };
        let would_end = self.parentheses == 0 && matches!(operator.text, ">" | ">>");
        self.unsteady += u32::from(matches!(operator.text, ">" | ">>"));
        if would_end {
            self.open("(");
        }
        self.operand(left, left_limit)?;
        if operator.text != "," {
            self.push(" ");
        }
        self.push(operator.text);
        self.push(" ");
        self.operand(right, right_limit)?;
        if would_end {
            self.close(")");
        }
        Some(())
    }

    fn fold(
        &mut self,
        is_left: bool,
        operator: &str,
        pack: NodeId,
        first: Option<NodeId>,
    ) -> Option<()> {
        let limit = Precedence::CAST.looser();
        self.open("(");
        match (is_left, first) {
            (true, Some(first)) => self.operand(first, limit)?,
            (true, None) => {}
            (false, _) => self.packed(pack)?,
        }
        if !is_left || first.is_some() {
            self.between(operator);
        }
        self.push("...");
        if is_left || first.is_some() {
            self.between(operator);
        }
        match (is_left, first) {
            (true, _) => self.packed(pack)?,
            (false, Some(first)) => self.operand(first, limit)?,
            (false, None) => {}
        }
        self.close(")");
        Some(())
    }

    fn packed(&mut self, pack: NodeId) -> Option<()> {
        self.open("(");
        self.both(pack)?;
        self.close(")");
        Some(())
    }

    fn between(&mut self, operator: &str) {
        self.push(" ");
        self.push(operator);
        self.push(" ");
    }
}
