//! Plays of real machines as text.

use words::{Span, escaped};

use super::fitted::Figure;
use super::play::Play;
use crate::model::Rollout;
use crate::text::{number, outcomes, table, time, wrapped};

/// What each plan came to on real machines, and what a simulation says of the same.
pub fn render_plays(rollout: &Rollout, plays: &[(Play, Vec<Figure>)]) -> String {
    let all: Vec<_> = plays.iter().map(|(play, _)| play.as_simulated.clone()).collect();
    let Some((first, _)) = plays.first() else { return String::new() };
    let (cast, on) = (&first.outcome.cast, &first.outcome.on);
    let model = if on.is_model { ", a model, not Windows" } else { "" };
    let mut text =
        format!("Real machines: scenario {} on {}{model}\n\n", escaped(&cast.scenario), on.image);
    text += &outcomes(rollout, &all, &format!("scenario {}", cast.scenario));
    for (play, figures) in plays {
        text += &format!("\n{}\n\n", escaped(&play.outcome.plan));
        text += &rings(play);
        text.push('\n');
        text += &told(play);
        if figures.is_empty() {
            text += "\n  Not held against a simulation: help brought back some of the machines and not the others.\n";
            continue;
        }
        text += "\n  The same as a simulation that was given what was measured of these machines. That it agrees shows\n  \
                 that both count alike, not that it foresees other machines:\n\n";
        text += &compared(figures);
    }
    text += &format!("\n{}\n", wrapped(&limits(first)));
    text
}

fn rings(play: &Play) -> String {
    let head = ["Ring", "Machines", "Began", "Took it", "Broken", "Need hands"];
    table(
        &head,
        play.outcome.rings.iter().map(|ring| {
            [
                escaped(&ring.name).to_string(),
                ring.machines.to_string(),
                ring.began.map_or_else(|| "never".to_owned(), time),
                ring.took.to_string(),
                ring.broke.to_string(),
                ring.need_hands.to_string(),
            ]
        }),
    )
}

fn told(play: &Play) -> String {
    let (outcome, measured) = (&play.outcome, &play.measured);
    let mut lines = Vec::new();
    if let Some(why) = &outcome.why_not_in_time {
        lines.push(format!("Why not in time: {}.", escaped(why)));
    }
    lines.push(format!(
        "{} broke: {} came back by themselves, {} need hands; {} never took it.",
        outcome.broke, outcome.by_themselves, outcome.need_hands, outcome.never_took
    ));
    let after = |minutes: Option<u32>| minutes.map_or_else(|| "never".to_owned(), time);
    if outcome.broke > 0 {
        lines.push(format!(
            "From the first machine that broke: to the alarm {}, to the stop {}, until all were back {}.",
            after(measured.to_detect),
            after(measured.to_stop),
            after(measured.to_repair)
        ));
    }
    let chance = if outcome.cast.has_chance {
        "each with its own seed"
    } else {
        "the scenario leaves nothing to chance, so they differ in timing only"
    };
    let forked = measured.runs.len() - measured.own_starts;
    let checkpoints = match measured.checkpoints {
        1 => "one checkpoint".to_owned(),
        several => format!("{several} checkpoints"),
    };
    lines.push(format!(
        "Shared: {forked} machines were forked from {checkpoints}, {} began with a start of their own; {chance}.",
        measured.own_starts
    ));
    lines.into_iter().map(|line| format!("  {line}\n")).collect()
}

fn compared(figures: &[Figure]) -> String {
    let head = ["Figure", "Real", "Simulated", "99 % of rounds", "Agrees"];
    let shown = |value: f64| match value.fract() == 0.0 {
        true => number(value),
        false => format!("{value:.2}"),
    };
    table(
        &head,
        figures.iter().map(|it| {
            [
                it.figure.to_owned(),
                shown(it.real),
                shown(it.simulated.value),
                format!("{} to {}", shown(it.simulated.from), shown(it.simulated.to)),
                if it.agrees { "yes" } else { "no" }.to_owned(),
            ]
        }),
    )
}

fn limits(play: &Play) -> String {
    let scale = play.outcome.on.time_scale;
    let scaled = match scale {
        1 => String::new(),
        _ => format!(
            " Documented waits passed {scale} times faster there; each wait between two requests is counted in full \
             ({} would be {}), all else as long as it took. Asking itself uses up more of a round there than on Windows, \
             so machines are given up some minutes too early.",
            Span::from_millis(120_000 / u64::from(scale)),
            Span::from_secs(120)
        ),
    };
    format!(
        "What became of each machine was measured on a machine that took the update. When machines ask, how late signals \
         come, how long rings wait and what hands take is declared in the file; a machine that the deployment service \
         refuses asks again in the next minute, and the remediation service is never too busy.{scaled} A machine that the scenario's \
         limits give up needs hands from then on. A machine that came back does not take the update again."
    )
}
