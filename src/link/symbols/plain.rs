//! What becomes of one symbol when a definition or a reference meets it, where nothing else is concerned: no other symbol, no
//! file that has yet to be linked, and nobody who must be told. That is so nearly always, and all threads can do it for
//! different symbols. It must not know the table; what is not plain is the table's.

use super::*;

impl GlobalSymbol {
    /// A symbol of which nothing has been said.
    pub(super) const ABSENT: GlobalSymbol = GlobalSymbol {
        name: NameId::NONE,
        kind: SymbolKind::Function,
        flags: SymbolFlags(0),
        definition: Definition::Undefined,
        ty: SymbolType::None,
        object: None,
        import_module: NameId::NONE,
        import_name: NameId::NONE,
        used_in_object: false,
        called_directly: false,
        force_export: false,
        force_import: false,
    };

    /// Whether nothing has been said of it.
    fn is_absent(&self) -> bool {
        self.name == NameId::NONE
    }

    /// One that an object refers to, and nobody has named before.
    pub(super) fn referred_to(
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
    ) -> GlobalSymbol {
        GlobalSymbol {
            called_directly,
            ..GlobalSymbol::brought(new, Definition::Undefined, import)
        }
    }

    /// Gives it a definition or, undefined, another beginning. What was said of it from outside stays.
    pub(super) fn replace(&mut self, new: &Incoming, definition: Definition) {
        self.kind = new.kind;
        self.flags = new.flags;
        self.definition = definition;
        self.ty = new.ty;
        self.object = new.object;
        self.import_module = NameId::NONE;
        self.import_name = NameId::NONE;
        self.called_directly = false;
    }

    /// An object's definition meets it. Returns whether that was plain; if not, nothing was done.
    #[inline]
    pub(in crate::link) fn define_plainly(
        &mut self,
        new: &Incoming,
        definition: Definition,
    ) -> bool {
        if self.is_absent() {
            *self = GlobalSymbol::brought(new, definition, ImportAs::UNSAID);
            return true;
        }
        let is_new_weak = new.flags.has(SymbolFlags::WEAK);
        let prevails = match self.definition {
            Definition::Alias => false,
            Definition::Lazy(_) if self.is_weak() => return false,
            Definition::Lazy(_) => true,
            _ => {
                let is_function = new.kind == SymbolKind::Function;
                let counts = !is_function || !self.is_undefined() || self.called_directly;
                if self.kind != new.kind || (counts && !self.has_type_of(new)) {
                    return false;
                }
                let prevails = !self.is_defined() || (self.is_weak() && !is_new_weak);
                if !prevails && !is_new_weak {
                    return false;
                }
                prevails
            }
        };
        self.used_in_object = true;
        if prevails {
            self.replace(new, definition);
        }
        true
    }

    /// An object's reference meets it. Returns whether that was plain; if not, nothing was done.
    #[inline]
    pub(in crate::link) fn refer_plainly(
        &mut self,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
    ) -> bool {
        if self.is_absent() {
            *self = GlobalSymbol::referred_to(new, import, called_directly);
            return true;
        }
        let is_function = new.kind == SymbolKind::Function;
        match self.definition {
            Definition::Alias => {
                if self.ty == SymbolType::None {
                    self.ty = new.ty;
                    self.kind = new.kind;
                }
            }
            Definition::Lazy(_) => return false,
            _ => {
                let is_undefined = self.is_undefined();
                if is_undefined && self.conflict(import).is_some() {
                    return false;
                }
                // Undefined symbols other than functions are not compared before something defines them.
                let counts = called_directly || !is_function;
                if (is_function || !is_undefined)
                    && (self.kind != new.kind || (counts && !self.has_type_of(new)))
                {
                    return false;
                }
                if is_function && self.ty == SymbolType::None {
                    self.ty = new.ty;
                }
                if is_undefined {
                    self.called_directly |= called_directly && is_function;
                    self.refer_again(new, import);
                }
            }
        }
        self.used_in_object = true;
        true
    }

    /// Whether nobody has to be told that the types are different, if they are.
    fn has_type_of(&self, new: &Incoming) -> bool {
        match new.kind {
            SymbolKind::Function => match (self.ty.signature(), new.ty.signature()) {
                (Some(old), Some(new)) => old == new,
                _ => true,
            },
            SymbolKind::Data => true,
            _ => self.ty == new.ty,
        }
    }

    /// Where a reference's import does not agree with what was said before: what of it, and what was said before and now.
    pub(super) fn conflict(&self, import: ImportAs) -> Option<(&'static str, NameId, NameId)> {
        let both = [
            ("module", self.import_module, import.module),
            ("name", self.import_name, import.name),
        ];
        let mut both = both.into_iter();
        both.find(|(_, old, said)| *said != NameId::NONE && *old != NameId::NONE && old != said)
    }

