//! Device elements: where an application, a volume or an image lies.
//!
//! The format is not public. What is known (windows-facts.md 3.5, ReactOS `bl.h`) is parsed and
//! written; everything else keeps its bytes. The writer gives the same bytes as Windows for every
//! device in the stores that Windows wrote.

use std::fmt;

use crate::Guid;
use crate::bytes::{u32_at, u64_at, utf16_bytes, utf16_units};

const OPTIONS: usize = 0;
const DESCRIPTOR: usize = 0x10;
const DESCRIPTOR_HEADER: usize = 0x10;
const PARTITION_SIZE: u32 = 0x48;
/// Devices lie in files on devices in files …; nobody needs more levels.
const MAX_NESTING: usize = 4;

const TYPE_DISK: u32 = 0;
const TYPE_LEGACY_PARTITION: u32 = 2;
const TYPE_BOOT: u32 = 5;
const TYPE_PARTITION: u32 = 6;
const TYPE_LOCATE: u32 = 8;
const LOCATE_BY_ELEMENT: u32 = 0;
const LOCATE_BY_PATH: u32 = 1;

/// A device element: its bytes, and what is understood of them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Device {
    bytes: Vec<u8>,
}

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    /// The volume that the boot manager started from.
    Boot,
    /// A partition of a GPT disk.
    Gpt {
        /// The disk's GUID.
        disk: Guid,
        /// The partition's own GUID.
        partition: Guid,
    },
    /// A partition of an MBR disk.
    Mbr {
        /// The disk's signature.
        signature: u32,
        /// Where the partition begins, in bytes.
        offset: u64,
    },
    /// An image file on another device.
    File {
        /// How the file is used.
        local: LocalDevice,
        /// The device that the file is on.
        parent: Box<DeviceKind>,
        /// The file's path on it.
        path: String,
    },
    /// The first volume that has a file or folder.
    Locate(Located),
    /// Not understood.
    Unknown,
}

/// What a volume is looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    /// A path from the root of the volume.
    Path(String),
    /// The path that another element of the same object holds: `bcdedit` calls it `custom:12000002`.
    Element(u32),
}

/// How an image file is used as a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalDevice {
    /// Loaded into memory (a WIM image).
    Ramdisk,
    /// As it is.
    File,
    /// A virtual hard disk.
    VirtualDisk,
}

impl LocalDevice {
    fn number(self) -> u32 {
        match self {
            LocalDevice::Ramdisk => 3,
            LocalDevice::File => 5,
            LocalDevice::VirtualDisk => 6,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        [LocalDevice::Ramdisk, LocalDevice::File, LocalDevice::VirtualDisk]
            .into_iter()
            .find(|local| local.number() == number)
    }
}

impl Device {
    /// Takes an element's bytes as they are.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// The element's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A partition of a GPT disk: 0x58 bytes.
    pub fn gpt(disk: Guid, partition: Guid) -> Self {
        Self::encode(Guid::ZERO, &DeviceKind::Gpt { disk, partition })
    }

    /// A partition of an MBR disk.
    pub fn mbr(signature: u32, offset: u64) -> Self {
        Self::encode(Guid::ZERO, &DeviceKind::Mbr { signature, offset })
    }

    /// The volume that the boot manager started from.
    pub fn boot() -> Self {
        Self::encode(Guid::ZERO, &DeviceKind::Boot)
    }

    /// The first volume that has a path: what `sysprep` and images for deployment write.
    pub fn locate(path: &str) -> Self {
        Self::encode(Guid::ZERO, &DeviceKind::Locate(Located::Path(path.to_owned())))
    }

    /// A RAM disk loaded from a file on a partition of a GPT disk. `options` is the object that names
    /// the SDI file.
    pub fn ramdisk(options: Guid, disk: Guid, partition: Guid, path: &str) -> Self {
        let parent = Box::new(DeviceKind::Gpt { disk, partition });
        let path = path.to_owned();
        Self::encode(options, &DeviceKind::File { local: LocalDevice::Ramdisk, parent, path })
    }

    /// The bytes of a device. [`Located::Element`] and [`DeviceKind::Unknown`] have no known form and give
    /// an empty device; take such bytes from an existing element.
    pub fn encode(options: Guid, kind: &DeviceKind) -> Self {
        let mut bytes = options.to_bytes().to_vec();
        match descriptor(kind) {
            Some(descriptor) => bytes.extend(descriptor),
            None => bytes.clear(),
        }
        Self { bytes }
    }

