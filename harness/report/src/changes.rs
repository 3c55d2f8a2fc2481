//! What differs between two outcomes, in words: the first thing that somebody in front of a red pipeline reads.
//!
//! A difference is told once, the weightiest first: the verdict, then who brought the machine back and when, then
//! what stopped it, then what is left on the disk. Where two outcomes differ in nothing that has words here, the
//! diff of the two texts has to do.

use std::collections::BTreeSet;

use timeline::{BootOutcome, Layer, LayerOutcome, Outcome, Signature, StopOutcome};

use crate::text::{self, GUEST_TEXT, clean, listed};

/// From `old`, the reference, to `new`, this run. Each line is one difference.
pub fn changes(old: &Outcome, new: &Outcome) -> Vec<String> {
    let mut told = Vec::new();
    told.extend(verdict(old, new));
    told.extend(came_back(old, new));
    told.extend(stops(old, new));
    told.extend(layers(&old.layers, &new.layers));
    told.extend(sets("fault in place", &old.faults, &new.faults));
    told.extend(sets("failed to start", &failures(old), &failures(new)));
    told.extend(dumps(old, new));
    told.extend(disk(old, new));
    told.extend(canaries(old, new));
    told.extend(boots(old, new));
    told
}

fn verdict(old: &Outcome, new: &Outcome) -> Option<String> {
    (old.verdict != new.verdict).then(|| format!("{} instead of {}", new.verdict, old.verdict))
}

/// The boot that is healthy at the end, where the machine had failed before.
fn healthy_again(outcome: &Outcome) -> Option<u32> {
    let last = outcome.boots.last()?;
    let failed = outcome.boots.iter().any(|boot| boot.stop.is_some());
    (failed && last.end == timeline::End::StillUp).then_some(last.number)
}

fn came_back(old: &Outcome, new: &Outcome) -> Vec<String> {
    let mut told = Vec::new();
    if old.brought_back_by != new.brought_back_by {
        let who = |layer: Option<Layer>| layer.map_or("no layer", Layer::name);
        let (old, new) = (who(old.brought_back_by), who(new.brought_back_by));
        told.push(format!("brought back by {new} instead of {old}"));
    } else if let Some(new) = new.touch
        && let Some(old) = old.touch
        && old != new
    {
        told.push(format!("needs {new} ({}) instead of {old}", new.about()));
    }
    if let (Some(old), Some(new)) = (healthy_again(old), healthy_again(new))
        && old != new
    {
        told.push(format!("healthy on the {} boot instead of the {}", nth(new), nth(old)));
    }
    told
}

