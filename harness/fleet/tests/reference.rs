//! The simulation against another one, written for nothing but to be simple: one machine after the other, one queue
//! of events in milliseconds, no shards, no minutes but where the services count by them, its own random numbers and
//! its own distributions. Both play the same file many times; their means have to agree within four standard errors
//! of their difference, and a tolerance for the minutes of the simulation where it is named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use common::{july, play};
use fleet::{Choice, Class, Distribution, Interval, Needs, Outcome, Rollout, Signal, predict};
use words::{Span, Touch};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.part() * end as f64) as usize
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.part()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.part()).cos()
    }

    fn draw(&mut self, distribution: &Distribution) -> u64 {
        let ms = |span: Span| span.duration().as_millis() as f64;
        let value = match distribution {
            Distribution::Fixed(span) => ms(*span),
            Distribution::Uniform(it) => ms(it.from) + (ms(it.to) - ms(it.from)) * self.part(),
            Distribution::Exponential(it) => -ms(it.mean) * (1.0 - self.part()).ln(),
            Distribution::Lognormal(it) => ms(it.median) * it.spread.powf(self.normal()),
            Distribution::Observed(all) => ms(all[self.below(all.len())]),
        };
        value as u64
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ring(usize),
    Ask(usize),
    Fail(usize),
    TryEnds(usize),
    Call(usize),
    Repaired(usize),
    CrashReport,
    Due,
    Silent,
    EndOfMinute,
}

struct Machine {
    class: usize,
    east: i64,
    level: f64,
    phase: u64,
    encrypted: bool,
    since: Option<u64>,
    layer: usize,
    tries: u32,
    took: bool,
    broke: bool,
    reported: bool,
    silent: bool,
}

#[derive(Default)]
struct World {
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    machines: Vec<Machine>,
    asking: Vec<usize>,
    seeking: Vec<usize>,
    queue: VecDeque<usize>,
    busy: u32,
    took: u64,
    broke: u64,
    crash_reports: u64,
    due: u64,
    silent: u64,
    noticed: Option<u64>,
    alarm: Option<u64>,
    lost: f64,
    touches: u64,
    refusals: u64,
    rolled_back: u64,
}

struct Reference<'a> {
    rollout: &'a Rollout,
    plan: usize,
    random: Random,
    world: World,
    now: u64,
}

