//! `winre.wim`, the image that the recovery environment starts from, or any other WIM.
//!
//! Only its header and its description are read, so a file of half a gigabyte costs two small reads. The
//! files in it are not looked at: damage inside them shows only where the file is too short.

use jiff::Timestamp;
use roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};
use winfmt::FileTime;
use winfmt::wim::{Compression, Resource, WimError, WimHeader};

/// The description of an image is some kilobytes.
const MAX_XML: u64 = 4 << 20;
const MAX_NODES: u32 = 100_000;
const MAX_IMAGES: usize = 64;
const MAX_TEXT: usize = 256;

/// A WIM that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryImageError {
    /// It could not be read from its volume.
    #[error("{0}")]
    Read(String),
    /// It is something else.
    #[error("it is not a WIM file: {0}")]
    NotAWim(String),
    /// It is shorter than what it speaks of.
    #[error("it is cut off: {what} ends at byte {needed}, the file at {size}")]
    Truncated {
        /// What does not fit.
        what: &'static str,
        /// Where that ends.
        needed: u64,
        /// Size of the file.
        size: u64,
    },
    /// What it says of itself cannot be.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// What a WIM says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryImage {
    /// Size of the file in bytes.
    pub size: u64,
    /// `none`, `xpress`, `lzx`, `lzms` or `unknown`.
    pub compression: String,
    /// Which part this is, from 1.
    pub part: u16,
    /// How many parts there are; 1 unless it is split.
    pub parts: u16,
    /// The image that boots, from 1; 0 if none.
    pub boot_index: u32,
    /// It carries hashes of all its bytes. Whether they are right is not checked.
    pub integrity_table: bool,
    /// Its images, in order.
    pub images: Vec<ImageFacts>,
}

/// One image of a WIM. What its description does not say is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageFacts {
    /// From 1.
    pub index: u32,
    /// Its name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// `x86`, `x86-64`, `arm`, `arm64`, `ia64`, or the number of another.
    pub architecture: Option<String>,
    /// `10.0.22621.1`: major, minor, build, revision.
    pub version: Option<String>,
    /// The build alone, to be compared with that of Windows.
    pub build: Option<u32>,
    /// The build's revision (`SPBUILD`), to be compared with the update level of Windows.
    pub revision: Option<u32>,
    /// `EDITIONID`.
    pub edition: Option<String>,
    /// `SYSTEMROOT`.
    pub system_root: Option<String>,
    /// Its languages.
    pub languages: Vec<String>,
    /// Size of its files, unpacked, in bytes.
    pub total_bytes: Option<u64>,
    /// How many files it has.
    pub files: Option<u64>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was last changed.
    pub modified: Option<Timestamp>,
}

