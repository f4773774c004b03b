//! Running a case: checking what comes, or recording it.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use super::parse::{Action, Answers, Case, Step};
use super::target::{Connection, Open, PATIENCE};
use super::value::{Came, Complaint, Expected};

/// How long nothing has to come before that counts as nothing.
const QUIET: Duration = Duration::from_millis(60);

/// Answers that a recording puts in the place of lines, counted from 0.
type Replacement = (Range<usize>, Vec<String>);

/// Runs a case. Answers what came otherwise than the text says.
pub(super) fn check(target: &mut dyn Open, case: &Case) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let Some(mut talk) = Talk::begin(target, case) else {
        return complaints;
    };
    for step in &case.steps {
        let Some(answers) = talk.act(step) else {
            continue;
        };
        let connection = talk.connection();
        let came: Vec<Came> = answers
            .expected
            .iter()
            .map(|one| expect(connection, one))
            .collect();
        let is_right = came
            .iter()
            .zip(&answers.expected)
            .all(|(came, wanted)| wanted.matches(came, answers.order));
        if answers.expected.is_empty() || !is_right {
            complaints.push((step.line, difference(case, step, &came)));
        }
    }
    for (name, connection) in &mut talk.connections {
        if let Came::Value(frame) = connection.receive(Duration::ZERO) {
            let line = case.steps.last().map_or(0, |step| step.line);
            let came = Came::Value(frame).lines().join("\n    ");
            let title = &case.title;
            complaints.push((
                line,
                format!("{title}\n  came unread on client {name}\n    {came}"),
            ));
        }
    }
    complaints
}

/// Runs a case. Answers what has to be written in the place of what; `None` if the case is not
/// meant for the target.
pub(super) fn record(target: &mut dyn Open, case: &Case) -> Option<Vec<Replacement>> {
    let mut talk = Talk::begin(target, case)?;
    let mut replacements = Vec::new();
    for step in &case.steps {
        let Some(answers) = talk.act(step) else {
            continue;
        };
        let came = all_that_comes(talk.connection());
        let stands = came.len() == answers.expected.len()
            && came
                .iter()
                .zip(&answers.expected)
                .all(|(came, wanted)| wanted.matches(came, answers.order));
        if !stands {
            let lines = came.iter().flat_map(Came::lines).collect();
            replacements.push((answers.place.clone(), lines));
        }
    }
    Some(replacements)
}

/// What comes until nothing more does: that nothing comes at all counts as well.
fn all_that_comes(connection: &mut dyn Connection) -> Vec<Came> {
    let mut all = vec![connection.receive(QUIET)];
    while let Some(Came::Value(_)) = all.last() {
        match connection.receive(QUIET / 4) {
            Came::Nothing => break,
            came => all.push(came),
        }
    }
    all
}

fn expect(connection: &mut dyn Connection, wanted: &Expected) -> Came {
    connection.receive(match wanted {
        Expected::Nothing => QUIET,
        Expected::Closed | Expected::Value(_) => PATIENCE,
    })
}

/// What was wanted beside what came, for people.
fn difference(case: &Case, step: &Step, came: &[Came]) -> String {
    let (command, answers) = match &step.action {
        Action::Send(words, answers) => (
            words
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect::<Vec<_>>()
                .join(" "),
            answers,
        ),
        Action::Read(answers) => ("<".into(), answers),
        Action::Client(_) | Action::Resp3 | Action::Pass(_) => return case.title.clone(),
    };
    let block = |lines: Vec<String>| lines.join("\n    ");
    let wanted = block(answers.expected.iter().flat_map(Expected::lines).collect());
    let came = block(came.iter().flat_map(Came::lines).collect());
    let title = &case.title;
    match wanted.is_empty() {
        true => format!("{title}\n  > {command}\n  has no answer written below it"),
        false => format!("{title}\n  > {command}\n  wanted\n    {wanted}\n  came\n    {came}"),
    }
}

/// A case under way.
struct Talk<'a> {
    target: &'a mut dyn Open,
    connections: HashMap<String, Box<dyn Connection>>,
    current: String,
}

impl<'a> Talk<'a> {
    /// Begins a case. `None` if it is not meant for the target.
    fn begin(target: &'a mut dyn Open, case: &Case) -> Option<Talk<'a>> {
        if !target.takes(case) {
            return None;
        }
        target.begin();
        Some(Talk {
            target,
            connections: HashMap::new(),
            current: "a".into(),
        })
    }

    fn connection(&mut self) -> &mut dyn Connection {
        let target = &mut self.target;
        self.connections
            .entry(self.current.clone())
            .or_insert_with(|| target.connect())
            .as_mut()
    }

    /// Does what the step says, and answers what is to come then.
    fn act<'b>(&mut self, step: &'b Step) -> Option<&'b Answers> {
        match &step.action {
            Action::Send(words, answers) => {
                self.connection().send(words);
                return Some(answers);
            }
            Action::Read(answers) => return Some(answers),
            Action::Client(name) => self.current.clone_from(name),
            Action::Pass(time) => self.target.pass(*time),
            Action::Resp3 => {
                let connection = self.connection();
                connection.send(&[b"HELLO".to_vec(), b"3".to_vec()]);
                connection.receive(PATIENCE);
            }
        }
        None
    }
}
