//! What CompactOS has compressed: the codings alone, and a file on a volume.

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use volume::{
    BlockDevice, FileTime, MemoryDevice, Ntfs, NtfsFormat, Reason, SharedDevice, Volume,
    WOF_STREAM, WOF_TAG, WofAlgorithm, WofFile,
};

use crate::patch::{self, PatchedDevice};

/// Largest file that is expanded, in bytes.
const MOST: usize = 1 << 20;

/// The first byte of the input is the algorithm, three more the size of the file, the rest its compressed data.
pub(crate) fn data(input: &[u8]) {
    let [number, a, b, c, stored @ ..] = input else { return };
    let algorithm = WofAlgorithm::from_number(u32::from(number % 4)).expect("there are four");
    let size = (usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16) % MOST;
    let file = WofFile::new(algorithm, size as u64, stored.len() as u64);
    let read = Cell::new(0);
    let mut source = |offset: u64, part: &mut [u8]| {
        let start = usize::try_from(offset).expect("it lies in memory");
        let there = stored.get(start..start + part.len()).expect("nothing outside is asked for");
        part.copy_from_slice(there);
        read.set(read.get() + part.len());
        Ok(())
    };
    let mut whole = vec![0; size];
    let done = file.read_at(0, &mut whole, &mut source);
    // Each byte is read once, but for the entries of the table where parts meet.
    let (read, most) = (read.get(), stored.len() + MOST / 1024);
    assert!(read <= most, "{read} of {} bytes were read", stored.len());
    let done = done.is_ok_and(|count| {
        assert_eq!(count, size);
        true
    });
    for offset in [0, 1, 4095, 4096, 32_760, size / 2, size] {
        let mut part = [0; 9000];
        match file.read_at(offset as u64, &mut part, &mut source) {
            Ok(count) if done => {
                let there = whole.get(offset..).unwrap_or_default();
                assert_eq!(part[..count], there[..there.len().min(part.len())], "at {offset}");
            }
            Ok(_) => {}
            Err(error) => assert!(!done && matches!(error, Reason::Damaged(_)), "{error}"),
        }
    }
}

/// A volume with a file that is compressed, and where its record lies.
struct Packed {
    volume: Vec<u8>,
    place: usize,
    /// The record without its update sequence.
    record: Vec<u8>,
    /// Where the size, the compressed data and the reparse point of the file lie in it.
    values: [Range<usize>; 3],
}

impl Packed {
    /// True if nothing but what CompactOS knows of the file is changed: so no cluster is the file's that is another's.
    fn is_sound_but_for_values(&self, record: &[u8]) -> bool {
        let pairs = self.record.iter().zip(record).enumerate();
        let mut differing = pairs.filter(|(_, (one, other))| one != other).map(|(at, _)| at);
        differing.all(|at| self.values.iter().any(|value| value.contains(&at)))
    }
}

/// Bytes of the file.
const FILE: usize = 1000;
/// Bytes of a record.
const RECORD: usize = 1024;
const NAME: &str = "packed.sys";

