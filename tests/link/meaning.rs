//! Modules taken apart so that two linkers' outputs can be compared: what each index and each address stands for.

use std::collections::{BTreeMap, HashMap};

use wasmparser::{
    BlockType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FuncType,
    FunctionBody, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
};

/// A name, and which of those that have it.
type Label = (String, usize);

#[derive(Default)]
struct Module<'a> {
    types: Vec<FuncType>,
    /// Type of each function.
    functions: Vec<u32>,
    imported: usize,
    imports: Vec<String>,
    bodies: Vec<FunctionBody<'a>>,
    labels: Vec<Label>,
    global_names: HashMap<u32, String>,
    globals: Vec<i64>,
    exports: BTreeMap<String, (ExternalKind, u32)>,
    table: HashMap<u32, u32>,
    image: Vec<(u64, &'a [u8])>,
    /// What a function of the linker puts somewhere when the program begins.
    passive: Vec<&'a [u8]>,
    start: Option<u32>,
    /// Where each object's part of the data stands, and how long it is.
    pieces: BTreeMap<(String, usize), (u64, u64)>,
    /// The same by address.
    by_address: Vec<(u64, u64, (String, usize))>,
    /// Symbols of the linker by address.
    addresses: HashMap<u64, Vec<String>>,
}

fn constant(expression: &ConstExpr<'_>) -> i64 {
    match expression.get_operators_reader().read().unwrap() {
        Operator::I32Const { value } => value.into(),
        Operator::I64Const { value } => value,
        _ => 0,
    }
}

