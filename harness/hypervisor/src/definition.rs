//! The definition of a machine with what it needs of this host: emulator and firmware.

use std::path::{Path, PathBuf};

use crate::accelerator::Accelerator;
use crate::api::MachineSpec;
use crate::daemon::Labels;
use crate::domain::{self, Host};
use crate::error::HypervisorError;
use crate::firmware::firmware_files;
use crate::options::Options;
use crate::profile::MachineProfile;

/// The definition with which a machine is started by libvirt's driver in this process; a daemon's names the account
/// and the labels under which it is to run, too.
///
/// # Errors
/// This host has no emulator or firmware for it, or the profile asks for what the accelerator does not have.
pub fn definition(spec: &MachineSpec, accelerator: Accelerator) -> Result<String, HypervisorError> {
    let Options { unsafe_cache, .. } = Options::embedded("/");
    define(spec, accelerator, unsafe_cache, &Labels::default(), None)
}

/// The definition of a machine, as libvirt takes it. `unsafe_cache`: QEMU does not wait for the host's disk.
/// `machine_type` is the exact one of a checkpoint.
pub(crate) fn define(
    spec: &MachineSpec,
    accelerator: Accelerator,
    unsafe_cache: bool,
    labels: &Labels,
    machine_type: Option<&str>,
) -> Result<String, HypervisorError> {
    let firmware = firmware_files(spec.profile.firmware).unwrap_or_default();
    let emulator = emulator(&spec.profile)?;
    let host = Host {
        accelerator,
        emulator: &emulator,
        firmware: firmware.as_ref(),
        unsafe_cache,
        labels,
        machine_type,
    };
    domain::definition(spec, &host)
}

fn emulator(profile: &MachineProfile) -> Result<PathBuf, HypervisorError> {
    let program = profile.architecture.emulator();
    ["/usr/bin", "/usr/local/bin", "/usr/libexec"]
        .iter()
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| HypervisorError::Unsupported {
            what: format!("architecture {}", profile.architecture.as_str()),
            why: format!("{program} is not installed; run `loopbreak doctor`"),
        })
}
