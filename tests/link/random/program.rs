//! A C program as data: units, symbols, what defines and what refers to them; and the text of each unit.
//!
//! What it computes never depends on where something stands: addresses are followed and compared, never returned. It
//! always ends: what refers to something stands behind it in one order of all symbols.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Parameters and result of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signature {
    One,
    Two,
    Long,
    Nothing,
}

impl Signature {
    fn declare(self, name: &str) -> String {
        match self {
            Signature::One => format!("unsigned {name}(unsigned a)"),
            Signature::Two => format!("unsigned {name}(unsigned a, unsigned b)"),
            Signature::Long => {
                format!("unsigned long long {name}(unsigned long long a)")
            }
            Signature::Nothing => format!("void {name}(void)"),
        }
    }

    fn call(self, callee: &str) -> String {
        match self {
            Signature::One => format!("r += {callee}(r);"),
            Signature::Two => format!("r ^= {callee}(r, r >> 3);"),
            Signature::Long => format!("r += (unsigned){callee}(r);"),
            Signature::Nothing => format!("{callee}();"),
        }
    }
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Function(Signature),
    Words,
    Constants,
    Local,
    Pointers,
    Functions(Signature),
    Texts,
}

/// How a unit says that it defines a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    Strong,
    Weak,
    Static,
    /// One of those of which the linker takes one (in C++ only).
    Inline,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Mix(u32, u32),
    Call(usize),
    /// A call through a variable that the compiler must not look into.
    Through(usize),
    Read(usize),
    Write(usize, u32),
    Follow(usize),
    Indirect(usize),
    Same(usize, usize),
    /// Goes over the data of a section, from one symbol of the linker to another.
    Section,
    /// Compares addresses that the linker gives.
    Memory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    Body(Vec<Statement>),
    Words(Vec<u32>),
    Pointers(Vec<(usize, u32)>),
    Functions(Vec<usize>),
    Texts(Vec<String>),
    /// What a function returns when the program begins (in C++ only).
    Computed(usize),
    /// The same as another symbol of the unit.
    Alias(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub unit: usize,
    pub binding: Binding,
    pub contents: Contents,
}

#[derive(Debug, Clone)]
pub struct Symbol {
    pub name: String,
    /// Where it stands in the order in which things refer to others.
    pub order: u64,
    pub kind: Kind,
    /// How many elements data has: a power of two.
    pub elements: usize,
    pub definitions: Vec<Definition>,
    pub import: Option<(String, String)>,
    pub export: Option<String>,
    pub constructor: Option<u32>,
    /// Other attributes of its definitions.
    pub attributes: BTreeSet<&'static str>,
    /// The unit that alone can refer to it.
    pub only_in: Option<usize>,
}

/// Where a unit's object stands on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Object,
    Archive(usize),
    Lib,
}

#[derive(Debug, Clone)]
pub struct Unit {
    pub is_cpp: bool,
    pub place: Place,
    /// What the compiler is told.
    pub flags: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Program {
    pub units: Vec<Unit>,
    pub symbols: Vec<Symbol>,
    /// Which units say of which symbols that they need not be there.
    pub weak_references: BTreeSet<(usize, usize)>,
    /// Functions that units take for others.
    pub mistaken: BTreeMap<(usize, usize), Signature>,
    /// The linker's options.
    pub options: Vec<String>,
    /// Whether all members of the first archive are linked.
    pub is_whole: bool,
    pub is_64: bool,
    /// Whether threads share memory, so that units may have thread-local data. Such a program cannot be run here, only be
    /// compared. (Without that, wasm-ld 19 finds thread-local data at twice its address.)
    pub is_shared: bool,
}

impl Program {
    /// Which symbols a definition names.
    pub fn named(definition: &Definition) -> Vec<usize> {
        match &definition.contents {
            Contents::Body(statements) => {
                let named = statements.iter().flat_map(|statement| match statement {
                    Statement::Mix(..) | Statement::Section | Statement::Memory => vec![],
                    Statement::Call(id)
                    | Statement::Through(id)
                    | Statement::Read(id)
                    | Statement::Write(id, _)
                    | Statement::Follow(id)
                    | Statement::Indirect(id) => vec![*id],
                    Statement::Same(table, function) => vec![*table, *function],
                });
                named.collect()
            }
            Contents::Pointers(all) => all.iter().map(|(id, _)| *id).collect(),
            Contents::Functions(all) => all.clone(),
            Contents::Alias(id) | Contents::Computed(id) => vec![*id],
            Contents::Words(_) | Contents::Texts(_) => vec![],
        }
    }

