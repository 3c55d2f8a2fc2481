//! Memory of a dump: where each physical page lies in the file, and virtual addresses on top of it.

use std::io::{Read, Seek, SeekFrom};

use super::error::DumpError;
use super::layout::{self, PAGE, u64_at};

/// Pages that a bitmap may describe: 2 TiB of memory.
const MAX_PAGES: u64 = 512 << 20;
/// Bytes of bitmap between two counts of the index.
const STEP: usize = 256;
const MAX_RUNS: usize = 4096;

/// Where the pages are.
pub(super) enum Pages {
    /// The dump holds no pages.
    None,
    /// Page runs: first page, count, offset in the file.
    Runs(Vec<(u64, u64, u64)>),
    /// One bit a page, and how many are set before each step.
    Bitmap {
        /// The bits.
        bits: Vec<u8>,
        /// Count of set bits before byte `STEP * i`.
        before: Vec<u64>,
        /// Offset of the first page in the file.
        first: u64,
    },
}

impl Pages {
    /// Runs of the header's physical memory block; their pages follow the header.
    pub(super) fn from_header(header: &[u8]) -> Self {
        let block = &header[layout::PHYSICAL_MEMORY..][..layout::PHYSICAL_MEMORY_SIZE];
        let count = layout::u32_at(block, 0) as usize;
        let room = (block.len() - 16) / 16;
        let mut offset = layout::HEADER as u64;
        let runs = (0..count.min(room))
            .map_while(|at| {
                let (page, pages) = (u64_at(block, 16 + at * 16), u64_at(block, 24 + at * 16));
                let start = offset;
                offset = pages.checked_mul(PAGE).and_then(|size| offset.checked_add(size))?;
                Some((page, pages, start))
            })
            .collect();
        Self::Runs(runs)
    }

    /// A bitmap behind the header.
    pub(super) fn read_bitmap(source: &mut (impl Read + Seek)) -> Result<Self, DumpError> {
        let head = read_at(source, layout::HEADER as u64, layout::BITMAP_BITS)?;
        if !matches!(&head[..4], b"SDMP" | b"FDMP") || &head[4..8] != b"DUMP" {
            return Err(DumpError::Damaged("its bitmap has no signature"));
        }
        let first = u64_at(&head, layout::BITMAP_FIRST_PAGE);
        let pages = u64_at(&head, layout::BITMAP_PAGES);
        if pages > MAX_PAGES {
            return Err(DumpError::Damaged("its bitmap is impossibly large"));
        }
        let size = pages.div_ceil(8);
        let start = (layout::HEADER + layout::BITMAP_BITS) as u64;
        let available = source.seek(SeekFrom::End(0)).map_err(DumpError::Read)?;
        if start.checked_add(size).is_none_or(|end| end > available) {
            return Err(DumpError::Damaged("its bitmap is cut off"));
        }
        let mut bits = read_at(source, start, size as usize)?;
        if !pages.is_multiple_of(8)
            && let Some(last) = bits.last_mut()
        {
            *last &= (1 << (pages % 8)) - 1;
        }
        let mut total = 0;
        let before = bits
            .chunks(STEP)
            .map(|chunk| {
                let here = total;
                total += chunk.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
                here
            })
            .collect();
        Ok(Self::Bitmap { bits, before, first })
    }

    /// Page ranges of the debugger's newer formats (types 8 to 10).
    pub(super) fn read_ranges(
        source: &mut (impl Read + Seek),
        complete: bool,
    ) -> Result<Self, DumpError> {
        const HEAD: usize = 0x30;
        let head = read_at(source, layout::HEADER as u64, HEAD)?;
        if layout::u32_at(&head, 0) != 0x40 || &head[4..12] != b"RDMPDUMP" {
            return Err(DumpError::Damaged("its page ranges have no signature"));
        }
        let ranges = (u64_at(&head, 0x10) / 16).min(MAX_RUNS as u64);
        let mut offset = u64_at(&head, 0x18);
        let mut left = if complete { u64_at(&head, 0x28) } else { u64::MAX };
        let mut runs = Vec::new();
        let table = (layout::HEADER + HEAD) as u64;
        for at in 0..ranges {
            let range = read_at(source, table + at * 16, 16)?;
            let (page, pages) = (u64_at(&range, 0), u64_at(&range, 8));
            if page == 0 || pages == 0 || left == 0 {
                break;
            }
            runs.push((page, pages, offset));
            left = left.saturating_sub(pages);
            offset = pages
                .checked_mul(PAGE)
                .and_then(|size| offset.checked_add(size))
                .ok_or(DumpError::Damaged("its page ranges are impossible"))?;
        }
        Ok(Self::Runs(runs))
    }