    /// The object that holds options for the device, if it names one.
    pub fn options(&self) -> Option<Guid> {
        Guid::read_at(&self.bytes, OPTIONS).filter(|id| !id.is_zero())
    }

    /// What the device is, as far as it is understood.
    pub fn kind(&self) -> DeviceKind {
        self.bytes
            .get(DESCRIPTOR..)
            .and_then(|descriptor| parse(descriptor, MAX_NESTING))
            .unwrap_or(DeviceKind::Unknown)
    }
}

impl Device {
    /// The device that a text describes, in the form in which devices are shown: `boot`,
    /// `partition={GUID} disk={GUID}`, `partition=0xOFFSET disk=SIGNATURE`, `locate=\\PATH`,
    /// `ramdisk=[PARTITION]\\PATH` (`file=`, `vhd=`), each with `,{OPTIONS}` behind it where it has options.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let options = text.rsplit_once(',').and_then(|(rest, id)| Some((rest, id.parse().ok()?)));
        let (text, options) = options.unwrap_or((text, Guid::ZERO));
        Some(Self::encode(options, &DeviceKind::from_text(text, MAX_NESTING)?))
    }
}

impl DeviceKind {
    fn from_text(text: &str, nesting: usize) -> Option<Self> {
        let nesting = nesting.checked_sub(1)?;
        if text.eq_ignore_ascii_case("boot") {
            return Some(DeviceKind::Boot);
        }
        let (what, rest) = text.split_once('=')?;
        if what == "partition" {
            let (partition, disk) = rest.split_once(" disk=")?;
            return Some(match partition.strip_prefix("0x") {
                Some(offset) => DeviceKind::Mbr {
                    signature: u32::from_str_radix(disk, 16).ok()?,
                    offset: u64::from_str_radix(offset, 16).ok()?,
                },
                None => {
                    DeviceKind::Gpt { disk: disk.parse().ok()?, partition: partition.parse().ok()? }
                }
            });
        }
        if what == "locate" {
            return rest.starts_with('\\').then(|| Self::Locate(Located::Path(rest.to_owned())));
        }
        let local = match what {
            "ramdisk" => LocalDevice::Ramdisk,
            "file" => LocalDevice::File,
            "vhd" => LocalDevice::VirtualDisk,
            _ => return None,
        };
        let rest = rest.strip_prefix('[')?;
        let (parent, path) = (rest.get(..closing(rest)?)?, rest.get(closing(rest)? + 1..)?);
        if !path.starts_with('\\') {
            return None;
        }
        let parent = Box::new(Self::from_text(parent, nesting)?);
        Some(DeviceKind::File { local, parent, path: path.to_owned() })
    }
}

/// Where the bracket is that closes one opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1usize;
    text.bytes().position(|byte| {
        match byte {
            b'[' => open += 1,
            b']' => open -= 1,
            _ => {}
        }
        open == 0
    })
}

