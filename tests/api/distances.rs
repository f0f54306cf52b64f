//! Data that holds distances to other data follows it wherever both go.
//!
//! Run: `Module::commit` on a table of two words, each the distance to other data, while that data grows and moves; then the
//! program, in the interpreter.

use crate::support::programs;
use wasmend::engine::{Engine, Imports};
use wasmend::{
    Data, DeclId, DeclKind, Module, ModuleOptions, Outcome, Piece, RelocKind, Relocation,
};

struct Program {
    module: Module,
    memory: DeclId,
    table: DeclId,
    near: DeclId,
    far: DeclId,
}

impl Program {
    fn new() -> Program {
        let mut module = Module::in_memory(ModuleOptions::default()).expect("in memory");
        let memory = module.declare(DeclKind::Memory, "memory").expect("new");
        let ty = programs::memory(1, None);
        module.define_memory(memory, ty).expect("a memory");
        module.export("memory", memory).expect("a memory");
        let mut data = |name: &str| module.declare(DeclKind::Data, name).expect("new");
        let (table, near, far) = (data("a table"), data("near"), data("far"));
        let mut program = Program {
            module,
            memory,
            table,
            near,
            far,
        };
        // What is defined first stands at the first address: so addresses can be read there.
        let table = Data::new([0; 8], 2)
            .with_address(0, near, 0)
            .with_address(4, far, 0);
        program.define(program.table, table);
        program.define_near(8);
        program.define(far, Data::new([1; 8], 2));
        program
    }

    fn define(&mut self, id: DeclId, data: Data) {
        self.module
            .define_data(id, self.memory, data)
            .expect("data");
    }

    fn define_near(&mut self, len: usize) {
        let far = self.far;
        let data = Data::new(vec![0; len], 2);
        self.define(self.near, data.with_distance(4, far, 3));
    }

    /// Publishes, and checks the distance.
    fn check(&mut self, is_patch: bool) {
        let patch = self.module.commit().expect("a commit");
        assert_eq!(matches!(patch.outcome, Outcome::Patched(_)), is_patch);
        let dense = self.module.finish().expect("finished");
        for bytes in [self.module.bytes().expect("is there"), dense] {
            let instance = Engine::new()
                .instantiate(&bytes, &Imports::new().stubs())
                .expect("valid");
            let memory = instance.memory("memory").expect("exported");
            let word = |at: i32| {
                let at = at as usize;
                i32::from_le_bytes(memory[at..at + 4].try_into().expect("four bytes"))
            };
            let (near, far) = (word(1024), word(1028));
            assert_eq!(near + word(near + 4), far + 3);
        }
    }
}

#[test]
fn distances_follow_both_ends() {
    let mut program = Program::new();
    program.check(false);
    // The target goes elsewhere, then the data itself, then both.
    program.define(program.far, Data::new([1; 200], 2));
    program.check(true);
    program.define_near(300);
    program.check(true);
    program.define(program.far, Data::new([1; 700], 2));
    program.define_near(900);
    program.check(true);
}

#[test]
fn only_data_has_distances() {
    let mut program = Program::new();
    let piece = program
        .module
        .declare(DeclKind::Custom, "piece")
        .expect("new");
    let section = program.module.custom_section("notes").expect("a section");
    let field = Relocation::new(RelocKind::DistanceI32, 0, program.far, 0);
    let bytes = Piece::new(vec![0; 4]).with_fields([field]);
    let refused = program.module.define_piece(piece, section, bytes);
    assert!(refused.is_err());
}
