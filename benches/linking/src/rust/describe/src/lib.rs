//! What is in modules, as JSON.

use serde_json::{Value, json};
use wasmparser::{Parser, Payload};

/// What a module has.
pub fn describe(bytes: &[u8]) -> Result<Value, Box<dyn std::error::Error>> {
    let (mut sections, mut exports, mut code) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Some((id, range)) = payload.as_section() {
            sections.push(json!({ "id": id, "bytes": range.end - range.start }));
        }
        match payload {
            Payload::ExportSection(section) => {
                for export in section {
                    exports.push(export?.name.to_owned());
                }
            }
            Payload::CodeSectionEntry(body) => code += score(body.get_operators_reader()?.into_iter().count()),
            _ => {}
        }
    }
    Ok(json!({ "sections": sections, "exports": exports, "code": code }))
}

fn score(instructions: usize) -> usize {
    instructions * 31 + 7
}
