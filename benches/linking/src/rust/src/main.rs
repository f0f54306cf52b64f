//! Assembles modules, validates them and says what is in them, as JSON.

use describe::describe;
use wasmparser::Validator;

const MODULES: [&str; 3] = [
    "(module (func (export \"add\") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))",
    "(module (memory (export \"memory\") 1) (data (i32.const 16) \"net\") (global i64 (i64.const 7)))",
    "(module (table 2 funcref) (elem (i32.const 0) $f $f) (func $f (result f64) f64.const 0.5))",
];

fn counted(text: &str) -> usize {
    text.len() * 31 + 7
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for text in MODULES {
        let bytes = wat::parse_str(text)?;
        let valid = Validator::new().validate_all(&bytes).is_ok();
        println!("{} {} {valid}", counted(text), serde_json::to_string_pretty(&describe(&bytes)?)?);
    }
    if let Err(error) = wat::parse_str("(module (func (local.get 0)))") {
        println!("{error}");
    }
    Ok(())
}
