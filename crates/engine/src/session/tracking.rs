//! CLIENT TRACKING and its company: connections that hear of changes of what they have read.

use std::sync::Arc;

use crate::args::Args;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::engine::Engine;
use crate::error::{Error, Result, shown};
use crate::keyspace::tracking::{Mode, Settings, Tracker};

const FLAGS: Flags = Flags::NO_SCRIPT;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "CLIENT TRACKING",
        run: tracking,
        arity: Arity::AtLeast(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] \
                 [OPTOUT] [NOLOOP]",
        summary: "Has the connection told when a key changes that it has read.",
        complexity: "O(n), n the number of prefixes.",
        since: "6.0.0",
    },
    Row {
        name: "CLIENT CACHING",
        run: caching,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "<YES | NO>",
        summary: "Says whether the keys of the next command are remembered.",
        complexity: "O(1)",
        since: "6.0.0",
    },
    Row {
        name: "CLIENT TRACKINGINFO",
        run: tracking_info,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Says how the connection is told of changes.",
        complexity: "O(1)",
        since: "6.2.0",
    },
    Row {
        name: "CLIENT GETREDIR",
        run: getredir,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives the number of the connection that is told in this one's place.",
        complexity: "O(1)",
        since: "6.0.0",
    },
];

/// A connection that hears of changes. Dropping it ends that.
#[derive(Debug)]
pub(super) struct ClientTracking {
    engine: Arc<Engine>,
    tracker: Arc<Tracker>,
}

impl ClientTracking {
    pub(super) fn new(engine: &Arc<Engine>, tracker: &Arc<Tracker>) -> ClientTracking {
        ClientTracking {
            engine: Arc::clone(engine),
            tracker: Arc::clone(tracker),
        }
    }
}

impl Drop for ClientTracking {
    fn drop(&mut self) {
        self.engine.shards.stop_tracking(&self.tracker);
    }
}

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options {
    settings: Settings,
    is_broadcast: bool,
    opts_in: bool,
    opts_out: bool,
}

impl Options {
    fn read(args: &mut Args<'_>, engine: &Engine) -> Result<Options> {
        let mut options = Options::default();
        let settings = &mut options.settings;
        while !args.is_empty() {
            match () {
                () if args.len() > 1 && args.option("REDIRECT") => {
                    if settings.redirect.is_some() {
                        return Err(Error::text(
                            "ERR A client can only redirect to a single other client",
                        ));
                    }
                    let target = u64::try_from(args.int()?).ok();
                    let target = target.and_then(|id| engine.clients.get(id));
                    settings.redirect = Some(target.ok_or(Error::text(
                        "ERR The client ID you want redirect to does not exist",
                    ))?);
                }
                () if args.len() > 1 && args.option("PREFIX") => {
                    settings.prefixes.push(args.bytes()?.into());
                }
                () if args.option("BCAST") => options.is_broadcast = true,
                () if args.option("OPTIN") => options.opts_in = true,
                () if args.option("OPTOUT") => options.opts_out = true,
                () if args.option("NOLOOP") => settings.no_loop = true,
                () => return Err(Error::Syntax),
            }
        }
        Ok(options)
    }

