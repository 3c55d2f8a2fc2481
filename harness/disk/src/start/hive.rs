//! Registry hives on a volume, with what their logs bring.

use volume::Volume;
use winfmt::hive::{Hive, HiveError};

/// A larger hive is not read. SOFTWARE of a well-used Windows has some 200 MiB.
const MAX_HIVE: u64 = 512 << 20;
/// A larger log is not read: Windows' own limit is the size of the hive.
const MAX_LOG: u64 = 64 << 20;

/// A hive that was read.
#[derive(Debug)]
pub struct HiveOnDisk {
    /// As Windows would have it after its next start.
    pub hive: Hive,
    /// `clean`; what its logs brought; or that it was read as it lies, without them. For people.
    pub state: String,
}

/// Reads a hive with what its logs bring. One that is dirty without a log that fits is read as it lies. `None`:
/// there is no such file.
///
/// # Errors
/// Why it cannot be read, for people.
pub fn read_hive(volume: &mut dyn Volume, file: &str) -> Result<Option<HiveOnDisk>, String> {
    let Some(bytes) = read_file(volume, file, MAX_HIVE)? else { return Ok(None) };
    let mut logs = Vec::new();
    for ending in ["LOG1", "LOG2"] {
        logs.extend(read_log(volume, &format!("{file}.{ending}")));
    }
    if logs.is_empty() {
        logs.extend(read_log(volume, &format!("{file}.LOG")));
    }
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    match Hive::recover(bytes.clone(), &logs) {
        Ok((hive, recovery)) => Ok(Some(HiveOnDisk { hive, state: recovery.to_string() })),
        Err(error @ HiveError::NoUsableLog { .. }) => {
            let hive = Hive::open_dirty(bytes).map_err(|error| error.to_string())?;
            let state = format!("read as it lies, which may not be the latest: {error}");
            Ok(Some(HiveOnDisk { hive, state }))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A log that cannot be read is as good as none: the hive then says that it needs one.
fn read_log(volume: &mut dyn Volume, file: &str) -> Option<Vec<u8>> {
    read_file(volume, file, MAX_LOG).ok().flatten().filter(|bytes| !bytes.is_empty())
}

fn read_file(volume: &mut dyn Volume, file: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    match volume.metadata(file) {
        Ok(metadata) if metadata.size > limit => Err(format!(
            "'{file}' has {} bytes, and no more than {limit} are read of such a file",
            metadata.size
        )),
        Ok(_) => volume.read(file).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
