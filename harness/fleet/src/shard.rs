//! The machines of a shard, minute by minute.
//!
//! Within a minute a shard needs nobody else: what machines share is decided between the minutes, by the `world`.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use words::Touch;

use crate::distribution::Dice;
use crate::layout::Layout;
use crate::lists::Lists;
use crate::machine::{BROKE, Machine, REPORTED, SILENT, Setup, State, TOOK};
use crate::orders::{Orders, Report, Totals};

/// So many machines are fetched from memory at the same time.
const TOGETHER: usize = 32;

/// What will be heard when, by minute.
#[derive(Debug)]
struct Heard {
    crash_reports: Vec<u32>,
    healthy: Vec<u32>,
    due: Vec<u32>,
    silent: Vec<u32>,
    /// The last minute in which anything will be heard.
    until: u32,
}

#[derive(Debug)]
pub(crate) struct Shard<'a> {
    number: usize,
    pub(crate) setup: &'a Setup,
    layout: &'a Layout,
    pub(crate) dice: Dice,
    pub(crate) machines: Vec<Machine>,
    pub(crate) lists: Lists,
    /// The machines that go on now.
    pub(crate) now: Vec<u32>,
    asking: Vec<u32>,
    pub(crate) seeking: Vec<u32>,
    heard: Heard,
    pub(crate) report: Report,
    pub(crate) totals: Totals,
}

impl<'a> Shard<'a> {
    pub(crate) fn new(number: usize, seed: u64, setup: &'a Setup, layout: &'a Layout) -> Self {
        let minutes = setup.horizon as usize + 1;
        let none = || vec![0; minutes];
        // Seeds of neighbours are far apart: the generator spreads them (SplitMix64).
        let seed = seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let rings = 0..layout.cells.len();
        let machines = rings.flat_map(|ring| {
            (0..setup.classes.len()).map(move |class| layout.in_shard(ring, class, number) as usize)
        });
        Self {
            number,
            setup,
            layout,
            dice: Dice(Xoshiro256PlusPlus::seed_from_u64(seed)),
            // Memory that no ring has begun to use is none yet.
            machines: Vec::with_capacity(machines.sum()),
            lists: Lists::new(setup.horizon),
            now: Vec::new(),
            asking: Vec::new(),
            seeking: Vec::new(),
            heard: Heard {
                crash_reports: none(),
                healthy: none(),
                due: none(),
                silent: none(),
                until: 0,
            },
            report: Report::default(),
            totals: Totals { recovered: vec![0; setup.layers.len() + 1], ..Totals::default() },
        }
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let lists = self.now.capacity() + self.asking.capacity() + self.seeking.capacity();
        let words = lists + 4 * self.heard.due.capacity();
        let machines = self.machines.capacity() * size_of::<Machine>();
        size_of::<Self>() + machines + self.lists.bytes() + words * 4
    }

    /// Plays a minute.
    pub(crate) fn minute(&mut self, orders: &Orders) -> Report {
        self.report = Report::default();
        let now = orders.minute;
        self.answer_requests(orders);
        self.answer_seekers(orders);
        for ring in orders.begin.clone() {
            self.begin(ring, now);
        }
        let mut ids = std::mem::take(&mut self.now);
        self.lists.take(now, &mut ids);
        for ids in ids.chunks(TOGETHER) {
            self.fetch(ids);
            for id in ids {
                self.go_on(*id, orders);
            }
        }
        ids.clear();
        self.now = ids;
        self.give_hands(orders.hands.get(self.number).copied().unwrap_or(0), now);
        let heard = |counts: &[u32]| counts[now as usize];
        self.report.crash_reports = heard(&self.heard.crash_reports);
        self.report.healthy = heard(&self.heard.healthy);
        self.report.due = heard(&self.heard.due);
        self.report.silent = heard(&self.heard.silent);
        self.report.asking = self.asking.len() as u32;
        self.report.seeking = self.seeking.len() as u32;
        self.report.pending = self.lists.pending() + self.report.asking + self.report.seeking;
        self.report.heard_until = self.heard.until;
        self.report.clone()
    }

