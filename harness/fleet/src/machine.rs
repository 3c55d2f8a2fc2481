//! A simulated machine, in 16 bytes, and what all machines of its class have in common.

use rand_xoshiro::rand_core::Rng;
use words::{Span, Touch};

use crate::day::{Days, WEEK_MINUTES};
use crate::distribution::{Chance, Dice, Sampler};
use crate::model::{Class, Fault, LayerPlan, Needs, Plan, Rollout, Signals, UpdateKind};

/// One machine. It is in one list at most: that of the minute in which it goes on, or the queue of the help desk.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The minute in which it broke.
    pub(crate) since: u32,
    /// It asks in the minutes that leave this when divided by its class's interval.
    pub(crate) phase: u16,
    pub(crate) class: u8,
    pub(crate) ring: u8,
    pub(crate) zone: u8,
    /// When it is on: see [`Days`].
    pub(crate) level: u8,
    pub(crate) state: State,
    /// The layer that is tried.
    pub(crate) layer: u8,
    /// How often it was tried, or how often the service refused.
    pub(crate) tries: u8,
    pub(crate) flags: u8,
}

/// What a machine does when its minute comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Nothing any more.
    Resting,
    /// It asks for the update.
    Asking,
    /// It runs, and will break.
    Doomed,
    /// A layer has been tried.
    Trying,
    /// It asked for a remediation.
    Seeking,
    /// Somebody asks the help desk.
    Calling,
    /// It waits for hands.
    Waiting,
    /// Hands are at it.
    InRepair,
    /// Broken, and nobody comes.
    Stranded,
}

impl State {
    pub(crate) const fn is_broken(self) -> bool {
        !matches!(self, Self::Resting | Self::Asking | Self::Doomed)
    }
}

/// It has an encrypted system volume.
pub(crate) const ENCRYPTED: u8 = 1;
/// It took the update before.
pub(crate) const TOOK: u8 = 2;
/// It broke before.
pub(crate) const BROKE: u8 = 4;
/// A crash report of it was counted.
pub(crate) const REPORTED: u8 = 8;
/// It was counted as silent.
pub(crate) const SILENT: u8 = 16;

impl Machine {
    pub(crate) const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Sets a flag; whether it was not set before.
    pub(crate) const fn mark(&mut self, flag: u8) -> bool {
        let is_new = self.flags & flag == 0;
        self.flags |= flag;
        is_new
    }
}

/// A rollout with one plan and one fault, ready to be played.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The minute of the week at UTC in which it begins.
    begins: u32,
    /// Minutes.
    pub(crate) horizon: u32,
    /// First asks are no later than this.
    pub(crate) asks_within: Option<u32>,
    pub(crate) classes: Vec<ClassSetup>,
    /// Starts before the one that fails, restarts for the update itself included.
    good_starts: Vec<u32>,
    pub(crate) layers: Vec<LayerSetup>,
    pub(crate) desk: Option<DeskSetup>,
    pub(crate) signals: SignalSetup,
    /// By ring: whether its machines are watched.
    pub(crate) canary: Vec<bool>,
    pub(crate) refusal: Refusal,
    pub(crate) remediation_refusal: Refusal,
}

#[derive(Debug)]
pub(crate) struct ClassSetup {
    pub(crate) days: Days,
    /// Minutes east of UTC, with the part of the class up to and with it.
    zones: Vec<(f64, u32)>,
    pub(crate) asks_every: u32,
    pub(crate) restarts: Sampler,
    encrypted: Chance,
    pub(crate) breaks: Chance,
}

#[derive(Debug)]
pub(crate) struct LayerSetup {
    pub(crate) classes: Vec<bool>,
    pub(crate) available: Chance,
    pub(crate) needs: Needs,
    pub(crate) helps: Chance,
    pub(crate) helps_encrypted: Chance,
    pub(crate) takes: Sampler,
    pub(crate) tries: u8,
    pub(crate) touch: Touch,
}

#[derive(Debug)]
pub(crate) struct DeskSetup {
    pub(crate) called_after: Sampler,
    pub(crate) takes: Sampler,
    pub(crate) encrypted_more: u32,
}

#[derive(Debug)]
pub(crate) struct SignalSetup {
    pub(crate) while_broken: Chance,
    pub(crate) crash_delay: Sampler,
    pub(crate) other_crashes: Chance,
    pub(crate) healthy_delay: Sampler,
    pub(crate) mute: Chance,
    pub(crate) silent_after: u32,
}

