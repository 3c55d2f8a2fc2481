//! A remediation as the service has it: what is done, for whom, from when on, and for how many.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::manifest::{Action, FORMAT, Manifest, Target, is_one_of};
use crate::messages::Scan;
use crate::protocol::Availability;
use crate::service_error::ServiceError;

/// So long after it was signed a manifest is taken by machines. Signed at each download, so that only a machine that
/// is sent an old one ever meets its end.
const LIFETIME: SignedDuration = SignedDuration::from_hours(14 * 24);

/// By whom a remediation is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// The publisher that machines trust.
    Publisher,
    /// Somebody that no machine trusts.
    Stranger,
}

/// To how many of the machines that it is for a remediation goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// To so many of a hundred. Which ones is drawn by the names of the remediation and of the machine, so that it is
    /// the same at each scan, others for each remediation, and that those of 10 % are among those of 20 %.
    pub percent: u8,
    /// To all machines of these groups.
    pub rings: Vec<String>,
}

impl Default for Release {
    /// To all of them.
    fn default() -> Self {
        Self { percent: 100, rings: Vec::new() }
    }
}

/// A remediation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remediation {
    /// Its name: letters, digits, hyphens, dots and underscores; unique.
    pub id: String,
    /// For people.
    pub title: String,
    /// The number of what it does now; greater with every change.
    pub counter: u32,
    /// The machines that it is for.
    pub target: Target,
    /// What it does.
    pub actions: Vec<Action>,
    /// From when on it is published.
    pub available: Availability,
    /// To how many it goes.
    pub release: Release,
    /// By whom it is signed.
    pub signed_by: SignedBy,
}

impl Remediation {
    /// Checks what a service has to rely on.
    ///
    /// # Errors
    /// [`ServiceError::Id`].
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if self.id.is_empty() || self.id.len() > 100 || !self.id.bytes().all(plain) {
            return Err(ServiceError::Id { id: self.id.clone(), what: "cannot stand in a URL" });
        }
        if self.counter == 0 {
            return Err(ServiceError::Id {
                id: self.id.clone(),
                what: "has the counter 0, and the first is 1",
            });
        }
        Ok(())
    }

    /// Its manifest, as it is signed at this moment.
    pub(crate) fn manifest(&self, now: Timestamp) -> Manifest {
        Manifest {
            format: FORMAT,
            id: self.id.clone(),
            title: self.title.clone(),
            counter: self.counter,
            expires: now.saturating_add(LIFETIME).unwrap_or(Timestamp::MAX),
            target: self.target.clone(),
            actions: self.actions.clone(),
        }
    }

    /// The same, as it was signed long ago: its time is over.
    pub(crate) fn expired(&self, now: Timestamp) -> Manifest {
        let past = now.saturating_sub(LIFETIME * 2).unwrap_or(Timestamp::MIN);
        self.manifest(past)
    }

    /// What was right before, signed again and again until the present one came: not over yet.
    pub(crate) fn replayed(&self, now: Timestamp) -> Manifest {
        Manifest { counter: self.counter.saturating_sub(1), ..self.manifest(now) }
    }

    /// True where it goes to the machine that asks.
    pub(crate) fn reaches(&self, scan: &Scan) -> bool {
        let Release { percent, rings } = &self.release;
        is_one_of(rings, scan.group.as_deref())
            || draw(&self.id, &scan.machine) < u32::from(*percent)
    }
}

/// A number below 100 that belongs to a remediation and a machine. Computers' names have no case.
fn draw(id: &str, machine: &str) -> u32 {
    let drawn = Sha256::digest(format!("{id}\n{}", machine.to_lowercase()));
    let number = u32::from_be_bytes([drawn[0], drawn[1], drawn[2], drawn[3]]);
    number % 100
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn remediation(id: &str) -> Remediation {
        Remediation {
            id: id.into(),
            title: "A fix".into(),
            counter: 2,
            target: Target {
                module: "csagent.sys".into(),
                bug_check: 0x50,
                builds: None,
                groups: Vec::new(),
            },
            actions: Vec::new(),
            available: Availability::AtStart,
            release: Release::default(),
            signed_by: SignedBy::Publisher,
        }
    }

    fn reached(id: &str, percent: u8) -> Vec<usize> {
        let release = Release { percent, rings: vec!["canary".into()] };
        let remediation = Remediation { release, ..remediation(id) };
        let asks = |number: &usize| Scan {
            format: FORMAT,
            machine: format!("PC-{number}"),
            signature: None,
            attempt: 1,
            build: None,
            group: number.is_multiple_of(50).then(|| "Canary".to_owned()),
        };
        (1..=1000).filter(|number| remediation.reaches(&asks(number))).collect()
    }

    #[test]
    fn a_release_goes_to_its_share_and_to_its_rings() {
        let (none, ten, half) = (reached("fix", 0), reached("fix", 10), reached("fix", 50));
        assert_eq!(none, (50..=1000).step_by(50).collect::<Vec<_>>(), "the ring alone");
        assert_eq!(ten, reached("fix", 10), "drawn once and for all");
        assert!((80..=150).contains(&ten.len()), "{}", ten.len());
        assert!((450..=570).contains(&half.len()), "{}", half.len());
        assert!(ten.iter().all(|number| half.contains(number)), "a stage keeps those before it");
        assert_ne!(ten, reached("other", 10), "not the same machines for everything");
        assert_eq!(reached("fix", 100).len(), 1000);
    }

    #[test]
    fn manifests_end_and_are_numbered() {
        let now: Timestamp = "2024-07-19T04:09:00Z".parse().expect("a time");
        let remediation = remediation("fix");
        assert_eq!(remediation.manifest(now).expires.to_string(), "2024-08-02T04:09:00Z");
        assert_eq!(remediation.manifest(now).counter, 2);
        assert!(remediation.expired(now).expires < now);
        assert!(remediation.replayed(now).expires > now);
        assert_eq!(remediation.replayed(now).counter, 1);
    }
}
