//! LATENCY: what took long.

use super::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::commands;
use crate::error::{Error, Result, shown};
use crate::observe::histogram::Snapshot;
use crate::observe::latency::Series;

const FLAGS: Flags = Flags::ADMIN.and(Flags::NO_SCRIPT);

/// How many rows of characters a graph has.
const GRAPH_ROWS: usize = 4;

/// How many samples a graph shows, one a column: the newest.
const GRAPH_COLUMNS: usize = 80;

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "LATENCY LATEST",
        run: latest,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Gives the latest sample of each event that took long, and the longest.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "LATENCY HISTORY",
        run: history,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "event",
        summary: "Gives the samples of an event.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "LATENCY RESET",
        run: reset,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[event [event ...]]",
        summary: "Forgets the samples of events, or of all.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "LATENCY GRAPH",
        run: graph,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "event",
        summary: "Draws the samples of an event.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "LATENCY DOCTOR",
        run: doctor,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "",
        summary: "Says in words what took long.",
        complexity: "O(1)",
        since: "2.8.13",
    },
    Row {
        name: "LATENCY HISTOGRAM",
        run: histogram,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: FLAGS,
        syntax: "[command [command ...]]",
        summary: "Says how the times of commands are distributed.",
        complexity: "O(n), n the number of commands.",
        since: "7.0.0",
    },
    help::row("LATENCY HELP", "2.8.13"),
];

// --- samples ----------------------------------------------------------------------------------

fn latest(call: &mut Call<'_, '_>) -> Result<()> {
    let events = call.engine.stats.latency.events();
    let latest = events
        .iter()
        .filter_map(|(event, series)| Some((event, series.samples.back()?, series.longest_ms)));
    let latest: Vec<_> = latest.collect();
    call.reply.array(latest.len());
    for (event, sample, longest_ms) in latest {
        call.reply.array(4);
        call.reply.bulk(event.as_bytes());
        call.reply.int(sample.at_s as i64);
        call.reply.int(sample.took_ms as i64);
        call.reply.int(longest_ms as i64);
    }
    Ok(())
}

fn history(call: &mut Call<'_, '_>) -> Result<()> {
    let event = call.engine.stats.latency.event(call.args.bytes()?);
    let samples = event.map(|(_, series)| series.samples).unwrap_or_default();
    call.reply.array(samples.len());
    for sample in samples {
        call.reply.array(2);
        call.reply.int(sample.at_s as i64);
        call.reply.int(sample.took_ms as i64);
    }
    Ok(())
}

fn reset(call: &mut Call<'_, '_>) -> Result<()> {
    let names: Vec<&[u8]> = call.args.rest().collect();
    let forgotten = call.engine.stats.latency.forget(&names);
    call.reply.int(forgotten as i64);
    Ok(())
}

// --- for people -------------------------------------------------------------------------------

fn graph(call: &mut Call<'_, '_>) -> Result<()> {
    let name = call.args.bytes()?;
    let Some((event, series)) = call.engine.stats.latency.event(name) else {
        let name = shown(name);
        return Err(Error::text(format!(
            "ERR No samples available for event '{name}'"
        )));
    };
    call.reply
        .verbatim(&drawn(event, &series, call.now().unix_ms() / 1000));
    Ok(())
}

/// A drawing of the newest samples: a column each, with how long ago it was below it.
fn drawn(event: &str, series: &Series, now_s: u64) -> String {
    let skipped = series.samples.len().saturating_sub(GRAPH_COLUMNS);
    let samples: Vec<_> = series.samples.iter().skip(skipped).collect();
    let times = || samples.iter().map(|sample| sample.took_ms);
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut text = format!(
        "{event} - high {high} ms, low {low} ms (all time high {} ms)\n",
        series.longest_ms
    );
    text.push_str(&"-".repeat(GRAPH_COLUMNS));
    text.push('\n');
    // Each row of characters has three heights: `_`, `o` and `#`.
    let steps = (GRAPH_ROWS * 3) as u64;
    let height = |took_ms: u64| ((took_ms - low) * steps / (high - low).max(1)).min(steps - 1);
    for row in (0..GRAPH_ROWS as u64).rev() {
        let column = |took_ms: u64| match height(took_ms).checked_sub(row * 3) {
            None => ' ',
            Some(0) => '_',
            Some(1) => 'o',
            Some(2) => '#',
            Some(_) => '|',
        };
        text.extend(times().map(column));
        text.push('\n');
    }
    let ages: Vec<String> = samples
        .iter()
        .map(|sample| age(now_s.saturating_sub(sample.at_s)))
        .collect();
    let longest = ages.iter().map(String::len).max().unwrap_or(0);
    text.push_str(&" ".repeat(samples.len()));
    text.push('\n');
    for place in 0..longest {
        let nth = |age: &String| age.chars().nth(place).unwrap_or(' ');
        text.extend(ages.iter().map(nth));
        text.push('\n');
    }
    text
}

