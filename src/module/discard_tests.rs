//! What `Module::discard` promises: the module is what it was at the last commit, by every question one can ask it, and
//! it goes on as one that never had the edits.

use proptest::prelude::*;
use wasm_encoder::Instruction;

use super::*;
use crate::error::ErrorKind;
use crate::patch::Customs;
use crate::program::{Declaration, RelocKind, RelocatableBytes, Relocation, Users};

const KINDS: [DeclKind; 6] = [
    DeclKind::Function,
    DeclKind::Global,
    DeclKind::Table,
    DeclKind::Memory,
    DeclKind::Tag,
    DeclKind::Data,
];

/// Something that is said of a module. Numbers pick among what there is.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Declare {
        kind: usize,
        key: u8,
    },
    DeclarePart {
        owner: usize,
        kind: usize,
        key: Option<u8>,
    },
    Define {
        id: usize,
        with: u8,
    },
    Import {
        id: usize,
        with: u8,
    },
    Piece {
        key: u8,
        section: u8,
        of: usize,
    },
    Rename {
        id: usize,
        name: u8,
    },
    RenameToNothing {
        id: usize,
    },
    Freeze {
        id: usize,
    },
    Remove {
        id: usize,
    },
    /// Takes what has a key away, and gives the key to another kind.
    Redeclare {
        id: usize,
        kind: usize,
    },
    Export {
        name: u8,
        id: usize,
    },
    Unexport {
        name: u8,
    },
    SetExports {
        name: u8,
        id: usize,
    },
    Start {
        id: Option<usize>,
    },
    Reserve {
        id: usize,
        end: u8,
    },
    Customs {
        with: u8,
    },
    TailCalls,
    Relink,
    InternType {
        with: u8,
    },
}

fn edit() -> impl Strategy<Value = Edit> {
    let (id, kind, key, with) = (0usize..40, 0..KINDS.len(), 0u8..12, any::<u8>());
    prop_oneof![
        4 => (kind.clone(), key.clone()).prop_map(|(kind, key)| Edit::Declare { kind, key }),
        2 => (id.clone(), kind.clone(), proptest::option::of(key.clone()))
            .prop_map(|(owner, kind, key)| Edit::DeclarePart { owner, kind, key }),
        12 => (id.clone(), with).prop_map(|(id, with)| Edit::Define { id, with }),
        1 => (id.clone(), with).prop_map(|(id, with)| Edit::Import { id, with }),
        2 => (key.clone(), 0u8..4, id.clone())
            .prop_map(|(key, section, of)| Edit::Piece { key, section, of }),
        2 => (id.clone(), key.clone()).prop_map(|(id, name)| Edit::Rename { id, name }),
        1 => id.clone().prop_map(|id| Edit::RenameToNothing { id }),
        1 => id.clone().prop_map(|id| Edit::Freeze { id }),
        1 => id.clone().prop_map(|id| Edit::Remove { id }),
        1 => (id.clone(), kind).prop_map(|(id, kind)| Edit::Redeclare { id, kind }),
        2 => (key.clone(), id.clone()).prop_map(|(name, id)| Edit::Export { name, id }),
        1 => key.clone().prop_map(|name| Edit::Unexport { name }),
        1 => (key, id.clone()).prop_map(|(name, id)| Edit::SetExports { name, id }),
        1 => proptest::option::of(id.clone()).prop_map(|id| Edit::Start { id }),
        1 => (id, with).prop_map(|(id, end)| Edit::Reserve { id, end }),
        1 => with.prop_map(|with| Edit::Customs { with }),
        1 => Just(Edit::TailCalls),
        1 => Just(Edit::Relink),
        1 => with.prop_map(|with| Edit::InternType { with }),
    ]
}

fn name(of: u8) -> String {
    format!("name{of}")
}

/// A type that depends on a number.
fn values(with: u8) -> Vec<ValType> {
    let all = [ValType::I32, ValType::I64, ValType::F64];
    let count = usize::from(with % 5);
    (0..count)
        .map(|at| all[(usize::from(with) + at) % 3])
        .collect()
}

/// The same, as it is encoded.
fn codes(with: u8) -> Vec<u8> {
    let mut codes = Vec::new();
    values(with)
        .iter()
        .for_each(|ty| ty.push(&mut codes, &mut Vec::new()));
    codes
}

