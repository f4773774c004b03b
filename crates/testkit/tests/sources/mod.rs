//! The sources of the workspace, as tests read them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The files below a folder of the workspace with this ending.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut open, mut found) = (vec![root.join(folder)], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    assert!(!found.is_empty(), "{folder} has no .{ending}");
    found
}

/// What is part of the product in a file: no comments, and nothing from the tests' module on.
pub(crate) fn product(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a file is of tests alone, or of models.
pub(crate) fn is_test(path: &Path) -> bool {
    let is_of_tests = |part: &OsStr| ["tests", "models"].iter().any(|name| part == *name);
    path.ends_with("tests.rs") || path.components().any(|part| is_of_tests(part.as_os_str()))
}
