//! What machines share: the services, the help desk, what is heard of them, and who stops the rollout.

use std::collections::VecDeque;
use std::ops::Range;

use crate::apportion::grant;
use crate::chance::{StopTest, binomial_lower};
use crate::layout::Layout;
use crate::machine::{Setup, minutes};
use crate::model::{Plan, Rollout, Signal};
use crate::orders::{Orders, Report};
use crate::outcome::{Alarm, Milestones, Observed, RingOutcome};
use crate::service::Limits;

/// About so many moments of the course are kept.
const MOMENTS: u32 = 400;

/// The world, between two minutes.
#[derive(Debug)]
pub(crate) struct World<'a> {
    setup: &'a Setup,
    rollout: &'a Rollout,
    plan: &'a Plan,
    layout: &'a Layout,
    tests: Vec<(Signal, f64, StopTest)>,
    update_service: Limits,
    remediation_service: Option<Limits>,
    /// The first ring that has not begun.
    next_ring: usize,
    ring_began: u32,
    busy: u32,
    /// Who waits for hands, in order: shard and number.
    queue: VecDeque<(u32, u32)>,
    waiting: u64,
    noticed: Option<u32>,
    reach: u64,
    crash_reports: u64,
    healthy: u64,
    due: u64,
    silent: u64,
    canaries_took: u64,
    /// Watched machines that broke, by the minute in which that is known; and those of which it is known.
    canaries_breaking: VecDeque<(u32, u64)>,
    canaries_broke: u64,
    /// By minute: machines that are back.
    recovered_by: Vec<(u32, u64)>,
    pub(crate) seen: Seen,
}