/// How a machine waits after a refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    after: f64,
    backoff: f64,
    longest: f64,
}

impl Refusal {
    fn new(service: &crate::model::Service) -> Self {
        let minutes = |span: Span| span.duration().as_secs_f64() / 60.0;
        Self {
            after: minutes(service.retry_after),
            backoff: service.backoff,
            longest: minutes(service.longest_wait),
        }
    }

    /// Whole minutes until the minute of the next request, after so many refusals: spread, so that those who were
    /// refused together do not come back together.
    pub(crate) fn wait(&self, refusals: u8, dice: &mut Dice) -> u32 {
        let wait = self.after * self.backoff.powi(i32::from(refusals.min(60)));
        let spread = 0.5 + f64::from(dice.0.next_u32()) / 4_294_967_296.0;
        (wait.min(self.longest) * spread) as u32
    }
}

impl Setup {
    pub(crate) fn new(rollout: &Rollout, plan: &Plan, fault: Option<&Fault>) -> Self {
        let restart = u32::from(rollout.update.kind != UpdateKind::Content);
        let starts = fault.map_or(&[][..], |fault| &fault.good_starts);
        let classes = &rollout.class;
        let remediation = rollout.remediation_service.as_ref().unwrap_or(&rollout.update_service);
        Self {
            begins: minute_of_week(rollout.begins),
            horizon: minutes(rollout.horizon),
            asks_within: rollout.fleet.asks_within.map(minutes),
            classes: classes.iter().map(|class| ClassSetup::new(class, fault)).collect(),
            good_starts: starts.iter().map(|starts| starts + restart).collect(),
            layers: rollout.layer.iter().map(|layer| LayerSetup::new(layer, classes)).collect(),
            desk: rollout.help_desk.as_ref().map(|desk| DeskSetup {
                called_after: Sampler::new(&desk.called_after),
                takes: Sampler::new(&desk.takes),
                encrypted_more: desk.encrypted_takes_more.map_or(0, minutes),
            }),
            signals: SignalSetup::new(&rollout.signals),
            canary: plan.ring.iter().map(|ring| ring.canary).collect(),
            refusal: Refusal::new(&rollout.update_service),
            remediation_refusal: Refusal::new(remediation),
        }
    }

    /// The minute of the week where it is so far east of UTC.
    pub(crate) fn local(&self, minute: u32, east: u32) -> u32 {
        (self.begins + minute + east) % WEEK_MINUTES
    }

    /// The minute of the week where a machine is.
    fn here(&self, machine: &Machine, minute: u32) -> u32 {
        self.local(minute, self.class(machine).zones[machine.zone as usize].1)
    }

    pub(crate) fn class(&self, machine: &Machine) -> &ClassSetup {
        &self.classes[machine.class as usize]
    }

    /// A new machine.
    pub(crate) fn machine(&self, class: u8, ring: u8, dice: &mut Dice) -> Machine {
        let setup = &self.classes[class as usize];
        let mut machine = Machine {
            since: 0,
            phase: 0,
            class,
            ring,
            zone: 0,
            level: 0,
            state: State::Resting,
            layer: 0,
            tries: 0,
            flags: if dice.happens(setup.encrypted) { ENCRYPTED } else { 0 },
        };
        // A machine that would not have asked in time is none of those that are meant. Where hardly any would, the
        // last one drawn has to do.
        for _ in 0..MOST_DRAWS {
            let random = dice.0.next_u64();
            let part = f64::from((random >> 32) as u32) / 4_294_967_296.0;
            let zone = setup.zones.iter().position(|(up_to, _)| part < *up_to);
            machine.zone = zone.unwrap_or(setup.zones.len() - 1) as u8;
            machine.level = random as u8;
            machine.phase = dice.below(setup.asks_every) as u16;
            let Some(within) = self.asks_within else { break };
            if self.next_ask(&machine, 0).is_some_and(|minute| minute < within) {
                break;
            }
        }
        machine
    }

    /// When a machine asks next, in this minute or later; nothing if it is never on.
    pub(crate) fn next_ask(&self, machine: &Machine, minute: u32) -> Option<u32> {
        let every = self.class(machine).asks_every;
        let next = minute + (u32::from(machine.phase) + every - minute % every) % every;
        Some(match self.until_on(machine, next)? {
            0 => next,
            // Within the hour in which it is switched on.
            wait => next + wait + u32::from(machine.phase) % 60,
        })
    }

