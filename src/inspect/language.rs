//! What a module says of the languages that it was written in. This knows nothing of its contents.

use wasmparser::{KnownCustom, Parser, Payload};

/// Whether texts in its data may end in a zero that belongs to them: not if all of it is Rust, where texts have lengths.
pub(super) fn ends_texts_in_zeros(module: &[u8]) -> bool {
    let mut languages = Vec::new();
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        let Payload::CustomSection(section) = payload else {
            continue;
        };
        let KnownCustom::Producers(fields) = section.as_known() else {
            continue;
        };
        let fields = fields.into_iter().map_while(Result::ok);
        for field in fields.filter(|field| field.name == "language") {
            let values = field.values.into_iter().map_while(Result::ok);
            languages.extend(values.map(|value| value.name));
        }
    }
    languages.is_empty() || languages.iter().any(|name| *name != "Rust")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{Module, ProducersField, ProducersSection};

    #[test]
    fn texts_have_lengths_where_everything_is_rust() {
        let module = |languages: &[&str]| {
            let mut field = ProducersField::new();
            for language in languages {
                field.value(language, "");
            }
            let mut producers = ProducersSection::new();
            producers.field("language", &field);
            let mut module = Module::new();
            module.section(&producers);
            module.finish()
        };
        assert!(!ends_texts_in_zeros(&module(&["Rust"])));
        assert!(ends_texts_in_zeros(&module(&["C11"])));
        assert!(ends_texts_in_zeros(&module(&["Rust", "C11"])));
        assert!(ends_texts_in_zeros(&module(&[])));
        assert!(ends_texts_in_zeros(&Module::new().finish()));
    }
}