/// What is declared and not about to be removed.
fn living(module: &Module) -> Vec<DeclId> {
    let all = module.program.iter().map(|(id, _)| id);
    let is_own = |id: &crate::program::DeclId| Some(*id) != module.slot_table;
    let lives = |id: &crate::program::DeclId| {
        let decl = module.program.expect(*id);
        decl.is_ok_and(|decl| !decl.is_orphan)
    };
    let all = all.filter(lives).filter(is_own);
    all.map(|id| module.handed_out(id)).collect()
}

/// The one that `at` picks of what lives and is of this kind.
fn pick(module: &Module, at: usize, kind: Option<DeclKind>) -> Option<DeclId> {
    let mut all = living(module);
    all.retain(|id| kind.is_none_or(|kind| module.program.decl(id.bare()).kind == kind));
    (!all.is_empty()).then(|| all[at % all.len()])
}

/// Defines something, referring to what is defined already.
fn define(module: &mut Module, id: DeclId, with: u8) -> Result<()> {
    let is_defined = |id: &DeclId| module.program.decl(id.bare()).next().is_some();
    let defined: Vec<DeclId> = living(module).into_iter().filter(is_defined).collect();
    let of_kind = |kind| {
        let mut all = defined
            .iter()
            .copied()
            .filter(|id| module.program.decl(id.bare()).kind == kind);
        all.nth(usize::from(with) % 3)
    };
    match module.program.expect(id.bare())?.kind {
        DeclKind::Function => {
            let mut body = FunctionBuilder::new(module.body_style(), &values(with % 3), &[]);
            for _ in 0..with {
                body.op(&Instruction::Nop);
            }
            if let Some(callee) = of_kind(DeclKind::Function) {
                // By a type that it may not have, or by whichever it has.
                match with % 4 {
                    0 => body.call(callee, &values(with), &[]),
                    _ => body.call_direct(callee),
                };
            }
            if let Some(data) = of_kind(DeclKind::Data) {
                body.address_of_data(data, 1);
                body.op(&Instruction::Drop);
            }
            let body = body.finish()?;
            module.define_function(id, body)
        }
        DeclKind::Global => {
            let init = match of_kind(DeclKind::Function).filter(|_| with.is_multiple_of(2)) {
                Some(function) => ConstExpr::FunctionAddress(function),
                None => ConstExpr::I32(with.into()),
            };
            module.define_global(id, ValType::I32, true, init)
        }
        DeclKind::Table => module.define_table(
            id,
            TableType {
                element: RefType::FUNCREF,
                minimum: with.into(),
                maximum: None,
                is_64: false,
            },
        ),
        DeclKind::Memory => module.define_memory(
            id,
            MemoryType {
                minimum: 1 + u64::from(with % 4),
                maximum: None,
                shared: false,
                is_64: false,
            },
        ),
        DeclKind::Tag => module.define_tag(id, &values(with)),
        DeclKind::Data => {
            let memory = of_kind(DeclKind::Memory).unwrap_or(id);
            let data = Data::new(vec![with; usize::from(with)], with % 4);
            module.define_data(id, memory, data)
        }
        _ => Ok(()),
    }
}

fn import(module: &mut Module, id: DeclId, with: u8) -> Result<()> {
    let ty = match module.program.expect(id.bare())?.kind {
        DeclKind::Function => ImportType::Function(values(with), Vec::new()),
        DeclKind::Global => ImportType::Global(ValType::I32, true),
        _ => ImportType::Tag(values(with)),
    };
    module.define_import(id, "env", &name(with), &ty)
}

fn define_piece(module: &mut Module, key: u8, section: u8, of: usize) -> Result<()> {
    let key = format!("piece{key}");
    let id = match module.lookup(&key) {
        Some(id) => id,
        None => module.declare(DeclKind::Custom, &key)?,
    };
    let section = module.custom_section(&format!("section{section}"))?;
    let mut piece = Piece::new(vec![0; 16 + of]);
    if let Some(function) = pick(module, of, Some(DeclKind::Function)) {
        piece = piece.with_function_index(8, function);
    }
    module.define_piece(id, section, piece)
}

