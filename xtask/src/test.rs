//! Every test there is, with everything that it wants.

use anyhow::Result;

use crate::clients;
use crate::models;
use crate::steps::{self, step, succeeds};
use crate::tools::Tools;
use crate::topologies::Topologies;
use crate::workspace::cargo;

/// Installs what is missing, then runs the tests of the workspace, the models and the clients' suites.
pub(crate) fn run() -> Result<()> {
    let tools = step(
        "looking for servers, clients and a browser",
        Tools::find_or_install,
    )?;

    // Without nextest, cargo's own runner does the same, a crate after the other.
    let has_nextest = succeeds(&mut cargo(&["nextest", "--version"]));
    let tests: &[&str] = match has_nextest {
        true => &["nextest", "run", "--workspace", "--no-fail-fast"],
        false => &["test", "--workspace", "--tests", "--no-fail-fast"],
    };
    let topologies = step("starting clusters and Sentinels that tests share", || {
        Topologies::start(&tools)
    })?;
    step("tests of the workspace", || {
        let mut tests = cargo(tests);
        tests
            .envs(tools.environment())
            .envs(topologies.environment());
        steps::run(&mut tests)
    })?;
    drop(topologies);
    step("examples in the documentation", || {
        let doctests = ["test", "--workspace", "--doc", "--all-features", "--quiet"];
        steps::run(cargo(&doctests).envs(tools.environment()))
    })?;
    models::run(&models::Options::default())?;
    clients::compare_all(&tools)?;
    match tools.redis8_server {
        Some(_) => println!("\nAll tests passed, and none was skipped."),
        None => println!(
            "\nAll tests passed, but for those on Redis 8, whose source was not to be had."
        ),
    }
    Ok(())
}
