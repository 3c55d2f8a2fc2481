//! From what real runs took to distributions that are drawn from.
//!
//! A handful of runs says little about the shape of a distribution, so none is assumed: what was observed is drawn
//! again, each with the same chance. How well the mean and the median are known from so few is told with them.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde::Serialize;
use words::Span;

use crate::chance::Interval;
use crate::distribution::{Dice, Distribution};

/// How often the observations are drawn again for an interval.
const RESAMPLES: usize = 2000;

/// A fitted distribution.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// To be put into a rollout file: as observed.
    pub distribution: Distribution,
    /// How many observations it is from.
    pub observations: usize,
    /// Mean, in seconds, with its bootstrap interval.
    pub mean: Interval,
    /// Median, in seconds, with its bootstrap interval.
    pub median: Interval,
    /// Longest, in seconds: nothing longer will ever be drawn.
    pub longest: f64,
}

/// Why nothing can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// There are too few.
    #[error("{0} durations are too few to say how far they vary; run at least two")]
    TooFew(usize),
}

/// Fits durations of real runs: phases, tries of a layer, outages. `confidence` is that of the intervals (0.95);
/// `seed` that of the bootstrap.
///
/// # Errors
/// There are fewer than two.
pub fn fit(observed: &[Span], confidence: f64, seed: u64) -> Result<Fit, FitError> {
    if observed.len() < 2 {
        return Err(FitError::TooFew(observed.len()));
    }
    let mut seconds: Vec<f64> = observed.iter().map(|it| it.duration().as_secs_f64()).collect();
    seconds.sort_by(f64::total_cmp);
    let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(seed));
    let (mut means, mut medians) = (Vec::new(), Vec::new());
    for _ in 0..RESAMPLES {
        let count = seconds.len() as u32;
        let mut sample: Vec<f64> =
            (0..count).map(|_| seconds[dice.below(count) as usize]).collect();
        sample.sort_by(f64::total_cmp);
        means.push(mean(&sample));
        medians.push(median(&sample));
    }
    let interval = |value, resampled: &mut Vec<f64>| {
        resampled.sort_by(f64::total_cmp);
        let at = |share: f64| resampled[((RESAMPLES - 1) as f64 * share).round() as usize];
        let tail = (1.0 - confidence.clamp(0.0, 1.0)) / 2.0;
        Interval { value, from: at(tail), to: at(1.0 - tail) }
    };
    Ok(Fit {
        distribution: Distribution::Observed(observed.to_vec()),
        observations: observed.len(),
        mean: interval(mean(&seconds), &mut means),
        median: interval(median(&seconds), &mut medians),
        longest: seconds.last().copied().unwrap_or_default(),
    })
}

fn mean(sorted: &[f64]) -> f64 {
    sorted.iter().sum::<f64>() / sorted.len() as f64
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::{Lognormal, Sampler};

    #[test]
    fn the_interval_of_the_mean_holds_the_true_one_about_as_often_as_it_says() {
        let truth =
            Distribution::Lognormal(Lognormal { median: Span::from_secs(300), spread: 1.5 });
        let sampler = Sampler::new(&truth);
        let mean = sampler.seconds().sum::<f64>() / sampler.seconds().count() as f64;
        let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(3));
        let rounds = 200;
        let held = (0..rounds).filter(|round| {
            let drawn = (0..40).map(|_| Span::from_secs(u64::from(sampler.draw(&mut dice)) / 1000));
            let fit = fit(&drawn.collect::<Vec<_>>(), 0.9, *round).unwrap();
            fit.mean.from <= mean && mean <= fit.mean.to
        });
        let held = held.count();
        assert!((160..200).contains(&held), "{held} of {rounds}");
    }

    #[test]
    fn what_is_drawn_is_what_was_observed() {
        let observed: Vec<Span> = [8, 9, 9, 30].map(Span::from_secs).to_vec();
        let fit = fit(&observed, 0.95, 1).unwrap();
        let sampler = Sampler::new(&fit.distribution);
        let mut drawn: Vec<f64> = sampler.seconds().collect();
        drawn.dedup();
        assert_eq!(drawn, [8.0, 9.0, 30.0]);
        assert_eq!((fit.mean.value, fit.median.value, fit.longest), (14.0, 9.0, 30.0));
        assert!(fit.mean.from >= 8.0 && fit.mean.to <= 30.0 && fit.mean.from < fit.mean.to);
        assert_eq!(super::fit(&observed[..1], 0.95, 1), Err(FitError::TooFew(1)));
    }
}
