//! Every transcript of `testdata/commands` on every target.
//!
//! `LARDER_RECORD_TRANSCRIPTS=1 cargo test -p larder-testkit --test transcripts [NAME]` writes what a real
//! server answers into the files instead.

use std::path::Path;
use std::process::ExitCode;

use larder_testkit::{Target, Transcript};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/commands");
    let transcripts = match Transcript::all(&dir) {
        Ok(transcripts) => transcripts,
        Err(error) => {
            eprintln!("{}: {error}", dir.display());
            return ExitCode::FAILURE;
        }
    };
    let is_recording = std::env::var_os("LARDER_RECORD_TRANSCRIPTS").is_some();
    let trials = transcripts
        .into_iter()
        .flat_map(|transcript| match is_recording {
            true => vec![recording(transcript)],
            false => Vec::from(Target::ALL.map(|target| check(transcript.clone(), target))),
        });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn check(transcript: Transcript, target: Target) -> Trial {
    let name = format!("{}::{}", transcript.name(), target.name());
    Trial::test(name, move || transcript.check(target).map_err(Failed::from))
}

fn recording(transcript: Transcript) -> Trial {
    let name = format!("{}::record", transcript.name());
    Trial::test(name, move || transcript.record().map_err(Failed::from))
}
