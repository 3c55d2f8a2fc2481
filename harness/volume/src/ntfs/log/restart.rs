//! The restart pages: where the log begins, how its numbers are made, and whether it is empty.

use crate::ntfs::record::{remove_fixups_from, u16_at, u32_at, u64_at};

/// No client, in the lists of clients.
const NO_CLIENT: u16 = 0xffff;
/// Flag of a restart area: the volume was let go of cleanly.
const CLEAN: u16 = 2;
/// Where the update sequence of a restart page begins at the earliest.
const FIXUPS: usize = 0x1e;
/// Bytes of a client record, which ends in its name.
const CLIENT: usize = 0xa0;
/// "NTFS".
const NAME: [u8; 8] = [b'N', 0, b'T', 0, b'F', 0, b'S', 0];
/// Smallest and largest page.
const PAGES: std::ops::RangeInclusive<usize> = 512..=65536;
/// The usual page.
const USUAL: usize = 4096;

/// What the log says about itself.
#[derive(Debug, Clone)]
pub(in crate::ntfs) enum LogState {
    /// It was never used, or everything in it is carried out.
    Clean,
    /// Everything is carried out, and a Windows still has the volume in its memory: version 2.0 with the mark of a
    /// clean volume. A Windows that is shut down brings the log back to version 1.1 first.
    Kept,
    /// It holds changes that are not carried out.
    Unclean(Box<Restart>),
    /// It cannot be understood: why.
    Unusable(String),
}

/// The newer of the two restart pages.
#[derive(Debug, Clone)]
pub(in crate::ntfs) struct Restart {
    /// Version of the log: 1 (1.0 and 1.1) or 2 (2.0).
    pub(super) major: u16,
    /// Bytes of a page.
    pub(super) page: usize,
    /// The last number when the page was written; the log may go on behind it.
    pub(super) current: u64,
    /// Bits of a number that count how often the log was gone through.
    pub(super) sequence_bits: u32,
    /// Bytes of the log that are used.
    pub(super) size: u64,
    /// Bytes of the head of a log record.
    pub(super) header: usize,
    /// Where records begin in a page.
    pub(super) data: usize,
    /// The number of the record of the last checkpoint.
    pub(super) checkpoint: u64,
    /// Number and index of the client in the heads of its records.
    pub(super) client: (u16, u16),
    /// Where the page lies in the log.
    offset: u64,
    /// The page, its update sequence undone.
    bytes: Vec<u8>,
}

/// What one restart page says.
enum Parsed {
    /// Nothing was ever written there.
    Blank,
    /// Another thing than a restart page, or a torn one.
    Unknown,
    /// The newest number, the version, and the state.
    Page(u64, u16, Result<Option<Box<Restart>>, String>),
}

impl LogState {
    /// What the log of these bytes (all of it, or its first 128 KiB at least) says.
    pub(in crate::ntfs) fn of(log: &[u8]) -> Self {
        let first = parse(log, 0);
        let second = match &first {
            Parsed::Page(_, _, Ok(Some(restart))) => parse(log, restart.page),
            Parsed::Page(..) => parse(log, (u32_at(log, 0x10) as usize).clamp(512, 65536)),
            // Where the first is lost, nobody knows how long it was.
            _ => PAGES
                .step_by(512)
                .filter(|size| size.is_power_of_two())
                .map(|size| parse(log, size))
                .find(|page| matches!(page, Parsed::Page(..)))
                .unwrap_or_else(|| parse(log, USUAL)),
        };
        let (version, state) = match (first, second) {
            (Parsed::Blank, Parsed::Blank) => return Self::Clean,
            (Parsed::Page(a, version, state), Parsed::Page(b, ..)) if a >= b => (version, state),
            (_, Parsed::Page(_, version, state)) | (Parsed::Page(_, version, state), _) => {
                (version, state)
            }
            _ => return Self::Unusable("neither of its restart pages can be read".to_owned()),
        };
        match state {
            Ok(None) if version == 2 => Self::Kept,
            Ok(None) => Self::Clean,
            Ok(Some(restart)) => Self::Unclean(restart),
            Err(why) => Self::Unusable(why),
        }
    }
}