impl<'a> Module<'a> {
    fn new(bytes: &'a [u8], map: &str, addresses: &[&str]) -> Module<'a> {
        let mut module = Module::default();
        let mut names: HashMap<u32, String> = HashMap::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.unwrap() {
                Payload::TypeSection(types) => {
                    let types = types.into_iter_err_on_gc_types();
                    module.types.extend(types.map(|ty| ty.unwrap()));
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.unwrap();
                        let name = format!("{}.{}", import.module, import.name);
                        if let TypeRef::Func(ty) = import.ty {
                            names.insert(module.functions.len() as u32, format!("import {name}"));
                            module.functions.push(ty);
                            module.imported += 1;
                        }
                        module.imports.push(name);
                    }
                }
                Payload::FunctionSection(functions) => {
                    module
                        .functions
                        .extend(functions.into_iter().map(|ty| ty.unwrap()));
                }
                Payload::GlobalSection(globals) => {
                    let globals = globals
                        .into_iter()
                        .map(|global| constant(&global.unwrap().init_expr));
                    module.globals.extend(globals);
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.unwrap();
                        module
                            .exports
                            .insert(export.name.to_owned(), (export.kind, export.index));
                    }
                }
                Payload::StartSection { func, .. } => module.start = Some(func),
                Payload::ElementSection(elements) => {
                    for element in elements {
                        let element = element.unwrap();
                        let ElementKind::Active { offset_expr, .. } = element.kind else {
                            panic!("a passive element segment")
                        };
                        let ElementItems::Functions(items) = element.items else {
                            panic!("element expressions")
                        };
                        let start = constant(&offset_expr) as u32;
                        for (at, function) in items.into_iter().enumerate() {
                            module.table.insert(start + at as u32, function.unwrap());
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => module.bodies.push(body),
                Payload::DataSection(data) => {
                    for segment in data {
                        let segment = segment.unwrap();
                        match segment.kind {
                            DataKind::Active { offset_expr, .. } => {
                                let start = constant(&offset_expr) as u64;
                                module.image.push((start, segment.data));
                            }
                            DataKind::Passive => module.passive.push(segment.data),
                        }
                    }
                }
                Payload::CustomSection(custom) => {
                    let KnownCustom::Name(reader) = custom.as_known() else {
                        continue;
                    };
                    for name in reader {
                        match name.unwrap() {
                            Name::Function(map) => {
                                for naming in map {
                                    let naming = naming.unwrap();
                                    let name = naming.name.trim_end().to_owned();
                                    names.entry(naming.index).or_insert(name);
                                }
                            }
                            Name::Global(map) => {
                                let map = map.into_iter().map(|naming| naming.unwrap());
                                let map = map.map(|naming| (naming.index, naming.name.to_owned()));
                                module.global_names.extend(map);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let mut counts: HashMap<String, usize> = HashMap::new();
        for index in 0..module.functions.len() as u32 {
            let name = names.get(&index).cloned().unwrap_or_default();
            let count = counts.entry(name.clone()).or_insert(0);
            module.labels.push((name, *count));
            *count += 1;
        }
        module.read_map(map);
        for name in addresses {
            if let Some((ExternalKind::Global, index)) = module.exports.get(*name) {
                let value = module.globals[*index as usize] as u32;
                let names = module.addresses.entry(value.into()).or_default();
                names.push((*name).to_owned());
            }
        }
        module
    }

    /// Takes each object's part of the data from a map: what stands one column behind the output's segments.
    fn read_map(&mut self, map: &str) {
        let mut is_data = false;
        let mut counts: HashMap<String, usize> = HashMap::new();
        for line in map.lines().skip(1) {
            let (Some(numbers), Some(text)) = (line.get(..26), line.get(27..)) else {
                continue;
            };
            let numbers: Vec<&str> = numbers.split_whitespace().collect();
            let depth = text.len() - text.trim_start().len();
            if depth == 0 {
                is_data = text == "DATA" || (is_data && numbers[0] != "-");
                continue;
            }
            let text = text.trim();
            if !is_data || depth >= 16 || text.starts_with("<internal>") {
                continue;
            }
            let address = u64::from_str_radix(numbers[0], 16).unwrap();
            let size = u64::from_str_radix(numbers[2], 16).unwrap();
            let count = counts.entry(text.to_owned()).or_insert(0);
            self.pieces
                .insert((text.to_owned(), *count), (address, size));
            *count += 1;
        }
        self.by_address = self
            .pieces
            .iter()
            .map(|(key, (address, size))| (*address, *size, key.clone()))
            .collect();
        self.by_address.sort();
    }

    fn byte(&self, address: u64) -> Option<u8> {
        let mut image = self.image.iter();
        let (start, bytes) = image
            .find(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(&address))?;
        Some(bytes[(address - start) as usize])
    }

    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut at = address;
        loop {
            match self.byte(at)? {
                0 => return Some(text),
                byte => text.push(byte),
            }
            at += 1;
        }
    }

    fn body(&self, function: u32) -> Option<&FunctionBody<'a>> {
        self.bodies
            .get((function as usize).checked_sub(self.imported)?)
    }

    /// By label: those that have a name.
    fn named(&self) -> BTreeMap<&Label, u32> {
        let labels = self.labels.iter().enumerate();
        labels
            .filter(|(_, (name, _))| !name.is_empty())
            .map(|(index, label)| (label, index as u32))
            .collect()
    }
}

/// How far outside of a piece an address may lead that belongs to it.
const AROUND: i64 = 4096;

struct Compare<'a> {
    ours: Module<'a>,
    theirs: Module<'a>,
    differences: Vec<String>,
}

/// Compares two outputs, given with their maps; says how they differ.
pub fn compare(
    ours: &[u8],
    our_map: &str,
    theirs: &[u8],
    their_map: &str,
    addresses: &[&str],
) -> Vec<String> {
    let mut compare = Compare {
        ours: Module::new(ours, our_map, addresses),
        theirs: Module::new(theirs, their_map, addresses),
        differences: Vec::new(),
    };
    compare.functions();
    compare.data();
    compare.interface();
    compare.differences.truncate(40);
    compare.differences
}

impl Compare<'_> {
    /// Whether two numbers stand for the same place in data, the same function's slot, or the same symbol of the linker.
    fn same_meaning(&self, ours: u64, theirs: u64) -> bool {
        if ours == theirs {
            return true;
        }
        let names =
            |module: &Module<'_>, at| module.addresses.get(&at).cloned().unwrap_or_default();
        let (our_names, their_names) = (names(&self.ours, ours), names(&self.theirs, theirs));
        if our_names.iter().any(|name| their_names.contains(name)) {
            return true;
        }
        // Programs that can be moved count from the first entry that they may use.
        let mut bases = [0, 1]
            .into_iter()
            .take(1 + usize::from(self.has_table_base()));
        let is_same_slot = bases.any(|base| {
            let at = |number: u64| (number as u32).wrapping_add(base);
            let slots = (
                self.ours.table.get(&at(ours)),
                self.theirs.table.get(&at(theirs)),
            );
            matches!(slots, (Some(a), Some(b))
                if self.ours.labels[*a as usize] == self.theirs.labels[*b as usize])
        });
        if is_same_slot {
            return true;
        }
        let signed = |value: u64| i64::from(value as u32 as i32);
        let (ours, theirs) = (signed(ours), signed(theirs));
        let near = self.ours.by_address.iter().filter(|(address, size, _)| {
            let (start, end) = (*address as i64 - AROUND, (*address + *size) as i64 + AROUND);
            (start..end).contains(&ours)
        });
        for (address, _, key) in near {
            if let Some((other, _)) = self.theirs.pieces.get(key)
                && ours - *address as i64 == theirs - *other as i64
            {
                return true;
            }
        }
        // Strings: by what they say. The address may be one behind the end, or, where an index is added that is never
        // small, somewhat before the beginning.
        let text = |module: &Module<'_>, at: i64| module.text(u64::try_from(at).ok()?);
        let both = |step: i64| {
            Some((
                text(&self.ours, ours + step)?,
                text(&self.theirs, theirs + step)?,
            ))
        };
        let begins = |step: i64| {
            let before = (
                text(&self.ours, ours + step - 1),
                text(&self.theirs, theirs + step - 1),
            );
            before == (Some(Vec::new()), Some(Vec::new()))
        };
        let is_near = [0, -1, 1]
            .iter()
            .any(|step| both(*step).is_some_and(|(a, b)| a == b));
        is_near
            || (2..=16)
                .any(|step| both(step).is_some_and(|(a, b)| a == b && a.len() > 1) && begins(step))
    }

    /// Whether code adds the number of the first entry of the table itself.
    fn has_table_base(&self) -> bool {
        let mut names = self.theirs.global_names.values();
        names.any(|name| name.ends_with("__table_base"))
    }

    fn functions(&mut self) {
        let (ours, theirs) = (self.ours.named(), self.theirs.named());
        let mut found = Vec::new();
        for label in ours.keys().filter(|label| !theirs.contains_key(*label)) {
            found.push(format!("only ours: function {label:?}"));
        }
        for (label, theirs) in &theirs {
            match ours.get(label) {
                None => found.push(format!("only theirs: function {label:?}")),
                Some(ours) => {
                    if let Err(difference) = self.function(*ours, *theirs) {
                        found.push(format!("function {label:?}: {difference}"));
                    }
                }
            }
        }
        self.differences.extend(found);
    }

    fn function(&self, ours: u32, theirs: u32) -> Result<(), String> {
        let ty = |module: &Module<'_>, function: u32| {
            module.types[module.functions[function as usize] as usize].clone()
        };
        if ty(&self.ours, ours) != ty(&self.theirs, theirs) {
            return Err("types differ".to_owned());
        }
        let (ours, theirs) = match (self.ours.body(ours), self.theirs.body(theirs)) {
            (Some(ours), Some(theirs)) => (ours, theirs),
            (None, None) => return Ok(()),
            _ => return Err("imported by one, defined by the other".to_owned()),
        };
        let locals = |body: &FunctionBody<'_>| -> Vec<_> {
            let locals = body.get_locals_reader().unwrap().into_iter();
            locals.map(|local| local.unwrap()).collect()
        };
        if locals(ours) != locals(theirs) {
            return Err("locals differ".to_owned());
        }
        let (ours, theirs) = (operators(ours), operators(theirs));
        for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
            if !self.same_operator(a, b) {
                return Err(format!("instruction {at}: {a:?}, {b:?}"));
            }
        }
        match ours.len() == theirs.len() {
            true => Ok(()),
            false => Err(format!("{} instructions, {}", ours.len(), theirs.len())),
        }
    }

