//! Which manifests this machine has met: the greatest counter of each remediation, kept on the Windows volume, so that
//! an older manifest is known for what it is in the next session, too. The real one's memory is not documented.

use std::collections::BTreeMap;

use volume::VolumeError;

use crate::storage::Drive;

/// A JSON object of counters by remediation.
const FILE: &str = "\\Windows\\System32\\Recovery\\RemediationsSeen.json";
const FOLDER: &str = "\\Windows\\System32\\Recovery";
/// No such file is longer, in bytes.
const MOST: u64 = 64 << 10;

fn read(drive: &Drive) -> BTreeMap<String, u32> {
    let small = drive.metadata(FILE).is_ok_and(|metadata| metadata.size <= MOST);
    let bytes = if small { drive.read(FILE).unwrap_or_default() } else { Vec::new() };
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// The greatest counter of a remediation that was met; 0 where none was.
pub(super) fn seen(drive: &Drive, id: &str) -> u32 {
    read(drive).get(id).copied().unwrap_or(0)
}

/// Keeps in mind that a manifest with this counter was met.
pub(super) fn remember(drive: &Drive, id: &str, counter: u32) -> Result<(), VolumeError> {
    let mut all = read(drive);
    if all.get(id).is_some_and(|known| *known >= counter) {
        return Ok(());
    }
    all.insert(id.to_owned(), counter);
    drive.create_dir_all(FOLDER)?;
    let bytes = serde_json::to_vec(&all).unwrap_or_default();
    drive.write(FILE, &bytes)?;
    drive.flush()
}
