//! Custom sections: which of the objects' own are linked, and those that are merged from what the objects say, producers
//! and target features.

use crate::error::{Error, Result};
use crate::hash::HashSet;
use crate::link::command::options::LinkOptions;
use crate::link::diagnostics::Diagnostics;
use crate::link::resolve::Resolution;
use crate::link::symbols::{SymbolId, SymbolType};
use crate::object::Object;
use crate::wire::section::is_reserved;
use crate::wire::{leb, section};

/// What all objects together say of themselves.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Of each field, name and version, in the order in which they came up.
    producers: [Vec<(String, String)>; 3],
    /// The features that the program uses, sorted.
    pub(crate) features: Vec<String>,
}

const FIELDS: [&str; 3] = ["language", "processed-by", "sdk"];

/// What the objects say of one feature: its name, and the first object that says so.
type Claims = Vec<(String, String)>;

/// What the objects say of features.
#[derive(Default)]
struct Features {
    used: Claims,
    /// Those that every object must use.
    required: Claims,
    disallowed: Claims,
}

/// Merges what the loaded objects say, whether or not anything of them is reached, and checks that their features go
/// together.
pub(crate) fn merge(
    resolution: &Resolution,
    uses_tls: bool,
    options: &LinkOptions,
    diagnostics: &mut Diagnostics,
) -> Merged {
    let mut merged = Merged::default();
    // Nearly all objects of a program have the same bytes there.
    let mut seen: [HashSet<&[u8]>; 2] = Default::default();
    let mut said = Features::default();
    for linked in resolution.objects() {
        let object = &linked.object;
        if seen[0].insert(object.producers_bytes()) {
            report(diagnostics, merged.add_producers(object));
        }
        if seen[1].insert(object.features_bytes()) {
            report(diagnostics, said.add(object));
        }
    }
    merged.features = match &options.features {
        Some(features) => features.clone(),
        None => said.used.iter().map(|(name, _)| name.clone()).collect(),
    };
    merged
        .features
        .extend(options.extra_features.iter().cloned());
    merged.features.sort();
    merged.features.dedup();
    if options.check_features {
        check_output(&merged.features, &said, uses_tls, options, diagnostics);
        if !said.required.is_empty() || !said.disallowed.is_empty() {
            check_objects(resolution, &said, diagnostics);
        }
    }
    merged
}

/// Whether code clears the memory where zeros stand: it is imported, so that something else can stand there, and the program
/// has the instruction for it. Memory that threads share is another matter: all of it is filled by code.
pub(crate) fn clears_memory(resolution: &Resolution, options: &LinkOptions) -> bool {
    const FEATURE: &str = "bulk-memory";
    if options.import_memory.is_none() || options.shared_memory {
        return false;
    }
    let is_used = |object: &Object| {
        let mut features = object.features().into_iter().flatten();
        features.any(|one| one.prefix != DISALLOWED && object.str(one.name) == FEATURE)
    };
    let is_extra = options.extra_features.iter().any(|name| name == FEATURE);
    is_extra
        || match &options.features {
            Some(features) => features.iter().any(|name| name == FEATURE),
            None => resolution
                .objects()
                .iter()
                .any(|linked| is_used(&linked.object)),
        }
}

fn report(diagnostics: &mut Diagnostics, result: Result<()>) {
    if let Err(error) = result {
        diagnostics.error(error);
    }
}

impl Features {
    fn add(&mut self, object: &Object) -> Result<()> {
        let claim = |list: &mut Claims, name: &str| {
            if !list.iter().any(|(other, _)| other == name) {
                list.push((name.to_owned(), object.display_name().to_owned()));
            }
        };
        for feature in object.features()? {
            let name = object.str(feature.name);
            match feature.prefix {
                DISALLOWED => claim(&mut self.disallowed, name),
                REQUIRED => {
                    claim(&mut self.used, name);
                    claim(&mut self.required, name);
                }
                _ => claim(&mut self.used, name),
            }
        }
        Ok(())
    }
}

const DISALLOWED: char = '-';
const REQUIRED: char = '=';

/// Checks that the output may use what its objects and options need.
fn check_output(
    features: &[String],
    said: &Features,
    uses_tls: bool,
    options: &LinkOptions,
    diagnostics: &mut Diagnostics,
) {
    let has = |name: &str| features.iter().any(|feature| feature == name);
    let mut need = |feature: &str, what: &str| {
        if !has(feature) {
            let text = format!("{what} needs the feature {feature}");
            let hint = format!("compile with -m{feature}, or pass --extra-features={feature}");
            diagnostics.error(Error::bad_input(text).with_hint(hint));
        }
    };
    for feature in ["atomics", "bulk-memory"] {
        if options.shared_memory {
            need(feature, "--shared-memory");
        } else if uses_tls {
            need(feature, "thread-local data");
        }
    }
    let mut disallowed = said.disallowed.iter();
    if options.shared_memory
        && let Some((_, object)) = disallowed.find(|(name, _)| name == "shared-mem")
    {
        let text = "--shared-memory: was not compiled for shared memory";
        diagnostics.error(
            Error::bad_input(text)
                .with_path(object)
                .with_hint("compile it with -matomics -mbulk-memory"),
        );
    }
    if options.features.is_some() {
        for (name, object) in &said.used {
            if !has(name) {
                let text = format!("uses the feature {name}, which --features does not allow");
                diagnostics.error(Error::bad_input(text).with_path(object));
            }
        }
    }
}

