//! A store as data: every object and element with its type, name and value.

use serde::Serialize;

use super::{
    BcdError, BcdStore, DeviceKind, ElementId, ElementValue, LocalDevice, Located, Object,
};
use crate::Guid;

/// Version of the listing's form.
const FORMAT: u32 = 1;

/// All that a store holds, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listing {
    /// 1.
    pub format: u32,
    /// What the boot manager starts by default, if it says so or has a menu.
    pub default_loader: Option<Guid>,
    /// Whether that entry is in the store.
    pub default_loader_present: bool,
    /// What is started when the default loader fails. Empty where there is nothing.
    pub recovery_sequence: Vec<Guid>,
    /// What the store says of the default loader; absent where it says nothing, and Windows then takes
    /// it as enabled (windows-facts.md 3.1).
    pub recovery_enabled: Option<bool>,
    /// What the store says of the default loader, as the word of `bcdedit`.
    pub boot_status_policy: Option<String>,
    /// All objects, the boot manager first.
    pub objects: Vec<ObjectListing>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectListing {
    /// Its GUID.
    pub id: Guid,
    /// Its alias, such as `bootmgr`, if it has a fixed one.
    pub alias: Option<&'static str>,
    /// Its type, eight hexadecimal digits.
    pub r#type: String,
    /// The heading that `bcdedit` prints above it.
    pub heading: &'static str,
    /// What people call it.
    pub description: Option<String>,
    /// Its own elements, by type.
    pub elements: Vec<ElementListing>,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ElementListing {
    /// Its type, eight hexadecimal digits.
    pub r#type: String,
    /// The name that `bcdedit` gives it; absent where it has none.
    pub name: Option<&'static str>,
    /// How it is stored, by its type: `boolean`, `integer`, `device`, …
    pub format: String,
    /// What it holds.
    pub value: ValueListing,
    /// What it holds in the words of `bcdedit`.
    pub text: String,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ValueListing {
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(u64),
    /// A string, or one object's GUID.
    String(String),
    /// Objects.
    Objects(Vec<Guid>),
    /// Integers.
    Integers(Vec<u64>),
    /// A device.
    Device(DeviceListing),
    /// Stored in another way than the type says.
    Raw {
        /// The registry's type of the value.
        #[serde(rename = "registry-type")]
        registry_type: String,
        /// All bytes, hexadecimal.
        hex: String,
    },
}

/// A device element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceListing {
    /// `boot`, `gpt`, `mbr`, `ramdisk`, `file`, `vhd`, `locate` or `unknown`.
    pub kind: &'static str,
    /// The disk's GUID (GPT) or its signature in eight hexadecimal digits (MBR).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The partition's GUID (GPT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Guid>,
    /// Where the partition begins on the disk, in bytes (MBR).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The file's path (ramdisk, file, vhd).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The device that the file is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<DeviceListing>>,
    /// The object that holds options for the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Guid>,
    /// All bytes of the element, hexadecimal. Only on the element itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl BcdStore {
    /// All that the store holds.
    ///
    /// # Errors
    /// [`BcdError::Hive`], [`BcdError::Malformed`] where what decides about recovery cannot be read.
    pub fn listing(&self) -> Result<Listing, BcdError> {
        let (default_loader, default_loader_present) = match self.default_loader() {
            Ok(Some(loader)) => (Some(loader.id), true),
            Ok(None) => (None, false),
            // The boot manager names an entry that is not there: worth knowing, no error.
            Err(BcdError::NoObject { id }) => (Some(id), false),
            Err(error) => return Err(error),
        };
        let (mut recovery_sequence, mut recovery_enabled, mut policy) = (Vec::new(), None, None);
        if let Some(loader) = default_loader {
            recovery_sequence = self.recovery_sequence(loader)?;
            recovery_enabled = self.boolean(loader, ElementId::RECOVERY_ENABLED)?;
            policy = self.boot_status_policy(loader)?.map(|policy| policy.to_string());
        }
        let objects = self.objects_in_order()?;
        Ok(Listing {
            format: FORMAT,
            default_loader,
            default_loader_present,
            recovery_sequence,
            recovery_enabled,
            boot_status_policy: policy,
            objects: objects
                .iter()
                .map(|object| self.list_object(object))
                .collect::<Result<_, _>>()?,
        })
    }

    /// One object.
    ///
    /// # Errors
    /// [`BcdError::NoObject`], [`BcdError::Hive`].
    pub fn object_listing(&self, id: Guid) -> Result<ObjectListing, BcdError> {
        self.list_object(&self.object(id)?.ok_or(BcdError::NoObject { id })?)
    }

    fn list_object(&self, object: &Object) -> Result<ObjectListing, BcdError> {
        let default = self.shown_default()?;
        let elements = object.elements.iter().map(|(id, value)| ElementListing {
            r#type: id.to_string(),
            name: id.name_on(object.kind),
            format: id.format().to_string(),
            value: ValueListing::from(value),
            text: value.lines(*id, default).join(" "),
        });
        Ok(ObjectListing {
            id: object.id,
            alias: super::known::alias_of(object.id),
            r#type: object.kind.to_string(),
            heading: object.heading(),
            description: object.description().map(str::to_owned),
            elements: elements.collect(),
        })
    }
}

impl From<&ElementValue> for ValueListing {
    fn from(value: &ElementValue) -> Self {
        match value {
            ElementValue::Device(device) => {
                let mut listing = DeviceListing::from(&device.kind());
                listing.options = device.options();
                listing.hex = Some(hex(device.bytes()));
                Self::Device(listing)
            }
            ElementValue::String(text) => Self::String(text.clone()),
            ElementValue::Object(id) => Self::String(id.to_string()),
            ElementValue::ObjectList(ids) => Self::Objects(ids.clone()),
            ElementValue::Integer(number) => Self::Integer(*number),
            ElementValue::Boolean(yes) => Self::Boolean(*yes),
            ElementValue::IntegerList(numbers) => Self::Integers(numbers.clone()),
            ElementValue::Unknown(data) => {
                Self::Raw { registry_type: data.kind.to_string(), hex: hex(&data.bytes) }
            }
        }
    }
}

impl From<&DeviceKind> for DeviceListing {
    fn from(kind: &DeviceKind) -> Self {
        let mut listing = Self {
            kind: "unknown",
            disk: None,
            partition: None,
            offset: None,
            path: None,
            parent: None,
            options: None,
            hex: None,
        };
        match kind {
            DeviceKind::Boot => listing.kind = "boot",
            DeviceKind::Gpt { disk, partition } => {
                listing.kind = "gpt";
                listing.disk = Some(disk.to_string());
                listing.partition = Some(*partition);
            }
            DeviceKind::Mbr { signature, offset } => {
                listing.kind = "mbr";
                listing.disk = Some(format!("{signature:08x}"));
                listing.offset = Some(*offset);
            }
            DeviceKind::File { local, parent, path } => {
                listing.kind = match local {
                    LocalDevice::Ramdisk => "ramdisk",
                    LocalDevice::File => "file",
                    LocalDevice::VirtualDisk => "vhd",
                };
                listing.path = Some(path.clone());
                listing.parent = Some(Box::new(Self::from(parent.as_ref())));
            }
            DeviceKind::Locate(located) => {
                listing.kind = "locate";
                if let Located::Path(path) = located {
                    listing.path = Some(path.clone());
                }
            }
            DeviceKind::Unknown => {}
        }
        listing
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
