//! Windows times: 100-nanosecond steps since 1601-01-01T00:00:00Z.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// From the Windows epoch (1601) to the Unix epoch (1970), in 100 ns steps.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: u64 = 10_000_000;

/// A FILETIME: 100 ns steps since 1601-01-01T00:00:00Z (\[MS-DTYP\] 2.3.3). Zero means "not set".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FileTime(u64);

impl FileTime {
    /// "Not set", as Windows writes it.
    pub const ZERO: FileTime = FileTime(0);
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: FileTime = FileTime(UNIX_EPOCH_TICKS);

    /// From the raw count of 100 ns steps.
    pub const fn from_ticks(ticks: u64) -> Self {
        Self(ticks)
    }

    /// The raw count of 100 ns steps.
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// The time `seconds` after 1970-01-01T00:00:00Z.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        let since_1601 = (UNIX_EPOCH_TICKS / TICKS_PER_SECOND).saturating_add(seconds);
        Self(since_1601.saturating_mul(TICKS_PER_SECOND))
    }

    /// Whole seconds since 1970-01-01T00:00:00Z; 0 for times before.
    pub const fn unix_seconds(self) -> u64 {
        (self.0 / TICKS_PER_SECOND).saturating_sub(UNIX_EPOCH_TICKS / TICKS_PER_SECOND)
    }

    /// The same moment as the standard library has it. Times before 1970 become 1970.
    pub fn to_system_time(self) -> SystemTime {
        let ticks = self.0.saturating_sub(UNIX_EPOCH_TICKS);
        let nanos = (ticks % TICKS_PER_SECOND) as u32 * 100;
        SystemTime::UNIX_EPOCH + Duration::new(ticks / TICKS_PER_SECOND, nanos)
    }

    /// The current time of this host.
    pub fn now() -> Self {
        Self::from_timestamp(Timestamp::now())
    }

    /// Rounds down to 100 ns. A time before 1601 becomes zero.
    pub fn from_timestamp(at: Timestamp) -> Self {
        let ticks = at.as_nanosecond().div_euclid(100) + i128::from(UNIX_EPOCH_TICKS);
        Self(u64::try_from(ticks).unwrap_or(0))
    }

    /// `None` where the year is past 9999, which only damaged data holds.
    pub fn to_timestamp(self) -> Option<Timestamp> {
        let ticks = i128::from(self.0) - i128::from(UNIX_EPOCH_TICKS);
        Timestamp::from_nanosecond(ticks * 100).ok()
    }

    /// Later by a duration; stays put at either end of the range.
    pub fn saturating_add(self, span: SignedDuration) -> Self {
        let ticks = i128::from(self.0) + span.as_nanos().div_euclid(100);
        Self(u64::try_from(ticks.max(0)).unwrap_or(u64::MAX))
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ticks = since.as_secs().saturating_mul(TICKS_PER_SECOND)
            + u64::from(since.subsec_nanos()) / 100;
        Self(UNIX_EPOCH_TICKS.saturating_add(ticks))
    }
}

impl From<Timestamp> for FileTime {
    fn from(at: Timestamp) -> Self {
        Self::from_timestamp(at)
    }
}

impl fmt::Display for FileTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_timestamp() {
            Some(at) => at.fmt(f),
            None => write!(f, "FILETIME {:#018x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incident_s_minute_round_trips() {
        let at: Timestamp = "2024-07-19T04:09:00Z".parse().unwrap();
        let time = FileTime::from(at);
        // Computed independently: (2024-07-19T04:09:00Z - 1601-01-01) = 13365835740 s.
        assert_eq!(time.ticks(), 13_365_835_740 * 10_000_000);
        assert_eq!(time.to_timestamp(), Some(at));
        assert_eq!(time.to_string(), "2024-07-19T04:09:00Z");
    }

    #[test]
    fn the_ends_of_the_range_do_not_panic() {
        assert_eq!(FileTime::ZERO.to_timestamp().unwrap().to_string(), "1601-01-01T00:00:00Z");
        assert_eq!(FileTime::from_ticks(u64::MAX).to_timestamp(), None);
        assert_eq!(FileTime::from_timestamp(Timestamp::MIN), FileTime::ZERO);
        let far = FileTime::from_ticks(u64::MAX).saturating_add(SignedDuration::from_secs(1));
        assert_eq!(far.ticks(), u64::MAX);
        assert_eq!(FileTime::ZERO.saturating_add(SignedDuration::from_secs(-1)), FileTime::ZERO);
    }
}