/// A device descriptor: type, flags, size, one word unknown, then the part that depends on the type.
fn descriptor(kind: &DeviceKind) -> Option<Vec<u8>> {
    let (number, flags, body) = match kind {
        DeviceKind::Boot => (TYPE_BOOT, 0, vec![0; PARTITION_SIZE as usize - DESCRIPTOR_HEADER]),
        DeviceKind::Gpt { disk, partition } => {
            let mut body = partition.to_bytes().to_vec();
            // Local device 0: disk. Style 0: GPT.
            body.extend([0; 8]);
            body.extend(disk.to_bytes());
            body.extend([0; 16]);
            (TYPE_PARTITION, 0, body)
        }
        DeviceKind::Mbr { signature, offset } => {
            let mut body = offset.to_le_bytes().to_vec();
            body.extend([0; 12]);
            body.extend(1u32.to_le_bytes());
            body.extend(signature.to_le_bytes());
            body.resize(PARTITION_SIZE as usize - DESCRIPTOR_HEADER, 0);
            (TYPE_PARTITION, 0, body)
        }
        DeviceKind::File { local, parent, path } => {
            let parent = descriptor(parent)?;
            let path = utf16_bytes(path.encode_utf16().chain([0]));
            let file_size = u32::try_from(12 + parent.len() + path.len()).ok()?;
            let mut body = local.number().to_le_bytes().to_vec();
            // Address, size and offset of the image, unknown before it is loaded.
            body.extend([0; 20]);
            for word in [1, file_size, 5] {
                body.extend(u32::to_le_bytes(word));
            }
            body.extend(parent);
            body.extend(path);
            (TYPE_DISK, 1, body)
        }
        DeviceKind::Locate(Located::Path(path)) => {
            let mut body = LOCATE_BY_PATH.to_le_bytes().to_vec();
            // No element, and no device that the path lies on.
            body.extend([0; 8]);
            body.extend(utf16_bytes(path.encode_utf16().chain([0])));
            (TYPE_LOCATE, 0, body)
        }
        DeviceKind::Locate(Located::Element(_)) | DeviceKind::Unknown => return None,
    };
    let size = u32::try_from(DESCRIPTOR_HEADER + body.len()).ok()?;
    let mut bytes = Vec::with_capacity(DESCRIPTOR_HEADER + body.len());
    for word in [number, flags, size, 0] {
        bytes.extend(u32::to_le_bytes(word));
    }
    bytes.extend(body);
    Some(bytes)
}

fn parse(descriptor: &[u8], nesting: usize) -> Option<DeviceKind> {
    let nesting = nesting.checked_sub(1)?;
    let size = u32_at(descriptor, 8)? as usize;
    let body = descriptor.get(DESCRIPTOR_HEADER..size)?;
    match u32_at(descriptor, 0)? {
        TYPE_BOOT => Some(DeviceKind::Boot),
        // A third word that is not zero leads to a device that the path lies on: nobody has seen one.
        TYPE_LOCATE if u32_at(body, 8)? == 0 => match u32_at(body, 0)? {
            LOCATE_BY_PATH => Some(DeviceKind::Locate(Located::Path(text_at(body, 12)?))),
            LOCATE_BY_ELEMENT => Some(DeviceKind::Locate(Located::Element(u32_at(body, 4)?))),
            _ => None,
        },
        TYPE_PARTITION | TYPE_LEGACY_PARTITION => match u32_at(body, 20)? {
            0 => Some(DeviceKind::Gpt {
                disk: Guid::read_at(body, 24)?,
                partition: Guid::read_at(body, 0)?,
            }),
            1 => Some(DeviceKind::Mbr { signature: u32_at(body, 24)?, offset: u64_at(body, 0)? }),
            _ => None,
        },
        TYPE_DISK => {
            let local = LocalDevice::from_number(u32_at(body, 0)?)?;
            let file = body.get(24..)?;
            let file = file.get(..u32_at(file, 4)? as usize)?;
            let parent = file.get(12..)?;
            let path = text_at(parent, u32_at(parent, 8)? as usize)?;
            Some(DeviceKind::File { local, parent: Box::new(parse(parent, nesting)?), path })
        }
        _ => None,
    }
}

