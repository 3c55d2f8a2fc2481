//! What the Windows volume was like before anything went wrong, as far as it is compared afterwards.

use disk::{Noise, Tree};
use hypervisor::MachineProfile;
use inspect::startup_repair::{Session, StartupRepair};
use serde::{Deserialize, Serialize};
use volume::{Kind, Volume, VolumeError};
use winfmt::paths::glob_matches;

use super::page_file::DumpInPageFile;
use super::system_log::newest_record;

/// Larger logs are not read.
const LOG_LIMIT: u64 = 64 << 20;

/// What the Windows volume was like before anything went wrong, as far as it is compared afterwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Its files.
    pub(crate) files: Tree,
    /// What Startup Repair's log told already.
    pub(crate) repair_sessions: Vec<Session>,
    /// The number of the newest record of the System log, 0 where there is none; absent where that is not known.
    #[serde(default)]
    pub(crate) system_log: Option<u64>,
    /// BLAKE3 of the header of a dump that lay in the page file already, hex.
    #[serde(default)]
    pub(crate) page_file: Option<String>,
}

impl Before {
    /// Reads the volume. A log that cannot be read tells nothing.
    pub(crate) fn read(
        windows: &mut dyn Volume,
        profile: &MachineProfile,
    ) -> Result<Self, VolumeError> {
        let files = Tree::read(windows, &noise(profile))?;
        let mut told = Vec::new();
        for path in find(windows, &profile.evidence.recovery_logs)? {
            if is_startup_repair_log(&path) && windows.metadata(&path)?.size <= LOG_LIMIT {
                told = repair_sessions(&windows.read(&path)?);
            }
        }
        let page_file = DumpInPageFile::find(windows).unwrap_or_else(|error| {
            tracing::debug!(%error, "the page file");
            None
        });
        let page_file = page_file.map(|dump| dump.digest);
        let system_log = newest_record(windows);
        Ok(Self { files, repair_sessions: told, system_log, page_file })
    }
}

/// True of Startup Repair's log, wherever it lies.
pub(crate) fn is_startup_repair_log(path: &str) -> bool {
    let name = path.rsplit('\\').next().unwrap_or(path);
    name.eq_ignore_ascii_case("SrtTrail.txt")
}

/// The sessions of Startup Repair's log. One that cannot be read has none.
pub(crate) fn repair_sessions(log: &[u8]) -> Vec<Session> {
    match StartupRepair::read(log) {
        Ok(log) => log.sessions,
        Err(error) => {
            tracing::warn!(%error, "Startup Repair's log");
            Vec::new()
        }
    }
}

/// The files that match globs such as `C:\Windows\Minidump\*.dmp`; only the last name may hold
/// wildcards.
pub(crate) fn find(windows: &mut dyn Volume, globs: &[String]) -> Result<Vec<String>, VolumeError> {
    let mut found = Vec::new();
    for glob in globs {
        let inner = relative(glob);
        let (folder, pattern) = inner.rsplit_once('\\').unwrap_or(("", &inner));
        if !windows.exists(folder)? {
            continue;
        }
        for entry in windows.list(folder)? {
            let path = format!("{folder}\\{}", entry.name);
            if entry.kind == Kind::File
                && glob_matches(pattern, &entry.name)
                && !found.contains(&path)
            {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// A path without its drive.
fn relative(path: &str) -> String {
    let below = match path.split_at_checked(2) {
        Some((drive, below)) if drive.ends_with(':') => below,
        _ => path,
    };
    below.trim_start_matches(['\\', '/']).replace('/', "\\")
}

/// What is left out of the list of changes: what the profile calls noise, and the evidence itself.
pub(crate) fn noise(profile: &MachineProfile) -> Noise {
    let evidence = &profile.evidence;
    Noise::new(profile.noise.iter().chain(&evidence.dumps).chain(&evidence.recovery_logs))
}