/// What an outcome takes from the world.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) took: u64,
    pub(crate) broke: u64,
    pub(crate) broke_any: u64,
    pub(crate) recovered: u64,
    pub(crate) refusals: u64,
    pub(crate) longest_queue: u64,
    pub(crate) alarm: Option<Alarm>,
    pub(crate) milestones: Milestones,
    pub(crate) rings: Vec<RingOutcome>,
    pub(crate) course: Vec<Observed>,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        rollout: &'a Rollout,
        plan: &'a Plan,
        reach: f64,
        setup: &'a Setup,
        layout: &'a Layout,
    ) -> Self {
        let rings = plan.ring.iter().enumerate().map(|(at, ring)| RingOutcome {
            name: ring.name.clone(),
            machines: layout.in_ring(at),
            began: None,
            broke_before: 0,
            crash_reports_before: 0,
        });
        let tests = plan.stop.iter().map(|rule| {
            (rule.signal, rule.confidence, StopTest::new(rule.more_than, rule.confidence))
        });
        Self {
            setup,
            rollout,
            plan,
            layout,
            tests: tests.collect(),
            update_service: Limits::new(&rollout.update_service, &rollout.update),
            remediation_service: rollout
                .remediation_service
                .as_ref()
                .map(|service| Limits::new(service, &rollout.update)),
            next_ring: 0,
            ring_began: 0,
            busy: 0,
            queue: VecDeque::new(),
            waiting: 0,
            noticed: None,
            reach: (f64::from(rollout.fleet.machines) * reach).ceil() as u64,
            crash_reports: 0,
            healthy: 0,
            due: 0,
            silent: 0,
            canaries_took: 0,
            canaries_breaking: VecDeque::new(),
            canaries_broke: 0,
            recovered_by: Vec::new(),
            seen: Seen { rings: rings.collect(), ..Seen::default() },
        }
    }

    /// The orders of the first minute.
    pub(crate) fn begin(&mut self) -> Orders {
        let begin = self.begin_ring(0);
        Orders { minute: 0, begin, offering: true, ..Orders::default() }
    }

    /// Takes the reports of a minute, by shard, and gives the orders of the next; nothing if it is over.
    pub(crate) fn next(&mut self, minute: u32, reports: &[Report]) -> Option<Orders> {
        let next = minute + 1;
        self.hear(minute, reports);
        self.look(minute);
        let done = self.act(next);
        let begin = self.next_rings(next);
        let offering = self.seen.milestones.withdrawn.is_none();
        let good = self.seen.milestones.remediation.is_some();
        let (answered, remedied) = self.serve(next, reports, good);
        let hands = self.lend_hands(next, reports);
        self.watch(minute);
        let pending: u64 = reports.iter().map(|report| u64::from(report.pending)).sum();
        let lent = hands.iter().any(|hands| *hands > 0);
        // What is still to be heard may yet give an alarm.
        let quiet = reports.iter().all(|report| report.heard_until <= minute)
            && self.canaries_breaking.is_empty()
            && (self.noticed.is_none() || self.seen.alarm.is_some());
        let is_over =
            pending == 0 && !lent && begin.is_empty() && done && !self.more_rings() && quiet;
        if next > self.setup.horizon || is_over {
            return None;
        }
        Some(Orders {
            minute: next,
            begin,
            offering,
            good,
            rolled_back: self.seen.milestones.rolled_back,
            answered,
            remedied,
            hands,
        })
    }

    /// What the end was, once the last minute was played.
    pub(crate) fn finish(mut self, minute: u32) -> Seen {
        let broke_any = self.seen.broke_any;
        let back = |share: f64| {
            let wanted = (broke_any as f64 * share).ceil() as u64;
            let found = self.recovered_by.iter().find(|(_, recovered)| *recovered >= wanted);
            found.filter(|_| broke_any > 0).map(|(minute, _)| *minute)
        };
        let (half, nearly, all) = (back(0.5), back(0.97), back(1.0));
        let milestones = &mut self.seen.milestones;
        milestones.half_back = half;
        milestones.nearly_all_back = nearly;
        milestones.all_back = all;
        if self.seen.course.last().is_none_or(|last| last.minute != minute) {
            let moment = self.moment(minute);
            self.seen.course.push(moment);
        }
        self.seen
    }

    fn hear(&mut self, minute: u32, reports: &[Report]) {
        let sum = |of: fn(&Report) -> u32| reports.iter().map(|it| u64::from(of(it))).sum::<u64>();
        self.crash_reports += sum(|it| it.crash_reports);
        self.healthy += sum(|it| it.healthy);
        self.due += sum(|it| it.due);
        self.silent += sum(|it| it.silent);
        self.canaries_took += sum(|it| it.canaries_took);
        let known = minute + minutes(self.rollout.signals.canary_delay);
        let canaries_broke = sum(|it| it.canaries_broke);
        if canaries_broke > 0 {
            self.canaries_breaking.push_back((known, canaries_broke));
        }
        while let Some((_, broke)) = self.canaries_breaking.pop_front_if(|it| it.0 <= minute) {
            self.canaries_broke += broke;
        }
        let seen = &mut self.seen;
        seen.took += sum(|it| it.took);
        seen.broke += sum(|it| it.broke);
        seen.broke_any += sum(|it| it.broke_any);
        seen.refusals += sum(|it| it.refused);
        let recovered = sum(|it| it.recovered);
        if recovered > 0 {
            seen.recovered += recovered;
            self.recovered_by.push((minute, seen.recovered));
        }
        if seen.broke > 0 && seen.milestones.first_broke.is_none() {
            seen.milestones.first_broke = Some(minute);
        }
        if seen.took >= self.reach && seen.milestones.reached.is_none() {
            seen.milestones.reached = Some(minute);
        }
    }

    /// Looks at the signals: whether there is an alarm.
    fn look(&mut self, minute: u32) {
        if self.seen.alarm.is_some() {
            return;
        }
        for (signal, confidence, test) in &self.tests {
            let (hits, tries) = match signal {
                Signal::CrashReports => (self.crash_reports, self.seen.took),
                Signal::Silent => (self.silent, self.due),
                Signal::Canaries => (self.canaries_broke, self.canaries_took),
            };
            if test.is_sure(hits, tries) {
                self.seen.alarm = Some(Alarm {
                    rule: Some(signal.name().to_owned()),
                    minute,
                    ring: self.next_ring - 1,
                    hits,
                    tries,
                    at_least: binomial_lower(hits.min(tries), tries, *confidence),
                    broke: self.seen.broke,
                });
                return;
            }
        }
        let Some(otherwise) = &self.rollout.found_otherwise else { return };
        if self.noticed.is_none() && self.seen.broke >= u64::from(otherwise.machines) {
            self.noticed = Some(minute);
        }
        if self.noticed.is_some_and(|noticed| minute >= noticed + minutes(otherwise.after)) {
            self.seen.alarm = Some(Alarm {
                rule: None,
                minute,
                ring: self.next_ring - 1,
                hits: self.seen.broke,
                tries: self.seen.took,
                at_least: 0.0,
                broke: self.seen.broke,
            });
        }
    }

    /// Does what is to be done at a stop in this minute. Whether all of it is done.
    fn act(&mut self, minute: u32) -> bool {
        let Some(alarm) = &self.seen.alarm else { return true };
        let stop = &self.rollout.at_stop;
        let milestones = &mut self.seen.milestones;
        let mut done = true;
        for (after, when) in [
            (stop.halt, &mut milestones.halted),
            (stop.withdraw, &mut milestones.withdrawn),
            (stop.publish_remediation, &mut milestones.remediation),
            (stop.roll_back, &mut milestones.rolled_back),
        ] {
            let Some(after) = after.filter(|_| when.is_none()) else { continue };
            if minute >= alarm.minute + minutes(after).max(1) {
                *when = Some(minute);
            } else {
                done = false;
            }
        }
        done
    }

    fn is_stopped(&self) -> bool {
        let milestones = &self.seen.milestones;
        milestones.halted.is_some() || milestones.withdrawn.is_some()
    }

    /// Whether a ring may yet begin.
    fn more_rings(&self) -> bool {
        self.next_ring < self.plan.ring.len() && !self.is_stopped()
    }

    fn begin_ring(&mut self, minute: u32) -> Range<usize> {
        let ring = &mut self.seen.rings[self.next_ring];
        ring.began = Some(minute);
        ring.broke_before = self.seen.broke;
        ring.crash_reports_before = self.crash_reports;
        self.ring_began = minute;
        self.next_ring += 1;
        self.next_ring - 1..self.next_ring
    }

    fn next_rings(&mut self, minute: u32) -> Range<usize> {
        if !self.more_rings() {
            return 0..0;
        }
        let ring = &self.plan.ring[self.next_ring - 1];
        let waited = minute >= self.ring_began + minutes(ring.wait).max(1);
        let healthy = ring.healthy.is_none_or(|share| {
            self.seen.took > 0 && self.healthy as f64 >= share * self.seen.took as f64
        });
        if waited && healthy { self.begin_ring(minute) } else { 0..0 }
    }

    /// Which requests of the last minute are answered.
    fn serve(&self, minute: u32, reports: &[Report], good: bool) -> (Vec<u32>, Vec<u32>) {
        let asking: Vec<u32> = reports.iter().map(|report| report.asking).collect();
        // Where there is no remediation yet, the answer is light, and nobody is refused.
        let seeking: Vec<u32> =
            reports.iter().map(|report| if good { report.seeking } else { 0 }).collect();
        let sum = |all: &[u32]| all.iter().map(|one| u64::from(*one)).sum::<u64>();
        let (asked, sought) = (sum(&asking), sum(&seeking));
        if asked + sought == 0 {
            return (Vec::new(), Vec::new());
        }
        let others = self.other_requests(minute);
        let (answered, remedied) = match &self.remediation_service {
            Some(service) => {
                (self.update_service.answered(asked, others), service.answered(sought, 0.0))
            }
            None => {
                let both = self.update_service.answered(asked + sought, others);
                let answered = both * asked / (asked + sought);
                (answered, both - answered)
            }
        };
        let first = minute as usize;
        (grant(answered, &asking, first), grant(remedied, &seeking, first))
    }

    /// Requests of machines for which there is nothing new, in a minute: all that are on ask once in their interval.
    fn other_requests(&self, minute: u32) -> f64 {
        let machines = f64::from(self.rollout.fleet.machines);
        let classes = self.setup.classes.iter().zip(&self.rollout.class);
        classes
            .map(|(setup, class)| {
                let on = class.share * machines * self.setup.share_on(setup, minute);
                on / f64::from(setup.asks_every)
            })
            .sum()
    }

    /// Who gets hands, first come first served. Of those who came in the same minute, each shard's in turn.
    fn lend_hands(&mut self, minute: u32, reports: &[Report]) -> Vec<u32> {
        let Some(desk) = &self.rollout.help_desk else { return Vec::new() };
        let shards = reports.len();
        for offset in 0..shards {
            let shard = (offset + minute as usize) % shards;
            let report = &reports[shard];
            self.busy -= report.freed;
            if report.called > 0 {
                self.queue.push_back((shard as u32, report.called));
                self.waiting += u64::from(report.called);
            }
        }
        let mut lent = vec![0; shards];
        while self.busy < desk.hands
            && let Some((shard, waiting)) = self.queue.front_mut()
        {
            let now = (desk.hands - self.busy).min(*waiting);
            lent[*shard as usize] += now;
            self.busy += now;
            self.waiting -= u64::from(now);
            *waiting -= now;
            if *waiting == 0 {
                self.queue.pop_front();
            }
        }
        self.seen.longest_queue = self.seen.longest_queue.max(self.waiting);
        lent
    }

    fn watch(&mut self, minute: u32) {
        if minute.is_multiple_of((self.setup.horizon / MOMENTS).max(1)) {
            let moment = self.moment(minute);
            self.seen.course.push(moment);
        }
    }

    fn moment(&self, minute: u32) -> Observed {
        Observed {
            minute,
            took: self.seen.took,
            broken: self.seen.broke_any - self.seen.recovered,
            waiting: self.waiting,
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.layout.shards
    }
}
