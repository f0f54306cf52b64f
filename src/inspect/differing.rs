//! What is said of the contents of declarations that differ.

use crate::inspect::counted::counted;
use crate::inspect::fields::Written;
use crate::inspect::image::Anchor;
use crate::inspect::places;
use crate::inspect::side::operators;
use crate::program::RelocatableBytes;

/// The first instruction in which two functions differ. What only names another place `is_other_place`; `written` says how
/// the numbers of the first are.
pub(super) fn differing_code(
    a: &RelocatableBytes,
    b: &RelocatableBytes,
    written: &[Written],
    is_other_place: &dyn Fn(Anchor) -> bool,
) -> String {
    let mut written = written.iter();
    let mut can_be_placed = || written.next() != Some(&Written::Short);
    let (Some(of_a), Some(of_b)) = (operators(a), operators(b)) else {
        return differing_bytes(a, b);
    };
    let locals = |content: &RelocatableBytes| content.relocs().len();
    for (at, (a, b)) in of_a
        .map(Some)
        .chain([None])
        .zip(of_b.map(Some).chain([None]))
        .enumerate()
    {
        match (a, b) {
            (Some(Ok(a)), Some(Ok(b)))
                if places::pair(&a, &b).is_some_and(|it| {
                    let can_be_placed = can_be_placed();
                    it.a == it.b || can_be_placed && is_other_place((it.a, it.b))
                }) => {}
            (Some(Ok(a)), Some(Ok(b))) if a == b => {}
            (Some(Ok(a)), Some(Ok(b))) => return format!("instruction {at} is {a:?}, not {b:?}"),
            (None, Some(Ok(b))) => return format!("ends where instruction {at} is {b:?}"),
            (Some(Ok(a)), None) => return format!("instruction {at} is {a:?}, not the end"),
            _ => break,
        }
    }
    if locals(a) != locals(b) {
        return "refers to something else".to_owned();
    }
    differing_bytes(a, b)
}

/// The first byte in which two contents differ.
pub(super) fn differing_bytes(a: &RelocatableBytes, b: &RelocatableBytes) -> String {
    let (of_a, of_b) = (a.bytes(), b.bytes());
    let at = of_a.iter().zip(of_b).position(|(a, b)| a != b);
    match at {
        Some(at) => format!(
            "byte {at} is {:#04x}, not {:#04x}, of {} and {}",
            of_a[at],
            of_b[at],
            of_a.len(),
            counted(of_b.len(), "byte")
        ),
        None if of_a.len() != of_b.len() => {
            format!("has {}, not {}", counted(of_a.len(), "byte"), of_b.len())
        }
        None => "names another type".to_owned(),
    }
}