/// Says something. What cannot be said is refused, and that is well.
fn apply(module: &mut Module, edit: Edit) -> Result<()> {
    let any = |at| pick(module, at, None);
    let none = || crate::Error::bad_edit("there is nothing yet");
    match edit {
        Edit::Declare { kind, key } => module.declare(KINDS[kind], &name(key)).map(drop),
        Edit::DeclarePart { owner, kind, key } => {
            let owner = any(owner).ok_or_else(none)?;
            let key = key.map(name);
            let id = module.declare_part(owner, KINDS[kind], key.as_deref())?;
            define(module, id, key.map_or(7, |key| key.len() as u8))
        }
        Edit::Define { id, with } => define(module, any(id).ok_or_else(none)?, with),
        Edit::Import { id, with } => import(module, any(id).ok_or_else(none)?, with),
        Edit::Piece { key, section, of } => define_piece(module, key, section, of),
        Edit::Rename { id, name: to } => module.set_name(any(id).ok_or_else(none)?, &name(to)),
        Edit::RenameToNothing { id } => {
            let id = any(id).ok_or_else(none)?;
            module.program.set_name(id.bare(), None)
        }
        Edit::Freeze { id } => {
            let id = any(id).ok_or_else(none)?;
            let library = module.program.library("library");
            module.program.freeze(id.bare(), library);
            Ok(())
        }
        Edit::Remove { id } => module.remove(any(id).ok_or_else(none)?),
        Edit::Redeclare { id, kind } => {
            let id = any(id).ok_or_else(none)?;
            let key = module
                .program
                .decl(id.bare())
                .key
                .clone()
                .ok_or_else(none)?;
            module.remove(id)?;
            module.declare(KINDS[kind], &key).map(drop)
        }
        Edit::Export { name: to, id } => module.export(&name(to), any(id).ok_or_else(none)?),
        Edit::Unexport { name: of } => {
            module.unexport(&name(of));
            Ok(())
        }
        Edit::SetExports { name: to, id } => {
            let id = pick(module, id, Some(DeclKind::Function)).ok_or_else(none)?;
            module.program.set_exports(&[(name(to).into(), id.bare())]);
            Ok(())
        }
        Edit::Start { id } => {
            let id = id.and_then(|id| pick(module, id, Some(DeclKind::Function)));
            module.set_start(id)
        }
        Edit::Reserve { id, end } => {
            let id = pick(module, id, Some(DeclKind::Memory)).ok_or_else(none)?;
            module.reserve_data(id, 2048..4096 + 64 * u64::from(end))
        }
        Edit::Customs { with } => {
            let mut tail = Vec::new();
            crate::wire::section::push_custom(
                &mut tail,
                "kept",
                &vec![with; usize::from(with % 9)],
            );
            module.set_customs(Customs {
                front: Vec::new(),
                tail,
                module_name: (with % 3 == 0).then(|| name(with).into()),
            });
            Ok(())
        }
        Edit::TailCalls => {
            module.use_tail_calls();
            Ok(())
        }
        Edit::Relink => {
            module.request_relink();
            Ok(())
        }
        Edit::InternType { with } => {
            let ty = module
                .program
                .types
                .function(&codes(with), &codes(with / 7))?;
            let bytes = [0x5f, 1, 0x7f, with % 2];
            module.program.types.simple(&bytes, None)?;
            let fields = vec![Relocation::to_type(RelocKind::HeapType, 2, ty)];
            let content = RelocatableBytes::new(vec![0x5e, 0x63, 0, 0, 0, 0, 0, 0], fields)?;
            module
                .program
                .types
                .group(content, Box::default(), vec![None])
                .map(drop)
        }
    }
}

fn say(module: &mut Module, edits: &[Edit]) -> Vec<Option<String>> {
    let said = edits.iter().map(|edit| apply(module, *edit));
    said.map(|it| it.err().map(|error| error.to_string()))
        .collect()
}

/// Makes the next commit fail, whatever else is pending.
fn spoil(module: &mut Module) {
    module.unexport("what is not exported");
}

/// Commits, which fails: when everything is written and nothing of it visible, or at once.
fn fail(module: &mut Module, is_late: bool) {
    let refuse = || Err(crate::Error::bad_edit("is refused at last"));
    if !is_late {
        spoil(module);
    }
    assert!(module.commit_checked(&refuse).is_err());
}

fn definition(definition: Option<&Definition>) -> String {
    let parts = definition.map(|it| (it.shape, it.content.bytes(), it.content.relocs()));
    format!("{parts:?}")
}

