//! The way of a call to the store and back.

use std::sync::Arc;
use std::time::Duration;

use larder_store::shape::Wait;
use larder_store::{Command, Delivery, Error, Refusal, Value};

use crate::asking::Answers;
use crate::fault::{Fault, away, unanswered};
use crate::line::Connection;
use crate::pause::pause;
use crate::plan::Fate;
use crate::refuse::Refuse;
use crate::rows;
use crate::shared::Shared;

impl Shared {
    /// Asks the store, by way of what goes wrong, and writes down what became of it.
    pub(crate) async fn exchange(
        self: &Arc<Shared>,
        client: &str,
        commands: Vec<Command>,
    ) -> Answers {
        let fate = self.fate(client, &commands);
        let asked = self.write_down(client, commands.clone(), &fate);
        let answers = self.carry(client, commands, fate).await;
        asked.answer(answers.clone());
        answers
    }

    async fn carry(
        self: &Arc<Shared>,
        client: &str,
        commands: Vec<Command>,
        fate: Fate,
    ) -> Answers {
        // Whoever is dropped here has asked nothing.
        pause(Duration::ZERO).await;
        for fault in &fate.before {
            self.happen(Some(client), fault).await?;
        }
        let Some(connection) = self.line.connection(client) else {
            return Err(away());
        };
        if let Some((0, Fault::Away)) = fate.fault {
            return Err(away());
        }
        let time = time_of(&commands);
        let answered = self.answered(client, connection, commands, fate);
        match time {
            Some(time) => (tokio::time::timeout(time, answered).await)
                .unwrap_or_else(|_| Err(Error::unanswered("its caller waits no longer"))),
            None => answered.await,
        }
    }

    /// What is heard of commands that leave over this connection.
    async fn answered(
        self: &Arc<Shared>,
        client: &str,
        connection: Connection,
        commands: Vec<Command>,
        fate: Fate,
    ) -> Answers {
        let (waits, wanted) = (commands.iter().any(rows::waits), commands.len());
        let outward = Outward {
            shared: Arc::clone(self),
            connection: connection.clone(),
            client: client.into(),
        };
        let (answer, patience) = (fate.answer, fate.patience);
        let sent = outward.go(units(commands), fate);
        let mut answered = match waits {
            // Who leaves ends the wait.
            true => sent.await,
            // What was sent goes on without its caller.
            false => self.under_way.spawn(sent).await.unwrap_or_default(),
        };
        if connection.cut_within(answer).await {
            answered.clear();
        }
        if answered.len() < wanted {
            connection.cut_within(patience).await;
        }
        told(answered, wanted)
    }
}

/// How long the caller of commands waits for their answers: the time that it has said, and on top of it
/// the time that they wait by themselves.
fn time_of(commands: &[Command]) -> Option<Duration> {
    let within = Delivery::of_all(commands).within?;
    match Wait::of_all(commands) {
        None => Some(within),
        Some(Wait::For(wait)) => Some(within.saturating_add(wait)),
        Some(Wait::Forever) => None,
    }
}

/// What the caller hears of answers to so many commands.
fn told(mut answered: Vec<Result<Value, Error>>, wanted: usize) -> Answers {
    if answered.is_empty() && wanted > 0 {
        return Err(unanswered());
    }
    answered.resize_with(wanted, || Err(unanswered()));
    Ok(answered)
}

/// The way of commands to the store, over one connection.
struct Outward {
    shared: Arc<Shared>,
    connection: Connection,
    client: Box<str>,
}

impl Outward {
    /// Brings the commands to the store, and gives the answers that will be heard.
    async fn go(self, units: Vec<Vec<Command>>, fate: Fate) -> Vec<Result<Value, Error>> {
        if self.connection.cut_within(fate.request).await {
            return Vec::new();
        }
        tokio::select! {
            biased;
            () = self.connection.cut() => Vec::new(),
            answered = self.run(units, &fate) => answered,
        }
    }

