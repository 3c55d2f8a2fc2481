//! Edits: keys and values made, replaced and deleted in place.

use super::error::damaged;
use super::key::{Node, field};
use super::name::Name;
use super::{Access, Data, Hive, HiveError, KeyPath, MAX_DEPTH, base};

impl Hive {
    /// Makes a key, and the keys above it that are missing. Returns whether it was missing.
    ///
    /// A new key shares the security descriptor of the key above it, or has none where that has none
    /// (version 1.3 as ReactOS writes it). Windows would leave out of it what is not marked as
    /// inheritable.
    ///
    /// # Errors
    /// [`HiveError::BadName`], [`HiveError::TooLarge`], [`HiveError::ReadOnly`],
    /// [`HiveError::Broken`], [`HiveError::Damaged`].
    pub fn create_key(&mut self, path: impl Into<KeyPath>) -> Result<bool, HiveError> {
        let path = path.into();
        self.check_path(&path)?;
        self.edit(|hive| Ok(hive.ensure_key(&path)?.1))
    }

    /// Deletes a key with all that is below it. Returns whether it existed.
    ///
    /// # Errors
    /// [`HiveError::RootKey`], [`HiveError::ReadOnly`], [`HiveError::Broken`],
    /// [`HiveError::Damaged`].
    pub fn delete_key(&mut self, path: impl Into<KeyPath>) -> Result<bool, HiveError> {
        let path = path.into();
        self.require_writable()?;
        if path.names().is_empty() {
            return Err(HiveError::RootKey);
        }
        let Some(node) = self.find_key(&path)?.map(|key| key.node) else { return Ok(false) };
        self.edit(|hive| {
            hive.remove_child(node.parent, node.cell)?;
            hive.lower_subkey_name(node.parent)?;
            hive.touch(node.parent)?;
            hive.free_tree(&node)
        })?;
        Ok(true)
    }

    /// Makes or replaces a value, and makes the key where it is missing.
    ///
    /// # Errors
    /// As [`Hive::create_key`].
    pub fn set_value(
        &mut self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
        data: &Data,
    ) -> Result<(), HiveError> {
        let (path, name) = (path.into(), name.into());
        self.check_path(&path)?;
        name.check_value()?;
        self.edit(|hive| {
            let (key, _) = hive.ensure_key(&path)?;
            hive.put_value(key, &name, data)?;
            hive.touch(key)
        })
    }

    /// Deletes a value. Returns whether it existed.
    ///
    /// # Errors
    /// [`HiveError::ReadOnly`], [`HiveError::Broken`], [`HiveError::Damaged`].
    pub fn delete_value(
        &mut self,
        path: impl Into<KeyPath>,
        name: impl Into<Name>,
    ) -> Result<bool, HiveError> {
        let name = name.into();
        self.require_writable()?;
        let Some(key) = self.find_key(path)?.map(|key| key.node.cell) else { return Ok(false) };
        if self.find_value_of(key, &name)? {
            return self.edit(|hive| {
                let removed = hive.remove_value(key, &name)?;
                hive.touch(key)?;
                Ok(removed)
            });
        }
        Ok(false)
    }

    /// Whether a path may be made. The names of keys that are there already are taken as they are:
    /// Windows' own programs make some that its documentation forbids.
    fn check_path(&self, path: &KeyPath) -> Result<(), HiveError> {
        self.require_writable()?;
        // The root key is the first level.
        if path.names().len() >= MAX_DEPTH {
            return Err(HiveError::TooLarge { what: "the depth of keys", limit: MAX_DEPTH as u64 });
        }
        let mut key = Some(self.root()?);
        for name in path.names() {
            key = key.map(|key| key.subkey(name)).transpose()?.flatten();
            if key.is_none() {
                name.check_key()?;
            }
        }
        Ok(())
    }

    /// Runs an edit. One that fails half way leaves the hive readable, but nothing is written of it.
    fn edit<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, HiveError>,
    ) -> Result<T, HiveError> {
        self.modified = true;
        let result = change(self);
        if result.is_err() {
            self.access = Access::Broken;
        }
        result
    }

    /// The cell of the key at a path, made if need be, and whether it was made.
    fn ensure_key(&mut self, path: &KeyPath) -> Result<(u32, bool), HiveError> {
        let mut key = base::root(&self.data);
        let mut made = false;
        for name in path.names() {
            let found = super::Key { hive: self, node: self.node(key)? }.subkey(name)?;
            match found.map(|subkey| subkey.node.cell) {
                Some(subkey) => key = subkey,
                None => {
                    key = self.create_child(key, name)?;
                    made = true;
                }
            }
        }
        Ok((key, made))
    }

    fn create_child(&mut self, parent: u32, name: &Name) -> Result<u32, HiveError> {
        let security = self.node(parent)?.security;
        self.retain_security(security)?;
        let child = self.write_node(name, parent, 0, security)?;
        self.insert_child(parent, child, name)?;
        let longest = self.longest_subkey_name(parent)?.max(name.utf16_len());
        self.put_longest_subkey_name(parent, longest)?;
        self.touch(parent)?;
        Ok(child)
    }

    fn touch(&mut self, key: u32) -> Result<(), HiveError> {
        let now = self.now();
        self.put(key, field::LAST_WRITTEN, &now.ticks().to_le_bytes())
    }

    /// Only the low half is the length; newer Windows keeps flags in the high half.
    fn longest_subkey_name(&self, key: u32) -> Result<u32, HiveError> {
        Ok(self.word(key, field::MAX_SUBKEY_NAME)? & 0xffff)
    }

    fn put_longest_subkey_name(&mut self, key: u32, length: u32) -> Result<(), HiveError> {
        let flags = self.word(key, field::MAX_SUBKEY_NAME)? & !0xffff;
        self.put_u32(key, field::MAX_SUBKEY_NAME, flags | length.min(0xffff))
    }

    fn lower_subkey_name(&mut self, key: u32) -> Result<(), HiveError> {
        let mut longest = 0;
        for child in self.children(&self.node(key)?)? {
            longest = longest.max(self.node(child)?.name.utf16_len());
        }
        self.put_longest_subkey_name(key, longest)
    }

    /// Releases every cell of a key and of all below it. The key is out of its parent's list already.
    fn free_tree(&mut self, top: &Node) -> Result<(), HiveError> {
        let mut pending = vec![top.cell];
        while let Some(cell) = pending.pop() {
            let node = self.node(cell)?;
            for child in self.children(&node)? {
                if self.node(child)?.parent != cell {
                    return Err(damaged(child, "a key is listed under a key not its parent"));
                }
                pending.push(child);
            }
            for list in self.list_cells(&node)? {
                self.release(list)?;
            }
            for value in self.value_cells(&node)? {
                let entry = self.value_entry(value)?;
                for data in self.data_cells(&entry)? {
                    self.release(data)?;
                }
                self.release(value)?;
            }
            if node.values > 0 {
                self.release(node.value_list)?;
            }
            if node.class_length > 0 && node.class != super::cells::NONE {
                self.release(node.class)?;
            }
            self.release_security(node.security)?;
            self.release(cell)?;
        }
        Ok(())
    }

    fn find_value_of(&self, key: u32, name: &Name) -> Result<bool, HiveError> {
        let node = self.node(key)?;
        for cell in self.value_cells(&node)? {
            if self.value_entry(cell)?.name.same(name) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