impl RecoveryImage {
    /// Reads a WIM of a size through a function that gives `length` bytes at an offset. It is called
    /// with ranges inside the file, of 4 MiB at most.
    ///
    /// # Errors
    /// [`RecoveryImageError`].
    pub fn read(
        size: u64,
        mut read_at: impl FnMut(u64, usize) -> Result<Vec<u8>, String>,
    ) -> Result<Self, RecoveryImageError> {
        let head = usize::try_from(size).unwrap_or(usize::MAX).min(WimHeader::SIZE);
        let head = read_at(0, head).map_err(RecoveryImageError::Read)?;
        let header = WimHeader::parse(&head).map_err(|error| match error {
            WimError::Damaged(_) if head.len() < WimHeader::SIZE => RecoveryImageError::Truncated {
                what: "its header",
                needed: WimHeader::SIZE as u64,
                size,
            },
            WimError::NotAWim(what) => RecoveryImageError::NotAWim(what.to_owned()),
            WimError::Damaged(what) => RecoveryImageError::Damaged(what),
        })?;
        for (what, resource) in [
            ("its list of resources", header.offset_table),
            ("its description", header.xml),
            ("the metadata of the image that boots", header.boot_metadata),
            ("its integrity table", header.integrity),
        ] {
            fits(what, resource, size)?;
        }
        if header.xml.size == 0 {
            return Err(RecoveryImageError::Damaged("it has no description".to_owned()));
        }
        if header.xml.size > MAX_XML || header.xml.flags & 0x04 != 0 {
            let what = "its description is far too large, or compressed";
            return Err(RecoveryImageError::Damaged(what.to_owned()));
        }
        // At most 4 MiB, as was just checked.
        let xml = read_at(header.xml.offset, header.xml.size as usize)
            .map_err(RecoveryImageError::Read)?;
        let images = images(&xml).map_err(RecoveryImageError::Damaged)?;
        if images.len() != (header.images as usize).min(MAX_IMAGES) {
            let what = format!(
                "its header counts {} images, its description {}",
                header.images,
                images.len()
            );
            return Err(RecoveryImageError::Damaged(what));
        }
        let compression = match header.compression() {
            Compression::None => "none",
            Compression::Xpress => "xpress",
            Compression::Lzx => "lzx",
            Compression::Lzms => "lzms",
            Compression::Unknown => "unknown",
        };
        Ok(Self {
            size,
            compression: compression.to_owned(),
            part: header.part,
            parts: header.parts,
            boot_index: header.boot_index,
            integrity_table: header.integrity.size > 0,
            images,
        })
    }

    /// Reads a WIM in memory.
    ///
    /// # Errors
    /// [`RecoveryImageError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecoveryImageError> {
        Self::read(bytes.len() as u64, |offset, length| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = bytes.get(start..start.saturating_add(length));
            bytes.map(<[u8]>::to_vec).ok_or_else(|| "a read lies outside the file".to_owned())
        })
    }

    /// The image that the recovery environment starts: the one that boots, or else the first.
    pub fn booted(&self) -> Option<&ImageFacts> {
        let index = self.boot_index.max(1);
        self.images.iter().find(|image| image.index == index)
    }
}

fn fits(what: &'static str, resource: Resource, size: u64) -> Result<(), RecoveryImageError> {
    match resource.offset.checked_add(resource.size) {
        Some(end) if end <= size => Ok(()),
        Some(needed) => Err(RecoveryImageError::Truncated { what, needed, size }),
        None => Err(RecoveryImageError::Damaged(format!("{what} lies nowhere"))),
    }
}

fn images(xml: &[u8]) -> Result<Vec<ImageFacts>, String> {
    let xml = xml.strip_prefix(&[0xff, 0xfe]).unwrap_or(xml);
    let units: Vec<u16> =
        xml.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text =
        String::from_utf16(&units).map_err(|_| "its description is not UTF-16".to_owned())?;
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_end_matches('\0'), options)
        .map_err(|error| format!("its description is not well-formed XML: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "WIM" {
        return Err(format!(
            "its description begins with `{}`, not with `WIM`",
            root.tag_name().name()
        ));
    }
    let images = root.children().filter(|node| node.has_tag_name("IMAGE")).take(MAX_IMAGES);
    Ok(images.zip(1..).map(|(node, index)| image(node, index)).collect())
}

fn image(node: Node<'_, '_>, index: u32) -> ImageFacts {
    let number = |path: &[&str]| text_at(node, path).and_then(|text| text.parse::<u64>().ok());
    let small = |path: &[&str]| number(path).and_then(|number| u32::try_from(number).ok());
    let part = |name: &str| small(&["WINDOWS", "VERSION", name]);
    let version = || {
        let (major, minor, build) = (part("MAJOR")?, part("MINOR")?, part("BUILD")?);
        let revision = part("SPBUILD").map(|revision| format!(".{revision}"));
        Some(format!("{major}.{minor}.{build}{}", revision.unwrap_or_default()))
    };
    let languages = descend(node, &["WINDOWS", "LANGUAGES"]).map(|languages| {
        let each = languages.children().filter(|node| node.has_tag_name("LANGUAGE"));
        each.filter_map(|node| node.text()).take(64).map(limited).collect()
    });
    ImageFacts {
        index: node.attribute("INDEX").and_then(|text| text.parse().ok()).unwrap_or(index),
        name: text_at(node, &["NAME"]),
        description: text_at(node, &["DESCRIPTION"]),
        architecture: small(&["WINDOWS", "ARCH"]).map(architecture),
        version: version(),
        build: part("BUILD"),
        revision: part("SPBUILD"),
        edition: text_at(node, &["WINDOWS", "EDITIONID"]),
        system_root: text_at(node, &["WINDOWS", "SYSTEMROOT"]),
        languages: languages.unwrap_or_default(),
        total_bytes: number(&["TOTALBYTES"]),
        files: number(&["FILECOUNT"]),
        created: time(node, "CREATIONTIME"),
        modified: time(node, "LASTMODIFICATIONTIME"),
    }
}

