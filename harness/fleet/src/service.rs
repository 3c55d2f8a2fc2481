//! What a service bears in a minute.

use crate::model::{Service, Update};

/// Seconds of a minute.
const MINUTE: f64 = 60.0;

/// Limits of a service, by the minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    requests: f64,
    light: f64,
    /// Answers with content that its line carries.
    line: f64,
}

impl Limits {
    pub(crate) fn new(service: &Service, update: &Update) -> Self {
        let bits = (update.kilobytes.max(1) as f64) * 8000.0;
        Self {
            requests: service.requests_a_minute,
            light: service.light_answer,
            line: service.megabits.map_or(f64::INFINITY, |line| line * 1e6 * MINUTE / bits),
        }
    }

    /// How many of `wanted` requests are answered with content, while `others` ask for nothing new. All the others
    /// are refused, which costs something as well: a service that is asked by far too many answers nobody.
    pub(crate) fn answered(&self, wanted: u64, others: f64) -> u64 {
        let wanted_f = wanted as f64;
        let free = self.requests - others * self.light;
        let answered = if wanted_f <= free {
            wanted_f
        } else {
            (free - wanted_f * self.light) / (1.0 - self.light)
        };
        (answered.min(self.line).max(0.0) as u64).min(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::preset;

    #[test]
    fn a_service_answers_what_it_can_and_breaks_down_where_refusals_cost_too_much() {
        let rollout = preset("july-2024").unwrap();
        let service = Service {
            requests_a_minute: 1000.0,
            light_answer: 0.1,
            megabits: None,
            ..rollout.update_service.clone()
        };
        let limits = Limits::new(&service, &rollout.update);
        assert_eq!(limits.answered(900, 0.0), 900);
        assert_eq!(limits.answered(900, 5000.0), 455, "nine tenths of 455.5 and 500 light answers");
        assert_eq!(limits.answered(2000, 0.0), 888);
        assert_eq!(limits.answered(10_000, 0.0), 0);
        let update = Update { kilobytes: 1000, ..rollout.update.clone() };
        let narrow = Limits::new(&Service { megabits: Some(8.0), ..service }, &update);
        assert_eq!(narrow.answered(900, 0.0), 60, "a megabyte a second");
    }
}
