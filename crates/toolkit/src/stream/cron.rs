//! Times that come again and again, as cron has them.
//!
//! Source: crontab(5) of Vixie cron: five fields, and the rule for days.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use larder_store::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// How many days are looked at for a tick: a 29th of February comes at least once in eight years,
/// and on each day of the week at least once in forty.
const DAYS_MAX: u64 = 40 * 366;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When a schedule ticks: five fields as those of cron, in **UTC**.
///
/// ```text
/// minute (0-59)  hour (0-23)  day of month (1-31)  month (1-12, jan-dec)  day of week (0-7, sun-sat)
/// ```
///
/// A field is `*`, a number, a range `1-5`, each with a step `*/5` or not, or a list of these with
/// commas. 0 and 7 are both Sunday. Where the day of month and the day of week are both said, a day
/// ticks on which one of them is so. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand
/// for what they say.
///
/// ```
/// use larder_toolkit::stream::Cron;
///
/// let each_five_minutes = Cron::parse("*/5 * * * *")?;
/// let on_working_days = Cron::parse("30 8 * * mon-fri")?;
/// assert!(Cron::parse("0 0 31 feb *").is_err());
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    /// Whether a day has to be in both `days` and `weekdays`, as one of them is every day.
    both_days: bool,
}

/// Small numbers, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

/// What a field may hold.
struct Field {
    name: &'static str,
    range: RangeInclusive<u32>,
    /// Names that stand for numbers, from the first of the range on.
    names: &'static [&'static str],
}

impl Set {
    fn has(self, number: u32) -> bool {
        self.0 & (1 << number) != 0
    }

    fn insert(&mut self, number: u32) {
        self.0 |= 1 << number;
    }
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is none, or would never tick; it says what is wrong.
    pub fn parse(text: &str) -> Result<Cron, Error> {
        let refused = |why: String| Error::invalid(format_args!("{text:?} is no schedule: {why}"));
        let cron = read(text).map_err(refused)?;
        match cron.after(0) {
            Some(_) => Ok(cron),
            None => Err(refused("it would never tick".to_owned())),
        }
    }

    /// The first tick after this time, both in milliseconds since the beginning of 1970. `None` if
    /// there is none.
    pub(super) fn after(&self, time_ms: u64) -> Option<u64> {
        let first = (time_ms / MINUTE_MS + 1) * MINUTE_MS;
        let day = first / DAY_MS;
        (day..=day + DAYS_MAX).find_map(|day| {
            let begin = day * DAY_MS;
            let from = first.saturating_sub(begin) / MINUTE_MS;
            let minute = self.has_day(day).then(|| self.minute_of_day(from))??;
            Some(begin + minute * MINUTE_MS)
        })
    }

    /// The first tick of a day that ticks, from this minute of the day on.
    fn minute_of_day(&self, from: u64) -> Option<u64> {
        (from..24 * 60).find(|minute| {
            self.hours.has((minute / 60) as u32) && self.minutes.has((minute % 60) as u32)
        })
    }

    /// Whether there are ticks on this day, counted from the first of January 1970, a Thursday.
    fn has_day(&self, day: u64) -> bool {
        let (month, day_of_month) = date(day);
        let by_month = self.days.has(day_of_month);
        let by_week = self.weekdays.has(((day + 4) % 7) as u32);
        self.months.has(month)
            && match self.both_days {
                true => by_month && by_week,
                false => by_month || by_week,
            }
    }
}

/// The month and the day of the month of a day that is counted from the first of January 1970.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date(day: u64) -> (u32, u32) {
    let since_march_0000 = day + 719_468;
    let day_of_era = since_march_0000 % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = (months_since_march + 2) % 12 + 1;
    (month as u32, day_of_month as u32)
}

fn read(text: &str) -> Result<Cron, String> {
    let long = match text.trim() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        text => text,
    };
    let fields: Vec<&str> = long.split_whitespace().collect();
    let &[minutes, hours, days, months, weekdays] = &fields[..] else {
        return Err(format!("it has {} fields and not 5", fields.len()));
    };
    let field = |name, range, names| Field { name, range, names };
    let mut cron = Cron {
        text: fields.join(" "),
        minutes: field("minute", 0..=59, &[]).read(minutes)?,
        hours: field("hour", 0..=23, &[]).read(hours)?,
        days: field("day of month", 1..=31, &[]).read(days)?,
        months: field("month", 1..=12, &MONTHS).read(months)?,
        weekdays: field("day of week", 0..=7, &DAYS).read(weekdays)?,
        both_days: days.starts_with('*') || weekdays.starts_with('*'),
    };
    if cron.weekdays.has(7) {
        cron.weekdays.insert(0);
    }
    Ok(cron)
}

