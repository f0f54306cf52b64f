//! Random modules and edited versions of them: patched outputs are equivalent to the build, and whatever is damaged is
//! found.

use std::ops::Range;

use crate::inspect::{FunctionRole, Map, finish, verify};
use crate::module::{Redirect, Types};
use crate::program::emit::Style;
use crate::program::{
    DeclId, Definition, DefinitionKind, RelocKind, RelocatableBytes, Relocation, TypeTable,
};
use crate::whole::decode::{Decoded, ExportItem, decode};
use crate::whole::spaces::{Item, SPACES, target_space};
use crate::whole::{WholeModule, WholeOptions, dense};
use crate::wire::leb;

#[allow(clippy::duplicate_mod)]
#[path = "../../tests/support/smith.rs"]
mod smith;

use smith::Rng;

/// A module that can be edited.
struct Editor {
    module: Decoded,
    types: TypeTable,
}

impl Editor {
    fn new(wasm: &[u8]) -> Editor {
        let mut types = TypeTable::default();
        let module = decode(wasm, Style::Canonical, &mut types).expect("valid");
        Editor { module, types }
    }

    /// The module as it is now, if it is still valid.
    fn build(&self) -> Option<Vec<u8>> {
        let wasm = dense::write(&self.module, &self.types).ok()?;
        let features = wasmparser::WasmFeatures::all();
        let mut validator = wasmparser::Validator::new_with_features(features);
        validator.validate_all(&wasm).ok().map(|_| wasm)
    }

    fn imported(&self, space: usize) -> usize {
        let items = self.module.spaces[space].iter();
        items.filter(|item| item.import.is_some()).count()
    }

    /// Indices of what is defined.
    fn defined(&self, space: usize) -> Range<usize> {
        self.imported(space)..self.module.spaces[space].len()
    }

    fn pick(&self, rng: &mut Rng, space: usize) -> Option<usize> {
        let defined = self.defined(space);
        (!defined.is_empty()).then(|| defined.start + rng.below(defined.len()))
    }

    /// Changes every index of a space.
    fn renumber(&mut self, space: usize, to: impl Fn(u32) -> u32) {
        for item in self.module.spaces.iter_mut().flatten() {
            let content = item.definition.content.clone();
            item.definition.content = content.retarget(|reloc| {
                if target_space(reloc.kind) == Some(space) {
                    reloc.target = to(reloc.target);
                }
            });
        }
        for (_, index) in self.module.imports.iter_mut().filter(|at| at.0 == space) {
            *index = to(*index);
        }
        let exports = self.module.exports.iter_mut();
        for export in exports.filter(|export| export.space == space) {
            export.index = to(export.index);
        }
        if space == 0 {
            self.module.start = self.module.start.map(&to);
        }
    }

    fn insert(&mut self, space: usize, at: usize, item: Item) {
        self.renumber(space, |index| index + u32::from(index as usize >= at));
        if item.import.is_some() {
            let imports = &mut self.module.imports;
            let behind = imports
                .iter()
                .position(|it| it.0 == space && it.1 as usize > at);
            imports.insert(behind.unwrap_or(imports.len()), (space, at as u32));
        }
        self.module.spaces[space].insert(at, item);
    }

    fn is_used(&self, space: usize, at: usize) -> bool {
        let relocs = self.module.spaces.iter().flatten();
        let mut relocs = relocs.flat_map(|item| item.definition.content.relocs());
        relocs.any(|reloc| target_space(reloc.kind) == Some(space) && reloc.target as usize == at)
            || self
                .module
                .exports
                .iter()
                .any(|export| (export.space, export.index as usize) == (space, at))
            || (space == 0 && self.module.start == Some(at as u32))
    }

    fn remove(&mut self, space: usize, at: usize) {
        self.module.spaces[space].remove(at);
        self.module
            .imports
            .retain(|import| *import != (space, at as u32));
        self.renumber(space, |index| index - u32::from(index as usize > at));
    }

