use super::*;
use proptest::prelude::*;
use std::process::Command;
use std::sync::LazyLock;

/// A chunk compressed by XPRESS: the lengths of the codes that are not 0, and what follows them.
fn xpress_chunk(lengths: &[(usize, &[u8])], rest: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0; 256];
    for (at, bytes) in lengths {
        chunk[*at..*at + bytes.len()].copy_from_slice(bytes);
    }
    [chunk, rest.to_vec()].concat()
}

fn expanded(algorithm: WofAlgorithm, size: u64, stored: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut plain = vec![0; size as usize];
    let file = WofFile::new(algorithm, size, stored.len() as u64);
    assert_eq!(file.read_at(0, &mut plain, &mut from(stored))?, plain.len());
    Ok(plain)
}

fn from(stored: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<(), Reason> + '_ {
    |offset, part| {
        let offset = offset as usize;
        part.copy_from_slice(&stored[offset..offset + part.len()]);
        Ok(())
    }
}

/// What wimlib makes of these bytes: the resource of a WIM archive, which has the same table and chunks. `None` with a
/// line that says so where it is not installed.
pub(crate) fn by_wimlib(data: &[u8], algorithm: WofAlgorithm) -> Option<Vec<u8>> {
    let compress = match algorithm {
        WofAlgorithm::Lzx => "LZX:100",
        _ => "XPRESS:100",
    };
    compressed_by_wimlib(data, compress, algorithm.chunk())
}

fn compressed_by_wimlib(data: &[u8], compress: &str, chunk: u64) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let (files, archive) = (dir.path().join("files"), dir.path().join("archive.wim"));
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("file"), data).unwrap();
    let mut wimlib = Command::new("wimlib-imagex");
    wimlib.arg("capture").args([&files, &archive]).args(["--no-acls", "--threads=1"]);
    wimlib.arg(format!("--compress={compress}")).arg(format!("--chunk-size={chunk}"));
    let Ok(output) = wimlib.output() else {
        println!("skipped: wimlib-imagex is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let archive = std::fs::read(archive).unwrap();
    let long = |at: usize| u64::from_le_bytes(archive[at..at + 8].try_into().unwrap());
    // A resource: its size with flags in the high byte, its place, its size when it is expanded.
    let resource = |at: usize| {
        let (size, place) = ((long(at) & 0xff_ffff_ffff_ffff) as usize, long(at + 8) as usize);
        (archive[at + 7], place..place + size, long(at + 16))
    };
    let (_, table, _) = resource(48);
    let mut found = table.step_by(50).map(resource).filter(|(flags, ..)| flags & 2 == 0);
    let (flags, place, size) = found.next().unwrap();
    assert_eq!(size, data.len() as u64);
    // Where nothing is won there are no chunks; of a file of one chunk that is the same.
    assert!(flags & 4 != 0 || size <= chunk, "{size} bytes are not compressed");
    Some(archive[place].to_vec())
}

/// Real code for x86, which is full of calls: this program.
static CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut code = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    code.truncate(3 << 20);
    code
});

/// Bytes that cannot be compressed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

const ALL: [WofAlgorithm; 4] =
    [WofAlgorithm::Xpress4k, WofAlgorithm::Xpress8k, WofAlgorithm::Xpress16k, WofAlgorithm::Lzx];

