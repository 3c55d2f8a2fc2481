//! A dump that still lies in the page file: Windows writes it there, and makes a file of its own of it at the next start
//! (windows-facts 6.7). A machine that is switched off after its stop has it nowhere else.

use std::io::Write;

use volume::{Volume, VolumeError};
use winfmt::dump::Dump;

const PAGE_FILE: &str = "pagefile.sys";
/// The header of a 64-bit dump, the larger one (windows-facts 6.4).
const HEADER: usize = 0x2000;
const CHUNK: usize = 1 << 20;

/// What the page file begins with.
pub(crate) struct DumpInPageFile {
    /// The code in its header.
    pub(crate) code: u32,
    /// So much of the page file it takes, in bytes, as its header says.
    pub(crate) size: u64,
    /// BLAKE3 of the header, hex: another dump has another.
    pub(crate) digest: String,
}

impl DumpInPageFile {
    /// Where it lies, from the root of the Windows volume.
    pub(crate) const PATH: &'static str = PAGE_FILE;

    /// Looks for one; `None` where the page file holds no dump, or there is none.
    pub(crate) fn find(windows: &mut dyn Volume) -> Result<Option<Self>, VolumeError> {
        if !windows.exists(PAGE_FILE)? {
            return Ok(None);
        }
        let mut header = vec![0; HEADER];
        let read = windows.read_at(PAGE_FILE, 0, &mut header)?;
        header.truncate(read);
        // A page file that holds none begins with anything.
        let Ok(dump) = Dump::open(std::io::Cursor::new(&header)) else { return Ok(None) };
        let whole = windows.metadata(PAGE_FILE)?.size;
        Ok(Some(Self {
            code: dump.bug_check().code,
            size: dump.required_space().map_or(whole, |size| size.min(whole)),
            digest: blake3::hash(&header).to_hex().to_string(),
        }))
    }

    /// Copies it.
    pub(crate) fn copy(
        &self,
        windows: &mut dyn Volume,
        to: &mut dyn Write,
    ) -> Result<(), CopyError> {
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < self.size {
            let wanted = usize::try_from(self.size - at).map_or(CHUNK, |left| left.min(CHUNK));
            let read = windows.read_at(PAGE_FILE, at, &mut chunk[..wanted])?;
            if read == 0 {
                break;
            }
            to.write_all(&chunk[..read])?;
            at += read as u64;
        }
        Ok(())
    }
}

/// Why it was not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
