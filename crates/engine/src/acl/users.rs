//! All users, and who is logged in as whom.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use hmac_sha256::HMAC;
use larder_resp::Arguments;

use super::DEFAULT;
use super::file::{self, UserFile};
use super::guard::context_of;
use super::log::{Log, Reason, What};
use super::login::{Login, State};
use super::rules::{RuleError, Rules, has_spaces, may_listen, merge_selectors};
use crate::engine::{Engine, Now};
use crate::error::{Error, Result, shown};
use crate::pubsub::Topic;
use crate::session::{Client, Session};
use crate::sync::{Mutex, RwLock};

/// Users by name.
pub(super) type Users = BTreeMap<Box<[u8]>, Arc<Rules>>;

/// All users, and what was denied to them.
pub(crate) struct Acl {
    /// Taken before the list of connections, and before their logins.
    users: RwLock<Users>,
    /// Held while it is read or written, so that what is written last is what came last. Taken before
    /// `users`.
    file: Mutex<Option<Box<dyn UserFile>>>,
    pub(super) log: Log,
    /// What passwords are made from, which nobody sees.
    secret: [u8; 32],
}

impl std::fmt::Debug for Acl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acl").finish_non_exhaustive()
    }
}

impl Acl {
    /// One user, who may do everything. Passwords come from an engine's random bytes.
    pub(crate) fn new(random_bytes: &[u8; 32]) -> Acl {
        Acl {
            users: RwLock::new(BTreeMap::from([(DEFAULT.into(), Arc::new(Rules::all()))])),
            file: Mutex::default(),
            log: Log::default(),
            secret: HMAC::mac(b"passwords", random_bytes),
        }
    }

    /// Whether the default user comes in without a password.
    pub(crate) fn is_open(&self) -> bool {
        default_of(&self.users.read()).is_open
    }

    /// The rules of a user.
    pub(crate) fn rules(&self, user: &[u8]) -> Option<Arc<Rules>> {
        self.users.read().get(user).cloned()
    }

    /// Calls `visit` with each user, in the order of their names.
    pub(super) fn each(&self, visit: impl FnMut((&Box<[u8]>, &Arc<Rules>))) {
        self.users.read().iter().for_each(visit);
    }

    pub(super) fn len(&self) -> usize {
        self.users.read().len()
    }

    /// So many bytes that nobody can guess, of which no two calls with other numbers have any.
    pub(super) fn secret_bytes(&self, number: u64, len: usize) -> Vec<u8> {
        let blocks = (0..len.div_ceil(32) as u64).flat_map(|block| {
            let input = [number.to_le_bytes(), block.to_le_bytes()].concat();
            HMAC::mac(input, self.secret)
        });
        blocks.take(len).collect()
    }

    /// The name of the file of users, or nothing.
    pub(crate) fn file_name(&self) -> String {
        let file = self.file.lock();
        file.as_ref().map(|file| file.name()).unwrap_or_default()
    }

    /// How often something was denied: wrong logins, commands, keys and channels.
    pub(crate) fn denials(&self) -> [u64; 4] {
        Reason::ALL.map(|reason| self.log.count(reason))
    }

    /// Begins the counts of what was denied anew.
    pub(crate) fn reset_denials(&self) {
        self.log.reset_counts();
    }
}

/// The rules of the default user, who is never removed.
fn default_of(users: &Users) -> &Arc<Rules> {
    users.get(DEFAULT).expect("nobody removes the default user")
}

/// The state of a connection that has said nothing yet.
fn stranger(users: &Users) -> State {
    let rules = default_of(users);
    State {
        user: DEFAULT.into(),
        rules: Arc::clone(rules),
        is_proven: !rules.ask_for_login(),
    }
}

/// What whoever has the sockets says of users.
impl Engine {
    /// Has users kept in this file: ACL LOAD and ACL SAVE.
    pub fn set_user_file(&self, file: Box<dyn UserFile>) {
        *self.acl.file.lock() = Some(file);
    }

    /// Has the users be those of the file, if there is one. Who is logged in as a user that is no more
    /// is cut off.
    ///
    /// # Errors
    ///
    /// All that is wrong with the file. Nothing has changed then.
    pub fn load_users(&self) -> Result<(), String> {
        self.load_users_but(None).map(drop)
    }