fn declaration(id: crate::program::DeclId, decl: &Declaration) -> String {
    let Declaration {
        key,
        name,
        kind,
        serial,
        owner,
        edited,
        is_orphan,
        library,
        dirty,
        renamed,
        ..
    } = decl;
    let flags = [edited, is_orphan, &library.is_some(), dirty, renamed];
    let (now, next) = (definition(decl.current()), definition(decl.next()));
    let pending = std::mem::discriminant(&decl.pending());
    let members = decl.members();
    format!(
        "{id} {key:?} {name:?} {kind} {serial} {owner:?} {members:?} {flags:?} {pending:?}\n{now}\n{next}"
    )
}

/// All that can be asked of a module.
fn observe(module: &mut Module) -> Vec<String> {
    // The index is there or not; it says the same.
    module.index();
    let mut all = Vec::new();
    for (id, decl) in module.program.iter() {
        all.push(declaration(id, decl));
        let found = decl
            .key
            .as_deref()
            .map(|key| module.lookup(key).map(DeclId::bare));
        all.push(format!("{found:?} {:?}", module.sources_of(id)));
        all.push(format!(
            "{:?}",
            module.layout.as_ref().map(|it| it.place(id))
        ));
        all.push(format!("{:?}", module.program.kind_of(id)));
    }
    let program = &module.program;
    let references = module.references.as_ref().expect("it was made");
    let checked = program.check(references, Users::MayBeStale);
    all.push(format!("{:?}", checked.map_err(|error| error.to_string())));
    let renamed: Vec<crate::program::DeclId> = program.renamed().collect();
    all.push(format!(
        "{:?} {:?} {renamed:?}",
        program.orphans(),
        program.spare_orphans()
    ));
    all.push(format!(
        "{:?} {:?} {:?}",
        program.exports.iter().collect::<Vec<_>>(),
        program.start,
        program.next_start()
    ));
    all.push(format!("{:?} {}", program.sections(), program.types.len()));
    all.push(format!("{} {}", program.capacity(), program.dirty.len()));
    for key in (0..12).map(name) {
        all.push(format!("{:?}", module.lookup(&key).map(DeclId::bare)));
    }
    let (settings, pending) = (&module.settings, &module.pending);
    all.push(format!(
        "{settings:?} {pending:?} {:?}",
        module.must_relink()
    ));
    all.push(format!(
        "{:?} {} {}",
        module.identity,
        module.declarations(),
        module.has_edits()
    ));
    if module.layout.is_some() {
        all.push(format!("{:?}", module.bytes().expect("it is in memory")));
    }
    all.push(format!(
        "{:?}",
        module.finish().map_err(|error| error.to_string())
    ));
    all
}

fn options(with: u8) -> ModuleOptions {
    let redirects = [Redirect::Table, Redirect::TableThunks, Redirect::Direct];
    ModuleOptions {
        redirect: redirects[usize::from(with % 3)],
        types: [Types::PerDeclaration, Types::Interned][usize::from(with / 3 % 2)],
        slot_table: with % 7 != 6 || with % 3 != 2,
        ..ModuleOptions::default()
    }
}

fn module(with: u8) -> Module {
    Module::in_memory(options(with)).expect("it is in memory")
}

