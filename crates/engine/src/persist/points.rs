//! Save points: after how many seconds and changes a store is saved by itself.

/// After so many seconds a snapshot is made if there were so many changes since the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) seconds: u64,
    pub(crate) changes: u64,
}

/// All of them.
pub(crate) type Points = Vec<Point>;

/// Reads save points as `save` has them: pairs of seconds and changes. Nothing is none.
///
/// # Errors
///
/// What is wrong with them, in Redis's words.
pub(crate) fn read_points(text: &[u8]) -> Result<Points, String> {
    let words = text.split(u8::is_ascii_whitespace);
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    let number = |word: &[u8], min: i64| {
        let number = crate::args::parse_int(word).filter(|number| *number >= min);
        number.and_then(|number| u64::try_from(number).ok())
    };
    let point = |pair: &[&[u8]]| {
        let &[seconds, changes] = pair else {
            return None;
        };
        let (seconds, changes) = (number(seconds, 1)?, number(changes, 0)?);
        Some(Point { seconds, changes })
    };
    let points: Option<Points> = words.chunks(2).map(point).collect();
    points.ok_or_else(|| "Invalid save parameters".to_owned())
}

/// The text of save points, as CONFIG GET shows it.
pub(crate) fn text_of(points: &[Point]) -> String {
    let texts = points.iter();
    let texts = texts.map(|Point { seconds, changes }| format!("{seconds} {changes}"));
    texts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_pairs_of_seconds_and_changes() {
        let points = read_points(b"3600 1  300 100").unwrap();
        assert_eq!(text_of(&points), "3600 1 300 100");
        assert_eq!(read_points(b""), Ok(Vec::new()));
        for wrong in ["1", "0 1", "1 -1", "x 1", "1 2 3"] {
            assert!(read_points(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