static PACKED: LazyLock<Packed> = LazyLock::new(|| {
    let mut device = SharedDevice::new(MemoryDevice::zeroed(8 << 20));
    let time = FileTime::from_ticks(133_658_357_490_000_000);
    let format = NtfsFormat { label: "fuzz".to_owned(), serial: 0x1234, time };
    let mut ntfs = Ntfs::format(device.clone(), &format).expect("memory can be formatted");
    ntfs.set_clock(time);
    ntfs.write(NAME, b"x").expect("there is room");
    ntfs.flush().expect("memory can be written");
    let mut volume = vec![0; 8 << 20];
    device.read_at(0, &mut volume).expect("memory can be read");
    let name: Vec<u8> = NAME.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let place = (0..volume.len()).step_by(RECORD).find(|&at| {
        let record = &volume[at..at + RECORD];
        record.starts_with(b"FILE")
            && record[0x16] == 1
            && record.windows(name.len()).any(|part| part == name)
    });
    let place = place.expect("the file has a record");
    let mut record = volume[place..place + RECORD].to_vec();
    let saved = word(&record, 4) + 2;
    for stride in 0..2 {
        let end = (stride + 1) * 512 - 2;
        record.copy_within(saved + 2 * stride..saved + 2 * stride + 2, end);
    }
    let values = compress(&mut record);
    Packed { volume, place, record, values }
});

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Puts other attributes in the place of the data of a record: a hole, compressed data, a reparse point. Gives where
/// their values lie.
fn compress(record: &mut Vec<u8>) -> [Range<usize>; 3] {
    let (size, stored) = (FILE as u64, xpress(&text(FILE)));
    let mut at = word(record, 0x14);
    while record[at] != 0x80 {
        at += word(record, at + 4);
    }
    record.truncate(at);
    let head = |kind: u8, len: usize, id: u8| {
        let mut head = vec![0; 16];
        head[0] = kind;
        head[4..6].copy_from_slice(&(len as u16).to_le_bytes());
        head[14] = id;
        head
    };
    // 0x48 bytes, with one run that lies nowhere.
    let mut hole = head(0x80, 0x50, 10);
    (hole[8], hole[10], hole[13]) = (1, 0x48, 0x80);
    for number in [0, 0, 0x48, 4096, size, 0, 0] {
        hole.extend(number.to_le_bytes());
    }
    hole.extend([1, 1, 0, 0, 0, 0, 0, 0]);
    let resident = |kind: u8, id: u8, name: &str, value: &[u8]| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let start = (0x18 + name.len()).next_multiple_of(8);
        let len = (start + value.len()).next_multiple_of(8);
        let mut attribute = head(kind, len, id);
        (attribute[9], attribute[10]) = ((name.len() / 2) as u8, 0x18);
        attribute.extend((value.len() as u32).to_le_bytes());
        attribute.extend((start as u32).to_le_bytes());
        attribute.extend(name);
        attribute.resize(start, 0);
        attribute.extend(value);
        attribute.resize(len, 0);
        attribute
    };
    let point: Vec<u8> =
        [WOF_TAG, 16, 1, 2, 1, 0].iter().flat_map(|one| one.to_le_bytes()).collect();
    let size = record.len() + 0x30..record.len() + 0x38;
    record.extend(hole);
    let stream = resident(0x80, 11, WOF_STREAM, &stored);
    let data =
        record.len() + stream.len() - stored.len().next_multiple_of(8)..record.len() + stream.len();
    record.extend(stream);
    record.extend(resident(0xc0, 12, "", &point));
    let point = record.len() - point.len()..record.len();
    record.extend([0xff; 4]);
    record.extend([0; 4]);
    let used = record.len() as u32;
    record[0x18..0x1c].copy_from_slice(&used.to_le_bytes());
    record[0x28] = 13;
    assert!(record.len() <= RECORD, "{used} bytes are too much for a record");
    record.resize(RECORD, 0);
    [size, data, point]
}

/// The input changes the record of a file that is compressed, which is then read, written over and deleted.
pub(crate) fn file(input: &[u8]) {
    let packed = &*PACKED;
    let patched = patch::applied(&packed.record, input);
    let mut record = patched.clone();
    let saved = (word(&record, 4) & 0x1fe).min(504);
    let sequence = [record[saved], record[saved + 1]];
    for stride in 0..2 {
        let end = (stride + 1) * 512 - 2;
        record.copy_within(end..end + 2, saved + 2 + 2 * stride);
        record[end..end + 2].copy_from_slice(&sequence);
    }
    let mut device = SharedDevice::new(PatchedDevice::new(&packed.volume, &[]));
    device.write_at(packed.place as u64, &record).expect("memory can be written");
    let Ok(mut ntfs) = Ntfs::open(device.clone()) else { return };
    if let Ok(metadata) = ntfs.metadata(NAME) {
        let mut part = [0; 100];
        let _ = ntfs.read_at(NAME, metadata.size.saturating_sub(50), &mut part);
        if metadata.size <= MOST as u64
            && let Ok(whole) = ntfs.read(NAME)
        {
            let count = ntfs.read_at(NAME, 7, &mut part).expect("it was read whole");
            assert_eq!(part[..count], whole[whole.len().min(7)..whole.len().min(107)]);
            // Written to, it is what it was with the change in it.
            let sound = packed.is_sound_but_for_values(&patched);
            if ntfs.write_at(NAME, 3, b"changed").is_ok() && sound {
                let mut wanted = whole;
                wanted.resize(wanted.len().max(10), 0);
                wanted[3..10].copy_from_slice(b"changed");
                assert_eq!(ntfs.read(NAME).ok(), Some(wanted));
            }
        }
    }
    let _ = (ntfs.extents(NAME), ntfs.check());
    if ntfs.write(NAME, b"other").is_ok() {
        assert_eq!(ntfs.read(NAME).ok().as_deref(), Some(&b"other"[..]));
    }
    let _ = (ntfs.set_size(NAME, 3), ntfs.remove_file(NAME), ntfs.flush());
}