    /// Another reference to an undefined symbol: what was said first of its import counts, and the stronger binding.
    pub(super) fn refer_again(&mut self, new: &Incoming, import: ImportAs) {
        for (old, said) in [
            (&mut self.import_name, import.name),
            (&mut self.import_module, import.module),
        ] {
            if *old == NameId::NONE {
                *old = said;
            }
        }
        if self.is_weak() && !new.flags.has(SymbolFlags::WEAK) {
            self.flags = self.flags.without(SymbolFlags::WEAK);
        }
        if new.flags.has(SymbolFlags::NO_STRIP) {
            self.flags = self.flags.with(SymbolFlags::NO_STRIP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::GlobalType;
    use proptest::prelude::*;

    /// A mention: whether it is a definition, of what kind, how many parameters or which type, flags, an import's module and
    /// name, and whether it is a call.
    type Said = (bool, u8, u8, (bool, bool), (u8, u8), bool);

    fn table_of(said: &[Said], plainly: bool) -> (String, usize) {
        let mut names = Names::default();
        let mut signatures = Signatures::default();
        let name = names.add_text("name");
        let others = ["one", "two"].map(|text| names.add_text(text));
        let types = [0, 1].map(|count| signatures.add(&[0x7f, 0x7f][..count], &[]));
        let cx = Context {
            names: &names,
            signatures: &signatures,
            display: &|object| format!("{object:?}"),
            demangle: false,
            allow_multiple_definition: false,
        };
        let mut table = SymbolTable::new(&names);
        let mut meant = Vec::new();
        let mut plain = 0;
        for (number, &(defines, kind, ty, (is_weak, is_kept), import, called)) in
            said.iter().enumerate()
        {
            let object = ObjectId(number as u32);
            let kind = [SymbolKind::Function, SymbolKind::Data, SymbolKind::Global][kind as usize];
            let ty = match kind {
                SymbolKind::Function => SymbolType::Signature(types[usize::from(ty % 2)]),
                SymbolKind::Data => SymbolType::None,
                _ => SymbolType::Global(GlobalType {
                    value: 0x7f - ty % 2,
                    mutable: true,
                }),
            };
            let mut flags = SymbolFlags::default();
            for (is_set, flag) in [
                (is_weak, SymbolFlags::WEAK),
                (is_kept, SymbolFlags::NO_STRIP),
            ] {
                if is_set {
                    flags = flags.with(flag);
                }
            }
            let new = Incoming {
                name,
                kind,
                flags,
                ty,
                object: Some(object),
            };
            let named = |at: u8| others.get(usize::from(at)).copied().unwrap_or(NameId::NONE);
            let import = ImportAs {
                module: named(import.0),
                name: named(import.1),
            };
            let definition = Definition::Object {
                object,
                symbol: SymbolIndex(0),
            };
            let id = match (table.find(name), plainly, defines) {
                (None, ..) | (_, true, _) => {
                    // With a number only, or brought by the first.
                    let id = match plainly {
                        true => table.number(name),
                        false => SymbolId(u32::MAX),
                    };
                    let symbol = table.symbols.items_mut().get_mut(id.index());
                    let was_plain = symbol.is_some_and(|symbol| match defines {
                        true => symbol.define_plainly(&new, definition),
                        false => symbol.refer_plainly(&new, import, called),
                    });
                    plain += usize::from(was_plain);
                    match defines {
                        _ if was_plain => id,
                        true => table.add_defined(&new, definition, &cx),
                        false => table.add_undefined(&new, import, called, &cx).0,
                    }
                }
                (Some(id), false, true) => table.define(id, &new, definition, &cx),
                (Some(id), false, false) => table.refer(id, &new, import, called, &cx).0,
            };
            meant.push(id);
        }
        table.end_numbering();
        table.settle_order();
        let state = format!("{meant:?} {table:?}");
        (state, plain)
    }

    proptest! {
        /// What is plain comes to what it would have come to among all that could have been.
        #[test]
        fn plain_mentions_are_those_of_which_the_table_makes_the_same(
            said in prop::collection::vec(
                (
                    prop::bool::ANY,
                    prop_oneof![8 => Just(0u8), 1 => 1..3u8],
                    prop_oneof![4 => Just(0u8), 1 => Just(1u8)],
                    (prop::bool::ANY, prop::bool::weighted(0.2)),
                    (prop_oneof![6 => Just(2u8), 1 => 0..2u8], prop_oneof![6 => Just(2u8), 1 => 0..2u8]),
                    prop::bool::ANY,
                ),
                1..8,
            ),
        ) {
            let (one, plain) = table_of(&said, true);
            let (other, none) = table_of(&said, false);
            prop_assert_eq!(one, other);
            prop_assert!(plain > 0 && none == 0);
        }
    }
}