fn parse(log: &[u8], offset: usize) -> Parsed {
    let Some(head) = log.get(offset..offset + 512) else { return Parsed::Unknown };
    if head.iter().all(|&byte| byte == 0xff) {
        return Parsed::Blank;
    }
    if !head.starts_with(b"RSTR") {
        return Parsed::Unknown;
    }
    let page = u32_at(head, 0x10) as usize;
    if !PAGES.contains(&page) || !page.is_power_of_two() {
        return Parsed::Unknown;
    }
    let Some(bytes) = log.get(offset..offset + page) else { return Parsed::Unknown };
    let mut bytes = bytes.to_vec();
    let area = usize::from(u16_at(&bytes, 0x18));
    if !remove_fixups_from(&mut bytes, FIXUPS) || !area.is_multiple_of(8) || area + 0x40 > 510 {
        return Parsed::Unknown;
    }
    let current = u64_at(&bytes, area);
    let version = u16_at(&bytes, 0x1c);
    let (used, flags) = (u16_at(&bytes, area + 12), u16_at(&bytes, area + 14));
    let state = if used == NO_CLIENT || flags & CLEAN != 0 {
        Ok(None)
    } else {
        Restart::parse(bytes, offset as u64, area).map(|restart| Some(Box::new(restart)))
    };
    Parsed::Page(current, version, state)
}

impl Restart {
    fn parse(bytes: Vec<u8>, offset: u64, area: usize) -> Result<Self, String> {
        let page = u32_at(&bytes, 0x10) as usize;
        let (minor, major) = (u16_at(&bytes, 0x1a), u16_at(&bytes, 0x1c));
        if !matches!((major, minor), (1, 0 | 1) | (2, 0)) {
            return Err(format!("its version {major}.{minor} is not known"));
        }
        if u32_at(&bytes, 0x14) as usize != page {
            return Err("the pages of its records have another size than its restart pages".into());
        }
        let size = u64_at(&bytes, area + 0x18);
        let sequence_bits = u32_at(&bytes, area + 0x10);
        // A number is a place, counted in units of eight bytes, and how often that place was written.
        let place_bits = 64 - size.checked_shr(3).unwrap_or_default().leading_zeros();
        if !size.is_multiple_of(page as u64)
            || size < 8 * page as u64
            || sequence_bits + place_bits != 64
        {
            return Err("its size does not fit the numbers of its records".to_owned());
        }
        let (header, data) = (u16_at(&bytes, area + 0x24), u16_at(&bytes, area + 0x26));
        let (header, data) = (usize::from(header), usize::from(data));
        let fixups = 0x28 + 2 * (page / 512 + 1);
        if header < 0x30 || !header.is_multiple_of(8) || !data.is_multiple_of(8) || data < fixups {
            return Err("its records begin at an impossible place".to_owned());
        }
        if data + header > page {
            return Err("its records begin at an impossible place".to_owned());
        }
        let (clients, used) = (u16_at(&bytes, area + 8), u16_at(&bytes, area + 12));
        let first = area + usize::from(u16_at(&bytes, area + 0x16));
        if clients != 1 || used != 0 || first < area + 0x30 || first + CLIENT > bytes.len() {
            return Err("it has other users than NTFS".to_owned());
        }
        let client = &bytes[first..first + CLIENT];
        if u32_at(client, 0x1c) != 8 || client[0x20..0x28] != NAME {
            return Err("it has other users than NTFS".to_owned());
        }
        Ok(Self {
            major,
            page,
            current: u64_at(&bytes, area),
            sequence_bits,
            size,
            header,
            data,
            checkpoint: u64_at(client, 8),
            client: (u16_at(client, 0x14), used),
            offset,
            bytes,
        })
    }

