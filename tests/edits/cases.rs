//! Edit scripts by hand: one for each kind of edit, and one for each bug that random scripts found, named after it.
//! Each runs with every redirection and every kind of types, and all that holds of random scripts is checked.
//!
//! Run: the script that a case consists of, edit by edit, on a `Module` in memory; `Commit` in it is `Module::commit`.

use crate::harness::check::{Config, Seen, Session, check, run_all};
use crate::harness::chunk::{Chunk, Field};
use crate::harness::generate::prelude;
use crate::harness::model::{Blob, Def, Holds, Init, Op, Sig, Ty, d, f, g, p, t, x};
use crate::harness::script::{
    Edit, Edit::Commit, data, export, function, global, import, import_global, unexport,
};

/// Runs a script in every mode, behind the usual beginning.
fn holds(script: &[Edit]) -> Vec<Seen> {
    let all = Config::all().into_iter();
    all.map(|config| {
        let script: Vec<Edit> = prelude()
            .into_iter()
            .chain(script.iter().cloned())
            .collect();
        check(&config, &script).unwrap_or_else(|error| panic!("{config:?}: {error}"))
    })
    .collect()
}

/// Runs a script that leaves its commits as they come, in every mode.
fn session(config: Config, script: &[Edit]) -> Session {
    let config = Config {
        recover: false,
        ..config
    };
    let mut session = Session::new(config).expect("an empty program");
    run_all(&mut session, &prelude()).expect("the usual beginning");
    run_all(&mut session, script).expect("the script");
    session
}

