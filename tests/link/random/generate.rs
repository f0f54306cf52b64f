//! Random programs, and random edits of them.

use std::collections::{BTreeMap, BTreeSet};

use super::program::{
    Binding, Contents, Definition, Kind, Place, Program, Signature, Statement, Symbol, Unit,
};
use crate::support::smith::Rng;

/// How much may be executed for one call, about, in statements.
const MOST_WORK: u64 = 120;

pub struct Generator {
    pub rng: Rng,
    pub program: Program,
}

const LEVELS: [&[&str]; 4] = [&["-O0"], &["-O1"], &["-O2"], &["-Os"]];

impl Generator {
    pub fn new(seed: u64) -> Generator {
        let program = Program {
            units: Vec::new(),
            symbols: Vec::new(),
            weak_references: BTreeSet::new(),
            mistaken: BTreeMap::new(),
            options: Vec::new(),
            is_whole: false,
            // Not at random, so that these are what they are whatever else is made.
            is_64: seed % 16 == 3,
            is_shared: seed % 16 == 11,
        };
        let mut made = Generator {
            rng: Rng::new(seed),
            program,
        };
        // Seeds that follow one another are not to begin alike.
        made.rng.next();
        made.units();
        for _ in 0..6 + made.rng.below(14) {
            made.add_symbol();
        }
        made.options();
        for _ in 0..made.rng.below(3) {
            made.change_weak_reference();
        }
        if made.rng.once_in(8) {
            made.mistake();
        }
        made
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.rng.below(all.len())].clone()
    }

    fn units(&mut self) {
        let level = self.pick(&LEVELS);
        let is_apart = !self.rng.once_in(4);
        let is_pic = self.rng.once_in(4);
        let is_mixed = self.rng.once_in(4);
        let is_debug = self.rng.once_in(6);
        let is_hidden = self.rng.once_in(3);
        let has_archives = self.rng.once_in(3);
        let has_libs = self.rng.once_in(6);
        self.program.is_whole = self.rng.once_in(6);
        for at in 0..2 + self.rng.below(5) {
            let mut flags = level.to_vec();
            if is_mixed {
                flags = self.pick(&LEVELS).to_vec();
            }
            if is_apart {
                flags.extend(["-ffunction-sections", "-fdata-sections"]);
            }
            if is_pic || (is_mixed && self.rng.once_in(3)) {
                flags.extend(["-mrelocation-model", "pic", "-pic-level", "2"]);
                flags.extend(["-target-feature", "+mutable-globals"]);
            }
            if self.program.is_shared {
                flags.extend(["-target-feature", "+atomics"]);
                flags.extend(["-target-feature", "+bulk-memory"]);
            }
            if is_debug {
                flags.extend(["-debug-info-kind=constructor", "-dwarf-version=4"]);
            }
            if is_hidden {
                flags.push("-fvisibility=hidden");
            }
            let place = match at {
                0 => Place::Object,
                _ if has_archives && !self.rng.once_in(3) => Place::Archive(self.rng.below(2)),
                _ if has_libs && self.rng.once_in(2) => Place::Lib,
                _ => Place::Object,
            };
            let is_cpp = self.rng.once_in(3);
            self.program.units.push(Unit {
                is_cpp,
                place,
                flags,
            });
        }
    }

    fn kind(&mut self) -> Kind {
        let signature = self.signature();
        match self.rng.below(20) {
            0..11 => Kind::Function(signature),
            11..14 if self.program.is_shared && self.rng.once_in(2) => Kind::Local,
            11..14 => Kind::Words,
            14 => Kind::Constants,
            15 | 16 => Kind::Pointers,
            17 | 18 => Kind::Functions(signature),
            _ => Kind::Texts,
        }
    }

    pub fn signature(&mut self) -> Signature {
        match self.rng.below(8) {
            0..5 => Signature::One,
            5 => Signature::Two,
            6 => Signature::Long,
            _ => Signature::Nothing,
        }
    }

    /// Adds a symbol somewhere in the order; what it is.
    pub fn add_symbol(&mut self) -> usize {
        let mut kind = self.kind();
        let order = self.rng.next();
        let id = self.program.symbols.len();
        let unit = self.rng.below(self.program.units.len());
        // Tables must have something to be full of.
        let has = |made: &Generator, kinds: &dyn Fn(Kind) -> bool| {
            !made.candidates(order, unit, kinds).is_empty()
        };
        match kind {
            Kind::Pointers if !has(self, &is_words) => kind = Kind::Words,
            Kind::Functions(signature) if !has(self, &|it| it == Kind::Function(signature)) => {
                kind = Kind::Function(signature)
            }
            _ => {}
        }
        let is_function = matches!(kind, Kind::Function(_));
        let mut symbol = Symbol {
            name: format!("{}{id}", if is_function { "f" } else { "d" }),
            order,
            kind,
            elements: 1 << self.rng.below(4),
            definitions: Vec::new(),
            import: None,
            export: None,
            constructor: None,
            attributes: BTreeSet::new(),
            only_in: None,
        };
        if is_function && self.rng.once_in(9) {
            if self.rng.once_in(2) {
                let module = self.pick(&["env", "host"]);
                symbol.import = Some((module.to_owned(), format!("i{}", self.rng.below(12))));
            }
            self.program.symbols.push(symbol);
            return id;
        }
        if is_function {
            symbol.attributes.insert("noinline");
            if self.rng.once_in(8) {
                symbol.export = Some(format!("x{id}"));
            }
            if kind == Kind::Function(Signature::Nothing) && self.rng.once_in(2) {
                symbol.constructor = Some(self.pick(&[65535, 65535, 101, 200, 200]));
            }
        }
        if self.rng.once_in(10) {
            symbol.attributes.insert("visibility(\"hidden\")");
        }
        if self.rng.once_in(14) && !symbol.attributes.contains("visibility(\"hidden\")") {
            symbol.attributes.insert("visibility(\"default\")");
        }
        if self.rng.once_in(14) {
            symbol.attributes.insert("used");
        }
        if self.rng.once_in(14) && matches!(kind, Kind::Words) {
            symbol.attributes.insert("section(\"special\")");
        }
        self.program.symbols.push(symbol);
        let binding = match self.rng.below(10) {
            0..5 => Binding::Strong,
            5 | 6 => Binding::Weak,
            7 if self.program.units[unit].is_cpp => Binding::Inline,
            7 => Binding::Strong,
            _ => Binding::Static,
        };
        self.define(id, unit, binding);
        match binding {
            Binding::Static => self.program.symbols[id].only_in = Some(unit),
            Binding::Weak | Binding::Inline if self.rng.once_in(2) => self.define_again(id),
            _ => {}
        }
        id
    }

    /// Has another unit define a symbol as well.
    pub fn define_again(&mut self, id: usize) {
        let unit = self.rng.below(self.program.units.len());
        let symbol = &self.program.symbols[id];
        if symbol.only_in.is_some()
            || symbol.import.is_some()
            || self.program.is_defined_in(id, unit)
        {
            return;
        }
        let is_inline = symbol
            .definitions
            .iter()
            .any(|it| it.binding == Binding::Inline);
        let has_strong = symbol
            .definitions
            .iter()
            .any(|it| it.binding == Binding::Strong);
        let binding = match is_inline && self.program.units[unit].is_cpp {
            true => Binding::Inline,
            // Now and then there is one too many.
            false if has_strong && !self.rng.once_in(12) => Binding::Weak,
            false if self.rng.once_in(3) => Binding::Weak,
            false => Binding::Strong,
        };
        self.define(id, unit, binding);
    }

    /// Defines a symbol in a unit, if that knows what its contents must refer to.
    pub fn define(&mut self, id: usize, unit: usize, binding: Binding) {
        let symbol = &self.program.symbols[id];
        let is_needed: Option<&dyn Fn(Kind) -> bool> = match &symbol.kind {
            Kind::Pointers => Some(&is_words),
            Kind::Functions(signature) => Some(&|it| it == Kind::Function(*signature)),
            _ => None,
        };
        if is_needed.is_some_and(|kinds| self.candidates(symbol.order, unit, kinds).is_empty()) {
            return;
        }
        let is_cpp = self.program.units[unit].is_cpp;
        if is_cpp && self.program.symbols[id].kind == Kind::Words && self.rng.once_in(6) {
            let order = self.program.symbols[id].order;
            let callees = self.candidates(
                order,
                unit,
                &|it| matches!(it, Kind::Function(signature) if signature != Signature::Nothing),
            );
            if !callees.is_empty() {
                let contents = Contents::Computed(self.pick(&callees));
                self.program.symbols[id].definitions.push(Definition {
                    unit,
                    binding,
                    contents,
                });
                return;
            }
        }
        let can_alias = binding != Binding::Inline && binding != Binding::Static;
        let contents = match can_alias && self.rng.once_in(12) {
            true => self.alias(id, unit),
            false => None,
        };
        let contents = match contents {
            Some(contents) => contents,
            None => self.contents(id, unit),
        };
        self.program.symbols[id].definitions.push(Definition {
            unit,
            binding,
            contents,
        });
    }

    /// Another symbol of the same kind that the unit defines.
    fn alias(&mut self, id: usize, unit: usize) -> Option<Contents> {
        let symbol = &self.program.symbols[id];
        if symbol.constructor.is_some()
            || symbol.kind == Kind::Local
            || symbol.attributes.contains("section(\"special\")")
        {
            return None;
        }
        let order = symbol.order;
        let (kind, elements) = (symbol.kind, symbol.elements);
        let mut targets = self.candidates(order, unit, &|it| it == kind);
        targets.retain(|target| {
            let symbol = &self.program.symbols[*target];
            symbol.elements == elements
                && symbol.definitions.iter().any(|it| {
                    let is_own = !matches!(it.contents, Contents::Alias(_));
                    it.unit == unit && it.binding == Binding::Strong && is_own
                })
        });
        match targets.is_empty() {
            true => None,
            false => Some(Contents::Alias(self.pick(&targets))),
        }
    }

    /// Symbols that something in `unit` at this place of the order can refer to.
    pub fn candidates(&self, order: u64, unit: usize, kinds: &dyn Fn(Kind) -> bool) -> Vec<usize> {
        let all = self.program.symbols.iter().enumerate();
        all.filter(|(_, symbol)| {
            symbol.order < order
                && symbol.only_in.is_none_or(|only| only == unit)
                && kinds(symbol.kind)
        })
        .map(|(id, _)| id)
        .collect()
    }

    pub fn contents(&mut self, id: usize, unit: usize) -> Contents {
        let (order, kind) = (
            self.program.symbols[id].order,
            self.program.symbols[id].kind,
        );
        let n = self.program.symbols[id].elements;
        match kind {
            Kind::Function(_) => Contents::Body(self.body(order, unit)),
            Kind::Words | Kind::Local if self.rng.once_in(3) => Contents::Words(vec![0; n]),
            Kind::Words | Kind::Constants | Kind::Local => {
                Contents::Words((0..n).map(|_| self.rng.below(1000) as u32).collect())
            }
            Kind::Pointers => {
                let targets = self.candidates(order, unit, &is_words);
                let entries = (0..n).map(|_| {
                    let target = self.pick(&targets);
                    let at = self.rng.below(self.program.symbols[target].elements);
                    (target, at as u32)
                });
                Contents::Pointers(entries.collect())
            }
            Kind::Functions(signature) => {
                let is_any = self.rng.once_in(25);
                let targets = self.candidates(order, unit, &|it| match it {
                    Kind::Function(other) => is_any || other == signature,
                    _ => false,
                });
                Contents::Functions((0..n).map(|_| self.pick(&targets)).collect())
            }
            Kind::Texts => {
                const TEXTS: [&str; 6] = ["ab", "xab", "some text", "text", "zz", "another text"];
                Contents::Texts((0..n).map(|_| self.pick(&TEXTS).to_owned()).collect())
            }
        }
    }

    /// About how many statements are executed when this is called.
    fn work(&self, id: usize) -> u64 {
        let symbol = &self.program.symbols[id];
        let works = symbol
            .definitions
            .iter()
            .map(|definition| match &definition.contents {
                Contents::Body(statements) => {
                    let each = statements.iter().map(|statement| match statement {
                        Statement::Call(id) | Statement::Through(id) | Statement::Indirect(id) => {
                            1 + self.work(*id)
                        }
                        _ => 1,
                    });
                    each.sum()
                }
                Contents::Functions(all) => all.iter().map(|id| self.work(*id)).max().unwrap_or(0),
                Contents::Alias(id) => self.work(*id),
                _ => 0,
            });
        works.max().unwrap_or(0)
    }

    fn body(&mut self, order: u64, unit: usize) -> Vec<Statement> {
        let mut statements = vec![self.mix()];
        let mut left = MOST_WORK;
        for _ in 0..1 + self.rng.below(5) {
            let of = |made: &Generator, kinds: &dyn Fn(Kind) -> bool| {
                made.candidates(order, unit, kinds)
            };
            let functions = of(self, &|it| matches!(it, Kind::Function(_)));
            let tables = of(self, &|it| matches!(it, Kind::Functions(_)));
            let readable = of(self, &|it| {
                is_words(it) || it == Kind::Texts || it == Kind::Local
            });
            let writable = of(self, &|it| matches!(it, Kind::Words | Kind::Local));
            let pointers = of(self, &|it| it == Kind::Pointers);
            let statement = match self.rng.below(12) {
                0..4 if !functions.is_empty() => Statement::Call(self.pick(&functions)),
                4 if !functions.is_empty() => Statement::Through(self.pick(&functions)),
                5 if !tables.is_empty() && !functions.is_empty() => {
                    Statement::Same(self.pick(&tables), self.pick(&functions))
                }
                6 | 7 if !tables.is_empty() => Statement::Indirect(self.pick(&tables)),
                8 if !readable.is_empty() => Statement::Read(self.pick(&readable)),
                9 if !writable.is_empty() => {
                    Statement::Write(self.pick(&writable), self.rng.below(100) as u32)
                }
                10 if !pointers.is_empty() => Statement::Follow(self.pick(&pointers)),
                11 if self.rng.once_in(6) => Statement::Section,
                11 if self.rng.once_in(6) => Statement::Memory,
                _ => self.mix(),
            };
            let work = match statement {
                Statement::Call(id) | Statement::Through(id) | Statement::Indirect(id) => {
                    1 + self.work(id)
                }
                _ => 1,
            };
            if work <= left {
                left -= work;
                statements.push(statement);
            }
        }
        statements
    }

    pub fn mix(&mut self) -> Statement {
        Statement::Mix(
            self.rng.below(50) as u32 * 2 + 1,
            self.rng.below(1000) as u32,
        )
    }

    /// Some functions' names, or those of something else.
    fn names(&mut self, count: usize, kinds: &dyn Fn(Kind) -> bool) -> Vec<String> {
        let named = self.program.symbols.iter().filter(|symbol| {
            kinds(symbol.kind) && symbol.only_in.is_none() && !symbol.definitions.is_empty()
        });
        let names: Vec<String> = named.map(|symbol| symbol.name.clone()).collect();
        if names.is_empty() {
            return names;
        }
        (0..count).map(|_| self.pick(&names)).collect()
    }

    /// Puts a function in the place of another one, which it calls; the option that says so, and the other one.
    fn wrap(&mut self) -> Option<(String, String)> {
        let functions: Vec<usize> = (0..self.program.symbols.len())
            .filter(|id| {
                let symbol = &self.program.symbols[*id];
                let is_function = matches!(symbol.kind, Kind::Function(_));
                is_function && symbol.only_in.is_none() && !symbol.definitions.is_empty()
            })
            .collect();
        if functions.is_empty() {
            return None;
        }
        let of = self.pick(&functions);
        let unit = self.rng.below(self.program.units.len());
        let real = self.program.symbols.len();
        for prefix in ["__real_", "__wrap_"] {
            let symbol = Symbol {
                name: format!("{prefix}{}", self.program.symbols[of].name),
                definitions: Vec::new(),
                constructor: None,
                export: None,
                import: None,
                attributes: BTreeSet::new(),
                only_in: None,
                ..self.program.symbols[of].clone()
            };
            self.program.symbols.push(symbol);
        }
        let body = vec![self.mix(), Statement::Call(real)];
        self.program.symbols[real + 1].definitions.push(Definition {
            unit,
            binding: Binding::Strong,
            contents: Contents::Body(body),
        });
        let name = self.program.symbols[of].name.clone();
        Some((format!("--wrap={name}"), name))
    }

    /// Lets functions call what calls the constructors.
    fn name_constructors(&mut self) {
        let order = self.rng.next();
        self.program.symbols.push(Symbol {
            name: "__wasm_call_ctors".to_owned(),
            order,
            kind: Kind::Function(Signature::Nothing),
            elements: 1,
            definitions: Vec::new(),
            import: None,
            export: None,
            constructor: None,
            attributes: BTreeSet::new(),
            // Nobody defines it.
            only_in: None,
        });
    }

    fn options(&mut self) {
        let mut options = Vec::new();
        if self.program.is_64 {
            options.push("-mwasm64".to_owned());
        }
        if self.program.is_shared {
            options.extend(["--shared-memory", "--max-memory=4194304"].map(str::to_owned));
        }
        let is_entry = |kind| kind == Kind::Function(Signature::Nothing);
        let entry = match self.rng.once_in(4) {
            true => self.names(1, &is_entry).pop(),
            false => None,
        };
        options.push(entry.map_or("--no-entry".to_owned(), |name| format!("--entry={name}")));
        if self.rng.once_in(12)
            && let Some((option, wrapped)) = self.wrap()
        {
            options.push(option);
            // What nothing but `__real_` asks for wasm-ld does not look for, and puts some function in its place.
            options.push(format!("--undefined={wrapped}"));
        }
        if self.rng.once_in(12) {
            self.name_constructors();
        }
        let is_function = |kind| matches!(kind, Kind::Function(_));
        let count = 2 + self.rng.below(4);
        for name in self.names(count, &is_function) {
            options.push(format!("--export={name}"));
        }
        for (often, option) in [
            (10, "--export-all"),
            (10, "--export-dynamic"),
            (7, "--no-gc-sections"),
            (10, "--import-memory"),
            (10, "--export-memory"),
            (10, "--import-table"),
            (10, "--export-table"),
            (10, "--growable-table"),
            (3, "--allow-undefined"),
            (10, "--import-undefined"),
            (20, "--unresolved-symbols=ignore-all"),
            (5, "--stack-first"),
            (8, "-zstack-size=131072"),
            (8, "--initial-memory=1048576"),
            (10, "--max-memory=4194304"),
            (8, "--global-base=2048"),
            (10, "--build-id=sha1"),
            (10, "--strip-debug"),
            (12, "--strip-all"),
            (8, "-O0"),
            (8, "-O2"),
            (10, "--no-merge-data-segments"),
            (10, "--table-base=7"),
        ] {
            if self.rng.once_in(often) {
                options.push(option.to_owned());
            }
        }
        for (often, option) in [
            (5, "--undefined"),
            (5, "--export-if-defined"),
            (15, "--export"),
        ] {
            if self.rng.once_in(often) {
                for name in self.names(1, &is_function) {
                    options.push(format!("{option}={name}"));
                }
            }
        }
        if self.rng.once_in(4) {
            for name in self.names(1, &is_words) {
                options.push(format!("--export={name}"));
            }
        }
        // wasm-ld looks for what is to be exported in an order of its own, which may load other members first. With more
        // than one, the order is said.
        let exported = options
            .iter()
            .filter_map(|option| option.strip_prefix("--export="));
        let exported: Vec<String> = exported.map(|name| format!("--undefined={name}")).collect();
        if exported.len() > 1 {
            options.extend(exported);
        }
        self.program.options = options;
    }
}

pub fn is_words(kind: Kind) -> bool {
    matches!(kind, Kind::Words | Kind::Constants)
}
