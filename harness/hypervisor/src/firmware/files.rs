//! Where the distribution keeps the firmware of virtual machines.

use std::path::{Path, PathBuf};

use crate::profile::{Firmware, FirmwareKind};

/// UEFI firmware: its code, used read-only, and the template of its variables, to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareFiles {
    /// Code, shared and read-only.
    pub code: PathBuf,
    /// Variables of a machine that was never started, without a boot entry.
    pub variables: PathBuf,
}

/// 4 MiB builds only: a variable store of one size does not fit code of the other, and the 2 MiB
/// builds are being dropped. Debian's paths come first, then Fedora's and Arch's.
const PLAIN: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"),
];

/// With SMM, as secure boot needs it; the variables carry Microsoft's keys.
const SECURE: &[(&str, &str)] = &[
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
];

/// What a profile's firmware needs on this host. `Ok(None)` for a BIOS, which QEMU brings itself;
/// `Err` lists the places that were searched.
pub fn firmware_files(firmware: Firmware) -> Result<Option<FirmwareFiles>, Vec<PathBuf>> {
    if firmware.kind == FirmwareKind::Bios {
        return Ok(None);
    }
    let candidates = if firmware.secure_boot { SECURE } else { PLAIN };
    candidates
        .iter()
        .find(|(code, variables)| Path::new(code).is_file() && Path::new(variables).is_file())
        .map(|(code, variables)| FirmwareFiles { code: code.into(), variables: variables.into() })
        .map(Some)
        .ok_or_else(|| candidates.iter().map(|(code, _)| PathBuf::from(code)).collect())
}
