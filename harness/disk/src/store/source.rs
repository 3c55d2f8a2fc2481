//! What a disk file is, told from its contents and never from its name, and whether it can be taken.
//!
//! An image may come from anywhere, and QEMU follows what a disk file says: a backing file, an external
//! data file, extents elsewhere. A file that says `/etc/shadow` would have that read into the image. So
//! the headers are read here first, and a disk that is more than one file is refused before QEMU sees it.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::cut_off;

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFormat {
    /// QEMU's.
    Qcow2,
    /// The plain bytes.
    Raw,
    /// Virtual PC's, fixed or dynamic.
    Vhd,
    /// Hyper-V's.
    Vhdx,
    /// VMware's, in one file.
    Vmdk,
}

impl DiskFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Qcow2, Self::Raw, Self::Vhd, Self::Vhdx, Self::Vmdk];

    /// Its name for people, in manifests and in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Vhd => "vhd",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
        }
    }

    /// QEMU's name for it.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Vhd => "vpc",
            other => other.as_str(),
        }
    }
}

/// A file cannot be taken as a disk.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is not a disk in a format that is known.
    #[error("{path} is not a disk that can be taken: {what}")]
    NotADisk {
        /// The file.
        path: PathBuf,
        /// What it is instead, and what to do.
        what: String,
    },
    /// It is a disk, but not all of one, or one that must not be opened.
    #[error("{path} ({format}) is refused: {what}", format = format.as_str())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: DiskFormat,
        /// Why, and what to do.
        what: String,
    },
    /// QEMU's tool does not read it.
    #[error("{path} ({format}) cannot be opened: {message}", format = format.as_str())]
    Qemu {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: DiskFormat,
        /// What it said.
        message: String,
    },
    /// QEMU's tool cannot be started.
    #[error("qemu-img cannot be started: {0}; install qemu-utils")]
    NoProgram(std::io::Error),
}

impl SourceError {
    /// True where the file is wrong, not the host.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::NoProgram(_))
    }
}

/// A disk file that may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSource {
    /// The file, absolute.
    pub path: PathBuf,
    /// Its format.
    pub format: DiskFormat,
    /// Bytes of the disk that it holds.
    pub virtual_size: u64,
    /// Bytes of the file.
    pub file_size: u64,
    /// A qcow2 file that can be taken as it is.
    pub(crate) is_plain_qcow2: bool,
}

impl DiskSource {
    /// Finds out what `path` is. Reads headers, then has `qemu-img info` open it, with limits on what
    /// that may use.
    pub fn probe(path: &Path) -> Result<Self, SourceError> {
        let read = |cause| SourceError::Read { path: path.to_path_buf(), cause };
        // The plain functions: the error names the path itself.
        let path = &std::fs::canonicalize(path).map_err(read)?;
        let metadata = std::fs::metadata(path).map_err(read)?;
        let not_a_disk = |what: String| SourceError::NotADisk { path: path.to_path_buf(), what };
        if metadata.file_type().is_block_device() {
            return Err(not_a_disk(
                "it is a device; copy it into a file first (`qemu-img convert -O qcow2`)"
                    .to_owned(),
            ));
        }
        if !metadata.is_file() {
            return Err(not_a_disk("it is not a regular file".to_owned()));
        }
        let mut file = std::fs::File::open(path).map_err(read)?;
        let header = Header::read(&mut file, metadata.len()).map_err(read)?;
        let format = header.format().map_err(not_a_disk)?;
        let refused =
            |what: String| SourceError::Refused { path: path.to_path_buf(), format, what };
        let mut is_plain_qcow2 = false;
        match format {
            DiskFormat::Qcow2 => is_plain_qcow2 = header.check_qcow2().map_err(refused)?,
            DiskFormat::Vhd => header.check_vhd().map_err(refused)?,
            DiskFormat::Vmdk => check_vmdk(&header, &mut file).map_err(read)?.map_err(refused)?,
            DiskFormat::Vhdx | DiskFormat::Raw => {}
        }
        let mut source = Self {
            path: path.to_path_buf(),
            format,
            virtual_size: 0,
            file_size: metadata.len(),
            is_plain_qcow2,
        };
        source.virtual_size = source.ask_qemu()?;
        cut_off::check(&source)?;
        Ok(source)
    }

