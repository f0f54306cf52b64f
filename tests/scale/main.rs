//! What a build has many of costs time in proportion: segments, tags, imports, exports, functions that are all alike,
//! types of one group. Each is created, patched, proved equal and finished at one size and at four times that size. What is
//! compared is the time of the processor, so that other programs do not matter; one test runs at a time.
//!
//! Run by `cargo test --test scale`; with `-- --nocapture` the times are printed.

use std::sync::Mutex;
use std::time::Duration;

use wasmend::inspect::{finish, verify};
use wasmend::{Redirect, WholeModule, WholeOptions};

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(byte | if value > 0 { 0x80 } else { 0 });
        if value == 0 {
            return bytes;
        }
    }
}

fn sleb(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        let done = (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0);
        bytes.push(byte | if done { 0 } else { 0x80 });
        if done {
            return bytes;
        }
    }
}

fn name(text: &str) -> Vec<u8> {
    [leb(text.len()), text.as_bytes().to_vec()].concat()
}

/// A module of these sections, each with its identifier, in their order.
fn module(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"\0asm\x01\0\0\0".to_vec();
    for (id, contents) in sections {
        out.push(*id);
        out.extend(leb(contents.len()));
        out.extend_from_slice(contents);
    }
    out
}

/// A vector of so many items.
fn vector(count: usize, item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut out = leb(count);
    (0..count).for_each(|at| out.extend(item(at)));
    out
}

/// A body with these instructions and no locals.
fn body(code: &[u8]) -> Vec<u8> {
    [leb(code.len() + 2), vec![0], code.to_vec(), vec![0x0b]].concat()
}

/// Whose turn it is: all threads of the process are counted together.
static TURN: Mutex<()> = Mutex::new(());

