//! The machines of a rollout that are played on real ones: what is declared of them is drawn, what becomes of them is
//! looked up.

use std::collections::{BTreeSet, VecDeque};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use words::Touch;

use super::agenda::{Agenda, Due};
use super::event::{Happened, PlayEvent};
use super::life::{Ended, Help, Life, LifeKey, Lives, ms};
use crate::distribution::Dice;
use crate::layout::Layout;
use crate::machine::{BROKE, ENCRYPTED, Machine, REPORTED, SILENT, Setup, TOOK};
use crate::orders::{Orders, Report, Totals};

/// A minute in milliseconds.
const MINUTE: u64 = 60_000;
/// Who repaired what needed hands.
pub(super) const HELP_DESK: &str = "help-desk";
/// What brought a machine back that started well by itself.
pub(super) const BY_ITSELF: &str = "restart";

/// A machine.
#[derive(Debug)]
pub(super) struct One<'a> {
    pub(super) machine: Machine,
    dice: Dice,
    pub(super) took: Option<u32>,
    /// When it broke, in milliseconds.
    pub(super) broke_ms: Option<u64>,
    pub(super) broke: Option<u32>,
    /// The life that it leads.
    pub(super) life: Option<&'a Life>,
    /// When it was healthy again, and by what.
    pub(super) back: Option<(u32, String)>,
    pub(super) given_up: bool,
    /// Whose hands brought it back.
    pub(super) hands: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Machines<'a> {
    setup: &'a Setup,
    layout: &'a Layout,
    lives: &'a Lives,
    seed: u64,
    restarts_first: bool,
    canary_delay: u32,
    pub(super) all: Vec<One<'a>>,
    agenda: Agenda,
    asking: Vec<u32>,
    waiting: VecDeque<u32>,
    /// What will be heard: minute and event.
    heard: Vec<PlayEvent>,
    /// When something should have been heard of machines.
    due: Vec<u32>,
    /// The minute from which on there is a remediation.
    good: Option<u32>,
    pub(super) needs: BTreeSet<LifeKey>,
    /// When the first machine took the update of which nothing is known.
    pub(super) unknown: Option<u32>,
    /// A machine whose lives have nothing in common.
    pub(super) apart: Option<(u32, String)>,
    report: Report,
    pub(super) totals: Totals,
    pub(super) events: Vec<PlayEvent>,
}

impl<'a> Machines<'a> {
    pub(super) fn new(
        (setup, layout): (&'a Setup, &'a Layout),
        lives: &'a Lives,
        seed: u64,
        restarts_first: bool,
        canary_delay: u32,
    ) -> Self {
        Self {
            setup,
            layout,
            lives,
            seed,
            restarts_first,
            canary_delay,
            all: Vec::new(),
            agenda: Agenda::default(),
            asking: Vec::new(),
            waiting: VecDeque::new(),
            heard: Vec::new(),
            due: Vec::new(),
            good: None,
            needs: BTreeSet::new(),
            unknown: None,
            apart: None,
            report: Report::default(),
            totals: Totals::default(),
            events: Vec::new(),
        }
    }

    /// Plays a minute.
    pub(super) fn minute(&mut self, orders: &Orders) -> Report {
        self.report = Report::default();
        let now = orders.minute;
        self.answer(orders);
        for ring in orders.begin.clone() {
            self.begin(ring, now);
        }
        if orders.good && self.good.is_none() {
            self.good = Some(now);
            for id in 0..self.all.len() as u32 {
                self.remedy(id);
            }
        }
        while let Some((id, due)) = self.agenda.next(now) {
            self.go_on(id, due, orders);
        }
        self.lend(orders.hands.first().copied().unwrap_or(0), now);
        self.hear(now);
        self.report.asking = self.asking.len() as u32;
        self.report.pending = self.agenda.pending() + self.report.asking;
        self.report.clone()
    }

