//! Where the compiler meets wasmend: what changed since the build before becomes edits of a module, and a commit a patch.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;
use wasmend::ValType::{F64, I32};
use wasmend::{ConstExpr, Data, DeclId, DeclKind, Module, ModuleOptions, Patch, Result};

use crate::code::{Item, Program, Unit, Value};
use crate::emit::{self, Names, text_key};
use crate::library::Library;

pub struct Compiler {
    module: Module,
    library: Library,
    /// What has been compiled, by key.
    built: HashMap<String, Item>,
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
        module.commit()?;
        Ok(Compiler {
            module,
            library,
            built: HashMap::new(),
        })
    }

    /// The whole output.
    pub fn output(&self) -> Result<Vec<u8>> {
        self.module.bytes()
    }

    /// Compiles what is not as it was, and publishes it. An error leaves the output as it was.
    pub fn update(&mut self, program: &Program) -> Result<Patch> {
        let is_stale = |unit: &&Unit| self.built.get(&unit.key) != Some(&unit.item);
        let stale: Vec<&Unit> = program.units.iter().filter(is_stale).collect();
        let remain: HashSet<&str> = program.units.iter().map(|unit| &*unit.key).collect();
        let gone = self.built.keys().filter(|key| !remain.contains(&***key));
        let gone: Vec<String> = gone.cloned().collect();
        match self.edit(&stale, &gone) {
            Ok(patch) => {
                let stale = stale.into_iter().cloned();
                self.built.extend(stale.map(|unit| (unit.key, unit.item)));
                self.built.retain(|key, _| remain.contains(&**key));
                Ok(patch)
            }
            Err(error) => {
                self.module.discard();
                Err(error)
            }
        }
    }

    /// All that a compiler has to do to have its output patched.
    fn edit(&mut self, stale: &[&Unit], gone: &[String]) -> Result<Patch> {
        // Declare all first: a function may name one that is defined later.
        for unit in stale {
            self.declare(unit)?;
        }
        // Compile, on all cores: that needs to know what names mean, and nothing else of the module.
        let names = Names {
            style: self.module.body_style(),
            library: &self.library,
            lookup: &|key| self.id(key),
        };
        let bodies = stale.par_iter().filter_map(|unit| {
            let body = emit::body(&names, unit)?;
            Some(body.map(|body| (self.id(&unit.key), body)))
        });
        // Define, remove what is no more, and publish.
        for (id, body) in bodies.collect::<Result<Vec<_>>>()? {
            self.module.define_function(id, body)?;
        }
        for key in gone {
            if self.built[key].is_exported() {
                self.module.unexport(key);
            }
            self.module.remove(self.id(key))?;
        }
        self.module.commit()
    }

    fn id(&self, key: &str) -> DeclId {
        self.module
            .lookup(key)
            .expect("whatever is named has been declared")
    }

    /// Declares what a unit is in the module, with its texts; a variable is defined too.
    fn declare(&mut self, unit: &Unit) -> Result<()> {
        let Unit { key, item } = unit;
        let kind = match item {
            Item::Variable(_) => DeclKind::Global,
            Item::Function(_) | Item::Looks(_) => DeclKind::Function,
        };
        let id = match self.module.lookup(key) {
            Some(id) => id,
            None => self.module.declare(kind, key)?,
        };
        let before = self.built.get(key).cloned();
        let texts_before = before.as_ref().map_or(&[][..], Item::texts);
        for text in item.texts() {
            if !texts_before.contains(text) {
                let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
                bytes.extend_from_slice(text.as_bytes());
                // Nobody writes to it.
                self.define_data(id, &text_key(key, text), Data::new(bytes, 2).constant())?;
            }
        }
        for text in texts_before {
            if !item.texts().contains(text) {
                self.module.remove(self.id(&text_key(key, text)))?;
            }
        }
        match (
            before.is_some_and(|it| it.is_exported()),
            item.is_exported(),
        ) {
            (false, true) => self.module.export(key, id)?,
            (true, false) => self.module.unexport(key),
            _ => {}
        }
        match item {
            Item::Variable(value) => self.define_variable(id, key, value),
            Item::Function(_) | Item::Looks(_) => Ok(()),
        }
    }

    fn define_variable(&mut self, id: DeclId, key: &str, value: &Value) -> Result<()> {
        let (ty, first) = match value {
            Value::Number(value) => (F64, ConstExpr::F64(value.to_bits())),
            Value::Text(text) => {
                let text = self.id(&text_key(key, text));
                (I32, ConstExpr::DataAddress(text, 0))
            }
            Value::List(items) => {
                let mut bytes = (items.len() as u64).to_le_bytes().to_vec();
                bytes.extend(items.iter().flat_map(|item| item.to_le_bytes()));
                let list = self.define_data(id, &format!("{key}, list"), Data::new(bytes, 3))?;
                (I32, ConstExpr::DataAddress(list, 0))
            }
        };
        self.module.define_global(id, ty, true, first)
    }

    /// Defines data that belongs to a declaration and goes with it.
    fn define_data(&mut self, owner: DeclId, key: &str, data: Data) -> Result<DeclId> {
        let id = match self.module.lookup(key) {
            Some(id) => id,
            None => self.module.declare_part(owner, DeclKind::Data, Some(key))?,
        };
        self.module.define_data(id, self.library.memory, data)?;
        Ok(id)
    }
}
