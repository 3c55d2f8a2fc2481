//! Windows image files (WIM): the header and the XML data behind it, and a smallest valid file.
//!
//! The harness reads `winre.wim` to learn that it is one (image qualification). The understudy's disk
//! carries [`empty_image`] in its place: a valid image with nothing in it, for the understudy's own
//! recovery environment does not come out of a WIM. Layout: Microsoft, "Windows Imaging File Format"
//! (WIM white paper), checked against wimlib.

use quick_xml::escape::escape;
use sha1::{Digest, Sha1};

use crate::bytes::{u16_at, u32_at, u64_at, utf16_bytes, utf16_units};
use crate::{FileTime, Guid};

const MAGIC: &[u8; 8] = b"MSWIM\0\0\0";
const HEADER_SIZE: usize = 208;
const VERSION: u32 = 0x10d00;
/// XML of a WIM is a few kilobytes; of install media with many images, some dozens.
const MAX_XML: u64 = 16 << 20;

/// Resource flag: holds metadata of an image.
const RESOURCE_METADATA: u8 = 0x02;
/// Resource flag: compressed.
const RESOURCE_COMPRESSED: u8 = 0x04;

/// Not a WIM, or a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WimError {
    /// No magic.
    #[error("not a WIM file: {0}")]
    NotAWim(&'static str),
    /// A field that cannot be.
    #[error("the WIM file is damaged: {0}")]
    Damaged(String),
}

/// A piece of a WIM: where, how large, how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resource {
    /// Size in the file, in bytes.
    pub size: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Size once unpacked, in bytes.
    pub original_size: u64,
    /// Bits: 1 free, 2 metadata, 4 compressed, 8 spanned.
    pub flags: u8,
}

/// How the resources are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// XPRESS.
    Xpress,
    /// LZX.
    Lzx,
    /// LZMS, in "solid" files (ESD).
    Lzms,
    /// Some other way.
    Unknown,
}

/// The header of a WIM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WimHeader {
    /// 0x10d00, or 0xe00 for solid files.
    pub version: u32,
    /// Flag bits, as stored.
    pub flags: u32,
    /// Size of a compression chunk, in bytes.
    pub chunk_size: u32,
    /// The file's own id; the same in all parts of a split WIM.
    pub id: Guid,
    /// Which part this is, from 1.
    pub part: u16,
    /// How many parts there are.
    pub parts: u16,
    /// How many images the WIM holds.
    pub images: u32,
    /// The image that boots, from 1; 0 if none.
    pub boot_index: u32,
    /// Where the list of resources is.
    pub offset_table: Resource,
    /// Where the XML data is.
    pub xml: Resource,
    /// Where the metadata of the image that boots is.
    pub boot_metadata: Resource,
    /// Where the integrity table is.
    pub integrity: Resource,
}

impl WimHeader {
    /// Size of the header in bytes: read so much of a file to parse it.
    pub const SIZE: usize = HEADER_SIZE;

    /// Reads the header at the beginning of a file.
    ///
    /// # Errors
    /// [`WimError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, WimError> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(WimError::NotAWim("it does not begin with `MSWIM`"));
        }
        let short = || WimError::Damaged("the header is cut off".to_owned());
        let header = bytes.get(..HEADER_SIZE).ok_or_else(short)?;
        let word = |at| u32_at(header, at).ok_or_else(short);
        let half = |at| u16_at(header, at).ok_or_else(short);
        if (word(8)? as usize) < HEADER_SIZE {
            return Err(WimError::Damaged(format!("the header says it has {} bytes", word(8)?)));
        }
        let wim = Self {
            version: word(12)?,
            flags: word(16)?,
            chunk_size: word(20)?,
            id: Guid::read_at(header, 24).ok_or_else(short)?,
            part: half(40)?,
            parts: half(42)?,
            images: word(44)?,
            offset_table: resource(header, 48).ok_or_else(short)?,
            xml: resource(header, 72).ok_or_else(short)?,
            boot_metadata: resource(header, 96).ok_or_else(short)?,
            boot_index: word(120)?,
            integrity: resource(header, 124).ok_or_else(short)?,
        };
        if ![0x10d00, 0xe00].contains(&wim.version) {
            return Err(WimError::NotAWim("its version is neither 1.13 nor 0.14"));
        }
        if wim.part == 0 || wim.part > wim.parts {
            let what = format!("part {} of {}", wim.part, wim.parts);
            return Err(WimError::Damaged(what));
        }
        if wim.boot_index > wim.images {
            let what = format!("image {} of {} boots", wim.boot_index, wim.images);
            return Err(WimError::Damaged(what));
        }
        Ok(wim)
    }

    /// How the resources are compressed.
    pub fn compression(&self) -> Compression {
        match self.flags & 0x000f_0002 {
            0 => Compression::None,
            0x0002_0002 => Compression::Xpress,
            0x0004_0002 => Compression::Lzx,
            0x0008_0002 => Compression::Lzms,
            _ => Compression::Unknown,
        }
    }

    /// The XML data, which describes the images. It is never compressed.
    ///
    /// # Errors
    /// [`WimError::Damaged`] where it lies outside the file.
    pub fn xml_text(&self, file: &[u8]) -> Result<String, WimError> {
        let damaged = |what: &str| WimError::Damaged(format!("its XML data {what}"));
        if self.xml.size > MAX_XML || self.xml.flags & RESOURCE_COMPRESSED != 0 {
            return Err(damaged("is too large or compressed"));
        }
        let bytes = usize::try_from(self.xml.offset)
            .ok()
            .and_then(|start| Some(start..start.checked_add(usize::try_from(self.xml.size).ok()?)?))
            .and_then(|range| file.get(range))
            .ok_or_else(|| damaged("lies outside the file"))?;
        let units = utf16_units(bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(bytes));
        String::from_utf16(&units).map_err(|_| damaged("is not UTF-16"))
    }
}

