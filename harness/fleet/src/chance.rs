//! How certain something is: exact binomial intervals, and a test that may be looked at as often as one likes.

use serde::{Deserialize, Serialize};
use statrs::function::gamma::ln_gamma;

/// A value and where the true one lies with a stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// What was found.
    pub value: f64,
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
}

/// The exact two-sided interval of Clopper and Pearson for `hits` of `tries`.
pub fn binomial_interval(hits: u64, tries: u64, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let value = if tries == 0 { 0.0 } else { hits as f64 / tries as f64 };
    Interval { value, from: lower(hits, tries, tail), to: 1.0 - lower(tries - hits, tries, tail) }
}

/// The exact one-sided lower bound of Clopper and Pearson for `hits` of `tries`.
pub fn binomial_lower(hits: u64, tries: u64, confidence: f64) -> f64 {
    lower(hits, tries, 1.0 - confidence)
}

/// The probability at which `hits` or more of `tries` come with the chance `tail`.
fn lower(hits: u64, tries: u64, tail: f64) -> f64 {
    if hits == 0 || tries == 0 {
        return 0.0;
    }
    let (a, b) = (hits as f64, (tries - hits + 1) as f64);
    let (mut low, mut high) = (0.0, 1.0);
    // The chance grows with the probability; 60 halvings are more than a double can tell apart.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if incomplete_beta(a, b, middle) < tail { low = middle } else { high = middle }
    }
    low
}

/// The regularised incomplete beta function, by its continued fraction (modified Lentz): the chance of `a` or more
/// hits in `a + b - 1` tries with probability `x`.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp() / a;
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    // It takes in the order of the root of the larger parameter.
    let most = 100 + (20.0 * a.max(b).sqrt()) as u32;
    for step in 1..=most {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let change = d * c;
        fraction *= change;
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * fraction
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Whether more machines than are put up with show a sign, said with a confidence that holds however often it is
/// looked.
///
/// A single bound (Clopper and Pearson) that is looked at each minute gives a false alarm sooner or later. This is
/// a bet against "no more than `more_than`": it begins with 1, and as long as that is true it is a supermartingale,
/// so it ever reaches `1 / (1 - confidence)` with no more than the chance `1 - confidence` (Ville). The bet is
/// spread evenly over all higher shares:
///
/// ∫ₚ₀¹ (p/p₀)ᵏ ((1-p)/(1-p₀))ⁿ⁻ᵏ dp / (1-p₀) = B(k+1, n-k+1) (1 - Iₚ₀(k+1, n-k+1)) / (p₀ᵏ (1-p₀)ⁿ⁻ᵏ (1-p₀)).
///
/// Signs that come late do no harm to that: the value grows with `k`, so what is known so far of `n` machines is no
/// more than what will be known in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopTest {
    more_than: f64,
    confidence: f64,
}

impl StopTest {
    /// `more_than` and `confidence` are between 0 and 1, both without the ends.
    pub const fn new(more_than: f64, confidence: f64) -> Self {
        Self { more_than, confidence }
    }

    /// Whether it is certain enough, with `hits` of `tries` so far.
    pub fn is_sure(&self, hits: u64, tries: u64) -> bool {
        let (k, n, p) = (hits.min(tries) as f64, tries as f64, self.more_than);
        // Fewer are no sign of more. The integral's part above p₀ is then at least a half, the median of a binomial
        // being no higher than its mean rounded up: the half is taken, which errs on the side of no alarm.
        if k <= (n + 1.0) * p {
            return false;
        }
        let bet = ln_beta(k + 1.0, n - k + 1.0)
            - std::f64::consts::LN_2
            - k * p.ln()
            - (n - k + 1.0) * (-p).ln_1p();
        bet >= -(1.0 - self.confidence).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::{Chance, Dice};
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::SeedableRng;

    #[test]
    fn intervals_are_the_known_ones() {
        // Rule of three, exactly: 1 - 0.05^(1/n); and figures of published tables.
        let none = binomial_interval(0, 10, 0.95);
        assert!((none.to - 0.308_497).abs() < 1e-5 && none.from == 0.0, "{none:?}");
        let some = binomial_interval(4, 20, 0.95);
        assert!((some.from - 0.057_334).abs() < 1e-5, "{some:?}");
        assert!((some.to - 0.436_614).abs() < 1e-5, "{some:?}");
        assert!((binomial_lower(10, 10, 0.95) - 0.05f64.powf(0.1)).abs() < 1e-9);
        // Large numbers: the normal approximation is then as good.
        let large = binomial_lower(85_000, 8_500_000, 0.999);
        let normal = 0.01 - 3.0902 * (0.01f64 * 0.99 / 8.5e6).sqrt();
        assert!((large - normal).abs() < 1e-6, "{large} {normal}");
        assert_eq!(binomial_lower(0, 0, 0.9), 0.0);
    }

    #[test]
    fn an_interval_holds_the_truth_as_often_as_it_says() {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(1));
        let truth = 0.07;
        let held = (0..2000).filter(|_| {
            let hits = (0..60).filter(|_| dice.happens(Chance::new(truth))).count() as u64;
            let interval = binomial_interval(hits, 60, 0.9);
            interval.from <= truth && truth <= interval.to
        });
        assert!(held.count() >= 1780);
    }

    #[test]
    fn looked_at_after_every_machine_the_test_gives_no_more_false_alarms_than_it_says() {
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(2));
        let (share, confidence, rollouts) = (0.02, 0.9, 1500);
        let test = StopTest::new(share, confidence);
        let bound = |hits, tries| binomial_lower(hits, tries, confidence) > share;
        let (mut sure, mut naive) = (0, 0);
        for _ in 0..rollouts {
            let (mut hits, mut is_sure, mut is_naive) = (0, false, false);
            for tries in 1..=400 {
                hits += u64::from(dice.happens(Chance::new(share)));
                is_sure |= test.is_sure(hits, tries);
                is_naive |= tries % 20 == 0 && bound(hits, tries);
            }
            sure += u32::from(is_sure);
            naive += u32::from(is_naive);
        }
        assert!(f64::from(sure) <= 0.1 * f64::from(rollouts), "{sure}");
        // What it is for: the single bound, looked at 20 times, does not keep its word.
        assert!(f64::from(naive) > 0.15 * f64::from(rollouts), "{naive}");
    }

    #[test]
    fn it_sees_what_is_there() {
        let test = StopTest::new(0.001, 0.999);
        assert!(!test.is_sure(0, 1_000_000) && !test.is_sure(1000, 1_000_000));
        assert!(test.is_sure(5, 12), "five of twelve machines");
        assert!(!test.is_sure(1, 12), "one machine is nothing to stop for");
        assert!(test.is_sure(85_000, 8_500_000));
    }
}
