//! The way of a call to the store and back.

use std::sync::Arc;
use std::time::Duration;

use larder_store::{Command, Error, Refusal, Value};

use crate::fault::Fault;
use crate::faulty::Shared;
use crate::line::Connection;
use crate::plan::Fate;
use crate::refuse::Refuse;
use crate::rows;

/// What a pipeline is answered: a result for each command, or an error if nothing was answered.
pub(crate) type Answers = Result<Vec<Result<Value, Error>>, Error>;

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
            self.happen(fault).await?;
        }
        let Some(connection) = self.line.connection() else {
            return Err(away());
        };
        if let Some((0, Fault::Away)) = fate.fault {
            return Err(away());
        }
        let waits = commands.iter().any(rows::waits);
        let journey = Journey {
            shared: Arc::clone(self),
            connection,
            client: client.into(),
            answered: Vec::new(),
            wanted: commands.len(),
        };
        let travel = journey.travel(units(commands), fate);
        match waits {
            // Who leaves ends the wait.
            true => travel.await,
            // What was sent goes on without its caller.
            false => match self.under_way.spawn(travel).await {
                Ok(answers) => answers,
                Err(_) => Err(unanswered()),
            },
        }
    }
}

/// Commands that are on their way, over one connection.
struct Journey {
    shared: Arc<Shared>,
    connection: Connection,
    client: Box<str>,
    /// What the caller will hear.
    answered: Vec<Result<Value, Error>>,
    /// How many commands there are.
    wanted: usize,
}

impl Journey {
    async fn travel(mut self, units: Vec<Vec<Command>>, fate: Fate) -> Answers {
        let connection = self.connection.clone();
        let patience = fate.patience;
        tokio::select! {
            biased;
            () = connection.cut() => self.answered.clear(),
            () = self.go(units, &fate) => {}
        }
        if self.answered.len() < self.wanted {
            tokio::select! {
                biased;
                () = connection.cut() => {}
                () = pause(patience) => {}
            }
        }
        self.told()
    }

    /// Brings the commands to the store and the answers back.
    async fn go(&mut self, units: Vec<Vec<Command>>, fate: &Fate) {
        pause(fate.request).await;
        let (mut place, mut is_heard) = (0, true);
        let mut units = units.into_iter();
        while let Some(unit) = units.next() {
            let fault = fate.fault_within(place, unit.len());
            place += unit.len();
            let answers = match fault {
                Some(Fault::LoseRequest | Fault::Away) => break,
                Some(Fault::Late(by)) => {
                    self.send_late(std::iter::once(unit).chain(units).collect(), *by);
                    break;
                }
                Some(Fault::Refuse(refuse)) => self.run_refusing(unit, *refuse).await,
                fault => {
                    is_heard &= fault != Some(&Fault::LoseAnswer);
                    self.shared.site.run(unit).await
                }
            };
            match answers {
                Ok(answers) if is_heard => self.answered.extend(answers),
                Err(error) if is_heard => self.answered.push(Err(error)),
                _ => {}
            }
        }
        pause(fate.answer).await;
    }

    /// Sends what comes to the store when its caller does not wait for it any more.
    fn send_late(&self, units: Vec<Vec<Command>>, by: Duration) {
        let (shared, connection) = (Arc::clone(&self.shared), self.connection.clone());
        self.shared.under_way.spawn(async move {
            tokio::time::sleep(by).await;
            for unit in units {
                if connection.is_cut() {
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

    /// What the caller hears.
    fn told(mut self) -> Answers {
        if self.answered.is_empty() && self.wanted > 0 {
            return Err(unanswered());
        }
        self.answered.resize_with(self.wanted, || Err(unanswered()));
        Ok(self.answered)
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

/// Lets time pass, and in any case lets others have a turn: a place where a caller may be dropped.
pub(crate) async fn pause(time: Duration) {
    match time.is_zero() {
        true => tokio::task::yield_now().await,
        false => tokio::time::sleep(time).await,
    }
}

pub(crate) fn away() -> Error {
    Error::away("the plan says that the store is away")
}

pub(crate) fn unanswered() -> Error {
    Error::unanswered("the plan says that the answer is lost")
}
