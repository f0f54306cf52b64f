//! Every instruction of the encoder has a form in the builder where it names something of the module; its index is right in
//! every version of the output.
//!
//! Run: a function for each instruction, committed, edited so that indices of all kinds move, and read again by another decoder,
//! which says what each index means.

mod every;
mod spaces;

use std::collections::{BTreeMap, BTreeSet};

use every::*;
use spaces::{Meanings, Space, indices};
use wasmend::wasm_encoder::Encode;
use wasmend::{
    AbstractHeapType, Catch, ConstExpr, DeclId, DeclKind, Elements, FieldType, FunctionBuilder,
    HeapType, ImportType, Instruction, Module, ModuleOptions, Name, Redirect, RefType, StorageType,
    TableType, TypeDef, TypeId, Types, ValType,
};
use wasmparser::{BinaryReader, Operator, OperatorsReader, Validator, WasmFeatures};

use crate::support::programs;

/// An instruction as the decoder reads it.
fn decoded(instruction: &Instruction<'_>) -> Operator<'static> {
    let mut code = vec![0x06, 0x40];
    instruction.encode(&mut code);
    let mut operators = OperatorsReader::new(BinaryReader::new(code.leak(), 0));
    operators.read().expect("a try");
    let operator = operators.read().expect("the decoder knows it");
    assert!(operators.eof(), "{instruction:?}");
    operator
}

/// What an instruction names: spaces, and positions among the names.
fn positions(instruction: &Instruction<'_>) -> Vec<(Space, u32)> {
    match instruction {
        Instruction::Else | Instruction::End => Vec::new(),
        _ => indices(&decoded(instruction)),
    }
}

/// What is added to the position of something to get that of its like which nobody names.
const SPARE: u32 = 100;

/// What atomic instructions take out of tables.
const SHARED: HeapType = HeapType::Abstract {
    shared: true,
    ty: AbstractHeapType::Eq,
};

struct Program {
    module: Module,
    types: BTreeMap<u32, TypeId>,
    ids: BTreeMap<u32, DeclId>,
}

fn field(storage: StorageType) -> FieldType {
    FieldType {
        storage,
        mutable: true,
    }
}

impl Program {
    fn new(redirect: Redirect, types: Types) -> Program {
        let options = ModuleOptions {
            redirect,
            types,
            ..ModuleOptions::default()
        };
        let mut program = Program {
            module: Module::in_memory(options).expect("in memory"),
            types: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        program.define_types().expect("good types");
        program.define_rest().expect("good definitions");
        program
    }

    fn define_types(&mut self) -> wasmend::Result<()> {
        let word = field(StorageType::Val(ValType::I32));
        let byte = field(StorageType::I8);
        let function = field(StorageType::Val(ValType::FUNCREF));
        let structure = TypeDef::structure([word]);
        let mut define = |at, defs: &[TypeDef], which: usize| -> wasmend::Result<()> {
            let ids = self.module.define_types(defs)?;
            self.types.insert(at, ids[which]);
            Ok(())
        };
        define(STRUCT, &[structure], 0)?;
        define(PACKED_STRUCT, &[TypeDef::structure([byte])], 0)?;
        define(ARRAY, &[TypeDef::array(word)], 0)?;
        define(PACKED_ARRAY, &[TypeDef::array(byte)], 0)?;
        define(FUNCTION_ARRAY, &[TypeDef::array(function)], 0)?;
        let nothing = TypeDef::function(&[], &[]);
        let continuation = TypeDef::continuation(HeapType::Sibling(0));
        let group = [nothing.open(), continuation];
        define(CONTINUATION, &group, 1)?;
        let of = self.types[&CONTINUATION];
        let taken = RefType::nullable(HeapType::Concrete(of));
        let switches = TypeDef::function(&[taken.into()], &[]);
        let group = [switches, TypeDef::continuation(HeapType::Sibling(0))];
        self.types
            .insert(SWITCH, self.module.define_types(&group)?[1]);
        let described = TypeDef::structure([word]).described_by(HeapType::Sibling(1));
        let descriptor = TypeDef::structure([byte, byte]).describes(HeapType::Sibling(0));
        self.types.insert(
            DESCRIBED,
            self.module.define_types(&[described, descriptor])?[0],
        );
        Ok(())
    }

    fn declare(&mut self, at: u32, kind: DeclKind, key: &str) -> wasmend::Result<DeclId> {
        let id = self.module.declare(kind, key)?;
        self.ids.insert(at, id);
        Ok(id)
    }

    /// Everything twice: what stands first is named by nobody, and goes later.
    fn define_rest(&mut self) -> wasmend::Result<()> {
        for (which, from) in [(0, SPARE), (1, 0)] {
            let key = |what: &str| format!("{what} {which}");
            let at = |position| position + from;
            let function = self.declare(at(FUNCTION), DeclKind::Function, &key("function"))?;
            self.define_callee(function, 1)?;
            for (position, minimum, ty) in [
                (TABLE, 10, RefType::FUNCREF),
                (OTHER_TABLE, 20, RefType::FUNCREF),
                (EQ_TABLE, 30, RefType::nullable(SHARED)),
            ] {
                let table =
                    self.declare(at(position), DeclKind::Table, &key(&position.to_string()))?;
                let ty = TableType {
                    element: ty,
                    minimum: minimum + which,
                    maximum: None,
                    is_64: false,
                };
                self.module.define_table(table, ty)?;
            }
            for (position, minimum) in [(MEMORY, 3), (OTHER_MEMORY, 5)] {
                let key = key(&position.to_string());
                let memory = self.declare(at(position), DeclKind::Memory, &key)?;
                let pages = programs::memory(u64::from(minimum + which), None);
                self.module.define_memory(memory, pages)?;
            }
            let global = self.declare(at(GLOBAL), DeclKind::Global, &key("global"))?;
            let init = ConstExpr::I32(which as i32);
            self.module
                .define_global(global, ValType::I32, true, init)?;
            let tag = self.declare(at(TAG), DeclKind::Tag, &key("tag"))?;
            let values = if which == 0 { &[ValType::I64][..] } else { &[] };
            self.module.define_tag(tag, values)?;
            let elements =
                self.declare(at(ELEMENTS), DeclKind::ElementSegment, &key("elements"))?;
            let both = vec![function; 1 + which as usize];
            self.module
                .define_elements(elements, &Elements::functions(both))?;
            let data = self.declare(at(DATA), DeclKind::DataSegment, &key("data"))?;
            self.module.define_data_segment(data, &[which as u8; 3])?;
        }
        Ok(())
    }

    fn define_callee(&mut self, id: DeclId, len: i32) -> wasmend::Result<()> {
        let mut body = FunctionBuilder::new(self.module.body_style(), &[], &[]);
        for value in 0..len {
            body.op(&Instruction::I32Const(value))
                .op(&Instruction::Drop);
        }
        self.module.define_function(id, body.finish()?)
    }

    fn names(&self) -> Vec<Name<'static>> {
        let name = |at: u32| match at {
            SIGNATURE => Name::Signature(&[ValType::I64], &[]),
            BLOCK => Name::Signature(&[], &[]),
            _ => match (self.types.get(&at), self.ids.get(&at)) {
                (Some(ty), _) => Name::Type(*ty),
                (None, Some(id)) => Name::Declaration(*id),
                (None, None) => panic!("there is nothing at {at}"),
            },
        };
        (STRUCT..=DATA).map(name).collect()
    }

    /// A function of that name around an instruction, in code that is never reached, so that it finds every operand.
    fn around(
        &mut self,
        name: &str,
        like: &Instruction<'_>,
        write: impl FnOnce(&mut FunctionBuilder),
    ) {
        let any = RefType::nullable(HeapType::ANY).into();
        let mut body = FunctionBuilder::new(self.module.body_style(), &[], &[]);
        body.locals(1, ValType::I32);
        body.block(&[], &[any]).op(&Instruction::Unreachable);
        match like {
            Instruction::Catch(_) | Instruction::CatchAll => {
                body.raw(&[0x06, 0x40]).op(&Instruction::Unreachable);
            }
            Instruction::Delegate(_) => {
                body.raw(&[0x06, 0x40]);
            }
            Instruction::Rethrow(_) => {
                body.raw(&[0x06, 0x40, 0x19]);
            }
            _ => {}
        }
        write(&mut body);
        match like {
            Instruction::Block(_)
            | Instruction::Loop(_)
            | Instruction::If(_)
            | Instruction::Try(_)
            | Instruction::TryTable(..)
            | Instruction::Catch(_)
            | Instruction::CatchAll
            | Instruction::Rethrow(_) => {
                body.op(&Instruction::Unreachable).op(&Instruction::End);
            }
            _ => {}
        }
        body.op(&Instruction::Unreachable).op(&Instruction::End);
        body.op(&Instruction::Drop);
        let id = self.module.declare(DeclKind::Function, name).expect("new");
        let body = body
            .finish()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        self.module.define_function(id, body).expect("a body");
    }

    /// Publishes, and lets others look at the file.
    fn publish(&mut self) -> Meanings {
        if let Err(error) = self.module.commit() {
            panic!("{error}\n{:#?}", error.others());
        }
        let bytes = self.module.bytes().expect("in memory");
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        validator.validate_all(&bytes).expect("a valid file");
        Meanings::read(&bytes)
    }

    /// Edits that give other indices to everything, as far as indices ever change.
    fn move_everything(&mut self, step: usize) -> wasmend::Result<()> {
        match step {
            0 => {
                for (key, ty) in [
                    (
                        "new function",
                        ImportType::Function(vec![ValType::F32; 3], vec![]),
                    ),
                    ("new global", ImportType::Global(ValType::F32, false)),
                    ("new tag", ImportType::Tag(vec![ValType::F32])),
                ] {
                    let kind = match ty {
                        ImportType::Function(..) => DeclKind::Function,
                        ImportType::Global(..) => DeclKind::Global,
                        _ => DeclKind::Tag,
                    };
                    let id = self.module.declare(kind, key)?;
                    self.module.define_import(id, "env", key, &ty)?;
                }
                self.define_callee(self.ids[&FUNCTION], 40)
            }
            1 => {
                for position in [FUNCTION, GLOBAL, TAG, ELEMENTS, DATA] {
                    self.module.remove(self.ids[&(SPARE + position)])?;
                }
                Ok(())
            }
            2 => {
                for position in [TABLE, OTHER_TABLE, EQ_TABLE, MEMORY, OTHER_MEMORY] {
                    self.module.remove(self.ids[&(SPARE + position)])?;
                }
                Ok(())
            }
            _ => {
                for (key, ty) in [
                    (
                        "new table",
                        ImportType::Table(TableType {
                            element: RefType::EXTERNREF,
                            minimum: 1,
                            maximum: None,
                            is_64: false,
                        }),
                    ),
                    ("new memory", ImportType::Memory(programs::memory(1, None))),
                ] {
                    let kind = match ty {
                        ImportType::Table(_) => DeclKind::Table,
                        _ => DeclKind::Memory,
                    };
                    let id = self.module.declare(kind, key)?;
                    self.module.define_import(id, "env", key, &ty)?;
                }
                Ok(())
            }
        }
    }
}

/// What stands at each position, as it is said of whatever has the index.
fn right(space: Space, position: u32) -> String {
    let one = "FieldType { element_type: Val(I32), mutable: true }";
    let text = match position {
        STRUCT => return format!("Struct(StructType {{ fields: [{one}] }})"),
        PACKED_STRUCT => {
            "Struct(StructType { fields: [FieldType { element_type: I8, mutable: true }] })"
        }
        ARRAY => return format!("Array(ArrayType({one}))"),
        PACKED_ARRAY => "Array(ArrayType(FieldType { element_type: I8, mutable: true }))",
        FUNCTION_ARRAY => {
            "Array(ArrayType(FieldType { element_type: Val(Ref(funcref)), mutable: true }))"
        }
        CONTINUATION => "continuation of 0 -> []",
        SWITCH => "continuation of 1 -> []",
        DESCRIBED => return format!("described Struct(StructType {{ fields: [{one}] }})"),
        SIGNATURE => "1 -> []",
        BLOCK => "0 -> []",
        FUNCTION => "function 1",
        TABLE => "11 entries",
        OTHER_TABLE => "21 entries",
        EQ_TABLE => "31 entries",
        MEMORY => "4 pages",
        OTHER_MEMORY => "6 pages",
        GLOBAL => "I32Const { value: 1 }",
        TAG => "0 -> []",
        ELEMENTS => "2 elements",
        DATA => "[1, 1, 1]",
        _ => panic!("nothing is at {position} of {space:?}"),
    };
    text.to_owned()
}

#[test]
fn what_names_nothing_is_taken_as_it_is_and_what_names_something_is_not() {
    let module = programs::module(Redirect::Table);
    for instruction in every() {
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.op(&instruction);
        let taken = body.finish();
        let names = positions(&instruction);
        assert_eq!(
            taken.is_ok(),
            names.is_empty(),
            "{instruction:?}: {taken:?}"
        );
    }
}

#[test]
fn the_list_has_every_instruction_that_the_decoder_knows() {
    let all = every().into_iter();
    let encoded = all.filter(|it| !matches!(it, Instruction::Else | Instruction::End));
    let listed: BTreeSet<String> = encoded
        .map(|instruction| spaces::called(&decoded(&instruction)))
        .chain(["Else".to_owned(), "End".to_owned()])
        .collect();
    for known in spaces::known() {
        assert!(listed.contains(*known), "{known} is not in the list");
    }
}

#[test]
fn every_instruction_names_what_it_named_after_every_edit() {
    let all = every();
    let named: Vec<_> = all.iter().filter(|it| !positions(it).is_empty()).collect();
    assert!(named.len() > 200, "{}", named.len());
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        for types in [Types::PerDeclaration, Types::Interned] {
            let mut program = Program::new(redirect, types);
            let names = program.names();
            for instruction in &named {
                program.around(name(instruction), instruction, |body| {
                    body.naming(&names, instruction);
                });
            }
            for step in 0..5 {
                let meanings = program.publish();
                for instruction in &named {
                    let expected = positions(instruction).into_iter();
                    let expected: Vec<_> = expected
                        .map(|(space, at)| (space, right(space, at)))
                        .collect();
                    let found = &meanings.functions[name(instruction)];
                    let found: Vec<_> = found
                        .iter()
                        .filter(|(_, names)| !names.is_empty())
                        .collect();
                    assert_eq!(found.len(), 1, "{instruction:?}: {found:?}");
                    assert_eq!(
                        found[0].1, expected,
                        "{instruction:?}, {redirect:?}, {types:?}, step {step}"
                    );
                }
                if step < 4 {
                    program.move_everything(step).expect("good edits");
                }
            }
        }
    }
}

