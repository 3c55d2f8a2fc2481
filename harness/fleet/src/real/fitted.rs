//! What real machines were measured to do, as a simulation takes it; and both held against each other.

use serde::Serialize;
use words::{Layer, Span, Touch};

use super::life::{Ended, Help, Life, Lives, ms};
use super::play::Play;
use crate::chance::Interval;
use crate::distribution::Distribution;
use crate::model::{Fault, LayerPlan, Needs, Rollout};
use crate::outcome::Outcome;
use crate::place::RolloutError;
use crate::predict::{Prediction, predict};
use crate::simulate::Choice;

/// So often the simulation is played.
const ROUNDS: u32 = 2000;
/// So many of its outcomes lie in the interval.
const CONFIDENCE: f64 = 0.99;
/// A request takes the simulation a minute: asked in one, answered in the next.
const ANSWER: u64 = 60_000;

/// A figure of a play, real and simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figure {
    /// Which.
    pub figure: &'static str,
    /// As it came with real machines.
    pub real: f64,
    /// Median of the simulations, and where the middle 99 of 100 of them lie.
    pub simulated: Interval,
    /// Whether the real one lies there.
    pub agrees: bool,
}

/// Plays the rollout as a simulation, with what was measured of its machines, many times, and says whether what the
/// real machines did lies among the outcomes. What it is fitted to are these very machines: that it agrees shows that
/// simulation and machines are counted alike, not that it foresees others.
///
/// Nothing where only some of the machines that could be helped were: the simulation would draw that anew at each
/// request.
///
/// # Errors
/// The plan is not in the rollout.
pub fn compared_with_simulation(
    rollout: &Rollout,
    play: &Play,
) -> Result<Vec<Figure>, RolloutError> {
    let helped = play.led.values().filter(|life| matches!(life.key.help, Help::AfterAsks(_)));
    let (back, not): (Vec<&Life>, Vec<&Life>) = helped.partition(|life| life.ended.is_healthy());
    if !back.is_empty() && !not.is_empty() {
        return Ok(Vec::new());
    }
    let fitted = fitted(rollout, &play.led);
    let choice = Choice {
        plan: play.outcome.plan.clone(),
        fault: fitted.fault.first().map(|fault| fault.name.clone()),
        seed: rollout.seed,
        threads: 1,
    };
    let predicted = predict(&fitted, &choice, ROUNDS, CONFIDENCE)?;
    Ok(figures(&play.as_simulated, &predicted))
}

fn figures(real: &Outcome, predicted: &Prediction) -> Vec<Figure> {
    let figure = |figure, real: f64, simulated: Interval| Figure {
        figure,
        real,
        simulated,
        agrees: (simulated.from..=simulated.to).contains(&real),
    };
    let share = f64::from(predicted.alarms) / f64::from(predicted.rounds.max(1));
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let alarms = Interval {
        value: share,
        from: if share >= 1.0 - tail { 1.0 } else { 0.0 },
        to: if share <= tail { 0.0 } else { 1.0 },
    };
    let mut all = vec![
        figure("took", real.took as f64, predicted.took),
        figure("broke", real.broke as f64, predicted.broke),
        figure("touches", real.touches.total() as f64, predicted.touches),
        figure("still-broken", real.still_broken as f64, predicted.still_broken),
        figure("machine-hours", real.machine_hours(), predicted.machine_hours),
        figure("alarms", f64::from(u8::from(real.alarm.is_some())), alarms),
    ];
    if let (Some(alarm), Some(predicted)) = (&real.alarm, predicted.alarm) {
        all.push(figure("alarm-minute", f64::from(alarm.minute), predicted));
    }
    all
}

