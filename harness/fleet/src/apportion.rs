//! Whole numbers in proportion.

/// Divides `total` in proportion to `weights`: whole numbers that add up, by largest remainder, ties to the first.
pub(crate) fn apportion(total: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    let mut parts: Vec<u64> = exact.iter().map(|part| part.floor() as u64).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rest = |at: usize| exact[at] - exact[at].floor();
    order.sort_by(|one, other| rest(*other).total_cmp(&rest(*one)));
    let given: u64 = parts.iter().sum();
    for at in order.into_iter().cycle().take(total.saturating_sub(given) as usize) {
        parts[at] += 1;
    }
    parts
}

/// Grants up to `quota` among `wanted`, each no more than it wants: in proportion, the remainder one by one from
/// `first` on, so that over time nobody is favoured.
pub(crate) fn grant(quota: u64, wanted: &[u32], first: usize) -> Vec<u32> {
    let total: u64 = wanted.iter().map(|want| u64::from(*want)).sum();
    if quota >= total {
        return wanted.to_vec();
    }
    let share = |want: u32| (quota * u64::from(want) / total) as u32;
    let mut granted: Vec<u32> = wanted.iter().map(|want| share(*want)).collect();
    let mut left = quota - granted.iter().map(|part| u64::from(*part)).sum::<u64>();
    // Fewer than there are parts that want something are left, and each of those has one less than it wants at least.
    for offset in 0..wanted.len() {
        let at = (first + offset) % wanted.len();
        if left > 0 && granted[at] < wanted[at] {
            granted[at] += 1;
            left -= 1;
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_add_up() {
        assert_eq!(apportion(10, &[1.0, 1.0, 1.0]), [4, 3, 3]);
        assert_eq!(apportion(12, &[0.25, 0.75]), [3, 9]);
        assert_eq!(apportion(5, &[0.0, 0.0]), [0, 0]);
    }

    proptest! {
        #[test]
        fn all_of_the_quota_is_granted_and_nobody_gets_more_than_wanted(
            quota in 0u64..500, wanted in prop::collection::vec(0u32..50, 1..20), first in 0usize..40) {
            let granted = grant(quota, &wanted, first);
            let total: u64 = wanted.iter().map(|want| u64::from(*want)).sum();
            prop_assert_eq!(granted.iter().map(|part| u64::from(*part)).sum::<u64>(), quota.min(total));
            prop_assert!(granted.iter().zip(&wanted).all(|(part, want)| part <= want));
        }

        #[test]
        fn every_machine_is_somewhere(total in 0u64..100_000, weights in prop::collection::vec(0.01f64..1.0, 1..9)) {
            prop_assert_eq!(apportion(total, &weights).iter().sum::<u64>(), total);
        }
    }
}
