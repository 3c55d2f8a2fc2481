//! Times as FAT has them: local time by convention, taken as UTC here, from 1980 to 2107.

use crate::FileTime;
use fatfs::{Date, DateTime, ReadWriteSeek, Time, TimeProvider};
use std::cell::Cell;
use std::io::{self, Write};

thread_local! {
    /// `fatfs` takes its clock as a `'static` reference, so the time of the running operation is
    /// handed over through the thread.
    static NOW: Cell<FileTime> = const { Cell::new(FileTime::UNIX_EPOCH) };
}

/// Sets the time that `fatfs` sees on this thread.
pub(crate) fn set_clock(now: FileTime) {
    NOW.with(|cell| cell.set(now));
}

/// The clock given to `fatfs`.
#[derive(Debug)]
pub(crate) struct FatClock;

impl TimeProvider for FatClock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        to_dos(NOW.with(Cell::get))
    }
}

/// Days from 1970-01-01 to the first of January of 1980 and 2108: the range of FAT.
const FIRST_DAY: u64 = 3652;
const LAST_DAY: u64 = 50403;

/// A moment in the calendar, cut to what FAT can hold.
pub(crate) fn to_dos(time: FileTime) -> DateTime {
    let seconds = time.unix_seconds();
    let (day, second) = match seconds / 86400 {
        day if day < FIRST_DAY => (FIRST_DAY, 0),
        day if day >= LAST_DAY => (LAST_DAY - 1, 86399),
        day => (day, seconds % 86400),
    };
    // Days to a date in the Gregorian calendar, counting years from the first of March.
    let shifted = day + 719_468;
    let era_day = shifted % 146_097;
    let era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let march_month = (5 * year_day + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era_year + shifted / 146_097 * 400 + u64::from(month <= 2);
    DateTime {
        date: Date {
            year: year as u16,
            month: month as u16,
            day: (year_day - (153 * march_month + 2) / 5 + 1) as u16,
        },
        time: Time {
            hour: (second / 3600) as u16,
            min: (second / 60 % 60) as u16,
            sec: (second % 60) as u16,
            millis: 0,
        },
    }
}

/// The moment of a calendar time. Months and days that cannot be are taken as the nearest.
pub(crate) fn from_dos(time: DateTime) -> FileTime {
    let month = u64::from(time.date.month.clamp(1, 12));
    let year = u64::from(time.date.year) - u64::from(month <= 2);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day = u64::from(time.date.day.clamp(1, 31));
    let year_day = (153 * march_month + 2) / 5 + day - 1;
    let era_year = year % 400;
    let era_day = era_year * 365 + era_year / 4 - era_year / 100 + year_day;
    let days = year / 400 * 146_097 + era_day - 719_468;
    let time = &time.time;
    let seconds = u64::from(time.hour) * 3600 + u64::from(time.min) * 60 + u64::from(time.sec);
    let ticks = FileTime::from_unix_seconds(days * 86400 + seconds).ticks();
    FileTime::from_ticks(ticks + u64::from(time.millis) * 10_000)
}

/// Sets both times of a file and writes its entry.
#[expect(deprecated, reason = "the time provider gives one time for both, and files have two")]
pub(crate) fn set_file_times<T: ReadWriteSeek>(
    file: &mut fatfs::File<'_, T>,
    created: FileTime,
    modified: FileTime,
) -> io::Result<()> {
    file.set_created(to_dos(created));
    file.set_modified(to_dos(modified));
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_holds_at_its_edges() {
        for (seconds, date) in [
            (315_532_800, (1980, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (1_721_362_140, (2024, 7, 19)),
            (1_709_251_199, (2024, 2, 29)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            let time = FileTime::from_unix_seconds(seconds);
            let dos = to_dos(time);
            assert_eq!((dos.date.year, dos.date.month, dos.date.day), date);
            assert_eq!(from_dos(dos), time);
        }
    }

    #[test]
    fn what_fat_cannot_hold_is_cut() {
        assert_eq!(to_dos(FileTime::from_ticks(0)).date.year, 1980);
        assert_eq!(to_dos(FileTime::from_ticks(u64::MAX)).date.year, 2107);
    }
}