impl Reference<'_> {
    fn at(&mut self, time: u64, event: Event) {
        self.world.sequence += 1;
        self.world.events.push(Reverse((time, self.world.sequence, event)));
    }

    fn share_on(&self, class: &Class, east: i64, time: u64) -> f64 {
        let seconds = self.rollout.begins.as_second() + (time / 1000) as i64 + east;
        let (day, hour) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) / 3600);
        // 1 January 1970 was a Thursday.
        let weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
        let working = class.on.as_ref();
        let profile = if weekend { class.on_weekend.as_ref().or(working) } else { working };
        profile.map_or(1.0, |hours| hours[hour as usize])
    }

    fn is_on(&self, machine: &Machine, time: u64) -> bool {
        machine.level < self.share_on(&self.rollout.class[machine.class], machine.east, time)
    }

    fn on_from(&self, machine: &Machine, time: u64) -> Option<u64> {
        if self.is_on(machine, time) {
            return Some(time);
        }
        // Zones may be half an hour apart, so hours begin at full and at half hours.
        let begins = self.rollout.begins.as_millisecond() as u64 % (HOUR / 2);
        let half = HOUR / 2;
        let first = time + half - (time + begins) % half;
        (0..336).map(|step| first + step * half).find(|time| self.is_on(machine, *time))
    }

    fn hours_on(&self, machine: &Machine, from: u64, to: u64) -> f64 {
        let minutes = (from / MINUTE..to / MINUTE).filter(|it| self.is_on(machine, it * MINUTE));
        minutes.count() as f64 / 60.0
    }

    fn next_ask(&self, machine: &Machine, time: u64) -> Option<u64> {
        let every = self.rollout.class[machine.class].asks_every.duration().as_millis() as u64;
        let next = time + (machine.phase + every - time % every) % every;
        let on = self.on_from(machine, next)?;
        Some(if on == next { next } else { on + machine.phase % HOUR })
    }

    fn machine(&mut self, class: usize) -> Machine {
        let setup = &self.rollout.class[class];
        let encrypted = self.random.part() < setup.encrypted;
        loop {
            let mut zone = self.random.part();
            let mut east = 0;
            for it in &setup.zones {
                if zone >= 0.0 {
                    east = (it.utc * 3600.0) as i64;
                }
                zone -= it.share;
            }
            let every = setup.asks_every.duration().as_millis() as usize;
            let machine = Machine {
                class,
                east,
                level: self.random.part(),
                phase: self.random.below(every) as u64,
                encrypted,
                since: None,
                layer: 0,
                tries: 0,
                took: false,
                broke: false,
                reported: false,
                silent: false,
            };
            let within = self.rollout.fleet.asks_within.map(|it| it.duration().as_millis() as u64);
            let first = self.next_ask(&machine, 0);
            if within.is_none_or(|within| first.is_some_and(|first| first < within)) {
                return machine;
            }
        }
    }

    fn after_alarm(&self, span: Option<Span>) -> bool {
        self.world
            .alarm
            .zip(span)
            .is_some_and(|(alarm, span)| self.now >= alarm + span.duration().as_millis() as u64)
    }

    fn offering(&self) -> bool {
        !self.after_alarm(self.rollout.at_stop.withdraw)
    }

    fn good(&self) -> bool {
        self.after_alarm(self.rollout.at_stop.publish_remediation)
    }

    fn run(mut self) -> World {
        self.at(0, Event::Ring(0));
        self.at(MINUTE, Event::EndOfMinute);
        let end = self.rollout.horizon.duration().as_millis() as u64;
        while let Some(Reverse((time, _, event))) = self.world.events.pop() {
            if time > end {
                break;
            }
            self.now = time;
            match event {
                Event::Ring(ring) => self.ring(ring),
                Event::Ask(id) if self.offering() => self.world.asking.push(id),
                Event::Ask(_) => {}
                Event::Fail(id) => self.fail(id),
                Event::TryEnds(id) => self.try_ends(id),
                Event::Call(id) => {
                    self.world.queue.push_back(id);
                    self.lend();
                }
                Event::Repaired(id) => {
                    self.world.busy -= 1;
                    self.world.touches += 1;
                    self.recover(id);
                    self.lend();
                }
                Event::CrashReport => self.world.crash_reports += 1,
                Event::Due => self.world.due += 1,
                Event::Silent => self.world.silent += 1,
                Event::EndOfMinute => {
                    self.serve();
                    self.look();
                    self.at(time + MINUTE, Event::EndOfMinute);
                }
            }
        }
        let broken = self.world.machines.iter();
        let lost: f64 =
            broken.filter_map(|machine| Some(self.hours_on(machine, machine.since?, end))).sum();
        self.world.lost += lost;
        self.world
    }

    fn ring(&mut self, ring: usize) {
        if self.after_alarm(self.rollout.at_stop.halt) || !self.offering() {
            return;
        }
        let rings = &self.rollout.plan[self.plan].ring;
        let all = f64::from(self.rollout.fleet.machines);
        let before: f64 = rings[..ring].iter().filter_map(|ring| ring.share).sum();
        let share = rings[ring].share.unwrap_or(1.0 - before);
        for class in 0..self.rollout.class.len() {
            let count = (all * share * self.rollout.class[class].share).round() as usize;
            for _ in 0..count {
                let machine = self.machine(class);
                let first = self.next_ask(&machine, self.now);
                self.world.machines.push(machine);
                if let Some(first) = first {
                    self.at(first, Event::Ask(self.world.machines.len() - 1));
                }
            }
        }
        if ring + 1 < rings.len() {
            let wait = rings[ring].wait.duration().as_millis() as u64;
            self.at(self.now + wait, Event::Ring(ring + 1));
        }
    }

    /// What the service answers of a minute's requests: by its definition, all at the minute's end.
    fn serve(&mut self) {
        let asking = std::mem::take(&mut self.world.asking);
        let seeking = std::mem::take(&mut self.world.seeking);
        let service = &self.rollout.update_service;
        let machines = f64::from(self.rollout.fleet.machines);
        let mut others = 0.0;
        for class in &self.rollout.class {
            let zone = |utc: f64| self.share_on(class, (utc * 3600.0) as i64, self.now);
            let on: f64 = if class.zones.is_empty() {
                zone(0.0)
            } else {
                class.zones.iter().map(|it| it.share * zone(it.utc)).sum()
            };
            others += machines * class.share * on / class.asks_every.minutes() as f64;
        }
        let good = self.good();
        let wanted = asking.len() + if good { seeking.len() } else { 0 };
        let free = service.requests_a_minute - others * service.light_answer;
        let answered = if wanted as f64 <= free {
            wanted
        } else {
            let light = service.light_answer;
            ((free - wanted as f64 * light) / (1.0 - light)).max(0.0) as usize
        };
        let mut all: Vec<(bool, usize)> = asking.into_iter().map(|id| (true, id)).collect();
        if good {
            all.extend(seeking.iter().map(|id| (false, *id)));
        } else {
            seeking.into_iter().for_each(|id| self.try_failed(id, 0));
        }
        for at in (1..all.len()).rev() {
            all.swap(at, self.random.below(at + 1));
        }
        for (at, (update, id)) in all.into_iter().enumerate() {
            if update && !self.offering() {
                continue;
            }
            if at < answered {
                if update {
                    self.take(id);
                } else if self.helps(id) {
                    self.recover(id);
                } else {
                    self.try_failed(id, 0);
                }
                continue;
            }
            self.world.refusals += 1;
            let after = service.retry_after.duration().as_millis() as f64;
            let longest = service.longest_wait.duration().as_millis() as f64;
            let tries = self.world.machines[id].tries;
            let wait = (after * service.backoff.powi(tries as i32)).min(longest);
            let wait = (wait * (0.5 + self.random.part())) as u64;
            if update {
                self.world.machines[id].tries += 1;
                let on = self.on_from(&self.world.machines[id], self.now + wait);
                if let Some(on) = on {
                    self.at(on, Event::Ask(id));
                }
            } else {
                self.try_failed(id, wait);
            }
        }
    }

    fn take(&mut self, id: usize) {
        let fault = &self.rollout.fault[0];
        let first = !std::mem::replace(&mut self.world.machines[id].took, true);
        self.world.machines[id].tries = 0;
        let class = &self.rollout.class[self.world.machines[id].class];
        let again = self.world.machines[id].broke;
        let breaks = again || self.random.part() < fault.breaks * class.exposed;
        let starts = fault.good_starts[self.random.below(fault.good_starts.len())];
        let after: u64 = (0..starts).map(|_| self.random.draw(&class.restarts_every)).sum();
        if first {
            self.world.took += 1;
            let signals = &self.rollout.signals;
            let due = self.now + signals.silent_after.duration().as_millis() as u64;
            self.at(due, Event::Due);
            let mut silent = true;
            if !(breaks && after == 0) && self.random.part() >= signals.mute {
                let ready = self.now + self.random.draw(&signals.healthy_delay);
                silent = self.on_from(&self.world.machines[id], ready).is_none_or(|on| on > due);
                if self.random.part() < signals.other_crashes {
                    self.crash_report(id);
                }
            }
            if silent {
                self.world.machines[id].silent = true;
                self.at(due, Event::Silent);
            }
        }
        if breaks {
            self.at(self.now + after, Event::Fail(id));
        }
    }

    fn crash_report(&mut self, id: usize) {
        if !std::mem::replace(&mut self.world.machines[id].reported, true) {
            let delay = self.random.draw(&self.rollout.signals.crash_report_delay);
            self.at(self.now + delay, Event::CrashReport);
        }
    }

    fn fail(&mut self, id: usize) {
        let roll_back = self.rollout.at_stop.roll_back;
        if self.after_alarm(roll_back) {
            let since =
                self.world.alarm.unwrap() + roll_back.unwrap().duration().as_millis() as u64;
            let asked = self.next_ask(&self.world.machines[id], since);
            if asked.is_some_and(|asked| asked < self.now) {
                self.world.rolled_back += 1;
                return;
            }
        }
        self.world.machines[id].since = Some(self.now);
        if !std::mem::replace(&mut self.world.machines[id].broke, true) {
            self.world.broke += 1;
            if !std::mem::replace(&mut self.world.machines[id].silent, true) {
                let after = self.rollout.signals.silent_after.duration().as_millis() as u64;
                self.at(self.now + after, Event::Silent);
            }
            if self.random.part() < self.rollout.signals.reports_while_broken {
                self.crash_report(id);
            }
        }
        self.climb(id, 0);
    }

    fn climb(&mut self, id: usize, from: usize) {
        let class = &self.rollout.class[self.world.machines[id].class].name;
        for (at, layer) in self.rollout.layer.iter().enumerate().skip(from) {
            let has = layer.classes.as_ref().is_none_or(|all| all.contains(class));
            if has && self.random.part() < layer.available {
                self.world.machines[id].layer = at;
                self.world.machines[id].tries = 0;
                self.begin_try(id, 0);
                return;
            }
        }
        let after = self.random.draw(&self.rollout.help_desk.as_ref().unwrap().called_after);
        self.at(self.now + after, Event::Call(id));
    }

    fn begin_try(&mut self, id: usize, wait: u64) {
        let layer = &self.rollout.layer[self.world.machines[id].layer];
        if layer.touch.unwrap_or(layer.layer.touch()) != Touch::None {
            self.world.touches += 1;
        }
        let takes = self.random.draw(&layer.takes);
        self.at(self.now + wait + takes, Event::TryEnds(id));
    }

    fn try_ends(&mut self, id: usize) {
        let ready = match self.rollout.layer[self.world.machines[id].layer].needs {
            Needs::Nothing => true,
            Needs::GoodContent => self.good(),
            Needs::Remediation => return self.world.seeking.push(id),
        };
        if ready && self.helps(id) { self.recover(id) } else { self.try_failed(id, 0) }
    }

    fn helps(&mut self, id: usize) -> bool {
        let machine = &self.world.machines[id];
        let layer = &self.rollout.layer[machine.layer];
        let encrypted = layer.helps_encrypted.filter(|_| machine.encrypted);
        self.random.part() < encrypted.unwrap_or(layer.helps)
    }

    fn try_failed(&mut self, id: usize, wait: u64) {
        let machine = &mut self.world.machines[id];
        machine.tries += 1;
        let at = machine.layer;
        if machine.tries < u32::from(self.rollout.layer[at].tries) {
            self.begin_try(id, wait);
        } else {
            self.climb(id, at + 1);
        }
    }

    fn recover(&mut self, id: usize) {
        let since = self.world.machines[id].since.take().unwrap();
        self.world.lost += self.hours_on(&self.world.machines[id], since, self.now);
        self.crash_report(id);
        self.world.machines[id].tries = 0;
        if self.offering()
            && let Some(next) = self.next_ask(&self.world.machines[id], self.now + MINUTE)
        {
            self.at(next, Event::Ask(id));
        }
    }

    fn lend(&mut self) {
        let desk = self.rollout.help_desk.as_ref().unwrap();
        while self.world.busy < desk.hands
            && let Some(id) = self.world.queue.pop_front()
        {
            self.world.busy += 1;
            let mut takes = self.random.draw(&desk.takes);
            if let Some(more) =
                desk.encrypted_takes_more.filter(|_| self.world.machines[id].encrypted)
            {
                takes += more.duration().as_millis() as u64;
            }
            self.at(self.now + takes, Event::Repaired(id));
        }
    }

    fn look(&mut self) {
        if self.world.alarm.is_some() {
            return;
        }
        for rule in &self.rollout.plan[self.plan].stop {
            let (hits, tries) = match rule.signal {
                Signal::CrashReports => (self.world.crash_reports, self.world.took),
                Signal::Silent => (self.world.silent, self.world.due),
                Signal::Canaries => panic!("not in this test"),
            };
            if bet(rule.more_than, hits as f64, tries as f64) >= -(1.0 - rule.confidence).ln() {
                self.world.alarm = Some(self.now);
                return;
            }
        }
        let Some(otherwise) = &self.rollout.found_otherwise else { return };
        if self.world.broke >= u64::from(otherwise.machines) {
            let noticed = *self.world.noticed.get_or_insert(self.now);
            if self.now >= noticed + otherwise.after.duration().as_millis() as u64 {
                self.world.alarm = Some(self.now);
            }
        }
    }
}

