//! What happens in a play, in the rollout's own time.

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlayEvent {
    /// Minutes since the update was published.
    pub minute: u32,
    /// What.
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// A ring began.
    RingBegan {
        /// Its name.
        ring: String,
    },
    /// A machine took the update.
    Took {
        /// Which.
        machine: u32,
    },
    /// A machine broke.
    Broke {
        /// Which.
        machine: u32,
    },
    /// A crash report of a machine arrived.
    CrashReport {
        /// Which.
        machine: u32,
    },
    /// The report of a healthy start arrived.
    HealthyReport {
        /// Which.
        machine: u32,
    },
    /// Nothing was heard of a machine in time.
    Silent {
        /// Which.
        machine: u32,
    },
    /// It became known that a watched machine is broken.
    CanaryBroken {
        /// Which.
        machine: u32,
    },
    /// The alarm was given.
    Alarm {
        /// By which rule; nothing where people gave it.
        rule: Option<String>,
    },
    /// No further ring begins.
    Halted,
    /// The update is no longer given out.
    Withdrawn,
    /// The remediation is published.
    RemediationPublished,
    /// The version before is given out.
    RolledBack,
    /// A machine got the version before the update broke it.
    Saved {
        /// Which.
        machine: u32,
    },
    /// A machine is healthy again.
    Back {
        /// Which.
        machine: u32,
        /// What brought it back.
        by: String,
    },
    /// A machine needs hands.
    GivenUp {
        /// Which.
        machine: u32,
    },
}
