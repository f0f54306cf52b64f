//! What is said of types, segments and references to functions that do not fit: a commit refuses them and names who is
//! concerned, also where an edit of one thing makes code wrong that stays.
//!
//! Run: `Module::commit` and `Module::define_types`.

use crate::support::programs;
use wasmend::{
    ConstExpr, DeclId, DeclKind, Elements, Error, FieldType, FunctionBuilder, HeapType,
    Instruction as I, Module, Name, Redirect, RefType, StorageType, TableType, TypeDef, TypeId,
    ValType, wasm_encoder,
};

fn declare(module: &mut Module, kind: DeclKind, key: &str) -> DeclId {
    module.declare(kind, key).expect("new")
}

fn define(module: &mut Module, id: DeclId, write: impl FnOnce(&mut FunctionBuilder)) {
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    write(&mut body);
    let body = body.finish().expect("a body");
    module.define_function(id, body).expect("a function");
}

fn refused(module: &mut Module) -> Error {
    module.commit().map(drop).expect_err("it is refused")
}

fn expect_valid(module: &Module) {
    let bytes = module.bytes().expect("in memory");
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
        .validate_all(&bytes)
        .expect("a valid file");
}

#[test]
fn a_reference_to_a_function_needs_a_segment_or_a_global_that_names_it() {
    let mut module = programs::module(Redirect::Table);
    let function = declare(&mut module, DeclKind::Function, "function");
    let user = declare(&mut module, DeclKind::Function, "user");
    define(&mut module, function, |_| {});
    let refer = |body: &mut FunctionBuilder| {
        body.ref_func(function).op(&I::Drop);
    };
    define(&mut module, user, refer);
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("user"), "{error}");
    assert!(error.to_string().contains("Elements::declared"), "{error}");
    let segment = declare(&mut module, DeclKind::ElementSegment, "segment");
    let declared = Elements::declared([function]);
    module.define_elements(segment, &declared).expect("good");
    module.commit().expect("the segment names it");
    expect_valid(&module);
    // It is named by a segment that is there already.
    define(&mut module, user, |body| {
        body.ref_func(function).op(&I::Drop).op(&I::Nop);
    });
    module.commit().expect("the segment names it");
    // The segment goes, or names it no more; the code stays.
    module.remove(segment).expect("it is there");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("user"), "{error}");
    module.discard();
    let nothing = Elements::declared([]);
    module.define_elements(segment, &nothing).expect("good");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("user"), "{error}");
    let global = declare(&mut module, DeclKind::Global, "global");
    let init = ConstExpr::Function(function);
    module
        .define_global(global, ValType::FUNCREF, false, init)
        .expect("good");
    module.commit().expect("the global names it");
    expect_valid(&module);
}

#[test]
fn segments_are_named_by_fields_only_and_fit_the_tables_that_they_fill() {
    let mut module = programs::module(Redirect::Direct);
    let memory = declare(&mut module, DeclKind::Memory, "memory");
    module
        .define_memory(memory, programs::memory(1, None))
        .expect("good");
    let data = declare(&mut module, DeclKind::DataSegment, "data");
    module.define_data_segment(data, b"abc").expect("good");
    let raw = declare(&mut module, DeclKind::Function, "raw");
    define(&mut module, raw, |body| {
        body.raw(&[0xfc, 9, 0]);
    });
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("raw"), "{error}");
    assert!(error.message().contains("data segment 0"), "{error}");
    define(&mut module, raw, |body| {
        body.data_drop(data);
    });
    module.commit().expect("it is named");
    expect_valid(&module);
    let table = declare(&mut module, DeclKind::Table, "table");
    let elements = declare(&mut module, DeclKind::ElementSegment, "elements");
    let ty = TableType {
        element: RefType::EXTERNREF,
        minimum: 2,
        maximum: None,
        is_64: false,
    };
    module.define_table(table, ty).expect("good");
    let null = ConstExpr::Null(HeapType::EXTERN);
    let nulls = Elements::values(RefType::EXTERNREF, [null, null]);
    module.define_elements(elements, &nulls).expect("good");
    let user = declare(&mut module, DeclKind::Function, "user");
    define(&mut module, user, |body| {
        body.op(&I::I32Const(0))
            .op(&I::I32Const(0))
            .op(&I::I32Const(2));
        body.table_init(elements, table);
    });
    module.commit().expect("both are of one type");
    expect_valid(&module);
    module
        .define_elements(elements, &Elements::functions([]))
        .expect("good");
    let error = refused(&mut module);
    assert_eq!(error.symbol(), Some("user"), "{error}");
    module.discard();
    let slots = module.slot_table().expect("there is one");
    let active = Elements::functions([]).active(slots, ConstExpr::I32(0));
    let error = module.define_elements(elements, &active);
    error.expect_err("the table of slots is not the program's");
}