    /// Puts code at the beginning of a function.
    fn prepend(&mut self, at: usize, code: &[u8]) {
        let item = &mut self.module.spaces[0][at];
        let content = &item.definition.content;
        let start = code_start(content);
        let mut bytes = content.bytes()[..start].to_vec();
        bytes.extend_from_slice(code);
        bytes.extend_from_slice(&content.bytes()[start..]);
        let shift = |reloc: &Relocation| {
            let mut reloc = *reloc;
            if reloc.offset as usize >= start {
                reloc.offset += code.len() as u32;
            }
            reloc
        };
        let relocs: Vec<Relocation> = content.relocs().iter().map(shift).collect();
        item.definition.content = RelocatableBytes::new(bytes, relocs).expect("in order");
    }

    /// Replaces a function's code by one that traps.
    fn gut(&mut self, at: usize) {
        let content = &self.module.spaces[0][at].definition.content;
        let start = code_start(content);
        let mut bytes = content.bytes()[..start].to_vec();
        bytes.extend_from_slice(&[0x00, 0x0b]);
        let relocs = content.relocs().iter().copied();
        let relocs: Vec<Relocation> = relocs
            .filter(|reloc| (reloc.offset as usize) < start)
            .collect();
        self.module.spaces[0][at].definition.content =
            RelocatableBytes::new(bytes, relocs).expect("in order");
    }

    /// One edit such as a programmer or a compiler makes. Returns what it was, for messages.
    fn edit(&mut self, rng: &mut Rng) -> &'static str {
        match rng.below(16) {
            0..=3 => {
                let Some(at) = self.pick(rng, 0) else {
                    return "nothing";
                };
                let mut code = Vec::new();
                for _ in 0..1 + rng.below(40) {
                    code.push(0x41);
                    leb::push_signed(&mut code, i64::from(rng.next() as i32 >> rng.below(32)));
                    code.push(0x1a);
                }
                self.prepend(at, &code);
                "grow a function"
            }
            4 => {
                let Some(at) = self.pick(rng, 0) else {
                    return "nothing";
                };
                self.gut(at);
                "gut a function"
            }
            5 => {
                let Some(at) = self.pick(rng, 0) else {
                    return "nothing";
                };
                let item = self.module.spaces[0][at].clone();
                let to = self.imported(0) + rng.below(self.defined(0).len() + 1);
                self.insert(0, to, item);
                "insert a copy of a function"
            }
            6 => {
                let (Some(a), Some(b)) = (self.pick(rng, 0), self.pick(rng, 0)) else {
                    return "nothing";
                };
                self.module.spaces[0].swap(a, b);
                let (a, b) = (a as u32, b as u32);
                self.renumber(0, |index| match index {
                    _ if index == a => b,
                    _ if index == b => a,
                    _ => index,
                });
                "swap two functions' places"
            }
            7 => {
                let space = rng.below(2);
                let Some(at) = self.pick(rng, space).filter(|at| !self.is_used(space, *at)) else {
                    return "nothing";
                };
                self.remove(space, at);
                "remove what is not used"
            }
            8 => {
                let Some(ty) = self.module.spaces[0]
                    .iter()
                    .find_map(|item| item.definition.ty())
                else {
                    return "nothing";
                };
                let mut bytes = Vec::new();
                let field = format!("new{}", rng.below(1000));
                for name in ["env", &field] {
                    leb::push_unsigned(&mut bytes, name.len() as u64);
                    bytes.extend_from_slice(name.as_bytes());
                }
                bytes.push(0);
                let reloc = Relocation::to_type(RelocKind::TypeIndex, bytes.len() as u32, ty);
                bytes.extend_from_slice(&[0; 5]);
                let item = Item {
                    definition: Definition {
                        content: RelocatableBytes::new(bytes, vec![reloc]).expect("in order"),
                        shape: DefinitionKind::Import { ty: Some(ty) },
                    },
                    name: None,
                    import: Some(Box::new(("env".into(), field.into()))),
                    role: None,
                };
                let at = rng.below(self.imported(0) + 1);
                self.insert(0, at, item);
                "add an import"
            }
            9 => {
                let space = rng.below(5);
                let count = self.imported(space);
                if count == 0 {
                    return "nothing";
                }
                let at = rng.below(count);
                if self.is_used(space, at) {
                    return "nothing";
                }
                self.remove(space, at);
                "remove an import"
            }
            10 => {
                let mut bytes = vec![0x7f, rng.below(2) as u8, 0x41];
                leb::push_signed(&mut bytes, i64::from(rng.next() as i32));
                bytes.push(0x0b);
                let item = Item {
                    definition: Definition {
                        content: RelocatableBytes::new(bytes, Vec::new()).expect("no relocations"),
                        shape: DefinitionKind::Global,
                    },
                    name: None,
                    import: None,
                    role: None,
                };
                let at = self.imported(1) + rng.below(self.defined(1).len() + 1);
                self.insert(1, at, item);
                "insert a global"
            }
            11 => {
                let space = rng.below(5);
                let count = self.module.spaces[space].len();
                if count == 0 {
                    return "nothing";
                }
                self.module.exports.push(ExportItem {
                    name: format!("export {}", rng.next()).into(),
                    space,
                    index: rng.below(count) as u32,
                });
                "add an export"
            }
            12 => {
                if self.module.exports.is_empty() {
                    return "nothing";
                }
                let at = rng.below(self.module.exports.len());
                self.module.exports.remove(at);
                "remove an export"
            }
            13 => {
                let space = rng.below(SPACES.len());
                let count = self.module.spaces[space].len();
                if count == 0 {
                    return "nothing";
                }
                let len = 1 + rng.below(30);
                let name: String = (0..len)
                    .map(|_| (b'a' + rng.below(26) as u8) as char)
                    .collect();
                self.module.spaces[space][rng.below(count)].name = Some(name.into());
                "name something"
            }
            14 => {
                let Some(at) = self.pick(rng, 6) else {
                    return "nothing";
                };
                let item = self.module.spaces[6][at].clone();
                let to = rng.below(self.module.spaces[6].len() + 1);
                self.insert(6, to, item);
                "insert a copy of a data segment"
            }
            _ => {
                let Some(at) = self.pick(rng, 5) else {
                    return "nothing";
                };
                let item = self.module.spaces[5][at].clone();
                let to = rng.below(self.module.spaces[5].len() + 1);
                self.insert(5, to, item);
                "insert a copy of an element segment"
            }
        }
    }
}

