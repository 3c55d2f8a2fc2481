//! Keys: the `nk` cell, and reading by name.

use super::error::damaged;
use super::name::Name;
use super::{Data, Hive, HiveError, KeyPath, base};
use crate::FileTime;
use crate::bytes::{u16_at, u32_at, u64_at};

pub(super) const NODE_HEADER: usize = 76;
pub(super) const FLAG_COMPRESSED: u16 = 0x20;
pub(super) const FLAG_ROOT: u16 = 0x04;
pub(super) const FLAG_NO_DELETE: u16 = 0x08;

/// Offsets of the fields of an `nk` cell.
pub(super) mod field {
    pub(crate) const FLAGS: usize = 2;
    pub(crate) const LAST_WRITTEN: usize = 4;
    pub(crate) const PARENT: usize = 16;
    pub(crate) const SUBKEYS: usize = 20;
    pub(crate) const SUBKEY_LIST: usize = 28;
    pub(crate) const VOLATILE_LIST: usize = 32;
    pub(crate) const VALUES: usize = 36;
    pub(crate) const VALUE_LIST: usize = 40;
    pub(crate) const SECURITY: usize = 44;
    pub(crate) const CLASS: usize = 48;
    pub(crate) const MAX_SUBKEY_NAME: usize = 52;
    pub(crate) const MAX_VALUE_NAME: usize = 60;
    pub(crate) const MAX_VALUE_DATA: usize = 64;
    pub(crate) const NAME_LENGTH: usize = 72;
    pub(crate) const CLASS_LENGTH: usize = 74;
}

/// What an `nk` cell says.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub cell: u32,
    pub last_written: FileTime,
    pub parent: u32,
    pub subkeys: u32,
    pub subkey_list: u32,
    pub values: u32,
    pub value_list: u32,
    pub security: u32,
    pub class: u32,
    pub class_length: u16,
    pub name: Name,
}

impl Hive {
    pub(super) fn node(&self, cell: u32) -> Result<Node, HiveError> {
        let content = self.cell(cell)?;
        if content.len() < NODE_HEADER || content[..2] != *b"nk" {
            return Err(damaged(cell, "no key node (`nk`) where one should be"));
        }
        let word = |at| u32_at(content, at).unwrap_or_default();
        let half = |at| u16_at(content, at).unwrap_or_default();
        let compressed = half(field::FLAGS) & FLAG_COMPRESSED != 0;
        let name_length = usize::from(half(field::NAME_LENGTH));
        let name = content
            .get(NODE_HEADER..NODE_HEADER + name_length)
            .ok_or_else(|| damaged(cell, format!("a key's name has {name_length} bytes")))?;
        if !compressed && name.len() % 2 != 0 {
            return Err(damaged(cell, "a key's UTF-16 name has an odd length"));
        }
        Ok(Node {
            cell,
            last_written: FileTime::from_ticks(
                u64_at(content, field::LAST_WRITTEN).unwrap_or_default(),
            ),
            parent: word(field::PARENT),
            subkeys: word(field::SUBKEYS),
            subkey_list: word(field::SUBKEY_LIST),
            values: word(field::VALUES),
            value_list: word(field::VALUE_LIST),
            security: word(field::SECURITY),
            class: word(field::CLASS),
            class_length: half(field::CLASS_LENGTH),
            name: Name::decode(name, compressed),
        })
    }

    pub(super) fn put_u32(&mut self, cell: u32, at: usize, value: u32) -> Result<(), HiveError> {
        self.put(cell, at, &value.to_le_bytes())
    }

