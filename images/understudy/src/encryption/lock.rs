//! The lock on the Windows volume: sealed at the end of a good start, opened by the boot manager.

use volume::VolumeError;
use winfmt::protector::{PATH, Protector, ProtectorError};

use super::tpm::{Tpm, TpmError};
use crate::say;
use crate::storage::Drive;

/// The register that holds what Secure Boot trusts. Where the key is sealed to it, the recovery
/// environment gets the key too (BitLocker recovery overview, "Windows RE and BitLocker recovery").
const SECURE_BOOT: u8 = 7;
/// Bytes of the volume's key.
const KEY_SIZE: usize = 32;

/// Whether the Windows volume may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// It is not encrypted, or not sealed yet.
    None,
    /// The TPM gave its key out.
    Open {
        /// The recovery environment gets it as well.
        for_recovery: bool,
        /// Names the recovery key, which is wanted where that is not so.
        key_id: String,
    },
    /// The TPM did not.
    Shut {
        /// Names the recovery key.
        key_id: String,
    },
}

impl Lock {
    /// The recovery key that Windows needs to start.
    pub fn key_for_windows(&self) -> Option<&str> {
        match self {
            Self::Shut { key_id } => Some(key_id),
            Self::None | Self::Open { .. } => None,
        }
    }

    /// The recovery key that the recovery environment needs for the volume.
    pub fn key_for_recovery(&self) -> Option<&str> {
        match self {
            Self::Shut { key_id } | Self::Open { for_recovery: false, key_id } => Some(key_id),
            Self::None | Self::Open { for_recovery: true, .. } => None,
        }
    }
}

/// Has the TPM open the volume, where it is locked.
pub fn unlock(drive: &Drive) -> Lock {
    let protector = match read(drive) {
        Ok(Some(protector)) => protector,
        Ok(None) => return Lock::None,
        Err(error) => {
            say!("[bootmgr] drive C: {error}");
            return Lock::Shut { key_id: "unknown".to_owned() };
        }
    };
    let Some(sealed) = &protector.sealed else {
        say!("[bootmgr] drive C: is encrypted, its key not sealed yet");
        return Lock::None;
    };
    let key_id = protector.key_id.to_string();
    match Tpm::open().and_then(|mut tpm| tpm.unseal(sealed, &protector.registers)) {
        Ok(_) => {
            say!("[bootmgr] drive C: unlocked by the TPM");
            let for_recovery = protector.registers.contains(&SECURE_BOOT);
            Lock::Open { for_recovery, key_id }
        }
        Err(error) => {
            say!("[bootmgr] drive C: not unlocked by the TPM: {error}");
            Lock::Shut { key_id }
        }
    }
}

/// Why the volume's key was not read or not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// What lies on it.
    #[error(transparent)]
    Protector(#[from] ProtectorError),
    /// There is nothing random for a key.
    #[error("/dev/urandom: {0}")]
    Random(#[from] std::io::Error),
}

/// Seals the volume's key to this start, where that has not been done yet. False: nothing was to be done.
pub fn seal(drive: &Drive) -> Result<bool, SealError> {
    let Some(mut protector) = read(drive)?.filter(|protector| protector.sealed.is_none()) else {
        return Ok(false);
    };
    let mut key = [0; KEY_SIZE];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut key)?;
    protector.sealed = Some(Tpm::open()?.seal(&key, &protector.registers)?);
    drive.write(&format!("\\{PATH}"), &protector.to_bytes())?;
    drive.flush()?;
    Ok(true)
}

fn read(drive: &Drive) -> Result<Option<Protector>, SealError> {
    let path = format!("\\{PATH}");
    if !drive.exists(&path)? {
        return Ok(None);
    }
    Ok(Some(Protector::parse(&drive.read(&path)?)?))
}
