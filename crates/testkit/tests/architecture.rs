//! The invariants of ARCHITECTURE.md that can be read off the sources.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can not go on fails"
)]

mod sources;

use std::fs;

use sources::{files, is_test, product};

fn none_names(folders: &[&str], words: &[&str]) {
    for path in folders
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .filter(|path| !is_test(path))
    {
        let text = product(&path);
        for word in words {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn the_engine_and_the_protocol_have_no_files_sockets_clocks_or_threads() {
    let words = [
        "std::fs",
        "std::net",
        "SystemTime",
        "Instant::now",
        "thread::spawn",
        "tokio",
    ];
    none_names(&["crates/engine/src", "crates/resp/src"], &words);
}

#[test]
fn nothing_below_the_server_names_a_socket_but_the_way_to_real_servers() {
    let folders = [
        "crates/store/src",
        "crates/engine/src",
        "crates/embedded/src",
        "crates/toolkit/src",
    ];
    none_names(
        &folders,
        &["TcpStream", "TcpListener", "UnixStream", "UnixListener"],
    );
}

#[test]
fn the_structures_know_no_key_space_reply_or_time() {
    for path in files("crates/engine/src/types", "rs") {
        let is_structure = path.ends_with("mod.rs") && !path.ends_with("string/mod.rs");
        let is_command = path.components().any(|part| part.as_os_str() == "commands");
        if !is_structure || is_command {
            continue;
        }
        let text = product(&path);
        for word in ["Keyspace", "dyn Reply", "crate::engine", "Call<"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}

#[test]
fn the_toolkit_depends_on_the_seam_alone() {
    let manifest = files("crates/toolkit", "toml")
        .into_iter()
        .find(|path| path.ends_with("Cargo.toml"));
    let manifest = fs::read_to_string(manifest.unwrap()).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    let dependencies = dependencies.split("[dev-dependencies]").next().unwrap();
    let ours = dependencies
        .lines()
        .filter(|line| line.starts_with("larder-"));
    assert_eq!(ours.collect::<Vec<_>>(), ["larder-store.workspace = true"]);
    none_names(
        &["crates/toolkit/src"],
        &["larder_engine", "larder_embedded", "larder_remote"],
    );
}

#[test]
fn every_script_of_the_toolkit_is_bounded_to_its_keys_and_takes_the_stores_time() {
    let parts: Vec<_> = files("crates/toolkit/src", "lua");
    assert!(parts.len() > 10);
    for path in parts {
        let text = fs::read_to_string(&path).unwrap();
        // A script either has the marker itself, or stands behind a common part that has it.
        let common = path.with_file_name("common.lua");
        let first = "-- larder: touches only its KEYS\n";
        let is_bounded = text.starts_with(first)
            || fs::read_to_string(common).is_ok_and(|common| common.starts_with(first));
        assert!(is_bounded, "{} is not bounded", path.display());
        assert!(
            !text.contains("os."),
            "{} asks another clock than the store's",
            path.display()
        );
    }
}

#[test]
fn unsafe_code_stands_only_in_modules_that_say_so_and_each_block_says_why_it_is_sound() {
    for path in files("crates", "rs")
        .into_iter()
        .chain(files("xtask", "rs"))
    {
        let text = fs::read_to_string(&path).unwrap();
        let blocks = product(&path).matches("unsafe {").count()
            + product(&path).matches("unsafe impl").count();
        if blocks == 0 || path.ends_with("architecture.rs") {
            continue;
        }
        assert!(
            path.components().any(|part| part.as_os_str() == "engine")
                || path.ends_with("cli/src/allocator.rs")
                || is_test(&path),
            "{}",
            path.display()
        );
        let reasons = text.matches("SAFETY:").count();
        assert!(
            reasons >= blocks,
            "{}: {blocks} blocks, {reasons} reasons",
            path.display()
        );
    }
}
