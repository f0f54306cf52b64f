//! The custom sections that are merged from those of the objects: producers and target features.

use hashbrown::HashSet;

use crate::error::{Error, Result};
use crate::link::command::options::LinkOptions;
use crate::link::diagnostics::Diagnostics;
use crate::link::resolve::Resolution;
use crate::link::symbols::ObjectId;
use crate::object::Object;
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

/// Merges what the objects say that are linked, and checks that their features go together.
pub(crate) fn merge(
    resolution: &Resolution,
    is_live: impl Fn(ObjectId) -> bool,
    options: &LinkOptions,
    diagnostics: &mut Diagnostics,
) -> Merged {
    let mut merged = Merged::default();
    // Nearly all objects of a program have the same bytes there.
    let mut seen: [HashSet<&[u8]>; 2] = Default::default();
    let mut used: Vec<(String, String)> = Vec::new();
    let mut banned: Vec<(String, String)> = Vec::new();
    for (id, linked) in resolution.each_object() {
        let object = &linked.object;
        if !is_live(id) {
            continue;
        }
        if seen[0].insert(object.producers_bytes()) {
            report(diagnostics, merged.add_producers(object));
        }
        let bytes = object.features_bytes();
        if bytes.is_empty() && options.shared_memory {
            let text = "--shared-memory needs the features atomics and bulk-memory, and says nothing of its features";
            diagnostics.error(
                Error::bad_input(text)
                    .with_path(object.display_name())
                    .with_hint("compile it with -matomics -mbulk-memory"),
            );
        }
        if seen[1].insert(bytes) {
            match object.features() {
                Ok(features) => {
                    for feature in features {
                        let list = match feature.prefix {
                            '-' => &mut banned,
                            _ => &mut used,
                        };
                        let name = object.str(feature.name);
                        if !list.iter().any(|(other, _)| other == name) {
                            list.push((name.to_owned(), object.display_name().to_owned()));
                        }
                    }
                }
                Err(error) => diagnostics.error(error),
            }
        }
    }
    merged.features = match &options.features {
        Some(features) => features.clone(),
        None => used.iter().map(|(name, _)| name.clone()).collect(),
    };
    merged
        .features
        .extend(options.extra_features.iter().cloned());
    merged.features.sort();
    merged.features.dedup();
    if options.check_features {
        check(&merged.features, &used, &banned, options, diagnostics);
    }
    merged
}

fn report(diagnostics: &mut Diagnostics, result: Result<()>) {
    if let Err(error) = result {
        diagnostics.error(error);
    }
}

fn check(
    features: &[String],
    used: &[(String, String)],
    banned: &[(String, String)],
    options: &LinkOptions,
    diagnostics: &mut Diagnostics,
) {
    let has = |name: &str| features.iter().any(|feature| feature == name);
    if options.shared_memory {
        for feature in ["atomics", "bulk-memory"] {
            if !has(feature) {
                let text = format!("--shared-memory needs the feature {feature}");
                let hint = format!("compile with -m{feature}, or pass --extra-features={feature}");
                diagnostics.error(Error::bad_input(text).with_hint(hint));
            }
        }
        if let Some((_, object)) = banned.iter().find(|(name, _)| name == "shared-mem") {
            let text = "--shared-memory: was not compiled for shared memory";
            diagnostics.error(
                Error::bad_input(text)
                    .with_path(object)
                    .with_hint("compile it with -matomics -mbulk-memory"),
            );
        }
    }
    if options.features.is_some() {
        for (name, object) in used {
            if !has(name) {
                let text = format!("uses the feature {name}, which --features does not allow");
                diagnostics.error(Error::bad_input(text).with_path(object));
            }
        }
    }
    for (name, object) in banned {
        if name == "shared-mem" || !has(name) {
            continue;
        }
        let user = used.iter().find(|(other, _)| other == name);
        let user = user.map_or("the command line", |(_, user)| user);
        let text = format!("must not be used with the feature {name}, which {user} uses");
        diagnostics.error(Error::bad_input(text).with_path(object));
    }
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

    /// The sections, headers included.
    pub(crate) fn sections(&self, options: &LinkOptions) -> Vec<u8> {
        let kept = |name: &str| {
            !options.strip_all || options.keep_sections.iter().any(|section| section == name)
        };
        let mut out = Vec::new();
        let fields = FIELDS.iter().zip(&self.producers);
        let fields: Vec<_> = fields.filter(|(_, list)| !list.is_empty()).collect();
        if kept("producers") && !fields.is_empty() {
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
        if kept("target_features") && !self.features.is_empty() {
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