    /// How QEMU's tools are told to open it: exactly this file in exactly this format, and nothing below
    /// it. A plain path could be taken for a protocol (`nbd:…`).
    pub(crate) fn node(&self) -> String {
        let mut node = serde_json::json!({
            "driver": self.format.driver(),
            "file": { "driver": "file", "filename": self.path.to_string_lossy() },
        });
        match self.format {
            DiskFormat::Qcow2 | DiskFormat::Vmdk => node["backing"] = serde_json::Value::Null,
            // The size that the footer states. QEMU would otherwise guess by the writing program whether
            // the geometry counts, which is often smaller than the disk.
            DiskFormat::Vhd => node["force_size_calc"] = "current_size".into(),
            DiskFormat::Raw | DiskFormat::Vhdx => {}
        }
        format!("json:{node}")
    }

    fn ask_qemu(&self) -> Result<u64, SourceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Info {
            virtual_size: u64,
            backing_filename: Option<String>,
            #[serde(default)]
            encrypted: bool,
        }
        // 1 GiB of memory, 30 s of processor: a header of a few kilobytes can make it use much more.
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 1048576 && ulimit -t 30 && exec \"$@\"", "sh"])
            .args(["qemu-img", "info", "--output=json"])
            .arg(self.node())
            .output()
            .map_err(SourceError::NoProgram)?;
        if output.status.code() == Some(127) {
            return Err(SourceError::NoProgram(std::io::ErrorKind::NotFound.into()));
        }
        let failed = |message: String| SourceError::Qemu {
            path: self.path.clone(),
            format: self.format,
            message,
        };
        if !output.status.success() {
            return Err(failed(self.plain(&String::from_utf8_lossy(&output.stderr))));
        }
        let info: Info =
            serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
        let refused = |what: String| SourceError::Refused {
            path: self.path.clone(),
            format: self.format,
            what,
        };
        if let Some(backing) = info.backing_filename {
            return Err(refused(has_backing(&backing)));
        }
        if info.encrypted {
            return Err(refused(ENCRYPTED.to_owned()));
        }
        if info.virtual_size == 0 {
            return Err(refused("its disk is empty".to_owned()));
        }
        Ok(info.virtual_size)
    }

    /// What a QEMU tool said, without its name and without the node that stands for the file.
    pub(crate) fn plain(&self, message: &str) -> String {
        let text = message.trim().replace(&self.node(), "the file");
        let text = text.trim_start_matches("qemu-img: ");
        let text = text.trim_start_matches("Could not open 'the file': ");
        text.replace('\n', " ")
    }
}

fn has_backing(name: &str) -> String {
    format!(
        "it is only what changed since `{name}`, and a disk from elsewhere may name any file; join them with `qemu-img convert -O qcow2` where you trust both"
    )
}

const ENCRYPTED: &str = "it is encrypted; decrypt it with `qemu-img convert` first";

/// The beginning and the end of a file.
struct Header {
    head: Vec<u8>,
    tail: Vec<u8>,
    len: u64,
}

impl Header {
    fn read(file: &mut std::fs::File, len: u64) -> std::io::Result<Self> {
        let mut head = Vec::new();
        file.take(4096).read_to_end(&mut head)?;
        let mut tail = Vec::new();
        if len >= 512 {
            file.seek(SeekFrom::Start(len - 512))?;
            file.take(512).read_to_end(&mut tail)?;
        }
        Ok(Self { head, tail, len })
    }

    fn starts(&self, magic: &[u8]) -> bool {
        self.head.starts_with(magic)
    }

    fn big<const N: usize>(&self, at: usize) -> [u8; N] {
        field(&self.head, at)
    }