    pub fn is_defined_in(&self, id: usize, unit: usize) -> bool {
        self.symbols[id]
            .definitions
            .iter()
            .any(|it| it.unit == unit)
    }

    /// The source of a unit.
    pub fn text(&self, unit: usize) -> String {
        let mut order: Vec<usize> = (0..self.symbols.len()).collect();
        order.sort_by_key(|id| self.symbols[*id].order);
        let definitions: Vec<(usize, &Definition)> = order
            .iter()
            .flat_map(|id| {
                let all = self.symbols[*id].definitions.iter();
                all.filter(|it| it.unit == unit).map(|it| (*id, it))
            })
            .collect();
        let named = definitions.iter().flat_map(|(_, it)| Program::named(it));
        let named: BTreeSet<usize> = named.collect();
        let mut text = String::new();
        let has = |wanted: Statement| {
            definitions
                .iter()
                .any(|(_, it)| matches!(&it.contents, Contents::Body(all) if all.contains(&wanted)))
        };
        if self.units[unit].is_cpp {
            text.push_str("extern \"C\" {\n");
        }
        if has(Statement::Section) {
            text.push_str("extern unsigned __start_special[], __stop_special[];\n");
        }
        if has(Statement::Memory) {
            text.push_str("extern char __heap_base, __data_end, __global_base;\n");
        }
        for id in named {
            if !self.is_defined_in(id, unit) {
                let _ = writeln!(text, "extern {};", self.declaration(unit, id));
            }
        }
        for (id, definition) in definitions {
            self.define(&mut text, id, definition);
        }
        if self.units[unit].is_cpp {
            text.push_str("}\n");
        }
        text
    }

    fn declaration(&self, unit: usize, id: usize) -> String {
        let symbol = &self.symbols[id];
        let mut text = match (symbol.kind, self.mistaken(unit, id)) {
            (Kind::Function(_), Some(other)) => other.declare(&symbol.name),
            _ => self.plain(id),
        };
        if self.weak_references.contains(&(unit, id)) {
            text.push_str(" __attribute__((weak))");
        }
        if let Some((module, name)) = &symbol.import {
            let _ = write!(
                text,
                " __attribute__((import_module(\"{module}\"), import_name(\"{name}\")))"
            );
        }
        text
    }

    /// A declaration without attributes.
    fn plain(&self, id: usize) -> String {
        let symbol = &self.symbols[id];
        let (name, n) = (&symbol.name, symbol.elements);
        match symbol.kind {
            Kind::Function(signature) => signature.declare(name),
            Kind::Words => format!("unsigned {name}[{n}]"),
            Kind::Constants => format!("const unsigned {name}[{n}]"),
            Kind::Local => format!("__thread unsigned {name}[{n}]"),
            Kind::Pointers => format!("const unsigned *{name}[{n}]"),
            Kind::Functions(signature) => signature.declare(&format!("(*{name}[{n}])")),
            Kind::Texts => format!("const char *{name}[{n}]"),
        }
    }

