//! Prints an example of a configuration file from the table of parameters. `cargo xtask docs` writes it
//! to its place, `deploy/larder.conf`.

use larder_engine::{Described, Group, described};

const HEAD: &str = "\
# A configuration of `larder serve`, in the syntax of redis.conf.
#
# Generated from the engine's table of parameters by `cargo xtask docs`; do not edit it in the repository.
#
# Every line that is commented out says what holds without it. Sizes may have a unit: 1k is 1000 bytes,
# 1kb 1024, and so on to gb. Words with spaces in them stand in quotes. CONFIG REWRITE writes what
# CONFIG SET has changed back into this file.";

fn main() {
    println!("{HEAD}");
    let mut group: Option<Group> = None;
    for parameter in described().iter().filter(|parameter| !parameter.is_fixed) {
        if group != Some(parameter.group) {
            group = Some(parameter.group);
            let title = parameter.group.title();
            println!("\n# --- {title} {}", "-".repeat(70 - title.len()));
        }
        print(parameter);
    }
}

fn print(parameter: &Described) {
    println!();
    wrapped(parameter.doc);
    println!("# {}: {}", parameter.name, parameter.values);
    match (&parameter.default, parameter.is_literal) {
        (Some(default), true) => println!("# {} {default}", parameter.name),
        (Some(default), false) => println!("# By default: {default}."),
        (None, _) => println!("# {} \"\"", parameter.name),
    }
}

/// A remark, in lines that are not too long.
fn wrapped(text: &str) {
    let mut line = "#".to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > 100 {
            println!("{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    println!("{line}");
}
