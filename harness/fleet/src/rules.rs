//! What no type can say about a rollout file.

use words::Span;

use crate::distribution::{Distribution, LONGEST};
use crate::model::{Plan, ROLLOUT_FORMAT, Rollout, Service};
use crate::place::{Problem, Source};

/// More machines are not played: a million takes 30 to 40 MB.
const MOST_MACHINES: u32 = 50_000_000;
/// Minutes of the longest horizon. No duration is longer either, so what is cut off of a distribution's tail lies after
/// the end of the play.
const LONGEST_HORIZON: u64 = LONGEST / 60;
/// So many classes, zones of a class, rings and layers fit into a machine's bytes.
const MOST_PARTS: usize = 100;
/// More machines than this are not run for one rollout: each takes about a minute.
const MOST_REAL: u32 = 200;
/// How far shares may be from 1 in all.
const ROUNDING: f64 = 1e-6;

/// Everything that is wrong.
pub(crate) fn check(rollout: &Rollout, source: Source<'_>) -> Vec<Problem> {
    let mut check = Check { source, problems: Vec::new() };
    check.head(rollout);
    check.classes(rollout);
    check.faults(rollout);
    check.service("update-service", &rollout.update_service);
    if let Some(service) = &rollout.remediation_service {
        check.service("remediation-service", service);
    }
    check.repair(rollout);
    check.signals(rollout);
    for (at, plan) in rollout.plan.iter().enumerate() {
        check.plan(rollout, at, plan);
    }
    check.names("plan", rollout.plan.iter().map(|plan| plan.name.as_str()));
    check.search(rollout);
    check.real(rollout);
    check.problems
}

