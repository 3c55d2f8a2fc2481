//! What a machine is made of, before there is one: image, profile, staging plan, plan. And putting what
//! the scenario gives onto a fresh overlay.

use std::path::Path;

use disk::{Access, DiskError, Image, OfflineDisk, Store, Tree, create_overlay};
use faults::{Origin, StagePlan};
use hypervisor::{
    Accelerator, ByHand, FirmwareKind, MachineProfile, TpmVersion, command_line, firmware_files,
};
use recovery::Authority;
use scenario::{Scenario, Start};

use crate::collect;
use crate::drivers;
use crate::error::RunError;
use crate::offline::{Parts, WindowsDisk};
use crate::plan::{Ground, Plan};
use crate::qualification;
use crate::state::StateDir;
use crate::trust;

/// What was put on a disk, each with what was read back of it.
pub(crate) type Landed = Vec<(Origin, Vec<String>)>;
/// The Windows volume as it was staged, and what landed on it.
pub(crate) type Staged = (Tree, Landed);

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
    let ground =
        Ground { image_digest: &image.digest, profile: &profile, stage: &stage, emulator, start };
    let plan = Plan::new(scenario, ground)?;
    qualification::demand(scenario, &image)?;
    drivers::demand(scenario, &profile, &image)?;
    Ok(Prepared { image, profile, stage, plan })
}

impl Prepared {
    /// Makes the parts of a machine of the image: an overlay, variables and TPM state of its own.
    pub(crate) fn lay_out(&self, parts: &Parts) -> Result<(), RunError> {
        create_overlay(&parts.disk, &self.image.disk()).map_err(disk::DiskError::from)?;
        if let (Some(from), Some(to)) = (self.image.firmware_vars(), &parts.variables) {
            copy_writable(&from, to)?;
        }
        if let Some(to) = &parts.tpm {
            fs_err::create_dir_all(to)?;
            if let Some(from) = self.image.tpm_state() {
                copy_directory(&from, to)?;
            }
        }
        Ok(())
    }

    /// Puts what a plan stages onto a machine that is off. Gives the Windows volume as it is then, and what
    /// was read back.
    pub(crate) fn stage_onto(
        &self,
        stage: &StagePlan,
        parts: &Parts,
        scratch: &Path,
    ) -> Result<Staged, RunError> {
        let disk = &parts.disk;
        let opened = OfflineDisk::open_overlay(disk, Access::ReadWrite, scratch)?;
        let mut windows = WindowsDisk::new(opened, self.plan.clock)
            .map_err(|error| self.not_editable(error))?
            .with(parts);
        let applied = stage.apply(&mut windows)?;
        let noise = collect::noise(&self.profile);
        let before = Tree::read(windows.windows(), &noise)
            .map_err(Box::new)
            .map_err(|source| disk::DiskError::Volume { path: disk.clone(), source })?;
        windows.into_disk().close()?;
        Ok((before, applied.landed))
    }

    /// What the image's disk lacks is the image's matter, not the host's: nothing else would run on it either.
    fn not_editable(&self, error: DiskError) -> RunError {
        let (lacks, found) = match error {
            DiskError::NoVolume { what, found, .. } => (format!("has no {what}"), found),
            DiskError::Unreadable { number, reason, .. } => {
                (format!("has no partition {number}"), reason)
            }
            other => return other.into(),
        };
        let reason = format!(
            "image `{}` {lacks} that can be edited offline: {}; nothing was started",
            self.plan.image,
            winfmt::escaped(found)
        );
        RunError::Refused(reason)
    }
}

/// Prepares the disk of a scenario's machine in the new directory `output`, as a run would, and gives the
/// command line of an emulator that starts it by hand, without any harness around it.
pub fn stage_for_hand(
    state: &StateDir,
    scenario: &Scenario,
    output: &Path,
    accelerator: Accelerator,
) -> Result<Vec<String>, RunError> {
    let store = Store::open(state.root())?;
    let authority = Authority::open_or_create(&state.authority())?;
    if scenario.encryption().is_some() {
        let reason =
            "the key of its volume is sealed by a first start, which only `loopbreak run` does";
        return Err(RunError::Refused(reason.to_owned()));
    }
    let prepared = prepare(state, &store, &authority, "by hand", scenario, Some(Start::Cold))?;
    fs_err::create_dir(output)?;
    let output = fs_err::canonicalize(output)?;
    let (disk, vars) = (output.join("disk.qcow2"), output.join("vars.fd"));
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let parts = Parts { disk: disk.clone(), variables: Some(vars.clone()), tpm: None };
    prepared.lay_out(&parts)?;
    prepared.stage_onto(&prepared.stage, &parts, scratch.path())?;
    let profile = &prepared.profile;
    let firmware = match profile.firmware.kind {
        FirmwareKind::Uefi => firmware_files(profile.firmware)
            .map_err(|searched| {
                RunError::Refused(format!(
                    "no OVMF was found at any of {searched:?}; install the package `ovmf`"
                ))
            })?
            .map(|files| (files, vars)),
        FirmwareKind::Bios => None,
    };
    let clock = prepared.plan.clock_chip.and_then(|clock| i64::try_from(clock).ok());
    let clock = clock.and_then(|clock| jiff::Timestamp::from_second(clock).ok());
    let scale = prepared.plan.time_scale.to_string();
    let by_hand = ByHand {
        accelerator,
        disk,
        firmware,
        clock: clock.map(|clock| clock.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
        fw_cfg: profile
            .time_scale
            .iter()
            .map(|item| (item.fw_cfg.clone(), scale.clone()))
            .collect(),
    };
    Ok(command_line(profile, &by_hand))
}

/// Copies a sealed file so that its copy can be written.
pub(crate) fn copy_writable(from: &Path, to: &Path) -> Result<(), RunError> {
    fs_err::write(to, fs_err::read(from)?)?;
    Ok(())
}

/// As [`copy_writable`], all files of a folder.
pub(crate) fn copy_directory(from: &Path, to: &Path) -> Result<(), RunError> {
    fs_err::create_dir_all(to)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        if path.is_file()
            && let Some(name) = path.file_name()
        {
            copy_writable(&path, &to.join(name))?;
        }
    }
    Ok(())
}