impl Field {
    fn read(&self, text: &str) -> Result<Set, String> {
        let mut set = Set::default();
        for part in text.split(',') {
            let (numbers, step) = match part.split_once('/') {
                Some((numbers, step)) => (numbers, self.step(step)?),
                None => (part, 1),
            };
            let numbers = match numbers.split_once('-') {
                _ if numbers == "*" => self.range.clone(),
                Some((first, last)) => self.number(first)?..=self.number(last)?,
                // A step from a number on goes to the end.
                None if part.contains('/') => self.number(numbers)?..=*self.range.end(),
                None => self.number(numbers)?..=self.number(numbers)?,
            };
            if numbers.is_empty() {
                return Err(format!("the {} {part:?} ends before it begins", self.name));
            }
            numbers.step_by(step).for_each(|number| set.insert(number));
        }
        Ok(set)
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        match text.parse() {
            Ok(step) if step > 0 => Ok(step),
            _ => Err(format!(
                "a step of the {} is a number above 0, not {text:?}",
                self.name
            )),
        }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(index) => Some(self.range.start() + index as u32),
            None => text.parse().ok(),
        };
        number
            .filter(|number| self.range.contains(number))
            .ok_or_else(|| {
                let (first, last) = (self.range.start(), self.range.end());
                format!("the {} is {first} to {last}, not {text:?}", self.name)
            })
    }
}

impl FromStr for Cron {
    type Err = Error;

    /// [`Cron::parse`].
    fn from_str(text: &str) -> Result<Cron, Error> {
        Cron::parse(text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cron, D::Error> {
        text::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday, the 13th of November 2026, 08:07:30 UTC.
    const NOW: u64 = 1_794_557_250_000;

    /// The ticks after `NOW`, in minutes from its day's midnight.
    fn ticks(text: &str, count: usize) -> Vec<u64> {
        let cron = Cron::parse(text).expect("it is a schedule");
        let mut time = NOW;
        let mut next = || {
            time = cron.after(time).expect("it ticks");
            (time - NOW / DAY_MS * DAY_MS) / MINUTE_MS
        };
        (0..count).map(|_| next()).collect()
    }

    const DAY: u64 = 24 * 60;
    const EIGHT: u64 = 8 * 60;

    #[test]
    fn a_tick_comes_after_the_time_and_never_at_it() {
        assert_eq!(ticks("* * * * *", 2), [EIGHT + 8, EIGHT + 9]);
        assert_eq!(
            ticks("*/5 * * * *", 3),
            [EIGHT + 10, EIGHT + 15, EIGHT + 20]
        );
        assert_eq!(ticks("7 8 * * *", 1), [DAY + EIGHT + 7]);
    }

    #[test]
    fn lists_ranges_and_steps_are_read_as_cron_reads_them() {
        assert_eq!(ticks("0 9-17/4,22 * * *", 4), [540, 780, 1020, 1320]);
        assert_eq!(
            ticks("50/5 8 * * *", 3),
            [EIGHT + 50, EIGHT + 55, DAY + EIGHT + 50]
        );
        assert_eq!(ticks("@hourly", 1), [EIGHT + 60]);
    }

    #[test]
    fn a_day_of_the_week_is_found_by_number_and_by_name() {
        // The 14th is a Saturday.
        for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "@weekly"] {
            assert_eq!(ticks(sunday, 2), [2 * DAY, 9 * DAY], "{sunday}");
        }
        assert_eq!(ticks("0 0 * * Mon-Fri", 2), [3 * DAY, 4 * DAY]);
    }

    #[test]
    fn a_day_ticks_by_the_month_or_by_the_week_if_both_are_said() {
        assert_eq!(ticks("0 0 15 * sat", 3), [DAY, 2 * DAY, 8 * DAY]);
        // Here one of them is every day.
        assert_eq!(ticks("0 0 */2 * sun", 1), [2 * DAY]);
    }

    #[test]
    fn a_leap_day_is_waited_for() {
        // The 29th of February 2028.
        assert_eq!(ticks("0 0 29 2 *", 1), [473 * DAY]);
        assert!(Cron::parse("0 0 29 2 *").is_ok_and(|cron| cron.after(u64::MAX / 2).is_some()));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "1,,2 * * * *",
            "0 0 31 feb *",
            "@often",
        ] {
            assert!(Cron::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
