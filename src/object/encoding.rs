//! The pieces that several sections are made of: value types, limits, constant expressions.

use crate::error::Result;
use crate::object::cursor::Cursor;
use crate::object::span::Span;
use crate::object::tables::{GlobalType, Limits, TableType};

/// Whether a linker can tell such values apart by this byte alone.
fn is_value_type(byte: u8) -> bool {
    // i32, i64, f32, f64, v128, funcref, externref, exnref.
    matches!(byte, 0x7b..=0x7f | 0x70 | 0x6f | 0x69)
}

pub(super) fn value_types(cursor: &mut Cursor<'_>, input: &[u8]) -> Result<Span> {
    let span = cursor.sized()?;
    match input[span.range()]
        .iter()
        .position(|byte| !is_value_type(*byte))
    {
        None => Ok(span),
        Some(index) => Err(cursor.malformed(
            span.start as usize + index,
            "a value type that objects cannot have",
        )),
    }
}

fn value_type(cursor: &mut Cursor<'_>) -> Result<u8> {
    let byte = cursor.byte()?;
    match is_value_type(byte) {
        true => Ok(byte),
        false => Err(cursor.error("a value type that objects cannot have")),
    }
}

pub(super) fn limits(cursor: &mut Cursor<'_>) -> Result<Limits> {
    let flags = cursor.byte()?;
    if flags & !0b1111 != 0 {
        return Err(cursor.error("unknown flags of a memory or table"));
    }
    let minimum = cursor.u64()?;
    let maximum = match flags & 1 != 0 {
        true => Some(cursor.u64()?),
        false => None,
    };
    if flags & 8 != 0 {
        cursor.u32()?;
    }
    Ok(Limits {
        minimum,
        maximum,
        shared: flags & 2 != 0,
        is_64: flags & 4 != 0,
    })
}

pub(super) fn table_type(cursor: &mut Cursor<'_>) -> Result<TableType> {
    Ok(TableType {
        element: value_type(cursor)?,
        limits: limits(cursor)?,
    })
}

pub(super) fn global_type(cursor: &mut Cursor<'_>) -> Result<GlobalType> {
    let value = value_type(cursor)?;
    match cursor.byte()? {
        flag @ 0..=1 => Ok(GlobalType {
            value,
            mutable: flag == 1,
        }),
        _ => Err(cursor.error("a global is neither mutable nor immutable")),
    }
}

/// A constant expression up to and with its `end`.
pub(super) fn constant(cursor: &mut Cursor<'_>) -> Result<Span> {
    let start = cursor.offset();
    loop {
        match cursor.byte()? {
            0x0b => {
                return Ok(Span {
                    start,
                    len: cursor.offset() - start,
                });
            }
            // i32.const and i64.const; ref.null, global.get and ref.func.
            0x41 | 0x42 => drop(cursor.i64()?),
            0x23 | 0xd0 | 0xd2 => drop(cursor.u32()?),
            0x43 => cursor.skip(4)?,
            0x44 => cursor.skip(8)?,
            // Addition, subtraction and multiplication of integers.
            0x6a..=0x6c | 0x7c..=0x7e => {}
            0xfd if cursor.u32()? == 12 => cursor.skip(16)?,
            _ => return Err(cursor.error("an instruction that is not constant")),
        }
    }
}
