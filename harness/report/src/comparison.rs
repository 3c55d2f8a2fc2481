//! Two runs side by side: what came of each, where they part, how long things took.

use serde::Serialize;
use timeline::{BootMeasurements, Derived, Measurements, Micros};

use crate::changes::changes;
use crate::text;

/// Two runs against each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunsCompared {
    /// Whether the two outcomes are the same.
    pub same: bool,
    /// What differs, in words, from the first to the second.
    pub changes: Vec<String>,
    /// The first step at which the two timelines part. Absent: they take the same steps.
    pub parting: Option<Parting>,
    /// How long things took.
    pub times: Vec<Times>,
}

/// Where two timelines part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parting {
    /// The last step that both take, where there is one.
    pub last_common: Option<String>,
    /// What the first does then. Absent: it is over.
    pub one: Option<Step>,
    /// What the second does then. Absent: it is over.
    pub other: Option<Step>,
}

/// One step of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Since the run began, in microseconds.
    pub at_us: Option<Micros>,
    /// What it is.
    pub text: String,
}

/// One thing that took time in both runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Times {
    /// What.
    pub what: String,
    /// In the first run, in microseconds.
    pub one_us: Option<Micros>,
    /// In the second.
    pub other_us: Option<Micros>,
}

/// Compares two runs. What is not deterministic, such as times, plays no part but in [`RunsCompared::times`].
pub fn compare_runs(one: &Derived, other: &Derived) -> RunsCompared {
    RunsCompared {
        same: one.outcome.render() == other.outcome.render(),
        changes: changes(&one.outcome, &other.outcome),
        parting: parting(&steps(one), &steps(other)),
        times: times(&one.measurements, &other.measurements),
    }
}

/// What each boot did: why it began, the phases that it reached, how it ended.
fn steps(derived: &Derived) -> Vec<Step> {
    let timeline = &derived.timeline;
    let since = |at: Micros| Some(at.since(timeline.began_at));
    let mut steps = Vec::new();
    for boot in &timeline.boots {
        let number = boot.number;
        let began = format!("boot {number} begins: {}", text::cause(boot.cause));
        steps.push(Step { at_us: since(boot.began.at), text: began });
        steps.extend(boot.phases.iter().map(|reached| Step {
            at_us: since(reached.moment.at),
            text: format!("boot {number} reaches: {}", text::phase(reached.phase)),
        }));
        steps.push(Step {
            at_us: boot.ended.and_then(|ended| since(ended.at)),
            text: format!("boot {number} ends: {}", text::end(boot.end, &boot.signature())),
        });
    }
    steps.push(Step {
        at_us: timeline.watch_over.and_then(|over| since(over.at)),
        text: format!("verdict: {}", derived.outcome.verdict),
    });
    steps
}

fn parting(one: &[Step], other: &[Step]) -> Option<Parting> {
    let common = one.iter().zip(other).take_while(|(one, other)| one.text == other.text).count();
    if common == one.len() && common == other.len() {
        return None;
    }
    Some(Parting {
        last_common: common.checked_sub(1).map(|last| one[last].text.clone()),
        one: one.get(common).cloned(),
        other: other.get(common).cloned(),
    })
}

fn times(one: &Measurements, other: &Measurements) -> Vec<Times> {
    let row = |what: &str, one_us, other_us| Times { what: what.to_owned(), one_us, other_us };
    let mut rows = vec![
        row("the whole run", Some(one.total_us), Some(other.total_us)),
        row("to the verdict", one.to_verdict_us, other.to_verdict_us),
        row("outage", one.outage_us, other.outage_us),
    ];
    for index in 0..one.boots.len().max(other.boots.len()) {
        let boots = (one.boots.get(index), other.boots.get(index));
        let both = |take: fn(&BootMeasurements) -> Option<Micros>| {
            (boots.0.and_then(take), boots.1.and_then(take))
        };
        let number = index + 1;
        for (what, (one_us, other_us)) in [
            (format!("boot {number}"), both(|boot| boot.duration_us)),
            (format!("boot {number}, to healthy"), both(|boot| boot.to_healthy_us)),
            (format!("boot {number}, stop to reset"), both(|boot| boot.panic_to_reset_us)),
        ] {
            rows.push(row(&what, one_us, other_us));
        }
    }
    rows.retain(|row| row.one_us.is_some() || row.other_us.is_some());
    rows
}

/// The page of a comparison. `names` are those of the two runs.
pub fn render_comparison(compared: &RunsCompared, names: [&str; 2]) -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(&text::clean(text, 400));
        page.push('\n');
    };
    line(if compared.same {
        "the outcomes are the same"
    } else {
        "the outcomes differ, from A to B:"
    });
    for change in &compared.changes {
        line(&format!("  {change}"));
    }
    if !compared.same && compared.changes.is_empty() {
        line("  in what has no words; compare outcome.json of the two runs");
    }
    line("");
    match &compared.parting {
        None => line("both take the same steps"),
        Some(parting) => {
            match &parting.last_common {
                Some(step) => line(&format!("the same steps until \u{201c}{step}\u{201d}; then")),
                None => line("they part at once:"),
            }
            for (name, step) in [("A", &parting.one), ("B", &parting.other)] {
                line(&match step {
                    Some(Step { at_us: Some(at), text }) => {
                        format!("  {name}  {text}, after {}", text::duration(*at))
                    }
                    Some(Step { at_us: None, text }) => format!("  {name}  {text}"),
                    None => format!("  {name}  is over"),
                });
            }
        }
    }
    line("");
    let [one, other] = names;
    line(&format!("A is {one}, B is {other}"));
    line(&format!("  {:<24} {:>10} {:>10}   B to A", "took", "A", "B"));
    for row in &compared.times {
        let shown = |time: Option<Micros>| time.map_or_else(|| "-".to_owned(), text::duration);
        let ratio = match (row.one_us, row.other_us) {
            (Some(one), Some(other)) if one.get() > 0 => {
                format!("{:.2}", other.get() as f64 / one.get() as f64)
            }
            _ => "-".to_owned(),
        };
        let (one, other) = (shown(row.one_us), shown(row.other_us));
        line(&format!("  {:<24} {one:>10} {other:>10}   {ratio:>6}", row.what));
    }
    line("  Each is a single run: a difference may be the host's.");
    page
}
