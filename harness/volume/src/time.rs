//! Windows file times.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A Windows `FILETIME`: 100-nanosecond intervals since 1601-01-01T00:00:00Z
/// (\[MS-DTYP\] 2.3.3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct FileTime(pub u64);

/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH_DIFFERENCE: u64 = 11_644_473_600;

impl FileTime {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: FileTime = FileTime(EPOCH_DIFFERENCE * 10_000_000);

    /// The time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(EPOCH_DIFFERENCE.saturating_add(seconds).saturating_mul(10_000_000))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z; 0 for times before.
    pub const fn unix_seconds(self) -> u64 {
        (self.0 / 10_000_000).saturating_sub(EPOCH_DIFFERENCE)
    }

    /// The same moment as the standard library has it. Times before 1970 become 1970.
    pub fn to_system_time(self) -> SystemTime {
        let ticks = self.0.saturating_sub(Self::UNIX_EPOCH.0);
        UNIX_EPOCH + Duration::new(ticks / 10_000_000, (ticks % 10_000_000) as u32 * 100)
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks =
            since.as_secs().saturating_mul(10_000_000) + u64::from(since.subsec_nanos()) / 100;
        Self(Self::UNIX_EPOCH.0.saturating_add(ticks))
    }
}