/// The logarithm of the mean of the likelihood ratio over all higher shares, by adding it up.
fn bet(p: f64, hits: f64, tries: f64) -> f64 {
    if hits <= tries * p {
        return 0.0;
    }
    let steps = 3000;
    let log =
        |share: f64| hits * (share / p).ln() + (tries - hits) * ((1.0 - share) / (1.0 - p)).ln();
    let share = |step: u32| p + (1.0 - p) * (f64::from(step) + 0.5) / f64::from(steps);
    let most = (0..steps).map(|step| log(share(step))).fold(f64::MIN, f64::max);
    let sum: f64 = (0..steps).map(|step| (log(share(step)) - most).exp()).sum();
    most + (sum / f64::from(steps)).ln()
}

type Figures = BTreeMap<&'static str, Vec<f64>>;

fn of_outcome(outcome: &Outcome, into: &mut Figures) {
    let figures = [
        ("took", outcome.took as f64),
        ("broke", outcome.broke as f64),
        ("hours", outcome.machine_hours()),
        ("touches", outcome.touches.total() as f64),
        ("alarm", outcome.alarm.as_ref().map_or(f64::NAN, |alarm| f64::from(alarm.minute))),
        ("refusals", outcome.refusals as f64),
        ("rolled back", outcome.rolled_back as f64),
    ];
    figures.into_iter().for_each(|(name, value)| into.entry(name).or_default().push(value));
}

