//! The contents of a file: of its unnamed stream, or of what WOF has compressed.

#[cfg(test)]
mod tests;

use super::engine::{Engine, Inode};
use super::name::{FileName, REPARSE_FLAG};
use super::record::{Attribute, Record, kind, u16_at, u32_at};
use super::stream::Layout;
use crate::wof::{WOF_STREAM, WOF_TAG, WofFile};
use crate::{MAX_READ, Reason};

/// Where the contents of a file come from.
pub(super) enum Contents {
    /// From its unnamed stream.
    Plain(Layout),
    /// From the chunks in a stream beside it.
    Compressed(WofFile, Layout),
}

impl Contents {
    /// Bytes of the contents.
    pub(super) fn size(&self) -> u64 {
        match self {
            Contents::Plain(layout) => layout.size(),
            Contents::Compressed(file, _) => file.size(),
        }
    }

    /// The attribute that has them.
    pub(super) fn layout(&self) -> &Layout {
        match self {
            Contents::Plain(layout) | Contents::Compressed(_, layout) => layout,
        }
    }
}

/// What is replaced with the contents of a file: its unnamed stream, and of a file that WOF has compressed also its
/// compressed data and its reparse point, since Windows takes a file with that for compressed.
pub(super) struct Replaced {
    point: Option<Vec<u8>>,
    stream: Vec<u16>,
}

impl Replaced {
    pub(super) fn of(inode: &Inode) -> Self {
        Self { point: wof_point(inode).map(<[u8]>::to_vec), stream: wof_stream() }
    }

    /// The value of the reparse point.
    pub(super) fn point(&self) -> Option<&[u8]> {
        self.point.as_deref()
    }

    /// The attributes of a file that go with it.
    pub(super) fn flags(&self) -> u32 {
        if self.point.is_some() { REPARSE_FLAG } else { 0 }
    }

    fn is(&self, kind: u32, name: &[u16]) -> bool {
        match kind {
            kind::DATA => name.is_empty() || (self.point.is_some() && name == self.stream),
            kind::REPARSE_POINT => self.point.is_some(),
            _ => false,
        }
    }

    /// True of an attribute that is replaced.
    pub(super) fn has(&self, attribute: &Attribute) -> bool {
        self.is(attribute.kind(), &attribute.name())
    }

    /// True of an entry of an attribute list that stands for such an attribute.
    pub(super) fn has_entry(&self, entry: &[u8]) -> bool {
        let (len, at) = (usize::from(entry[6]), usize::from(entry[7]));
        let name: Vec<u16> = (0..len).map(|index| u16_at(entry, at + 2 * index)).collect();
        self.is(u32_at(entry, 0), &name)
    }

    /// Bytes that a record has for other attributes.
    pub(super) fn room(&self, record: &Record) -> usize {
        let going = record.attributes.iter().filter(|one| self.has(one));
        record.room() + going.map(Attribute::len).sum::<usize>()
    }

    /// Makes the names of the file say that it has no reparse point, in memory.
    pub(super) fn forget_tag(&self, inode: &mut Inode) -> Result<(), Reason> {
        if self.point.is_none() {
            return Ok(());
        }
        let attributes = inode.records_mut().flat_map(|record| &mut record.attributes);
        for attribute in attributes.filter(|one| one.kind() == kind::FILE_NAME) {
            let mut name = FileName::parse(attribute.value())?;
            name.forget_reparse_tag();
            attribute.set_value(&name.encode());
        }
        Ok(())
    }
}

/// The name of the stream that has the compressed data.
fn wof_stream() -> Vec<u16> {
    WOF_STREAM.encode_utf16().collect()
}

/// The reparse point of a file that WOF has compressed. A directory is none.
pub(super) fn wof_point(inode: &Inode) -> Option<&[u8]> {
    let point = inode.attributes().find(|one| one.kind() == kind::REPARSE_POINT)?.value();
    (!inode.base.is_directory() && u32_at(point, 0) == WOF_TAG).then_some(point)
}

impl Engine {
    /// Where the contents of a file come from; an empty file may have none.
    pub(super) fn contents(&self, inode: &Inode) -> Result<Contents, Reason> {
        let data = self.layout(inode, kind::DATA, &[])?.unwrap_or(Layout::Resident(Vec::new()));
        let Some(point) = wof_point(inode) else { return Ok(Contents::Plain(data)) };
        let algorithm = WofFile::algorithm(point)?;
        let stored = self.layout(inode, kind::DATA, &wof_stream())?.ok_or_else(|| {
            Reason::Damaged(format!(
                "a file that is compressed by CompactOS (WOF) has no stream {WOF_STREAM}"
            ))
        })?;
        Ok(Contents::Compressed(WofFile::new(algorithm, data.size(), stored.size()), stored))
    }

    /// All of it, at most [`MAX_READ`] bytes.
    pub(super) fn read_contents(&mut self, contents: &Contents) -> Result<Vec<u8>, Reason> {
        let (size, limit) = (contents.size(), MAX_READ);
        if size > limit {
            return Err(Reason::TooLarge { size, limit });
        }
        let mut bytes = vec![0; size as usize];
        self.read_contents_at(contents, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Bytes from `offset`; returns how many there were.
    pub(super) fn read_contents_at(
        &mut self,
        contents: &Contents,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Reason> {
        match contents {
            Contents::Plain(layout) => self.read_layout_at(layout, offset, buffer),
            Contents::Compressed(file, layout) => {
                file.read_at(offset, buffer, &mut |offset, part| match self
                    .read_layout_at(layout, offset, part)?
                {
                    read if read == part.len() => Ok(()),
                    _ => Err(Reason::Damaged(format!("the stream {WOF_STREAM} is too short"))),
                })
            }
        }
    }

    /// Makes a plain file, with the first `keep` bytes, of one that WOF has compressed: what Windows does with it when
    /// it is opened to be written to. Other files stay as they are.
    pub(super) fn expand(&mut self, inode: &mut Inode, keep: u64) -> Result<(), Reason> {
        if wof_point(inode).is_none() {
            return Ok(());
        }
        let contents = self.contents(inode)?;
        let (size, limit) = (contents.size().min(keep), MAX_READ);
        if size > limit {
            return Err(Reason::TooLarge { size, limit });
        }
        let mut bytes = vec![0; size as usize];
        self.read_contents_at(&contents, 0, &mut bytes)?;
        self.replace_data(inode, &mut bytes.as_slice(), size)
    }
}
