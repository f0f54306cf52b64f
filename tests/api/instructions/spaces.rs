//! Which indices an instruction holds, and what in a module an index means, as the decoder says it.

use std::collections::BTreeMap;

use wasmparser::{
    BlockType, BrTable, Catch, CompositeInnerType, ElementItems, ElementKind, FunctionBody, Handle,
    HeapType, Ieee32, Ieee64, KnownCustom, MemArg, MemArgTarget, Name, Operator, Ordering, Parser,
    Payload, RefType, ResumeTable, TryTable, TypeRef, UnpackedIndex, V128, ValType,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    Type,
    Function,
    Table,
    Memory,
    Global,
    Tag,
    Elements,
    Data,
}

type Indices = Vec<(Space, u32)>;

/// What is looked at for indices: an immediate, by the name that it has in the decoder's list.
trait Immediate {
    fn indices(&self, name: &str, out: &mut Indices);
}

impl Immediate for u32 {
    fn indices(&self, name: &str, out: &mut Indices) {
        let space = match name {
            "function_index" => Space::Function,
            "type_index"
            | "struct_type_index"
            | "array_type_index"
            | "array_type_index_dst"
            | "array_type_index_src"
            | "cont_type_index"
            | "argument_index"
            | "result_index" => Space::Type,
            "table_index" | "table" | "dst_table" | "src_table" => Space::Table,
            "mem" | "dst_mem" | "src_mem" => Space::Memory,
            "global_index" => Space::Global,
            "tag_index" => Space::Tag,
            "elem_index" | "array_elem_index" => Space::Elements,
            "data_index" | "array_data_index" => Space::Data,
            "relative_depth" | "local_index" | "field_index" | "array_size" => return,
            _ => panic!("an immediate called {name}"),
        };
        out.push((space, *self));
    }
}

impl Immediate for HeapType {
    fn indices(&self, _: &str, out: &mut Indices) {
        if let HeapType::Concrete(UnpackedIndex::Module(at))
        | HeapType::Exact(UnpackedIndex::Module(at)) = self
        {
            out.push((Space::Type, *at));
        }
    }
}

impl Immediate for RefType {
    fn indices(&self, name: &str, out: &mut Indices) {
        self.heap_type().indices(name, out);
    }
}

impl Immediate for ValType {
    fn indices(&self, name: &str, out: &mut Indices) {
        if let ValType::Ref(ty) = self {
            ty.indices(name, out);
        }
    }
}

impl Immediate for BlockType {
    fn indices(&self, name: &str, out: &mut Indices) {
        match self {
            BlockType::Empty => {}
            BlockType::Type(ty) => ty.indices(name, out),
            BlockType::FuncType(at) => out.push((Space::Type, *at)),
        }
    }
}

impl Immediate for MemArg {
    fn indices(&self, _: &str, out: &mut Indices) {
        out.push(match self.target {
            MemArgTarget::Memory(at) => (Space::Memory, at),
            MemArgTarget::Array(at) => (Space::Type, at),
        });
    }
}

impl Immediate for TryTable {
    fn indices(&self, name: &str, out: &mut Indices) {
        self.ty.indices(name, out);
        for catch in &self.catches {
            if let Catch::One { tag, .. } | Catch::OneRef { tag, .. } = catch {
                out.push((Space::Tag, *tag));
            }
        }
    }
}

impl Immediate for ResumeTable {
    fn indices(&self, _: &str, out: &mut Indices) {
        for handler in &self.handlers {
            let (Handle::OnLabel { tag, .. } | Handle::OnSwitch { tag }) = handler;
            out.push((Space::Tag, *tag));
        }
    }
}

impl Immediate for Vec<ValType> {
    fn indices(&self, name: &str, out: &mut Indices) {
        self.iter().for_each(|ty| ty.indices(name, out));
    }
}

macro_rules! without_indices {
    ($($ty:ty)*) => {
        $(impl Immediate for $ty {
            fn indices(&self, _: &str, _: &mut Indices) {}
        })*
    };
}

without_indices! { i32 i64 u8 [u8; 16] V128 Ieee32 Ieee64 Ordering BrTable<'_> }

/// All indices that an instruction holds, in the order in which they stand.
pub fn indices(operator: &Operator<'_>) -> Indices {
    let mut out = Vec::new();
    macro_rules! look {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            match operator {
                $(Operator::$op $({ $($arg),* })? => {
                    $($($arg.indices(stringify!($arg), &mut out);)*)?
                })*
                _ => panic!("{operator:?} is none that is known"),
            }
        };
    }
    wasmparser::for_each_operator!(look);
    out
}

/// What all instructions are called that the decoder knows.
pub fn known() -> &'static [&'static str] {
    macro_rules! names {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            &[$(stringify!($op)),*]
        };
    }
    wasmparser::for_each_operator!(names)
}

/// What the instructions of a function name.
pub type Named = Vec<(String, Vec<(Space, String)>)>;

/// What stands under each index of a module, said so that it is the same wherever it stands; and what its functions name.
#[derive(Debug, Default)]
pub struct Meanings {
    spaces: BTreeMap<Space, Vec<String>>,
    /// What stands in the entries of tables that are filled from the start.
    slots: BTreeMap<u32, u32>,
    /// By functions' names.
    pub functions: BTreeMap<String, Named>,
}