    fn same_operator(&self, a: &Operator<'_>, b: &Operator<'_>) -> bool {
        use Operator::*;
        let label = |a: u32, b: u32| self.ours.labels[a as usize] == self.theirs.labels[b as usize];
        let ty = |a: u32, b: u32| self.ours.types[a as usize] == self.theirs.types[b as usize];
        let global =
            |a: u32, b: u32| self.ours.global_names.get(&a) == self.theirs.global_names.get(&b);
        match (a, b) {
            (Call { function_index: a }, Call { function_index: b })
            | (RefFunc { function_index: a }, RefFunc { function_index: b })
            | (ReturnCall { function_index: a }, ReturnCall { function_index: b }) => label(*a, *b),
            (CallIndirect { type_index: a, .. }, CallIndirect { type_index: b, .. }) => ty(*a, *b),
            (GlobalGet { global_index: a }, GlobalGet { global_index: b })
            | (GlobalSet { global_index: a }, GlobalSet { global_index: b }) => global(*a, *b),
            (I32Const { value: a }, I32Const { value: b }) => {
                self.same_meaning(u64::from(*a as u32), u64::from(*b as u32))
            }
            (
                Block {
                    blockty: BlockType::FuncType(a),
                },
                Block {
                    blockty: BlockType::FuncType(b),
                },
            )
            | (
                Loop {
                    blockty: BlockType::FuncType(a),
                },
                Loop {
                    blockty: BlockType::FuncType(b),
                },
            ) => ty(*a, *b),
            _ => {
                let (a, b) = (format!("{a:?}"), format!("{b:?}"));
                a == b || self.same_memory_access(&a, &b)
            }
        }
    }