    /// Has the bytes of these machines brought near, all at the same time, before each is played.
    fn fetch(&self, ids: &[u32]) {
        let states = ids.iter().map(|id| u32::from(self.machines[*id as usize].flags));
        std::hint::black_box(states.sum::<u32>());
    }

    /// Counts what is broken at the end.
    pub(crate) fn finish(&mut self) {
        for machine in self.machines.iter().filter(|machine| machine.state.is_broken()) {
            self.totals.still_broken += 1;
            let lost = self.setup.minutes_on(machine, machine.since, self.setup.horizon);
            self.totals.lost_minutes += u64::from(lost);
        }
    }

    fn begin(&mut self, ring: usize, now: u32) {
        for class in 0..self.setup.classes.len() {
            for _ in 0..self.layout.in_shard(ring, class, self.number) {
                let machine = self.setup.machine(class as u8, ring as u8, &mut self.dice);
                let id = self.machines.len() as u32;
                self.machines.push(machine);
                // What begins in this minute is played in it: its list is looked at next.
                self.ask_from(id, now);
            }
        }
    }

    /// Lets a machine ask when it next does.
    pub(crate) fn ask_from(&mut self, id: u32, minute: u32) {
        match self.setup.next_ask(&self.machines[id as usize], minute) {
            Some(minute) => self.schedule(id, State::Asking, minute),
            None => self.machines[id as usize].state = State::Resting,
        }
    }

    pub(crate) fn schedule(&mut self, id: u32, state: State, minute: u32) {
        self.machines[id as usize].state = state;
        self.lists.schedule(id, minute);
    }

    fn go_on(&mut self, id: u32, orders: &Orders) {
        let now = orders.minute;
        match self.machines[id as usize].state {
            State::Asking if orders.offering => self.asking.push(id),
            State::Asking => self.machines[id as usize].state = State::Resting,
            State::Doomed => {
                let machine = &self.machines[id as usize];
                let saved = orders.rolled_back.is_some_and(|since| {
                    self.setup.next_ask(machine, since).is_some_and(|asked| asked < now)
                });
                if saved {
                    self.totals.rolled_back += 1;
                    self.machines[id as usize].state = State::Resting;
                } else {
                    self.break_down(id, now);
                }
            }
            State::Trying => self.end_of_try(id, orders),
            State::Calling => {
                self.machines[id as usize].state = State::Waiting;
                self.lists.wait(id);
                self.report.called += 1;
            }
            State::InRepair => {
                self.report.freed += 1;
                self.touch(Touch::Console);
                self.recover(id, self.setup.layers.len(), orders);
            }
            // These are in no minute's list.
            State::Resting | State::Seeking | State::Waiting | State::Stranded => {}
        }
    }

    /// Picks `granted` of `wanted`, each as likely: whether the next one is picked, with so many to come.
    fn is_picked(&mut self, granted: &mut u32, wanted: u32) -> bool {
        let picked = *granted >= wanted || self.dice.below(wanted) < *granted;
        *granted -= u32::from(picked);
        picked
    }

    fn answer_requests(&mut self, orders: &Orders) {
        let asking = std::mem::take(&mut self.asking);
        let mut granted = orders.answered.get(self.number).copied().unwrap_or(0);
        for (at, id) in asking.iter().enumerate() {
            if at % TOGETHER == 0 {
                self.fetch(&asking[at..asking.len().min(at + TOGETHER)]);
            }
            if !orders.offering {
                self.machines[*id as usize].state = State::Resting;
            } else if self.is_picked(&mut granted, (asking.len() - at) as u32) {
                self.take(*id, orders.minute);
            } else {
                self.report.refused += 1;
                let machine = &mut self.machines[*id as usize];
                let wait = self.setup.refusal.wait(machine.tries, &mut self.dice);
                machine.tries = machine.tries.saturating_add(1);
                // The lists of this minute come after the answers, so it may be the same one.
                let minute = orders.minute + wait;
                let off = self.setup.until_on(&self.machines[*id as usize], minute).unwrap_or(0);
                self.schedule(*id, State::Asking, minute + off);
            }
        }
        // The allocation is kept for the next minute.
        self.asking = asking;
        self.asking.clear();
    }