#[test]
fn the_examples_of_the_specification() {
    // [MS-XCA] 3.2.
    let letters = [0x50, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x45, 0x44, 4];
    let alphabet = xpress_chunk(
        &[(0x30, &letters), (0x80, &[4])],
        &[
            0xd8, 0x52, 0x3e, 0xd7, 0x94, 0x11, 0x5b, 0xe9, 0x19, 0x5f, 0xf9, 0xd6, 0x7c, 0xdf,
            0x8d, 0x04, 0, 0, 0, 0,
        ],
    );
    let mut plain = [0; 26];
    xpress::decompress(&alphabet, &mut plain).unwrap();
    assert_eq!(&plain, b"abcdefghijklmnopqrstuvwxyz");
    let repeated = xpress_chunk(
        &[(0x30, &[0x30, 0x23]), (0x80, &[2]), (0x8f, &[0x20])],
        &[0xa8, 0xdc, 0, 0, 0xff, 0x26, 1],
    );
    let plain = expanded(WofAlgorithm::Xpress4k, 300, &repeated).unwrap();
    assert_eq!(plain, b"abc".repeat(100));
    // A length that is stored the long way without need is no length.
    let mut wrong = repeated.clone();
    let at = wrong.len() - 2;
    wrong[at..].copy_from_slice(&[14, 0]);
    assert!(expanded(WofAlgorithm::Xpress4k, 300, &wrong).is_err());
}

#[test]
fn what_wimlib_compresses_is_expanded() {
    let mixed = [&CODE[..70_000], &noise(50_000), &[0; 100_000], &CODE[..70_000]].concat();
    for algorithm in ALL {
        let chunk = algorithm.chunk() as usize;
        let texts = b"a driver that does not load; ".repeat(2000);
        let tail = [&CODE[..2 * chunk], &[9]].concat();
        let whole = &CODE[chunk..3 * chunk];
        for (name, data) in [
            ("code", &CODE[..]),
            ("mixed", &mixed),
            ("zeros", &[0; 200_000]),
            ("text", &texts),
            ("one byte", b"x"),
            ("less than a chunk", &texts[..chunk - 1]),
            ("whole chunks", whole),
            ("a last chunk of one byte", &tail),
        ] {
            let Some(stored) = by_wimlib(data, algorithm) else { return };
            let plain = expanded(algorithm, data.len() as u64, &stored).unwrap();
            assert!(plain == data, "{algorithm}: {name}");
        }
    }
}

/// Each effort makes other blocks.
#[test]
fn every_effort_of_wimlib_is_understood() {
    for effort in [5, 20, 35, 50, 75] {
        for (compress, algorithm) in
            [("LZX", WofAlgorithm::Lzx), ("XPRESS", WofAlgorithm::Xpress16k)]
        {
            let data = &CODE[..1 << 20];
            let compress = format!("{compress}:{effort}");
            let Some(stored) = compressed_by_wimlib(data, &compress, algorithm.chunk()) else {
                return;
            };
            let plain = expanded(algorithm, data.len() as u64, &stored).unwrap();
            assert!(plain == data, "{compress}");
        }
    }
}

#[test]
fn reads_anywhere_give_what_is_there() {
    for algorithm in ALL {
        let data = &CODE[..1_300_000];
        let Some(stored) = by_wimlib(data, algorithm) else { return };
        let file = WofFile::new(algorithm, data.len() as u64, stored.len() as u64);
        let chunk = algorithm.chunk() as usize;
        for (offset, len) in [
            (0, 1),
            (chunk - 1, 2),
            (chunk, chunk),
            (3, 700_000),
            (5 * chunk + 7, 3 * chunk),
            (data.len() - 1, 1),
            (data.len() - 10, 100),
            (data.len(), 10),
            (data.len() + chunk, 10),
        ] {
            let mut part = vec![0; len];
            let read = file.read_at(offset as u64, &mut part, &mut from(&stored)).unwrap();
            let there = data.get(offset..(offset + len).min(data.len())).unwrap_or_default();
            assert!(part[..read] == *there, "{algorithm}: {len} bytes at {offset}");
        }
    }
}

