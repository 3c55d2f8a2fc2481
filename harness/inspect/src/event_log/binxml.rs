//! Binary XML of one record, as far as the events that matter need it.
//!
//! A record is a template with values put in its places; both may hold further binary XML. All offsets
//! are of the record's chunk, so templates can refer to anything, also to themselves: nesting is
//! limited, and every token and byte is paid from a [`Budget`].

use std::ops::Range;

use jiff::Timestamp;
use winfmt::{FileTime, Guid};

use super::bytes::{u32_at, u64_at};
use super::event::{Datum, system_time};

const MAX_DEPTH: usize = 24;
const MAX_NESTING: usize = 6;
const MAX_NAME: usize = 256;
const MAX_VALUES: usize = 512;

/// How much work a log may cause. One unit is a token, or 16 bytes of a value.
pub(super) struct Budget {
    file: u64,
    chunk: u64,
}

impl Budget {
    /// A hundred times what a real log of 20 MiB needs.
    pub(super) fn for_file() -> Self {
        Self { file: 64_000_000, chunk: 0 }
    }

    /// The most that one chunk may cause.
    pub(super) fn begin_chunk(&mut self) {
        self.chunk = 1_000_000;
    }

    fn spend(&mut self, bytes: usize) -> Result<(), &'static str> {
        let cost = 1 + bytes as u64 / 16;
        self.file = self.file.checked_sub(cost).ok_or("the log takes too much work")?;
        self.chunk = self.chunk.checked_sub(cost).ok_or("its chunk takes too much work")?;
        Ok(())
    }
}

/// What is taken of a record.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) provider: String,
    pub(super) id: Option<u32>,
    pub(super) time: Option<Timestamp>,
    pub(super) data: Vec<Datum>,
    pub(super) binary: Vec<u8>,
}

/// Reads the record in a range of its chunk.
pub(super) fn read(
    chunk: &[u8],
    range: Range<usize>,
    budget: &mut Budget,
) -> Result<Draft, &'static str> {
    let mut reader = Reader {
        chunk,
        budget,
        path: Vec::new(),
        attribute: None,
        name: None,
        draft: Draft::default(),
    };
    reader.fragment(range, &[], MAX_NESTING)?;
    Ok(reader.draft)
}

/// A value in the place of a template's hole: its type and where its bytes are.
#[derive(Clone)]
struct Hole {
    kind: u8,
    bytes: Range<usize>,
}

struct Reader<'c> {
    chunk: &'c [u8],
    budget: &'c mut Budget,
    /// The elements that are open.
    path: Vec<String>,
    /// The attribute whose value comes next.
    attribute: Option<String>,
    /// The name of the `Data` element that is open.
    name: Option<String>,
    draft: Draft,
}

