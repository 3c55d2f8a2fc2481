//! What happened in a boot, as lines that tell each thing once.
//!
//! A recovery environment that gets no help asks the same every minute, for as long as it is allowed to.
//! What comes again as it was is counted instead of told: [`tell`] gives the first of it, and then one
//! line on how often it came and until when. A request that differs from the last of its kind, in its
//! answer or in what it was about, has a line of its own.

use std::collections::BTreeMap;

use timeline::{Micros, What};

use crate::style::Paint;
use crate::text::{self, GUEST_TEXT, clean};

/// The fact that numbers the tries of one boot. It differs each time and says nothing new.
const COUNTER: &str = "attempt";
/// What a request is about: told once, until it changes.
const ABOUT: &str = "id";

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Since the boot began. `None`: before the first boot.
    pub(crate) at: Option<Micros>,
    pub(crate) paint: Option<Paint>,
    pub(crate) text: String,
}

/// Tells what happened in one boot, in order.
pub(crate) fn tell<'a>(
    happenings: impl IntoIterator<Item = (Option<Micros>, &'a What)>,
) -> Vec<Told> {
    let mut teller = Teller::default();
    for (at, what) in happenings {
        teller.take(at, what);
    }
    teller.tell_repeats();
    teller.lines
}

#[derive(Default)]
struct Teller<'a> {
    lines: Vec<Told>,
    /// The last of each kind that had a line of its own.
    latest: Vec<&'a What>,
    /// What the last line is about, where it tells a single thing.
    open: Option<&'a What>,
    /// What each service's requests were last about.
    about: BTreeMap<&'a str, &'a str>,
    repeats: Vec<Repeated<'a>>,
}

/// Something that came again since the last line.
struct Repeated<'a> {
    what: &'a What,
    first: Option<Micros>,
    last: Option<Micros>,
    count: usize,
}

impl<'a> Teller<'a> {
    fn take(&mut self, at: Option<Micros>, what: &'a What) {
        let known = self.latest.iter().position(|known| of_one_kind(known, what));
        let before = known.map(|known| self.latest[known]);
        if before.is_some_and(|before| says_the_same(before, what)) {
            match self.repeats.iter_mut().find(|repeated| of_one_kind(repeated.what, what)) {
                Some(repeated) => (repeated.last, repeated.count) = (at, repeated.count + 1),
                None => self.repeats.push(Repeated { what, first: at, last: at, count: 1 }),
            }
            return;
        }
        self.tell_repeats();
        let text = self.text(what, before);
        self.lines.push(Told { at, paint: paint(what), text });
        match known {
            Some(known) => self.latest[known] = what,
            None => self.latest.push(what),
        }
        self.open = Some(what);
    }

    /// Tells what came again, and forgets it.
    fn tell_repeats(&mut self) {
        let repeats = std::mem::take(&mut self.repeats);
        let Some(first) = repeats.first() else { return };
        let last = repeats.iter().filter_map(|repeated| repeated.last).max();
        let alone = repeats.len() == 1;
        let open = self.open.take().is_some_and(|open| of_one_kind(open, first.what));
        if let (true, true, Some(line)) = (alone, open, self.lines.last_mut()) {
            let word = if first.count == 1 { "at" } else { "until" };
            line.text.push_str(&format!("; {} more{}", first.count, when(word, last)));
            return;
        }
        let common = service(first.what);
        let common = common.filter(|_| repeats.iter().all(|r| service(r.what) == common));
        let names: Vec<String> = repeats.iter().map(|r| name(r.what, common.is_none())).collect();
        let alike = repeats.iter().all(|repeated| repeated.count == first.count);
        let again = if alike {
            format!("{} {} more", text::listed(&names), times(first.count))
        } else {
            let counted = |(name, r): (&String, &Repeated)| format!("{name} {}", times(r.count));
            let names: Vec<String> = names.iter().zip(&repeats).map(counted).collect();
            format!("{} more", text::listed(&names))
        };
        let until = if alone && first.count == 1 { String::new() } else { when("until", last) };
        let prefix = common.map_or_else(String::new, |service| format!("{}: ", clean(service, 40)));
        let text = format!("{prefix}the same {again}{until}");
        self.lines.push(Told { at: first.first, paint: paint(first.what), text });
    }

