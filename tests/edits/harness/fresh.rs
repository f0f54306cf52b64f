//! A fresh build: the program as it is, said to a module of its own in the order of declaration. It knows nothing of the
//! edits by which the other came to the same.

use std::collections::BTreeMap;

use wasmend as w;

use super::check::{Checked, words};
use super::drive::{Driver, Owner};
use super::model::{Ent, Kind, Name, Program};

/// Numbers from here on are those of what is gone.
const GONE: u16 = 30_000;

/// A module in memory that has been told a whole program and nothing else, and has committed it.
pub fn build(options: w::ModuleOptions, program: &Program) -> Checked<Driver> {
    let module = w::Module::in_memory(options).map_err(words("begin a fresh build"))?;
    let memory = program.things.iter();
    let mut memory = memory.filter(|(_, thing)| thing.name.0 == Kind::Memory);
    let memory = memory.next().map_or(Ent::MAX, |(ent, _)| *ent);
    let mut driver = Driver::new(module, memory).map_err(words("declare"))?;
    said(&mut driver, memory, program).map_err(words("a fresh build"))?;
    Ok(driver)
}

fn said(driver: &mut Driver, memory: Ent, program: &Program) -> w::Result<()> {
    for (ent, thing) in program.things.iter().filter(|(ent, _)| **ent != memory) {
        let owner = match (thing.owner, thing.shared) {
            (Some(owner), _) => Owner::One(owner),
            (None, true) => Owner::Unsaid,
            (None, false) => Owner::Nothing,
        };
        driver.declare(*ent, thing.name, owner, (thing.named, false))?;
    }
    for (part, owner) in &program.shares {
        driver.edit(|module, ids| module.add_owner(ids.of(*part), ids.of(*owner)))?;
    }
    // Pieces may name what is gone: something must be there to be named, if only as a declaration.
    let mut gone: BTreeMap<Ent, Kind> = BTreeMap::new();
    for (.., bound) in program.defined() {
        let refs = bound.refs.iter().zip(bound.def.names());
        let refs = refs.filter(|(ent, _)| !program.things.contains_key(ent));
        gone.extend(refs.map(|(ent, name)| (*ent, name.0)));
    }
    for (number, (ent, kind)) in gone.into_iter().enumerate() {
        let name = Name(kind, GONE + number as u16);
        driver.declare(ent, name, Owner::Nothing, (true, false))?;
    }
    for (ent, thing, bound) in program.defined() {
        driver.define(ent, thing.name, bound)?;
    }
    for (name, ent) in &program.exports {
        driver.edit(|module, ids| module.export(name, ids.of(*ent)))?;
    }
    let start = program.start;
    driver.edit(|module, ids| module.set_start(start.map(|ent| ids.of(ent))))?;
    driver.module.commit().map(drop)
}
