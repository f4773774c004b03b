//! No two files need each other.
//!
//! A file needs another if a path in it leads there, also by way of what a `mod.rs` hands on with
//! `pub use`. A module file that only gathers its parts is none of them: what it hands on counts as
//! what it comes from.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sources::{files, is_test, product};

/// A module's place in its crate, such as `["cache", "fill"]`.
type Module = Vec<String>;

/// The files of a crate and what each of them names.
struct Crate {
    /// The text of each module: no comments, no tests.
    texts: BTreeMap<Module, String>,
}

impl Crate {
    fn read(name: &str) -> Crate {
        let source = format!("crates/{name}/src");
        let texts = { files(&source, "rs").into_iter() }
            .filter(|path| !is_test(path))
            .map(|path| (module_of(&source, &path), product(&path)))
            .collect();
        Crate { texts }
    }

    /// The modules that a module needs.
    fn needs(&self, module: &Module) -> BTreeSet<Module> {
        let mut needed = BTreeSet::new();
        for path in paths_in(&self.texts[module]) {
            if let Some(found) = self.resolve(module, &path, 0) {
                needed.insert(found);
            }
        }
        needed.remove(module);
        // Who gathers parts is above them, whatever they take from beside it.
        needed.retain(|other| !other.starts_with(module) || !self.gathers(module));
        needed
    }

    /// Whether a module has others below it.
    fn gathers(&self, module: &Module) -> bool {
        self.texts
            .keys()
            .any(|other| other.len() > module.len() && other.starts_with(module))
    }

    /// The module that a path leads to, as seen from a module.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {}
            first => {
                let child = [&from[..], &[first.to_owned()]].concat();
                if !self.texts.contains_key(&child) {
                    return None;
                }
            }
        }
        while rest.first().is_some_and(|word| word == "super") {
            at.pop()?;
            rest = &rest[1..];
        }
        while let Some(word) = rest.first() {
            let child = [&at[..], std::slice::from_ref(word)].concat();
            if !self.texts.contains_key(&child) {
                break;
            }
            (at, rest) = (child, &rest[1..]);
        }
        // What is handed on comes from where it is made.
        if let (Some(name), true) = (rest.first(), depth < 4) {
            let handed_on = uses_in(&self.texts[&at]).into_iter().find(|used| {
                used.len() > 1
                    && used.last() == Some(name)
                    && used[0] != "crate"
                    && used[0] != "super"
            });
            if let Some(used) = handed_on {
                return self.resolve(&at, &used, depth + 1).or(Some(at));
            }
        }
        Some(at)
    }

    /// The modules that need each other, each circle with all that is in it.
    fn circles(&self) -> BTreeSet<BTreeSet<Module>> {
        let needs: BTreeMap<_, _> = { self.texts.keys() }
            .map(|module| (module, self.needs(module)))
            .collect();
        let reached: BTreeMap<_, _> = { self.texts.keys() }
            .map(|module| (module, reach(module, &needs)))
            .collect();
        { self.texts.keys() }
            .filter(|module| reached[module].contains(*module))
            .map(|module| {
                let in_both = |other: &&Module| reached[other].contains(module);
                reached[module].iter().filter(in_both).cloned().collect()
            })
            .collect()
    }
}

/// All that a module needs, and that needs in turn.
fn reach(module: &Module, needs: &BTreeMap<&Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![module]);
    while let Some(next) = open.pop() {
        open.extend(
            needs[next]
                .iter()
                .filter(|other| reached.insert((*other).clone())),
        );
    }
    reached
}

fn module_of(source: &str, path: &Path) -> Module {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = path.strip_prefix(root.join(source)).unwrap();
    let path = path.with_extension("");
    let mut module: Module = path
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| last == "mod" || last == "lib" || last == "main")
    {
        module.pop();
    }
    module
}

/// The paths of the `use` declarations of a text, taken apart.
fn uses_in(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (start, _) in text.match_indices("use ") {
        let line = text[..start].rsplit('\n').next().unwrap_or_default().trim();
        let is_declaration = line.is_empty() || line.starts_with("pub");
        let end = text[start..].find(';').unwrap_or(0);
        if is_declaration && end > 0 {
            expand(&text[start + 4..start + end], &mut Vec::new(), &mut paths);
        }
    }
    paths
}

/// All paths of a text: of its `use` declarations, and those that stand in the code.
fn paths_in(text: &str) -> Vec<Vec<String>> {
    let mut paths = uses_in(text);
    for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        if word.starts_with("super::") || word.starts_with("crate::") || word.starts_with("self::")
        {
            paths.push(word.split("::").map(str::to_owned).collect());
        }
    }
    paths
}

/// Takes a tree of `use` apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, before: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = match tree.find('{') {
        Some(brace) => (
            &tree[..brace],
            Some(&tree[brace + 1..tree.rfind('}').unwrap_or(tree.len())]),
        ),
        None => (tree, None),
    };
    let length = before.len();
    let head = head.split(" as ").next().unwrap_or_default();
    before.extend(
        head.split("::")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned),
    );
    match group {
        None => paths.push(before.clone()),
        Some(group) => {
            for part in split_top(group) {
                expand(part, before, paths);
            }
        }
    }
    before.truncate(length);
}

/// The parts between commas that stand in no braces.
fn split_top(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A test for each crate.
macro_rules! no_circles {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let name = stringify!($name);
            let circles = Crate::read(name).circles();
            let names = |circle: &BTreeSet<Module>| {
                let files: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
                files.join(", ")
            };
            let found: Vec<String> = circles.iter().map(names).collect();
            assert!(found.is_empty(), "{name}: these need each other: {found:#?}");
        }
    )*};
}

// The engine is left out: its commands, its keyspace and its sessions are one machine, and the table of
// commands at its top is what its bottom looks rows up in.
no_circles! { resp store embedded remote redis testing testkit toolkit observe http server larder cli }