/// One test per script.
macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: [$($edit:expr),* $(,)?];)*) => {
        $($(#[$doc])* #[test] fn $name() { holds(&[$($edit),*]); })*
    };
}

fn work(times: u16) -> Op {
    Op::Work(times, 3)
}

fn define(name: crate::harness::model::Name, def: Def) -> Edit {
    Edit::Define(name, def)
}

fn blob(len: u16, function: Option<u16>, address: Option<(u16, u8)>) -> Def {
    Def::Data(Blob {
        len,
        function,
        address,
        align_log2: 3,
        ..Blob::default()
    })
}

fn global_of(init: Init) -> Def {
    Def::Global {
        mutable: true,
        init,
    }
}

const VALUE: Holds = Holds::Value(Ty::I64);
/// `(i64, i32) -> i64`.
const MIX: Sig = 2;

scripts! {
    a_constant_changes: [
        function(f(1), MIX, &[Op::Const(5), work(3)]), export("f", f(1)), Commit,
        function(f(1), MIX, &[Op::Const(6), work(3)]), Commit,
        function(f(1), MIX, &[Op::Const(4000), work(3)]), Commit,
    ];
    a_body_grows_and_grows: [
        function(f(1), MIX, &[work(1)]), export("f", f(1)),
        function(f(2), MIX, &[Op::Call(1, MIX), work(9)]), export("g", f(2)), Commit,
        function(f(1), MIX, &[work(2)]), Commit,
        function(f(1), MIX, &[work(20)]), Commit,
        function(f(1), MIX, &[work(90)]), Commit,
        function(f(1), MIX, &[work(500)]), Commit,
    ];
    a_body_shrinks_to_nothing: [
        function(f(1), MIX, &[work(300)]), export("f", f(1)),
        function(f(2), MIX, &[Op::Call(1, MIX)]), Commit,
        function(f(1), MIX, &[work(299)]), Commit,
        function(f(1), MIX, &[work(200)]), Commit,
        function(f(1), MIX, &[]), Commit,
        function(f(1), MIX, &[work(300)]), Commit,
    ];
    functions_call_one_another_before_they_are_defined: [
        function(f(1), MIX, &[Op::Call(2, MIX)]),
        function(f(2), MIX, &[Op::Call(3, MIX), Op::CallAddress(1, MIX)]),
        function(f(3), MIX, &[Op::CallDirect(1, MIX), Op::Param(0)]),
        export("f", f(3)), Commit,
        function(f(3), MIX, &[Op::CallDirect(1, MIX), Op::Param(0), work(40)]), Commit,
    ];
    a_function_goes_and_comes_back: [
        function(f(1), MIX, &[work(9)]), export("one", f(1)),
        function(f(2), MIX, &[Op::Call(1, MIX)]), export("two", f(2)), Commit,
        function(f(2), MIX, &[]), unexport("one"), Edit::Remove(f(1)), Commit,
        function(f(1), 3, &[work(4)]), export("one", f(1)), Commit,
        function(f(2), MIX, &[Op::Call(1, 3)]), Commit,
    ];
    a_function_is_replaced_by_another_of_its_name_at_once: [
        function(f(1), MIX, &[work(9)]), export("one", f(1)), Commit,
        unexport("one"), Edit::Remove(f(1)), function(f(1), 1, &[]), export("one", f(1)), Commit,
    ];
    a_signature_changes_with_its_callers: [
        function(f(1), MIX, &[work(9)]),
        function(f(2), 1, &[Op::Call(1, MIX), Op::CallAddress(1, MIX)]), export("f", f(2)), Commit,
        function(f(1), 5, &[work(9)]),
        function(f(2), 1, &[Op::Call(1, 5), Op::CallAddress(1, 5)]), Commit,
        function(f(1), 10, &[work(9)]),
        function(f(2), 1, &[Op::Call(1, 10), Op::CallAddress(1, 10)]), Commit,
    ];
    imports_come_and_go: [
        function(f(1), MIX, &[work(9)]), function(f(2), MIX, &[Op::Call(1, MIX)]),
        export("f", f(2)), Commit,
        import(f(3), 1), function(f(2), MIX, &[Op::Call(1, MIX), Op::CallDirect(3, 1)]), Commit,
        import(f(4), 5), import_global(g(2), Ty::I64, false),
        function(f(1), MIX, &[Op::CallAddress(4, 5), Op::GetGlobal(2, VALUE)]), Commit,
        function(f(2), MIX, &[Op::Call(1, MIX)]), Edit::Remove(f(3)), Commit,
        function(f(1), MIX, &[]), Edit::Remove(f(4)), Edit::Remove(g(2)), Commit,
    ];
    more_imports_than_places_kept_for_them: [
        function(f(1), MIX, &[work(9)]), function(f(2), MIX, &[Op::Call(1, MIX)]),
        function(f(3), 0, &[]), export("f", f(2)), global(g(1), Ty::I32, -4), export("g", g(1)), Commit,
        import(f(10), 0), import(f(11), 0), import(f(12), 0), import(f(13), 0), import(f(14), 0), Commit,
        import(f(15), 0), import(f(16), 0), import(f(17), 0), import(f(18), 0), import(f(19), 0), Commit,
        import(f(20), 0), import(f(21), 0), import(f(22), 0), import(f(23), 0), import(f(24), 0), Commit,
        import_global(g(10), Ty::I32, false), import_global(g(11), Ty::F64, true), Commit,
        import_global(g(12), Ty::I32, false), import_global(g(13), Ty::F32, true), Commit,
        import_global(g(14), Ty::I32, false), import_global(g(15), Ty::I64, true), Commit,
        Edit::Remove(f(10)), Edit::Remove(f(24)), Edit::Remove(g(10)), Commit,
        Edit::Remove(f(15)), Edit::Remove(f(19)), Edit::Remove(g(15)), Commit,
    ];
    what_was_defined_is_imported_and_the_other_way_round: [
        function(f(1), MIX, &[work(9)]), function(f(2), MIX, &[Op::Call(1, MIX), Op::CallAddress(1, MIX)]),
        export("f", f(2)), export("one", f(1)), global(g(1), Ty::I64, 77),
        function(f(3), 3, &[Op::GetGlobal(1, VALUE)]), export("three", f(3)), Commit,
        import(f(1), MIX), Commit,
        import_global(g(1), Ty::I64, true), Commit,
        function(f(1), MIX, &[work(80)]), Commit,
        global(g(1), Ty::I64, 78), Commit,
    ];
    exports_change_alone: [
        function(f(1), MIX, &[]), Commit, export("a", f(1)), Commit, export("b", f(1)), Commit,
        unexport("a"), Commit, unexport("b"), export("a", f(1)), Commit,
    ];
    the_start_function_moves_changes_and_goes: [
        function(f(1), 0, &[Op::SetGlobal(1, Ty::I64)]), global(g(1), Ty::I64, 5), export("g", g(1)), Commit,
        Edit::Start(Some(f(1))), Commit,
        function(f(1), 0, &[work(50), Op::SetGlobal(1, Ty::I64)]), Commit,
        import(f(2), 0), Commit,
        function(f(3), 0, &[]), Edit::Start(Some(f(3))), Commit,
        Edit::Start(None), Edit::Remove(f(3)), Commit,
    ];
    globals_change_type_and_so_size: [
        global(g(1), Ty::I32, -5), global(g(2), Ty::F64, 1), export("g", g(2)),
        function(f(1), MIX, &[Op::GetGlobal(1, Holds::Value(Ty::I32)), Op::GetGlobal(2, Holds::Value(Ty::F64))]),
        export("f", f(1)), Commit,
        global(g(1), Ty::I64, 1 << 40), Commit, global(g(1), Ty::F32, 9), Commit,
        global(g(3), Ty::I32, -1), global(g(1), Ty::F64, 9), Commit,
        function(f(1), MIX, &[]), Edit::Remove(g(1)), Commit, global(g(4), Ty::F64, 6), Commit,
    ];
    globals_hold_addresses: [
        function(f(1), MIX, &[work(2)]), data(d(1), 40), define(g(1), global_of(Init::FunctionAddress(1))),
        define(g(2), global_of(Init::DataAddress(1, 3))),
        function(f(2), MIX, &[Op::CallGlobal(1, MIX), Op::GetGlobal(2, Holds::DataAddress)]),
        export("f", f(2)), Commit,
        data(d(1), 400), function(f(1), MIX, &[work(90)]), Commit,
    ];
    data_grows_shrinks_and_moves: [
        data(d(1), 10), data(d(2), 20), data(d(3), 30),
        function(f(1), MIX, &[Op::Load(1), Op::Load(2), Op::LoadOffset(3), Op::Store(2), Op::Load(2)]),
        export("f", f(1)), Commit,
        data(d(2), 21), Commit, data(d(2), 200), Commit, data(d(2), 5), Commit, data(d(2), 900), Commit,
        data(d(1), 0), data(d(3), 300), Commit,
    ];
    data_holds_addresses: [
        function(f(1), MIX, &[work(1)]), define(d(1), blob(9, Some(1), Some((2, 2)))),
        define(d(2), blob(5, None, Some((1, 1)))),
        function(f(2), MIX, &[Op::CallData(1, MIX), Op::Follow(1), Op::Follow(2)]), export("f", f(2)), Commit,
        function(f(1), MIX, &[work(100)]), Commit,
        define(d(2), blob(500, None, Some((1, 1)))), Commit,
        define(d(1), blob(9, Some(2), None)), Commit,
    ];
    data_becomes_zero_and_back: [
        data(d(1), 10), function(f(1), MIX, &[Op::Load(1), Op::LoadOffset(1)]), export("f", f(1)), Commit,
        define(d(1), Def::Data(Blob { len: 50, zero: true, ..Blob::default() })), Commit,
        data(d(2), 30), Commit, data(d(1), 60), Commit,
    ];
    tables_and_their_users: [
        define(t(1), Def::Table { minimum: 2, maximum: None }), function(f(1), MIX, &[]),
        function(f(2), MIX, &[Op::TableSize(1), Op::TableSet(1, 1), Op::IsNull(1)]), export("f", f(2)), Commit,
        define(t(2), Def::Table { minimum: 1, maximum: Some(9) }), export("t", t(2)), Commit,
        define(t(1), Def::Table { minimum: 7, maximum: Some(8) }), Commit,
        define(t(3), Def::ImportTable { minimum: 1 }), Commit,
        unexport("t"), Edit::Remove(t(2)), Commit,
    ];
    tags_and_their_users: [
        define(x(1), Def::Tag(8)), function(f(1), MIX, &[Op::Throw(1, 8)]), export("f", f(1)), Commit,
        define(x(2), Def::ImportTag(7)), function(f(1), MIX, &[Op::Throw(1, 8), Op::Throw(2, 7)]), Commit,
        define(x(1), Def::Tag(0)), function(f(1), MIX, &[Op::Throw(1, 0), Op::Throw(2, 7)]), Commit,
        function(f(1), MIX, &[Op::Throw(1, 0)]), Edit::Remove(x(2)), Commit,
    ];
    parts_go_with_their_owner: [
        function(f(1), MIX, &[Op::Call(2, 3), Op::GetGlobal(1, VALUE), Op::Load(1)]),
        Edit::Part(f(1), f(2), Def::Function(3, vec![work(3)]), true),
        Edit::Part(f(1), f(3), Def::Function(5, vec![]), false),
        Edit::Part(f(1), g(1), global_of(Init::Value(Ty::I64, 6)), false),
        Edit::Part(f(1), d(1), blob(7, Some(3), None), false),
        export("f", f(1)), Commit,
        Edit::Part(f(1), f(2), Def::Function(3, vec![work(60)]), true), Commit,
        unexport("f"), Edit::Remove(f(1)), Commit,
        function(f(1), MIX, &[]), export("f", f(1)), Commit,
    ];
    parts_of_parts_go_with_all_that_they_are_in: [
        function(f(1), MIX, &[Op::Call(2, 3)]), export("f", f(1)),
        Edit::Part(f(1), f(2), Def::Function(3, vec![Op::Call(3, 5)]), true),
        Edit::Part(f(2), f(3), Def::Function(5, vec![Op::Call(4, 6)]), true),
        Edit::Part(f(3), f(4), Def::Function(6, vec![]), false), Commit,
        Edit::Part(f(3), f(4), Def::Function(6, vec![work(80)]), false), Commit,
        function(f(3), 5, &[]), Edit::Remove(f(4)), Commit, Edit::Relink, Commit,
        function(f(1), MIX, &[]), Edit::Remove(f(2)), Commit,
    ];
    a_part_of_several_owners_goes_with_the_last: [
        Edit::Shared(f(1), f(9), Def::Function(5, vec![work(3)])),
        Edit::Shared(f(2), f(9), Def::Function(5, vec![work(3)])),
        function(f(1), MIX, &[Op::Call(9, 5)]), function(f(2), MIX, &[Op::Call(9, 5)]),
        export("f", f(1)), export("g", f(2)), Commit, Edit::Clone,
        unexport("f"), Edit::Remove(f(1)), Commit,
        Edit::Shared(f(2), f(9), Def::Function(5, vec![work(90)])), Commit,
        Edit::Shared(f(3), f(9), Def::Function(5, vec![work(9)])), Edit::Disown(f(2), f(9)),
        function(f(3), MIX, &[]), function(f(2), MIX, &[]), Commit,
        Edit::Disown(f(3), f(9)), Commit,
    ];
    what_is_reverted_is_as_it_was: [
        function(f(1), MIX, &[Op::Call(2, 3)]), export("f", f(1)),
        Edit::Part(f(1), f(2), Def::Function(3, vec![work(9)]), true), Commit, Edit::Clone,
        function(f(1), 3, &[work(50)]), function(f(3), 5, &[Op::Call(1, 3)]),
        Edit::Revert(f(1), false), Edit::Revert(f(3), false), Commit,
        Edit::Remove(f(1)), Edit::Revert(f(2), true), Edit::Revert(f(1), true), Commit,
        Edit::Remove(f(2)), function(f(2), 5, &[]), Edit::Revert(f(2), true), Edit::Revert(f(2), false),
        Edit::Revert(f(2), true), Commit,
    ];
    /// The code that it left has no owner any more.
    a_function_goes_whose_code_was_left_behind: [
        function(f(14), 7, &[work(11), work(12)]), Commit,
        import(f(13), 4), Edit::Remove(f(14)), function(f(11), 3, &[]), Commit,
        function(f(11), 3, &[work(2)]), Commit,
    ];
    many_callers_of_a_function_that_moves: [
        function(f(1), MIX, &[work(60)]),
        function(f(2), MIX, &vec![Op::Call(1, MIX); 30]), export("f", f(2)), Commit,
        function(f(1), MIX, &[work(70)]), Commit, function(f(1), MIX, &[work(200)]), Commit,
        function(f(1), 1, &[work(200)]), function(f(2), MIX, &vec![Op::Call(1, 1); 30]), Commit,
        function(f(2), MIX, &[]), Edit::Remove(f(1)), Commit,
    ];
    a_rebuild_that_was_asked_for: [
        function(f(1), MIX, &[work(4)]), export("f", f(1)), Commit, function(f(1), MIX, &[work(90)]), Commit,
        Edit::Relink, Commit, function(f(1), MIX, &[work(40)]), Edit::Relink, Commit,
    ];
    what_is_discarded_leaves_no_trace: [
        function(f(1), MIX, &[work(4)]), export("f", f(1)), Commit,
        function(f(1), MIX, &[work(90)]), import(f(2), 1), unexport("f"), Edit::Discard, Commit,
        function(f(2), MIX, &[Op::Call(1, MIX)]), export("g", f(2)), Commit,
        unexport("f"), Edit::Remove(f(1)), Edit::Discard, function(f(1), MIX, &[work(5)]), Commit,
    ];

    /// Slack of a block of types whose first type has more than 127 parameters was written as if it had fewer.
    types_with_very_many_parameters: [
        function(f(13), 5, &[]), Commit, function(f(11), 1, &[]), Commit,
        function(f(13), 9, &[]), Commit, function(f(13), 9, &[work(1)]), Commit,
        function(f(11), 1, &[Op::Call(13, 9)]), Commit, function(f(11), 1, &[]), Commit,
    ];
    /// New types were not written where the section behind them had to move.
    types_that_move_the_function_section: [
        function(f(1), 9, &[]), Commit, function(f(2), 5, &[Op::Block(9), Op::Block(10)]), Commit,
        function(f(3), 9, &[Op::Block(9), Op::Block(11)]), Commit,
        function(f(4), 9, &[Op::Block(9), Op::Block(6)]), Commit,
        function(f(5), 9, &[Op::Block(9), Op::Block(7)]), Commit,
        function(f(6), 9, &[Op::Block(9), Op::Block(8)]), Commit,
    ];
    /// Of a body that grew in its place, a byte equal to the old body's last `end` was not written.
    a_body_grows_over_its_filler: [
        function(f(13), 9, &[Op::CallDirect(11, 1), Op::Work(5, 3), Op::Work(4, 3), Op::Follow(9)]),
        function(f(11), 1, &[]), data(d(9), 13), Commit,
        function(f(13), 9, &[Op::CallDirect(11, 1), Op::Work(5, 7), Op::Work(4, 3), Op::Follow(9)]), Commit,
        function(f(13), 9, &[Op::CallDirect(11, 1), Op::Work(5, 7764), Op::Work(4, 3), Op::Follow(9)]), Commit,
        function(f(13), 9, &[Op::CallDirect(11, 1), Op::Work(5, 77640), Op::Work(4, 3), Op::Follow(9)]), Commit,
    ];
    /// The name section ended too early when imported functions had names in it.
    an_import_with_a_name_goes: [
        function(f(17), 2, &[Op::Call(13, 7)]), function(f(13), 7, &[]), import(f(10), 1), import(f(1), 5), Commit,
        Edit::Remove(f(1)), function(f(4), 4, &[Op::IsNull(1)]), Commit,
        function(f(14), 6, &[Op::Work(187, 5)]), Commit,
    ];
    /// The dense output had no table of slots although addresses were taken.
    dense_output_with_thunks_and_addresses: [
        function(f(1), MIX, &[]), function(f(2), MIX, &[Op::CallAddress(1, MIX)]), export("f", f(2)), Commit,
    ];
    /// The commit that moved a body to a smaller place took it for one that moves nothing, and filled another place as well.
    a_body_makes_way_and_older_code_stays: [
        define(d(7), blob(0, None, None)), Commit,
        function(f(3), 7, &[Op::Load(7), Op::GetGlobal(0, VALUE), Op::Loop(11), Op::Follow(7), Op::Work(2, 7712)]), Commit,
        export("e0", f(3)),
        function(f(3), 7, &[Op::Work(181, 5), Op::Work(57, 5), Op::Call(3, 7)]), Commit,
        function(f(3), 7, &[Op::Work(181, 34)]), Commit,
        function(f(3), 7, &[Op::Work(57, 5), Op::Call(3, 7), Op::Locals(3, Ty::I64)]), Commit,
        function(f(3), 7, &[Op::Work(57, 5), Op::Work(6, 3), Op::Call(3, 7), Op::Locals(3, Ty::I64), Op::Follow(7)]), Commit,
        function(f(3), 7, &[Op::Call(3, 7), Op::Block(11), Op::CallDirect(3, 7)]), Commit,
    ];
}

/// The dense output of a module without functions could not be made.
/// The old code was kept as code that nobody calls, at a place that had been made for the new code and was too small.
#[test]
fn a_function_shrinks_while_imports_take_its_place() {
    for (before, after) in [(300, 2), (300, 600)] {
        let mut script = vec![
            function(f(1), MIX, &[work(before)]),
            function(f(2), MIX, &[Op::Call(1, MIX)]),
            export("f", f(2)),
            Commit,
        ];
        script.extend((20..40).map(|number| import(f(number), 1)));
        script.extend([function(f(1), MIX, &[work(after)]), Commit]);
        script.extend([function(f(1), MIX, &[work(before)]), Commit]);
        holds(&script);
    }
}

#[test]
fn a_module_without_functions() {
    for config in Config::all() {
        check(&config, &[]).unwrap_or_else(|error| panic!("{config:?}: {error}"));
    }
}

/// A failed commit leaves the file, and the edits pending: the next one can do them.
#[test]
fn a_commit_that_fails_changes_nothing_and_keeps_its_edits() {
    for config in Config::all() {
        let script = [
            function(f(1), MIX, &[]),
            export("f", f(1)),
            Commit,
            // Refers to what is not defined.
            function(f(2), MIX, &[Op::Call(3, MIX)]),
            function(f(1), MIX, &[work(30)]),
            Commit,
            Commit,
            function(f(3), MIX, &[work(2)]),
            Commit,
            // Removed, but referred to.
            Edit::Remove(f(3)),
            Commit,
            function(f(2), MIX, &[]),
            Commit,
            // Removed, but exported.
            Edit::Remove(f(1)),
            Commit,
            unexport("f"),
            Commit,
            // Exported twice; nothing helps but to start over.
            export("f", f(2)),
            export("f", f(3)),
            Commit,
            Edit::Discard,
            unexport("nothing"),
            Commit,
            Edit::Discard,
            export("f", f(2)),
            Commit,
            // The start function goes.
            function(f(4), 0, &[]),
            Edit::Start(Some(f(4))),
            Commit,
            Edit::Remove(f(4)),
            Commit,
            Edit::Start(None),
        ];
        let session = session(config, &script);
        assert_eq!(session.seen.failures, 7, "commits that had to fail");
    }
}

/// A caller that was compiled for another signature is found, where calls name the function.
#[test]
fn a_signature_that_changes_without_its_callers_is_refused() {
    for config in Config::all() {
        let script = [
            function(f(1), MIX, &[]),
            function(f(2), MIX, &[Op::Call(1, MIX)]),
            export("f", f(2)),
            Commit,
            function(f(1), 1, &[]),
            Commit,
            function(f(2), MIX, &[Op::Call(1, 1)]),
        ];
        let session = session(config, &script);
        assert_eq!(session.seen.failures, 1);
    }
}

/// Two types, a new slot and a body that moves, in one edit, with slots used up: still within the bound.
#[test]
fn everything_grows_at_once() {
    let script = [
        function(f(1), 1, &[Op::CallAddress(0, 0)]),
        function(f(21), 1, &[]),
        function(f(9), 7, &[Op::CallAddress(21, 1)]),
        function(f(11), 4, &[Op::Block(1)]),
        Commit,
        function(f(2), 6, &[]),
        function(f(12), 8, &[]),
        function(f(16), 8, &[Op::CallAddress(12, 8), Op::CallAddress(9, 7)]),
        Commit,
        function(f(5), 6, &[]),
        function(f(25), 10, &[]),
        function(f(6), 1, &[Op::Loop(2)]),
        function(f(22), 11, &[Op::CallAddress(11, 4)]),
        Commit,
        function(
            f(22),
            11,
            &[
                Op::CallAddress(11, 4),
                Op::CallAddress(25, 10),
                Op::IsNull(5),
                work(9),
            ],
        ),
        Commit,
        function(
            f(6),
            1,
            &[
                Op::Loop(2),
                Op::CallAddress(2, 6),
                Op::CallAddress(22, 11),
                work(12),
            ],
        ),
        Commit,
        function(
            f(1),
            1,
            &[
                Op::CallAddress(0, 0),
                Op::CallAddress(16, 8),
                Op::Block(5),
                work(20),
            ],
        ),
        Commit,
    ];
    for seen in holds(&script) {
        assert!(seen.overheads.len() + seen.with_room.len() >= 3);
    }
}

/// A function moves back to where its code once stood, while its only caller changes in place.
#[test]
fn a_function_moves_back_while_its_caller_changes() {
    let exact = |len, fill, align_log2| {
        Def::Data(Blob {
            len,
            fill,
            align_log2,
            ..Blob::default()
        })
    };
    let callee = |more: &[Op]| {
        let mut ops = more.to_vec();
        ops.extend([
            Op::Call(9, 1),
            Op::Follow(3),
            Op::CallData(3, 0),
            Op::Const(301),
            work(161),
        ]);
        function(f(38), 10, &ops)
    };
    let script = [
        define(f(1), Def::ImportFunction(3)),
        define(d(3), exact(364, 0, 2)),
        function(
            f(28),
            0,
            &[
                Op::Work(112, 5),
                Op::Work(147, 5),
                Op::Work(9, 5616),
                Op::Work(10, 3387),
                Op::Call(1, 3),
            ],
        ),
        Commit,
        Edit::Remove(f(28)),
        function(f(9), 1, &[work(226)]),
        define(d(2), exact(0, 224, 0)),
        callee(&[]),
        Commit,
        callee(&[Op::Locals(3, Ty::F32), work(4)]),
        function(
            f(33),
            7,
            &[
                Op::CallDirect(9, 1),
                Op::CallDirect(38, 10),
                Op::Locals(1, Ty::I32),
                work(202),
            ],
        ),
        Commit,
        function(
            f(38),
            10,
            &[
                work(4),
                Op::Call(9, 1),
                Op::Follow(3),
                Op::CallData(3, 0),
                work(3),
                work(161),
            ],
        ),
        Commit,
        function(
            f(33),
            7,
            &[
                Op::CallDirect(9, 1),
                Op::CallDirect(38, 10),
                Op::Locals(1, Ty::I32),
                work(202),
                work(47),
            ],
        ),
        callee(&[Op::Locals(3, Ty::F32), work(4)]),
        Commit,
    ];
    let fan_in = [1, 24].into_iter();
    for config in fan_in.flat_map(|fan_in| {
        Config::all().into_iter().map(move |c| Config {
            fan_in,
            measure: false,
            ..c
        })
    }) {
        let script: Vec<Edit> = prelude()
            .into_iter()
            .chain(script.iter().cloned())
            .collect();
        check(&config, &script).unwrap_or_else(|error| panic!("{config:?}: {error}"));
    }
}

/// The id of a function that is gone becomes that of a piece, which keeps nothing alive.
#[test]
fn a_piece_takes_the_id_of_a_caller() {
    holds(&[
        function(f(14), 5, &[Op::Call(51, 11)]),
        function(f(51), 11, &[]),
        Commit,
        Edit::Remove(f(14)),
        Commit,
        define(
            p(5),
            Def::Piece(Chunk {
                section: 2,
                fields: vec![Field::Index(51)],
                len: 14,
                fill: 0,
            }),
        ),
        Commit,
        Edit::Remove(f(51)),
        Commit,
    ]);
}