/// Makes an image file say that what it holds is of an older build, a thousand lower. Its XML data keeps its
/// length, so nothing else moves.
///
/// # Errors
/// Not a WIM, or one whose XML names no build above 1000.
pub fn make_older(file: &mut [u8]) -> Result<(), WimError> {
    let header = WimHeader::parse(file)?;
    let text = header.xml_text(file)?;
    let no_build = || WimError::Damaged("its XML data names no build above 1000".to_owned());
    let begin = text.find("<BUILD>").ok_or_else(no_build)? + "<BUILD>".len();
    let digits: String = text[begin..].chars().take_while(char::is_ascii_digit).collect();
    let older = digits.parse::<u32>().ok().and_then(|build| build.checked_sub(1000));
    let older = format!("{:0width$}", older.ok_or_else(no_build)?, width = digits.len());
    let bytes = |build: &str| utf16_bytes(format!("<BUILD>{build}<").encode_utf16());
    let (wanted, written) = (bytes(&digits), bytes(&older));
    let start = usize::try_from(header.xml.offset).map_err(|_| no_build())?;
    let xml = file.get_mut(start..).ok_or_else(no_build)?;
    let at = xml.windows(wanted.len()).position(|part| part == wanted).ok_or_else(no_build)?;
    xml[at..at + written.len()].copy_from_slice(&written);
    Ok(())
}

fn resource(header: &[u8], at: usize) -> Option<Resource> {
    let packed = u64_at(header, at)?;
    Some(Resource {
        size: packed & 0x00ff_ffff_ffff_ffff,
        flags: (packed >> 56) as u8,
        offset: u64_at(header, at + 8)?,
        original_size: u64_at(header, at + 16)?,
    })
}

fn put_resource(bytes: &mut Vec<u8>, resource: Resource) {
    bytes.extend((resource.size | (u64::from(resource.flags) << 56)).to_le_bytes());
    bytes.extend(resource.offset.to_le_bytes());
    bytes.extend(resource.original_size.to_le_bytes());
}

/// A valid WIM, not compressed, with one bootable image that holds an empty root folder.
pub fn empty_image(id: Guid, name: &str, time: FileTime) -> Vec<u8> {
    file(id, &xml_data(name, "", time), time)
}

/// The same, with a description that says which build of Windows for x86-64 the image is of: the build
/// and its revision.
pub fn empty_windows_image(id: Guid, name: &str, build: (u32, u32), time: FileTime) -> Vec<u8> {
    let (build, revision) = build;
    let windows = format!(
        "<WINDOWS><ARCH>9</ARCH><VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>{build}</BUILD>\
         <SPBUILD>{revision}</SPBUILD></VERSION></WINDOWS>"
    );
    file(id, &xml_data(name, &windows, time), time)
}