    fn define(&self, text: &mut String, id: usize, definition: &Definition) {
        let symbol = &self.symbols[id];
        let plain = self.plain(id);
        let mut attributes = Vec::new();
        if definition.binding == Binding::Weak {
            attributes.push("weak".to_owned());
        }
        if let Some(name) = &symbol.export {
            attributes.push(format!("export_name(\"{name}\")"));
        }
        if let Some(priority) = symbol.constructor {
            attributes.push(match priority {
                65535 => "constructor".to_owned(),
                _ => format!("constructor({priority})"),
            });
        }
        let is_static = definition.binding == Binding::Static;
        for attribute in &symbol.attributes {
            if !(is_static && attribute.starts_with("visibility")) {
                attributes.push((*attribute).to_owned());
            }
        }
        if let Contents::Alias(target) = definition.contents {
            attributes.push(format!("alias(\"{}\")", self.symbols[target].name));
            let list = attributes.join(", ");
            let _ = writeln!(text, "extern {plain} __attribute__(({list}));");
            return;
        }
        let attributes = match attributes.is_empty() {
            true => String::new(),
            false => format!("__attribute__(({})) ", attributes.join(", ")),
        };
        let storage = match definition.binding {
            Binding::Static => "static ",
            Binding::Inline => "inline ",
            Binding::Strong | Binding::Weak => {
                let _ = writeln!(text, "extern {plain};");
                ""
            }
        };
        let list = |items: Vec<String>| format!("{{{}}}", items.join(", "));
        let value = match &definition.contents {
            Contents::Body(statements) => {
                let _ = writeln!(text, "{attributes}{storage}{plain} {{");
                self.body(text, id, definition.unit, statements);
                text.push_str("}\n");
                return;
            }
            Contents::Words(words) if words.iter().all(|word| *word == 0) => "{0}".to_owned(),
            Contents::Words(words) => list(words.iter().map(|word| format!("{word}u")).collect()),
            Contents::Pointers(all) => list(
                all.iter()
                    .map(|(id, at)| {
                        let target = &self.symbols[*id];
                        // The target may have become shorter.
                        format!("{} + {}", target.name, *at as usize % target.elements)
                    })
                    .collect(),
            ),
            Contents::Functions(all) => {
                let Kind::Functions(signature) = symbol.kind else {
                    unreachable!("functions are in tables of functions")
                };
                let cast = signature.declare("(*)");
                let name = |id: &usize| match self.may_have_an_address(definition.unit, *id) {
                    true => format!("({cast}){}", self.symbols[*id].name),
                    false => "0".to_owned(),
                };
                list(all.iter().map(name).collect())
            }
            Contents::Texts(all) => list(all.iter().map(|it| format!("\"{it}\"")).collect()),
            Contents::Computed(id) => {
                let name = &self.symbols[*id].name;
                match self.signature(definition.unit, *id) {
                    Signature::Two => format!("{{{name}(6, 7)}}"),
                    Signature::One | Signature::Long => format!("{{(unsigned){name}(5)}}"),
                    Signature::Nothing => format!("{{({name}(), 5u)}}"),
                }
            }
            Contents::Alias(_) => unreachable!("aliases were written above"),
        };
        let _ = writeln!(text, "{attributes}{storage}{plain} = {value};");
    }

    fn body(&self, text: &mut String, id: usize, unit: usize, statements: &[Statement]) {
        let Kind::Function(own) = self.symbols[id].kind else {
            unreachable!("functions have bodies")
        };
        let first = match own {
            Signature::One => "a",
            Signature::Two => "a * 5 + b",
            Signature::Long => "(unsigned)(a ^ (a >> 32))",
            Signature::Nothing => "1",
        };
        let _ = writeln!(text, "  unsigned r = {first};");
        for statement in statements {
            let line = self.statement(unit, statement);
            let _ = writeln!(text, "  {line}");
        }
        text.push_str(match own {
            Signature::Nothing => "",
            Signature::Long => "  return r * 4294967299ull;\n",
            _ => "  return r;\n",
        });
    }