/// A method of the builder, and the instruction that it stands for.
type Form = (Instruction<'static>, Box<dyn Fn(&mut FunctionBuilder)>);

/// The instruction of which another method is the form.
fn like(name: &str) -> Instruction<'static> {
    let mut all = every().into_iter();
    let found = all.find(|instruction| self::name(instruction) == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Every method that names something but is none of a call.
fn forms(program: &Program) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    macro_rules! add {
        ($($name:literal $method:ident ($($at:expr),*);)*) => {
            $({
                let arguments = ($(program.given($at),)*);
                forms.push((like($name), Box::new(move |body| {
                    add!(@call body $method arguments ($($at),*));
                })));
            })*
        };
        (@call $body:ident $method:ident $arguments:ident ($a:expr)) => {
            $body.$method($arguments.0.into())
        };
        (@call $body:ident $method:ident $arguments:ident ($a:expr, $b:expr)) => {
            $body.$method($arguments.0.into(), $arguments.1.into())
        };
    }
    add! {
        "Throw" throw(TAG); "GlobalGet" global_get(GLOBAL); "GlobalSet" global_set(GLOBAL);
        "TableGet" table_get(TABLE); "TableSet" table_set(TABLE); "TableGrow" table_grow(TABLE);
        "TableSize" table_size(TABLE); "TableFill" table_fill(TABLE); "ElemDrop" elem_drop(ELEMENTS);
        "TableInit" table_init(ELEMENTS, TABLE); "TableCopy" table_copy(OTHER_TABLE, TABLE);
        "MemorySize" memory_size(MEMORY); "MemoryGrow" memory_grow(MEMORY);
        "MemoryFill" memory_fill(MEMORY); "MemoryInit" memory_init(DATA, MEMORY);
        "MemoryCopy" memory_copy(OTHER_MEMORY, MEMORY); "DataDrop" data_drop(DATA);
        "RefFunc" ref_func(FUNCTION);
        "StructNew" struct_new(STRUCT); "StructNewDefault" struct_new_default(STRUCT);
        "StructGet" struct_get(STRUCT, NUMBER); "StructGetS" struct_get_s(PACKED_STRUCT, NUMBER);
        "StructGetU" struct_get_u(PACKED_STRUCT, NUMBER); "StructSet" struct_set(STRUCT, NUMBER);
        "ArrayNew" array_new(ARRAY); "ArrayNewDefault" array_new_default(ARRAY);
        "ArrayNewFixed" array_new_fixed(ARRAY, NUMBER); "ArrayNewData" array_new_data(ARRAY, DATA);
        "ArrayNewElem" array_new_elem(FUNCTION_ARRAY, ELEMENTS); "ArrayGet" array_get(ARRAY);
        "ArrayGetS" array_get_s(PACKED_ARRAY); "ArrayGetU" array_get_u(PACKED_ARRAY);
        "ArraySet" array_set(ARRAY); "ArrayFill" array_fill(ARRAY);
        "ArrayCopy" array_copy(ARRAY, ARRAY); "ArrayInitData" array_init_data(ARRAY, DATA);
        "ArrayInitElem" array_init_elem(FUNCTION_ARRAY, ELEMENTS);
    }
    forms
}

/// Stands for a field or a length, which is 0 everywhere.
const NUMBER: u32 = 1000;

/// An argument of a method.
#[derive(Clone, Copy)]
enum Given {
    Type(TypeId),
    Id(DeclId),
    Number,
}

impl From<Given> for TypeId {
    fn from(given: Given) -> TypeId {
        match given {
            Given::Type(ty) => ty,
            _ => panic!("no type"),
        }
    }
}

impl From<Given> for DeclId {
    fn from(given: Given) -> DeclId {
        match given {
            Given::Id(id) => id,
            _ => panic!("no declaration"),
        }
    }
}

impl From<Given> for u32 {
    fn from(given: Given) -> u32 {
        match given {
            Given::Number => 0,
            _ => panic!("no number"),
        }
    }
}

impl Program {
    fn given(&self, at: u32) -> Given {
        match (self.types.get(&at), self.ids.get(&at)) {
            (Some(ty), _) => Given::Type(*ty),
            (None, Some(id)) => Given::Id(*id),
            (None, None) => Given::Number,
        }
    }
}

/// Calls, blocks, and what has a type in it.
fn other_forms(program: &Program) -> Vec<Form> {
    let (function, table, tag) = (
        program.ids[&FUNCTION],
        program.ids[&TABLE],
        program.ids[&TAG],
    );
    let of = |at: u32| HeapType::Concrete(program.types[&at]);
    let structure = of(STRUCT);
    let mut forms: Vec<Form> = Vec::new();
    macro_rules! add {
        ($($name:literal |$body:ident| $code:expr;)*) => {
            $(forms.push((like($name), Box::new(move |$body| {
                $code;
            })));)*
        };
    }
    let (one, nothing): (&[ValType], &[ValType]) = (&[ValType::I64], &[]);
    let catches = [Catch::One { tag, label: 1 }, Catch::All { label: 1 }];
    let (null, not_null) = (RefType::nullable(structure), RefType::non_null(structure));
    let any = RefType::nullable(HeapType::ANY);
    add! {
        "Call" |body| body.call(function, nothing, nothing);
        "Call" |body| body.call_direct(function);
        "ReturnCall" |body| body.return_call(function, nothing, nothing);
        "CallIndirect" |body| body.call_indirect_in(table, one, nothing);
        "ReturnCallIndirect" |body| body.return_call_indirect_in(table, one, nothing);
        "CallRef" |body| body.call_ref(one, nothing);
        "ReturnCallRef" |body| body.return_call_ref(one, nothing);
        "RefNull" |body| body.ref_null(structure);
        "RefTestNullable" |body| body.ref_test(null);
        "RefTestNonNull" |body| body.ref_test(not_null);
        "RefCastNullable" |body| body.ref_cast(null);
        "RefCastNonNull" |body| body.ref_cast(not_null);
        "BrOnCast" |body| body.br_on_cast(0, any, null);
        "BrOnCastFail" |body| body.br_on_cast_fail(0, any, null);
    }
    // Blocks are written as short as can be: these have two values, as the type of the others has none.
    let two: &[ValType] = &[ValType::I64, ValType::F64];
    type Begin =
        for<'b> fn(&'b mut FunctionBuilder, &[ValType], &[ValType]) -> &'b mut FunctionBuilder;
    for (name, begin) in [
        ("Block", FunctionBuilder::block as Begin),
        ("Loop", FunctionBuilder::loop_),
        ("If", FunctionBuilder::if_),
    ] {
        forms.push((
            like(name),
            Box::new(move |body| {
                begin(body, two, two);
            }),
        ));
    }
    forms.push((
        like("TryTable"),
        Box::new(move |body| {
            body.try_table(two, two, &catches);
        }),
    ));
    forms
}