    /// The same on behalf of a connection. Answers whether it is to be cut off itself.
    pub(super) fn load_users_but(&self, caller: Option<&Arc<Client>>) -> Result<bool, String> {
        let file = self.acl.file.lock();
        let Some(file) = &*file else {
            return Ok(false);
        };
        let name = file.name();
        let text = file.read().map_err(|error| {
            let error = system_text(&error);
            format!("Error loading ACLs, opening file '{name}': {error}")
        })?;
        let mut new = file::read(&text, &name, self.config.has_all_channels())?;
        let default = new.entry(DEFAULT.into());
        default.or_insert_with(|| Arc::new(Rules::all()));
        let mut users = self.acl.users.write();
        let old = std::mem::replace(&mut *users, new);
        Ok(self.renew_logins(&old, &users, caller))
    }

    /// Has there be users as lines say, that would stand behind `user` in a configuration: a name, and
    /// rules. The default user stays as it is if there is no line about it.
    ///
    /// # Errors
    ///
    /// All that is wrong with the lines. Nothing has changed then.
    pub fn add_users(&self, lines: &[String]) -> Result<(), String> {
        let lines: String = lines.iter().map(|line| format!("user {line}\n")).collect();
        let has_all_channels = self.config.has_all_channels();
        let new = file::read(lines.as_bytes(), "user", has_all_channels)?;
        let mut users = self.acl.users.write();
        let old = users.clone();
        users.extend(new);
        self.renew_logins(&old, &users, None);
        Ok(())
    }

    /// Whether connections have to say a password before they may do anything.
    pub fn needs_password(&self) -> bool {
        default_of(&self.acl.users.read()).ask_for_login()
    }

    /// The users, a line each, if they are in no file.
    pub(crate) fn lines_of_users(&self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        if self.acl.file_name().is_empty() {
            self.acl
                .each(|(name, rules)| lines.push(file::line(name, rules)));
        }
        lines
    }

    /// Writes the file of users.
    pub(super) fn save_users(&self) -> std::io::Result<()> {
        let file = self.acl.file.lock();
        match &*file {
            Some(file) => file.replace(&file::text(&self.acl.users.read())),
            None => Ok(()),
        }
    }