    /// Counts what is broken at the end.
    pub(super) fn finish(&mut self) {
        for one in &self.all {
            if let (Some(broke), None) = (one.broke, &one.back) {
                self.totals.still_broken += 1;
                let lost = self.setup.minutes_on(&one.machine, broke, self.setup.horizon);
                self.totals.lost_minutes += u64::from(lost);
            }
        }
    }

    fn tell(&mut self, minute: u32, happened: Happened) {
        self.events.push(PlayEvent { minute, happened });
    }

    fn begin(&mut self, ring: usize, now: u32) {
        for class in 0..self.setup.classes.len() {
            for _ in 0..self.layout.in_shard(ring, class, 0) {
                let id = self.all.len() as u32;
                // Each has its own, so that what one does changes nothing of what is drawn for another.
                let seed = self.seed ^ (u64::from(id) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(seed));
                let machine = self.setup.machine(class as u8, ring as u8, &mut dice);
                let next = self.setup.next_ask(&machine, now);
                self.all.push(One {
                    machine,
                    dice,
                    took: None,
                    broke_ms: None,
                    broke: None,
                    life: None,
                    back: None,
                    given_up: false,
                    hands: false,
                });
                self.agenda.add();
                if let Some(minute) = next {
                    self.agenda.plan(id, minute, Due::Ask);
                }
            }
        }
    }

    fn answer(&mut self, orders: &Orders) {
        let mut asking = std::mem::take(&mut self.asking);
        if !orders.offering {
            return;
        }
        let granted = orders.answered.first().copied().unwrap_or(0) as usize;
        let refused = asking.split_off(granted.min(asking.len()));
        self.report.refused += refused.len() as u32;
        self.asking = refused;
        for id in asking {
            self.take(id, orders.minute);
        }
    }

    fn take(&mut self, id: u32, now: u32) {
        let setup = self.setup;
        let one = &mut self.all[id as usize];
        one.took = Some(now);
        one.machine.mark(TOOK);
        self.report.took += 1;
        if setup.canary[one.machine.ring as usize] {
            self.report.canaries_took += 1;
        }
        self.tell(now, Happened::Took { machine: id });
        // There is no remediation while the update is given out: `rules` sees to that.
        let Some(life) = self.know(LifeKey { machine: id, help: Help::Never }) else {
            self.unknown.get_or_insert(now);
            return;
        };
        let one = &mut self.all[id as usize];
        one.life = Some(life);
        let Some(breaks) = &life.breaks else {
            self.hear_of(id, now, None);
            return;
        };
        let starts = breaks.good_starts + u32::from(self.restarts_first);
        let class = setup.class(&one.machine);
        let mut at = now;
        for _ in 0..starts {
            at = at.saturating_add(class.restarts.minutes(&mut one.dice).max(1));
        }
        let broke_ms = u64::from(at) * MINUTE + ms(breaks.within);
        one.broke_ms = Some(broke_ms);
        let minute = minute_of(broke_ms);
        self.hear_of(id, now, Some(minute));
        if minute == now {
            self.break_down(id, now);
        } else {
            self.agenda.plan(id, minute, Due::Break);
        }
    }