/// How long ago something was, for people.
fn age(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..86_400 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

fn doctor(call: &mut Call<'_, '_>) -> Result<()> {
    let threshold_ms = call.engine.config.latency_threshold_ms();
    let events = call.engine.stats.latency.events();
    let text = match () {
        () if threshold_ms == 0 => {
            "Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> begins \
             with it.\n"
                .to_owned()
        }
        () if events.is_empty() => {
            format!(
                "Nothing has taken {threshold_ms} ms or more. There is nothing to worry about.\n"
            )
        }
        () => diagnosis(&events, threshold_ms),
    };
    call.reply.verbatim(&text);
    Ok(())
}

/// What took long, and what may help.
fn diagnosis(events: &[(&'static str, Series)], threshold_ms: u64) -> String {
    let mut text = format!("Events that took {threshold_ms} ms or more:\n\n");
    for (event, series) in events {
        let times = || series.samples.iter().map(|sample| sample.took_ms);
        let count = series.samples.len() as u64;
        let average = times().sum::<u64>() / count.max(1);
        text.push_str(&format!(
            "{event}: {count} seconds with such events, {average} ms on the average, the longest \
             {} ms.\n",
            series.longest_ms
        ));
    }
    text.push_str(
        "\nSLOWLOG GET shows which commands were slow; they have as much to do as their \
         complexity says (COMMAND DOCS).\n",
    );
    if events.iter().any(|(event, _)| *event == "fast-command") {
        text.push_str(
            "Commands that take next to no time were slow: other processes may keep the \
             processors busy, or the machine may be short of memory.\n",
        );
    }
    text
}

// --- distributions ----------------------------------------------------------------------------

fn histogram(call: &mut Call<'_, '_>) -> Result<()> {
    let wanted: Vec<String> = call
        .args
        .rest()
        .map(|name| larder_resp::text_of(name).to_ascii_lowercase())
        .collect();
    let histograms = &call.engine.stats.histograms;
    let of_all = commands().filter_map(|(_, command)| {
        let histogram = histograms.of(command)?;
        Some((command.full_name(), histogram))
    });
    let of_all: Vec<(String, Snapshot)> = of_all.collect();
    let timed: Vec<&(String, Snapshot)> = match wanted.is_empty() {
        true => of_all.iter().collect(),
        // In the order in which they are asked for, and as often.
        false => { wanted.iter() }
            .flat_map(|wanted| of_all.iter().filter(|(name, _)| is_part(name, wanted)))
            .collect(),
    };
    call.reply.map(timed.len());
    for (name, times) in timed {
        call.reply.bulk(name.as_bytes());
        call.reply.map(2);
        call.reply.bulk(b"calls");
        call.reply.int(times.calls as i64);
        call.reply.bulk(b"histogram_usec");
        let doublings = times.doublings();
        call.reply.map(doublings.len());
        for (us, calls) in doublings {
            call.reply.int(us as i64);
            call.reply.int(calls as i64);
        }
    }
    Ok(())
}

/// Whether a command is the one that is asked for, or one of its subcommands.
fn is_part(name: &str, wanted: &str) -> bool {
    let container = name.split('|').next().unwrap_or_default();
    name == wanted || container == wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::latency::Sample;

    /// The times and the drawing are those of a redis-server 7.0.
    #[test]
    fn a_graph_has_a_column_for_each_sample_as_redis_draws_it() {
        let times_ms = [10, 50, 43, 21, 60, 37, 44, 26];
        let samples = (1..).zip(times_ms);
        let samples = samples.map(|(at_s, took_ms)| Sample { at_s, took_ms });
        let series = Series {
            longest_ms: 60,
            samples: samples.collect(),
        };
        let lines = drawn("command", &series, 67);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(
            lines[0],
            "command - high 60 ms, low 10 ms (all time high 60 ms)"
        );
        let drawing = [
            " _  #   ", " |o |_# ", " || |||_", "_||#||||", "        ", "11111115", "mmmmmmm9",
            "       s",
        ];
        assert_eq!(lines[2..], drawing);
    }
}
