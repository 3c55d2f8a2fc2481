//! Damaged logs: whatever is in them, each is carried out on a volume that is sound then, or refused.

use super::crash::{Crash, End, Past, restart_page};
use super::tests::{WINDOWS, bytes_of, unfinished};
use super::*;
use crate::ntfs::log::LogState;
use crate::ntfs::record::u32_at;
use crate::{MemoryDevice, Ntfs, Replay as How, SharedDevice, Volume};

/// Numbers that look random and are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Replays damaged logs for as long as `LOOPBREAK_FUZZ_SECONDS` says, or 60 times: whatever is in them, the volume is
/// replayed and sound, or it is as it was.
#[test]
fn damaged_logs_are_refused_or_leave_a_sound_volume() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let seconds = std::env::var("LOOPBREAK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: Option<u64> = seconds;
    let start = std::time::Instant::now();
    let mut numbers = Numbers(2024);
    let (mut done, mut refused, mut round) = (0, 0, 0);
    let crash = unfinished(&past);
    let before = bytes_of(&past.crash(&crash, &mut |_| true));
    let reach = |lsn: u64| past.records.iter().position(|record| record.lsn == lsn).unwrap();
    let near = &past.records[reach(crash.checkpoint) - 5..=reach(crash.last)];
    let mask = (1u64 << (64 - u32_at(&past.log, 0x40))) - 1;
    while seconds.map_or(round < 60, |seconds| start.elapsed().as_secs() < seconds) {
        round += 1;
        let mut broken = before.clone();
        for _ in 0..1 + numbers.below(4) {
            // A byte of a record that is read, seldom one of the restart page or of the volume.
            let in_log = match numbers.below(12) {
                0 => numbers.below(0x200),
                _ => {
                    let record = &near[numbers.below(near.len())];
                    let len = (0x30 + record.data.len()).min(0x100);
                    ((record.lsn & mask) << 3) as usize + numbers.below(len)
                }
            };
            let (place, range) =
                past.log_at.iter().find(|(_, range)| range.contains(&in_log)).unwrap();
            let at = *place as usize + in_log - range.start;
            broken[at] = match numbers.below(4) {
                0 => 0,
                1 => 0xff,
                2 => broken[at].wrapping_add(1),
                _ => numbers.below(256) as u8,
            };
        }
        let device = SharedDevice::new(MemoryDevice::new(broken.clone()));
        let mut ntfs = Ntfs::open(device.clone()).unwrap();
        match ntfs.replay_log(How::CarryOut) {
            Ok(Some(_)) => {
                done += 1;
                let check = Ntfs::open(device).unwrap().check().unwrap();
                assert_eq!(check.errors, Vec::<String>::new(), "round {round}");
            }
            Ok(None) | Err(_) => {
                refused += 1;
                assert!(bytes_of(&device) == broken, "round {round}: something was written");
            }
        }
    }
    println!("{round} damaged logs: {done} replayed, {refused} refused");
    assert!(done > round / 20 && refused > round / 20, "{done} {refused}");
}

/// The same without a volume, so that many more of them are read: every one comes to an end.
#[test]
fn damaged_logs_are_read_to_an_end() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let seconds = std::env::var("LOOPBREAK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: Option<u64> = seconds;
    let start = std::time::Instant::now();
    let mut numbers = Numbers(291);
    let (mut read, mut refused, mut round) = (0, 0, 0);
    let checkpoints = past.checkpoints();
    let mask = (1u64 << (64 - u32_at(&past.log, 0x40))) - 1;
    while seconds.map_or(round < 300, |seconds| start.elapsed().as_secs() < seconds) {
        round += 1;
        let checkpoint = checkpoints[numbers.below(checkpoints.len())];
        let crash = Crash { last: 0, checkpoint, major: 1, end: End::InPlace, oldest: checkpoint };
        let page = restart_page(&past.log, &crash);
        let mut log = [&page[..], &page, &past.log[8192..]].concat();
        for _ in 0..1 + numbers.below(5) {
            let at = match numbers.below(8) {
                0 => numbers.below(0xe0),
                1 => 0x2000 + numbers.below(0x20000),
                _ => {
                    let record = &past.records[numbers.below(past.records.len())];
                    let len = (0x30 + record.data.len()).min(0x140);
                    ((record.lsn & mask) << 3) as usize + numbers.below(len)
                }
            };
            log[at] = match numbers.below(3) {
                0 => 0xff,
                1 => log[at].wrapping_add(1),
                _ => numbers.below(256) as u8,
            };
        }
        let LogState::Unclean(restart) = LogState::of(&log) else { continue };
        let analysis = Log::new(&restart, log).and_then(|log| Analysis::of(&log, &restart));
        match analysis {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{round} damaged logs: {read} read, {refused} refused");
    assert!(read > round / 20 && refused > round / 20, "{read} {refused}");
}