/// A commit as it can be compared: what was published, or what is wrong.
fn commit(module: &mut Module) -> String {
    let patch = module.commit().map_err(|error| error.to_string());
    format!(
        "{:?}",
        patch.map(|it| (it.identity, it.outcome, it.changed, it.moved, it.file_len))
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn discarded_edits_leave_no_trace(
        with: u8,
        rounds in proptest::collection::vec(
            (
                proptest::collection::vec(edit(), 0..24),
                proptest::collection::vec(edit(), 1..24),
                0usize..3,
            ),
            1..6,
        ),
    ) {
        let (mut module, mut other) = (module(with), module(with));
        for (edits, dropped, failures) in rounds {
            say(&mut module, &dropped);
            for at in 0..failures {
                fail(&mut module, at == 0);
                say(&mut module, &dropped);
            }
            module.discard();
            prop_assert_eq!(observe(&mut module), observe(&mut other));
            prop_assert_eq!(say(&mut module, &edits), say(&mut other, &edits));
            let commits = [commit(&mut module), commit(&mut other)];
            prop_assert_eq!(&commits[0], &commits[1]);
            if commits[0].starts_with("Err") {
                module.discard();
                other.discard();
            }
            prop_assert_eq!(observe(&mut module), observe(&mut other));
        }
    }
}

/// Edits that each of [`each_kind`] can follow.
const SUBJECT: [Edit; 8] = [
    Edit::Declare { kind: 3, key: 0 },
    Edit::Define { id: 0, with: 1 },
    Edit::Declare { kind: 0, key: 1 },
    Edit::Define { id: 1, with: 6 },
    Edit::Declare { kind: 0, key: 2 },
    Edit::Declare { kind: 5, key: 3 },
    Edit::Define { id: 3, with: 9 },
    Edit::Export { name: 1, id: 1 },
];

fn say_all(module: &mut Module, edits: &[Edit]) {
    for edit in edits {
        let said = apply(module, *edit);
        said.unwrap_or_else(|error| panic!("{edit:?}: {error}"));
    }
}

/// Each kind of edit, as it changes the [`SUBJECT`].
fn each_kind() -> [Edit; 21] {
    [
        Edit::Declare { kind: 1, key: 4 },
        Edit::DeclarePart {
            owner: 1,
            kind: 0,
            key: None,
        },
        Edit::DeclarePart {
            owner: 1,
            kind: 0,
            key: Some(5),
        },
        Edit::Define { id: 1, with: 12 },
        Edit::Define { id: 2, with: 3 },
        Edit::Import { id: 2, with: 3 },
        Edit::Piece {
            key: 0,
            section: 0,
            of: 0,
        },
        Edit::Rename { id: 1, name: 9 },
        Edit::Rename { id: 2, name: 9 },
        Edit::Freeze { id: 1 },
        Edit::Remove { id: 2 },
        Edit::Redeclare { id: 2, kind: 1 },
        Edit::Export { name: 2, id: 1 },
        Edit::Unexport { name: 1 },
        Edit::SetExports { name: 3, id: 0 },
        Edit::Start { id: Some(0) },
        Edit::Reserve { id: 0, end: 9 },
        Edit::Customs { with: 3 },
        Edit::TailCalls,
        Edit::Relink,
        Edit::InternType { with: 9 },
    ]
}

#[test]
fn each_kind_of_edit_is_taken_back_before_the_first_commit() {
    for edit in each_kind() {
        let mut module = module(4);
        let before = observe(&mut module);
        say_all(&mut module, &SUBJECT);
        let subject = observe(&mut module);
        say_all(&mut module, &[edit]);
        assert!(observe(&mut module) != subject, "{edit:?} says nothing");
        module.discard();
        assert_eq!(observe(&mut module), before, "{edit:?}");
        say_all(&mut module, &SUBJECT);
        assert_eq!(observe(&mut module), subject, "{edit:?}");
        assert!(commit(&mut module).starts_with("Ok"), "{edit:?}");
    }
}

#[test]
fn each_kind_of_edit_is_taken_back_after_a_commit() {
    for edit in each_kind() {
        let mut modules = [module(4), module(4)];
        for module in &mut modules {
            say_all(module, &SUBJECT);
            module.commit().expect("the edits are good");
        }
        let [module, other] = &mut modules;
        let before = observe(module);
        say_all(module, &[edit]);
        assert!(observe(module) != before, "{edit:?} says nothing");
        module.discard();
        assert_eq!(observe(module), before, "{edit:?}");
        assert!(commit(module).contains("Unchanged"), "{edit:?}");
        for module in [&mut *module, &mut *other] {
            say_all(module, &[Edit::Declare { kind: 0, key: 8 }, edit]);
        }
        assert_eq!(commit(module), commit(other), "{edit:?}");
        assert_eq!(observe(module), observe(other), "{edit:?}");
    }
}

#[test]
fn each_kind_of_edit_is_taken_back_after_a_commit_that_failed() {
    for edit in each_kind() {
        let mut module = module(4);
        say_all(&mut module, &SUBJECT);
        module.commit().expect("the edits are good");
        let before = observe(&mut module);
        say_all(&mut module, &[edit]);
        let said = observe(&mut module);
        fail(&mut module, true);
        fail(&mut module, false);
        assert!(
            observe(&mut module) != before,
            "{edit:?} is not pending any more"
        );
        module.discard();
        assert_eq!(observe(&mut module), before, "{edit:?}");
        say_all(&mut module, &[edit]);
        assert_eq!(observe(&mut module), said, "{edit:?}");
    }
}

#[test]
fn a_first_commit_that_failed_can_be_mended_or_discarded() {
    for mends in [true, false] {
        let mut module = module(4);
        say_all(&mut module, &SUBJECT);
        let callee = module.lookup(&name(2)).unwrap();
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.call_direct(callee);
        let caller = module.lookup(&name(1)).unwrap();
        let body = body.finish().unwrap();
        module.define_function(caller, body).unwrap();
        let error = module.commit().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadEdit);
        assert_eq!(module.identity().generation, 0);
        if mends {
            define(&mut module, callee, 0).unwrap();
        } else {
            module.discard();
            assert_eq!(module.declarations(), 1);
            say_all(&mut module, &SUBJECT);
        }
        let patch = module.commit().expect("the edits are good");
        assert_eq!(patch.relink_reason(), Some(RelinkReason::First));
        let bytes = module.bytes().unwrap();
        wasmparser::Validator::new()
            .validate_all(&bytes)
            .expect("it is valid");
    }
}