    /// Loads and stores whose offsets mean the same.
    fn same_memory_access(&self, a: &str, b: &str) -> bool {
        let parts = |text: &str| -> Option<(String, u64)> {
            let (front, rest) = text.split_once("offset: ")?;
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            Some((
                format!("{front}{}", &rest[end..]),
                rest[..end].parse().ok()?,
            ))
        };
        match (parts(a), parts(b)) {
            (Some((a, ours)), Some((b, theirs))) => a == b && self.same_meaning(ours, theirs),
            _ => false,
        }
    }

    fn data(&mut self) {
        if !self.theirs.passive.is_empty() {
            // Threads share memory: everything stands where it does in the other one.
            if self.ours.passive != self.theirs.passive {
                let lens = |module: &Module<'_>| -> Vec<usize> {
                    module.passive.iter().map(|bytes| bytes.len()).collect()
                };
                let lens = (lens(&self.ours), lens(&self.theirs));
                self.differences.push(format!("passive data: {lens:?}"));
            }
            return;
        }
        let mut found = Vec::new();
        for key in self
            .ours
            .pieces
            .keys()
            .filter(|key| !self.theirs.pieces.contains_key(*key))
        {
            if !key.0.contains(".str") {
                found.push(format!("only ours: data {key:?}"));
            }
        }
        for (key, (theirs, size)) in &self.theirs.pieces {
            let Some((ours, our_size)) = self.ours.pieces.get(key) else {
                found.push(format!("only theirs: data {key:?}"));
                continue;
            };
            if size != our_size {
                found.push(format!("data {key:?}: {our_size} bytes, {size} bytes"));
                continue;
            }
            let mut at = 0;
            while at < *size {
                let byte =
                    |module: &Module<'_>, base: &u64, at: u64| module.byte(base + at).unwrap_or(0);
                let (a, b) = (byte(&self.ours, ours, at), byte(&self.theirs, theirs, at));
                if a == b {
                    at += 1;
                    continue;
                }
                let word = |module: &Module<'_>, base: &u64, at: u64| {
                    let bytes = [0, 1, 2, 3].map(|step| byte(module, base, at + step));
                    u64::from(u32::from_le_bytes(bytes))
                };
                // The first byte that differs need not be the first of the address.
                let start = (0..4).filter_map(|step| at.checked_sub(step));
                let same = start.into_iter().find(|at| {
                    self.same_meaning(word(&self.ours, ours, *at), word(&self.theirs, theirs, *at))
                });
                match same {
                    Some(start) => at = start + 4,
                    None => {
                        found.push(format!("data {key:?} at {at}: {a:#x}, {b:#x}"));
                        break;
                    }
                }
            }
        }
        self.differences.extend(found);
    }

    fn interface(&mut self) {
        let mut found = Vec::new();
        let sorted = |module: &Module<'_>| {
            let mut imports = module.imports.clone();
            imports.sort();
            imports
        };
        if sorted(&self.ours) != sorted(&self.theirs) {
            found.push(format!(
                "imports: {:?}, {:?}",
                self.ours.imports, self.theirs.imports
            ));
        }
        let start = |module: &Module<'_>| {
            module
                .start
                .map(|start| module.labels[start as usize].clone())
        };
        if start(&self.ours) != start(&self.theirs) {
            found.push("start functions differ".to_owned());
        }
        let names = |module: &Module<'_>| module.exports.keys().cloned().collect::<Vec<_>>();
        if names(&self.ours) != names(&self.theirs) {
            found.push(format!(
                "exports: {:?}, {:?}",
                names(&self.ours),
                names(&self.theirs)
            ));
        }
        for (name, (kind, ours)) in &self.ours.exports {
            let Some((other, theirs)) = self.theirs.exports.get(name) else {
                continue;
            };
            let same = kind == other
                && match kind {
                    ExternalKind::Func => {
                        self.ours.labels[*ours as usize] == self.theirs.labels[*theirs as usize]
                    }
                    ExternalKind::Global => {
                        let value = |module: &Module<'_>, index: u32| {
                            u64::from(module.globals[index as usize] as u32)
                        };
                        self.same_meaning(value(&self.ours, *ours), value(&self.theirs, *theirs))
                    }
                    _ => true,
                };
            if !same {
                found.push(format!("export {name} differs"));
            }
        }
        self.differences.extend(found);
    }
}

/// The instructions of a body, without those that fill up its place.
fn operators<'a>(body: &FunctionBody<'a>) -> Vec<Operator<'a>> {
    let reader = body.get_operators_reader().unwrap().into_iter();
    let mut operators: Vec<Operator<'a>> = reader.map(|operator| operator.unwrap()).collect();
    let end = operators.pop();
    while matches!(operators.last(), Some(Operator::Nop)) {
        operators.pop();
    }
    operators.extend(end);
    operators
}
