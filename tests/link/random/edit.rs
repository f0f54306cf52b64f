//! Random edits of a random program.

use super::generate::Generator;
use super::program::{Binding, Contents, Kind, Program, Signature, Statement};

impl Generator {
    /// Changes the program in one to three ways; says how.
    pub fn edit(&mut self) -> String {
        let mut said = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            let what = match self.rng.below(20) {
                0..5 => self.change_contents(),
                5 => self.resize(),
                6 | 7 => self.add_and_use(),
                8 | 9 => self.remove_definition(),
                10 | 11 => self.add_definition(),
                12 => self.change_attribute(),
                13 => self.change_export(),
                14 => self.change_constructor(),
                15 | 16 => self.change_weak_reference(),
                17 => self.move_definition(),
                18 if self.rng.once_in(2) => self.mistake(),
                18 => self.change_import(),
                _ => self.change_binding(),
            };
            said.extend(what);
            self.repair();
        }
        said.join(", ")
    }

    fn any_definition(&mut self) -> Option<(usize, usize)> {
        let symbols = self.program.symbols.iter().enumerate();
        let all: Vec<(usize, usize)> = symbols
            .flat_map(|(id, symbol)| (0..symbol.definitions.len()).map(move |at| (id, at)))
            .collect();
        (!all.is_empty()).then(|| all[self.rng.below(all.len())])
    }

    fn name(&self, id: usize) -> String {
        self.program.symbols[id].name.clone()
    }

    fn change_contents(&mut self) -> Option<String> {
        let (id, at) = self.any_definition()?;
        let unit = self.program.symbols[id].definitions[at].unit;
        let is_small = self.rng.once_in(2);
        let mix = self.mix();
        match &mut self.program.symbols[id].definitions[at].contents {
            Contents::Body(statements) if is_small => statements.push(mix),
            _ => {
                let contents = self.contents(id, unit);
                self.program.symbols[id].definitions[at].contents = contents;
            }
        }
        Some(format!("change {}", self.name(id)))
    }

    fn resize(&mut self) -> Option<String> {
        let (id, _) = self.any_definition()?;
        if matches!(self.program.symbols[id].kind, Kind::Function(_)) {
            return None;
        }
        self.program.symbols[id].elements = 1 << self.rng.below(6);
        self.fill_again(id);
        Some(format!("resize {}", self.name(id)))
    }

    fn fill_again(&mut self, id: usize) {
        for at in 0..self.program.symbols[id].definitions.len() {
            let unit = self.program.symbols[id].definitions[at].unit;
            let contents = self.contents(id, unit);
            self.program.symbols[id].definitions[at].contents = contents;
        }
    }

    fn add_and_use(&mut self) -> Option<String> {
        let id = self.add_symbol();
        let added = &self.program.symbols[id];
        let (order, only_in) = (added.order, added.only_in);
        let statement = match added.kind {
            Kind::Function(_) => Statement::Call(id),
            Kind::Words | Kind::Local => Statement::Write(id, 5),
            Kind::Constants | Kind::Texts => Statement::Read(id),
            Kind::Pointers => Statement::Follow(id),
            Kind::Functions(_) => Statement::Indirect(id),
        };
        for _ in 0..20 {
            let (user, at) = self.any_definition()?;
            let symbol = &mut self.program.symbols[user];
            let definition = &mut symbol.definitions[at];
            if symbol.order > order
                && only_in.is_none_or(|only| only == definition.unit)
                && let Contents::Body(statements) = &mut definition.contents
            {
                statements.push(statement);
                break;
            }
        }
        Some(format!("add {}", self.name(id)))
    }

    fn remove_definition(&mut self) -> Option<String> {
        let (id, at) = self.any_definition()?;
        self.program.symbols[id].definitions.remove(at);
        Some(format!("remove {}", self.name(id)))
    }

    fn add_definition(&mut self) -> Option<String> {
        let id = self.rng.below(self.program.symbols.len());
        if self.program.symbols[id].name.starts_with("__") {
            return None;
        }
        match self.program.symbols[id].only_in {
            Some(unit) if !self.program.is_defined_in(id, unit) => {
                self.define(id, unit, Binding::Static);
            }
            _ => self.define_again(id),
        }
        Some(format!("define {}", self.name(id)))
    }

    fn change_attribute(&mut self) -> Option<String> {
        let (id, _) = self.any_definition()?;
        let attribute = ["visibility(\"hidden\")", "visibility(\"default\")", "used"];
        let attribute = attribute[self.rng.below(3)];
        let attributes = &mut self.program.symbols[id].attributes;
        if !attributes.remove(attribute) {
            // One that says how visible it is excludes the other.
            let kind = &attribute[..4];
            attributes.retain(|other| !other.starts_with(kind));
            attributes.insert(attribute);
        }
        Some(format!("{attribute} of {}", self.name(id)))
    }

    fn change_export(&mut self) -> Option<String> {
        let (id, _) = self.any_definition()?;
        let symbol = &mut self.program.symbols[id];
        if !matches!(symbol.kind, Kind::Function(_)) {
            return None;
        }
        symbol.export = match symbol.export.take() {
            Some(_) => None,
            None => Some(format!("x{id}")),
        };
        Some(format!("export {}", self.name(id)))
    }

    fn change_constructor(&mut self) -> Option<String> {
        let (id, _) = self.any_definition()?;
        let priority = [65535, 101, 300][self.rng.below(3)];
        let symbol = &mut self.program.symbols[id];
        if symbol.kind != Kind::Function(Signature::Nothing) {
            return None;
        }
        symbol.constructor = match symbol.constructor.take() {
            Some(_) => None,
            None => Some(priority),
        };
        Some(format!("constructor {}", self.name(id)))
    }

    /// Lets a unit take a function for one of another type, or no more.
    pub fn mistake(&mut self) -> Option<String> {
        let all: Vec<(usize, usize)> = self
            .references()
            .into_iter()
            .filter(|(_, id)| matches!(self.program.symbols[*id].kind, Kind::Function(_)))
            .collect();
        if all.is_empty() {
            return None;
        }
        let key = all[self.rng.below(all.len())];
        if self.program.mistaken.remove(&key).is_none() {
            let signature = self.signature();
            self.program.mistaken.insert(key, signature);
        }
        Some(format!("mistake {} in u{}", self.name(key.1), key.0))
    }

    /// Which units refer to which symbols that they do not define.
    fn references(&self) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for symbol in &self.program.symbols {
            for definition in &symbol.definitions {
                all.extend(
                    Program::named(definition)
                        .into_iter()
                        .map(|id| (definition.unit, id)),
                );
            }
        }
        all.retain(|(unit, id)| {
            let symbol = &self.program.symbols[*id];
            !self.program.is_defined_in(*id, *unit) && symbol.only_in.is_none()
        });
        all
    }

    pub fn change_weak_reference(&mut self) -> Option<String> {
        let all = self.references();
        if all.is_empty() {
            return None;
        }
        let key = all[self.rng.below(all.len())];
        if !self.program.weak_references.remove(&key) {
            self.program.weak_references.insert(key);
        }
        Some(format!(
            "weak reference to {} in u{}",
            self.name(key.1),
            key.0
        ))
    }

    fn move_definition(&mut self) -> Option<String> {
        let (id, at) = self.any_definition()?;
        let unit = self.rng.below(self.program.units.len());
        let symbol = &self.program.symbols[id];
        let binding = symbol.definitions[at].binding;
        let is_plain = matches!(binding, Binding::Strong | Binding::Weak);
        if !is_plain || symbol.only_in.is_some() || self.program.is_defined_in(id, unit) {
            return None;
        }
        self.program.symbols[id].definitions.remove(at);
        self.define(id, unit, binding);
        Some(format!("move {} to u{unit}", self.name(id)))
    }

    fn change_import(&mut self) -> Option<String> {
        let symbols = self.program.symbols.iter().enumerate();
        let all: Vec<usize> = symbols
            .filter(|(_, symbol)| {
                let is_function = matches!(symbol.kind, Kind::Function(_));
                is_function && symbol.definitions.is_empty() && symbol.only_in.is_none()
            })
            .map(|(id, _)| id)
            .collect();
        if all.is_empty() {
            return None;
        }
        let id = all[self.rng.below(all.len())];
        let name = format!("i{}", self.rng.below(12));
        let symbol = &mut self.program.symbols[id];
        symbol.import = match symbol.import {
            Some(_) if self.rng.once_in(2) => None,
            _ => Some(("env".to_owned(), name)),
        };
        Some(format!("import {}", self.name(id)))
    }

    fn change_binding(&mut self) -> Option<String> {
        let (id, at) = self.any_definition()?;
        let definition = &mut self.program.symbols[id].definitions[at];
        definition.binding = match definition.binding {
            Binding::Strong => Binding::Weak,
            Binding::Weak => Binding::Strong,
            other => other,
        };
        Some(format!("binding of {}", self.name(id)))
    }

    /// What an edit took something from that it needs gets something of its own.
    fn repair(&mut self) {
        for id in 0..self.program.symbols.len() {
            for at in 0..self.program.symbols[id].definitions.len() {
                let definition = &self.program.symbols[id].definitions[at];
                let Contents::Alias(target) = definition.contents else {
                    continue;
                };
                let unit = definition.unit;
                let (symbol, other) = (&self.program.symbols[id], &self.program.symbols[target]);
                let is_there = other.definitions.iter().any(|it| {
                    it.unit == unit
                        && it.binding == Binding::Strong
                        && !matches!(it.contents, Contents::Alias(_))
                });
                let can_alias = symbol.constructor.is_none() && symbol.elements == other.elements;
                if !is_there || !can_alias {
                    let contents = self.contents(id, unit);
                    self.program.symbols[id].definitions[at].contents = contents;
                }
            }
        }
    }
}
