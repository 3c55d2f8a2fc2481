//! A scenario together with an image that it may be run on.

use faults::StagePlan;
use hypervisor::MachineProfile;
use scenario::{Scenario, Start};
use timeline::Source;

use super::image_facts::ImageFacts;

/// A scenario, and an image that it may be run on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) scenario: &'a Scenario,
    /// How the machine is to start.
    pub(crate) start: Start,
    /// What is done to the machine, offline and while it is up.
    pub(crate) stage: &'a StagePlan,
    pub(crate) profile: &'a MachineProfile,
    pub(crate) facts: &'a ImageFacts,
}

impl Wanted<'_> {
    /// True where the guest agent has to answer: for what is done through it, as in safe mode, and before a machine is
    /// frozen or its key is sealed.
    pub(super) fn needs_agent(&self) -> bool {
        self.stage.online.iter().any(faults::Online::needs_agent)
            || self.start == Start::Checkpoint
            || self.scenario.starts_twice()
            || self.scenario.safe_mode.is_some()
    }

    /// True where the profile itself says that the agent answers, whatever the disk shows.
    pub(super) fn declares_agent(&self) -> bool {
        self.profile.markers.iter().any(|marker| marker.source == Source::Agent)
    }
}