/// What stands in the files: two letters thirty times, then others.
fn text(len: usize) -> Vec<u8> {
    let pairs = (0_u8..26).cycle().zip((0_u8..24).cycle());
    pairs.flat_map(|(one, other)| [b'a' + one, b'A' + other].repeat(30)).take(len).collect()
}

/// Writes bits as both codings store them.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    word: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, bits: u32) {
        for bit in (0..bits).rev() {
            self.word = self.word << 1 | value >> bit & 1;
            self.count += 1;
            if self.count == 16 {
                self.bytes.extend((self.word as u16).to_le_bytes());
                (self.word, self.count) = (0, 0);
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        while self.count > 0 {
            self.put(0, 1);
        }
        self.bytes
    }
}

/// A chunk of XPRESS in which every code has nine bits; what repeats what lies two or three bytes before it is a match.
fn xpress(plain: &[u8]) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut at = 0;
    while at < plain.len() {
        let repeated = |distance: usize| {
            let pairs = plain[at..].iter().zip(&plain[at - distance..]);
            pairs.take_while(|(one, other)| one == other).count().min(17)
        };
        match (2..=3).filter(|&distance| distance <= at).find(|&distance| repeated(distance) >= 3) {
            Some(distance) => {
                let length = repeated(distance);
                // Distances of 2 and 3: one bit more, which says which.
                bits.put(256 + 16 + (length as u32 - 3), 9);
                bits.put(distance as u32 - 2, 1);
                at += length;
            }
            None => {
                bits.put(u32::from(plain[at]), 9);
                at += 1;
            }
        }
    }
    let mut chunk = vec![0x99; 256];
    chunk.extend(bits.end());
    // What is read ahead.
    chunk.extend([0; 4]);
    chunk
}

/// The kinds of blocks of LZX.
const VERBATIM: u32 = 1;
const ALIGNED: u32 = 2;
const STORED: u32 = 3;

/// A chunk of LZX, whose codes have eight or nine bits.
fn lzx(blocks: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bits = Bits::default();
    for &(kind, plain) in blocks {
        block(&mut bits, kind, plain);
    }
    bits.end()
}

/// Of a block that is compressed the second half is a match. One after another one cannot be.
fn block(bits: &mut Bits, kind: u32, plain: &[u8]) {
    bits.put(kind, 3);
    bits.put(0, 1);
    bits.put(plain.len() as u32, 16);
    if kind == STORED {
        let rest = 16 - bits.count;
        bits.put(0, rest);
        bits.bytes.extend([1_u32, 1, 1].iter().flat_map(|one| one.to_le_bytes()));
        bits.bytes.extend(plain);
        bits.bytes.resize(bits.bytes.len().next_multiple_of(2), 0);
        return;
    }
    if kind == ALIGNED {
        (0..8).for_each(|_| bits.put(3, 3));
    }
    // So many codes of the first length, the others are one bit longer: nothing is left over.
    lengths(bits, 256, 16, 8);
    lengths(bits, 240, 0, 8);
    lengths(bits, 249, 7, 7);
    let literal = |bits: &mut Bits, byte: u8| match byte {
        0..16 => bits.put(u32::from(byte), 8),
        _ => bits.put(32 + u32::from(byte) - 16, 9),
    };
    let half = plain.len() / 2;
    plain[..half].iter().for_each(|&byte| literal(bits, byte));
    // A match of class 8 (distances from 14, three bits more), of nine bytes and what a symbol of the length code adds.
    let distance = 14 + half as u32 % 8;
    let class = 256 + 8 * 8 + 7;
    bits.put(32 + class - 16, 9);
    let more = (plain.len() - half - 9).min(240) as u32;
    match more {
        0..7 => bits.put(more, 7),
        _ => bits.put(14 + more - 7, 8),
    }
    bits.put(distance - 14, 3);
    for &byte in &plain[half + 9 + more as usize..] {
        literal(bits, byte);
    }
}

