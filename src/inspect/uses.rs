//! What the code of a module names: types, functions and globals. It counts, and knows no layout.

use wasmparser::{
    BinaryReaderError, BlockType, HeapType, Operator, OperatorsReader, RefType, ValType,
};

/// How often each type and global is named, and which functions are. Indices that are out of range are not counted.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) types: Vec<u32>,
    /// Each function index that is named, in the order of the file.
    pub(super) functions: Vec<u32>,
    pub(super) globals: Vec<u32>,
}

fn count(counts: &mut [u32], index: u32) {
    if let Some(count) = counts.get_mut(index as usize) {
        *count = count.saturating_add(1);
    }
}

impl Uses {
    pub(super) fn ty(&mut self, index: u32) {
        count(&mut self.types, index);
    }

    pub(super) fn global(&mut self, index: u32) {
        count(&mut self.globals, index);
    }

    fn heap_type(&mut self, ty: HeapType) {
        if let HeapType::Concrete(index) | HeapType::Exact(index) = ty
            && let Some(index) = index.as_module_index()
        {
            self.ty(index);
        }
    }

    fn ref_type(&mut self, ty: RefType) {
        self.heap_type(ty.heap_type());
    }

    pub(super) fn val_type(&mut self, ty: ValType) {
        if let ValType::Ref(ty) = ty {
            self.ref_type(ty);
        }
    }

    fn block_type(&mut self, ty: BlockType) {
        match ty {
            BlockType::Empty => {}
            BlockType::Type(ty) => self.val_type(ty),
            BlockType::FuncType(index) => self.ty(index),
        }
    }

    /// Counts what an expression names.
    pub(super) fn expression(
        &mut self,
        mut reader: OperatorsReader<'_>,
    ) -> Result<(), BinaryReaderError> {
        while !reader.eof() {
            self.operator(&reader.read()?);
        }
        Ok(())
    }
}

/// Counts one immediate of an operator, by what wasmparser calls it.
macro_rules! immediate {
    ($uses:ident function_index $value:ident) => {
        $uses.functions.push(*$value)
    };
    ($uses:ident global_index $value:ident) => {
        $uses.global(*$value)
    };
    ($uses:ident type_index $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident struct_type_index $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident array_type_index $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident array_type_index_dst $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident array_type_index_src $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident cont_type_index $value:ident) => {
        $uses.ty(*$value)
    };
    ($uses:ident blockty $value:ident) => {
        $uses.block_type(*$value)
    };
    ($uses:ident hty $value:ident) => {
        $uses.heap_type(*$value)
    };
    ($uses:ident ty $value:ident) => {
        $uses.val_type(*$value)
    };
    ($uses:ident tys $value:ident) => {
        $value.iter().for_each(|ty| $uses.val_type(*ty))
    };
    ($uses:ident from_ref_type $value:ident) => {
        $uses.ref_type(*$value)
    };
    ($uses:ident to_ref_type $value:ident) => {
        $uses.ref_type(*$value)
    };
    ($uses:ident try_table $value:ident) => {
        $uses.block_type($value.ty)
    };
    ($uses:ident $other:ident $value:ident) => {{
        let _ = $value;
    }};
}

macro_rules! define_operator {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        impl Uses {
            /// Counts what one operator names.
            pub(super) fn operator(&mut self, operator: &Operator<'_>) {
                let uses = self;
                match operator {
                    $(
                        Operator::$op $({ $($arg),* })? => {
                            $( $( immediate!(uses $arg $arg); )* )?
                        }
                    )*
                    _ => {}
                }
            }
        }
    };
}

wasmparser::for_each_operator!(define_operator);
