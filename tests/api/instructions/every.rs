//! One of each of the encoder's instructions.

use wasmend::wasm_encoder::{HeapType, RefType, ValType};
use wasmend::{BlockType, Handle, Ieee32, Ieee64, Instruction, MemArg, MemArgTarget, Ordering};

// What an index is the position of, among the names that the test gives.

pub const STRUCT: u32 = 0;
pub const PACKED_STRUCT: u32 = 1;
pub const ARRAY: u32 = 2;
pub const PACKED_ARRAY: u32 = 3;
pub const FUNCTION_ARRAY: u32 = 4;
pub const CONTINUATION: u32 = 5;
pub const SWITCH: u32 = 6;
pub const DESCRIBED: u32 = 7;
pub const SIGNATURE: u32 = 8;
pub const BLOCK: u32 = 9;
pub const FUNCTION: u32 = 10;
pub const TABLE: u32 = 11;
pub const OTHER_TABLE: u32 = 12;
pub const EQ_TABLE: u32 = 13;
pub const MEMORY: u32 = 14;
pub const OTHER_MEMORY: u32 = 15;
pub const GLOBAL: u32 = 16;
pub const TAG: u32 = 17;
pub const ELEMENTS: u32 = 18;
pub const DATA: u32 = 19;

const CATCHES: &[wasmend::wasm_encoder::Catch] = &[
    wasmend::wasm_encoder::Catch::One { tag: TAG, label: 1 },
    wasmend::wasm_encoder::Catch::All { label: 1 },
];
const HANDLERS: &[Handle] = &[Handle::OnSwitch { tag: TAG }];

pub fn memory(align: u32) -> MemArg {
    MemArg {
        offset: 9,
        align,
        target: MemArgTarget::Memory(MEMORY),
        ordering: None,
    }
}

fn any() -> RefType {
    RefType::ANYREF
}

fn structure() -> RefType {
    RefType {
        nullable: true,
        heap_type: HeapType::Concrete(STRUCT),
    }
}

fn described() -> RefType {
    RefType {
        nullable: true,
        heap_type: HeapType::Exact(DESCRIBED),
    }
}

macro_rules! every {
    ($($name:ident $(($($value:expr),*))? $({$($field:ident: $of:expr),*})?;)*) => {
        /// One of each.
        pub fn every() -> Vec<Instruction<'static>> {
            vec![$(Instruction::$name $(($($value),*))? $({$($field: $of),*})?),*]
        }

        /// What an instruction is called.
        pub fn name(instruction: &Instruction<'_>) -> &'static str {
            match instruction {
                $(Instruction::$name { .. } => stringify!($name),)*
                _ => panic!("{instruction:?} is not in the list"),
            }
        }
    };
}