impl Reader<'_> {
    fn u8(&self, at: usize) -> Result<u8, &'static str> {
        self.chunk.get(at).copied().ok_or("it runs out of its chunk")
    }

    fn u16(&self, at: usize) -> Result<u16, &'static str> {
        let bytes = self.chunk.get(at..at + 2).ok_or("it runs out of its chunk")?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize) -> Result<usize, &'static str> {
        u32_at(self.chunk, at).map(|value| value as usize).ok_or("it runs out of its chunk")
    }

    /// Tokens from the beginning of a range to its end, or to the token that ends it. Returns where it
    /// ended.
    fn fragment(
        &mut self,
        range: Range<usize>,
        holes: &[Hole],
        nesting: usize,
    ) -> Result<usize, &'static str> {
        let nesting = nesting.checked_sub(1).ok_or("it is nested too deep")?;
        let depth = self.path.len();
        let mut at = range.start;
        while at < range.end {
            self.budget.spend(0)?;
            let token = self.u8(at)?;
            at += 1;
            match token & 0x3f {
                // End of the fragment.
                0x00 => break,
                // An element begins: dependency, size, name, size of the attributes.
                0x01 => {
                    let (name, after) = self.name(at + 6)?;
                    at = if token & 0x40 != 0 { after + 4 } else { after };
                    if self.path.len() >= MAX_DEPTH {
                        return Err("it is nested too deep");
                    }
                    self.path.push(name);
                }
                // The element's beginning ends.
                0x02 => self.attribute = None,
                // The element ends.
                0x03 | 0x04 => {
                    self.attribute = None;
                    if self.path.len() <= depth {
                        return Err("an element ends that did not begin");
                    }
                    if self.path.pop().is_some_and(|name| name == "Data") {
                        self.name = None;
                    }
                }
                // A value as it stands.
                0x05 => {
                    let kind = self.u8(at)?;
                    let (start, size) = (at + 3, usize::from(self.u16(at + 1)?) * 2);
                    if kind != 0x01 {
                        return Err("a value in a template is not text");
                    }
                    let text = self.text(start..start + size)?;
                    self.take(text, None)?;
                    at = start + size;
                }
                0x06 => {
                    let (name, after) = self.name(at)?;
                    self.attribute = Some(name);
                    at = after;
                }
                // Text that is not looked into.
                0x07 | 0x0b => at += 2 + usize::from(self.u16(at)?) * 2,
                0x08 => at += 2,
                0x09 | 0x0a => at = self.name(at)?.1,
                0x0c => at = self.template(at, nesting)?,
                // A hole; the second kind is left out where the value is empty, the first is then "".
                0x0d | 0x0e => {
                    let hole = holes.get(usize::from(self.u16(at)?)).cloned();
                    at += 3;
                    self.fill(hole.ok_or("a hole has no value")?, nesting)?;
                }
                // The fragment's header: version and flags.
                0x0f => at += 3,
                _ => return Err("a token is unknown"),
            }
        }
        self.path.truncate(depth);
        Ok(at)
    }

    /// A template with its values: id, where its definition is, the definition where it is first used,
    /// then the values.
    fn template(&mut self, at: usize, nesting: usize) -> Result<usize, &'static str> {
        let definition = self.u32(at + 5)?;
        let mut after = at + 9;
        let size = self.u32(definition + 20)?;
        let body = definition + 24..definition.saturating_add(24).saturating_add(size);
        if body.end > self.chunk.len() {
            return Err("a template runs out of its chunk");
        }
        if definition == after {
            after = body.end;
        }
        let count = self.u32(after)?;
        if count > MAX_VALUES {
            return Err("a template has too many values");
        }
        self.budget.spend(count * 4)?;
        let mut start = after + 4 + count * 4;
        let mut holes = Vec::with_capacity(count);
        for index in 0..count {
            let descriptor = after + 4 + index * 4;
            let size = usize::from(self.u16(descriptor)?);
            holes.push(Hole { kind: self.u8(descriptor + 2)?, bytes: start..start + size });
            start += size;
        }
        if start > self.chunk.len() {
            return Err("a value runs out of its chunk");
        }
        self.fragment(body, &holes, nesting)?;
        Ok(start)
    }

    /// A name: inline at its first use, elsewhere by its offset. Next in its chain, hash, length, text,
    /// terminator.
    fn name(&mut self, at: usize) -> Result<(String, usize), &'static str> {
        let offset = self.u32(at)?;
        let length = usize::from(self.u16(offset.saturating_add(6))?);
        if length > MAX_NAME {
            return Err("a name is too long");
        }
        let text = self.text(offset + 8..offset + 8 + length * 2)?;
        let after = at + 4;
        Ok((text, if offset == after { after + 8 + length * 2 + 2 } else { after }))
    }

    fn text(&mut self, range: Range<usize>) -> Result<String, &'static str> {
        self.budget.spend(range.len())?;
        let bytes = self.chunk.get(range).ok_or("a text runs out of its chunk")?;
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        Ok(String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned())
    }

    /// Puts a value in its place.
    fn fill(&mut self, hole: Hole, nesting: usize) -> Result<(), &'static str> {
        let bytes = self.chunk.get(hole.bytes.clone()).ok_or("a value runs out of its chunk")?;
        self.budget.spend(bytes.len())?;
        match hole.kind {
            0x00 => Ok(()),
            0x21 => self.fragment(hole.bytes, &[], nesting).map(|_| ()),
            0x01 => {
                let text = self.text(hole.bytes)?;
                self.take(text, None)
            }
            // Texts, each with its terminator: an element for each.
            0x81 => {
                let text = self.text(hole.bytes)?;
                text.split('\0').try_for_each(|part| self.take(part.to_owned(), None))
            }
            0x11 => {
                let time =
                    u64_at(bytes, 0).and_then(|ticks| FileTime::from_ticks(ticks).to_timestamp());
                self.take(time.map(|time| time.to_string()).unwrap_or_default(), time)
            }
            kind => self.take(scalar(kind, bytes), None),
        }
    }

    /// Takes what is wanted of a value in its place.
    fn take(&mut self, text: String, time: Option<Timestamp>) -> Result<(), &'static str> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let draft = &mut self.draft;
        match (path.as_slice(), self.attribute.as_deref()) {
            (["Event", "System", "Provider"], Some("Name")) => draft.provider = text,
            (["Event", "System", "EventID"], None) => {
                draft.id = text.parse::<u32>().ok().map(|id| id & 0xffff);
            }
            (["Event", "System", "TimeCreated"], Some("SystemTime")) => {
                draft.time = time.or_else(|| text.parse().ok());
            }
            (["Event", "EventData", "Data"], Some("Name")) => self.name = Some(text),
            (["Event", "EventData", "Binary"], None) => draft.binary = from_hex(&text),
            (["Event", "EventData", "Data"], None) if draft.data.len() < MAX_VALUES => {
                draft.data.push(Datum { name: self.name.clone(), value: text });
            }
            (["Event", "UserData", .., name], None) if draft.data.len() < MAX_VALUES => {
                draft.data.push(Datum { name: Some((*name).to_owned()), value: text });
            }
            _ => {}
        }
        Ok(())
    }
}

/// A value of a type other than text, as text.
fn scalar(kind: u8, bytes: &[u8]) -> String {
    let mut wide = [0; 8];
    let size = bytes.len().min(8);
    wide[..size].copy_from_slice(&bytes[..size]);
    let unsigned = u64::from_le_bytes(wide);
    let signed = |bits: u32| (unsigned as i64) << (64 - bits) >> (64 - bits);
    match (kind, bytes.len()) {
        (0x02, _) => String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned(),
        (0x03, 1) => signed(8).to_string(),
        (0x05, 2) => signed(16).to_string(),
        (0x07, 4) => signed(32).to_string(),
        (0x09, 8) => signed(64).to_string(),
        (0x04, 1) | (0x06, 2) | (0x08, 4) | (0x0a, 8) => unsigned.to_string(),
        (0x0b, 4) => f32::from_bits(unsigned as u32).to_string(),
        (0x0c, 8) => f64::from_bits(unsigned).to_string(),
        (0x0d, 4) => (unsigned != 0).to_string(),
        (0x0f, 16) => Guid::read_at(bytes, 0).unwrap_or_default().to_string(),
        (0x10 | 0x14 | 0x15, 4 | 8) => format!("{unsigned:#x}"),
        (0x12, 16) => system_time(bytes).map(|time| time.to_string()).unwrap_or_default(),
        // Bytes, security identifiers, arrays: as they are.
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map_while(|own| own.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}