/// Where the instructions of a function begin.
fn code_start(content: &RelocatableBytes) -> usize {
    let reader =
        wasmparser::BinaryReader::new_features(content.bytes(), 0, wasmparser::WasmFeatures::all());
    let body = wasmparser::FunctionBody::new(reader);
    let reader = body.get_binary_reader_for_operators().expect("valid");
    reader.original_position() as usize
}

fn options(rng: &mut Rng) -> WholeOptions {
    WholeOptions {
        redirect: [Redirect::TableThunks, Redirect::Direct][rng.below(2)],
        types: [Types::Interned, Types::PerDeclaration][rng.below(2)],
        ..WholeOptions::default()
    }
}

fn assert_equal(out: &[u8], build: &[u8], edits: &[&str]) {
    let report = verify(out, build).expect("both are valid");
    assert!(report.is_clean(), "{edits:?}: {:#?}", report.differences);
}

#[test]
fn edited_modules_are_patched() {
    let mut rng = Rng::new(21);
    let (mut patched, mut relinked) = (0, std::collections::BTreeMap::new());
    for _ in 0..smith::cases(40) {
        let (mut build, ..) = smith::module(&mut rng);
        let options = options(&mut rng);
        let (mut whole, _) = WholeModule::in_memory(options.clone(), &build).expect("valid");
        for _ in 0..8 {
            let mut editor = Editor::new(&build);
            let edits: Vec<&str> = (0..1 + rng.below(3))
                .map(|_| editor.edit(&mut rng))
                .collect();
            let Some(next) = editor.build() else {
                continue;
            };
            build = next;
            let update = whole
                .update(&build)
                .unwrap_or_else(|error| panic!("{edits:?}: {error}"));
            let out = whole.bytes().expect("in memory");
            assert_equal(&out, &build, &edits);
            let dense = finish(&out).expect("valid");
            assert_equal(&dense, &build, &edits);
            match update.patch.relink_reason() {
                None => patched += 1,
                Some(reason) => *relinked.entry(reason.to_string()).or_insert(0) += 1,
            }
        }
        let patched_out = whole.bytes().expect("in memory");
        let out = finish(&patched_out).expect("valid");
        let (fresh, _) = WholeModule::in_memory(options, &build).expect("valid");
        let fresh_out = fresh.bytes().expect("in memory");
        let fresh = finish(&fresh_out).expect("valid");
        assert!(out == fresh, "the dense output depends on the history");
    }
    println!("{patched} patched, relinked {relinked:?}");
    assert!(patched > 0);
}

