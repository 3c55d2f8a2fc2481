//! A machine that is prepared as for a run, and started by hand.

use std::path::Path;
use std::sync::Arc;

use disk::Store;
use hypervisor::{Accelerator, ByHand, FirmwareFiles, FirmwareKind, command_line, firmware_files};
use recovery::Authority;
use scenario::{Scenario, Start};

use super::machine_files::MachineFiles;
use crate::error::RunError;
use crate::preflight::{Preparing, prepare};
use crate::state_dir::StateDir;

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
    let preparing = Preparing {
        state: state.clone(),
        store,
        authority: Arc::new(authority),
        known: Arc::default(),
        by_hand: true,
        emulator: "by hand".to_owned(),
    };
    let prepared = prepare(&preparing, scenario, Some(Start::Cold))?;
    prepared.tell_unknown();
    fs_err::create_dir(output)?;
    let output = fs_err::canonicalize(output)?;
    let (disk, vars) = (output.join("disk.qcow2"), output.join("vars.fd"));
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let parts = MachineFiles { disk: disk.clone(), variables: Some(vars.clone()), tpm: None };
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
            .map(|files| {
                let code = prepared.firmware_code.clone().unwrap_or(files.code);
                (FirmwareFiles { code, ..files }, vars)
            }),
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
