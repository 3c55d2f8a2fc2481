//! What a machine is made of, before there is one: image, profile, staging plan, plan.

use std::path::PathBuf;
use std::sync::Arc;

use disk::{Image, Starting, Store};
use faults::StagePlan;
use hypervisor::{MachineProfile, TpmVersion, own_code};
use inspect::DriveLetters;
use recovery::Authority;
use scenario::{Scenario, Start};

use super::image_checks::does_not_start;
use super::image_facts::KnownImages;
use super::needs::{lacks, unknown};
use super::not_applicable::NotApplicable;
use super::plan::{Plan, PlanInputs};
use super::wanted::Wanted;
use crate::error::RunError;
use crate::state_dir::StateDir;

/// What a run is made of, before there is a machine.
pub(crate) struct Prepared {
    pub(crate) image: Image,
    pub(crate) profile: MachineProfile,
    /// Firmware code other than the distribution's.
    pub(crate) firmware_code: Option<PathBuf>,
    pub(crate) stage: StagePlan,
    pub(crate) plan: Plan,
    /// What the scenario needs and is not known of the image.
    pub(crate) unknown: Vec<String>,
    /// The partition of the Windows that starts, as the image was brought.
    pub(crate) windows: Option<u32>,
    /// Its drive letters.
    pub(crate) drives: DriveLetters,
    /// The build of its system, where it is known.
    pub(crate) build: Option<u32>,
}

/// What preparing needs besides the scenario.
#[derive(Clone)]
pub(crate) struct Preparing {
    pub(crate) state: StateDir,
    pub(crate) store: Store,
    pub(crate) authority: Arc<Authority>,
    pub(crate) known: Arc<KnownImages>,
    /// Someone looks after the machine: whether it starts is for them to see.
    pub(crate) by_hand: bool,
    /// The emulator's version.
    pub(crate) emulator: String,
}

impl Prepared {
    /// Which Windows of the disk is meant, whatever is done to it.
    pub(crate) fn starting(&self) -> Starting {
        Starting {
            chosen: self.profile.windows_partition,
            windows: self.windows,
            firmware_vars: self.image.firmware_vars(),
        }
    }

    /// Tells whoever reads the log what is not known.
    pub(crate) fn tell_unknown(&self) {
        for what in &self.unknown {
            tracing::warn!(image = self.plan.image, "not known: {what}");
        }
    }
}

/// Finds the image and decides what will be done.
///
/// # Errors
/// [`RunError::NotApplicable`] where the image lacks what the scenario needs.
pub(crate) fn prepare(
    preparing: &Preparing,
    scenario: &Scenario,
    start: Option<Start>,
) -> Result<Prepared, RunError> {
    let image = preparing.store.image(&scenario.machine.image)?;
    let mut profile = MachineProfile::read(&image.profile())?;
    let facts = preparing.known.facts(&image, &profile)?;
    let trust = preparing.authority.trust();
    let trust = faults::Trust { root: trust.root_der, publisher: trust.publisher_der };
    // Its keys take a while to make, so only where something is to be signed.
    let signer = match faults::signs(scenario) {
        true => Some(faults::signing::Authority::open(&preparing.state.driver_authority())?),
        false => None,
    };
    let stage = faults::stage_signed(scenario, &trust, signer.as_ref(), facts.build)?;
    let wanted = Wanted {
        scenario,
        start: start.unwrap_or(scenario.machine.start),
        stage: &stage,
        profile: &profile,
        facts: &facts,
    };
    let mut lacks = lacks(&wanted);
    if !preparing.by_hand {
        lacks.extend(does_not_start(&wanted));
    }
    if !lacks.is_empty() {
        return Err(RunError::NotApplicable(Box::new(NotApplicable {
            scenario: scenario.name.clone(),
            image: scenario.machine.image.clone(),
            image_line: facts.line.clone(),
            image_is_model: profile.is_model,
            lacks,
        })));
    }
    let unknown = unknown(&wanted);
    if scenario.encryption().is_some() {
        profile.tpm = Some(TpmVersion::V2);
    }
    let firmware_code = own_code(&profile, &preparing.state.firmware())?;
    let inputs = PlanInputs {
        image_digest: &image.digest,
        image_line: &facts.line,
        profile: &profile,
        stage: &stage,
        emulator: &preparing.emulator,
        start,
    };
    let plan = Plan::new(scenario, inputs)?;
    Ok(Prepared {
        image,
        profile,
        firmware_code,
        stage,
        plan,
        unknown,
        windows: facts.windows,
        drives: facts.drives.clone(),
        build: facts.build,
    })
}