#[test]
fn the_table_of_slots_is_there_after_discard() {
    let mut module = module(0);
    let table = module.slot_table();
    module.discard();
    assert_eq!(module.slot_table(), table);
    assert!(table.is_some_and(|table| module.program.decl(table.bare()).current().is_some()));
    assert!(commit(&mut module).starts_with("Ok"));
}

#[test]
fn a_key_that_was_given_to_another_kind_is_what_it_was() {
    let mut module = module(4);
    say_all(&mut module, &SUBJECT);
    module.commit().expect("the edits are good");
    let key = name(2);
    let id = module.lookup(&key).unwrap();
    for kind in [DeclKind::Global, DeclKind::Tag, DeclKind::Function] {
        module.remove(id).unwrap();
        assert_eq!(module.lookup(&key), None);
        let other = module.declare(kind, &key).unwrap();
        assert_eq!(module.lookup(&key), Some(other));
        module.remove(other).unwrap();
        module.declare(DeclKind::Table, &key).unwrap();
        module.discard();
        assert_eq!(module.lookup(&key), Some(id));
        assert_eq!(module.program.decl(id.bare()).kind, DeclKind::Function);
        assert!(module.program.get(other.bare()).is_none());
    }
    define(&mut module, id, 3).expect("it can be defined as before");
    module.commit().expect("the edit is good");
}

#[test]
fn a_thousand_edits_that_fail_leave_nothing_behind() {
    let mut module = module(1);
    say_all(&mut module, &SUBJECT);
    module.commit().expect("the edits are good");
    let before = observe(&mut module);
    for at in 0..1000u32 {
        let key = format!("f{at}");
        let id = module.declare(DeclKind::Function, &key).unwrap();
        let wide = vec![ValType::I64; at as usize % 900];
        let body = FunctionBuilder::new(module.body_style(), &wide, &[]);
        module.define_function(id, body.finish().unwrap()).unwrap();
        module.declare_part(id, DeclKind::Data, None).unwrap();
        module.custom_section(&key).unwrap();
        spoil(&mut module);
        assert!(module.commit().is_err());
        module.discard();
    }
    assert_eq!(module.declarations(), 1 + 4);
    assert_eq!(observe(&mut module), before);
    let next = module.declare(DeclKind::Function, "next").unwrap();
    assert_eq!(next.bare().index(), module.program.capacity() - 1);
}

#[test]
fn what_was_only_declared_is_there_after_a_commit_that_had_nothing_to_write() {
    let mut module = module(4);
    say_all(&mut module, &SUBJECT);
    module.commit().expect("the edits are good");
    let id = module.declare(DeclKind::Function, "later").unwrap();
    assert!(matches!(
        module.commit().unwrap().outcome,
        Outcome::Unchanged
    ));
    module.declare(DeclKind::Function, "never").unwrap();
    module.discard();
    assert_eq!(module.lookup("later"), Some(id));
    assert_eq!(module.lookup("never"), None);
}