    async fn run(&self, units: Vec<Vec<Command>>, fate: &Fate) -> Vec<Result<Value, Error>> {
        let (mut answered, mut is_heard) = (Vec::new(), true);
        let mut place = 0;
        let mut units = units.into_iter();
        while let Some(unit) = units.next() {
            let fault = fate.fault_within(place, unit.len());
            place += unit.len();
            is_heard &= fault != Some(&Fault::LoseAnswer);
            let answers = match fault {
                Some(Fault::LoseRequest | Fault::Away) => break,
                Some(Fault::Late(by)) => {
                    self.send_late(std::iter::once(unit).chain(units).collect(), *by);
                    break;
                }
                Some(Fault::Refuse(refuse)) => self.run_refusing(unit, *refuse).await,
                _ => {
                    let shared = &self.shared;
                    shared.parts.run(&shared.site, unit, fate.request).await
                }
            };
            if is_heard {
                answered.extend(answers.unwrap_or_else(|error| vec![Err(error)]));
            }
        }
        answered
    }

    /// Sends what comes to the store when its caller does not wait for it any more, up to the first that
    /// would wait there: nobody is connected who could.
    fn send_late(&self, units: Vec<Vec<Command>>, by: Duration) {
        let (shared, connection) = (Arc::clone(&self.shared), self.connection.clone());
        self.shared.under_way.spawn(async move {
            if connection.cut_within(by).await {
                return;
            }
            for unit in units {
                if connection.is_cut() || unit.iter().any(rows::waits) {
                    return;
                }
                // Nobody hears the answer.
                let _ = shared.site.run(unit).await;
            }
        });
    }

    async fn run_refusing(&self, unit: Vec<Command>, refuse: Refuse) -> Answers {
        if unit.iter().any(|command| refuse.refuses(command)) {
            return Ok(refused(&unit, refuse));
        }
        let guarded = { unit.into_iter() }
            .map(|command| self.shared.scripts.guarded(&self.client, command, refuse))
            .collect::<Result<Vec<Command>, Error>>();
        match guarded {
            Ok(unit) => self.shared.site.run(unit).await,
            Err(error) => Ok(vec![Err(error)]),
        }
    }
}

impl Fate {
    /// What happens to one of so many commands from this place on.
    fn fault_within(&self, place: usize, count: usize) -> Option<&Fault> {
        let (at, fault) = self.fault.as_ref()?;
        (place..place + count).contains(at).then_some(fault)
    }
}

/// The commands one by one, but those of a transaction together.
fn units(commands: Vec<Command>) -> Vec<Vec<Command>> {
    let is = |command: &Command, name: &str| command.name().eq_ignore_ascii_case(name.as_bytes());
    let mut units: Vec<Vec<Command>> = Vec::new();
    let mut is_open = false;
    for command in commands {
        let ends = is(&command, "EXEC") || is(&command, "DISCARD");
        let begins = is(&command, "MULTI");
        match units.last_mut() {
            Some(unit) if is_open => unit.push(command),
            _ => units.push(vec![command]),
        }
        is_open = begins || (is_open && !ends);
    }
    units
}

/// What a store answers that refuses some of these commands: one, or a transaction.
fn refused(unit: &[Command], refuse: Refuse) -> Vec<Result<Value, Error>> {
    let [first @ .., _] = unit else {
        return Vec::new();
    };
    if first.is_empty() {
        return vec![Err(refuse.error())];
    }
    let queued = first[1..]
        .iter()
        .map(|command| match refuse.refuses(command) {
            true => Err(refuse.error()),
            false => Ok(Value::Status("QUEUED".into())),
        });
    let aborted = "EXECABORT Transaction discarded because of previous errors.";
    let aborted = Err(Error::Refused(Refusal::new(aborted)));
    [Ok(Value::ok())]
        .into_iter()
        .chain(queued)
        .chain([aborted])
        .collect()
}
