//! Assembles modules, validates them and says what is in them, as JSON.

use serde_json::{Value, json};
use wasmparser::{Parser, Payload, Validator};

const MODULES: [&str; 3] = [
    "(module (func (export \"add\") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))",
    "(module (memory (export \"memory\") 1) (data (i32.const 16) \"net\") (global i64 (i64.const 7)))",
    "(module (table 2 funcref) (elem (i32.const 0) $f $f) (func $f (result f64) f64.const 0.5))",
];

/// What a module has.
fn describe(bytes: &[u8]) -> Result<Value, Box<dyn std::error::Error>> {
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for text in MODULES {
        let bytes = wat::parse_str(text)?;
        let valid = Validator::new().validate_all(&bytes).is_ok();
        println!("{} {valid}", serde_json::to_string_pretty(&describe(&bytes)?)?);
    }
    if let Err(error) = wat::parse_str("(module (func (local.get 0)))") {
        println!("{error}");
    }
    Ok(())
}