impl Meanings {
    pub fn read(module: &[u8]) -> Meanings {
        let mut meanings = Meanings::default();
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.expect("a valid module") {
                Payload::CodeSectionEntry(body) => bodies.push(body),
                Payload::FunctionSection(section) => {
                    for at in 0..section.count() {
                        meanings.add(Space::Function, format!("unnamed {at}"));
                    }
                }
                payload => meanings.section(payload),
            }
        }
        let first = meanings.spaces[&Space::Function].len() - bodies.len();
        for (at, body) in bodies.iter().enumerate() {
            if let Some(through) = meanings.passes_on_to(first + at, body) {
                let functions = meanings.spaces.entry(Space::Function).or_default();
                functions[first + at] = functions[through as usize].clone();
            }
        }
        let functions = &meanings.spaces[&Space::Function];
        let mut named = BTreeMap::new();
        for (at, body) in bodies.iter().enumerate() {
            let operators = body.get_operators_reader().expect("a valid body");
            let mut all = Named::new();
            for operator in operators {
                let operator = operator.expect("a valid body");
                let names = indices(&operator);
                let names = names.into_iter();
                let names = names.map(|(space, at)| (space, meanings.meaning(space, at)));
                all.push((called(&operator), names.collect()));
            }
            named.insert(functions[first + at].clone(), all);
        }
        meanings.functions = named;
        meanings
    }

    /// The function that one without a name calls through its slot: its thunk is as good as itself.
    fn passes_on_to(&self, at: usize, body: &FunctionBody<'_>) -> Option<u32> {
        if !self.spaces[&Space::Function][at].starts_with("unnamed") {
            return None;
        }
        let operators = body.get_operators_reader().expect("a valid body");
        let slots = operators.into_iter().filter_map(|operator| match operator {
            Ok(Operator::I32Const { value }) => Some(value as u32),
            _ => None,
        });
        self.slots.get(&slots.last()?).copied()
    }

    pub fn meaning(&self, space: Space, index: u32) -> String {
        self.spaces[&space][index as usize].clone()
    }

    fn add(&mut self, space: Space, meaning: String) {
        self.spaces.entry(space).or_default().push(meaning);
    }

    fn section(&mut self, payload: Payload<'_>) {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group.expect("valid").types() {
                        let described = match ty.composite_type.descriptor_idx {
                            Some(_) => "described ",
                            None => "",
                        };
                        let meaning = self.describe(&ty.composite_type.inner);
                        let meaning = format!("{described}{meaning}");
                        self.add(Space::Type, meaning);
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("valid");
                    let space = match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => Space::Function,
                        TypeRef::Table(_) => Space::Table,
                        TypeRef::Memory(_) => Space::Memory,
                        TypeRef::Global(_) => Space::Global,
                        TypeRef::Tag(_) => Space::Tag,
                    };
                    self.add(space, format!("import {}", import.name));
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let minimum = table.expect("valid").ty.initial;
                    self.add(Space::Table, format!("{minimum} entries"));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let minimum = memory.expect("valid").initial;
                    self.add(Space::Memory, format!("{minimum} pages"));
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let init = global.expect("valid").init_expr;
                    let first = init.get_operators_reader().read().expect("valid");
                    self.add(Space::Global, format!("{first:?}"));
                }
            }
            Payload::TagSection(section) => {
                for tag in section {
                    let ty = tag.expect("valid").func_type_idx;
                    let meaning = self.meaning(Space::Type, ty);
                    self.add(Space::Tag, meaning);
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element.expect("valid");
                    if let (
                        ElementKind::Active { offset_expr, .. },
                        ElementItems::Functions(functions),
                    ) = (&element.kind, element.items.clone())
                        && let Ok(Operator::I32Const { value }) =
                            offset_expr.get_operators_reader().read()
                    {
                        let entries = (value as u32..).zip(functions);
                        let entries = entries.map(|(slot, at)| (slot, at.expect("valid")));
                        self.slots.extend(entries);
                    }
                    let count = match element.items {
                        ElementItems::Functions(all) => all.count(),
                        ElementItems::Expressions(_, all) => all.count(),
                    };
                    self.add(Space::Elements, format!("{count} elements"));
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data.expect("valid").data;
                    self.add(Space::Data, format!("{data:?}"));
                }
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    for name in names {
                        if let Name::Function(map) = name.expect("valid") {
                            for naming in map {
                                let naming = naming.expect("valid");
                                let all = self.spaces.entry(Space::Function).or_default();
                                all[naming.index as usize] = naming.name.to_owned();
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn describe(&self, ty: &CompositeInnerType) -> String {
        match ty {
            CompositeInnerType::Cont(ty) => {
                let of = ty.0.as_module_index().expect("of the module");
                match self.spaces[&Space::Type].get(of as usize) {
                    Some(of) => format!("continuation of {of}"),
                    None => "continuation".to_owned(),
                }
            }
            CompositeInnerType::Func(ty) => {
                format!("{} -> {:?}", ty.params().len(), ty.results())
            }
            other => format!("{other:?}"),
        }
    }
}

/// What an instruction is called.
pub fn called(operator: &Operator<'_>) -> String {
    let text = format!("{operator:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