    fn statement(&self, unit: usize, statement: &Statement) -> String {
        let name = |id: &usize| &self.symbols[*id].name;
        let mask = |id: &usize| self.symbols[*id].elements - 1;
        let (id, line) = match statement {
            Statement::Mix(a, b) => return format!("r = r * {a}u + {b}u;"),
            Statement::Section => {
                return "for (unsigned *p = __start_special; p != __stop_special; p++) r = r * 31 + *p;".to_owned();
            }
            Statement::Memory => {
                return "r = r * 7 + (&__heap_base >= &__data_end) + ((unsigned long)&__heap_base % 16 == 0) + (&__data_end >= &__global_base);".to_owned();
            }
            Statement::Call(id) => (id, self.signature(unit, *id).call(name(id))),
            Statement::Through(id) => {
                let signature = self.signature(unit, *id);
                let declare = signature.declare("(*volatile p)");
                let call = signature.call("p");
                (id, format!("{{ {declare} = {}; {call} }}", name(id)))
            }
            Statement::Read(id) => {
                let element = format!("{}[r & {}]", name(id), mask(id));
                (
                    id,
                    match self.symbols[*id].kind {
                        Kind::Texts => format!(
                            "r = r * 33 + (unsigned){element}[0] * 256 + (unsigned){element}[1];"
                        ),
                        _ => format!("r ^= {element};"),
                    },
                )
            }
            Statement::Write(id, n) => {
                let at = *n as usize & mask(id);
                (
                    id,
                    format!("{}[{at}] = {}[{at}] * 3 + r + {n}u;", name(id), name(id)),
                )
            }
            Statement::Follow(id) => (id, format!("r += *{}[r & {}];", name(id), mask(id))),
            Statement::Indirect(id) => {
                let Kind::Functions(signature) = self.symbols[*id].kind else {
                    unreachable!("only tables of functions are called through")
                };
                (
                    id,
                    signature.call(&format!("{}[r & {}]", name(id), mask(id))),
                )
            }
            Statement::Same(table, function) => {
                let (table_name, mask) = (name(table), mask(table));
                if !self.may_have_an_address(unit, *function) {
                    return "r = r * 3;".to_owned();
                }
                (
                    table,
                    format!(
                        "r = r * 3 + ((void *){table_name}[r & {mask}] == (void *){});",
                        name(function)
                    ),
                )
            }
        };
        match self.weak_references.contains(&(unit, *id)) && !self.is_defined_in(*id, unit) {
            true => format!("if ({}) {{ {line} }}", name(id)),
            false => line,
        }
    }

    /// Whether both linkers mean the same by a function's address. That of one which nothing defines is null here. wasm-ld 19
    /// gives such a function a place in the table if it meets the address before a call, or in a position-independent object,
    /// where null is found all the same.
    fn may_have_an_address(&self, unit: usize, function: usize) -> bool {
        let is_weak = self.weak_references.contains(&(unit, function));
        is_weak || !self.symbols[function].definitions.is_empty()
    }

    /// What a unit takes a function for.
    fn signature(&self, unit: usize, id: usize) -> Signature {
        let Kind::Function(signature) = self.symbols[id].kind else {
            unreachable!("only functions are called")
        };
        match self.is_defined_in(id, unit) {
            true => signature,
            false => self.mistaken(unit, id).unwrap_or(signature),
        }
    }

    /// What a unit takes a function for by mistake, if it does. Where a reference from a library links the member of a
    /// library that defines it, wasm-ld 19 does not compare their types, nor where a weak reference had waited for that member:
    /// what comes of that is invalid or, where such a call leaves as many values on the stack, valid by chance. Here it is a
    /// function that traps, as it is everywhere else.
    fn mistaken(&self, unit: usize, id: usize) -> Option<Signature> {
        let is_in_library = |unit: usize| self.units[unit].place != Place::Object;
        let mut definitions = self.symbols[id].definitions.iter();
        let may_wait = is_in_library(unit) || self.weak_references.contains(&(unit, id));
        let is_compared = !may_wait || !definitions.any(|it| is_in_library(it.unit));
        let signature = self.mistaken.get(&(unit, id)).copied();
        signature.filter(|_| is_compared)
    }
}
