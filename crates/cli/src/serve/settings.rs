//! What parameters are set to, by a file in the syntax of redis.conf and by the command line, which wins.
//!
//! All that is wrong is told at once, with the place where it stands.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use larder_engine::recognize;

use super::args::Args;

/// How deep files may include others. One that includes itself is told of then.
const INCLUDES_MAX: usize = 16;

/// Parameters whose values nobody is to read in a log.
const SECRETS: &[&str] = &["requirepass", "user", "tls-key-file-pass"];

/// What parameters are set to.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    all: Vec<(&'static str, Vec<u8>)>,
    wrong: Vec<String>,
}

impl Settings {
    /// Reads the file, and then the command line.
    ///
    /// # Errors
    ///
    /// All that is wrong, a line each.
    pub(crate) fn read(args: Args) -> Result<Settings, String> {
        let mut settings = Settings::default();
        if let Some(path) = &args.file {
            settings.read_file(path, 0, "");
        }
        for (name, words) in args.flags {
            // It would leave the server open, most likely by mistake.
            if name == "requirepass" && words.iter().all(Vec::is_empty) {
                let wrong = "--requirepass: the password is empty: leave it out to have none";
                settings.wrong.push(wrong.to_owned());
                continue;
            }
            settings.set(&format!("--{name}"), name, &words);
        }
        settings.check_together();
        match settings.wrong.as_slice() {
            [] => Ok(settings),
            [wrong] => Err(wrong.clone()),
            all => {
                let mut text = "the configuration is not one:".to_owned();
                for wrong in all {
                    let _ = write!(text, "\n  {wrong}");
                }
                Err(text)
            }
        }
    }

    /// The value that was set last, as it is in memory.
    pub(crate) fn last(&self, name: &str) -> Option<String> {
        self.each(name).pop()
    }

    /// Whether it was set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|(known, _)| *known == name)
    }

    /// The number that was set last, where only numbers can be.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.last(name)?.parse().ok()
    }

    /// All values that were set, in order.
    pub(crate) fn each(&self, name: &str) -> Vec<String> {
        let own = self.all.iter().filter(|(known, _)| *known == name);
        own.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// All that was set, in order.
    pub(crate) fn all(&self) -> &[(&'static str, Vec<u8>)] {
        &self.all
    }

    fn read_file(&mut self, path: &Path, depth: usize, place: &str) {
        if depth > INCLUDES_MAX {
            self.wrong
                .push(format!("{place}files include each other without end"));
            return;
        }
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) => {
                let wrong = format!("{place}{}: {error}", path.display());
                self.wrong.push(wrong);
                return;
            }
        };
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = format!("{}:{}: ", path.display(), number + 1);
            self.read_line(line, &place, depth);
        }
    }

    /// Reads the file of this path; or, if it is a pattern, all files that match it, which may be none.
    fn include(&mut self, path: &[u8], depth: usize, place: &str) {
        let path = String::from_utf8_lossy(path);
        if !path.contains(['*', '?', '[']) {
            return self.read_file(Path::new(&*path), depth, place);
        }
        match glob::glob(&path) {
            Ok(found) => found
                .flatten()
                .for_each(|it| self.read_file(&it, depth, place)),
            Err(error) => self.wrong.push(format!("{place}{path}: {error}")),
        }
    }

    fn read_line(&mut self, line: &[u8], place: &str, depth: usize) {
        let Some(words) = larder_resp::words_of_line(line) else {
            let shown = shown(line);
            self.wrong
                .push(format!("{place}{shown}: its quotes do not match"));
            return;
        };
        let Some((name, words)) = words.split_first() else {
            return;
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        match (name.as_str(), words) {
            ("include", [path]) => self.include(path, depth + 1, place),
            _ => self.set(&format!("{place}{}", shown(line)), &name, words),
        }
    }

    fn set(&mut self, place: &str, name: &str, words: &[Vec<u8>]) {
        // On the command line.
        if let ("include", [path]) = (name, words) {
            return self.include(path, 1, "");
        }
        match recognize(name, words) {
            Ok(("save", points)) => self.add_points(points),
            Ok(setting) => self.all.push(setting),
            Err(error) => self.wrong.push(format!("{place}: {error}")),
        }
    }

    /// Adds save points to those that were set before; none takes them back.
    fn add_points(&mut self, points: Vec<u8>) {
        let is_save = |(name, _): &(&str, Vec<u8>)| *name == "save";
        let before = self.all.iter().position(is_save);
        let before = before.map(|place| self.all.remove(place).1);
        let before = before.filter(|before| !before.is_empty() && !points.is_empty());
        let points = match before {
            Some(before) => [&before[..], b" ", &points].concat(),
            None => points,
        };
        self.all.push(("save", points));
    }

    /// Looks at what parameters say together.
    fn check_together(&mut self) {
        if self.has("aclfile") && self.has("user") {
            let wrong = "users stand either in the aclfile or in `user`, and not in both";
            self.wrong.push(wrong.to_owned());
        }
    }
}

/// A line as an error shows it, without its secrets.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let name = text.split_ascii_whitespace().next().unwrap_or_default();
    let is_secret = SECRETS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret));
    match is_secret {
        true => format!("'{name} …'"),
        false => format!("'{text}'"),
    }
}