    fn answer_seekers(&mut self, orders: &Orders) {
        let seeking = std::mem::take(&mut self.seeking);
        let mut granted = orders.remedied.get(self.number).copied().unwrap_or(0);
        for (at, id) in seeking.iter().enumerate() {
            if !orders.good {
                self.try_failed(*id, orders.minute, 0);
            } else if self.is_picked(&mut granted, (seeking.len() - at) as u32) {
                if self.layer_helps(*id) {
                    self.recover(*id, self.machines[*id as usize].layer as usize, orders);
                } else {
                    self.try_failed(*id, orders.minute, 0);
                }
            } else {
                self.report.refused += 1;
                let tries = self.machines[*id as usize].tries;
                let wait = self.setup.remediation_refusal.wait(tries, &mut self.dice);
                self.try_failed(*id, orders.minute, wait);
            }
        }
        self.seeking = seeking;
        self.seeking.clear();
    }

    fn take(&mut self, id: u32, now: u32) {
        let setup = self.setup;
        let machine = &mut self.machines[id as usize];
        machine.tries = 0;
        machine.state = State::Resting;
        let is_first = machine.mark(TOOK);
        self.report.took += u32::from(is_first);
        if setup.canary[machine.ring as usize] {
            self.report.canaries_took += u32::from(is_first);
        }
        // What broke a machine once does so again.
        let doomed = machine.is(BROKE) || self.dice.happens(setup.class(machine).breaks);
        let until_failure = if doomed { setup.until_failure(machine, &mut self.dice) } else { 0 };
        let breaks_at_once = doomed && until_failure == 0;
        if is_first {
            self.hear_of(id, now, breaks_at_once);
        }
        if breaks_at_once {
            self.break_down(id, now);
        } else if doomed {
            self.schedule(id, State::Doomed, now + until_failure);
        }
    }

    /// What will be heard of a machine that took the update, for the first time.
    fn hear_of(&mut self, id: u32, now: u32, is_broken: bool) {
        let setup = self.setup;
        let signals = &setup.signals;
        let machine = &mut self.machines[id as usize];
        let deadline = now + signals.silent_after;
        let mut silent = true;
        if !is_broken && !self.dice.happens(signals.mute) {
            let ready = now + signals.healthy_delay.minutes(&mut self.dice);
            // A machine that was switched off before reports when it is on again.
            if let Some(wait) = setup.until_on(machine, ready) {
                count(&mut self.heard.healthy, &mut self.heard.until, ready + wait);
                silent = ready + wait > deadline;
            }
            if self.dice.happens(signals.other_crashes) {
                machine.mark(REPORTED);
                count(
                    &mut self.heard.crash_reports,
                    &mut self.heard.until,
                    now + signals.crash_delay.minutes(&mut self.dice),
                );
            }
        }
        count(&mut self.heard.due, &mut self.heard.until, deadline);
        if silent {
            machine.mark(SILENT);
            count(&mut self.heard.silent, &mut self.heard.until, deadline);
        }
    }

    fn break_down(&mut self, id: u32, now: u32) {
        let setup = self.setup;
        let machine = &mut self.machines[id as usize];
        machine.since = now;
        self.report.broke_any += 1;
        if machine.mark(BROKE) {
            self.report.broke += 1;
            if setup.canary[machine.ring as usize] {
                self.report.canaries_broke += 1;
            }
            if machine.mark(SILENT) {
                count(
                    &mut self.heard.silent,
                    &mut self.heard.until,
                    now + setup.signals.silent_after,
                );
            }
            if self.dice.happens(setup.signals.while_broken) {
                self.report_crash(id, now);
            }
        }
        self.climb(id, 0, now);
    }

    pub(crate) fn report_crash(&mut self, id: u32, now: u32) {
        if self.machines[id as usize].mark(REPORTED) {
            let delay = self.setup.signals.crash_delay.minutes(&mut self.dice);
            count(&mut self.heard.crash_reports, &mut self.heard.until, now + delay);
        }
    }
}

/// Counts in a minute, if it is still played.
fn count(counts: &mut [u32], until: &mut u32, minute: u32) {
    if let Some(count) = counts.get_mut(minute as usize) {
        *count += 1;
        *until = minute.max(*until);
    }
}
