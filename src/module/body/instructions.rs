//! Instructions that name one or two things and do nothing else that a builder would have to know of: a table of them.

use crate::module::body::builder::FunctionBuilder;
use crate::module::handle::{DeclId, TypeId};
use crate::program::RelocKind;

/// What an operand is given as, by what it names.
macro_rules! operand {
    (ty) => {
        TypeId
    };
    (number) => {
        u32
    };
    ($declaration:ident) => {
        DeclId
    };
}

/// A method for each line: its operands in the order in which they are encoded, and its code.
macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident($($operand:ident: $what:ident),*) = $($code:literal)+;)*) => {
        impl FunctionBuilder {
            $(
                $(#[$doc])*
                pub fn $name(&mut self, $($operand: operand!($what)),*) -> &mut Self {
                    self.raw(&[$($code),+])$(.$what($operand))*
                }
            )*
        }
    };
}

impl FunctionBuilder {
    fn ty(&mut self, ty: TypeId) -> &mut Self {
        self.type_field(RelocKind::TypeIndex, ty)
    }

    fn global(&mut self, global: DeclId) -> &mut Self {
        self.field(RelocKind::GlobalIndex, global, 0)
    }

    fn table(&mut self, table: DeclId) -> &mut Self {
        self.field(RelocKind::TableIndex, table, 0)
    }

    fn memory(&mut self, memory: DeclId) -> &mut Self {
        self.field(RelocKind::MemoryIndex, memory, 0)
    }

    fn tag(&mut self, tag: DeclId) -> &mut Self {
        self.field(RelocKind::TagIndex, tag, 0)
    }

    fn elements(&mut self, segment: DeclId) -> &mut Self {
        self.field(RelocKind::ElementIndex, segment, 0)
    }

    fn data(&mut self, segment: DeclId) -> &mut Self {
        self.field(RelocKind::DataIndex, segment, 0)
    }
}

instructions! {
    /// `throw`.
    throw(tag: tag) = 0x08;
    /// `global.get`.
    global_get(global: global) = 0x23;
    /// `global.set`.
    global_set(global: global) = 0x24;

    /// `table.get`.
    table_get(table: table) = 0x25;
    /// `table.set`.
    table_set(table: table) = 0x26;
    /// `table.init`: fills a part of a table from a segment.
    table_init(segment: elements, table: table) = 0xfc 12;
    /// `elem.drop`.
    elem_drop(segment: elements) = 0xfc 13;
    /// `table.copy`.
    table_copy(destination: table, source: table) = 0xfc 14;
    /// `table.grow`.
    table_grow(table: table) = 0xfc 15;
    /// `table.size`.
    table_size(table: table) = 0xfc 16;
    /// `table.fill`.
    table_fill(table: table) = 0xfc 17;

    /// `memory.size`.
    memory_size(memory: memory) = 0x3f;
    /// `memory.grow`.
    memory_grow(memory: memory) = 0x40;
    /// `memory.init`: copies a part of a segment into a memory.
    memory_init(segment: data, memory: memory) = 0xfc 8;
    /// `data.drop`.
    data_drop(segment: data) = 0xfc 9;
    /// `memory.copy`.
    memory_copy(destination: memory, source: memory) = 0xfc 10;
    /// `memory.fill`.
    memory_fill(memory: memory) = 0xfc 11;

    /// `struct.new`.
    struct_new(ty: ty) = 0xfb 0;
    /// `struct.new_default`.
    struct_new_default(ty: ty) = 0xfb 1;
    /// `struct.get`.
    struct_get(ty: ty, field: number) = 0xfb 2;
    /// `struct.get_s`.
    struct_get_s(ty: ty, field: number) = 0xfb 3;
    /// `struct.get_u`.
    struct_get_u(ty: ty, field: number) = 0xfb 4;
    /// `struct.set`.
    struct_set(ty: ty, field: number) = 0xfb 5;
    /// `array.new`.
    array_new(ty: ty) = 0xfb 6;
    /// `array.new_default`.
    array_new_default(ty: ty) = 0xfb 7;
    /// `array.new_fixed`.
    array_new_fixed(ty: ty, len: number) = 0xfb 8;
    /// `array.new_data`.
    array_new_data(ty: ty, segment: data) = 0xfb 9;
    /// `array.new_elem`.
    array_new_elem(ty: ty, segment: elements) = 0xfb 10;
    /// `array.get`.
    array_get(ty: ty) = 0xfb 11;
    /// `array.get_s`.
    array_get_s(ty: ty) = 0xfb 12;
    /// `array.get_u`.
    array_get_u(ty: ty) = 0xfb 13;
    /// `array.set`.
    array_set(ty: ty) = 0xfb 14;
    /// `array.fill`.
    array_fill(ty: ty) = 0xfb 16;
    /// `array.copy`.
    array_copy(destination: ty, source: ty) = 0xfb 17;
    /// `array.init_data`.
    array_init_data(ty: ty, segment: data) = 0xfb 18;
    /// `array.init_elem`.
    array_init_elem(ty: ty, segment: elements) = 0xfb 19;
}