fn file(id: Guid, xml: &[u8], time: FileTime) -> Vec<u8> {
    let metadata = empty_metadata(time);
    let metadata_resource = Resource {
        size: metadata.len() as u64,
        offset: HEADER_SIZE as u64,
        original_size: metadata.len() as u64,
        flags: RESOURCE_METADATA,
    };
    let mut table = Vec::new();
    put_resource(&mut table, metadata_resource);
    table.extend(1u16.to_le_bytes());
    table.extend(1u32.to_le_bytes());
    table.extend_from_slice(&Sha1::digest(&metadata));
    let table_resource = Resource {
        size: table.len() as u64,
        offset: metadata_resource.offset + metadata_resource.size,
        original_size: table.len() as u64,
        flags: 0,
    };
    let xml_resource = Resource {
        size: xml.len() as u64,
        offset: table_resource.offset + table_resource.size,
        original_size: xml.len() as u64,
        flags: 0,
    };

    let mut file = MAGIC.to_vec();
    for word in [HEADER_SIZE as u32, VERSION, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(id.to_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(1u16.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for resource in [table_resource, xml_resource, metadata_resource] {
        put_resource(&mut file, resource);
    }
    file.extend(1u32.to_le_bytes());
    put_resource(&mut file, Resource::default());
    file.resize(HEADER_SIZE, 0);
    file.extend(metadata);
    file.extend(table);
    file.extend(xml);
    file
}

/// Metadata of an image: no security descriptor, a root folder, the end of its entries.
fn empty_metadata(time: FileTime) -> Vec<u8> {
    const ENTRY: usize = 104;
    let mut metadata = Vec::new();
    metadata.extend(8u32.to_le_bytes());
    metadata.extend(0u32.to_le_bytes());
    metadata.extend((ENTRY as u64).to_le_bytes());
    // A directory, with no security descriptor.
    metadata.extend(0x10u32.to_le_bytes());
    metadata.extend(u32::MAX.to_le_bytes());
    metadata.extend((8 + ENTRY as u64).to_le_bytes());
    metadata.extend([0; 16]);
    for _ in 0..3 {
        metadata.extend(time.ticks().to_le_bytes());
    }
    metadata.resize(8 + ENTRY, 0);
    metadata.extend([0; 8]);
    metadata
}

fn xml_data(name: &str, windows: &str, time: FileTime) -> Vec<u8> {
    let (high, low) = (time.ticks() >> 32, time.ticks() & 0xffff_ffff);
    let stamp = |tag: &str| {
        format!("<{tag}><HIGHPART>0x{high:08X}</HIGHPART><LOWPART>0x{low:08X}</LOWPART></{tag}>")
    };
    let text = format!(
        "<WIM><TOTALBYTES>0</TOTALBYTES><IMAGE INDEX=\"1\"><DIRCOUNT>0</DIRCOUNT>\
         <FILECOUNT>0</FILECOUNT><TOTALBYTES>0</TOTALBYTES><HARDLINKBYTES>0</HARDLINKBYTES>\
         {}{}{windows}<NAME>{}</NAME></IMAGE></WIM>",
        stamp("CREATIONTIME"),
        stamp("LASTMODIFICATIONTIME"),
        escape(name)
    );
    utf16_bytes([0xfeff].into_iter().chain(text.encode_utf16()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        let time = FileTime::from_timestamp("2024-07-19T04:09:00Z".parse().unwrap());
        empty_image(Guid::from_bytes([7; 16]), "Recovery & more", time)
    }

    #[test]
    fn an_empty_image_reads_back() {
        let file = sample();
        let header = WimHeader::parse(&file).unwrap();
        assert_eq!((header.images, header.boot_index, header.parts), (1, 1, 1));
        assert_eq!(header.compression(), Compression::None);
        assert!(header.xml_text(&file).unwrap().contains("<NAME>Recovery &amp; more</NAME>"));
    }

    #[test]
    fn a_windows_image_says_its_build() {
        let time = FileTime::from_ticks(1);
        let file = empty_windows_image(Guid::from_bytes([7; 16]), "WinRE", (26100, 4770), time);
        let xml = WimHeader::parse(&file).unwrap().xml_text(&file).unwrap();
        assert!(xml.contains("<BUILD>26100</BUILD><SPBUILD>4770</SPBUILD>"), "{xml}");
    }

    /// wimlib is the judge where it is installed.
    #[test]
    fn wimlib_accepts_an_empty_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("winre.wim");
        std::fs::write(&path, sample()).unwrap();
        for (tool, arguments) in [("wiminfo", vec![]), ("wimdir", vec!["1"]), ("wimverify", vec![])]
        {
            match std::process::Command::new(tool).arg(&path).args(arguments).output() {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{tool}: {text}");
                }
                Err(_) => println!("skipped: `{tool}` is not installed (Debian package wimtools)"),
            }
        }
    }

    #[test]
    fn foreign_and_damaged_files_are_refused() {
        assert!(matches!(WimHeader::parse(b"MZ"), Err(WimError::NotAWim(_))));
        assert!(matches!(WimHeader::parse(&sample()[..100]), Err(WimError::Damaged(_))));
        let mut file = sample();
        file[120] = 9;
        assert!(WimHeader::parse(&file).unwrap_err().to_string().contains("image 9 of 1"));
        let mut file = sample();
        file[80..88].copy_from_slice(&u64::MAX.to_le_bytes());
        let header = WimHeader::parse(&file).unwrap();
        assert!(header.xml_text(&file).is_err());
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused(at in 0usize..208, byte: u8, keep in 0usize..400) {
            let mut file = sample();
            file[at] = byte;
            file.truncate(keep);
            if let Ok(header) = WimHeader::parse(&file) {
                let _ = header.xml_text(&file);
            }
        }
    }
}