fn of_reference(world: &World, into: &mut Figures) {
    let figures = [
        ("took", world.took as f64),
        ("broke", world.broke as f64),
        ("hours", world.lost),
        ("touches", world.touches as f64),
        ("alarm", world.alarm.map_or(f64::NAN, |alarm| alarm as f64 / MINUTE as f64)),
        ("refusals", world.refusals as f64),
        ("rolled back", world.rolled_back as f64),
    ];
    figures.into_iter().for_each(|(name, value)| into.entry(name).or_default().push(value));
}

/// The difference of the means, and the standard error of it.
fn compare(one: &[f64], other: &[f64]) -> (f64, f64, f64) {
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let error = |all: &[f64]| {
        let mean = mean(all);
        let squares = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        squares / (all.len() - 1) as f64 / all.len() as f64
    };
    (mean(one), mean(other), (error(one) + error(other)).sqrt())
}

/// Plays a plan both ways. `tolerance` is how far a figure may be off because the simulation goes by the minute: a
/// share of it for each, and minutes for the alarm.
fn agree(rollout: &Rollout, plan: &str, tolerance: f64, minutes: f64) {
    let (mut simulated, mut reference) = (Figures::new(), Figures::new());
    let number = rollout.plan.iter().position(|it| it.name == plan).unwrap();
    for seed in 0..30 {
        of_outcome(&play(rollout, plan, 100 + seed, 1), &mut simulated);
        let random = Random(seed * 7919 + 1);
        let reference_world =
            Reference { rollout, plan: number, random, world: World::default(), now: 0 }.run();
        of_reference(&reference_world, &mut reference);
    }
    for (name, values) in &simulated {
        let (one, other, error) = compare(values, &reference[name]);
        let off = if *name == "alarm" { minutes } else { tolerance * other.abs() };
        println!(
            "{plan}: {name}: simulated {one:.1}, reference {other:.1}, standard error {error:.2}"
        );
        assert!((one - other).abs() <= 4.0 * error + off, "{plan}: {name}");
    }
}