    /// Where a physical page lies in the file.
    fn offset_of(&self, page: u64) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Runs(runs) => runs.iter().find_map(|(first, count, offset)| {
                let at = page.checked_sub(*first).filter(|at| at < count)?;
                offset.checked_add(at.checked_mul(PAGE)?)
            }),
            Self::Bitmap { bits, before, first } => {
                let byte = usize::try_from(page / 8).ok()?;
                let bit = page % 8;
                if bits.get(byte)? & (1 << bit) == 0 {
                    return None;
                }
                let step = byte / STEP;
                let rest = bits[step * STEP..byte].iter().map(|b| u64::from(b.count_ones()));
                let own = u64::from((bits[byte] & ((1 << bit) - 1)).count_ones());
                let rank = before[step] + rest.sum::<u64>() + own;
                first.checked_add(rank.checked_mul(PAGE)?)
            }
        }
    }
}

/// Reads exactly that many bytes.
pub(super) fn read_at(
    source: &mut (impl Read + Seek),
    at: u64,
    length: usize,
) -> Result<Vec<u8>, DumpError> {
    source.seek(SeekFrom::Start(at)).map_err(DumpError::Read)?;
    let mut bytes = vec![0; length];
    source.read_exact(&mut bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => DumpError::Damaged("it is cut off"),
        _ => DumpError::Read(error),
    })?;
    Ok(bytes)
}

/// Reads virtual memory through the page tables at `root`. None where a page is not in the dump.
pub(super) fn read_virtual(
    source: &mut (impl Read + Seek),
    pages: &Pages,
    root: u64,
    address: u64,
    length: usize,
) -> Result<Option<Vec<u8>>, DumpError> {
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let Some(here) = address.checked_add(out.len() as u64) else { return Ok(None) };
        let piece = ((PAGE - here % PAGE) as usize).min(length - out.len());
        let Some(physical) = translate(source, pages, root, here)? else { return Ok(None) };
        let Some(bytes) = read_physical(source, pages, physical, piece)? else { return Ok(None) };
        out.extend_from_slice(&bytes);
    }
    Ok(Some(out))
}

/// Within one page.
fn read_physical(
    source: &mut (impl Read + Seek),
    pages: &Pages,
    address: u64,
    length: usize,
) -> Result<Option<Vec<u8>>, DumpError> {
    let Some(offset) = pages.offset_of(address / PAGE) else { return Ok(None) };
    let Some(offset) = offset.checked_add(address % PAGE) else { return Ok(None) };
    match read_at(source, offset, length) {
        Ok(bytes) => Ok(Some(bytes)),
        // A page that the bitmap promises and the file has not: as good as not dumped.
        Err(DumpError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Walks the four levels of the page tables.
fn translate(
    source: &mut (impl Read + Seek),
    pages: &Pages,
    root: u64,
    address: u64,
) -> Result<Option<u64>, DumpError> {
    const PRESENT: u64 = 1;
    const LARGE: u64 = 1 << 7;
    const TRANSITION: u64 = 1 << 11;
    const FRAME: u64 = 0x000F_FFFF_FFFF_F000;
    let mut table = root & FRAME;
    for level in [39_u32, 30, 21, 12] {
        let slot = table + ((address >> level) & 0x1FF) * 8;
        let Some(bytes) = read_physical(source, pages, slot, 8)? else { return Ok(None) };
        let entry = u64_at(&bytes, 0);
        // A page on its way out is still whole; its entry keeps the frame.
        let usable = entry & PRESENT != 0 || level == 12 && entry & TRANSITION != 0;
        if !usable {
            return Ok(None);
        }
        if level == 12 || matches!(level, 30 | 21) && entry & LARGE != 0 {
            let mask = (1_u64 << level) - 1;
            return Ok(Some((entry & FRAME & !mask) | (address & mask)));
        }
        table = entry & FRAME;
    }
    Ok(None)
}