/// What the processor has spent on this process.
fn spent() -> Duration {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let done = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    assert_eq!(done, 0, "a process can ask for its own times");
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Two successive builds.
type Builds = (Vec<u8>, Vec<u8>);

/// How long an update from the first build to the second takes, and all that is done with its output.
fn measure((redirect, live): (Redirect, bool), (before, after): &Builds) -> (Duration, Duration) {
    let options = WholeOptions {
        redirect,
        live,
        ..WholeOptions::default()
    };
    let (mut whole, _) = WholeModule::in_memory(options, before).expect("valid");
    whole.prepare();
    let start = spent();
    whole.update(after).expect("valid");
    let update = spent() - start;
    let out = whole.bytes().expect("in memory");
    let report = verify(&out, after).expect("valid");
    assert!(report.is_clean(), "{:#?}", &report.differences[..1]);
    let dense = finish(&out).expect("valid");
    let report = verify(&dense, after).expect("valid");
    assert!(report.is_clean(), "{:#?}", &report.differences[..1]);
    (update, spent() - start - update)
}

/// Fails if four times as much takes much more than four times as long. What is quadratic takes sixteen times as long.
fn is_linear(what: &str, count: usize, make: impl Fn(usize) -> Builds) {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for mode in [
        (Redirect::TableThunks, false),
        (Redirect::TableThunks, true),
        (Redirect::Direct, false),
    ] {
        let (redirect, live) = mode;
        let what = match live {
            true => format!("{what}, with deltas"),
            false => what.to_owned(),
        };
        let least = |count: usize| {
            let builds = make(count);
            let runs = (0..3).map(|_| measure(mode, &builds));
            runs.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
                .expect("three")
        };
        let (small, large) = (least(count), least(4 * count));
        println!(
            "{what}, {redirect:?}: {count} are updated in {:?}, proved and finished in {:?}; {} in {:?} and {:?}",
            small.0,
            small.1,
            4 * count,
            large.0,
            large.1
        );
        for (small, large) in [(small.0, large.0), (small.1, large.1)] {
            let most = small.mul_f64(9.0) + Duration::from_millis(40);
            assert!(
                large < most,
                "{what}, {redirect:?}: {small:?}, then {large:?}"
            );
        }
    }
}

const MEMORY: (u8, &[u8]) = (5, &[1, 0, 64]);

fn memory() -> (u8, Vec<u8>) {
    (MEMORY.0, MEMORY.1.to_vec())
}

#[test]
fn many_data_segments_get_another_length() {
    let build = |count: usize, len: usize| {
        let segment = |at: usize| {
            let offset = sleb(at as i64 * 16);
            let bytes = &b"0123456789abcdef"[..len];
            [&[0, 0x41][..], &offset, &[0x0b], &leb(len), bytes].concat()
        };
        module(&[memory(), (11, vector(count, segment))])
    };
    is_linear("data segments", 4000, |count| {
        (build(count, 3), build(count, 4))
    });
}

#[test]
fn many_data_segments_come_and_go() {
    let build = |count: usize, skipped: usize| {
        let segment = |at: usize| {
            let at = if at >= count / 3 { at + skipped } else { at };
            let text = format!("segment {at}");
            [&[0, 0x41][..], &sleb(at as i64 * 16), &[0x0b], &name(&text)].concat()
        };
        module(&[memory(), (11, vector(count - skipped, segment))])
    };
    is_linear("data segments that go", 4000, |count| {
        (build(count, 0), build(count, count / 2))
    });
    is_linear("data segments that come", 4000, |count| {
        (build(count, count / 2), build(count, 0))
    });
}

/// A type, functions of it, and what else; `code` are the instructions of each function.
fn functions(count: usize, others: &[(u8, Vec<u8>)], code: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut sections = vec![
        (1, vec![1, 0x60, 0, 0]),
        (3, vector(count, |_| vec![0])),
        (10, vector(count, |at| body(&code(at)))),
    ];
    sections.extend_from_slice(others);
    let rank = |id: u8| match id {
        13 => 55,
        12 => 95,
        id => id as usize * 10,
    };
    sections.sort_by_key(|(id, _)| rank(*id));
    module(&sections)
}

#[test]
fn many_element_segments_get_another_length() {
    let build = |count: usize, len: usize| {
        let segment = |at: usize| {
            let offset = sleb(at as i64 * 4);
            let functions = vector(len, |_| vec![0]);
            [&[0, 0x41][..], &offset, &[0x0b], &functions].concat()
        };
        let table = [vec![1, 0x70, 0], leb(count * 4)].concat();
        functions(1, &[(4, table), (9, vector(count, segment))], |_| vec![])
    };
    is_linear("element segments", 4000, |count| {
        (build(count, 2), build(count, 3))
    });
}

#[test]
fn one_segment_names_all_functions_that_move() {
    let build = |count: usize, more: usize| {
        let table = [vec![1, 0x70, 0], leb(count)].concat();
        let segment = [&[1, 0, 0x41, 0, 0x0b][..], &vector(count, leb)].concat();
        // More than there is room for.
        functions(count, &[(4, table), (9, segment)], |at| {
            [&[0x41][..], &sleb(at as i64), &[0x1a], &[0x01].repeat(more)].concat()
        })
    };
    is_linear("functions that move", 2000, |count| {
        (build(count, 2), build(count, 90))
    });
}

#[test]
fn many_tags_come_and_go() {
    let build = |tags: usize| functions(1, &[(13, vector(tags, |_| vec![0, 0]))], |_| vec![]);
    is_linear("tags that come", 4000, |count| (build(1), build(count)));
    is_linear("tags that go", 4000, |count| (build(count), build(1)));
}

#[test]
fn many_imports_and_exports_change_their_order() {
    let build = |count: usize, step: usize| {
        let at_step = |at: usize| (at * step) % count;
        let import =
            |at: usize| [name("e"), name(&format!("f{}", at_step(at))), vec![0, 0]].concat();
        let export = |at: usize| {
            [
                name(&format!("x{}", at_step(at))),
                vec![0],
                leb(at_step(at)),
            ]
            .concat()
        };
        functions(
            1,
            &[(2, vector(count, import)), (7, vector(count, export))],
            |_| vec![],
        )
    };
    // A prime number of them, so that each step is another order.
    is_linear("imports and exports", 1009, |count| {
        let count = if count == 1009 { 1009 } else { 4001 };
        (build(count, 1), build(count, 7))
    });
}

#[test]
fn many_functions_that_are_all_alike() {
    let build = |count: usize, code: &[u8]| functions(count, &[], |_| code.to_vec());
    is_linear("equal functions", 4000, |count| {
        (build(count, &[]), build(count, &[0x01]))
    });
}

#[test]
fn many_functions_that_nothing_reaches_call_one_another() {
    let build = |count: usize, nops: usize| {
        functions(count, &[], |at| {
            [vec![0x01; nops], vec![0x10], leb((at + 1) % count)].concat()
        })
    };
    is_linear("a ring of functions", 2000, |count| {
        (build(count, 0), build(count, 1))
    });
}

#[test]
fn many_types_of_one_group() {
    let build = |count: usize, fields: usize| {
        // Each names the one before it.
        let ty = |at: usize| {
            let field = [vec![0x63], sleb(at.saturating_sub(1) as i64), vec![0]].concat();
            [&[0x5f][..], &vector(fields, |_| field.clone())].concat()
        };
        let group = [vec![2, 0x4e], vector(count, ty), vec![0x60, 0, 0]].concat();
        let code = [&[0xd0][..], &sleb(count as i64 - 1), &[0x1a]].concat();
        module(&[
            (1, group),
            (3, [vec![1], leb(count)].concat()),
            (10, vector(1, |_| body(&code))),
        ])
    };
    is_linear("types of one group", 20_000, |count| {
        (build(count, 1), build(count, 2))
    });
}
