//! What a server is set to, beside its data: its configuration and its users.

use std::collections::BTreeMap;

use larder_resp::Frame;

use super::conversation::Conversation;
use super::node::{Node, text};

/// Parameters that `CONFIG SET` can't set: who follows whom is the business of the topology.
const OF_THE_TOPOLOGY: [&str; 2] = ["replicaof", "slaveof"];

/// What a server is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    parameters: BTreeMap<String, String>,
    /// The rules of each user, as `ACL SETUSER` takes them.
    users: BTreeMap<String, String>,
}

impl Settings {
    /// What a server is set to now. `None` if it does not answer.
    pub(super) fn of(node: &Node) -> Option<Settings> {
        Settings::told_in(&mut node.connect().ok()?)
    }

    fn told_in(conversation: &mut Conversation) -> Option<Settings> {
        let mut ask = |words: &[&str]| match conversation.ask(words) {
            Ok(Frame::Array(answers)) => Some(answers.into_iter().map(text).collect::<Vec<_>>()),
            _ => None,
        };
        let parameters = ask(&["CONFIG", "GET", "*"])?;
        let pairs = parameters.chunks_exact(2);
        let users = ask(&["ACL", "LIST"])?;
        let rules = users
            .iter()
            .filter_map(|user| user.strip_prefix("user ")?.split_once(' '));
        Some(Settings {
            parameters: pairs
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .filter(|(name, _)| !OF_THE_TOPOLOGY.contains(&&**name))
                .collect(),
            users: rules
                // It is what holds where nothing is said, and is said after a reset.
                .map(|(name, rules)| (name.to_owned(), rules.replace("sanitize-payload ", "")))
                .collect(),
        })
    }

    /// Sets a server to this again. `None` if it can't be.
    pub(super) fn restore(&self, node: &Node) -> Option<()> {
        let mut conversation = node.connect().ok()?;
        let now = Settings::told_in(&mut conversation)?;
        let mut run = |words: &[&str]| match conversation.ask(words) {
            Ok(Frame::Error(_)) | Err(_) => None,
            Ok(_) => Some(()),
        };
        for (name, value) in &self.parameters {
            if now.parameters.get(name) != Some(value) {
                run(&["CONFIG", "SET", name, value])?;
            }
        }
        for name in now
            .users
            .keys()
            .filter(|name| !self.users.contains_key(*name))
        {
            run(&["ACL", "DELUSER", name])?;
        }
        for (name, rules) in &self.users {
            if now.users.get(name) != Some(rules) {
                let words = ["ACL", "SETUSER", name, "reset"];
                run(&words
                    .into_iter()
                    .chain(rules.split(' '))
                    .collect::<Vec<_>>())?;
            }
        }
        Some(())
    }

    /// One line of text, which [`Settings::parse`] reads.
    pub(super) fn to_line(&self) -> String {
        let value = serde_json::to_string(&(&self.parameters, &self.users));
        value.expect("two maps of texts are JSON")
    }

    /// Reads what [`Settings::to_line`] has written.
    pub(super) fn parse(line: &str) -> Option<Settings> {
        let (parameters, users) = serde_json::from_str(line).ok()?;
        Some(Settings { parameters, users })
    }
}
