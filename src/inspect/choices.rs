//! What a linker chooses for a program: how large its memory and its table are at first, and what it calls the build. Whether
//! the choices of two can be those of one program.

use crate::whole::spaces::Item;
use crate::wire::leb;

/// The type of a memory or a table.
fn type_of(item: &Item) -> Option<&[u8]> {
    let start = item.definition.type_start()?;
    item.definition.content.bytes().get(start..)
}

/// Whether two memories differ in nothing but how large they are at first.
pub(super) fn memories_agree(a: &Item, b: &Item) -> bool {
    let rest = |item: &Item| {
        let ty = type_of(item)?;
        let minimum = leb::read_unsigned(ty.get(1..)?)?.1;
        Some((*ty.first()?, ty[1 + minimum..].to_vec()))
    };
    rest(a) == rest(b)
}

/// Limits of a table: its type but for them, the least and the most of its entries.
struct Table {
    rest: [u8; 2],
    minimum: u64,
    maximum: Option<u64>,
}

impl Table {
    fn of(item: &Item) -> Option<Table> {
        const HAS_MAXIMUM: u8 = 1;
        let [element, flags, limits @ ..] = type_of(item)? else {
            return None;
        };
        let (minimum, len) = leb::read_unsigned(limits)?;
        let maximum = match flags & HAS_MAXIMUM {
            0 => None,
            _ => Some(leb::read_unsigned(&limits[len..])?.0),
        };
        Some(Table {
            rest: [*element, flags & !HAS_MAXIMUM],
            minimum,
            maximum,
        })
    }
}

/// Whether an output imports a table as a build does but for room that it asks for.
pub(super) fn imported_tables_agree(output: &Item, build: &Item) -> bool {
    let (Some(a), Some(b)) = (Table::of(output), Table::of(build)) else {
        return false;
    };
    let maximum_agrees = a.maximum.is_none_or(|a| b.maximum.is_some_and(|b| a >= b));
    let are_imports = output.import.is_some() && build.import.is_some();
    are_imports && a.rest == b.rest && a.minimum >= b.minimum && maximum_agrees
}

/// Custom sections without the one that holds a build id, and how many bytes that one has. Each linker makes ids of its own.
pub(super) fn without_build_id(sections: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut rest, mut id) = (Vec::new(), None);
    let mut at = 0;
    while let Some(section) = sections.get(at..).filter(|section| !section.is_empty()) {
        let header = leb::read_unsigned(&section[1..]);
        let whole = header.and_then(|(size, len)| {
            let end = usize::try_from(size).ok()?.checked_add(1 + len)?;
            Some((section.get(..end)?, 1 + len))
        });
        let Some((whole, contents)) = whole else {
            rest.extend(section);
            break;
        };
        match whole[contents..].strip_prefix(b"\x08build_id") {
            Some(body) if id.is_none() => id = Some(body.len()),
            _ => rest.extend(whole),
        }
        at += whole.len();
    }
    (rest, id)
}