fn point(module: &mut Module) -> TypeId {
    let field = FieldType {
        storage: StorageType::Val(ValType::I32),
        mutable: true,
    };
    let defined = module.define_types(&[TypeDef::structure([field, field])]);
    defined.expect("good types")[0]
}

#[test]
fn types_are_those_of_their_module_as_long_as_they_are_not_discarded() {
    let mut module = programs::module(Redirect::Table);
    let mut other = programs::module(Redirect::Table);
    let foreign = point(&mut other);
    let stale = point(&mut module);
    module.discard();
    let fresh = point(&mut module);
    assert_ne!(stale, fresh);
    assert_eq!(fresh, point(&mut module), "equal types have equal ids");
    let id = declare(&mut module, DeclKind::Function, "f");
    for wrong in [foreign, stale] {
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.struct_new_default(wrong).op(&I::Drop);
        let body = body.finish().expect("nobody knows yet");
        let error = module.define_function(id, body).expect_err("no such type");
        assert_eq!(error.symbol(), Some("f"), "{error}");
        let local = RefType::nullable(HeapType::Concrete(wrong));
        let signature = FunctionBuilder::new(module.body_style(), &[local.into()], &[]);
        let body = signature.finish().expect("nobody knows yet");
        module.define_function(id, body).expect_err("no such type");
    }
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    body.locals(1, RefType::nullable(HeapType::Sibling(0)).into());
    let body = body.finish().expect("nobody knows yet");
    module.define_function(id, body).expect_err("no such type");
    let mut body = FunctionBuilder::of_type(module.body_style(), fresh, 0);
    body.op(&I::Nop);
    let body = body.finish().expect("nobody knows yet");
    let error = module.define_function(id, body).expect_err("no function");
    assert!(error.message().contains("not one of functions"), "{error}");
}

#[test]
fn types_that_cannot_be_are_refused_at_once() {
    let mut module = programs::module(Redirect::Table);
    let closed = point(&mut module);
    let subtype = TypeDef::structure([]).extends(HeapType::Concrete(closed));
    let error = module.define_types(&[subtype]).expect_err("it is final");
    assert!(error.message().contains("sub type"), "{error}");
    let beyond = TypeDef::array(FieldType {
        storage: StorageType::Val(RefType::nullable(HeapType::Sibling(2)).into()),
        mutable: false,
    });
    module.define_types(&[beyond]).expect_err("there is one");
}

