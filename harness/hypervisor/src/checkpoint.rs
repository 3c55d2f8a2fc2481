//! RAM checkpoints: libvirt's save format, read and re-headed, so that many forks come from one file.
//!
//! libvirt restores a save file only under the name and UUID that are written in it, because it checks
//! an edited definition against the saved one. A fork is another machine, so the harness hands libvirt
//! a fresh header with the fork's own definition, followed by QEMU's stream from the checkpoint,
//! unchanged. Nothing is copied on disk: libvirt reads from a named pipe, and any number of forks can
//! be fed at once from one file (which the kernel keeps in memory after the first).
//!
//! The format is libvirt's `qemu_saveimage.h`: 16 bytes magic, then little-endian (the host's) u32
//! version, length of the data, was-running, compression, cookie offset, 14 reserved; then the
//! definition as XML with a final zero, the cookie likewise, then the stream.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::error::HypervisorError;

const MAGIC: &[u8; 16] = b"LibvirtQemudSave";
/// The magic of a file whose writing was not finished.
const PARTIAL: &[u8; 16] = b"LibvirtQemudPart";
const HEADER: usize = 92;
const VERSION: u32 = 2;
/// Definitions have a few kilobytes.
const MAX_DATA: u32 = 16 << 20;

/// Bytes in the pipe: the most that an unprivileged user may ask for by default.
const PIPE: usize = 1 << 20;

/// What stands before QEMU's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaveHeader {
    /// The definition of the machine that was saved.
    pub(crate) xml: String,
    /// libvirt's own notes, for example the exact CPU.
    cookie: Option<Vec<u8>>,
    /// Where QEMU's stream begins in the file.
    stream_at: u64,
}