#[test]
fn the_methods_of_the_builder_name_the_same_as_the_instructions_that_they_stand_for() {
    let mut program = Program::new(Redirect::Direct, Types::Interned);
    let mut forms = forms(&program);
    forms.extend(other_forms(&program));
    for (at, (instruction, write)) in forms.iter().enumerate() {
        program.around(&format!("{} {at}", name(instruction)), instruction, write);
    }
    let declared = program.ids[&FUNCTION];
    let segment = program.module.declare(DeclKind::ElementSegment, "declared");
    let segment = segment.expect("new");
    let elements = Elements::declared([declared]);
    program
        .module
        .define_elements(segment, &elements)
        .expect("a segment");
    for step in 0..5 {
        let meanings = program.publish();
        for (at, (instruction, _)) in forms.iter().enumerate() {
            let expected: Vec<_> = positions(instruction)
                .into_iter()
                .map(|(space, at)| match at {
                    BLOCK => (space, "2 -> [I64, F64]".to_owned()),
                    _ => (space, right(space, at)),
                })
                .collect();
            let found = &meanings.functions[&format!("{} {at}", name(instruction))];
            let called = name(instruction);
            let found: Vec<_> = found.iter().filter(|(name, _)| name == called).collect();
            // The first block is the one around it.
            let found = found.last().unwrap_or_else(|| panic!("no {called}"));
            assert_eq!(found.1, expected, "{instruction:?}, step {step}");
        }
        if step < 4 {
            program.move_everything(step).expect("good edits");
        }
    }
}