#[test]
fn what_is_called_by_a_type_of_the_module_has_that_type() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut module = programs::module(redirect);
        let field = |ty| FieldType {
            storage: StorageType::Val(ty),
            mutable: true,
        };
        // An object has a method, whose first parameter is the object.
        let object = RefType::nullable(HeapType::Sibling(0));
        let method = RefType::nullable(HeapType::Sibling(1));
        let group = [
            TypeDef::structure([field(method.into()), field(ValType::I32)]),
            TypeDef::function(&[object.into()], &[ValType::I32]),
        ];
        let ids = module.define_types(&group).expect("good types");
        let (object, method) = (ids[0], ids[1]);
        let own = RefType::nullable(HeapType::Concrete(object));
        let get = declare(&mut module, DeclKind::Function, "get");
        let user = declare(&mut module, DeclKind::Function, "user");
        let global = declare(&mut module, DeclKind::Global, "global");
        let null = ConstExpr::Null(HeapType::Concrete(object));
        module
            .define_global(global, own.into(), true, null)
            .expect("good");
        let segment = declare(&mut module, DeclKind::ElementSegment, "segment");
        module
            .define_elements(segment, &Elements::declared([get]))
            .expect("good");
        for at in 0..4 {
            let mut body = FunctionBuilder::of_type(module.body_style(), method, 1);
            for _ in 0..20 * at {
                body.op(&I::Nop);
            }
            body.op(&I::LocalGet(0)).struct_get(object, 1);
            let body = body.finish().expect("a body");
            module.define_function(get, body).expect("good");
            define(&mut module, user, |body| {
                let local = body.locals(1, own.into());
                body.ref_func(get).op(&I::I32Const(at)).struct_new(object);
                body.op(&I::LocalSet(local));
                body.op(&I::LocalGet(local)).global_set(global);
                body.global_get(global).call_as(get, method).op(&I::Drop);
                body.op(&I::LocalGet(local)).op(&I::LocalGet(local));
                body.struct_get(object, 0);
                body.naming(&[method.into()], &I::CallRef(0)).op(&I::Drop);
                body.op(&I::LocalGet(local)).return_call_as(get, method);
                body.op(&I::Drop);
            });
            // A tail call must have the results of the function that it ends.
            let error = refused(&mut module);
            assert_eq!(error.symbol(), Some("user"), "{error}");
            define(&mut module, user, |body| {
                let local = body.locals(1, own.into());
                body.ref_func(get).op(&I::I32Const(at)).struct_new(object);
                body.op(&I::LocalTee(local)).global_set(global);
                body.global_get(global).call_as(get, method).op(&I::Drop);
                body.op(&I::LocalGet(local)).op(&I::LocalGet(local));
                body.struct_get(object, 0);
                body.naming(&[method.into()], &I::CallRef(0)).op(&I::Drop);
            });
            module.commit().expect("a valid program");
            expect_valid(&module);
        }
        // Another signature than that of the type, though it looks the same.
        define(&mut module, user, |body| {
            body.global_get(global)
                .call(get, &[own.into()], &[ValType::I32])
                .op(&I::Drop);
        });
        let error = refused(&mut module);
        assert!(error.message().contains("calls `get` as"), "{error}");
        module.discard();
        let wrong = module.define_global(global, ValType::I32, true, ConstExpr::I32(0));
        wrong.expect("what uses it is looked at by the commit");
        let error = refused(&mut module);
        assert!(error.message().contains("changes its type"), "{error}");
    }
}

#[test]
fn names_that_do_not_fit_what_an_instruction_names_are_refused() {
    let mut module = programs::module(Redirect::Table);
    let ty = point(&mut module);
    let id = declare(&mut module, DeclKind::Function, "f");
    let wrong: [(&[Name<'_>], I<'_>); 4] = [
        (&[], I::StructNew(0)),
        (&[id.into()], I::StructNew(0)),
        (&[ty.into()], I::RefFunc(0)),
        (&[ty.into()], I::RefFunc(1)),
    ];
    for (names, instruction) in wrong {
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.naming(names, &instruction);
        let error = body.finish().expect_err("names that do not fit");
        let called = format!("{instruction:?}");
        assert!(error.message().starts_with(&called), "{error}");
    }
}

#[test]
fn a_value_type_becomes_the_encoders_and_comes_back() {
    for ty in [
        ValType::I32,
        ValType::I64,
        ValType::F32,
        ValType::F64,
        ValType::V128,
        ValType::FUNCREF,
        ValType::EXTERNREF,
        RefType::non_null(HeapType::I31).into(),
    ] {
        let there = wasm_encoder::ValType::try_from(ty).expect("it names nothing");
        assert_eq!(ValType::try_from(there).expect("it names nothing"), ty);
    }
    let mut module = programs::module(Redirect::Table);
    let ty = ValType::Ref(RefType::nullable(HeapType::Concrete(point(&mut module))));
    wasm_encoder::ValType::try_from(ty).expect_err("it has no index");
}
