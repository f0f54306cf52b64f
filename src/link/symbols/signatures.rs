//! Function types of a program, each once: two objects' types are the same if they have the same number.

use std::fmt::Write;

use crate::hash::HashMap;
use crate::object::Object;
use crate::transaction::Transaction;

/// A function type of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureId(pub(super) u32);

impl SignatureId {
    /// The number as an offset into tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A function type: one byte for each parameter and result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The parameters' value types.
    pub params: Box<[u8]>,
    /// The results' value types.
    pub results: Box<[u8]>,
}

/// All function types of a program, in the order of their first use.
#[derive(Debug, Default)]
pub struct Signatures {
    all: Vec<Signature>,
    /// How many there were when the transaction that is open began.
    begun_with: usize,
    /// By the number of parameters, then all bytes in one.
    ids: HashMap<Box<[u8]>, SignatureId, foldhash::fast::FixedState>,
    key: Vec<u8>,
}

impl Transaction for Signatures {
    fn begin(&mut self) {
        self.begun_with = self.all.len();
    }

    fn commit(&mut self) {}

    fn rollback(&mut self) {
        let begun_with = self.begun_with;
        if self.all.len() > begun_with {
            self.all.truncate(begun_with);
            self.ids.retain(|_, id| id.index() < begun_with);
        }
    }
}

impl Signatures {
    /// The type with these parameters and results.
    pub fn add(&mut self, params: &[u8], results: &[u8]) -> SignatureId {
        self.key.clear();
        self.key.extend((params.len() as u32).to_le_bytes());
        self.key.extend(params);
        self.key.extend(results);
        if let Some(id) = self.ids.get(&self.key[..]) {
            return *id;
        }
        let id = SignatureId(self.all.len() as u32);
        self.ids.insert(self.key.as_slice().into(), id);
        self.all.push(Signature {
            params: params.into(),
            results: results.into(),
        });
        id
    }

    /// The types of an object, in its order.
    pub fn add_object(&mut self, object: &Object) -> Vec<SignatureId> {
        object
            .types
            .iter()
            .map(|ty| self.add(object.bytes(ty.params), object.bytes(ty.results)))
            .collect()
    }

    /// A type's parameters and results.
    pub fn get(&self, id: SignatureId) -> &Signature {
        &self.all[id.index()]
    }

    /// The type of a number, as [`SignatureId::index`] gives it.
    pub fn at(&self, index: usize) -> &Signature {
        &self.all[index]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A type as messages show it: `(i32, i64) -> void`.
    pub fn text(&self, id: SignatureId) -> String {
        let signature = self.get(id);
        let mut text = String::from("(");
        for (index, param) in signature.params.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let _ = write!(text, "{comma}{}", value_type(*param));
        }
        text.push_str(") -> ");
        match &*signature.results {
            [] => text.push_str("void"),
            results => {
                for (index, result) in results.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    let _ = write!(text, "{comma}{}", value_type(*result));
                }
            }
        }
        text
    }
}

/// What messages call a value type.
pub fn value_type(byte: u8) -> &'static str {
    match byte {
        0x7f => "i32",
        0x7e => "i64",
        0x7d => "f32",
        0x7c => "f64",
        0x7b => "v128",
        0x70 => "funcref",
        0x6f => "externref",
        0x69 => "exnref",
        _ => "?",
    }
}