#[rustfmt::skip]
every! {
    Unreachable; Nop; Block(BlockType::FunctionType(BLOCK)); Loop(BlockType::FunctionType(BLOCK));
    If(BlockType::FunctionType(BLOCK)); Else; End; Br(0); BrIf(0); BrTable((&[0]).into(), 0); BrOnNull(0);
    BrOnNonNull(0); Return; Call(FUNCTION); CallRef(SIGNATURE);
    CallIndirect { type_index: SIGNATURE, table_index: TABLE }; ReturnCallRef(SIGNATURE); ReturnCall(FUNCTION);
    ReturnCallIndirect { type_index: SIGNATURE, table_index: TABLE };
    TryTable(BlockType::FunctionType(BLOCK), CATCHES.into()); Throw(TAG); ThrowRef;
    Try(BlockType::FunctionType(BLOCK)); Delegate(0); Catch(TAG); CatchAll; Rethrow(0); Drop; Select; LocalGet(0);
    LocalSet(0); LocalTee(0); GlobalGet(GLOBAL); GlobalSet(GLOBAL); I32Load(memory(0)); I64Load(memory(0));
    F32Load(memory(0)); F64Load(memory(0)); I32Load8S(memory(0)); I32Load8U(memory(0)); I32Load16S(memory(0));
    I32Load16U(memory(0)); I64Load8S(memory(0)); I64Load8U(memory(0)); I64Load16S(memory(0)); I64Load16U(memory(0));
    I64Load32S(memory(0)); I64Load32U(memory(0)); I32Store(memory(0)); I64Store(memory(0)); F32Store(memory(0));
    F64Store(memory(0)); I32Store8(memory(0)); I32Store16(memory(0)); I64Store8(memory(0)); I64Store16(memory(0));
    I64Store32(memory(0)); MemorySize(MEMORY); MemoryGrow(MEMORY); MemoryInit { mem: MEMORY, data_index: DATA };
    DataDrop(DATA); MemoryCopy { src_mem: MEMORY, dst_mem: OTHER_MEMORY }; MemoryFill(MEMORY);
    MemoryDiscard(MEMORY); I32Const(0); I64Const(0); F32Const(Ieee32::new(0)); F64Const(Ieee64::new(0)); I32Eqz;
    I32Eq; I32Ne; I32LtS; I32LtU; I32GtS; I32GtU; I32LeS; I32LeU; I32GeS; I32GeU; I64Eqz; I64Eq; I64Ne; I64LtS;
    I64LtU; I64GtS; I64GtU; I64LeS; I64LeU; I64GeS; I64GeU; F32Eq; F32Ne; F32Lt; F32Gt; F32Le; F32Ge; F64Eq; F64Ne;
    F64Lt; F64Gt; F64Le; F64Ge; I32Clz; I32Ctz; I32Popcnt; I32Add; I32Sub; I32Mul; I32DivS; I32DivU; I32RemS;
    I32RemU; I32And; I32Or; I32Xor; I32Shl; I32ShrS; I32ShrU; I32Rotl; I32Rotr; I64Clz; I64Ctz; I64Popcnt; I64Add;
    I64Sub; I64Mul; I64DivS; I64DivU; I64RemS; I64RemU; I64And; I64Or; I64Xor; I64Shl; I64ShrS; I64ShrU; I64Rotl;
    I64Rotr; F32Abs; F32Neg; F32Ceil; F32Floor; F32Trunc; F32Nearest; F32Sqrt; F32Add; F32Sub; F32Mul; F32Div;
    F32Min; F32Max; F32Copysign; F64Abs; F64Neg; F64Ceil; F64Floor; F64Trunc; F64Nearest; F64Sqrt; F64Add; F64Sub;
    F64Mul; F64Div; F64Min; F64Max; F64Copysign; I32WrapI64; I32TruncF32S; I32TruncF32U; I32TruncF64S; I32TruncF64U;
    I64ExtendI32S; I64ExtendI32U; I64TruncF32S; I64TruncF32U; I64TruncF64S; I64TruncF64U; F32ConvertI32S;
    F32ConvertI32U; F32ConvertI64S; F32ConvertI64U; F32DemoteF64; F64ConvertI32S; F64ConvertI32U; F64ConvertI64S;
    F64ConvertI64U; F64PromoteF32; I32ReinterpretF32; I64ReinterpretF64; F32ReinterpretI32; F64ReinterpretI64;
    I32Extend8S; I32Extend16S; I64Extend8S; I64Extend16S; I64Extend32S; I32TruncSatF32S; I32TruncSatF32U;
    I32TruncSatF64S; I32TruncSatF64U; I64TruncSatF32S; I64TruncSatF32U; I64TruncSatF64S; I64TruncSatF64U;
    TypedSelect(ValType::I32); TypedSelectMulti((&[ValType::I32; 2]).into()); RefNull(HeapType::Concrete(STRUCT));
    RefIsNull; RefFunc(FUNCTION); RefEq; RefAsNonNull; StructNew(STRUCT); StructNewDefault(STRUCT);
    StructGet { struct_type_index: STRUCT, field_index: 0 };
    StructGetS { struct_type_index: PACKED_STRUCT, field_index: 0 };
    StructGetU { struct_type_index: PACKED_STRUCT, field_index: 0 };
    StructSet { struct_type_index: STRUCT, field_index: 0 }; StructNewDesc(DESCRIBED);
    StructNewDefaultDesc(DESCRIBED); ArrayNew(ARRAY); ArrayNewDefault(ARRAY);
    ArrayNewFixed { array_type_index: ARRAY, array_size: 0 };
    ArrayNewData { array_type_index: ARRAY, array_data_index: DATA };
    ArrayNewElem { array_type_index: FUNCTION_ARRAY, array_elem_index: ELEMENTS }; ArrayGet(ARRAY);
    ArrayGetS(PACKED_ARRAY); ArrayGetU(PACKED_ARRAY); ArraySet(ARRAY); ArrayLen; ArrayFill(ARRAY);
    ArrayCopy { array_type_index_dst: ARRAY, array_type_index_src: ARRAY };
    ArrayInitData { array_type_index: ARRAY, array_data_index: DATA };
    ArrayInitElem { array_type_index: FUNCTION_ARRAY, array_elem_index: ELEMENTS };
    RefTestNonNull(HeapType::Concrete(STRUCT)); RefTestNullable(HeapType::Concrete(STRUCT));
    RefCastNonNull(HeapType::Concrete(STRUCT)); RefCastNullable(HeapType::Concrete(STRUCT));
    BrOnCast { relative_depth: 0, from_ref_type: any(), to_ref_type: structure() };
    BrOnCastFail { relative_depth: 0, from_ref_type: any(), to_ref_type: structure() }; AnyConvertExtern;
    ExternConvertAny; RefI31; I31GetS; I31GetU; TableInit { elem_index: ELEMENTS, table: TABLE };
    ElemDrop(ELEMENTS); TableFill(TABLE); TableSet(TABLE); TableGet(TABLE); TableGrow(TABLE); TableSize(TABLE);
    TableCopy { src_table: TABLE, dst_table: OTHER_TABLE }; V128Load(memory(0)); V128Load8x8S(memory(0));
    V128Load8x8U(memory(0)); V128Load16x4S(memory(0)); V128Load16x4U(memory(0)); V128Load32x2S(memory(0));
    V128Load32x2U(memory(0)); V128Load8Splat(memory(0)); V128Load16Splat(memory(0)); V128Load32Splat(memory(0));
    V128Load64Splat(memory(0)); V128Load32Zero(memory(0)); V128Load64Zero(memory(0)); V128Store(memory(0));
    V128Load8Lane { memarg: memory(0), lane: 0 }; V128Load16Lane { memarg: memory(0), lane: 0 };
    V128Load32Lane { memarg: memory(0), lane: 0 }; V128Load64Lane { memarg: memory(0), lane: 0 };
    V128Store8Lane { memarg: memory(0), lane: 0 }; V128Store16Lane { memarg: memory(0), lane: 0 };
    V128Store32Lane { memarg: memory(0), lane: 0 }; V128Store64Lane { memarg: memory(0), lane: 0 }; V128Const(0);
    I8x16Shuffle([0; 16]); I8x16ExtractLaneS(0); I8x16ExtractLaneU(0); I8x16ReplaceLane(0); I16x8ExtractLaneS(0);
    I16x8ExtractLaneU(0); I16x8ReplaceLane(0); I32x4ExtractLane(0); I32x4ReplaceLane(0); I64x2ExtractLane(0);
    I64x2ReplaceLane(0); F32x4ExtractLane(0); F32x4ReplaceLane(0); F64x2ExtractLane(0); F64x2ReplaceLane(0);
    I8x16Swizzle; I8x16Splat; I16x8Splat; I32x4Splat; I64x2Splat; F32x4Splat; F64x2Splat; I8x16Eq; I8x16Ne;
    I8x16LtS; I8x16LtU; I8x16GtS; I8x16GtU; I8x16LeS; I8x16LeU; I8x16GeS; I8x16GeU; I16x8Eq; I16x8Ne; I16x8LtS;
    I16x8LtU; I16x8GtS; I16x8GtU; I16x8LeS; I16x8LeU; I16x8GeS; I16x8GeU; I32x4Eq; I32x4Ne; I32x4LtS; I32x4LtU;
    I32x4GtS; I32x4GtU; I32x4LeS; I32x4LeU; I32x4GeS; I32x4GeU; I64x2Eq; I64x2Ne; I64x2LtS; I64x2GtS; I64x2LeS;
    I64x2GeS; F32x4Eq; F32x4Ne; F32x4Lt; F32x4Gt; F32x4Le; F32x4Ge; F64x2Eq; F64x2Ne; F64x2Lt; F64x2Gt; F64x2Le;
    F64x2Ge; V128Not; V128And; V128AndNot; V128Or; V128Xor; V128Bitselect; V128AnyTrue; I8x16Abs; I8x16Neg;
    I8x16Popcnt; I8x16AllTrue; I8x16Bitmask; I8x16NarrowI16x8S; I8x16NarrowI16x8U; I8x16Shl; I8x16ShrS; I8x16ShrU;
    I8x16Add; I8x16AddSatS; I8x16AddSatU; I8x16Sub; I8x16SubSatS; I8x16SubSatU; I8x16MinS; I8x16MinU; I8x16MaxS;
    I8x16MaxU; I8x16AvgrU; I16x8ExtAddPairwiseI8x16S; I16x8ExtAddPairwiseI8x16U; I16x8Abs; I16x8Neg;
    I16x8Q15MulrSatS; I16x8AllTrue; I16x8Bitmask; I16x8NarrowI32x4S; I16x8NarrowI32x4U; I16x8ExtendLowI8x16S;
    I16x8ExtendHighI8x16S; I16x8ExtendLowI8x16U; I16x8ExtendHighI8x16U; I16x8Shl; I16x8ShrS; I16x8ShrU; I16x8Add;
    I16x8AddSatS; I16x8AddSatU; I16x8Sub; I16x8SubSatS; I16x8SubSatU; I16x8Mul; I16x8MinS; I16x8MinU; I16x8MaxS;
    I16x8MaxU; I16x8AvgrU; I16x8ExtMulLowI8x16S; I16x8ExtMulHighI8x16S; I16x8ExtMulLowI8x16U; I16x8ExtMulHighI8x16U;
    I32x4ExtAddPairwiseI16x8S; I32x4ExtAddPairwiseI16x8U; I32x4Abs; I32x4Neg; I32x4AllTrue; I32x4Bitmask;
    I32x4ExtendLowI16x8S; I32x4ExtendHighI16x8S; I32x4ExtendLowI16x8U; I32x4ExtendHighI16x8U; I32x4Shl; I32x4ShrS;
    I32x4ShrU; I32x4Add; I32x4Sub; I32x4Mul; I32x4MinS; I32x4MinU; I32x4MaxS; I32x4MaxU; I32x4DotI16x8S;
    I32x4ExtMulLowI16x8S; I32x4ExtMulHighI16x8S; I32x4ExtMulLowI16x8U; I32x4ExtMulHighI16x8U; I64x2Abs; I64x2Neg;
    I64x2AllTrue; I64x2Bitmask; I64x2ExtendLowI32x4S; I64x2ExtendHighI32x4S; I64x2ExtendLowI32x4U;
    I64x2ExtendHighI32x4U; I64x2Shl; I64x2ShrS; I64x2ShrU; I64x2Add; I64x2Sub; I64x2Mul; I64x2ExtMulLowI32x4S;
    I64x2ExtMulHighI32x4S; I64x2ExtMulLowI32x4U; I64x2ExtMulHighI32x4U; F32x4Ceil; F32x4Floor; F32x4Trunc;
    F32x4Nearest; F32x4Abs; F32x4Neg; F32x4Sqrt; F32x4Add; F32x4Sub; F32x4Mul; F32x4Div; F32x4Min; F32x4Max;
    F32x4PMin; F32x4PMax; F64x2Ceil; F64x2Floor; F64x2Trunc; F64x2Nearest; F64x2Abs; F64x2Neg; F64x2Sqrt; F64x2Add;
    F64x2Sub; F64x2Mul; F64x2Div; F64x2Min; F64x2Max; F64x2PMin; F64x2PMax; I32x4TruncSatF32x4S;
    I32x4TruncSatF32x4U; F32x4ConvertI32x4S; F32x4ConvertI32x4U; I32x4TruncSatF64x2SZero; I32x4TruncSatF64x2UZero;
    F64x2ConvertLowI32x4S; F64x2ConvertLowI32x4U; F32x4DemoteF64x2Zero; F64x2PromoteLowF32x4; I8x16RelaxedSwizzle;
    I32x4RelaxedTruncF32x4S; I32x4RelaxedTruncF32x4U; I32x4RelaxedTruncF64x2SZero; I32x4RelaxedTruncF64x2UZero;
    F32x4RelaxedMadd; F32x4RelaxedNmadd; F64x2RelaxedMadd; F64x2RelaxedNmadd; I8x16RelaxedLaneselect;
    I16x8RelaxedLaneselect; I32x4RelaxedLaneselect; I64x2RelaxedLaneselect; F32x4RelaxedMin; F32x4RelaxedMax;
    F64x2RelaxedMin; F64x2RelaxedMax; I16x8RelaxedQ15mulrS; I16x8RelaxedDotI8x16I7x16S;
    I32x4RelaxedDotI8x16I7x16AddS; MemoryAtomicNotify(memory(2)); MemoryAtomicWait32(memory(2));
    MemoryAtomicWait64(memory(3)); AtomicFence(Ordering::SeqCst); I32AtomicLoad(memory(2));
    I64AtomicLoad(memory(3)); I32AtomicLoad8U(memory(0)); I32AtomicLoad16U(memory(1)); I64AtomicLoad8U(memory(0));
    I64AtomicLoad16U(memory(1)); I64AtomicLoad32U(memory(2)); I32AtomicStore(memory(2)); I64AtomicStore(memory(3));
    I32AtomicStore8(memory(0)); I32AtomicStore16(memory(1)); I64AtomicStore8(memory(0));
    I64AtomicStore16(memory(1)); I64AtomicStore32(memory(2)); I32AtomicRmwAdd(memory(2));
    I64AtomicRmwAdd(memory(3)); I32AtomicRmw8AddU(memory(0)); I32AtomicRmw16AddU(memory(1));
    I64AtomicRmw8AddU(memory(0)); I64AtomicRmw16AddU(memory(1)); I64AtomicRmw32AddU(memory(2));
    I32AtomicRmwSub(memory(2)); I64AtomicRmwSub(memory(3)); I32AtomicRmw8SubU(memory(0));
    I32AtomicRmw16SubU(memory(1)); I64AtomicRmw8SubU(memory(0)); I64AtomicRmw16SubU(memory(1));
    I64AtomicRmw32SubU(memory(2)); I32AtomicRmwAnd(memory(2)); I64AtomicRmwAnd(memory(3));
    I32AtomicRmw8AndU(memory(0)); I32AtomicRmw16AndU(memory(1)); I64AtomicRmw8AndU(memory(0));
    I64AtomicRmw16AndU(memory(1)); I64AtomicRmw32AndU(memory(2)); I32AtomicRmwOr(memory(2));
    I64AtomicRmwOr(memory(3)); I32AtomicRmw8OrU(memory(0)); I32AtomicRmw16OrU(memory(1));
    I64AtomicRmw8OrU(memory(0)); I64AtomicRmw16OrU(memory(1)); I64AtomicRmw32OrU(memory(2));
    I32AtomicRmwXor(memory(2)); I64AtomicRmwXor(memory(3)); I32AtomicRmw8XorU(memory(0));
    I32AtomicRmw16XorU(memory(1)); I64AtomicRmw8XorU(memory(0)); I64AtomicRmw16XorU(memory(1));
    I64AtomicRmw32XorU(memory(2)); I32AtomicRmwXchg(memory(2)); I64AtomicRmwXchg(memory(3));
    I32AtomicRmw8XchgU(memory(0)); I32AtomicRmw16XchgU(memory(1)); I64AtomicRmw8XchgU(memory(0));
    I64AtomicRmw16XchgU(memory(1)); I64AtomicRmw32XchgU(memory(2)); I32AtomicRmwCmpxchg(memory(2));
    I64AtomicRmwCmpxchg(memory(3)); I32AtomicRmw8CmpxchgU(memory(0)); I32AtomicRmw16CmpxchgU(memory(1));
    I64AtomicRmw8CmpxchgU(memory(0)); I64AtomicRmw16CmpxchgU(memory(1)); I64AtomicRmw32CmpxchgU(memory(2));
    GlobalAtomicGet { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicSet { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwAdd { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwSub { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwAnd { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwOr { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwXor { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwXchg { ordering: Ordering::SeqCst, global_index: GLOBAL };
    GlobalAtomicRmwCmpxchg { ordering: Ordering::SeqCst, global_index: GLOBAL };
    TableAtomicGet { ordering: Ordering::SeqCst, table_index: EQ_TABLE };
    TableAtomicSet { ordering: Ordering::SeqCst, table_index: EQ_TABLE };
    TableAtomicRmwXchg { ordering: Ordering::SeqCst, table_index: EQ_TABLE };
    TableAtomicRmwCmpxchg { ordering: Ordering::SeqCst, table_index: EQ_TABLE };
    StructAtomicGet { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicGetS { ordering: Ordering::SeqCst, struct_type_index: PACKED_STRUCT, field_index: 0 };
    StructAtomicGetU { ordering: Ordering::SeqCst, struct_type_index: PACKED_STRUCT, field_index: 0 };
    StructAtomicSet { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwAdd { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwSub { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwAnd { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwOr { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwXor { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwXchg { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    StructAtomicRmwCmpxchg { ordering: Ordering::SeqCst, struct_type_index: STRUCT, field_index: 0 };
    ArrayAtomicGet { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicGetS { ordering: Ordering::SeqCst, array_type_index: PACKED_ARRAY };
    ArrayAtomicGetU { ordering: Ordering::SeqCst, array_type_index: PACKED_ARRAY };
    ArrayAtomicSet { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwAdd { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwSub { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwAnd { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwOr { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwXor { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwXchg { ordering: Ordering::SeqCst, array_type_index: ARRAY };
    ArrayAtomicRmwCmpxchg { ordering: Ordering::SeqCst, array_type_index: ARRAY }; RefI31Shared;
    ContNew(CONTINUATION); ContBind { argument_index: SWITCH, result_index: CONTINUATION }; Suspend(TAG);
    Resume { cont_type_index: CONTINUATION, resume_table: HANDLERS.into() };
    ResumeThrow { cont_type_index: CONTINUATION, tag_index: TAG, resume_table: HANDLERS.into() };
    ResumeThrowRef { cont_type_index: CONTINUATION, resume_table: HANDLERS.into() };
    Switch { cont_type_index: SWITCH, tag_index: TAG }; I64Add128; I64Sub128; I64MulWideS; I64MulWideU; Pause;
    RefGetDesc(DESCRIBED); RefCastDescEqNonNull(HeapType::Exact(DESCRIBED));
    RefCastDescEqNullable(HeapType::Exact(DESCRIBED));
    BrOnCastDescEq { relative_depth: 0, from_ref_type: any(), to_ref_type: described() };
    BrOnCastDescEqFail { relative_depth: 0, from_ref_type: any(), to_ref_type: described() };}
