//! What a machine is made of, before there is one: image, profile, staging plan, plan.

use disk::{Image, Store};
use faults::StagePlan;
use hypervisor::{MachineProfile, TpmVersion};
use recovery::Authority;
use scenario::{Scenario, Start};

use super::plan::{Plan, PlanInputs};
use super::{driver_signatures, image_checks, trust};
use crate::error::RunError;
use crate::state_dir::StateDir;

/// What a run is made of, before there is a machine.
pub(crate) struct Prepared {
    pub(crate) image: Image,
    pub(crate) profile: MachineProfile,
    pub(crate) stage: StagePlan,
    pub(crate) plan: Plan,
}

/// Finds the image and decides what will be done.
pub(crate) fn prepare(
    state: &StateDir,
    store: &Store,
    authority: &Authority,
    emulator: &str,
    scenario: &Scenario,
    start: Option<Start>,
) -> Result<Prepared, RunError> {
    let image = store.image(&scenario.machine.image)?;
    let mut profile = MachineProfile::read(&image.profile())?;
    trust::refuse(scenario, &profile)?;
    if scenario.encryption().is_some() {
        profile.tpm = Some(TpmVersion::V2);
    }
    let trust = authority.trust();
    let trust = faults::Trust { root: trust.root_der, publisher: trust.publisher_der };
    // Its keys take a while to make, so only where something is to be signed.
    let signer = match faults::signs(scenario) {
        true => Some(faults::signing::Authority::open(&state.driver_authority())?),
        false => None,
    };
    let stage = faults::stage_signed(scenario, &trust, signer.as_ref())?;
    let inputs = PlanInputs {
        image_digest: &image.digest,
        profile: &profile,
        stage: &stage,
        emulator,
        start,
    };
    let plan = Plan::new(scenario, inputs)?;
    image_checks::demand(scenario, &image)?;
    driver_signatures::demand(scenario, &profile, &image)?;
    Ok(Prepared { image, profile, stage, plan })
}
