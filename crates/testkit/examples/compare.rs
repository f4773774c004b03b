//! Random programs about one family on the engine and on a real server: `cargo xtask compare`.
//!
//! ```text
//! compare FAMILY [--seed S] [--requests N] [--server redis|valkey]
//! ```

#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

use std::process::ExitCode;
use std::time::Instant;

use larder_testkit::{Differential, Family, Length, ServerKind};

fn main() -> ExitCode {
    let run = match run_from_arguments() {
        Ok(run) => run,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
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
    match ran.differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn run_from_arguments() -> Result<Differential, String> {
    let mut words = std::env::args().skip(1);
    let family = words.next().unwrap_or_default();
    let names = || Family::ALL.iter().map(|family| family.name).collect::<Vec<_>>();
    let family = Family::named(&family)
        .ok_or_else(|| format!("there is no family {family:?}, but {}", names().join(", ")))?;
    let mut run = Differential::about(family);
    while let Some(name) = words.next() {
        let value = words.next().ok_or(format!("{name} has no value"))?;
        let number = || value.parse().map_err(|error| format!("{name}: {error}"));
        match (name.as_str(), value.as_str()) {
            ("--seed", _) => run.seed = number()?,
            ("--requests", _) => run.length = Length::Requests(number()?),
            ("--server", "redis") => run.server = ServerKind::Redis,
            ("--server", "valkey") => run.server = ServerKind::Valkey,
            _ => return Err(format!("there is no option {name} {value}")),
        }
    }
    Ok(run)
}
