//! The file of users: a line for each, `user NAME RULES`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use super::rules::{RuleError, Rules, has_spaces, merge_selectors};
use super::users::Users;

/// Where the users are kept: `aclfile`. The engine knows no files.
pub trait UserFile: Send + Sync + 'static {
    /// What CONFIG GET shows, and errors name.
    fn name(&self) -> String;

    /// All that the file holds.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    fn read(&self) -> io::Result<Vec<u8>>;

    /// Has the file hold this, or else, after an error, what it held.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    fn replace(&self, text: &[u8]) -> io::Result<()>;
}

/// Reads the users of a file.
///
/// # Errors
///
/// All that is wrong with it, line by line, in Redis's words.
pub(super) fn read(text: &[u8], name: &str, has_all_channels: bool) -> Result<Users, String> {
    let mut users: Users = BTreeMap::new();
    let mut wrong = String::new();
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let at = format!("{name}:{}", place + 1);
        let mut words = line.trim_ascii().split(|byte| *byte == b' ');
        let (first, user) = match (words.next(), words.next()) {
            (None | Some(b""), _) => continue,
            (Some(first), user) => (first, user),
        };
        let Some(user) = user.filter(|_| first == b"user") else {
            let _ = write!(
                wrong,
                "{at} should start with user keyword followed by the username. "
            );
            continue;
        };
        if has_spaces(user) {
            let user = larder_resp::text_of(user);
            let _ = write!(
                wrong,
                "'{at}: username '{user}' contains invalid characters. "
            );
            continue;
        }
        if users.contains_key(user) {
            let (user, line) = (larder_resp::text_of(user), place + 1);
            let _ = write!(
                wrong,
                "WARNING: Duplicate user '{user}' found on line {line}. "
            );
            continue;
        }
        let rules = read_rules(words, &at, has_all_channels, &mut wrong);
        users.insert(user.into(), Arc::new(rules));
    }
    if !wrong.is_empty() {
        wrong.push_str(
            "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        );
        return Err(wrong);
    }
    Ok(users)
}

/// Reads the rules of a line. What names no command is told of each rule, since it tells no secrets;
/// of the rest what is wrong first.
fn read_rules<'a>(
    words: impl Iterator<Item = &'a [u8]>,
    at: &str,
    has_all_channels: bool,
    wrong: &mut String,
) -> Rules {
    let mut rules = Rules::new(has_all_channels);
    let Ok(words) = merge_selectors(words) else {
        let _ = write!(wrong, "{at}: Unmatched parenthesis in selector definition.");
        return rules;
    };
    let mut has_other = false;
    for word in words {
        match rules.set(word.trim_ascii(), has_all_channels) {
            Ok(()) => {}
            Err(error @ RuleError::Unknown) => {
                let word = larder_resp::text_of(&word);
                let _ = write!(
                    wrong,
                    "{at}: Error in applying operation '{word}': {error}. "
                );
            }
            Err(_) if has_other => {}
            Err(error) => {
                has_other = true;
                let _ = write!(wrong, "{at}: {error}. ");
            }
        }
    }
    rules
}

/// What the file of these users holds.
pub(super) fn text(users: &Users) -> Vec<u8> {
    let lines = users.iter().map(|(name, rules)| line(name, rules));
    let mut text = lines.collect::<Vec<_>>().join(&b'\n');
    text.push(b'\n');
    text
}

/// The line of a user.
pub(super) fn line(name: &[u8], rules: &Rules) -> Vec<u8> {
    [b"user ", name, b" ", &*rules.shown()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        read(text.as_bytes(), "users.acl", false).unwrap_err()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = "user ann on #9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \
                       ~a:* %R~b:* resetchannels &news -@all +@read +config|get (~c* &* +set)\n\
                       user default on nopass ~* &* +@all\n\n";
        let users = read(written.as_bytes(), "users.acl", false).unwrap();
        let again = text(&users);
        let users = read(&again, "users.acl", false).unwrap();
        assert_eq!(text(&users), again);
        let again = String::from_utf8(again).unwrap();
        assert!(
            again.contains("sanitize-payload #9f86d0")
                && again.contains(
                    "~a:* %R~b:* resetchannels &news -@all +@read +config|get (~c* &* -@all +set)"
                ),
            "{again}"
        );
    }

    #[test]
    fn each_line_that_is_wrong_is_told() {
        let wrong =
            refusal("user ann on +get\n# remark\nuser ann off\nuser bob ~a +nix +@nix (~a\nuser\n");
        assert_eq!(
            wrong,
            "users.acl:2 should start with user keyword followed by the username. WARNING: Duplicate \
             user 'ann' found on line 3. users.acl:4: Unmatched parenthesis in selector \
             definition.users.acl:5 should start with user keyword followed by the username. WARNING: \
             ACL errors detected, no change to the previously active ACL rules was performed"
        );
        let wrong = refusal("user bob +nix oops #12 +@nix");
        assert!(
            wrong.starts_with(
                "users.acl:1: Error in applying operation '+nix': Unknown command or category name in \
                 ACL. users.acl:1: Syntax error. users.acl:1: Error in applying operation '+@nix': \
                 Unknown command or category name in ACL. WARNING"
            ),
            "{wrong}"
        );
    }
}