#[test]
fn every_edit_is_a_difference() {
    let mut rng = Rng::new(22);
    let mut found = 0;
    for _ in 0..smith::cases(80) {
        let (build, ..) = smith::module(&mut rng);
        let options = options(&mut rng);
        let output = |build: &[u8]| {
            let (whole, _) = WholeModule::in_memory(options.clone(), build).expect("valid");
            whole.bytes().expect("in memory")
        };
        let out = output(&build);
        let meaning = finish(&out).expect("valid");
        for _ in 0..6 {
            let mut editor = Editor::new(&build);
            let edit = editor.edit(&mut rng);
            let Some(other) = editor.build() else {
                continue;
            };
            let same = finish(&output(&other)).expect("valid") == meaning;
            let report = verify(&out, &other).expect("both are valid");
            // The dense module has nothing that is not reached; the proof is about that as well.
            assert!(same || !report.is_clean(), "{edit} is not missed");
            found += usize::from(!same);
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn damage_is_found() {
    let mut rng = Rng::new(23);
    let (mut found, mut harmless) = (0, 0);
    for _ in 0..smith::cases(60) {
        let (build, ..) = smith::module(&mut rng);
        let (whole, _) = WholeModule::in_memory(options(&mut rng), &build).expect("valid");
        let out = whole.bytes().expect("in memory");
        let meaning = finish(&out).expect("valid");
        // A thunk with locals that nobody uses is none for whoever makes a dense output, but does what it did.
        let map = Map::read(&out).expect("valid");
        let thunks = map.functions.iter();
        let thunks = thunks.filter(|entry| entry.role == FunctionRole::Thunk);
        let is_in_thunk = |at: usize| {
            let mut thunks = thunks.clone();
            thunks.any(|entry| (entry.offset..entry.offset + entry.len).contains(&(at as u64)))
        };
        for _ in 0..60 {
            let mut damaged = out.clone();
            let at = rng.below(damaged.len());
            damaged[at] ^= 1 << rng.below(8);
            // What the damaged file means says whether anything was lost.
            let same = match finish(&damaged) {
                Ok(dense) => dense == meaning,
                Err(_) => false,
            };
            let clean = verify(&damaged, &build).is_ok_and(|report| report.is_clean());
            if clean {
                let is_same = same || is_in_thunk(at);
                assert!(is_same, "byte {at:#x} of a module is not missed");
                harmless += 1;
            } else {
                found += 1;
            }
        }
    }
    println!("{found} found, {harmless} harmless");
    assert!(found > 500, "{found} found, {harmless} harmless");
}

/// Indices stay indices of what they were.
#[test]
fn retargeting_keeps_places() {
    let reloc = Relocation::new(RelocKind::Call, 1, DeclId(3), 0);
    let content = RelocatableBytes::new(vec![0; 8], vec![reloc]).expect("in order");
    let other = content.clone().retarget(|reloc| reloc.target += 1);
    assert_eq!(other.relocs()[0].decl(), Some(DeclId(4)));
    assert!(!content.same_as(&other));
}