    fn know(&mut self, key: LifeKey) -> Option<&'a Life> {
        let life = self.lives.get(&key);
        if life.is_none() {
            self.needs.insert(key);
        }
        life
    }

    fn go_on(&mut self, id: u32, due: Due, orders: &Orders) {
        let now = orders.minute;
        match due {
            Due::Ask if orders.offering => self.asking.push(id),
            Due::Ask => {}
            Due::Break => {
                let one = &self.all[id as usize];
                let saved = orders.rolled_back.is_some_and(|since| {
                    self.setup.next_ask(&one.machine, since).is_some_and(|asked| asked < now)
                });
                if saved {
                    self.totals.rolled_back += 1;
                    self.all[id as usize].broke_ms = None;
                    self.tell(now, Happened::Saved { machine: id });
                } else {
                    self.break_down(id, now);
                }
            }
            Due::Back => {
                let life = self.all[id as usize].life;
                if let Some(Life { ended: Ended::Back { by, touch, .. }, .. }) = life {
                    self.touch(id, *touch);
                    let by = by.map_or(BY_ITSELF, |layer| layer.name());
                    self.recover(id, now, now, by);
                }
            }
            Due::GiveUp => {
                self.all[id as usize].given_up = true;
                self.tell(now, Happened::GivenUp { machine: id });
                if let Some(desk) = &self.setup.desk {
                    let after = desk.called_after.minutes(&mut self.all[id as usize].dice).max(1);
                    self.agenda.plan(id, now + after, Due::Call);
                }
            }
            Due::Call => {
                self.report.called += 1;
                self.waiting.push_back(id);
            }
            Due::Repaired => {
                self.report.freed += 1;
                self.touch(id, Touch::Console);
                // Hands are done at the end of the minute.
                self.recover(id, now, now + 1, HELP_DESK);
            }
        }
    }

    fn break_down(&mut self, id: u32, now: u32) {
        let setup = self.setup;
        let one = &mut self.all[id as usize];
        one.broke = Some(now);
        one.machine.mark(BROKE);
        self.report.broke += 1;
        self.report.broke_any += 1;
        let is_watched = setup.canary[one.machine.ring as usize];
        let is_new = one.machine.mark(SILENT);
        let reports = one.dice.happens(setup.signals.while_broken);
        self.tell(now, Happened::Broke { machine: id });
        if is_watched {
            self.report.canaries_broke += 1;
            // The world counts it then.
            self.tell(now + self.canary_delay, Happened::CanaryBroken { machine: id });
        }
        if is_new {
            self.later(now + setup.signals.silent_after, Happened::Silent { machine: id });
        }
        if reports {
            self.report_crash(id, now);
        }
        self.lead_on(id);
        if self.good.is_some() {
            self.remedy(id);
        }
    }

    /// Plans the rest of a machine's life.
    fn lead_on(&mut self, id: u32) {
        let one = &self.all[id as usize];
        let (Some(life), Some(broke)) = (one.life, one.broke_ms) else { return };
        let from = one.broke.unwrap_or(0).max(self.good.unwrap_or(0));
        match &life.ended {
            Ended::Well => {}
            Ended::Back { after, .. } => {
                let minute = minute_of(broke.saturating_add(ms(*after)));
                // What was brought back by the remediation was not before there was one.
                let minute = match life.key.help {
                    Help::Never => minute,
                    Help::AfterAsks(_) => minute.max(from),
                };
                self.agenda.plan(id, minute, Due::Back);
            }
            Ended::GivenUp { after } => {
                let minute = minute_of(broke.saturating_add(ms(*after)));
                self.agenda.plan(id, minute, Due::GiveUp);
            }
        }
    }

    /// There is a remediation: a broken machine that would still ask leads another life from now on.
    fn remedy(&mut self, id: u32) {
        let one = &self.all[id as usize];
        let (Some(good), Some(broke), Some(life)) = (self.good, one.broke_ms, one.life) else {
            return;
        };
        if one.broke.is_none() || one.back.is_some() || one.given_up {
            return;
        }
        let published = u64::from(good) * MINUTE;
        let asked = life.asked_before(published.saturating_sub(broke));
        if life.key.help != Help::Never || asked as usize >= life.asks.len() {
            return;
        }
        self.agenda.forget(id);
        let key = LifeKey { machine: id, help: Help::AfterAsks(asked) };
        let Some(other) = self.know(key) else { return };
        let broke_alike = match (&other.breaks, &life.breaks) {
            (Some(other), Some(life)) => other.good_starts == life.good_starts,
            _ => false,
        };
        if !broke_alike {
            self.apart = Some((id, other.run.clone()));
        }
        self.all[id as usize].life = Some(other);
        self.lead_on(id);
    }

    fn recover(&mut self, id: u32, now: u32, until: u32, by: &str) {
        let one = &self.all[id as usize];
        let since = one.broke.unwrap_or(now);
        let lost = self.setup.minutes_on(&one.machine, since, until.max(since));
        self.totals.lost_minutes += u64::from(lost);
        self.report.recovered += 1;
        self.all[id as usize].back = Some((now, by.to_owned()));
        self.tell(now, Happened::Back { machine: id, by: by.to_owned() });
        // Now it can say what happened to it.
        self.report_crash(id, now);
    }

    fn touch(&mut self, id: u32, touch: Touch) {
        let place = match touch {
            Touch::None => return,
            Touch::Remote => 0,
            Touch::Console => 1,
            Touch::Host => 2,
        };
        self.totals.touches[place] += 1;
        self.all[id as usize].hands = true;
    }

    fn lend(&mut self, hands: u32, now: u32) {
        let Some(desk) = &self.setup.desk else { return };
        for _ in 0..hands {
            let Some(id) = self.waiting.pop_front() else { return };
            let one = &mut self.all[id as usize];
            let more = if one.machine.is(ENCRYPTED) { desk.encrypted_more } else { 0 };
            // As the simulation does: the last minute of a repair is the one before the hands are lent again.
            let takes = desk.takes.minutes(&mut one.dice) + more;
            self.agenda.plan(id, now + takes.saturating_sub(1).max(1), Due::Repaired);
        }
    }

    fn later(&mut self, minute: u32, happened: Happened) {
        if minute <= self.setup.horizon {
            self.heard.push(PlayEvent { minute, happened });
        }
    }

    /// What will be heard of a machine that took the update and breaks at this minute: one that is broken says nothing.
    fn hear_of(&mut self, id: u32, now: u32, breaks: Option<u32>) {
        let setup = self.setup;
        let signals = &setup.signals;
        let one = &mut self.all[id as usize];
        let deadline = now + signals.silent_after;
        let mut healthy = None;
        let mut other = None;
        if breaks != Some(now) && !one.dice.happens(signals.mute) {
            let ready = now + signals.healthy_delay.minutes(&mut one.dice);
            healthy = setup.until_on(&one.machine, ready).map(|wait| ready + wait);
            healthy = healthy.filter(|ready| breaks.is_none_or(|breaks| *ready < breaks));
            if one.dice.happens(signals.other_crashes) && one.machine.mark(REPORTED) {
                other = Some(now + signals.crash_delay.minutes(&mut one.dice));
            }
        }
        let silent = healthy.is_none_or(|ready| ready > deadline);
        if silent {
            one.machine.mark(SILENT);
        }
        if let Some(ready) = healthy {
            self.later(ready, Happened::HealthyReport { machine: id });
        }
        if let Some(other) = other {
            self.later(other, Happened::CrashReport { machine: id });
        }
        self.due.push(deadline);
        if silent {
            self.later(deadline, Happened::Silent { machine: id });
        }
    }

    fn report_crash(&mut self, id: u32, now: u32) {
        let one = &mut self.all[id as usize];
        if one.machine.mark(REPORTED) {
            let delay = self.setup.signals.crash_delay.minutes(&mut one.dice);
            self.later(now + delay, Happened::CrashReport { machine: id });
        }
    }

    /// What arrives in this minute.
    fn hear(&mut self, now: u32) {
        let mut arrived: Vec<PlayEvent> =
            self.heard.extract_if(.., |event| event.minute <= now).collect();
        for event in &arrived {
            match event.happened {
                Happened::CrashReport { .. } => self.report.crash_reports += 1,
                Happened::HealthyReport { .. } => self.report.healthy += 1,
                Happened::Silent { .. } => self.report.silent += 1,
                _ => {}
            }
        }
        self.events.append(&mut arrived);
        self.report.due = self.due.extract_if(.., |minute| *minute <= now).count() as u32;
        let heard = self.heard.iter().map(|event| event.minute);
        let until = heard.chain(self.due.iter().copied()).max();
        self.report.heard_until = until.unwrap_or(now).min(self.setup.horizon);
    }
}

fn minute_of(ms: u64) -> u32 {
    u32::try_from(ms / MINUTE).unwrap_or(u32::MAX)
}