struct Check<'a> {
    source: Source<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, path: &[&str], what: impl Into<String>, fix: impl Into<String>) {
        let place = self.source.place(path);
        self.problems.push(self.source.problem(place, what.into(), fix.into()));
    }

    fn share(&mut self, path: &[&str], value: f64) {
        if !(0.0..=1.0).contains(&value) {
            let key = path.last().copied().unwrap_or_default();
            self.wrong(path, format!("`{key}` is {value}"), "write a share between 0 and 1");
        }
    }

    /// A list that must have something in it, but not too much.
    fn length(&mut self, key: &str, length: usize, least: usize) {
        if length < least || length > MOST_PARTS {
            self.wrong(
                &[key],
                format!("there are {length} of `{key}`"),
                format!("have {least} to {MOST_PARTS}"),
            );
        }
    }

    fn names<'a>(&mut self, key: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = Vec::new();
        for (at, name) in names.enumerate() {
            let odd = name.is_empty() || name.contains(['.', '[', ']']);
            if odd || seen.contains(&name) {
                let what = format!("`{name}` cannot be the name of a {key}");
                let fix = "have each name once, without dots and brackets";
                self.wrong(&[key, &at.to_string(), "name"], what, fix);
            }
            seen.push(name);
        }
    }

    fn classes_exist(&mut self, rollout: &Rollout, path: &[&str], classes: Option<&Vec<String>>) {
        for name in classes.into_iter().flatten() {
            if !rollout.class.iter().any(|class| class.name == *name) {
                let all: Vec<&str> = rollout.class.iter().map(|it| it.name.as_str()).collect();
                let what = format!("there is no class `{name}`");
                self.wrong(path, what, format!("name some of {}", all.join(", ")));
            }
        }
    }

    fn distribution(&mut self, path: &[&str], distribution: &Distribution) {
        let long = |span: &Span| span.duration().as_secs() > LONGEST;
        let (is_wrong, fix) = match distribution {
            Distribution::Fixed(span) => (long(span), "write at most 40 days"),
            Distribution::Uniform(it) => {
                (it.from > it.to || long(&it.to), "write `from` before `to`, at most 40 days")
            }
            Distribution::Exponential(it) => (long(&it.mean), "write at most 40 days"),
            Distribution::Lognormal(it) => (
                it.spread.is_nan() || it.spread < 1.0 || it.spread > 1e6 || long(&it.median),
                "write a spread of 1 or more, and a median of at most 40 days",
            ),
            Distribution::Observed(all) => {
                (all.is_empty() || all.iter().any(long), "list at least one, each at most 40 days")
            }
        };
        if is_wrong {
            self.wrong(path, "this distribution cannot be", fix);
        }
    }

    fn head(&mut self, rollout: &Rollout) {
        if rollout.format != ROLLOUT_FORMAT {
            let what = format!("`format` is {}", rollout.format);
            self.wrong(&["format"], what, format!("write {ROLLOUT_FORMAT}"));
        }
        if !(1..=LONGEST_HORIZON).contains(&rollout.horizon.minutes()) {
            self.wrong(
                &["horizon"],
                "it cannot be played for so long",
                "write 1m to 960h (40 days)",
            );
        }
        let machines = rollout.fleet.machines;
        if machines == 0 || machines > MOST_MACHINES {
            let what = format!("there are {machines} machines");
            self.wrong(&["fleet", "machines"], what, format!("have 1 to {MOST_MACHINES}"));
        }
        self.length("class", rollout.class.len(), 1);
        self.length("fault", rollout.fault.len(), 1);
        self.length("layer", rollout.layer.len(), 0);
        self.length("plan", rollout.plan.len(), 1);
        for value in [rollout.costs.machine_hour, rollout.costs.touch] {
            if !(0.0..=1e12).contains(&value) {
                self.wrong(&["costs"], format!("a cost is {value}"), "write 0 or more");
            }
        }
    }

    fn classes(&mut self, rollout: &Rollout) {
        self.names("class", rollout.class.iter().map(|class| class.name.as_str()));
        let all: f64 = rollout.class.iter().map(|class| class.share).sum();
        if (all - 1.0).abs() > ROUNDING {
            let what = format!("the shares of all classes add up to {all}");
            self.wrong(&["class"], what, "make them 1 in all");
        }
        for (at, class) in rollout.class.iter().enumerate() {
            let at = at.to_string();
            self.share(&["class", &at, "share"], class.share);
            self.share(&["class", &at, "encrypted"], class.encrypted);
            self.share(&["class", &at, "exposed"], class.exposed);
            self.distribution(&["class", &at, "restarts-every"], &class.restarts_every);
            for (key, hours) in [("on", &class.on), ("on-weekend", &class.on_weekend)] {
                let Some(hours) = hours else { continue };
                if hours.len() != 24 || !hours.iter().all(|share| (0.0..=1.0).contains(share)) {
                    let what = format!("`{key}` does not have 24 shares");
                    self.wrong(&["class", &at, key], what, "write one, 0 to 1, for each hour");
                }
            }
            if !(1..=40 * 24 * 60).contains(&class.asks_every.minutes()) {
                let what = "it cannot ask so often or so seldom";
                self.wrong(&["class", &at, "asks-every"], what, "write 1m to 960h (40 days)");
            }
            let zones: f64 = class.zones.iter().map(|zone| zone.share).sum();
            let is_odd = |utc: f64| !(-14.0..=14.0).contains(&utc);
            if class.zones.len() > MOST_PARTS
                || (!class.zones.is_empty() && (zones - 1.0).abs() > ROUNDING)
                || class.zones.iter().any(|zone| is_odd(zone.utc) || zone.share < 0.0)
            {
                let what = format!("these zones cannot be; their shares add up to {zones}");
                let fix = "make the shares 1 in all, and `utc` -14 to 14";
                self.wrong(&["class", &at, "zones"], what, fix);
            }
        }
    }

    fn faults(&mut self, rollout: &Rollout) {
        self.names("fault", rollout.fault.iter().map(|fault| fault.name.as_str()));
        let chances: f64 = rollout.fault.iter().map(|fault| fault.chance).sum();
        let all_fit = rollout.fault.iter().all(|fault| (0.0..=1e9).contains(&fault.chance));
        if !all_fit || chances <= 0.0 {
            let fix = "write 0 or more, and more than 0 for one of them";
            self.wrong(&["fault"], "the chances of the faults cannot be", fix);
        }
        for (at, fault) in rollout.fault.iter().enumerate() {
            let at = at.to_string();
            self.share(&["fault", &at, "breaks"], fault.breaks);
            let starts = &fault.good_starts;
            if starts.is_empty() || starts.iter().any(|starts| *starts > 1000) {
                let what = "`good-starts` cannot be";
                self.wrong(&["fault", &at, "good-starts"], what, "list numbers of 0 to 1000");
            }
        }
    }

    fn service(&mut self, key: &str, service: &Service) {
        let fits = (1.0..=1e12).contains(&service.requests_a_minute)
            && (0.0..1.0).contains(&service.light_answer)
            && service.megabits.is_none_or(|line| (1e-3..=1e12).contains(&line))
            && (1.0..=100.0).contains(&service.backoff)
            && service.retry_after <= service.longest_wait
            && service.longest_wait.minutes() <= LONGEST_HORIZON;
        if !fits {
            let fix = "have at least one request a minute, `light-answer` below 1, `backoff` of 1 to 100, and \
                       `retry-after` no longer than `longest-wait`";
            self.wrong(&[key], format!("`{key}` cannot be"), fix);
        }
    }

    fn repair(&mut self, rollout: &Rollout) {
        self.names("layer", rollout.layer.iter().map(|layer| layer.label()));
        for (at, layer) in rollout.layer.iter().enumerate() {
            let at = at.to_string();
            self.share(&["layer", &at, "available"], layer.available);
            self.share(&["layer", &at, "helps"], layer.helps);
            self.share(&["layer", &at, "helps-encrypted"], layer.helps_encrypted.unwrap_or(0.0));
            self.distribution(&["layer", &at, "takes"], &layer.takes);
            self.classes_exist(rollout, &["layer", &at, "classes"], layer.classes.as_ref());
            if layer.tries == 0 {
                let fix = "write 1 or more, or leave the layer out";
                self.wrong(&["layer", &at, "tries"], "it is never tried", fix);
            }
        }
        if let Some(desk) = &rollout.help_desk {
            self.distribution(&["help-desk", "called-after"], &desk.called_after);
            self.distribution(&["help-desk", "takes"], &desk.takes);
            if desk.encrypted_takes_more.is_some_and(|more| more.duration().as_secs() > LONGEST) {
                let path = &["help-desk", "encrypted-takes-more"];
                self.wrong(path, "it cannot take so long", "write at most 40 days");
            }
        }
    }

    fn signals(&mut self, rollout: &Rollout) {
        let signals = &rollout.signals;
        for (key, value) in [
            ("reports-while-broken", signals.reports_while_broken),
            ("other-crashes", signals.other_crashes),
            ("mute", signals.mute),
        ] {
            self.share(&["signals", key], value);
        }
        self.distribution(&["signals", "crash-report-delay"], &signals.crash_report_delay);
        self.distribution(&["signals", "healthy-delay"], &signals.healthy_delay);
    }

    fn plan(&mut self, rollout: &Rollout, at: usize, plan: &Plan) {
        let at = at.to_string();
        if plan.ring.is_empty() || plan.ring.len() > MOST_PARTS {
            let what = format!("the plan `{}` has {} rings", plan.name, plan.ring.len());
            self.wrong(&["plan", &at], what, format!("have 1 to {MOST_PARTS}"));
        }
        let last = plan.ring.len().saturating_sub(1);
        for (number, ring) in plan.ring.iter().enumerate() {
            let number_text = number.to_string();
            let path = |key| ["plan", &at, "ring", &number_text, key];
            self.share(&path("share"), ring.share.unwrap_or(0.0));
            self.share(&path("healthy"), ring.healthy.unwrap_or(0.0));
            self.classes_exist(rollout, &path("classes"), ring.classes.as_ref());
            if ring.share.is_some() && ring.count.is_some() {
                let what = format!("the ring `{}` has both share and count", ring.name);
                self.wrong(&path("count"), what, "write one of them");
            }
            if ring.share.is_none() && ring.count.is_none() && number != last {
                let what = format!("the ring `{}` takes all that are left", ring.name);
                self.wrong(&path("name"), what, "give it a share or a count, or put it last");
            }
        }
        let shares: f64 = plan.ring.iter().filter_map(|ring| ring.share).sum();
        if shares > 1.0 + ROUNDING {
            let what = format!("the shares of the rings of `{}` add up to {shares}", plan.name);
            self.wrong(&["plan", &at], what, "make them at most 1 in all");
        }
        for (number, rule) in plan.stop.iter().enumerate() {
            let number = number.to_string();
            for (key, value) in [("more-than", rule.more_than), ("confidence", rule.confidence)] {
                if !(value > 0.0 && value < 1.0) {
                    let what = format!("`{key}` is {value}");
                    let fix = "write a share between 0 and 1, without the ends";
                    self.wrong(&["plan", &at, "stop", &number, key], what, fix);
                }
            }
        }
        let stops = &rollout.at_stop;
        if !plan.stop.is_empty() && stops.halt.is_none() && stops.withdraw.is_none() {
            let what = format!("nothing is stopped when a rule of `{}` says so", plan.name);
            self.wrong(
                &["plan", &at, "stop"],
                what,
                "write `halt` or `withdraw` below `[at-stop]`",
            );
        }
    }

    fn search(&mut self, rollout: &Rollout) {
        let Some(search) = &rollout.search else { return };
        if !rollout.plan.iter().any(|plan| plan.name == search.like) {
            let what = format!("there is no plan `{}`", search.like);
            self.wrong(&["search", "like"], what, "name one of the file's plans");
        }
        let few = |length: usize| (1..=20).contains(&length);
        if !few(search.first.len()) || !few(search.growth.len()) || !few(search.wait.len()) {
            self.wrong(&["search"], "a list is empty or too long", "have 1 to 20 of each");
        }
        if !search.first.iter().all(|share| *share > 0.0 && *share <= 1.0) {
            self.wrong(&["search", "first"], "a share cannot be", "write shares above 0, up to 1");
        }
        // A smaller growth makes more rings than anybody would wait for.
        if !search.growth.iter().all(|growth| (1.5..=1e6).contains(growth)) {
            self.wrong(&["search", "growth"], "a growth cannot be", "write 1.5 or more");
        }
        if search.first.iter().any(|share| *share < 1e-7) {
            self.wrong(&["search", "first"], "no machine is in it", "write 1e-7 or more");
        }
        self.share(&["search", "reach"], search.reach);
        self.share(&["search", "bad"], search.bad);
    }

    fn real(&mut self, rollout: &Rollout) {
        if rollout.real.is_none() {
            return;
        }
        let machines = rollout.fleet.machines;
        if machines > MOST_REAL {
            let what = format!("there are {machines} machines, and they are to be real ones");
            let fix = format!("have at most {MOST_REAL}, or leave `[real]` out");
            self.wrong(&["fleet", "machines"], what, fix);
        }
        // A machine that came back would take the same update once more, which no run shows.
        let stop = &rollout.at_stop;
        let Some(remediation) = stop.publish_remediation else { return };
        if stop.withdraw.is_none_or(|withdraw| withdraw > remediation) {
            let what = "real machines would be brought back while the update is still given out";
            let fix = "write a `withdraw` that is no later than `publish-remediation`";
            self.wrong(&["at-stop", "publish-remediation"], what, fix);
        }
    }
}
