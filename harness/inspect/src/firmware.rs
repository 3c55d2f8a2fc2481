//! Firmware, its variables, TPM.

use std::path::Path;

use serde::{Deserialize, Serialize};
use winfmt::Guid;
use winfmt::variables::{GLOBAL, IMAGE_SECURITY, VariableStore};

use crate::Known;
use crate::layout::Layout;
use crate::opened_disk::Source;

/// What the machine starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Firmware {
    /// What the disk is made for: an EFI system partition, or an active one.
    pub kind: Known<FirmwareKind>,
    /// What the variables say. Absent: the image has none.
    pub secure_boot: Known<SecureBoot>,
    /// Whether the image brings the state of a TPM.
    pub tpm: Known<TpmFacts>,
}

/// What a disk is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareKind {
    /// UEFI: a boot manager on an EFI system partition.
    Uefi,
    /// BIOS: boot code in the first sector and an active partition.
    Bios,
    /// Either.
    Both,
}

/// Secure Boot as the variables have it (UEFI 2.10, 32.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecureBoot {
    /// Whether it will be on: a platform key is enrolled, and it is not switched off. The firmware sets
    /// the variable `SecureBoot` itself at each start; stored is only what decides it.
    pub enabled: bool,
    /// `PK` is there.
    pub platform_key: bool,
    /// `KEK` is there.
    pub key_exchange_keys: bool,
    /// `db` is there.
    pub signatures: bool,
    /// `dbx` is there.
    pub revocations: bool,
}

/// The state of a TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TpmFacts {
    /// Its version, by the name of the state's file: `2.0` or `1.2`.
    pub version: Known<String>,
    /// Bytes of state.
    pub size: u64,
}

/// `gEfiSecureBootEnableDisableGuid` (edk2, `SecurityPkg`).
const SWITCH: Guid = Guid::from_fields(
    0xf0a3_0bc7,
    0xaf08,
    0x4556,
    [0x99, 0xc4, 0x00, 0x10, 0x09, 0xc9, 0x3a, 0x44],
);
/// OVMF's chips have 528 KiB at most; others have a few MiB.
const MAX_VARIABLES: u64 = 64 << 20;
/// Files in a TPM's folder; swtpm makes a handful.
const MAX_FILES: usize = 64;

/// Reads what the machine starts with.
pub(crate) fn read(source: Source<'_>, layout: &Layout) -> Firmware {
    Firmware {
        kind: kind(layout),
        secure_boot: source.firmware_vars.map_or(Known::Absent, secure_boot),
        tpm: source.tpm.map_or(Known::Absent, tpm),
    }
}

fn kind(layout: &Layout) -> Known<FirmwareKind> {
    let efi = layout.partitions.iter().any(|partition| partition.role == "efi");
    let active = layout.partitions.iter().any(|partition| partition.active);
    match (efi, active) {
        (true, true) => Known::Known(FirmwareKind::Both),
        (true, false) => Known::Known(FirmwareKind::Uefi),
        (false, true) => Known::Known(FirmwareKind::Bios),
        (false, false) => Known::Absent,
    }
}

fn secure_boot(path: &Path) -> Known<SecureBoot> {
    let file = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_VARIABLES => {
            return Known::Unknown(format!("{file} has {} bytes", metadata.len()));
        }
        Ok(_) => {}
        Err(error) => return Known::Unknown(format!("{file}: {error}")),
    }
    let read = std::fs::read(path).map_err(|error| format!("{file}: {error}"));
    let parse =
        |bytes: Vec<u8>| VariableStore::open(bytes).map_err(|error| format!("{file}: {error}"));
    Known::read(read.and_then(parse).map(Some)).map(|variables| {
        let has =
            |vendor, name| variables.get(vendor, name).is_some_and(|own| !own.data.is_empty());
        let platform_key = has(GLOBAL, "PK");
        let on = variables.get(SWITCH, "SecureBootEnable").is_none_or(|own| own.data != [0]);
        SecureBoot {
            enabled: platform_key && on,
            platform_key,
            key_exchange_keys: has(GLOBAL, "KEK"),
            signatures: has(IMAGE_SECURITY, "db"),
            revocations: has(IMAGE_SECURITY, "dbx"),
        }
    })
}

/// swtpm keeps its state as `tpm2-00.permall`, and of the older version as `tpm-00.permall`.
fn tpm(folder: &Path) -> Known<TpmFacts> {
    let listed = || -> std::io::Result<Option<TpmFacts>> {
        let mut version = Known::Absent;
        let mut size = 0u64;
        let mut files = 0;
        let mut pending = vec![folder.to_path_buf()];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                files += 1;
                if files > MAX_FILES {
                    return Err(std::io::Error::other("it holds too many files for a TPM's state"));
                }
                if entry.file_type()?.is_dir() {
                    pending.push(entry.path());
                    continue;
                }
                size = size.saturating_add(entry.metadata()?.len());
                match entry.file_name().to_string_lossy().as_ref() {
                    "tpm2-00.permall" => version = Known::Known("2.0".to_owned()),
                    "tpm-00.permall" => version = Known::Known("1.2".to_owned()),
                    _ => {}
                }
            }
        }
        Ok((files > 0).then_some(TpmFacts { version, size }))
    };
    match listed() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Known::Absent,
        result => Known::read(result.map_err(|error| format!("{}: {error}", folder.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's OVMF brings one store without keys and one with Microsoft's.
    #[test]
    fn secure_boot_is_read_from_real_stores() {
        let store = |name: &str| Path::new("/usr/share/OVMF").join(name);
        if !store("OVMF_VARS_4M.ms.fd").exists() {
            println!("skipped: no OVMF on this machine");
            return;
        }
        let without = secure_boot(&store("OVMF_VARS_4M.fd"));
        let with = secure_boot(&store("OVMF_VARS_4M.ms.fd"));
        assert!(!without.known().unwrap().enabled);
        assert!(!without.known().unwrap().platform_key);
        let with = with.known().unwrap();
        assert!(with.enabled && with.platform_key && with.key_exchange_keys && with.signatures);
        assert!(secure_boot(Path::new("/nonexistent")).reason().is_some());
    }

    #[test]
    fn a_tpm_is_known_by_its_state() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(tpm(folder.path()), Known::Absent);
        std::fs::create_dir(folder.path().join("tpm2")).unwrap();
        std::fs::write(folder.path().join("tpm2/tpm2-00.permall"), [0; 100]).unwrap();
        let facts = tpm(folder.path());
        assert_eq!(facts.known().unwrap().version, Known::Known("2.0".to_owned()));
        assert_eq!(facts.known().unwrap().size, 100);
        assert_eq!(tpm(&folder.path().join("none")), Known::Absent);
    }
}
