//! What `larder serve` is told on the command line: a flag for each parameter, made from the engine's
//! table of them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use larder_engine::{Described, ParameterError, described, recognize};

/// What stands at the end of the help.
const AFTER: &str = "\
A configuration file has the same parameters, a line each, as redis.conf has them: `maxmemory 2gb`. What the
command line says wins. CONFIG SET changes most of them while the server runs, and CONFIG REWRITE writes
them into the file.

  larder serve --maxmemory 2gb --maxmemory-policy allkeys-lru
  larder serve /etc/larder/larder.conf --port 6380
  larder serve --port 0 --tls-port 6379 --tls-cert-file cert.pem --tls-key-file key.pem --tls-auth-clients no";

/// What `larder serve` is told.
#[derive(Debug)]
pub(crate) struct Args {
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// The flags: names of parameters, and the words that stand behind each.
    pub(crate) flags: Vec<(&'static str, Vec<Vec<u8>>)>,
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("FILE")
            .help("Configuration file in the syntax of redis.conf")
            .value_parser(ValueParser::path_buf());
        let command = command.arg(file).after_help(AFTER).next_line_help(true);
        described()
            .into_iter()
            .fold(command, |command, parameter| command.arg(flag(parameter)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Args::augment_args(command)
    }
}

fn flag(parameter: Described) -> Arg {
    let doc = parameter.doc.trim_end_matches('.').to_owned();
    let help = match &parameter.default {
        Some(default) => format!("{doc} [default: {default}]"),
        None => doc,
    };
    let flag = Arg::new(parameter.name)
        .long(parameter.name)
        .value_name(parameter.values)
        .help(help)
        .help_heading(parameter.group.title())
        .action(ArgAction::Append)
        .num_args(1..)
        .allow_negative_numbers(true)
        .value_parser(ValueParser::os_string())
        // What never changes is for those who bring it from elsewhere, and no choice.
        .hide(parameter.is_fixed);
    match parameter.alias {
        Some(alias) => flag.alias(alias),
        None => flag,
    }
}

impl FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Args, clap::Error> {
        let mut flags = Vec::new();
        for parameter in described() {
            let given = matches.get_occurrences::<OsString>(parameter.name);
            for words in given.into_iter().flatten() {
                let words = words.map(|word| word.clone().into_vec());
                flags.push((parameter.name, words.collect()));
            }
        }
        Ok(Args {
            file: matches.get_one::<PathBuf>("FILE").cloned(),
            flags,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Args::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Why there is no such flag, if it is that of a parameter which Redis has and Larder knowingly does not.
pub(crate) fn why_absent(flag: &str) -> Option<String> {
    let name = flag.strip_prefix("--")?;
    match recognize(name, &[]) {
        Err(error @ ParameterError::Absent { .. }) => Some(error.to_string()),
        _ => None,
    }
}