    fn format(&self) -> Result<DiskFormat, String> {
        const OTHERS: [(&[u8], &str); 9] = [
            (b"\x1f\x8b", "it is compressed (gzip); unpack it first"),
            (b"\xfd7zXZ\0", "it is compressed (xz); unpack it first"),
            (b"\x28\xb5\x2f\xfd", "it is compressed (zstd); unpack it first"),
            (b"BZh", "it is compressed (bzip2); unpack it first"),
            (b"7z\xbc\xaf\x27\x1c", "it is an archive (7z); unpack it first"),
            (b"PK\x03\x04", "it is an archive (zip); unpack it first"),
            (
                b"MSWIM\0\0\0",
                "it is a Windows image file (WIM); a disk that it was applied to is needed",
            ),
            (
                b"<<< ",
                "it is a VirtualBox disk; `qemu-img convert -O qcow2` makes one that can be taken",
            ),
            (
                b"COWD",
                "it is a VMware 3 disk; `qemu-img convert -O qcow2` makes one that can be taken",
            ),
        ];
        if self.len == 0 {
            return Err("it is empty".to_owned());
        }
        if self.starts(b"QFI\xfb") {
            return Ok(DiskFormat::Qcow2);
        }
        if self.starts(b"vhdxfile") {
            return Ok(DiskFormat::Vhdx);
        }
        if self.starts(b"KDMV") {
            return Ok(DiskFormat::Vmdk);
        }
        if self.starts(b"# Disk DescriptorFile") {
            return Err("it only describes a VMware disk that lies in other files; join them with `qemu-img convert -O qcow2` where you trust them".to_owned());
        }
        // A fixed VHD has nothing but its footer; QEMU by itself takes one for raw.
        if self.starts(b"conectix") || self.tail.starts_with(b"conectix") {
            return Ok(DiskFormat::Vhd);
        }
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| self.starts(magic)) {
            return Err((*what).to_owned());
        }
        if self.head.get(257..262) == Some(b"ustar") {
            return Err(
                "it is an archive (tar, or an OVA); unpack it, and take the disk in it".to_owned()
            );
        }
        if self.tail.get(1..9) == Some(b"conectix") {
            return Err(format!(
                "it has {} bytes, no multiple of 512: its footer has 511 bytes, as the first programs for VHDs wrote \
                 it; append one byte of zero (`truncate --size=+1 FILE`)",
                self.len
            ));
        }
        if self.head.get(510..512) == Some(&[0x55, 0xaa]) {
            if self.len.is_multiple_of(512) {
                return Ok(DiskFormat::Raw);
            }
            return Err(format!(
                "it has {} bytes, no multiple of 512: it is cut off, or something was added to it; get a whole copy",
                self.len
            ));
        }
        Err("its contents are none of qcow2, VHD, VHDX, VMDK, and no raw disk, whose first sector would end in 55 AA".to_owned())
    }

    /// qcow2: <https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst>. True if the
    /// file can be taken as it is.
    fn check_qcow2(&self) -> Result<bool, String> {
        let version = u32::from_be_bytes(self.big(4));
        if !(2..=3).contains(&version) {
            return Err(format!("version {version} of the format is not known"));
        }
        let backing = u64::from_be_bytes(self.big(8));
        if backing != 0 {
            let length = u32::from_be_bytes(self.big(16)).min(1023) as usize;
            let start = usize::try_from(backing).unwrap_or(usize::MAX);
            let name =
                self.head.get(start..start.saturating_add(length)).unwrap_or(b"another file");
            return Err(has_backing(&String::from_utf8_lossy(name)));
        }
        if u32::from_be_bytes(self.big(32)) != 0 {
            return Err(ENCRYPTED.to_owned());
        }
        let snapshots = u32::from_be_bytes(self.big(60));
        if version == 2 {
            return Ok(snapshots == 0);
        }
        let incompatible = u64::from_be_bytes(self.big(72));
        if incompatible & 4 != 0 {
            return Err("its data lie in another file, and a disk from elsewhere may name any; join them with `qemu-img convert -O qcow2` where you trust both".to_owned());
        }
        if incompatible & 2 != 0 {
            return Err("it is marked corrupt; `qemu-img check -r all` may mend it".to_owned());
        }
        // Bit 3 is only the kind of compression, bit 4 larger table entries.
        Ok(snapshots == 0 && incompatible & !0x18 == 0)
    }

    /// VHD: Microsoft, "Virtual Hard Disk Image Format Specification", 1.0, hard disk footer format.
    fn check_vhd(&self) -> Result<(), String> {
        let footer = if self.tail.starts_with(b"conectix") { &self.tail } else { &self.head };
        let sum = footer
            .iter()
            .take(512)
            .enumerate()
            .filter(|(at, _)| !(64..68).contains(at))
            .fold(0u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)));
        if footer.len() < 512 || !sum != u32::from_be_bytes(field(footer, 64)) {
            return Err(
                "the checksum of its footer is wrong; the file is damaged or cut off".to_owned()
            );
        }
        let size = u64::from_be_bytes(field(footer, 48));
        match u32::from_be_bytes(field(footer, 60)) {
            2 if size.checked_add(512) != Some(self.len) => Err(format!(
                "its footer says {size} bytes and the file has {} before the footer; the file is cut off",
                self.len.saturating_sub(512)
            )),
            2 | 3 => Ok(()),
            4 => Err(has_backing("its parent")),
            other => Err(format!("its footer says type {other}, which is not known")),
        }
    }
}

