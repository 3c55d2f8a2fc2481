//! The plan as a whole.

use scenario::Layer;

use super::change::Change;
use super::online::Online;

/// All that is done to a machine for one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagePlan {
    /// Done offline, in this order, before power-on.
    pub staged: Vec<StagedEdit>,
    /// Done to the machine itself, in this order: those that are staged before power-on, the others once it
    /// is healthy.
    pub online: Vec<Online>,
}

/// One offline change and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEdit {
    /// What it is for.
    pub origin: Origin,
    /// The change.
    pub change: Change,
}

/// What a change is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Something the machine has before anything goes wrong, by its name.
    Given(String),
    /// A fault, by its name.
    Fault(String),
    /// A file of the user's data.
    Canary,
    /// The settings of the machine's recovery.
    Recovery,
    /// The update service: its address, the certificates that vouch for it and for what it publishes.
    UpdateService,
    /// The repair of the disk from the host.
    HostRepair,
    /// Another layer that the harness works.
    Layer(Layer),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(name) | Self::Fault(name) => f.write_str(name),
            Self::Canary => f.write_str("canary"),
            Self::Recovery => f.write_str("recovery settings"),
            Self::UpdateService => f.write_str("update service"),
            Self::HostRepair => f.write_str("host repair"),
            Self::Layer(layer) => layer.fmt(f),
        }
    }
}

impl StagePlan {
    /// What is staged before a good start, and what after it: the faults.
    pub fn before_and_after_a_start(self) -> (Self, Self) {
        let is_fault = |staged: &StagedEdit| matches!(staged.origin, Origin::Fault(_));
        let (faults, given) = self.staged.into_iter().partition(is_fault);
        let online = Vec::new();
        (Self { staged: given, online }, Self { staged: faults, online: self.online })
    }

    /// BLAKE3 over everything that is staged, hex. Two machines of one image with the same digest are
    /// the same until the online part begins: a checkpoint of one serves the other.
    pub fn staged_digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for StagedEdit { origin, change } in &self.staged {
            // Debug output of these types is their full content.
            let line = format!("{origin:?} {change:?}\n");
            hasher.update(&(line.len() as u64).to_le_bytes());
            hasher.update(line.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}
