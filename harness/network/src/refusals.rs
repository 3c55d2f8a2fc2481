//! Counting what was refused, and telling it seldom enough.

use std::collections::BTreeMap;

use timeline::{Body, Sink, Source};

use crate::filter::Refusal;

/// So many different refusals are kept apart; a machine can invent more than memory holds.
const KINDS: usize = 512;
/// The longest destination that is told, in characters.
const TEXT: usize = 120;

/// How often each thing was refused.
#[derive(Debug)]
pub(crate) struct Refusals {
    sink: Sink,
    counts: BTreeMap<Refusal, u64>,
    total: u64,
}

impl Refusals {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { sink, counts: BTreeMap::new(), total: 0 }
    }

    /// Counts one, and tells at 1, 10, 100 and so on.
    pub(crate) fn add(&mut self, mut refusal: Refusal) {
        self.total += 1;
        if refusal.to.chars().count() > TEXT {
            refusal.to = refusal.to.chars().take(TEXT).chain(['…']).collect();
        }
        if self.counts.len() >= KINDS && !self.counts.contains_key(&refusal) {
            refusal.to = "others".to_owned();
        }
        let count = self.counts.entry(refusal.clone()).or_default();
        *count += 1;
        if is_power_of_ten(*count) {
            self.sink.emit(
                Source::Network,
                Body::Refused {
                    protocol: refusal.protocol.to_owned(),
                    to: refusal.to,
                    count: *count,
                },
            );
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

fn is_power_of_ten(mut count: u64) -> bool {
    while count > 0 && count.is_multiple_of(10) {
        count /= 10;
    }
    count == 1
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn collecting() -> (Sink, Arc<Mutex<Vec<Body>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        (Sink::new(move |observation| into.lock().unwrap().push(observation.body)), seen)
    }

    #[test]
    fn tells_at_powers_of_ten() {
        let (sink, seen) = collecting();
        let mut refusals = Refusals::new(sink);
        for _ in 0..250 {
            refusals.add(Refusal { protocol: "icmp", to: "10.0.2.2".into() });
        }
        let counts: Vec<u64> = seen
            .lock()
            .unwrap()
            .iter()
            .map(|body| match body {
                Body::Refused { count, .. } => *count,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [1, 10, 100]);
        assert_eq!(refusals.total(), 250);
    }

    #[test]
    fn invented_destinations_do_not_grow_without_end() {
        let (sink, seen) = collecting();
        let mut refusals = Refusals::new(sink);
        for number in 0..10_000 {
            refusals.add(Refusal { protocol: "dns", to: format!("{number}{}", "x".repeat(300)) });
        }
        assert!(refusals.counts.len() <= KINDS + 1);
        let seen = seen.lock().unwrap();
        assert!(seen.len() < KINDS + 10, "{}", seen.len());
        assert!(seen.iter().all(|body| match body {
            Body::Refused { to, .. } => to.chars().count() <= TEXT + 1,
            _ => false,
        }));
    }
}
