//! How long something takes.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::function::erf::erf_inv;
use words::Span;

/// A distribution of durations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Distribution {
    /// Always the same.
    Fixed(Span),
    /// Anything between two.
    Uniform(Between),
    /// Most short, some much longer.
    Exponential(Mean),
    /// Around the median, with a long tail.
    Lognormal(Lognormal),
    /// As observed: each of these is as likely as the others, and nothing else happens.
    Observed(Vec<Span>),
}

/// Two ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// The shortest.
    pub from: Span,
    /// The longest.
    pub to: Span,
}

/// A mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mean {
    /// It.
    pub mean: Span,
}

/// A log-normal distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lognormal {
    /// Half take longer.
    pub median: Span,
    /// About two thirds lie between the median divided by this and the median times this. Above 1.
    pub spread: f64,
}

/// How many steps a smooth distribution is cut into.
const STEPS: u32 = 1024;
/// A minute in milliseconds.
const MINUTE: u32 = 60_000;
/// No duration is longer: 40 days, so that milliseconds fit.
pub(crate) const LONGEST: u64 = 40 * 24 * 3600;

/// A distribution, ready to be drawn from: its values, each as likely.
#[derive(Debug, Clone)]
pub struct Sampler {
    milliseconds: Vec<u32>,
}

impl Sampler {
    /// Of a distribution. A smooth one is cut into 1024 equally likely parts, of which the middles are taken.
    pub fn new(distribution: &Distribution) -> Self {
        let steps = |value: &dyn Fn(f64) -> f64| {
            (0..STEPS).map(|step| value((f64::from(step) + 0.5) / f64::from(STEPS))).collect()
        };
        let seconds: Vec<f64> = match distribution {
            Distribution::Fixed(span) => vec![seconds(*span)],
            Distribution::Uniform(between) => {
                let (from, to) = (seconds(between.from), seconds(between.to));
                steps(&|p| from + (to - from) * p)
            }
            Distribution::Exponential(Mean { mean }) => steps(&|p| -seconds(*mean) * (-p).ln_1p()),
            Distribution::Lognormal(Lognormal { median, spread }) => {
                let normal = |p: f64| std::f64::consts::SQRT_2 * erf_inv(2.0 * p - 1.0);
                steps(&|p| seconds(*median) * (spread.ln() * normal(p)).exp())
            }
            Distribution::Observed(all) => all.iter().map(|span| seconds(*span)).collect(),
        };
        let longest = LONGEST as f64;
        let milliseconds: Vec<u32> =
            seconds.iter().map(|value| (value.clamp(0.0, longest) * 1000.0) as u32).collect();
        Self { milliseconds: if milliseconds.is_empty() { vec![0] } else { milliseconds } }
    }

    /// One duration, in milliseconds.
    pub(crate) fn draw(&self, dice: &mut Dice) -> u32 {
        self.milliseconds[dice.below(self.milliseconds.len() as u32) as usize]
    }

    /// One duration in minutes, rounded up or down by chance so that the mean stays.
    pub(crate) fn minutes(&self, dice: &mut Dice) -> u32 {
        to_minutes(self.draw(dice), dice)
    }

    /// All values, in seconds.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        self.milliseconds.iter().map(|value| f64::from(*value) / 1000.0)
    }
}

/// Minutes of a duration, rounded up or down by chance so that the mean stays.
pub(crate) fn to_minutes(milliseconds: u32, dice: &mut Dice) -> u32 {
    (milliseconds + dice.below(MINUTE)) / MINUTE
}

fn seconds(span: Span) -> f64 {
    span.duration().as_secs_f64()
}

/// Random numbers of a shard.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) Xoshiro256PlusPlus);

impl Dice {
    /// 0 to `end`, without `end`. The bias is below 2⁻³² times `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    /// True so often.
    pub(crate) fn happens(&mut self, chance: Chance) -> bool {
        u64::from(self.0.next_u32()) < chance.0
    }
}

/// A probability, in parts of 2³².
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * 4_294_967_296.0).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_xoshiro::rand_core::SeedableRng;

    fn span(text: &str) -> Span {
        text.parse().unwrap()
    }

    fn mean(distribution: &Distribution) -> f64 {
        let sampler = Sampler::new(distribution);
        sampler.seconds().sum::<f64>() / sampler.seconds().count() as f64
    }

    #[test]
    fn each_distribution_has_the_mean_that_it_should_have() {
        let near =
            |value: f64, wanted: f64| assert!((value / wanted - 1.0).abs() < 0.01, "{value}");
        near(mean(&Distribution::Fixed(span("90s"))), 90.0);
        near(mean(&Distribution::Uniform(Between { from: span("1m"), to: span("3m") })), 120.0);
        near(mean(&Distribution::Exponential(Mean { mean: span("10m") })), 600.0);
        let lognormal = Lognormal { median: span("20m"), spread: 2.0 };
        near(mean(&Distribution::Lognormal(lognormal)), 1200.0 * (2f64.ln().powi(2) / 2.0).exp());
        near(mean(&Distribution::Observed(vec![span("8s"), span("10s")])), 9.0);
    }

    #[test]
    fn rounding_to_minutes_keeps_the_mean_and_chances_come_as_often_as_they_should() {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(7));
        let rounds = 200_000;
        let total: u32 = (0..rounds).map(|_| to_minutes(90_000, &mut dice)).sum();
        assert!((f64::from(total) / f64::from(rounds) - 1.5).abs() < 0.01);
        let chance = Chance::new(0.2);
        let hits = (0..rounds).filter(|_| dice.happens(chance)).count();
        assert!((hits as f64 / f64::from(rounds) - 0.2).abs() < 0.005);
        assert!((0..1000).all(|_| dice.happens(Chance::new(1.0))));
        assert!(!(0..1000).any(|_| dice.happens(Chance::new(0.0))));
    }
}
