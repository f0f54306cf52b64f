//! Which file imports which: paths followed through modules and re-exports to the file that defines what they name.
//!
//! A path counts wherever it stands, not only in `use`. A parent that declares its children, or passes on what they have,
//! imports nothing; one that uses it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Path, Source};

/// The files of a crate by their paths, such as `src/wire/leb.rs`.
pub type Files = BTreeMap<String, Source>;

/// What each file imports.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Finds what each file imports that `root` reaches.
pub fn imports(files: &Files, root: &str) -> Imports {
    let tree = Tree::of(files, root);
    tree.modules
        .keys()
        .map(|file| (file.clone(), tree.of_file(file)))
        .collect()
}

/// The module of each file.
struct Tree<'a> {
    files: &'a Files,
    root: &'a str,
    modules: BTreeMap<String, Module>,
}

struct Module {
    parent: Option<String>,
    children: BTreeMap<String, String>,
}

impl<'a> Tree<'a> {
    fn of(files: &'a Files, root: &'a str) -> Tree<'a> {
        let mut tree = Tree {
            files,
            root,
            modules: BTreeMap::new(),
        };
        let mut left = vec![(root.to_owned(), None)];
        while let Some((file, parent)) = left.pop() {
            let mut children = BTreeMap::new();
            for child in &files[&file].children {
                let folder = match file.rsplit_once('/') {
                    Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
                    _ => file.trim_end_matches(".rs").to_owned(),
                };
                let places = [
                    format!("{folder}/{child}.rs"),
                    format!("{folder}/{child}/mod.rs"),
                ];
                let Some(place) = places.into_iter().find(|place| files.contains_key(place)) else {
                    panic!("{file} declares `{child}`, which has no file");
                };
                left.push((place.clone(), Some(file.clone())));
                children.insert(child.clone(), place);
            }
            tree.modules.insert(file, Module { parent, children });
        }
        tree
    }

    fn of_file(&self, file: &str) -> BTreeSet<String> {
        let source = &self.files[file];
        let mut found = BTreeSet::new();
        for brought in source.uses.values() {
            let passed_on = brought.is_shared && !brought.is_said;
            let target = self.target(file, &brought.path, &mut Vec::new());
            found.extend(target.filter(|target| !(passed_on && self.is_below(target, file))));
        }
        for path in source.paths.iter().chain(&source.globs) {
            found.extend(self.target(file, path, &mut Vec::new()));
        }
        found.remove(file);
        found
    }

    /// Whether the module of `file` is one of those within `above`.
    fn is_below(&self, file: &str, above: &str) -> bool {
        let mut at = Some(file);
        while let Some(file) = at {
            at = self.modules[file].parent.as_deref();
            if at == Some(above) {
                return true;
            }
        }
        false
    }

    /// The file that defines what `path` names in `file`; nothing if that is of another crate. `seen` are the names that
    /// led here, so that those which lead round in circles end.
    fn target(
        &self,
        file: &str,
        path: &[String],
        seen: &mut Vec<(String, String)>,
    ) -> Option<String> {
        match path[0].as_str() {
            "crate" => self.walk(self.root, &path[1..], seen),
            word @ ("self" | "super") => {
                let from = match word {
                    "self" => file,
                    _ => self.modules[file].parent.as_deref()?,
                };
                match path.get(1).map(String::as_str) {
                    Some("super") => self.target(from, &path[1..], seen),
                    _ => self.walk(from, &path[1..], seen),
                }
            }
            first => {
                let is_known = self.modules[file].children.contains_key(first)
                    || self.files[file].uses.contains_key(first);
                is_known.then(|| self.walk(file, path, seen)).flatten()
            }
        }
    }

    /// The file that defines what `path` names within the module of `file`.
    fn walk(
        &self,
        file: &str,
        path: &[String],
        seen: &mut Vec<(String, String)>,
    ) -> Option<String> {
        let Some(first) = path.first() else {
            return Some(file.to_owned());
        };
        if let Some(child) = self.modules[file].children.get(first) {
            return self.walk(child, &path[1..], seen);
        }
        let here = (file.to_owned(), first.clone());
        match self.files[file].uses.get(first) {
            Some(brought) if !seen.contains(&here) => {
                seen.push(here);
                let onward: Path = brought.path.iter().chain(&path[1..]).cloned().collect();
                self.target(file, &onward, seen)
            }
            _ => Some(file.to_owned()),
        }
    }
}