/// A file above 4 GiB, whose chunks are stored as they are; and what is read for a few bytes of it.
#[test]
fn a_table_of_64_bit_numbers() {
    let algorithm = WofAlgorithm::Xpress4k;
    let (size, chunk) = ((4 << 30) + 4096 + 10, algorithm.chunk());
    let table = size / chunk * 8;
    let contents = |offset: u64| (offset / 3 % 251) as u8;
    let file = WofFile::new(algorithm, size, table + size);
    for offset in [0, 4095, (2 << 30) - 5, (4 << 30) - 5, size - 20, size - 3] {
        let mut read = 0;
        let mut source = |offset: u64, part: &mut [u8]| {
            read += part.len();
            for (offset, byte) in (offset..).zip(part) {
                *byte = match offset.checked_sub(table) {
                    Some(inside) => contents(inside),
                    None => ((offset / 8 + 1) * chunk).to_le_bytes()[(offset % 8) as usize],
                };
            }
            Ok(())
        };
        let mut part = [0; 20];
        let count = file.read_at(offset, &mut part, &mut source).unwrap();
        assert_eq!(count as u64, (size - offset).min(20));
        let there: Vec<u8> = (offset..offset + count as u64).map(contents).collect();
        assert_eq!(part[..count], there, "at {offset}");
        assert!(read <= 3 * 8 + 2 * 4096, "{read} bytes were read for {count}");
    }
    // One byte less, and the table has numbers of 32 bits.
    let file = WofFile::new(algorithm, u64::from(u32::MAX), 1 << 40);
    let mut places = Vec::new();
    let _ = file.read_at(4096, &mut [0], &mut |offset, part| {
        places.push((offset, part.len()));
        Err(Reason::Full)
    });
    assert_eq!(places, [(0, 8)]);
}

#[test]
fn tables_that_contradict_are_refused() {
    // Three chunks of 4096, 4096 and 100 bytes.
    let size = 8292;
    let read = |table: [u32; 2], stored: usize| {
        let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        bytes.resize(stored, 7);
        expanded(WofAlgorithm::Xpress4k, size, &bytes)
    };
    assert_eq!(read([4096, 8192], 8300).unwrap(), [7; 8292]);
    for (table, stored) in [
        ([4096, 4096], 4204),
        ([4096, 100], 8300),
        ([4097, 8192], 8300),
        ([4096, 8192], 8301),
        ([4096, 8192], 8200),
        ([u32::MAX, u32::MAX], 8300),
        ([0, 4096], 4204),
    ] {
        let error = read(table, stored).unwrap_err();
        assert!(matches!(&error, Reason::Damaged(why) if why.contains("lies at")), "{error}");
    }
    let error = expanded(WofAlgorithm::Xpress4k, size, &[0; 7]).unwrap_err();
    assert!(error.to_string().contains("its table of chunks leaves"), "{error}");
    assert!(expanded(WofAlgorithm::Lzx, 0, &[]).unwrap().is_empty());
}

#[test]
fn reparse_points_say_what_is_known() {
    let point = |numbers: [u32; 4]| {
        let mut point = [WOF_TAG, 16].map(u32::to_le_bytes).concat();
        point.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        point
    };
    for (number, algorithm) in [
        (0, WofAlgorithm::Xpress4k),
        (1, WofAlgorithm::Lzx),
        (2, WofAlgorithm::Xpress8k),
        (3, WofAlgorithm::Xpress16k),
    ] {
        assert_eq!(WofFile::algorithm(&point([1, 2, 1, number])).unwrap(), algorithm);
    }
    for (numbers, says) in [
        ([1, 1, 1, 0], "contents lie in a WIM archive (WIMBoot)"),
        ([2, 2, 1, 0], "with the version 2"),
        ([1, 3, 1, 0], "with the provider 3"),
        ([1, 2, 2, 0], "with the provider's version 2"),
        ([1, 2, 1, 4], "with the algorithm 4"),
    ] {
        let error = WofFile::algorithm(&point(numbers)).unwrap_err();
        assert!(
            matches!(error, Reason::Unsupported(_)) && error.to_string().contains(says),
            "{error}"
        );
    }
    let short = WofFile::algorithm(&point([1, 2, 1, 0])[..20]);
    assert!(matches!(short, Err(Reason::Damaged(_))));
}

/// Writes bits as they are read.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    word: u32,
    count: u32,
}

impl Writer {
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
}