#[test]
fn settings_that_are_set_back_are_no_edit() {
    let mut module = module(4);
    say_all(&mut module, &SUBJECT);
    say_all(
        &mut module,
        &[Edit::Reserve { id: 0, end: 1 }, Edit::Customs { with: 1 }],
    );
    module.commit().expect("the edits are good");
    let there = [
        Edit::Reserve { id: 0, end: 2 },
        Edit::Customs { with: 3 },
        Edit::Rename { id: 1, name: 9 },
        Edit::Start { id: Some(0) },
    ];
    let back = [
        Edit::Reserve { id: 0, end: 1 },
        Edit::Customs { with: 1 },
        Edit::RenameToNothing { id: 1 },
        Edit::Start { id: None },
    ];
    for (there, back) in there.into_iter().zip(back) {
        say_all(&mut module, &[there]);
        assert!(module.has_edits() && module.finish().is_err(), "{there:?}");
        say_all(&mut module, &[back]);
        assert!(!module.has_edits() && module.finish().is_ok(), "{back:?}");
    }
    assert!(matches!(
        module.commit().unwrap().outcome,
        Outcome::Unchanged
    ));
}

#[test]
fn the_addresses_of_a_memory_that_is_gone_are_not_those_of_the_next() {
    let mut module = module(4);
    let old = module.declare(DeclKind::Memory, "old").unwrap();
    define(&mut module, old, 0).unwrap();
    module.reserve_data(old, 4096..8192).unwrap();
    module.commit().expect("the edits are good");
    module.remove(old).unwrap();
    module.commit().expect("nothing stands in it");
    let new = module.declare(DeclKind::Memory, "new").unwrap();
    let numbers = [old, new].map(DeclId::bare);
    assert_eq!(numbers[0], numbers[1], "the test shows nothing");
    assert!(module.pending.data_ranges(&module.settings).is_empty());
}

#[test]
fn that_edits_are_validated_holds_for_their_commit_only() {
    let mut module = module(2);
    say_all(&mut module, &SUBJECT);
    let [callee, caller] = [1, 2].map(|key| module.lookup(&name(key)).unwrap());
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    body.call_direct(callee);
    module
        .define_function(caller, body.finish().unwrap())
        .unwrap();
    module.commit().expect("the edits are good");
    let retype = |module: &mut Module, with| {
        let body = FunctionBuilder::new(module.body_style(), &values(with), &[]);
        module
            .define_function(callee, body.finish().unwrap())
            .unwrap();
    };
    let no_check = || Ok(());
    retype(&mut module, 1);
    assert!(module.commit().is_err(), "the caller is not asked for");
    module
        .commit_validated(&no_check)
        .expect("it is said to be right");
    retype(&mut module, 2);
    assert!(
        module.commit().is_err(),
        "what was said of another commit holds for this"
    );
    module.discard();
    retype(&mut module, 3);
    assert!(module.commit().is_err());
}

#[test]
fn a_section_that_was_discarded_has_no_pieces() {
    let mut module = module(4);
    let piece = module.declare(DeclKind::Custom, "piece").unwrap();
    commit(&mut module);
    let section = module.custom_section("gone").unwrap();
    module.discard();
    let refused = module.define_piece(piece, section, Piece::new(vec![1]));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::BadEdit);
}

#[test]
fn what_is_defined_again_is_no_edit_and_stands_in_the_input_that_it_came_from_last() {
    let mut module = module(4);
    let id = module.declare(DeclKind::Function, "f").unwrap().bare();
    let ty = module.program.types.function(&[], &[]).unwrap();
    let inputs: [std::sync::Arc<dyn crate::wire::source::Source>; 3] =
        [(); 3].map(|()| std::sync::Arc::new(vec![0u8, 0x0b]) as _);
    for (version, input) in inputs.iter().enumerate() {
        let bytes = crate::program::Bytes::Shared {
            input: input.clone(),
            start: 0,
            len: 2,
        };
        let content = RelocatableBytes::new(bytes, Vec::new()).unwrap();
        let shape = crate::program::DefinitionKind::Function { ty };
        let definition = Definition { content, shape };
        let kind = DeclKind::Function;
        module.program.define(id, kind, definition).unwrap();
        assert_eq!(module.has_edits(), version == 0);
        module.commit().expect("it is good");
        let current = module.program.decl(id).current().expect("it is defined");
        let stands = current.content.bytes().as_ptr();
        assert_eq!(Some(stands), input.part(0, 2).map(<[u8]>::as_ptr));
    }
    assert_eq!(
        inputs
            .iter()
            .map(std::sync::Arc::strong_count)
            .collect::<Vec<_>>(),
        [1, 1, 2]
    );
}
