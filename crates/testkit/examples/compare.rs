//! Random programs about families on the engine and on a real server: `cargo xtask compare`.
//!
//! ```text
//! compare [FAMILY ...] [--seed S] [--requests N] [--server redis|redis8|valkey]
//! ```

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::process::ExitCode;
use std::time::Instant;

use larder_testkit::options::Given;
use larder_testkit::{Differential, Family, Length, ServerKind};

fn main() -> ExitCode {
    let runs = match runs_from_arguments() {
        Ok(runs) => runs,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let are_alike = runs
        .into_iter()
        .map(are_alike)
        .fold(true, |all, one| all & one);
    match are_alike {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs, and says what was found: whether that is nothing.
fn are_alike(run: Differential) -> bool {
    let begun = Instant::now();
    let ran = run.run(|difference| println!("{difference}"));
    let tally = &ran.tally;
    print!("{tally}");
    println!(
        "{} from seed {} against {:?}: {} requests of the family, {} in all, in {} programs, of which {} were left \
         at what is meant; {} differences; {} s",
        run.family.map_or("everything", |family| family.name),
        run.seed,
        run.server,
        tally.own_requests(),
        tally.requests(),
        tally.programs(),
        tally.left_early(),
        ran.differences.len(),
        begun.elapsed().as_secs(),
    );
    ran.differences.is_empty()
}

fn runs_from_arguments() -> Result<Vec<Differential>, String> {
    let mut words = std::env::args().skip(1).peekable();
    let mut families = Vec::new();
    while let Some(name) = words.next_if(|word| !word.starts_with("--")) {
        families.push(family(&name)?);
    }
    if families.is_empty() {
        families = Family::ALL.to_vec();
    }
    let mut runs: Vec<_> = families.into_iter().map(Differential::about).collect();
    for given in Given::all(words)? {
        for run in &mut runs {
            match (given.name.as_str(), given.value.as_str()) {
                ("--seed", _) => run.seed = given.number()?,
                ("--requests", _) => run.length = Length::Requests(given.number()?),
                ("--server", "redis") => run.server = ServerKind::Redis,
                ("--server", "redis8") => run.server = ServerKind::Redis8,
                ("--server", "valkey") => run.server = ServerKind::Valkey,
                (name, value) => return Err(format!("there is no option {name} {value}")),
            }
        }
    }
    Ok(runs)
}

fn family(name: &str) -> Result<Family, String> {
    let names: Vec<_> = Family::ALL.iter().map(|family| family.name).collect();
    Family::named(name)
        .ok_or_else(|| format!("there is no family {name:?}, but {}", names.join(", ")))
}
