//! The notation in which a command's row describes its arguments, as a tree to make requests from.
//!
//! `[x]` may be left out, `<a | b>` is a choice, `[key ...]` repeats, capitals and signs are
//! written as they stand, and everything else is the name of a value.

/// A part of a syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A word that is written as it stands.
    Literal(String),
    /// A value of this name.
    Value(String),
    /// One of several sequences.
    OneOf(Vec<Vec<Part>>),
    /// One of several sequences, or none.
    Optional(Vec<Vec<Part>>),
    /// A sequence, any number of times.
    Repeated(Vec<Part>),
}

/// The parts that a syntax describes.
pub(super) fn parts(syntax: &str) -> Vec<Part> {
    let spaced = ["[", "]", "<", ">", "|"]
        .iter()
        .fold(syntax.to_owned(), |text, mark| {
            text.replace(mark, &format!(" {mark} "))
        });
    let words: Vec<&str> = spaced.split_whitespace().collect();
    sequence(&mut words.into_iter().peekable())
}

type Words<'a> = std::iter::Peekable<std::vec::IntoIter<&'a str>>;

/// Parts up to a mark that ends them, which stays to be read.
fn sequence(words: &mut Words<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(word) = words.next_if(|word| !matches!(*word, "]" | ">" | "|" | "...")) {
        parts.push(match word {
            "[" => bracket(words),
            "<" => Part::OneOf(choices(words)),
            word if word.contains(|c: char| c.is_ascii_lowercase()) => Part::Value(word.to_owned()),
            word => Part::Literal(word.to_owned()),
        });
    }
    parts
}

/// What stands between `[` and `]`: it may be left out, or repeats.
fn bracket(words: &mut Words<'_>) -> Part {
    let mut all = vec![sequence(words)];
    if words.next_if_eq(&"...").is_some() {
        words.next();
        return Part::Repeated(all.remove(0));
    }
    all.extend(more_choices(words));
    Part::Optional(all)
}

fn choices(words: &mut Words<'_>) -> Vec<Vec<Part>> {
    let mut all = vec![sequence(words)];
    all.extend(more_choices(words));
    all
}

/// The choices behind the first one, and the mark that ends them.
fn more_choices(words: &mut Words<'_>) -> Vec<Vec<Part>> {
    let mut all = Vec::new();
    while words.next_if_eq(&"|").is_some() {
        all.push(sequence(words));
    }
    words.next();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Part {
        Part::Value(name.to_owned())
    }

    fn literal(word: &str) -> Part {
        Part::Literal(word.to_owned())
    }

    #[test]
    fn a_syntax_is_read_into_parts() {
        let condition = Part::Optional(vec![vec![literal("NX")], vec![literal("XX")]]);
        let pairs = Part::Repeated(vec![value("score"), value("member")]);
        assert_eq!(
            parts("key [NX | XX] [score member ...]"),
            [value("key"), condition, pairs]
        );
        let id = Part::OneOf(vec![vec![literal("*")], vec![value("id")]]);
        assert_eq!(parts("<* | id>"), [id]);
        let keys = Part::Optional(vec![vec![value("key"), Part::Repeated(vec![value("key")])]]);
        assert_eq!(parts("[key [key ...]]"), [keys]);
    }

    #[test]
    fn every_syntax_of_the_table_is_read_to_its_end() {
        for (_, command) in larder_engine::commands() {
            let words = command.syntax.split([' ', '[', ']', '<', '>', '|']);
            let wanted = words.filter(|word| !matches!(*word, "" | "...")).count();
            let repeated = command.syntax.matches("...").count();
            let read = count(&parts(command.syntax));
            assert!(
                read == wanted && repeated == repetitions(command.syntax),
                "{}",
                command.name
            );
        }
    }

    fn repetitions(syntax: &str) -> usize {
        format!("{:?}", parts(syntax)).matches("Repeated").count()
    }

    fn count(parts: &[Part]) -> usize {
        let all = |choices: &[Vec<Part>]| choices.iter().map(|parts| count(parts)).sum();
        parts
            .iter()
            .map(|part| match part {
                Part::Literal(_) | Part::Value(_) => 1,
                Part::OneOf(choices) | Part::Optional(choices) => all(choices),
                Part::Repeated(parts) => count(parts),
            })
            .sum()
    }
}