    /// Minutes until it is on; nothing if it never is.
    pub(crate) fn until_on(&self, machine: &Machine, minute: u32) -> Option<u32> {
        self.class(machine).days.until_on(machine.level, self.here(machine, minute))
    }

    /// Minutes in which it would have been on.
    pub(crate) fn minutes_on(&self, machine: &Machine, from: u32, to: u32) -> u32 {
        self.class(machine).days.minutes_on(machine.level, self.here(machine, from), to - from)
    }

    /// Minutes until the start that fails; 0 if the update breaks it at once.
    pub(crate) fn until_failure(&self, machine: &Machine, dice: &mut Dice) -> u32 {
        let which = dice.below(self.good_starts.len().max(1) as u32) as usize;
        let starts = self.good_starts.get(which).copied().unwrap_or(0);
        let mut minutes = 0u32;
        for _ in 0..starts {
            minutes = minutes.saturating_add(self.class(machine).restarts.minutes(dice).max(1));
            if minutes > self.horizon {
                break;
            }
        }
        minutes
    }

    /// The share of machines of a class that are on.
    pub(crate) fn share_on(&self, class: &ClassSetup, minute: u32) -> f64 {
        let mut before = 0.0;
        let mut share = 0.0;
        for (up_to, east) in &class.zones {
            share += (up_to - before) * class.days.share_on(self.local(minute, *east));
            before = *up_to;
        }
        share
    }
}

/// How often a machine is drawn until it fits.
const MOST_DRAWS: u32 = 200;

impl ClassSetup {
    fn new(class: &Class, fault: Option<&Fault>) -> Self {
        let mut up_to = 0.0;
        let mut zones: Vec<(f64, u32)> = Vec::new();
        for zone in &class.zones {
            up_to += zone.share;
            let east = (zone.utc * 60.0).round() as i32;
            zones.push((up_to, east.rem_euclid(WEEK_MINUTES as i32) as u32));
        }
        if zones.is_empty() {
            zones.push((1.0, 0));
        }
        Self {
            days: Days::new(class),
            zones,
            asks_every: minutes(class.asks_every).max(1),
            restarts: Sampler::new(&class.restarts_every),
            encrypted: Chance::new(class.encrypted),
            breaks: Chance::new(fault.map_or(0.0, |fault| fault.breaks * class.exposed)),
        }
    }
}

impl LayerSetup {
    fn new(layer: &LayerPlan, classes: &[Class]) -> Self {
        let has =
            |class: &Class| layer.classes.as_ref().is_none_or(|all| all.contains(&class.name));
        Self {
            classes: classes.iter().map(has).collect(),
            available: Chance::new(layer.available),
            needs: layer.needs,
            helps: Chance::new(layer.helps),
            helps_encrypted: Chance::new(layer.helps_encrypted.unwrap_or(layer.helps)),
            takes: Sampler::new(&layer.takes),
            tries: layer.tries,
            touch: layer.touch.unwrap_or(layer.layer.touch()),
        }
    }
}

impl SignalSetup {
    fn new(signals: &Signals) -> Self {
        Self {
            while_broken: Chance::new(signals.reports_while_broken),
            crash_delay: Sampler::new(&signals.crash_report_delay),
            other_crashes: Chance::new(signals.other_crashes),
            healthy_delay: Sampler::new(&signals.healthy_delay),
            mute: Chance::new(signals.mute),
            silent_after: minutes(signals.silent_after),
        }
    }
}

/// Whole minutes; what is longer than any horizon is as good as for ever.
pub(crate) fn minutes(span: Span) -> u32 {
    span.minutes().min(1 << 24) as u32
}

fn minute_of_week(moment: jiff::Timestamp) -> u32 {
    // The first day of 1970 was a Thursday.
    let since_monday = moment.as_second().div_euclid(60) + 3 * 24 * 60;
    since_monday.rem_euclid(i64::from(WEEK_MINUTES)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_small() {
        assert_eq!(size_of::<Machine>(), 16);
    }

    #[test]
    fn the_week_begins_on_monday() {
        assert_eq!(minute_of_week("2024-07-19T04:09:00Z".parse().unwrap()), 4 * 1440 + 249);
        assert_eq!(minute_of_week("1969-12-29T00:01:00Z".parse().unwrap()), 1);
    }
}
