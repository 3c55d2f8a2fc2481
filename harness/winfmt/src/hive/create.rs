//! A new hive: a base block, one bin, a root key and its security descriptor.

use super::cells::{CellMap, NONE};
use super::key::{FLAG_NO_DELETE, FLAG_ROOT, NODE_HEADER};
use super::name::Name;
use super::{Access, Hive, HiveError, Version, base};
use crate::FileTime;

/// How a new hive shall be.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// Format version. SYSTEM and SOFTWARE are 1.5, a BCD store is 1.3.
    pub version: Version,
    /// The path that the base block carries, for people; only its last 31 units fit.
    pub file_name: String,
    /// The time of all keys until [`Hive::set_clock`] changes it; the time of this host if none.
    pub clock: Option<FileTime>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { version: Version::V1_5, file_name: String::new(), clock: None }
    }
}

impl Hive {
    /// A new hive of version 1.5 with an empty root key. The name of the root key matters to nobody;
    /// Windows uses `ROOT`, `CMI-CreateHive{…}` and others.
    ///
    /// # Errors
    /// [`HiveError::BadName`].
    pub fn create(root_name: &str) -> Result<Self, HiveError> {
        Self::create_with(root_name, &CreateOptions::default())
    }

    /// A new hive with an empty root key. Its security descriptor, which all keys inherit, gives full
    /// access to the system and to administrators, and lets everyone read.
    ///
    /// # Errors
    /// [`HiveError::BadName`].
    pub fn create_with(root_name: &str, options: &CreateOptions) -> Result<Self, HiveError> {
        let name = Name::from(root_name);
        name.check_key()?;
        let now = options.clock.unwrap_or_else(FileTime::now);
        // The root key is the first cell of the first bin, as in every hive that Windows makes.
        let mut data = base::create(options.version, 0x20, &options.file_name, now);
        let cells = CellMap::scan(&data)?;
        base::set_bins_size(&mut data, 0);
        let mut hive = Self {
            data,
            tail: Vec::new(),
            cells,
            sorted: true,
            access: Access::Full,
            clock: options.clock,
            modified: true,
        };
        hive.write_node(&name, NONE, FLAG_ROOT | FLAG_NO_DELETE, NONE)?;
        let security = hive.create_security(&default_descriptor())?;
        hive.put_u32(base::root(&hive.data), super::key::field::SECURITY, security)?;
        Ok(hive)
    }

    /// A key node with neither subkeys nor values.
    pub(super) fn write_node(
        &mut self,
        name: &Name,
        parent: u32,
        flags: u16,
        security: u32,
    ) -> Result<u32, HiveError> {
        use super::key::{FLAG_COMPRESSED, field};
        let (name_bytes, compressed) = name.encode();
        let too_long = HiveError::TooLarge { what: "a key's name", limit: 65_535 };
        let name_length = u16::try_from(name_bytes.len()).map_err(|_| too_long)?;
        let flags = if compressed { flags | FLAG_COMPRESSED } else { flags };
        let now = self.now();
        let cell = self.allocate(NODE_HEADER + name_bytes.len())?;
        self.put(cell, 0, b"nk")?;
        self.put(cell, field::FLAGS, &flags.to_le_bytes())?;
        self.put(cell, field::LAST_WRITTEN, &now.ticks().to_le_bytes())?;
        self.put_u32(cell, field::PARENT, parent)?;
        self.put_u32(cell, field::SECURITY, security)?;
        for none in [field::SUBKEY_LIST, field::VOLATILE_LIST, field::VALUE_LIST, field::CLASS] {
            self.put_u32(cell, none, NONE)?;
        }
        self.put(cell, field::NAME_LENGTH, &name_length.to_le_bytes())?;
        self.put(cell, NODE_HEADER, &name_bytes)?;
        Ok(cell)
    }
}

/// A self-relative security descriptor (MS-DTYP 2.4.6), as SDDL:
/// `O:BAG:SYD:(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;WD)`.
fn default_descriptor() -> Vec<u8> {
    const SYSTEM: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    const ADMINISTRATORS: &[u8] = &[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
    const EVERYONE: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    const ALL_ACCESS: u32 = 0xf003f;
    const READ: u32 = 0x20019;
    let mut entries = Vec::new();
    for (sid, access) in [(SYSTEM, ALL_ACCESS), (ADMINISTRATORS, ALL_ACCESS), (EVERYONE, READ)] {
        // Type 0 allows; flag 2: subkeys inherit.
        entries.extend([0, 2, 8 + sid.len() as u8, 0]);
        entries.extend(access.to_le_bytes());
        entries.extend_from_slice(sid);
    }
    let acl_size = 8 + entries.len() as u16;
    let header = 20u32;
    let group = header + ADMINISTRATORS.len() as u32;
    let acl = group + SYSTEM.len() as u32;
    let mut descriptor = vec![1, 0];
    // Self-relative, access list present.
    descriptor.extend(0x8004u16.to_le_bytes());
    for offset in [header, group, 0, acl] {
        descriptor.extend(offset.to_le_bytes());
    }
    descriptor.extend_from_slice(ADMINISTRATORS);
    descriptor.extend_from_slice(SYSTEM);
    descriptor.extend([2, 0]);
    descriptor.extend(acl_size.to_le_bytes());
    descriptor.extend([3, 0, 0, 0]);
    descriptor.extend(entries);
    descriptor
}
