//! Outcomes, assumptions and recommendations as text.

use words::escaped;

use crate::LIMITS;
use crate::assumptions::assumptions;
use crate::chance::Interval;
use crate::model::Rollout;
use crate::outcome::Outcome;
use crate::predict::Prediction;
use crate::recommend::{Candidate, Recommendation};

/// What each plan came to, side by side, and why.
pub fn render_outcomes(rollout: &Rollout, all: &[Outcome]) -> String {
    let fault = all.first().and_then(|first| first.fault.as_deref());
    let text = outcomes(rollout, all, fault.unwrap_or("none, a good update"));
    format!("{text}\n{}\n", wrapped(LIMITS))
}

/// The same without what a simulation does not show.
pub(crate) fn outcomes(rollout: &Rollout, outcomes: &[Outcome], fault: &str) -> String {
    let mut text = String::new();
    if let Some(first) = outcomes.first() {
        text.push_str(&format!(
            "{}: {} machines, update {}, fault: {}\n\n",
            escaped(&rollout.name),
            number(first.machines as f64),
            escaped(&rollout.update.name),
            escaped(fault),
        ));
    }
    let loss = format!("Loss ({})", escaped(&rollout.costs.unit));
    let head =
        ["Plan", "Took it", "Broken", "Machine-hours", "Touches", &loss, "Not back", "97 % back"];
    let rows = outcomes.iter().map(|it| {
        [
            escaped(&it.plan).to_string(),
            number(it.took as f64),
            number(it.broke as f64),
            number(it.machine_hours()),
            number(it.touches.total() as f64),
            number(it.loss(&rollout.costs)),
            number(it.still_broken as f64),
            moment(it.milestones.nearly_all_back),
        ]
    });
    text.push_str(&table(&head, rows));
    for outcome in outcomes {
        text.push_str(&format!("\n{}\n", escaped(&outcome.plan)));
        for line in story(outcome) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// Why it came so, a sentence a line.
fn story(outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![why(outcome)];
    let milestones = &outcome.milestones;
    let done: Vec<String> = [
        ("no further ring", milestones.halted),
        ("withdrawn", milestones.withdrawn),
        ("good content and remediation given out", milestones.remediation),
        ("version before given out", milestones.rolled_back),
    ]
    .into_iter()
    .filter_map(|(what, when)| Some(format!("{what} after {}", time(when?))))
    .collect();
    if !done.is_empty() {
        lines.push(format!("{}.", upper(&done.join(", "))));
    }
    let back: Vec<String> = outcome
        .recovered
        .iter()
        .filter(|(_, times)| *times > 0)
        .map(|(layer, times)| format!("{} {}", escaped(layer), number(*times as f64)))
        .collect();
    if !back.is_empty() {
        lines.push(format!("Brought back by: {}.", back.join(", ")));
    }
    if outcome.broke_again > 0 || outcome.rolled_back > 0 {
        lines.push(format!(
            "Broken again: {}. Saved before they broke: {}.",
            number(outcome.broke_again as f64),
            number(outcome.rolled_back as f64)
        ));
    }
    if outcome.refusals > 0 || outcome.longest_queue > 0 {
        lines.push(format!(
            "Requests refused: {}. Most machines waiting for hands: {}.",
            number(outcome.refusals as f64),
            number(outcome.longest_queue as f64)
        ));
    }
    lines
}

/// Where it was stopped, or why not.
fn why(outcome: &Outcome) -> String {
    let begun = outcome.rings.iter().rposition(|ring| ring.began.is_some()).unwrap_or(0);
    let Some(alarm) = &outcome.alarm else {
        return match (outcome.rings.get(begun + 1), outcome.broke) {
            (Some(next), _) => format!(
                "There was no alarm, but {} never began: too few healthy starts were reported, or the time was up.",
                escaped(&next.name)
            ),
            (None, 0) => "It went through without an alarm.".to_owned(),
            (None, _) => "Nothing stopped it: no rule gave an alarm.".to_owned(),
        };
    };
    let share = |value: f64| format!("{:.2} %", value * 100.0);
    let by = match &alarm.rule {
        Some(rule) => format!(
            "by {rule}, {} of {} machines, at least {}",
            number(alarm.hits as f64),
            number(alarm.tries as f64),
            share(alarm.at_least)
        ),
        None => "by people, no rule having seen it".to_owned(),
    };
    let broken = number(alarm.broke as f64);
    let when = time(alarm.minute);
    let milestones = &outcome.milestones;
    if milestones.halted.is_none() && milestones.withdrawn.is_none() {
        return format!("The alarm came after {when}, {by}, but nothing was stopped.");
    }
    if outcome.broke == 0 {
        return format!("A false alarm after {when}, {by}.");
    }
    let Some(ring) = outcome.rings.get(begun).filter(|_| outcome.rings.len() > 1) else {
        return format!(
            "There was no ring to hold back. The alarm came after {when}, {by}; {broken} machines were broken by then."
        );
    };
    if let Some(next) = outcome.rings.get(begun + 1) {
        return format!(
            "Stopped in ring {} of {} ({}), by the alarm after {when}, {by}; {broken} machines were broken by then, \
             and {} never began.",
            begun + 1,
            outcome.rings.len(),
            escaped(&ring.name),
            escaped(&next.name),
        );
    }
    format!(
        "Not stopped in time: the last ring ({}) began after {}, the alarm came after {when}, {by}. When that ring \
         began, {} machines were broken and {} crash reports had come.",
        escaped(&ring.name),
        moment(ring.began),
        number(ring.broke_before as f64),
        number(ring.crash_reports_before as f64),
    )
}

/// How far the outcomes of each plan differ by chance.
pub fn render_predictions(predictions: &[Prediction]) -> String {
    let range =
        |it: &Interval| format!("{} ({} to {})", number(it.value), number(it.from), number(it.to));
    let head =
        ["Plan", "Took it", "Broken", "Machine-hours", "Touches", "Not back", "Alarm", "Rounds"];
    let rows = predictions.iter().map(|it| {
        let alarm = it.alarm.map_or_else(
            || "none".to_owned(),
            |alarm| {
                let when = [alarm.value, alarm.from, alarm.to].map(|minute| time(minute as u32));
                format!("{} ({} to {}), {}", when[0], when[1], when[2], it.alarms)
            },
        );
        [
            escaped(&it.plan).to_string(),
            range(&it.took),
            range(&it.broke),
            range(&it.machine_hours),
            range(&it.touches),
            range(&it.still_broken),
            alarm,
            it.rounds.to_string(),
        ]
    });
    let mut text = table(&head, rows);
    if let Some(first) = predictions.first() {
        text.push_str(&format!(
            "\nThe median of all rounds, and where the middle {} % of them lie. The alarm: in how many rounds there \
             was one.\n\n{}\n",
            first.confidence * 100.0,
            wrapped(LIMITS)
        ));
    }
    text
}

/// The table of assumptions.
pub fn render_assumptions(rollout: &Rollout) -> String {
    let rows = assumptions(rollout).into_iter().map(|it| {
        let source = it.source.as_deref().unwrap_or("assumption").to_owned();
        [it.path, it.value, source].map(|text| escaped(text).to_string())
    });
    table(&["Assumption", "Value", "Source"], rows)
}

/// The plans that no other beats, and how to read that.
pub fn render_recommendation(found: &Recommendation) -> String {
    let mut text = format!(
        "{}: {} plans, {} machines, each played {} with each fault\n\n",
        escaped(&found.rollout),
        found.candidates.len(),
        number(f64::from(found.machines)),
        times(found.rounds),
    );
    let reached = format!("{} % have it", found.reach * 100.0);
    let loss = format!("Expected loss ({})", escaped(&found.unit));
    let head = ["Plan", &reached, &loss, "If bad: broken", "machine-hours", "touches"];
    let rows = found.frontier().map(row);
    text.push_str(&table(&head, rows));
    let (slow, false_alarms) = (
        found.candidates.iter().filter(|it| it.minutes.is_none()).count(),
        found.candidates.iter().filter(|it| it.false_alarm).count(),
    );
    text.push_str(&format!(
        "\nNo other plan is as fast as one of these and loses less. Expected is what one update costs if {} of 100 \
         are bad.\n",
        found.bad * 100.0
    ));
    if slow + false_alarms > 0 {
        text.push_str(&format!(
            "With a good update, {slow} plans did not reach so many machines within the horizon, and {false_alarms} \
             had a false alarm.\n"
        ));
    }
    text.push_str(&format!("\n{}\n", wrapped(LIMITS)));
    text
}

pub(crate) fn row(it: &Candidate) -> [String; 6] {
    [
        escaped(&it.plan.name).to_string(),
        moment(it.minutes),
        number(it.expected_loss),
        number(it.broke),
        number(it.machine_hours),
        number(it.touches),
    ]
}

/// Columns: the first and the last text as they are, numbers to the right.
pub(crate) fn table<const N: usize>(
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([head[at].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let is_number = |at: usize| {
        rows.iter().all(|row| row[at].chars().next().is_none_or(|c| c.is_ascii_digit() || c == '-'))
    };
    let right: Vec<bool> = (0..N).map(|at| at > 0 && is_number(at)).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.into_iter().enumerate().map(|(at, cell)| {
            let room = " ".repeat(widths[at] - cell.chars().count());
            if right[at] { format!("{room}{cell}") } else { format!("{cell}{room}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(head.to_vec());
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// With its thousands apart; small numbers that are not whole with their first digits.
pub(crate) fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn moment(minute: Option<u32>) -> String {
    minute.map_or_else(|| "-".to_owned(), time)
}

/// Minutes as people say them.
pub(crate) fn time(minutes: u32) -> String {
    let (days, hours, rest) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{rest} min"),
        (0, _) => format!("{hours} h {rest} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// How often.
pub(crate) fn times(count: u32) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Lines of at most 100 columns.
pub(crate) fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_as_people_write_them() {
        assert_eq!(
            [0.0, 12.0, 8_500_000.0, 1234.6, 0.25].map(number),
            ["0", "12", "8,500,000", "1,235", "0.2"]
        );
        assert_eq!([5, 78, 1440, 5000].map(time), ["5 min", "1 h 18 min", "1 d 0 h", "3 d 11 h"]);
    }
}