    /// The restart page of the log once everything up to `last` is carried out: no client, version 1.1, and the mark
    /// of a clean volume, as Windows leaves it. Whoever opens the log next begins a new one behind these numbers.
    /// Gives where it belongs first (where the newer page does not lie), then where its copy does.
    pub(in crate::ntfs) fn emptied(&self, last: u64) -> ([u64; 2], Vec<u8>) {
        let mut bytes = self.bytes.clone();
        let area = usize::from(u16_at(&bytes, 0x18));
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0x1a, &1u16.to_le_bytes());
        put(0x1c, &1u16.to_le_bytes());
        // It must be the newer one of the two for as long as the other is as it was.
        put(area, &(last.max(self.current) + 1).to_le_bytes());
        put(area + 10, &0u16.to_le_bytes());
        put(area + 12, &NO_CLIENT.to_le_bytes());
        put(area + 14, &CLEAN.to_le_bytes());
        crate::ntfs::record::apply_fixups(&mut bytes);
        let second = self.page as u64;
        let places = if self.offset == 0 { [second, 0] } else { [0, self.offset] };
        (places, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntfs::record::apply_fixups;

    /// A restart page of a log of 64 pages.
    fn page(current: u64, version: (u16, u16), used: u16, flags: u16) -> Vec<u8> {
        let mut page = vec![0; 4096];
        let mut put = |at: usize, value: &[u8]| page[at..at + value.len()].copy_from_slice(value);
        put(0, b"RSTR");
        put(4, &0x1eu16.to_le_bytes());
        put(6, &9u16.to_le_bytes());
        put(0x10, &4096u32.to_le_bytes());
        put(0x14, &4096u32.to_le_bytes());
        put(0x18, &0x30u16.to_le_bytes());
        put(0x1a, &version.1.to_le_bytes());
        put(0x1c, &version.0.to_le_bytes());
        put(0x30, &current.to_le_bytes());
        put(0x38, &1u16.to_le_bytes());
        put(0x3a, &0xffffu16.to_le_bytes());
        put(0x3c, &used.to_le_bytes());
        put(0x3e, &flags.to_le_bytes());
        // 256 KiB are 2^15 units of eight bytes.
        put(0x40, &(64u32 - 16).to_le_bytes());
        put(0x46, &0x40u16.to_le_bytes());
        put(0x48, &(64u64 * 4096).to_le_bytes());
        put(0x54, &0x30u16.to_le_bytes());
        put(0x56, &0x40u16.to_le_bytes());
        put(0x70 + 8, &current.to_le_bytes());
        put(0x70 + 0x1c, &8u32.to_le_bytes());
        put(0x70 + 0x20, &NAME);
        apply_fixups(&mut page);
        page
    }

    fn log(first: &[u8], second: &[u8]) -> Vec<u8> {
        [first, second, &[0xff; 64 * 4096 - 8192]].concat()
    }

    fn named(state: &LogState) -> &'static str {
        match state {
            LogState::Clean => "clean",
            LogState::Kept => "kept",
            LogState::Unclean(_) => "unclean",
            LogState::Unusable(_) => "unusable",
        }
    }

    #[test]
    fn what_the_restart_pages_say() {
        let blank = vec![0xff; 4096];
        let unclean = page(5000, (1, 1), 0, 0);
        let clean = page(6000, (1, 1), 0, CLEAN);
        let mut torn = page(9000, (1, 1), 0, CLEAN);
        torn[4094] ^= 1;
        let mut checked = clean.clone();
        checked[..4].copy_from_slice(b"CHKD");
        for (first, second, expected) in [
            (&blank, &blank, "clean"),
            (&unclean, &unclean, "unclean"),
            (&unclean, &clean, "clean"),
            (&clean, &unclean, "clean"),
            // The newer one was being written: the older counts.
            (&unclean, &torn, "unclean"),
            (&torn, &unclean, "unclean"),
            (&torn, &torn, "unusable"),
            (&checked, &checked, "unusable"),
            (&vec![0; 4096], &vec![0; 4096], "unusable"),
            (&page(1, (1, 1), NO_CLIENT, 0), &blank, "clean"),
            (&page(1, (2, 0), 0, CLEAN), &blank, "kept"),
            (&page(1, (2, 0), 0, 0), &blank, "unclean"),
            (&page(1, (1, 0), 0, 0), &blank, "unclean"),
            (&page(1, (3, 0), 0, 0), &blank, "unusable"),
            (&page(1, (2, 1), 0, 0), &blank, "unusable"),
            (&page(1, (1, 1), 1, 0), &blank, "unusable"),
        ] {
            assert_eq!(named(&LogState::of(&log(first, second))), expected);
        }
    }

    #[test]
    fn the_log_is_empty_from_the_first_write_on() {
        for (first, second) in [(5000, 4000), (4000, 5000), (5000, 5000)] {
            let mut log = log(&page(first, (2, 0), 0, 0), &page(second, (2, 0), 0, 0));
            let LogState::Unclean(restart) = LogState::of(&log) else { panic!() };
            assert_eq!((restart.current, restart.major), (5000, 2));
            let (places, emptied) = restart.emptied(5100);
            for place in places {
                let place = place as usize;
                log[place..place + 4096].copy_from_slice(&emptied);
                assert_eq!(named(&LogState::of(&log)), "clean");
            }
            assert_eq!(log[..4096], log[4096..8192]);
        }
    }
}