    fn text(&mut self, what: &'a What, before: Option<&What>) -> String {
        match what {
            What::FaultLanded { fault, .. } => {
                format!("fault {} is in place", clean(fault, GUEST_TEXT))
            }
            What::StepFailed { name, detail } => {
                let (name, detail) = (clean(name, GUEST_TEXT), clean(detail, 2 * GUEST_TEXT));
                format!("step {name} failed: {detail}")
            }
            What::Request { service, answer, facts, .. } => {
                let mut line = format!("{}, answered {}", name(what, true), clean(answer, 40));
                let old = match before {
                    Some(What::Request { facts, .. }) => Some(facts),
                    _ => None,
                };
                let told = |line: &mut String, key: &str, sign: &str, value: &str| {
                    line.push_str(&format!(
                        ", {}{sign}{}",
                        clean(key, 40),
                        clean(value, GUEST_TEXT)
                    ));
                };
                for (key, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
                    let known = old.is_none_or(|old| old.get(key) == Some(value));
                    let tell = match key.as_str() {
                        COUNTER | "result" | "reason" => false,
                        ABOUT => self.about.insert(service, value) != Some(value),
                        _ => !known,
                    };
                    if tell {
                        told(&mut line, key, " ", value);
                    }
                }
                let fact = |key: &str| facts.get(key).filter(|value| !value.is_empty());
                match (fact("result"), fact("reason")) {
                    (Some(result), reason) => {
                        told(&mut line, "result", " ", result);
                        if let Some(reason) = reason {
                            line.push_str(&format!(": {}", clean(reason, GUEST_TEXT)));
                        }
                    }
                    (None, Some(reason)) => told(&mut line, "reason", " ", reason),
                    (None, None) => {}
                }
                line
            }
            What::Applied { layer, detail } if detail.is_empty() => {
                format!("{layer} changed the machine")
            }
            What::Applied { layer, detail } => {
                format!("{layer} changed the machine: {}", clean(detail, GUEST_TEXT))
            }
            What::BlockIoError { .. } => name(what, true),
        }
    }
}

/// True where one can only be the other come again, perhaps with another answer.
fn of_one_kind(one: &What, other: &What) -> bool {
    match (one, other) {
        (
            What::Request { service, request, .. },
            What::Request { service: other_service, request: other_request, .. },
        ) => (service, request) == (other_service, other_request),
        _ => one == other,
    }
}

/// True where `other`, which is of the kind of `one`, says nothing that `one` did not.
fn says_the_same(one: &What, other: &What) -> bool {
    match (one, other) {
        (
            What::Request { answer, facts, .. },
            What::Request { answer: other_answer, facts: other_facts, .. },
        ) => {
            let counts = |(key, _): &(&String, &String)| key.as_str() != COUNTER;
            let (facts, other_facts) = (facts.iter(), other_facts.iter());
            answer == other_answer && facts.filter(counts).eq(other_facts.filter(counts))
        }
        // Each of these is an act of its own.
        (What::FaultLanded { .. } | What::StepFailed { .. } | What::Applied { .. }, _) => false,
        _ => one == other,
    }
}

const fn paint(what: &What) -> Option<Paint> {
    match what {
        What::FaultLanded { .. } => Some(Paint::Odd),
        What::StepFailed { .. } | What::BlockIoError { .. } => Some(Paint::Bad),
        What::Request { .. } => None,
        What::Applied { .. } => Some(Paint::Good),
    }
}

fn service(what: &What) -> Option<&str> {
    match what {
        What::Request { service, .. } => Some(service),
        _ => None,
    }
}