/// A block of LZX that is stored as it is, which wimlib never makes.
fn stored_block(writer: &mut Writer, data: &[u8], recent: [u32; 3]) {
    writer.put(3, 3);
    writer.put(0, 1);
    writer.put(data.len() as u32, 16);
    let rest = 16 - writer.count;
    writer.put(0, rest);
    writer.bytes.extend(recent.iter().flat_map(|one| one.to_le_bytes()));
    writer.bytes.extend(data);
    if data.len() % 2 == 1 {
        writer.bytes.push(0);
    }
}

#[test]
fn blocks_that_are_stored_are_taken_as_they_are() {
    let data = noise(1001);
    let mut writer = Writer::default();
    stored_block(&mut writer, &data[..501], [1, 2, 3]);
    stored_block(&mut writer, &data[501..], [1, 1, 1]);
    let mut plain = vec![0; 1001];
    lzx::decompress(&writer.bytes, &mut plain).unwrap();
    assert_eq!(plain, data);
    assert!(lzx::decompress(&writer.bytes[..writer.bytes.len() - 2], &mut plain).is_none());
    assert!(lzx::decompress(&writer.bytes, &mut plain[..1000]).is_none());
    for (recent, len) in [([0, 1, 1], 4), ([1, 1, 1], 0)] {
        let mut writer = Writer::default();
        stored_block(&mut writer, &data[..len], recent);
        assert!(lzx::decompress(&writer.bytes, &mut plain[..4]).is_none());
    }
}

#[test]
fn the_targets_of_calls_are_made_relative_again() {
    let stored = |data: &[u8]| {
        let mut writer = Writer::default();
        stored_block(&mut writer, data, [1; 3]);
        let mut plain = vec![0; data.len()];
        lzx::decompress(&writer.bytes, &mut plain).unwrap();
        plain
    };
    let call = |at: usize, target: i32, len: usize| {
        let mut data = vec![0; len];
        data[at] = 0xe8;
        data[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
        data
    };
    for (target, relative) in [
        (1000, 980),
        (0, -20),
        (11_999_999, 11_999_979),
        (12_000_000, 12_000_000),
        (-20, 11_999_980),
        (-21, -21),
    ] {
        assert_eq!(stored(&call(20, target, 40)), call(20, relative, 40), "{target}");
    }
    // Not in the last ten bytes.
    assert_eq!(stored(&call(30, 1000, 40)), call(30, 1000, 40));
    assert_eq!(stored(&call(29, 1000, 40)), call(29, 971, 40));
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(
        data in prop::collection::vec(any::<u8>(), 0..600), size in 1_usize..9000, number in 0_u32..4)
    {
        let algorithm = WofAlgorithm::from_number(number).unwrap();
        let _ = expanded(algorithm, size as u64, &data);
        let mut plain = vec![0; size];
        let _ = (lzx::decompress(&data, &mut plain), xpress::decompress(&data, &mut plain));
    }
}

/// Damage is refused, or gives other bytes: never a panic. So does a chunk that was cut off: where a byte between the words
/// is the last one left, it may be taken for another one (the coding has no checksum).
#[test]
fn damaged_chunks_are_taken_or_refused() {
    for algorithm in ALL {
        let data = &CODE[..algorithm.chunk() as usize];
        let Some(stored) = by_wimlib(data, algorithm) else { return };
        let expand = |stored: &[u8]| {
            let mut plain = vec![0; data.len()];
            let done = match algorithm {
                WofAlgorithm::Lzx => lzx::decompress(stored, &mut plain),
                _ => xpress::decompress(stored, &mut plain),
            };
            done.map(|()| plain)
        };
        assert!(expand(&stored).unwrap() == data);
        for cut in 9..stored.len().min(300) {
            let cut_off = expand(&stored[..stored.len() - cut]);
            assert!(cut_off.is_none_or(|plain| plain != data), "{algorithm}, cut by {cut}");
        }
        for at in 0..stored.len().min(1500) {
            let mut damaged = stored.clone();
            damaged[at] ^= 1 << (at % 8);
            let _ = expand(&damaged);
        }
    }
}