/// `1st`, `2nd`, `3rd`, `11th`.
fn nth(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Each stop that was seen, and how often, in the order in which they came first.
fn stops_of(outcome: &Outcome) -> Vec<(&StopOutcome, usize)> {
    let mut stops: Vec<(&StopOutcome, usize)> = Vec::new();
    for stop in outcome.boots.iter().filter_map(|boot| boot.stop.as_ref()) {
        match stops.iter_mut().find(|(known, _)| *known == stop) {
            Some((_, count)) => *count += 1,
            None => stops.push((stop, 1)),
        }
    }
    stops
}

fn stops(old: &Outcome, new: &Outcome) -> Vec<String> {
    let (before, now) = (stops_of(old), stops_of(new));
    match (before.as_slice(), now.as_slice()) {
        ([(before, _)], [(now, _)]) if before.code == now.code && before.module != now.module => {
            let name = |module: &Option<String>| {
                module.as_deref().map_or("none".to_owned(), |module| clean(module, GUEST_TEXT))
            };
            let (before, now) = (name(&before.module), name(&now.module));
            return vec![format!("blamed module changed from {before} to {now}")];
        }
        ([(before, _)], [(now, _)]) if before != now => {
            return vec![format!("stopped with {} instead of {}", stop(now), stop(before))];
        }
        _ => {}
    }
    let count = |stops: &[(&StopOutcome, usize)], which: &StopOutcome| {
        stops.iter().find(|(stop, _)| *stop == which).map_or(0, |(_, count)| *count)
    };
    let mut told = Vec::new();
    let gone = before.iter().filter(|(stop, _)| count(&now, stop) == 0);
    for (which, is, was) in now
        .iter()
        .map(|(stop, is)| (*stop, *is, count(&before, stop)))
        .chain(gone.map(|(stop, was)| (*stop, 0, *was)))
        .filter(|(_, is, was)| is != was)
    {
        let which = stop(which);
        told.push(match (is, was) {
            (_, 0) => format!("new stop: {which}, {}", times(is)),
            (0, _) => format!("no stop any more: {which}"),
            _ => format!("{which}: {} instead of {}", times(is), times(was)),
        });
    }
    told
}

fn stop(stop: &StopOutcome) -> String {
    let (code, module) = (stop.code, stop.module.clone());
    text::stop(&Signature { code, module, access: None })
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

fn layers(old: &[LayerOutcome], new: &[LayerOutcome]) -> Vec<String> {
    let mut told = Vec::new();
    for now in new {
        let Some(before) = old.iter().find(|before| before.layer == now.layer) else {
            told.push(format!("{} is new: {}", now.layer, now.result));
            continue;
        };
        if before.result != now.result {
            told.push(format!("{}: {} instead of {}", now.layer, now.result, before.result));
        } else if before.reason != now.reason {
            let reason = |layer: &LayerOutcome| {
                layer.reason.as_deref().map_or("none".to_owned(), |why| clean(why, GUEST_TEXT))
            };
            let (now_why, before_why) = (reason(now), reason(before));
            told.push(format!("{}: its reason is {now_why} instead of {before_why}", now.layer));
        } else if before.refusal != now.refusal {
            let word = |layer: &LayerOutcome| {
                layer.refusal.map_or_else(|| "none".to_owned(), |refusal| refusal.to_string())
            };
            let (now_word, before_word) = (word(now), word(before));
            told.push(format!("{}: its refusal is {now_word} instead of {before_word}", now.layer));
        } else if before.scans != now.scans {
            told.push(format!("{}: another number of scans", now.layer));
        }
    }
    let gone = old.iter().filter(|before| new.iter().all(|now| now.layer != before.layer));
    told.extend(gone.map(|before| format!("{} is no longer there", before.layer)));
    told
}

fn failures(outcome: &Outcome) -> Vec<String> {
    let names: BTreeSet<&String> = outcome.boots.iter().flat_map(|boot| &boot.failures).collect();
    names.into_iter().cloned().collect()
}

fn sets(what: &str, old: &[String], new: &[String]) -> Vec<String> {
    let missing_in = |these: &[String], others: &[String]| -> Vec<String> {
        let missing = these.iter().filter(|name| !others.contains(name));
        missing.map(|name| clean(name, GUEST_TEXT)).collect()
    };
    let (added, gone) = (missing_in(new, old), missing_in(old, new));
    let mut told = Vec::new();
    if !added.is_empty() {
        told.push(format!("{what}, and not before: {}", listed(&added)));
    }
    if !gone.is_empty() {
        told.push(format!("{what} before, and not now: {}", listed(&gone)));
    }
    told
}

fn dumps(old: &Outcome, new: &Outcome) -> Option<String> {
    let count = |outcome: &Outcome| match outcome.dumps.len() {
        0 => "no dump".to_owned(),
        1 => "one dump".to_owned(),
        count => format!("{count} dumps"),
    };
    let (before, now) = (count(old), count(new));
    (before != now).then(|| format!("{now} instead of {before}"))
}

fn disk(old: &Outcome, new: &Outcome) -> Vec<String> {
    let named = |outcome: &Outcome| -> Vec<String> {
        outcome.disk_changes.iter().map(|it| format!("{} {}", it.change, it.path)).collect()
    };
    sets("on the disk", &named(old), &named(new))
}

fn canaries(old: &Outcome, new: &Outcome) -> Vec<String> {
    let lost = |outcome: &Outcome| -> Vec<String> {
        let lost = outcome.canaries.iter().filter(|canary| !canary.intact);
        lost.map(|canary| canary.path.clone()).collect()
    };
    sets("user data lost", &lost(old), &lost(new))
}

/// The first boot that differs in what the lines above do not tell.
fn boots(old: &Outcome, new: &Outcome) -> Vec<String> {
    let mut told = Vec::new();
    if old.boots.len() != new.boots.len() {
        told.push(format!("{} boots instead of {}", new.boots.len(), old.boots.len()));
    }
    let how = |boot: &BootOutcome| (boot.kind, boot.cause, boot.reached, boot.end);
    let differing = old.boots.iter().zip(&new.boots).find(|(old, new)| how(old) != how(new));
    if let Some((before, now)) = differing {
        let reached =
            |boot: &BootOutcome| format!("{} in phase {}", boot.end, text::phase(boot.reached));
        let (is, was) = (reached(now), reached(before));
        told.push(if is == was {
            format!(
                "boot {}: {} instead of {}",
                now.number,
                text::cause(now.cause),
                text::cause(before.cause)
            )
        } else {
            format!("boot {}: {is} instead of {was}", now.number)
        });
    }
    told
}

#[cfg(test)]
mod tests {
    use timeline::{End, LayerResult, StopCode, Verdict};

    use super::*;

    fn recorded() -> Outcome {
        let text = include_str!("../../timeline/tests/fixtures/recorded-channel-file-291.jsonl");
        timeline::derive(&timeline::read_events(text).unwrap().events).outcome
    }

    fn told(change: impl FnOnce(&mut Outcome)) -> Vec<String> {
        let mut new = recorded();
        change(&mut new);
        changes(&recorded(), &new)
    }

    #[test]
    fn the_same_outcome_has_nothing_to_tell() {
        assert_eq!(told(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn a_recovery_one_boot_later() {
        let told = told(|new| {
            let mut again = new.boots[1].clone();
            again.number = 3;
            new.boots.insert(2, again);
            for boot in &mut new.boots[3..] {
                boot.number += 1;
            }
            new.because = "healthy after 3 failed boots".to_owned();
        });
        assert_eq!(
            told,
            [
                "healthy on the 5th boot instead of the 4th",
                "0x50 PAGE_FAULT_IN_NONPAGED_AREA in csagent.sys: 3 times instead of twice",
                "5 boots instead of 4",
                "boot 3: bug check in phase kernel instead of reset in phase recovery",
            ]
        );
    }

    #[test]
    fn another_driver_to_blame_and_another_stop() {
        let blame = |new: &mut Outcome| {
            for stop in new.boots.iter_mut().filter_map(|boot| boot.stop.as_mut()) {
                stop.module = Some("b\u{1b}.sys".to_owned());
            }
        };
        assert_eq!(told(blame), [r"blamed module changed from csagent.sys to b\x1b.sys"]);
        let other = |new: &mut Outcome| {
            for stop in new.boots.iter_mut().filter_map(|boot| boot.stop.as_mut()) {
                stop.code = Some(StopCode(0x7E));
            }
        };
        let told = told(other);
        assert!(told[0].starts_with("stopped with 0x7E") && told.len() == 1, "{told:?}");
    }

    #[test]
    fn a_machine_that_does_not_come_back() {
        let told = told(|new| {
            new.verdict = Verdict::StuckInRecovery;
            new.brought_back_by = None;
            new.boots.pop();
            new.boots[2].end = End::WaitingForAPerson;
            new.layers[1].result = LayerResult::Refused;
            new.layers[1].reason = Some("its signature is not valid".to_owned());
            new.disk_changes.clear();
            new.canaries[0].intact = false;
        });
        assert_eq!(
            told,
            [
                "stuck-in-recovery instead of recovered",
                "brought back by no layer instead of quick-machine-recovery",
                "quick-machine-recovery: refused instead of applied",
                r"on the disk before, and not now: removed C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000029.sys",
                r"user data lost, and not before: C:\Users\Public\Documents\ledger.txt",
                "3 boots instead of 4",
                "boot 3: waiting for a person in phase recovery instead of reset in phase recovery",
            ]
        );
    }

    #[test]
    fn ordinals_read_well() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 112].map(nth).join(" "),
            "1st 2nd 3rd 4th 11th 12th 13th 21st 112th"
        );
    }
}