    pub(super) fn put(&mut self, cell: u32, at: usize, bytes: &[u8]) -> Result<(), HiveError> {
        self.cell_mut(cell)?
            .get_mut(at..at + bytes.len())
            .ok_or_else(|| damaged(cell, "a cell is too small for its kind"))?
            .copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn word(&self, cell: u32, at: usize) -> Result<u32, HiveError> {
        u32_at(self.cell(cell)?, at)
            .ok_or_else(|| damaged(cell, "a cell is too small for its kind"))
    }

    /// The root key.
    ///
    /// # Errors
    /// [`HiveError::Damaged`] if there is none, possible only in a hive opened dirty.
    pub fn root(&self) -> Result<Key<'_>, HiveError> {
        Ok(Key { hive: self, node: self.node(base::root(&self.data))? })
    }

    /// The key at a path, or `None` if a part of the path does not exist. Case does not matter.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn find_key(&self, path: impl Into<KeyPath>) -> Result<Option<Key<'_>>, HiveError> {
        let mut key = self.root()?;
        for name in path.into().names() {
            match key.subkey(name)? {
                Some(subkey) => key = subkey,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// The key at a path, which must exist.
    ///
    /// # Errors
    /// [`HiveError::NoKey`], [`HiveError::Damaged`].
    pub fn key(&self, path: impl Into<KeyPath>) -> Result<Key<'_>, HiveError> {
        let path = path.into();
        self.find_key(&path)?.ok_or_else(|| HiveError::NoKey { path: path.to_string() })
    }

    /// The data of a value, or `None` if key or value do not exist.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn get(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<Data>, HiveError> {
        match self.find_key(path)? {
            Some(key) => key.value(name),
            None => Ok(None),
        }
    }

    /// A `REG_DWORD`, of either byte order.
    ///
    /// # Errors
    /// [`HiveError::WrongType`] where the value is something else, [`HiveError::Damaged`].
    pub fn get_dword(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<u32>, HiveError> {
        self.get_as(path.into(), name.into(), "a REG_DWORD of 4 bytes", Data::as_dword)
    }

    /// A `REG_QWORD`.
    ///
    /// # Errors
    /// As [`Hive::get_dword`].
    pub fn get_qword(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<u64>, HiveError> {
        self.get_as(path.into(), name.into(), "a REG_QWORD of 8 bytes", Data::as_qword)
    }

    /// A `REG_SZ`, `REG_EXPAND_SZ` or `REG_LINK`.
    ///
    /// # Errors
    /// As [`Hive::get_dword`].
    pub fn get_string(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<String>, HiveError> {
        self.get_as(path.into(), name.into(), "a string", Data::as_string)
    }

    /// A `REG_MULTI_SZ`.
    ///
    /// # Errors
    /// As [`Hive::get_dword`].
    pub fn get_multi_string(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<Vec<String>>, HiveError> {
        self.get_as(path.into(), name.into(), "a REG_MULTI_SZ", Data::as_multi_string)
    }

    /// A `REG_BINARY`.
    ///
    /// # Errors
    /// As [`Hive::get_dword`].
    pub fn get_binary(
        &self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<Option<Vec<u8>>, HiveError> {
        let take = |data: &Data| data.as_binary().map(<[u8]>::to_vec);
        self.get_as(path.into(), name.into(), "a REG_BINARY", take)
    }

    fn get_as<T>(
        &self,
        path: KeyPath,
        name: Name,
        wanted: &'static str,
        take: impl Fn(&Data) -> Option<T>,
    ) -> Result<Option<T>, HiveError> {
        let Some(data) = self.get(&path, &name)? else { return Ok(None) };
        match take(&data) {
            Some(taken) => Ok(Some(taken)),
            None => Err(HiveError::WrongType {
                path: path.to_string(),
                name: name.to_string(),
                wanted,
                found: data.kind,
            }),
        }
    }
}

/// A key, for reading.
#[derive(Clone)]
pub struct Key<'h> {
    pub(super) hive: &'h Hive,
    pub(super) node: Node,
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its name; empty for the default value.
    pub name: Name,
    /// Its type and bytes.
    pub data: Data,
}

impl<'h> Key<'h> {
    /// Its name, as it was given when the key was made.
    pub fn name(&self) -> &Name {
        &self.node.name
    }

    /// When its values, its list of subkeys or its security last changed.
    pub fn last_written(&self) -> FileTime {
        self.node.last_written
    }

    /// How many subkeys it has.
    pub fn subkey_count(&self) -> usize {
        self.node.subkeys as usize
    }

    /// How many values it has.
    pub fn value_count(&self) -> usize {
        self.node.values as usize
    }

    /// Its subkeys, in the order of the file: Windows' order of names.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn subkeys(&self) -> Result<Vec<Key<'h>>, HiveError> {
        self.hive.children(&self.node)?.into_iter().map(|cell| self.child(cell)).collect()
    }

    /// The names of its subkeys, as [`Name::text`].
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn subkey_names(&self) -> Result<Vec<String>, HiveError> {
        Ok(self.subkeys()?.iter().map(|key| key.name().text()).collect())
    }

    /// One subkey by name. Case does not matter.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn subkey(&self, name: impl Into<Name>) -> Result<Option<Key<'h>>, HiveError> {
        let found = self.hive.find_child(&self.node, &name.into())?;
        found.map(|cell| self.child(cell)).transpose()
    }

    /// A child says who its parent is. Reading insists that they agree: it keeps a damaged hive's
    /// keys from being reached twice.
    pub(super) fn child(&self, cell: u32) -> Result<Key<'h>, HiveError> {
        let node = self.hive.node(cell)?;
        if node.parent != self.node.cell {
            return Err(damaged(cell, "a key is listed under a key that is not its parent"));
        }
        Ok(Key { hive: self.hive, node })
    }

    /// Its values, in the order of the file: the order in which they were made.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn values(&self) -> Result<Vec<Value>, HiveError> {
        let mut values = Vec::new();
        let mut total = 0;
        for cell in self.hive.value_cells(&self.node)? {
            let entry = self.hive.value_entry(cell)?;
            // In a hive opened dirty, values may lie over each other, and be more than there is.
            total += entry.length();
            if total > self.hive.size() {
                return Err(damaged(cell, "a key's values are larger than the hive"));
            }
            let bytes = self.hive.value_bytes(&entry)?;
            let data = Data { kind: entry.kind.into(), bytes };
            values.push(Value { name: entry.name, data });
        }
        Ok(values)
    }