impl SaveHeader {
    /// Reads the header of a save file.
    pub(crate) fn read(path: &Path) -> Result<Self, HypervisorError> {
        let mut file =
            fs_err::File::open(path).map_err(|error| HypervisorError::io("open", path, error))?;
        let mut bytes = Vec::new();
        std::io::Read::by_ref(&mut file)
            .take(HEADER as u64 + u64::from(MAX_DATA))
            .read_to_end(&mut bytes)
            .map_err(|error| HypervisorError::io("read", path, error))?;
        Self::parse(&bytes)
            .map_err(|reason| HypervisorError::Checkpoint { path: path.to_owned(), reason })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let header = bytes.get(..HEADER).ok_or("too short for a save file of libvirt")?;
        if header.starts_with(PARTIAL) {
            return Err("its writing was not finished; take the checkpoint again".to_owned());
        }
        if !header.starts_with(MAGIC) {
            return Err("not a save file of libvirt".to_owned());
        }
        let field = |index: usize| {
            let at = 16 + index * 4;
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (version, length, compression, cookie_at) = (field(0), field(1), field(3), field(4));
        if version != VERSION {
            return Err(format!("save format {version}; only {VERSION} is known"));
        }
        if compression != 0 {
            return Err("it is compressed; set `save_image_format = \"raw\"`".to_owned());
        }
        if length > MAX_DATA {
            return Err(format!("its definition has {length} bytes"));
        }
        let data =
            bytes.get(HEADER..HEADER + length as usize).ok_or("cut short within the definition")?;
        let (xml, cookie) = match cookie_at as usize {
            0 => (data, None),
            at => {
                let (xml, cookie) =
                    data.split_at_checked(at).ok_or("the cookie lies outside the header")?;
                (xml, Some(until_zero(cookie).to_vec()))
            }
        };
        let xml = std::str::from_utf8(until_zero(xml))
            .map_err(|_| "its definition is not UTF-8")?
            .to_owned();
        Ok(Self { xml, cookie, stream_at: (HEADER + length as usize) as u64 })
    }

    /// The header with another definition.
    fn with_definition(&self, xml: &str) -> Result<Vec<u8>, String> {
        let mut data = xml.as_bytes().to_vec();
        data.push(0);
        let cookie_at = match &self.cookie {
            None => 0,
            Some(cookie) => {
                let at = data.len();
                data.extend_from_slice(cookie);
                data.push(0);
                at
            }
        };
        let too_long = |_| "the definition is too long".to_owned();
        let length = u32::try_from(data.len()).map_err(too_long)?;
        let cookie_at = u32::try_from(cookie_at).map_err(too_long)?;
        let mut out = MAGIC.to_vec();
        for field in [VERSION, length, 1, 0, cookie_at] {
            out.extend_from_slice(&field.to_ne_bytes());
        }
        out.resize(HEADER, 0);
        out.extend_from_slice(&data);
        Ok(out)
    }

    /// A save file with this definition and nothing behind it: enough to be asked what it defines.
    pub(crate) fn alone(xml: &str) -> Result<Vec<u8>, String> {
        Self { xml: String::new(), cookie: None, stream_at: 0 }.with_definition(xml)
    }

    /// The exact machine type of the saved machine, for example `pc-q35-7.2`.
    pub(crate) fn machine_type(&self) -> Result<String, String> {
        let document = roxmltree::Document::parse(&self.xml)
            .map_err(|error| format!("its definition is not XML: {error}"))?;
        document
            .descendants()
            .find(|node| {
                node.has_tag_name("type") && node.parent().is_some_and(|os| os.has_tag_name("os"))
            })
            .and_then(|node| node.attribute("machine"))
            .map(str::to_owned)
            .ok_or_else(|| "its definition names no machine type".to_owned())
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A named pipe from which libvirt reads a checkpoint under another definition. Removed when dropped.
pub(crate) struct Feed {
    pipe: PathBuf,
    /// Keeps the pipe open from both sides, so that neither end waits for the other to come.
    held: Option<std::fs::File>,
    writer: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

impl Feed {
    /// Starts to feed `ram`, re-headed with `xml`, into a pipe at `pipe`.
    pub(crate) fn start(
        ram: &Path,
        header: &SaveHeader,
        xml: &str,
        pipe: &Path,
    ) -> Result<Self, HypervisorError> {
        let head = header
            .with_definition(xml)
            .map_err(|reason| HypervisorError::Checkpoint { path: ram.to_owned(), reason })?;
        let mut source =
            fs_err::File::open(ram).map_err(|error| HypervisorError::io("open", ram, error))?;
        source
            .seek(SeekFrom::Start(header.stream_at))
            .map_err(|error| HypervisorError::io("seek in", ram, error))?;
        match fs_err::remove_file(pipe) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(HypervisorError::io("remove", pipe, error));
            }
            _ => {}
        }
        rustix::fs::mkfifoat(CWD, pipe, Mode::RUSR | Mode::WUSR)
            .map_err(|error| HypervisorError::io("create pipe", pipe, error.into()))?;
        let mut feed = Self { pipe: pipe.to_owned(), held: None, writer: None };
        let open = |flags: OFlags| {
            rustix::fs::open(pipe, flags | OFlags::CLOEXEC, Mode::empty())
                .map(std::fs::File::from)
                .map_err(|error| HypervisorError::io("open", pipe, error.into()))
        };
        feed.held = Some(open(OFlags::RDWR)?);
        let mut sink = open(OFlags::WRONLY)?;
        // Larger is faster; the kernel's default is 64 KiB, and it may refuse more.
        let _ = rustix::pipe::fcntl_setpipe_size(sink.as_fd(), PIPE);
        let writer = std::thread::Builder::new()
            .name("checkpoint-feed".to_owned())
            .spawn(move || {
                sink.write_all(&head)?;
                // Not std::io::copy: it would splice page by page, and wake the reader for each.
                let mut block = vec![0_u8; PIPE];
                loop {
                    match source.read(&mut block)? {
                        0 => return Ok(()),
                        count => sink.write_all(&block[..count])?,
                    }
                }
            })
            .map_err(|error| HypervisorError::io("feed", ram, error))?;
        feed.writer = Some(writer);
        Ok(feed)
    }

    /// Called when libvirt is done, well or not: whatever nobody read any more ends in a broken pipe.
    pub(crate) fn finish(mut self) -> std::io::Result<()> {
        self.close()
    }

    fn close(&mut self) -> std::io::Result<()> {
        self.held = None;
        let result = match self.writer.take() {
            Some(writer) => writer
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the feeding thread panicked"))),
            None => Ok(()),
        };
        let _ = fs_err::remove_file(&self.pipe);
        result
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const XML: &str = "<domain><os><type machine='pc-q35-7.2'>hvm</type></os></domain>";

    fn header(cookie: Option<&str>) -> SaveHeader {
        SaveHeader {
            xml: XML.to_owned(),
            cookie: cookie.map(|text| text.as_bytes().to_vec()),
            stream_at: 0,
        }
    }

    #[test]
    fn another_definition_keeps_cookie_and_stream() {
        for cookie in [None, Some("<cookie/>")] {
            let mut bytes = header(cookie).with_definition("<domain>longer</domain>").unwrap();
            let stream_at = bytes.len() as u64;
            bytes.extend_from_slice(b"QEVM");
            let read = SaveHeader::parse(&bytes).unwrap();
            assert_eq!(read.xml, "<domain>longer</domain>");
            assert_eq!(read.cookie, header(cookie).cookie);
            assert_eq!(read.stream_at, stream_at);
        }
    }

    #[test]
    fn the_exact_machine_type_is_found() {
        assert_eq!(header(None).machine_type().unwrap(), "pc-q35-7.2");
    }

    #[test]
    fn unfinished_and_foreign_files_are_refused() {
        let whole = header(None).with_definition(XML).unwrap();
        let mut partial = whole.clone();
        partial[..16].copy_from_slice(PARTIAL);
        assert!(SaveHeader::parse(&partial).unwrap_err().contains("not finished"));
        assert!(SaveHeader::parse(&whole[..120]).unwrap_err().contains("cut short"));
        assert!(SaveHeader::parse(&[0; 200]).unwrap_err().contains("not a save file"));
        let mut newer = whole;
        newer[16] = 3;
        assert!(SaveHeader::parse(&newer).unwrap_err().contains("save format 3"));
    }

    #[test]
    fn a_feed_that_nobody_reads_ends() {
        let directory = tempfile::tempdir().unwrap();
        let ram = directory.path().join("ram");
        let mut bytes = header(None).with_definition(XML).unwrap();
        bytes.resize(8 << 20, 7);
        fs_err::write(&ram, &bytes).unwrap();
        let header = SaveHeader::read(&ram).unwrap();
        let pipe = directory.path().join("pipe");
        let feed = Feed::start(&ram, &header, XML, &pipe).unwrap();
        assert_eq!(feed.finish().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        assert!(!pipe.exists());
    }

    #[test]
    fn a_feed_gives_header_and_stream() {
        let directory = tempfile::tempdir().unwrap();
        let ram = directory.path().join("ram");
        let mut bytes = header(Some("<c/>")).with_definition(XML).unwrap();
        bytes.resize(3 << 20, 7);
        fs_err::write(&ram, &bytes).unwrap();
        let old = SaveHeader::read(&ram).unwrap();
        let pipe = directory.path().join("pipe");
        let feed = Feed::start(&ram, &old, "<domain>new</domain>", &pipe).unwrap();
        let stream = bytes.len() - old.stream_at as usize;
        let expected = old.with_definition("<domain>new</domain>").unwrap();
        let mut got = vec![0; expected.len() + stream];
        fs_err::File::open(&pipe).unwrap().read_exact(&mut got).unwrap();
        feed.finish().unwrap();
        assert_eq!(got[..expected.len()], expected);
        assert!(got[expected.len()..].iter().all(|byte| *byte == 7));
    }

    proptest! {
        #[test]
        fn any_header_is_safe(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = SaveHeader::parse(&bytes);
            if bytes.len() >= 20 {
                bytes[..16].copy_from_slice(MAGIC);
                bytes[16..20].copy_from_slice(&VERSION.to_ne_bytes());
                let _ = SaveHeader::parse(&bytes);
            }
        }
    }
}
