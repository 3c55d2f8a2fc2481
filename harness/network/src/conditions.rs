//! What is wrong with a network, as the scenario wants it.

use std::collections::BTreeSet;
use std::time::Duration;

/// The state of a machine's network. The default is a network that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// False: no frame passes in either direction, as with the cable pulled out behind the switch
    /// (the network card itself still sees a link).
    pub link: bool,
    /// False: nobody hands out addresses.
    pub dhcp: bool,
    /// What becomes of names.
    pub names: Names,
    /// Every name leads to [`NetworkConfig::portal`](crate::NetworkConfig::portal), and so does every
    /// connection to the ports of the web.
    pub portal: bool,
    /// So much longer takes each frame, in each direction.
    pub latency: Duration,
    /// Frames that are lost.
    pub loss: Option<Loss>,
    /// Names of services that refuse connections; the DNS still knows them.
    pub down: BTreeSet<String>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            link: true,
            dhcp: true,
            names: Names::Right,
            portal: false,
            latency: Duration::ZERO,
            loss: None,
            down: BTreeSet::new(),
        }
    }
}

/// What becomes of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those of the services are resolved, others do not exist.
    Right,
    /// No answer comes.
    Unanswered,
    /// Every name is resolved to an address where nobody is.
    Astray,
}

/// Frames that are lost: which ones follows from the seed and their number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// How many, in hundredths.
    pub percent: u32,
    /// Chooses which.
    pub seed: u64,
}

impl Loss {
    /// True where the frame of this number, counted over both directions, is lost.
    pub(crate) fn takes(self, number: u64) -> bool {
        mix(self.seed ^ mix(number)) % 100 < u64::from(self.percent)
    }
}

/// The last step of SplitMix64: every bit of the result depends on every bit of the number.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_many_frames_are_lost_as_was_asked_for(seed in any::<u64>(), percent in 1_u32..100) {
            let lost = (0..10_000).filter(|number| Loss { percent, seed }.takes(*number)).count();
            // Five standard deviations of a fair draw.
            let expected = f64::from(percent) * 100.0;
            let deviation = (expected * f64::from(100 - percent) / 100.0).sqrt();
            prop_assert!((lost as f64 - expected).abs() <= 5.0 * deviation + 1.0, "{lost}");
        }

        #[test]
        fn the_same_seed_loses_the_same_frames(seed in any::<u64>(), number in any::<u64>()) {
            let loss = Loss { percent: 30, seed };
            prop_assert_eq!(loss.takes(number), loss.takes(number));
            let more = Loss { percent: 60, seed };
            prop_assert!(!loss.takes(number) || more.takes(number), "a worse network loses them too");
        }
    }

    #[test]
    fn another_seed_loses_other_frames() {
        let lost = |seed| {
            (0..200).filter(|number| Loss { percent: 50, seed }.takes(*number)).collect::<Vec<_>>()
        };
        assert_ne!(lost(1), lost(2));
    }
}
