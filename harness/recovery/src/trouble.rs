//! What goes wrong at a service, and until when. Pure, but for the lock around it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Every answer takes so much longer.
    Slow(Duration),
    /// Every answer is 503.
    Unavailable,
    /// Every answer is 503, with the time after which it may be asked again.
    Busy(Duration),
    /// The certificate is for another name.
    WrongCertificate,
    /// The certificate has expired.
    ExpiredCertificate,
    /// Downloads end in the middle.
    TruncatedDownload,
    /// Downloads are changed on the way.
    TamperedDownload,
    /// Manifests are signed with a key that no machine trusts.
    UntrustedSignature,
    /// Manifests come whose time is over.
    ExpiredManifest,
    /// An older manifest comes in the place of the one that is offered.
    ReplayedManifest,
}

impl Trouble {
    /// As scenarios and events write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slow(_) => "slow",
            Self::Unavailable => "unavailable",
            Self::Busy(_) => "busy",
            Self::WrongCertificate => "wrong-certificate",
            Self::ExpiredCertificate => "expired-certificate",
            Self::TruncatedDownload => "truncated-download",
            Self::TamperedDownload => "tampered-download",
            Self::UntrustedSignature => "untrusted-signature",
            Self::ExpiredManifest => "expired-manifest",
            Self::ReplayedManifest => "replayed-manifest",
        }
    }

    const fn met_at(self) -> Place {
        match self {
            Self::WrongCertificate | Self::ExpiredCertificate => Place::Handshake,
            Self::Slow(_) | Self::Unavailable | Self::Busy(_) => Place::Request,
            Self::TruncatedDownload
            | Self::TamperedDownload
            | Self::UntrustedSignature
            | Self::ExpiredManifest
            | Self::ReplayedManifest => Place::Download,
        }
    }
}

/// Where a machine meets trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// While it finds out whom it speaks with.
    Handshake,
    /// When it asks for something.
    Request,
    /// When it gets what it asked for.
    Download,
}

#[derive(Debug)]
struct Armed {
    name: String,
    trouble: Trouble,
    /// So many more meet it; without it, all.
    left: Option<u32>,
}

/// A trouble that was met.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) trouble: Trouble,
    /// The name of the trouble, where this was the last that met it.
    pub(crate) over: Option<String>,
}

/// All that is wrong with a service.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<Vec<Armed>>);

impl Troubles {
    /// From now on this is wrong, until `requests` have met it. Of two that are met at the same place the
    /// one that was there first counts.
    pub(crate) fn arm(&self, name: &str, trouble: Trouble, requests: Option<u32>) {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        armed.push(Armed { name: name.to_owned(), trouble, left: requests });
    }

    /// From now on nothing is wrong any more.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What is wrong now, in the words of [`Trouble::name`], with how many it still takes.
    pub(crate) fn now(&self) -> Vec<(&'static str, Option<u32>)> {
        let armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        armed.iter().map(|armed| (armed.trouble.name(), armed.left)).collect()
    }

    /// A machine comes to this place.
    pub(crate) fn meet(&self, place: Place) -> Option<Met> {
        let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = armed.iter().position(|armed| armed.trouble.met_at() == place)?;
        let trouble = armed[index].trouble;
        let over = match &mut armed[index].left {
            Some(left) if *left <= 1 => Some(armed.remove(index).name),
            Some(left) => {
                *left -= 1;
                None
            }
            None => None,
        };
        Some(Met { trouble, over })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_trouble_is_met_as_often_as_was_asked_for(requests in 1_u32..50, others in 0_u32..5) {
            let troubles = Troubles::default();
            troubles.arm("busy", Trouble::Unavailable, Some(requests));
            let met: Vec<Option<Met>> =
                (0..requests + others).map(|_| troubles.meet(Place::Request)).collect();
            for (index, met) in (1..).zip(met) {
                let expected = (index <= requests).then(|| Met {
                    trouble: Trouble::Unavailable,
                    over: (index == requests).then(|| "busy".to_owned()),
                });
                prop_assert_eq!(met, expected);
            }
        }
    }

    #[test]
    fn a_trouble_is_met_only_where_it_is() {
        let troubles = Troubles::default();
        troubles.arm("cut", Trouble::TruncatedDownload, None);
        assert_eq!(troubles.meet(Place::Handshake), None);
        assert_eq!(troubles.meet(Place::Request), None);
        for _ in 0..3 {
            let met = Met { trouble: Trouble::TruncatedDownload, over: None };
            assert_eq!(troubles.meet(Place::Download), Some(met));
        }
        assert_eq!(troubles.now(), [("truncated-download", None)]);
    }
}