    /// Makes a user, or changes it, by rules as ACL SETUSER takes them.
    ///
    /// # Errors
    ///
    /// What is wrong with the rules, in Redis's words. Nothing has changed then.
    pub fn set_user<'a>(
        &self,
        user: &[u8],
        rules: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), String> {
        self.set_user_but(user, rules, None).map(drop)
    }

    /// The same on behalf of a connection. Answers whether it is to be cut off itself.
    pub(super) fn set_user_but<'a>(
        &self,
        user: &[u8],
        rules: impl Iterator<Item = &'a [u8]>,
        caller: Option<&Arc<Client>>,
    ) -> Result<bool, String> {
        if has_spaces(user) {
            return Err("Usernames can't contain spaces or null characters".to_owned());
        }
        let rules = merge_selectors(rules).map_err(|word| {
            let word = shown(word);
            format!("Unmatched parenthesis in acl selector starting at '{word}'.")
        })?;
        let has_all_channels = self.config.has_all_channels();
        let change = |new: &mut Rules| {
            rules.iter().try_for_each(|rule| {
                new.set(rule, has_all_channels).map_err(|why: RuleError| {
                    let rule = shown(rule);
                    format!("Error in ACL SETUSER modifier '{rule}': {why}")
                })
            })
        };
        self.change_user(user, change, caller)
    }

    /// Has the default user come in with this password, or with none: `requirepass`.
    pub(crate) fn set_default_password(&self, password: Option<&[u8]>) {
        let change = |rules: &mut Rules| -> Result<(), RuleError> {
            rules.set(b"resetpass", false)?;
            match password {
                Some(password) => rules.set(&[b">", password].concat(), false),
                None => rules.set(b"nopass", false),
            }
        };
        // These rules are never refused, and there is no caller who might be cut off.
        let _ = self.change_user(DEFAULT, change, None);
    }

    /// Changes a user, or makes it. Answers whether the caller is to be cut off.
    fn change_user<E>(
        &self,
        user: &[u8],
        change: impl FnOnce(&mut Rules) -> Result<(), E>,
        caller: Option<&Arc<Client>>,
    ) -> Result<bool, E> {
        let mut users = self.acl.users.write();
        let mut rules = match users.get(user) {
            Some(rules) => Rules::clone(rules),
            None => Rules::new(self.config.has_all_channels()),
        };
        change(&mut rules)?;
        let old = users.clone();
        users.insert(user.into(), Arc::new(rules));
        Ok(self.renew_logins(&old, &users, caller))
    }

    /// Removes users, and cuts off who is logged in as one of them. Answers how many there were, and
    /// whether the caller is to be cut off.
    pub(super) fn remove_users<'a>(
        &self,
        names: impl Iterator<Item = &'a [u8]>,
        caller: Option<&Arc<Client>>,
    ) -> (usize, bool) {
        let mut users = self.acl.users.write();
        let old = users.clone();
        let removed = names.filter(|name| users.remove(*name).is_some()).count();
        let is_cut_off = removed > 0 && self.renew_logins(&old, &users, caller);
        (removed, is_cut_off)
    }

    /// Gives all connections the rules that their users have now, and cuts off those whose user is no
    /// more, or who listen to what their user may not hear any more. Answers whether the caller is among
    /// those: its answer is to go before.
    fn renew_logins(&self, old: &Users, new: &Users, caller: Option<&Arc<Client>>) -> bool {
        let default = default_of(new);
        let mut is_caller_cut_off = false;
        let mut cut_off = |client: &Arc<Client>| {
            client.login().change(default, |state| {
                *state = State {
                    is_proven: false,
                    ..stranger(new)
                };
            });
            match caller.is_some_and(|caller| caller.id() == client.id()) {
                true => is_caller_cut_off = true,
                false => self.cut_off(client),
            }
        };
        let clients = self.clients.all();
        for client in &clients {
            let user = client.login().user();
            match new.get(&*user) {
                Some(rules) => client.login().change(default, |state| {
                    state.rules = Arc::clone(rules);
                }),
                None => cut_off(client),
            }
        }
        // Behind the change of rules: whoever listens to more from here on looks at those.
        for (name, rules) in new {
            let before = old.get(name).filter(|before| !Arc::ptr_eq(before, rules));
            let Some(left) = before.and_then(|before| rules.channels_left(before)) else {
                continue;
            };
            let deaf = self
                .pubsub
                .mailboxes_of(|topic, name| !may_listen(&left, name, topic == Topic::Pattern));
            let deaf: HashSet<_> = deaf.iter().map(Arc::as_ptr).collect();
            let is_deaf = |client: &&Arc<Client>| {
                client.login().is_user(name) && deaf.contains(&std::ptr::from_ref(client.mailbox()))
            };
            clients.iter().filter(is_deaf).for_each(&mut cut_off);
        }
        is_caller_cut_off
    }

    // --- logins --------------------------------------------------------------------------------

    /// The login of a connection that is made by `make`, which puts it on the list of connections. A user
    /// that is changed meanwhile is changed for it as well.
    pub(crate) fn log_in_stranger<T>(&self, make: impl FnOnce(Login) -> T) -> T {
        let users = self.acl.users.read();
        let login = Login::new(stranger(&users), default_of(&users));
        login.set_paused(self.pauses.end().is_some());
        login.set_busy(self.scripts.is_busy_for_all());
        make(login)
    }

    /// Shows all connections whether there is a pause.
    pub(crate) fn show_pause(&self) {
        let _users = self.acl.users.write();
        let is_paused = self.pauses.end().is_some();
        self.show_logins(|login| login.set_paused(is_paused));
    }

    /// Shows all connections whether a script runs for too long, if that is to hold everybody up.
    #[cfg(feature = "lua")]
    pub(crate) fn show_busy(&self, is_busy: bool) {
        let _users = self.acl.users.write();
        self.scripts.set_busy_for_all(is_busy);
        self.show_logins(|login| login.set_busy(is_busy));
    }

    /// Shows something to all connections, by one who holds the lock of the users.
    fn show_logins(&self, show: impl Fn(&Login)) {
        let clients = self.clients.all();
        clients.iter().for_each(|client| show(client.login()));
    }

    /// Has a connection be as if it had said nothing: RESET.
    pub(crate) fn log_out(&self, client: &Client) {
        let users = self.acl.users.read();
        let stranger = stranger(&users);
        let default = default_of(&users);
        client.login().change(default, |state| *state = stranger);
    }

    /// Has the caller be this user, if the password is right.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`].
    pub(crate) fn log_in(
        &self,
        session: &Session,
        request: Arguments<'_>,
        (user, password): (&[u8], &[u8]),
        now: Now,
    ) -> Result<()> {
        let users = self.acl.users.read();
        let rules = users.get(user).filter(|rules| rules.accept(password));
        if let (Some(rules), Some(client)) = (rules, session.client()) {
            client.login().change(default_of(&users), |state| {
                *state = State {
                    user: user.into(),
                    rules: Arc::clone(rules),
                    is_proven: true,
                };
            });
        }
        if rules.is_some() {
            return Ok(());
        }
        drop(users);
        let what = What {
            reason: Reason::Login,
            context: context_of(session),
            object: request.get(0).unwrap_or_default().to_vec(),
            user: user.to_vec(),
        };
        self.note_denial(session, what, now);
        Err(Error::WrongPassword)
    }
}

/// What the system says of an error, without the number that Rust puts behind it.
fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
