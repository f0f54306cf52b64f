//! Where the compiler meets wasmend: what changed since the build before becomes edits of a module, and a commit a patch.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use wasmend::ValType::{F64, I32};
use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, Patch,
    Result,
};

use crate::code::{Function, Item, Look, Program, Unit, Value};
use crate::emit::{self, Names, text_key};
use crate::library::Library;

/// The function through which a program is looked at, see [`emit::looks`].
pub const LOOK: &str = "brook.look";

pub struct Compiler {
    module: Module,
    library: Library,
    look: DeclId,
    /// What has been compiled, by key.
    built: HashMap<String, Item>,
    looks: Vec<Look>,
}

impl Compiler {
    /// A compiler into a file, or into memory. What is written at first is a program with nothing but the library.
    pub fn new(output: Option<&Path>) -> Result<Compiler> {
        let options = ModuleOptions {
            live: true,
            ..ModuleOptions::default()
        };
        let mut module = match output {
            Some(path) => Module::create(path, options)?,
            None => Module::in_memory(options)?,
        };
        let library = Library::define(&mut module)?;
        let look = module.declare(DeclKind::Function, LOOK)?;
        let mut body = FunctionBuilder::new(module.body_style(), &[I32], &[F64]);
        body.op(&Instruction::Unreachable);
        module.define_function(look, body.finish()?)?;
        module.export(LOOK, look)?;
        module.commit()?;
        Ok(Compiler {
            module,
            library,
            look,
            built: HashMap::new(),
            looks: Vec::new(),
        })
    }

    /// The whole output.
    pub fn output(&self) -> Result<Vec<u8>> {
        self.module.bytes()
    }

    /// Compiles what is not as it was, and publishes it. An error leaves the output as it was.
    pub fn update(&mut self, program: &Program) -> Result<Patch> {
        let patch = match self.edit(program) {
            Ok(()) => self.module.commit(),
            Err(error) => Err(error),
        };
        if patch.is_err() {
            self.module.discard();
            return patch;
        }
        let units = program.units.iter();
        self.built = units
            .map(|unit| (unit.key.clone(), unit.item.clone()))
            .collect();
        self.looks.clone_from(&program.looks);
        patch
    }

    fn edit(&mut self, program: &Program) -> Result<()> {
        let is_stale = |unit: &&Unit| self.built.get(&unit.key) != Some(&unit.item);
        let stale: Vec<&Unit> = program.units.iter().filter(is_stale).collect();

        // Declare: a function may call one that is defined later, or in a later build.
        for unit in &stale {
            self.declare(unit)?;
        }

        // Compile, on all cores: that needs names, and nothing else of the module.
        let module = &self.module;
        let names = Names {
            style: module.body_style(),
            library: &self.library,
            lookup: &|key| module.lookup(key).expect("whatever is named is declared"),
        };
        let functions = stale.par_iter().filter_map(|unit| match &unit.item {
            Item::Function(function) => Some((unit, function)),
            Item::Variable(_) => None,
        });
        let bodies = functions
            .map(|(unit, function)| Ok((unit, emit::function(&names, &unit.key, function)?)))
            .collect::<Result<Vec<_>>>()?;
        let is_same = |(old, new): (&Look, &Look)| old.target == new.target && old.ty == new.ty;
        let looks = (self.looks.len() != program.looks.len()
            || !self.looks.iter().zip(&program.looks).all(is_same))
        .then(|| emit::looks(&names, &program.looks))
        .transpose()?;

        // Define, and remove what is no more.
        for (unit, body) in bodies {
            let id = self.id(&unit.key);
            self.module.define_function(id, body)?;
        }
        if let Some(looks) = looks {
            self.module.define_function(self.look, looks)?;
        }
        self.remove_what_is_gone(program)
    }

    fn id(&self, key: &str) -> DeclId {
        self.module.lookup(key).expect("it has been declared")
    }

    /// Declares what a unit is in the module, and defines its data.
    fn declare(&mut self, unit: &Unit) -> Result<()> {
        let kind = match unit.item {
            Item::Function(_) => DeclKind::Function,
            Item::Variable(_) => DeclKind::Global,
        };
        let id = match self.module.lookup(&unit.key) {
            Some(id) => id,
            None => self.module.declare(kind, &unit.key)?,
        };
        match &unit.item {
            Item::Variable(Value::Number(value)) => {
                let value = ConstExpr::F64(value.to_bits());
                self.module.define_global(id, F64, true, value)
            }
            Item::Variable(Value::Text(text)) => {
                let before = match self.built.get(&unit.key) {
                    Some(Item::Variable(Value::Text(before))) => std::slice::from_ref(before),
                    _ => &[],
                };
                let before = before.to_vec();
                self.texts(id, &unit.key, &before, std::slice::from_ref(text))?;
                let value = ConstExpr::DataAddress(self.id(&text_key(&unit.key, text)), 0);
                self.module.define_global(id, I32, true, value)
            }
            Item::Variable(Value::List(items)) => {
                let mut bytes = (items.len() as u64).to_le_bytes().to_vec();
                bytes.extend(items.iter().flat_map(|item| item.to_le_bytes()));
                let list = self.data(id, &format!("{}, list", unit.key), Data::new(bytes, 3))?;
                let value = ConstExpr::DataAddress(list, 0);
                self.module.define_global(id, I32, true, value)
            }
            Item::Function(function) => self.declare_function(id, &unit.key, function),
        }
    }

    fn declare_function(&mut self, id: DeclId, key: &str, function: &Function) -> Result<()> {
        let before = match self.built.get(key) {
            Some(Item::Function(before)) => Some(before),
            _ => None,
        };
        let was_exported = before.is_some_and(|before| before.is_exported);
        let texts_before = before.map_or(Vec::new(), |before| before.texts.clone());
        self.texts(id, key, &texts_before, &function.texts)?;
        match (was_exported, function.is_exported) {
            (false, true) => self.module.export(key, id)?,
            (true, false) => self.module.unexport(key),
            _ => {}
        }
        Ok(())
    }

    /// Defines the texts of a declaration, and removes those that it had before and has no more.
    fn texts(&mut self, owner: DeclId, key: &str, before: &[String], now: &[String]) -> Result<()> {
        for text in now.iter().filter(|text| !before.contains(text)) {
            let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
            bytes.extend_from_slice(text.as_bytes());
            // Nobody writes to it.
            self.data(owner, &text_key(key, text), Data::new(bytes, 2).constant())?;
        }
        for text in before.iter().filter(|text| !now.contains(text)) {
            self.module.remove(self.id(&text_key(key, text)))?;
        }
        Ok(())
    }

    /// Defines data that belongs to a declaration.
    fn data(&mut self, owner: DeclId, key: &str, data: Data) -> Result<DeclId> {
        let id = match self.module.lookup(key) {
            Some(id) => id,
            None => self.module.declare_part(owner, DeclKind::Data, Some(key))?,
        };
        self.module.define_data(id, self.library.memory, data)?;
        Ok(id)
    }

    fn remove_what_is_gone(&mut self, program: &Program) -> Result<()> {
        let units = program.units.iter();
        let remain: std::collections::HashSet<&str> = units.map(|unit| &*unit.key).collect();
        for (key, item) in &self.built {
            if remain.contains(&**key) {
                continue;
            }
            if matches!(item, Item::Function(function) if function.is_exported) {
                self.module.unexport(key);
            }
            // Its texts go with it.
            self.module.remove(self.id(key))?;
        }
        Ok(())
    }
}