/// Checks that no object uses what another one disallows, and that each one uses what another one requires of all.
fn check_objects(resolution: &Resolution, said: &Features, diagnostics: &mut Diagnostics) {
    const HINT: &str = "compile both for the same features, or pass --no-check-features";
    for linked in resolution.objects() {
        let object = &linked.object;
        // What is malformed has been reported.
        let Ok(features) = object.features() else {
            continue;
        };
        let used = features.iter().filter(|one| one.prefix != DISALLOWED);
        let used: Vec<&str> = used.map(|one| object.str(one.name)).collect();
        for (name, other) in &said.disallowed {
            if used.contains(&name.as_str()) {
                let text = format!("uses the feature {name}, which {other} disallows");
                let error = Error::bad_input(text).with_path(object.display_name());
                diagnostics.error(error.with_hint(HINT));
            }
        }
        for (name, other) in &said.required {
            if !used.contains(&name.as_str()) {
                let text = format!("does not use the feature {name}, which {other} requires");
                let error = Error::bad_input(text).with_path(object.display_name());
                diagnostics.error(error.with_hint(HINT));
            }
        }
    }
}

/// Whether the command line lets the output have a custom section of this name that the linker makes.
fn is_kept(name: &str, options: &LinkOptions) -> bool {
    !options.strip_all || options.keep_sections.iter().any(|kept| kept == name)
}

/// Whether an object's custom section of this name is linked, if anything of the object is reached (`is_live`). Only debug
/// information is of no use without that, and only it is stripped: the rest is the program's own.
pub(crate) fn is_linked(name: &str, is_live: bool, options: &LinkOptions) -> bool {
    let is_debug = name.starts_with(".debug_");
    let strips = options.strip_all || options.strip_debug;
    let is_wanted = !is_debug || options.keep_sections.iter().any(|kept| kept == name);
    // What compilers keep for themselves is in no program.
    let is_none = is_reserved(name) || matches!(name, ".llvmbc" | ".llvmcmd" | "sourceMappingURL");
    (is_wanted || !strips) && (is_live || !is_debug) && !is_none
}

impl Merged {
    fn add_producers(&mut self, object: &Object) -> Result<()> {
        for producer in object.producers()? {
            let field = object.str(producer.field);
            let Some(field) = FIELDS.iter().position(|known| *known == field) else {
                continue;
            };
            let name = object.str(producer.name);
            let list = &mut self.producers[field];
            if !list.iter().any(|(other, _)| other == name) {
                list.push((name.to_owned(), object.str(producer.version).to_owned()));
            }
        }
        Ok(())
    }

    /// Checks that the program may import or export the globals in this list.
    pub(crate) fn check_globals(
        &self,
        resolution: &Resolution,
        list: &[SymbolId],
        what: &str,
        options: &LinkOptions,
        diagnostics: &mut Diagnostics,
    ) {
        const FEATURE: &str = "mutable-globals";
        if !options.check_features || self.features.iter().any(|name| name == FEATURE) {
            return;
        }
        for id in list {
            let symbol = resolution.table.get(*id);
            if matches!(symbol.ty, SymbolType::Global(ty) if ty.mutable) {
                let text = format!("a mutable global is {what} without the feature {FEATURE}");
                let error = Error::bad_input(text).with_symbol(resolution.name(*id));
                let hint = format!("pass --extra-features={FEATURE}");
                diagnostics.error(error.with_hint(hint));
            }
        }
    }

    /// The sections, headers included.
    pub(crate) fn sections(&self, options: &LinkOptions) -> Vec<u8> {
        let mut out = Vec::new();
        let fields = FIELDS.iter().zip(&self.producers);
        let fields: Vec<_> = fields.filter(|(_, list)| !list.is_empty()).collect();
        if is_kept("producers", options) && !fields.is_empty() {
            let mut body = Vec::new();
            leb::push_unsigned(&mut body, fields.len() as u64);
            for (field, list) in fields {
                section::push_string(&mut body, field);
                leb::push_unsigned(&mut body, list.len() as u64);
                for (name, version) in list {
                    section::push_string(&mut body, name);
                    section::push_string(&mut body, version);
                }
            }
            section::push_custom(&mut out, "producers", &body);
        }
        if is_kept("target_features", options) && !self.features.is_empty() {
            let mut body = Vec::new();
            leb::push_unsigned(&mut body, self.features.len() as u64);
            for feature in &self.features {
                body.push(b'+');
                section::push_string(&mut body, feature);
            }
            section::push_custom(&mut out, "target_features", &body);
        }
        out
    }
}