/// What a repeated thing is called; a request with its service or without.
fn name(what: &What, with_service: bool) -> String {
    match what {
        What::Request { service, request, .. } => {
            let request = clean(request, 40);
            if with_service { format!("{}: {request}", clean(service, 40)) } else { request }
        }
        What::BlockIoError { device, operation } => {
            format!("disk {}: {} failed", clean(device, 40), clean(operation, 20))
        }
        What::FaultLanded { fault: name, .. } | What::StepFailed { name, .. } => {
            clean(name, GUEST_TEXT)
        }
        What::Applied { layer, .. } => layer.to_string(),
    }
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// ` until 38.1 s`.
fn when(word: &str, at: Option<Micros>) -> String {
    at.map_or_else(String::new, |at| format!(" {word} {}", text::duration(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(service: &str, request: &str, answer: &str, facts: &[(&str, &str)]) -> What {
        let facts = facts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        What::Request {
            service: service.to_owned(),
            request: request.to_owned(),
            answer: answer.to_owned(),
            facts: facts.collect(),
        }
    }

    fn scan(answer: &str, attempt: usize, id: &str) -> What {
        let attempt = attempt.to_string();
        let facts = [("attempt", attempt.as_str()), ("bugCheck", "0x50"), ("id", id)];
        request("remediation", "scan", answer, &facts)
    }

    fn manifest(id: &str) -> What {
        request("remediation", "manifest", "served", &[("id", id)])
    }

    fn report(id: &str, result: &str, reason: &str) -> What {
        let facts = [("id", id), ("result", result), ("reason", reason)];
        request("remediation", "report", "accepted", &facts)
    }

    /// What is told of things that happen a second apart.
    fn told(whats: &[What]) -> Vec<String> {
        let at = |second: usize| Micros::new(second as u64 * 1_000_000);
        let lines = tell(whats.iter().enumerate().map(|(n, what)| (Some(at(n)), what)));
        let line =
            |told: Told| format!("{}: {}", text::duration(told.at.expect("told")), told.text);
        lines.into_iter().map(line).collect()
    }

    #[test]
    fn an_offer_that_is_refused_again_and_again_is_told_once() {
        let mut whats = vec![scan("offered", 1, "fix"), manifest("fix")];
        whats.push(report("fix", "refused", "the certificate is not trusted"));
        for attempt in 2..20 {
            whats.extend([scan("offered", attempt, "fix"), manifest("fix")]);
        }
        insta::assert_snapshot!(told(&whats).join("\n"), @r"
        0.0 s: remediation: scan, answered offered, id fix
        1.0 s: remediation: manifest, answered served
        2.0 s: remediation: report, answered accepted, result refused: the certificate is not trusted
        3.0 s: remediation: the same scan and manifest 18 times more until 38.0 s
        ");
        whats.push(scan("offered", 20, "fix"));
        assert_eq!(
            told(&whats).last().map(String::as_str),
            Some(
                "3.0 s: remediation: the same scan 19 times and manifest 18 times more until 39.0 s"
            )
        );
    }

    #[test]
    fn a_scan_that_nothing_answers_is_one_line() {
        let whats: Vec<What> = (1..=20).map(|attempt| scan("no-match", attempt, "")).collect();
        insta::assert_snapshot!(told(&whats).join("\n"), @"0.0 s: remediation: scan, answered no-match; 19 more until 19.0 s");
        insta::assert_snapshot!(told(&whats[..2]).join("\n"), @"0.0 s: remediation: scan, answered no-match; 1 more at 1.0 s");
        assert_eq!(told(&whats[..1]), ["0.0 s: remediation: scan, answered no-match"]);
    }

    #[test]
    fn what_differs_has_its_own_line() {
        let other_stop = request("remediation", "scan", "offered", &[("bugCheck", "0x7E")]);
        let whats = [
            scan("no-match", 1, ""),
            scan("no-match", 2, ""),
            scan("no-match", 3, ""),
            scan("offered", 4, "one"),
            manifest("one"),
            report("one", "failed", "the file is in use"),
            scan("offered", 5, "two"),
            manifest("two"),
            report("two", "failed", "the file is in use"),
            scan("offered", 6, "two"),
            other_stop,
            scan("no-match", 7, ""),
        ];
        insta::assert_snapshot!(told(&whats).join("\n"), @r"
        0.0 s: remediation: scan, answered no-match; 2 more until 2.0 s
        3.0 s: remediation: scan, answered offered, id one
        4.0 s: remediation: manifest, answered served
        5.0 s: remediation: report, answered accepted, result failed: the file is in use
        6.0 s: remediation: scan, answered offered, id two
        7.0 s: remediation: manifest, answered served
        8.0 s: remediation: report, answered accepted, result failed: the file is in use
        9.0 s: remediation: the same scan once more
        10.0 s: remediation: scan, answered offered, bugCheck 0x7E
        11.0 s: remediation: scan, answered no-match, bugCheck 0x50
        ");
    }

    #[test]
    fn a_rhythm_of_several_services_keeps_their_names() {
        let round = [
            request("names", "lookup", "no-such-name", &[]),
            request("proxy", "connect", "refused", &[]),
            What::BlockIoError { device: "virtio0".into(), operation: "read".into() },
        ];
        let whats: Vec<What> = (0..4).flat_map(|_| round.clone()).collect();
        insta::assert_snapshot!(told(&whats).join("\n"), @r"
        0.0 s: names: lookup, answered no-such-name
        1.0 s: proxy: connect, answered refused
        2.0 s: disk virtio0: read failed
        3.0 s: the same names: lookup, proxy: connect and disk virtio0: read failed 3 times more until 11.0 s
        ");
    }

    #[test]
    fn acts_are_never_counted_together() {
        let landed = What::FaultLanded { fault: "a".into(), proof: vec![] };
        let failed = What::StepFailed { name: "b".into(), detail: "gone".into() };
        let whats = [landed.clone(), landed, failed.clone(), failed];
        assert_eq!(told(&whats).len(), 4);
    }

    #[test]
    fn no_request_is_lost() {
        // Whatever the order, each request is a line or is counted in one.
        let kinds = [scan("no-match", 1, ""), scan("offered", 1, "fix"), manifest("fix")];
        for pattern in 0..3_usize.pow(6) {
            let pick = |place: u32| kinds[pattern / 3_usize.pow(place) % 3].clone();
            let whats: Vec<What> = (0..6).map(pick).collect();
            let lines = told(&whats);
            let own = lines.iter().filter(|line| !line.contains("the same")).count();
            let counted: usize = lines.iter().map(|line| counted(line)).sum();
            assert_eq!(own + counted, 6, "{lines:#?}");
        }
    }

    /// How many requests a line counts beyond the one that it tells.
    fn counted(line: &str) -> usize {
        let number = |word: &str| word.parse::<usize>().expect("a number");
        if let Some((_, more)) = line.split_once("; ") {
            return number(more.split(' ').next().expect("a word"));
        }
        let Some((_, same)) = line.split_once("the same ") else { return 0 };
        let words: Vec<&str> = same.split(' ').collect();
        let counts: Vec<usize> = (words.iter().zip(std::iter::once(&"").chain(&words)))
            .filter_map(|(word, before)| match *word {
                "once" => Some(1),
                "times" => Some(number(before)),
                _ => None,
            })
            .collect();
        let names = words.iter().filter(|word| matches!(**word, "scan" | "manifest")).count();
        if counts.len() == 1 { counts[0] * names } else { counts.iter().sum() }
    }
}