    /// What is to hold for a connection that tracks so already, or not yet.
    fn settings(mut self, old: Option<Settings>) -> Result<Settings> {
        let refuse = |text| Err(Error::text(text));
        if !self.is_broadcast && !self.settings.prefixes.is_empty() {
            return refuse("ERR PREFIX option requires BCAST mode to be enabled");
        }
        let old_mode = old.as_ref().map(|old| old.mode);
        if old_mode.is_some_and(|mode| (mode == Mode::Broadcast) != self.is_broadcast) {
            return refuse(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            );
        }
        if self.is_broadcast && (self.opts_in || self.opts_out) {
            return refuse("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        if self.opts_in && self.opts_out {
            return refuse("ERR You can't specify both OPTIN mode and OPTOUT mode");
        }
        if (self.opts_in && old_mode == Some(Mode::OptOut))
            || (self.opts_out && old_mode == Some(Mode::OptIn))
        {
            return refuse(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, \
                 and then re-enabling it with a different mode.",
            );
        }
        let mut prefixes = old.map(|old| old.prefixes).unwrap_or_default();
        check_prefixes(&prefixes, &self.settings.prefixes)?;
        // Without a prefix it is about all keys, whatever was asked for before.
        let is_about_all = self.is_broadcast && self.settings.prefixes.is_empty();
        if is_about_all && !prefixes.iter().any(|prefix| prefix.is_empty()) {
            prefixes.push(Box::default());
        }
        prefixes.append(&mut self.settings.prefixes);
        prefixes.sort_unstable();
        let mode = match () {
            () if self.is_broadcast => Mode::Broadcast,
            () if self.opts_in => Mode::OptIn,
            () if self.opts_out => Mode::OptOut,
            () => Mode::Reads,
        };
        Ok(Settings {
            mode,
            prefixes,
            ..self.settings
        })
    }
}

/// Refuses prefixes if a key could have two of them.
fn check_prefixes(old: &[Box<[u8]>], new: &[Box<[u8]>]) -> Result<()> {
    let Some(place) = first_overlap(old, new) else {
        return Ok(());
    };
    let prefix = &new[place];
    let overlaps = |other: &[u8]| other.starts_with(prefix) || prefix.starts_with(other);
    let (other, which) = match old.iter().find(|other| overlaps(other)) {
        Some(other) => (other, "an existing prefix"),
        None => {
            let other = new[place + 1..].iter().find(|other| overlaps(other));
            (other.unwrap_or(prefix), "another provided prefix")
        }
    };
    let (prefix, other) = (shown(prefix), shown(other));
    Err(Error::text(format!(
        "ERR Prefix '{prefix}' overlaps with {which} '{other}'. Prefixes for a single client must \
         not overlap."
    )))
}

/// The place of the first new prefix that overlaps with any other. O(n log n): there may be millions.
fn first_overlap(old: &[Box<[u8]>], new: &[Box<[u8]>]) -> Option<usize> {
    let old = old.iter().map(|prefix| (&**prefix, None));
    let new = new.iter().enumerate();
    let mut sorted: Vec<_> = old
        .chain(new.map(|(place, prefix)| (&**prefix, Some(place))))
        .collect();
    sorted.sort_unstable();
    let mut first = None;
    // Those that the next one may begin with, each of which begins with the one before.
    let mut above: Vec<(&[u8], Option<usize>)> = Vec::new();
    for (prefix, place) in sorted {
        while above
            .last()
            .is_some_and(|(other, _)| !prefix.starts_with(other))
        {
            above.pop();
        }
        if let Some(&(_, other)) = above.last() {
            first = [first, place, other].into_iter().flatten().min();
        }
        above.push((prefix, place));
    }
    first
}

fn tracking(call: &mut Call<'_, '_>) -> Result<()> {
    let word = call.args.bytes()?;
    let options = Options::read(&mut call.args, call.engine)?;
    if word.eq_ignore_ascii_case(b"ON") {
        let old = call.session.tracker().map(|tracker| tracker.settings());
        let settings = options.settings(old)?;
        call.session.track(call.engine, settings)?;
    } else if word.eq_ignore_ascii_case(b"OFF") {
        call.session.stop_tracking();
    } else {
        return Err(Error::Syntax);
    }
    call.reply.ok();
    Ok(())
}

fn caching(call: &mut Call<'_, '_>) -> Result<()> {
    let Some(tracker) = call.session.tracker() else {
        return Err(Error::text(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
             OPTOUT mode enabled",
        ));
    };
    let mode = tracker.settings().mode;
    let (wanted, refusal) = match () {
        () if call.args.option("YES") => (
            Mode::OptIn,
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        () if call.args.option("NO") => (
            Mode::OptOut,
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
        () => return Err(Error::Syntax),
    };
    if mode != wanted {
        return Err(Error::text(refusal));
    }
    tracker.set_caching(true);
    call.reply.ok();
    Ok(())
}

fn tracking_info(call: &mut Call<'_, '_>) -> Result<()> {
    let tracker = call.session.tracker();
    let settings = tracker.map(|tracker| tracker.settings());
    let mode = settings.as_ref().map(|settings| settings.mode);
    let is_caching = tracker.is_some_and(|tracker| tracker.is_caching());
    let flags = [
        (mode.is_none(), "off"),
        (mode.is_some(), "on"),
        (mode == Some(Mode::Broadcast), "bcast"),
        (mode == Some(Mode::OptIn), "optin"),
        (mode == Some(Mode::OptIn) && is_caching, "caching-yes"),
        (mode == Some(Mode::OptOut), "optout"),
        (mode == Some(Mode::OptOut) && is_caching, "caching-no"),
        (settings.as_ref().is_some_and(|own| own.no_loop), "noloop"),
        (
            tracker.is_some_and(|tracker| tracker.is_broken()),
            "broken_redirect",
        ),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set);
    let redirect = tracker.map_or(-1, |tracker| tracker.redirected());
    let prefixes = settings.map(|own| own.prefixes).unwrap_or_default();

    call.reply.map(3);
    call.reply.bulk(b"flags");
    call.reply.set(flags.clone().count());
    flags.for_each(|(_, flag)| call.reply.bulk(flag.as_bytes()));
    call.reply.bulk(b"redirect");
    call.reply.int(redirect);
    call.reply.bulk(b"prefixes");
    call.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| call.reply.bulk(prefix));
    Ok(())
}

fn getredir(call: &mut Call<'_, '_>) -> Result<()> {
    let redirected = call.session.tracker().map(|tracker| tracker.redirected());
    call.reply.int(redirected.unwrap_or(-1));
    Ok(())
}
