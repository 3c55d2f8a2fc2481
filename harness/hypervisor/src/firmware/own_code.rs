//! Firmware code that a profile wants other than the distribution ships it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::files::firmware_files;
use super::volume::without_tpm_detection;
use crate::error::HypervisorError;
use crate::profile::MachineProfile;

/// Digests of code that is used as it is. To find that out takes as long as to change it.
static UNKNOWN: Mutex<BTreeSet<[u8; 32]>> = Mutex::new(BTreeSet::new());

/// The firmware code of a machine whose profile says `tpm-detection = false` and that has no TPM: made once from
/// the distribution's and kept in `cache`. `None`: the distribution's code as it is, also where it is not built
/// in the way that is known here.
///
/// # Errors
/// The distribution's code cannot be read, or `cache` cannot be written.
pub fn own_code(
    profile: &MachineProfile,
    cache: &Path,
) -> Result<Option<PathBuf>, HypervisorError> {
    if profile.firmware.tpm_detection || profile.tpm.is_some() {
        return Ok(None);
    }
    let Ok(Some(files)) = firmware_files(profile.firmware) else { return Ok(None) };
    let shipped = std::fs::read(&files.code)
        .map_err(|error| HypervisorError::io("read", &files.code, error))?;
    let digest = blake3::hash(&shipped);
    let path = cache.join(format!("{}-without-tpm-detection.fd", digest.to_hex()));
    if std::fs::metadata(&path).is_ok_and(|own| own.len() == shipped.len() as u64) {
        return Ok(Some(path));
    }
    let mut known = UNKNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.contains(digest.as_bytes()) {
        return Ok(None);
    }
    let own = match without_tpm_detection(&shipped) {
        Ok(own) => own,
        Err(why) => {
            tracing::warn!(firmware = %files.code.display(), "used as it is: {why}");
            known.insert(*digest.as_bytes());
            return Ok(None);
        }
    };
    write(cache, &path, &own).map_err(|error| HypervisorError::io("write", &path, error))?;
    Ok(Some(path))
}

/// Whole or not at all, also where two commands write it at once. A daemon's emulator runs under another account,
/// so all may read it.
fn write(cache: &Path, path: &Path, code: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(cache)?;
    let mut file = tempfile::NamedTempFile::new_in(cache)?;
    file.write_all(code)?;
    file.as_file().sync_all()?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o444))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(extra: &str) -> MachineProfile {
        let text = format!("format = 1\nis-model = true\nmemory = \"1GiB\"\n{extra}");
        MachineProfile::parse(&text, Path::new("profile.toml")).expect("a profile")
    }

    #[test]
    fn only_a_machine_without_tpm_whose_profile_says_so_has_code_of_its_own() {
        let cache = tempfile::tempdir().expect("a folder");
        for shipped in [
            "",
            "[firmware]\ntpm-detection = true\n",
            "tpm = \"2.0\"\n[firmware]\ntpm-detection = false\n",
        ] {
            let code = own_code(&profile(shipped), cache.path()).expect("no error");
            assert_eq!(code, None, "{shipped}");
        }
        let wanted = profile("[firmware]\ntpm-detection = false\n");
        let made = own_code(&wanted, cache.path()).expect("no error").expect("the code of Debian");
        let shipped = firmware_files(wanted.firmware).expect("OVMF").expect("UEFI").code;
        let (made_bytes, shipped) =
            (std::fs::read(&made).expect("code"), std::fs::read(shipped).expect("code"));
        assert_eq!(made_bytes.len(), shipped.len());
        assert_ne!(made_bytes, shipped);
        let again = own_code(&wanted, cache.path()).expect("no error");
        assert_eq!(again, Some(made));
        assert_eq!(std::fs::read_dir(cache.path()).expect("a folder").count(), 1);
    }
}