/// The rollout with the measured machines in the place of its fault and its layers.
pub fn fitted(rollout: &Rollout, lives: &Lives) -> Rollout {
    // How a machine breaks its life without help says.
    let first: Vec<&Life> = lives.values().filter(|life| life.key.help == Help::Never).collect();
    let broken: Vec<&Life> = first.iter().copied().filter(|life| life.breaks.is_some()).collect();
    let mut good_starts: Vec<u32> =
        broken.iter().filter_map(|life| Some(life.breaks.as_ref()?.good_starts)).collect();
    if good_starts.is_empty() {
        good_starts.push(0);
    }
    let name = rollout.fault.first().map_or("measured", |fault| &fault.name).to_owned();
    let breaks = share(broken.len(), first.len());
    let mut fitted = rollout.clone();
    fitted.fault = vec![Fault { name, chance: 1.0, breaks, good_starts }];
    for class in &mut fitted.class {
        // What was measured is a share of these very machines.
        class.exposed = 1.0;
    }
    fitted.layer = layers(&broken, lives);
    // The simulation has a machine back in the minute in which it is answered. What lies between is put before the
    // answer: there is a remediation that much later.
    if let Some(published) = fitted.at_stop.publish_remediation {
        let later = answered_to_back(lives) + 30_000;
        let minutes = later / 60_000;
        fitted.at_stop.publish_remediation =
            Some(Span::from_secs(published.duration().as_secs() + 60 * minutes));
    }
    fitted
}

/// From the last request to a healthy start, on average, in milliseconds.
fn answered_to_back(lives: &Lives) -> u64 {
    let mut all = Vec::new();
    for life in lives.values() {
        if let (Help::AfterAsks(_), Some(ask), Ended::Back { after, .. }) =
            (life.key.help, life.asks.last(), &life.ended)
        {
            all.push(ms(*after).saturating_sub(ms(*ask)));
        }
    }
    if all.is_empty() { 0 } else { all.iter().sum::<u64>() / all.len() as u64 }
}

fn share(some: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { some as f64 / of as f64 }
}

fn layers(broken: &[&Life], lives: &Lives) -> Vec<LayerPlan> {
    let plan = |name: &str, layer, needs, helps, takes: Vec<Span>, tries, touch| LayerPlan {
        name: Some(name.to_owned()),
        layer,
        classes: None,
        available: 1.0,
        needs,
        helps,
        helps_encrypted: None,
        takes: Distribution::Observed(takes),
        tries,
        touch: Some(touch),
    };
    let mut all = Vec::new();
    // What brings machines back without a remediation.
    let back: Vec<(Span, Option<Layer>, Touch)> = broken
        .iter()
        .filter_map(|life| match life.ended {
            Ended::Back { after, by, touch } => Some((after, by, touch)),
            _ => None,
        })
        .collect();
    if let Some((_, by, touch)) = back.first() {
        let helps = share(back.len(), broken.len());
        let takes = back.iter().map(|(after, ..)| *after).collect();
        let layer = by.unwrap_or(Layer::Reboots);
        all.push(plan("without-remediation", layer, Needs::Nothing, helps, takes, 1, *touch));
    }
    // The way from the failure over each request.
    let gaps: Vec<Span> = broken.iter().flat_map(|life| gaps(life)).collect();
    let longest = broken.iter().map(|life| life.asks.len()).max().unwrap_or(0);
    if let Ok(tries) = u8::try_from(longest.min(255))
        && tries > 0
    {
        let helped: Vec<&Life> =
            lives.values().filter(|life| matches!(life.key.help, Help::AfterAsks(_))).collect();
        let came_back = helped.iter().filter(|life| life.ended.is_healthy()).count();
        let helps = share(came_back, helped.len());
        let layer = Layer::QuickMachineRecovery;
        all.push(plan(layer.name(), layer, Needs::Remediation, helps, gaps, tries, Touch::None));
    }
    // And from the last one until it was given up.
    let rest = broken.iter().filter_map(|life| match life.ended {
        Ended::GivenUp { after } => {
            let last = life.asks.last().map_or(0, |ask| ms(*ask));
            Some(Span::from_millis(ms(after).saturating_sub(last)))
        }
        _ => None,
    });
    let rest: Vec<Span> = rest.collect();
    if !rest.is_empty() {
        all.push(plan("given-up", Layer::Reboots, Needs::Nothing, 0.0, rest, 1, Touch::None));
    }
    all
}

/// The times between the failure and the first request, and between requests, without what an answer takes.
fn gaps(life: &Life) -> Vec<Span> {
    let mut before = 0;
    let gap = |ask: &Span| {
        let gap = ms(*ask).saturating_sub(before);
        before = ms(*ask);
        Span::from_millis(gap.saturating_sub(ANSWER))
    };
    life.asks.iter().map(gap).collect()
}