/// The text at a place, up to its end.
fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let units = utf16_units(bytes.get(at..)?);
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    Some(String::from_utf16_lossy(&units[..end]))
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceKind::Boot => f.write_str("boot"),
            DeviceKind::Gpt { disk, partition } => write!(f, "partition={partition} disk={disk}"),
            DeviceKind::Mbr { signature, offset } => {
                write!(f, "partition={offset:#x} disk={signature:08x}")
            }
            DeviceKind::File { local, parent, path } => {
                let local = match local {
                    LocalDevice::Ramdisk => "ramdisk",
                    LocalDevice::File => "file",
                    LocalDevice::VirtualDisk => "vhd",
                };
                write!(f, "{local}=[{parent}]{path}")
            }
            DeviceKind::Locate(Located::Path(path)) => write!(f, "locate={path}"),
            DeviceKind::Locate(Located::Element(id)) => write!(f, "locate=custom:{id:08x}"),
            DeviceKind::Unknown => f.write_str("unknown"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind().fmt(f)?;
        match self.options() {
            Some(options) => write!(f, ",{options}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self}, {} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The boot manager's device in a real store of Windows 10.
    const REAL: [u8; 0x58] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0x48, 0, 0, 0, 0,
        0, 0, 0, 0x1a, 0xb1, 0x8b, 0xbd, 0x95, 0xe0, 0x92, 0x47, 0x82, 0x19, 0xe4, 0x07, 0x7e,
        0x8d, 0xd7, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0x8d, 0x01, 0x94, 0x79, 0x9b, 0x31, 0x16, 0x47,
        0x8e, 0x87, 0x91, 0x02, 0x0b, 0x13, 0x9c, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ];

    #[test]
    fn a_partition_is_encoded_as_windows_does() {
        let disk = "{7994018d-319b-4716-8e87-91020b139c09}".parse().unwrap();
        let partition = "{bd8bb11a-e095-4792-8219-e4077e8dd720}".parse().unwrap();
        assert_eq!(Device::gpt(disk, partition).bytes(), REAL);
        let device = Device::from_bytes(REAL.to_vec());
        assert_eq!(device.kind(), DeviceKind::Gpt { disk, partition });
        assert_eq!(device.options(), None);
    }

    /// The `osdevice` of an image for deployment (windows-facts.md 3.5).
    #[test]
    fn a_device_that_is_looked_for_is_encoded_as_windows_does() {
        let mut real = vec![0; 16];
        for word in [8u32, 0, 0x2e, 0, 1, 0, 0] {
            real.extend(word.to_le_bytes());
        }
        real.extend(utf16_bytes("\\Windows\0".encode_utf16()));
        let device = Device::locate(r"\Windows");
        assert_eq!(device.bytes(), real);
        assert_eq!(device.to_string(), r"locate=\Windows");
        real[0x20..0x28].copy_from_slice(&[0, 0, 0, 0, 2, 0, 0, 0x12]);
        assert_eq!(Device::from_bytes(real.clone()).to_string(), "locate=custom:12000002");
        real[0x28] = 1;
        assert_eq!(Device::from_bytes(real).kind(), DeviceKind::Unknown);
    }

    #[test]
    fn a_device_that_contains_itself_ends() {
        let file = |parent| DeviceKind::File {
            local: LocalDevice::File,
            parent: Box::new(parent),
            path: "\\x.wim".to_owned(),
        };
        let two = file(file(DeviceKind::Boot));
        assert_eq!(Device::encode(Guid::ZERO, &two).kind(), two);
        let five = file(file(file(file(DeviceKind::Boot))));
        assert_eq!(Device::encode(Guid::ZERO, &five).kind(), DeviceKind::Unknown);
    }

    #[test]
    fn a_device_is_read_as_it_is_shown() {
        let (disk, partition) = (Guid::from_bytes([1; 16]), Guid::from_bytes([2; 16]));
        let options = Guid::from_bytes([3; 16]);
        for device in [
            Device::boot(),
            Device::from_bytes(REAL.to_vec()),
            Device::mbr(0x00ab_cdef, 0x10_0000),
            Device::ramdisk(options, disk, partition, r"\Recovery\WindowsRE\Winre.wim"),
            Device::ramdisk(options, disk, partition, r"\odd]=[ name,x.wim"),
            Device::locate(r"\Windows\System32\winload.efi"),
        ] {
            let shown = device.to_string();
            assert_eq!(Device::from_text(&shown), Some(device), "{shown}");
        }
        for text in [
            "",
            "C:",
            "locate",
            "locate=x",
            "partition=C:",
            "partition=1 disk=2",
            "ramdisk=[boot]x",
            "ramdisk=[x]\\y",
        ] {
            assert_eq!(Device::from_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(boot|partition=|ramdisk=|\\[|\\]|[ ,=0-9a-fx{}\\\\-]){0,40}") {
            if let Some(device) = Device::from_text(&text) {
                prop_assert!(!device.bytes().is_empty());
            }
        }

        #[test]
        fn any_bytes_are_a_device_and_stay_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let device = Device::from_bytes(bytes.clone());
            let _ = (device.kind(), device.options(), device.to_string());
            prop_assert_eq!(device.bytes(), bytes);
        }

        #[test]
        fn damaged_real_devices_do_not_panic(at in 0usize..0x58, byte: u8, keep in 0usize..0x58) {
            let mut bytes = REAL.to_vec();
            bytes[at] = byte;
            bytes.truncate(keep);
            let device = Device::from_bytes(bytes);
            let _ = (device.kind(), device.to_string());
        }
    }
}
