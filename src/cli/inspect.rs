//! `wasmend inspect`: the layout map of a file.

use serde_json::{Value, json};
use wasmend::inspect::{FunctionRole, Map, PartKind};

use crate::cli::args::Inspect;
use crate::cli::report::{Event, Reporter};
use crate::cli::text::{Table, count, number, percent, shares};

pub(crate) fn run(args: &Inspect, reporter: Reporter) -> anyhow::Result<()> {
    let bytes = crate::cli::files::read(&args.file)?;
    let map = Map::read(&bytes).map_err(|error| error.with_path(&args.file))?;
    if reporter.is_json() {
        reporter.event(&Event::Map(as_json(&map, args)))
    } else {
        reporter.line(as_text(&map, args).trim_end())
    }
}

fn as_text(map: &Map, args: &Inspect) -> String {
    // On a line of its own, since paths can be as long as lines are.
    let mut out = format!("{}\n{}, ", args.file.display(), count(map.file_len, "byte"));
    match map.identity {
        Some(file) => {
            out += &format!(
                "patchable by wasmend (format {})\ngeneration {}, build {}\n",
                file.format,
                number(file.identity.generation),
                file.identity.hex(),
            );
        }
        None => {
            out += "not written by wasmend, or rewritten since: slack and roles are not known\n"
        }
    }
    out += "\n";
    out += &sections(map);
    out += "\n";
    out += &shares_of(map);
    out += "\n";
    out += &functions(map);
    if args.functions {
        out += "\n";
        out += &each_function(map);
    }
    out
}

/// What the bytes are for. Of other modules than those of wasmend less is known.
fn shares_of(map: &Map) -> String {
    let totals = map.totals();
    let values = [
        totals.used,
        totals.unreached,
        totals.slack,
        totals.pad,
        totals.header,
    ];
    let share = shares(values);
    let mut table = Table::new(&["bytes", "", "share"], &[0]);
    let names = [
        "used",
        "code that nothing reaches",
        "slack inside sections",
        "pads between sections",
        "headers",
    ];
    for at in 0..values.len() {
        if map.identity.is_some() || values[at] > 0 {
            table.row([names[at].to_owned(), number(values[at]), percent(share[at])]);
        }
    }
    table.row([
        "all".to_owned(),
        number(map.file_len),
        percent(share.iter().sum()),
    ]);
    table.render()
}

/// The sections in file order, each with the pad behind it.
fn sections(map: &Map) -> String {
    let mut table = Table::new(
        &[
            "section",
            "offset",
            "bytes",
            "header",
            "used",
            "unreached",
            "slack",
            "pad",
            "items",
        ],
        &[0],
    );
    let mut at = 0;
    while at < map.parts.len() {
        let part = &map.parts[at];
        let pad = map
            .parts
            .get(at + 1)
            .filter(|next| next.kind == PartKind::Pad && part.kind != PartKind::Pad);
        let cell = |value: u64| {
            if value == 0 {
                String::new()
            } else {
                number(value)
            }
        };
        table.row([
            part.name.clone(),
            number(part.offset),
            number(part.len),
            cell(part.header),
            cell(part.used),
            cell(part.unreached),
            cell(part.slack),
            pad.map_or(String::new(), |pad| number(pad.len)),
            part.count
                .map_or(String::new(), |count| number(count.into())),
        ]);
        at += 1 + usize::from(pad.is_some());
    }
    table.render()
}

fn functions(map: &Map) -> String {
    let mut table = Table::new(&["functions", "", "bytes", "code", "filler"], &[0]);
    if map.imported_functions > 0 {
        table.row(["imported".to_owned(), number(map.imported_functions.into())]);
    }
    for total in map.roles() {
        if total.count == 0 && total.role != FunctionRole::Body {
            continue;
        }
        let name = match total.role {
            FunctionRole::Body => "bodies",
            FunctionRole::Thunk => "thunks",
            FunctionRole::Forwarder => "forwarders",
            FunctionRole::Unreached => "unreached",
            FunctionRole::Dead => "dead",
        };
        table.row([
            name.to_owned(),
            number(total.count.into()),
            number(total.bytes),
            number(total.bytes - total.filler),
            number(total.filler),
        ]);
    }
    let mut out = table.render();
    if let Some(slots) = map.slots {
        out += &format!(
            "\nslots {} to {} of table {}: {} in use, {} free\n",
            slots.first,
            (slots.first + slots.count).saturating_sub(1),
            slots.table,
            number(slots.used.into()),
            number((slots.count - slots.used).into()),
        );
    }
    out
}

fn each_function(map: &Map) -> String {
    let head = [
        "index", "offset", "bytes", "filler", "callers", "role", "name",
    ];
    let mut table = Table::new(&head, &[5, 6]);
    for function in &map.functions {
        let name = function.name.clone().unwrap_or_default();
        let name = match (function.slot, function.target) {
            (Some(slot), Some(target)) => format!("calls slot {slot}, which is function {target}"),
            (_, Some(target)) => format!("calls function {target}"),
            _ => name,
        };
        table.row([
            function.index.to_string(),
            number(function.offset),
            number(function.len),
            number(function.filler),
            number(function.callers.into()),
            function.role.word().to_owned(),
            name,
        ]);
    }
    table.render()
}

fn as_json(map: &Map, args: &Inspect) -> Value {
    let totals = map.totals();
    let parts = map.parts.iter().map(|part| {
        json!({
            "kind": match part.kind {
                PartKind::Magic => "magic",
                PartKind::Section => "section",
                PartKind::Pad => "pad",
            },
            "name": part.name,
            "offset": part.offset,
            "bytes": part.len,
            "header": part.header,
            "used": part.used,
            "unreached": part.unreached,
            "slack": part.slack,
            "items": part.count,
        })
    });
    let roles = map.roles().map(|total| {
        json!({"role": total.role.word(), "count": total.count, "bytes": total.bytes, "filler": total.filler})
    });
    let mut value = json!({
        "file": args.file.display().to_string(),
        "bytes": map.file_len,
        "identity": map.identity.map(|file| json!({
            "format": file.format,
            "generation": file.identity.generation,
            "build_id": file.identity.hex(),
        })),
        "parts": parts.collect::<Vec<_>>(),
        "totals": {
            "used": totals.used,
            "unreached": totals.unreached,
            "slack": totals.slack,
            "pad": totals.pad,
            "header": totals.header,
        },
        "imported_functions": map.imported_functions,
        "roles": roles,
        "slots": map.slots.map(|slots| json!({
            "table": slots.table, "first": slots.first, "count": slots.count, "used": slots.used,
        })),
    });
    if args.functions {
        let functions = map.functions.iter().map(|function| {
            json!({
                "index": function.index,
                "offset": function.offset,
                "bytes": function.len,
                "filler": function.filler,
                "role": function.role.word(),
                "name": function.name,
                "callers": function.callers,
                "slot": function.slot,
                "target": function.target,
            })
        });
        value["functions"] = functions.collect();
    }
    value
}