    /// The data of one value by name; the empty name is the default value. Case does not matter.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn value(&self, name: impl Into<Name>) -> Result<Option<Data>, HiveError> {
        let name = name.into();
        for cell in self.hive.value_cells(&self.node)? {
            let entry = self.hive.value_entry(cell)?;
            if entry.name.same(&name) {
                let bytes = self.hive.value_bytes(&entry)?;
                return Ok(Some(Data { kind: entry.kind.into(), bytes }));
            }
        }
        Ok(None)
    }

    /// Its class, a string that only few keys have (the boot key of `Control\Lsa` lies in classes).
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn class(&self) -> Result<Option<String>, HiveError> {
        self.hive.class_of(&self.node)
    }

    /// The security descriptor in self-relative form. ReactOS and other writers leave it out.
    ///
    /// # Errors
    /// [`HiveError::Damaged`].
    pub fn security_descriptor(&self) -> Result<Option<&'h [u8]>, HiveError> {
        self.hive.descriptor(self.node.security)
    }
}

impl std::fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?} at {:#x})", self.node.name, self.node.cell)
    }
}

impl Hive {
    fn class_of(&self, node: &Node) -> Result<Option<String>, HiveError> {
        if node.class_length == 0 || node.class == super::cells::NONE {
            return Ok(None);
        }
        let bytes = self
            .cell(node.class)?
            .get(..usize::from(node.class_length))
            .ok_or_else(|| damaged(node.class, "a class name is longer than its cell"))?;
        Ok(Some(String::from_utf16_lossy(&crate::bytes::utf16_units(bytes))))
    }
}