/// Lengths of codes as differences from zero: `short` of `bits`, the others of one more, in a code with two symbols.
fn lengths(out: &mut Bits, count: u32, short: u32, bits: u32) {
    for symbol in 0..20 {
        out.put(u32::from(symbol == 17 - bits || symbol == 16 - bits), 4);
    }
    // Of the two symbols the lesser one stands for the longer codes.
    (0..count).for_each(|at| out.put(u32::from(at < short), 1));
}

pub(crate) fn data_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |number: u8, size: usize, chunks: &[Vec<u8>]| {
        let mut seed = vec![number];
        seed.extend(&(size as u32).to_le_bytes()[..3]);
        let mut end = 0;
        for chunk in &chunks[..chunks.len() - 1] {
            end += chunk.len() as u32;
            seed.extend(end.to_le_bytes());
        }
        seed.extend(chunks.concat());
        seed
    };
    let plain = text(9000);
    let xpressed = |chunk: usize| plain.chunks(chunk).map(xpress).collect::<Vec<_>>();
    let mut mixed = vec![xpress(&plain[..4096]), plain[4096..8192].to_vec()];
    mixed.push(xpress(&plain[8192..]));
    vec![
        ("empty", seed(0, 0, &[Vec::new()])),
        ("stored", seed(0, 100, &[text(100)])),
        ("xpress4k", seed(0, 9000, &mixed)),
        ("xpress8k", seed(2, 9000, &xpressed(8192))),
        ("xpress16k", seed(3, 1000, &[xpress(&text(1000))])),
        ("lzx-verbatim", seed(1, 600, &[lzx(&[(VERBATIM, &text(600))])])),
        ("lzx-aligned", seed(1, 600, &[lzx(&[(ALIGNED, &text(600))])])),
        ("lzx-stored", seed(1, 701, &[lzx(&[(STORED, &text(101)), (VERBATIM, &text(600))])])),
        ("lzx-chunks", seed(1, 32_768 + 600, &[vec![7; 32_768], lzx(&[(VERBATIM, &text(600))])])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds are sound: the fuzzer begins with what is expanded.
    #[test]
    fn the_seeds_are_expanded() {
        for (name, seed) in data_seeds() {
            let size =
                usize::from(seed[1]) | usize::from(seed[2]) << 8 | usize::from(seed[3]) << 16;
            let algorithm = WofAlgorithm::from_number(u32::from(seed[0])).unwrap();
            let stored = &seed[4..];
            let mut plain = vec![0; size];
            let file = WofFile::new(algorithm, size as u64, stored.len() as u64);
            let read = file.read_at(0, &mut plain, &mut |offset, part| {
                part.copy_from_slice(&stored[offset as usize..offset as usize + part.len()]);
                Ok(())
            });
            assert_eq!(read.unwrap_or_else(|error| panic!("{name}: {error}")), size);
            if name.starts_with("xpress") {
                assert!(plain == text(size), "{name}");
            }
        }
        let mut ntfs = Ntfs::open(PatchedDevice::new(&PACKED.volume, &[])).unwrap();
        assert_eq!(ntfs.read(NAME).unwrap(), b"x");
        let mut device = SharedDevice::new(PatchedDevice::new(&PACKED.volume, &[]));
        let mut record = PACKED.record.clone();
        let saved = word(&record, 4);
        for stride in 0..2 {
            let end = (stride + 1) * 512 - 2;
            record.copy_within(end..end + 2, saved + 2 + 2 * stride);
            record.copy_within(saved..saved + 2, end);
        }
        device.write_at(PACKED.place as u64, &record).unwrap();
        assert_eq!(Ntfs::open(device).unwrap().read(NAME).unwrap(), text(FILE));
    }
}