/// 2000 machines, with Quick Machine Recovery on some.
const FEW: &[(&str, &str)] = &[
    ("fleet.machines", "2000"),
    ("update-service.requests-a-minute", "60"),
    ("help-desk.hands", "15"),
    ("found-otherwise.machines", "5"),
    ("layer.quick-machine-recovery.available", "0.4"),
    ("layer.quick-machine-recovery.tries", "4"),
    ("layer.quick-machine-recovery.helps-encrypted", "0.5"),
    ("fault.every-machine.breaks", "0.8"),
    ("signals.reports-while-broken", "0.1"),
    ("horizon", "168h"),
];

fn few(more: &[(&str, &str)]) -> Rollout {
    july(&FEW.iter().chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn everything_at_once_agrees_with_the_reference() {
    agree(&few(&[]), "everything-at-once", 0.02, 2.0);
}

#[test]
fn rings_with_stop_rules_agree_with_the_reference() {
    let rollout = few(&[
        ("plan.hasty-rings.ring.first.share", "0.05"),
        ("plan.hasty-rings.ring.early.share", "0.2"),
        ("plan.hasty-rings.ring.first.wait", "30m"),
        ("plan.hasty-rings.ring.early.wait", "30m"),
    ]);
    agree(&rollout, "hasty-rings", 0.03, 3.0);
}

#[test]
fn late_faults_and_a_roll_back_agree_with_the_reference() {
    let rollout = few(&[
        ("fault.every-machine.good-starts", "[0, 1, 1, 2]"),
        ("fault.every-machine.breaks", "0.3"),
        ("found-otherwise.after", "5h"),
    ]);
    agree(&rollout, "everything-at-once", 0.02, 2.0);
}

#[test]
fn what_is_predicted_for_twelve_machines_holds_as_often_as_it_says() {
    let rollout = few(&[
        ("fleet.machines", "12"),
        ("help-desk.hands", "1"),
        ("found-otherwise.machines", "2"),
        ("plan.hasty-rings.ring.first.share", "0.33333333"),
        ("plan.hasty-rings.ring.early.share", "0.33333333"),
        // So that the reference, which rounds each class by itself, has twelve as well.
        ("class.office.share", "0.5"),
        ("class.counter.share", "0.0"),
        ("class.server.share", "0.5"),
        ("class.cloud.share", "0.0"),
    ]);
    let number = rollout.plan.iter().position(|plan| plan.name == "hasty-rings").unwrap();
    let fault = Some("every-machine".to_owned());
    let choice = Choice { plan: "hasty-rings".to_owned(), fault, seed: 5, threads: 2 };
    let predicted = predict(&rollout, &choice, 800, 0.95).unwrap();
    let alone = predict(&rollout, &Choice { threads: 1, ..choice }, 800, 0.95).unwrap();
    assert_eq!(predicted, alone, "the same for any number of threads");
    let rounds = 200;
    let mut held = BTreeMap::<&str, u32>::new();
    for seed in 0..rounds {
        let random = Random(seed * 104_729 + 3);
        let world =
            Reference { rollout: &rollout, plan: number, random, world: World::default(), now: 0 };
        let world = world.run();
        let mut hold = |name, value: f64, interval: &Interval| {
            // Half a per cent for the minutes.
            let slack = 0.005 * interval.to;
            let is_in = interval.from - slack <= value && value <= interval.to + slack;
            *held.entry(name).or_default() += u32::from(is_in);
        };
        hold("broke", world.broke as f64, &predicted.broke);
        hold("hours", world.lost, &predicted.machine_hours);
        hold("touches", world.touches as f64, &predicted.touches);
    }
    println!("{predicted:?}\n{held:?} of {rounds}");
    for (name, times) in held {
        // 95 of 100, less four standard errors of 200 rounds.
        assert!(times >= 178, "{name}: {times} of {rounds}");
    }
}