/// VMDK: VMware, "Virtual Disk Format 5.0", hosted sparse extents. The outer error is the system's.
fn check_vmdk(header: &Header, file: &mut std::fs::File) -> std::io::Result<Result<(), String>> {
    const SECTOR: u64 = 512;
    const DESCRIPTOR_MAX: u64 = 64 << 10;
    let little = |at| u64::from_le_bytes(field(&header.head, at));
    let in_parts = "it only describes a disk that lies in other files; join them with `qemu-img convert -O qcow2` where you trust them";
    let (capacity, at, sectors) = (little(12), little(28), little(36));
    if capacity == 0 || at == 0 {
        return Ok(Err(in_parts.to_owned()));
    }
    let Some(start) = at.checked_mul(SECTOR).filter(|start| *start < header.len) else {
        return Ok(Err("its descriptor lies outside the file; the file is damaged".to_owned()));
    };
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(sectors.saturating_mul(SECTOR).min(DESCRIPTOR_MAX)).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(check_descriptor(text.split('\0').next().unwrap_or_default()))
}

fn check_descriptor(text: &str) -> Result<(), String> {
    let value = |key: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case(key).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    if let Some(parent) = value("parentFileNameHint") {
        return Err(has_backing(&parent));
    }
    if value("parentCID").is_some_and(|parent| !parent.eq_ignore_ascii_case("ffffffff")) {
        return Err(has_backing("its parent"));
    }
    match value("createType").as_deref() {
        Some("monolithicSparse" | "streamOptimized") => Ok(()),
        Some(other) => Err(format!(
            "its kind `{other}` lies in more than one file; join them with `qemu-img convert -O qcow2` where you trust them"
        )),
        None => Err("its descriptor does not say its kind; the file is damaged".to_owned()),
    }
}

pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    if let Some(found) = bytes.get(at..at.saturating_add(N)) {
        value.copy_from_slice(found);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(head: &[u8]) -> Header {
        Header { head: head.to_vec(), tail: Vec::new(), len: 1 << 20 }
    }

    fn qcow2(change: impl FnOnce(&mut Vec<u8>)) -> Result<bool, String> {
        let mut head = vec![0; 512];
        head[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        change(&mut head);
        assert_eq!(header(&head).format(), Ok(DiskFormat::Qcow2));
        header(&head).check_qcow2()
    }

    #[test]
    fn a_qcow2_of_more_than_one_file_is_refused() {
        assert_eq!(qcow2(|_| {}), Ok(true));
        let backed = qcow2(|head| {
            head[14..16].copy_from_slice(&[1, 0]);
            head[19] = 11;
            head[256..267].copy_from_slice(b"/etc/shadow");
        });
        assert!(backed.unwrap_err().contains("since `/etc/shadow`"));
        assert!(qcow2(|head| head[79] = 4).unwrap_err().contains("in another file"));
        assert!(qcow2(|head| head[79] = 2).unwrap_err().contains("corrupt"));
        assert!(qcow2(|head| head[35] = 1).unwrap_err().contains("encrypted"));
        assert!(qcow2(|head| head[7] = 9).unwrap_err().contains("version 9"));
        // Snapshots inside, and a dirty mark: it is converted instead of copied.
        assert_eq!(qcow2(|head| head[63] = 1), Ok(false));
        assert_eq!(qcow2(|head| head[79] = 1), Ok(false));
    }

    #[test]
    fn a_vmdk_of_more_than_one_file_is_refused() {
        let good = "# Disk DescriptorFile\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n";
        assert_eq!(check_descriptor(good), Ok(()));
        for (from, to, part) in [
            ("ffffffff", "12345678", "its parent"),
            ("monolithicSparse", "twoGbMaxExtentSparse", "more than one file"),
            ("createType", "parentFileNameHint", "since `monolithicSparse`"),
            ("createType", "x", "does not say"),
        ] {
            let text = check_descriptor(&good.replace(from, to)).unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn what_is_no_disk_is_called_what_it_is() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, part) in [
            (b"\x1f\x8b\x08".to_vec(), "gzip"),
            (b"PK\x03\x04".to_vec(), "zip"),
            (tar, "OVA"),
            (b"MSWIM\0\0\0".to_vec(), "WIM"),
            (b"hello".to_vec(), "55 AA"),
            (b"# Disk DescriptorFile\n".to_vec(), "other files"),
        ] {
            let text = header(&head).format().unwrap_err();
            assert!(text.contains(part), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail_otherwise(
            magic in prop::sample::select(vec![&b"QFI\xfb"[..], b"conectix", b"KDMV", b"vhdxfile", b""]),
            rest in prop::collection::vec(any::<u8>(), 0..600),
            len in any::<u64>(),
        ) {
            let head = [magic, &rest].concat();
            let header = Header { head, tail: rest, len };
            let _ = header.format();
            let _ = header.check_qcow2();
            let _ = header.check_vhd();
        }
    }
}