/// `PROCESSOR_ARCHITECTURE_…` (winnt.h).
fn architecture(number: u32) -> String {
    match number {
        0 => "x86".to_owned(),
        5 => "arm".to_owned(),
        6 => "ia64".to_owned(),
        9 => "x86-64".to_owned(),
        12 => "arm64".to_owned(),
        other => other.to_string(),
    }
}

fn time(node: Node<'_, '_>, name: &str) -> Option<Timestamp> {
    let half = |part: &str| {
        let text = text_at(node, &[name, part])?;
        u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().filter(|half| *half <= 0xffff_ffff)
    };
    FileTime::from_ticks(half("HIGHPART")? << 32 | half("LOWPART")?).to_timestamp()
}

fn descend<'a, 'i>(node: Node<'a, 'i>, path: &[&str]) -> Option<Node<'a, 'i>> {
    path.iter().try_fold(node, |node, name| node.children().find(|own| own.has_tag_name(*name)))
}

fn text_at(node: Node<'_, '_>, path: &[&str]) -> Option<String> {
    descend(node, path)?.text().map(limited).filter(|text| !text.is_empty())
}

fn limited(text: &str) -> String {
    text.trim().chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use winfmt::Guid;
    use winfmt::wim::empty_image;

    use super::*;

    fn sample() -> Vec<u8> {
        let time = FileTime::from_timestamp("2024-07-19T04:09:00Z".parse().unwrap());
        empty_image(Guid::from_bytes([7; 16]), "Recovery & more", time)
    }

    /// What `wiminfo` says, by its labels; `None` where it is not installed.
    fn wiminfo(path: &std::path::Path) -> Option<impl Fn(&str) -> Option<String>> {
        let Ok(output) = Command::new("wiminfo").arg(path).output() else {
            println!("skipped: `wiminfo` is not installed (Debian package wimtools)");
            return None;
        };
        assert!(output.status.success(), "wiminfo {}", path.display());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(move |label: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{label}:")))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        })
    }

    #[test]
    fn images_of_others_are_read_as_wimlib_reads_them() {
        let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
        let folder = std::env::var("LOOPBREAK_ARTIFACTS").unwrap_or_else(|_| beside.to_owned());
        let Ok(files) = std::fs::read_dir(format!("{folder}/wim")) else {
            println!("skipped: no artifacts at {folder}; set LOOPBREAK_ARTIFACTS");
            return;
        };
        let mut compared = 0;
        for file in files {
            let path = file.unwrap().path();
            let Some(says) = wiminfo(&path) else { return };
            let bytes = std::fs::read(&path).unwrap();
            let image = RecoveryImage::from_bytes(&bytes).unwrap();
            let place = path.display();
            let one = |value: String| Some(value);
            assert_eq!(one(image.images.len().to_string()), says("Image Count"), "{place}");
            assert_eq!(one(image.boot_index.to_string()), says("Boot Index"), "{place}");
            assert_eq!(
                one(format!("{}/{}", image.part, image.parts)),
                says("Part Number"),
                "{place}"
            );
            assert_eq!(Some(image.compression.to_uppercase()), says("Compression"), "{place}");
            assert_eq!(image.images[0].name, says("Name"), "{place}");
            let number = |value: Option<u64>| value.map(|number| number.to_string());
            assert_eq!(number(image.images[0].total_bytes), says("Total Bytes"), "{place}");
            assert_eq!(number(image.images[0].files), says("File Count"), "{place}");
            let integrity = says("Attributes").unwrap().contains("Integrity");
            assert_eq!(image.integrity_table, integrity, "{place}");
            compared += 1;
        }
        assert!(compared >= 7, "{compared}");
    }

    #[test]
    fn the_build_of_a_recovery_image() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("winre.wim");
        std::fs::write(&path, sample()).unwrap();
        let properties = [
            "WINDOWS/ARCH=9",
            "WINDOWS/EDITIONID=WindowsPE",
            "WINDOWS/SYSTEMROOT=WINDOWS",
            "WINDOWS/VERSION/MAJOR=10",
            "WINDOWS/VERSION/MINOR=0",
            "WINDOWS/VERSION/BUILD=26100",
            "WINDOWS/VERSION/SPBUILD=1742",
            "WINDOWS/LANGUAGES/LANGUAGE=de-DE",
        ];
        let mut command = Command::new("wiminfo");
        command.arg(&path).args(["1", "--boot"]);
        properties.iter().for_each(|own| {
            command.args(["--image-property", own]);
        });
        let Ok(output) = command.output() else {
            println!("skipped: `wiminfo` is not installed (Debian package wimtools)");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let image = RecoveryImage::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
        let booted = image.booted().unwrap();
        assert_eq!(booted.version.as_deref(), Some("10.0.26100.1742"));
        assert_eq!((booted.build, booted.revision), (Some(26100), Some(1742)));
        assert_eq!(booted.architecture.as_deref(), Some("x86-64"));
        assert_eq!(booted.edition.as_deref(), Some("WindowsPE"));
        assert_eq!(booted.languages, ["de-DE"]);
        assert_eq!(booted.name.as_deref(), Some("Recovery & more"));
    }

    #[test]
    fn damaged_and_truncated_are_told_apart() {
        let whole = sample();
        let image = RecoveryImage::from_bytes(&whole).unwrap();
        assert_eq!((image.boot_index, image.images.len()), (1, 1));
        assert_eq!(image.images[0].build, None);
        assert_eq!(image.images[0].created.unwrap().to_string(), "2024-07-19T04:09:00Z");

        let says = |bytes: &[u8]| RecoveryImage::from_bytes(bytes).unwrap_err().to_string();
        let size = whole.len();
        let cut = says(&whole[..size - 10]);
        assert_eq!(
            cut,
            format!(
                "it is cut off: its description ends at byte {size}, the file at {}",
                size - 10
            )
        );
        assert!(says(&whole[..100]).contains("its header ends at byte 208, the file at 100"));
        assert!(says(b"").contains("not a WIM"));
        assert!(says(b"MZ").contains("not a WIM"));
        let mut damaged = whole.clone();
        let place = size - 40;
        damaged[place] = 0xff;
        damaged[place + 1] = 0xdc;
        assert!(says(&damaged).contains("it is damaged: its description is not UTF-16"));
        let mut damaged = whole.clone();
        damaged[size - 4] = b'x';
        assert!(says(&damaged).contains("not well-formed XML"), "{}", says(&damaged));
        let mut damaged = whole;
        damaged[44] = 2;
        assert!(says(&damaged).contains("counts 2 images, its description 1"));
        let unreadable = RecoveryImage::read(1000, |_, _| Err("the volume is gone".to_owned()));
        assert_eq!(unreadable.unwrap_err().to_string(), "the volume is gone");
    }

    proptest! {
        #[test]
        fn no_damage_is_too_odd(at in 0usize..1300, byte: u8, keep in 0usize..1400) {
            let mut bytes = sample();
            let size = bytes.len();
            bytes[at % size] = byte;
            bytes.truncate(keep);
            let _ = RecoveryImage::from_bytes(&bytes);
        }
    }
}
