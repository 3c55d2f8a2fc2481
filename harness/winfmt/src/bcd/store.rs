//! The store: objects and elements by name, over the hive.

use super::ids::known;
use super::{BcdError, BootStatusPolicy, ElementId, ElementValue, Object, ObjectType};
use crate::hive::{CreateOptions, Data, Hive, Version};
use crate::{FileTime, Guid};

/// A chain of `inherit` longer than this is a loop.
const MAX_INHERITANCE: usize = 16;

/// A boot configuration store.
#[derive(Debug, Clone)]
pub struct BcdStore {
    hive: Hive,
}

impl BcdStore {
    /// Opens a store.
    ///
    /// # Errors
    /// [`BcdError::Hive`] where the hive is damaged or dirty; [`BcdError::NotAStore`].
    pub fn open(bytes: Vec<u8>) -> Result<Self, BcdError> {
        Self::from_hive(Hive::open(bytes)?)
    }

    /// Takes a hive that is open already, also one that was opened dirty for reading only.
    ///
    /// # Errors
    /// [`BcdError::NotAStore`] where it has no key `Objects`.
    pub fn from_hive(hive: Hive) -> Result<Self, BcdError> {
        if hive.find_key("Objects")?.is_none() {
            return Err(BcdError::NotAStore { what: "it has no key `Objects`" });
        }
        Ok(Self { hive })
    }

    /// A new store with no object. The clock is the time of every key.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn create(clock: FileTime) -> Result<Self, BcdError> {
        let options = CreateOptions {
            version: Version::V1_3,
            file_name: r"\EFI\Microsoft\Boot\BCD".to_owned(),
            clock: Some(clock),
        };
        let mut hive = Hive::create_with("NewStoreRoot", &options)?;
        hive.set_value("Description", "KeyName", &Data::string("BCD00000000"))?;
        hive.set_value("Description", "System", &Data::dword(1))?;
        hive.set_value("Description", "TreatAsSystem", &Data::dword(1))?;
        hive.create_key("Objects")?;
        Ok(Self { hive })
    }

    /// Sets the time that edits write.
    pub fn set_clock(&mut self, clock: FileTime) {
        self.hive.set_clock(clock);
    }

    /// The hive below.
    pub fn hive(&self) -> &Hive {
        &self.hive
    }

    /// The hive below, to be saved.
    pub fn into_hive(self) -> Hive {
        self.hive
    }

    /// The finished file.
    ///
    /// # Errors
    /// [`BcdError::Hive`] after a failed edit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BcdError> {
        Ok(self.hive.to_bytes()?)
    }

    /// All objects, by id. A key that is no GUID is left out.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn objects(&self) -> Result<Vec<Object>, BcdError> {
        let mut objects = Vec::new();
        for name in self.hive.key("Objects")?.subkey_names()? {
            if let Ok(id) = name.parse()
                && let Some(object) = self.object(id)?
            {
                objects.push(object);
            }
        }
        Ok(objects)
    }

    /// One object. The aliases for "default" and "current" are not followed.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn object(&self, id: Guid) -> Result<Option<Object>, BcdError> {
        let Some(key) = self.hive.find_key(object_path(id))? else { return Ok(None) };
        let kind = self.hive.get_dword(description_path(id), "Type")?.unwrap_or_default();
        let mut elements = Vec::new();
        if let Some(list) = key.subkey("Elements")? {
            for element in list.subkeys()? {
                let name = element.name().text();
                let number = u32::from_str_radix(&name, 16).ok().filter(|_| name.len() == 8);
                if let Some(id) = number.map(ElementId)
                    && let Some(data) = element.value("Element")?
                {
                    elements.push((id, ElementValue::decode(id, data)));
                }
            }
        }
        Ok(Some(Object { id, kind: ObjectType(kind), elements }))
    }

    /// One element of an object itself, not of what it inherits.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn get(&self, object: Guid, element: ElementId) -> Result<Option<ElementValue>, BcdError> {
        let data = self.hive.get(element_path(object, element), "Element")?;
        Ok(data.map(|data| ElementValue::decode(element, data)))
    }

    /// One element of an object, or else of the first object that it inherits it from.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn effective(
        &self,
        object: Guid,
        element: ElementId,
    ) -> Result<Option<ElementValue>, BcdError> {
        Ok(self.effective_from(object, element)?.map(|(_, value)| value))
    }

    /// One element as [`BcdStore::effective`] gives it, with the object that it comes from.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn effective_from(
        &self,
        object: Guid,
        element: ElementId,
    ) -> Result<Option<(Guid, ElementValue)>, BcdError> {
        let mut pending = vec![object];
        let mut seen = Vec::new();
        while let Some(id) = pending.pop() {
            if seen.contains(&id) || seen.len() >= MAX_INHERITANCE {
                continue;
            }
            seen.push(id);
            if let Some(value) = self.get(id, element)? {
                return Ok(Some((id, value)));
            }
            if let Some(ElementValue::ObjectList(parents)) = self.get(id, ElementId::INHERIT)? {
                pending.extend(parents.into_iter().rev());
            }
        }
        Ok(None)
    }

    /// Adds an object, or changes the type of one that is there.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn add_object(&mut self, id: Guid, kind: ObjectType) -> Result<(), BcdError> {
        self.hive.set_value(description_path(id), "Type", &Data::dword(kind.0))?;
        self.hive.create_key(format!("{}\\Elements", object_path(id)))?;
        Ok(())
    }

    /// Deletes an object with its elements. References to it stay. Returns whether it was there.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn delete_object(&mut self, id: Guid) -> Result<bool, BcdError> {
        Ok(self.hive.delete_key(object_path(id))?)
    }

    /// Sets an element of an object that is there. One that holds the value already keeps its bytes,
    /// which Windows may have written a little differently.
    ///
    /// # Errors
    /// [`BcdError::NoObject`], [`BcdError::WrongKind`] where the id says another format,
    /// [`BcdError::Hive`].
    pub fn set(
        &mut self,
        object: Guid,
        element: ElementId,
        value: &ElementValue,
    ) -> Result<(), BcdError> {
        if self.hive.find_key(object_path(object))?.is_none() {
            return Err(BcdError::NoObject { id: object });
        }
        let wanted = element.format();
        if !value.fits(wanted) {
            return Err(BcdError::WrongKind { element, wanted, given: value.kind_name() });
        }
        if self.get(object, element)?.as_ref() == Some(value) {
            return Ok(());
        }
        Ok(self.hive.set_value(element_path(object, element), "Element", &value.encode())?)
    }

    /// Deletes an element. Returns whether it was there.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn delete(&mut self, object: Guid, element: ElementId) -> Result<bool, BcdError> {
        Ok(self.hive.delete_key(element_path(object, element))?)
    }

    /// The object that a text names: a GUID, an alias, `{default}` (the boot manager's default entry)
    /// or `{current}` (the same: an offline store was not started from).
    ///
    /// # Errors
    /// [`BcdError::UnknownName`], also for `{default}` where the boot manager has none.
    pub fn resolve(&self, text: &str) -> Result<Guid, BcdError> {
        let unknown = || BcdError::UnknownName { text: text.to_owned() };
        let id = text.parse().ok().or_else(|| known::by_alias(text)).ok_or_else(unknown)?;
        if id == known::DEFAULT || id == known::CURRENT {
            return self.default_id()?.ok_or_else(unknown);
        }
        Ok(id)
    }

    fn default_id(&self) -> Result<Option<Guid>, BcdError> {
        match self.get(known::BOOT_MANAGER, ElementId::DEFAULT_OBJECT)? {
            Some(ElementValue::Object(id)) => Ok(Some(id)),
            Some(_) => Err(BcdError::Malformed {
                object: known::BOOT_MANAGER,
                element: ElementId::DEFAULT_OBJECT,
                what: "it is not a GUID".to_owned(),
            }),
            None => Ok(None),
        }
    }

    /// The entry that the boot manager starts by default; the first of its menu where it names none.
    ///
    /// # Errors
    /// [`BcdError::NoObject`] where it names an object that is not there, [`BcdError::Malformed`],
    /// [`BcdError::Hive`].
    pub fn default_loader(&self) -> Result<Option<Object>, BcdError> {
        let id = match self.default_id()? {
            Some(id) => id,
            None => match self.objects_of(known::BOOT_MANAGER, ElementId::DISPLAY_ORDER)?.first() {
                Some(&id) => id,
                None => return Ok(None),
            },
        };
        self.object(id)?.map(Some).ok_or(BcdError::NoObject { id })
    }

    /// What is started instead of a loader that fails. Empty where there is nothing.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn recovery_sequence(&self, loader: Guid) -> Result<Vec<Guid>, BcdError> {
        self.objects_of(loader, ElementId::RECOVERY_SEQUENCE)
    }

    /// Whether a loader's recovery sequence is used. Where nothing is said it is (windows-facts.md
    /// 3.1).
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn recovery_enabled(&self, loader: Guid) -> Result<bool, BcdError> {
        self.boolean(loader, ElementId::RECOVERY_ENABLED).map(|value| value.unwrap_or(true))
    }

    /// Which failures of a loader count, if the store says so.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn boot_status_policy(&self, loader: Guid) -> Result<Option<BootStatusPolicy>, BcdError> {
        Ok(self.integer(loader, ElementId::BOOT_STATUS_POLICY)?.map(BootStatusPolicy::from))
    }

    /// The one-shot boot sequence, taken: it is gone afterwards, unless the boot manager is told to
    /// keep it. Empty where there is none. An entry that does not exist is for the caller to notice.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn take_boot_sequence(&mut self) -> Result<Vec<Guid>, BcdError> {
        let sequence = self.objects_of(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE)?;
        let keep = self.boolean(known::BOOT_MANAGER, ElementId::PERSIST_BOOT_SEQUENCE)?;
        if !sequence.is_empty() && keep != Some(true) {
            self.delete(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE)?;
        }
        Ok(sequence)
    }

    /// A boolean element, inherited ones included.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn boolean(&self, object: Guid, element: ElementId) -> Result<Option<bool>, BcdError> {
        self.typed(object, element, "it is not a boolean of one byte", |value| match value {
            ElementValue::Boolean(yes) => Some(yes),
            _ => None,
        })
    }

    /// An integer element, inherited ones included.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn integer(&self, object: Guid, element: ElementId) -> Result<Option<u64>, BcdError> {
        self.typed(object, element, "it is not an integer of eight bytes", |value| match value {
            ElementValue::Integer(number) => Some(number),
            _ => None,
        })
    }

    /// A string element, inherited ones included.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn string(&self, object: Guid, element: ElementId) -> Result<Option<String>, BcdError> {
        self.typed(object, element, "it is not a string", |value| match value {
            ElementValue::String(text) => Some(text),
            _ => None,
        })
    }

    /// A list of objects, inherited ones included. Empty where there is none.
    ///
    /// # Errors
    /// [`BcdError::Malformed`], [`BcdError::Hive`].
    pub fn objects_of(&self, object: Guid, element: ElementId) -> Result<Vec<Guid>, BcdError> {
        let list =
            self.typed(object, element, "it is not a list of GUIDs", |value| match value {
                ElementValue::ObjectList(ids) => Some(ids),
                _ => None,
            })?;
        Ok(list.unwrap_or_default())
    }

    fn typed<T>(
        &self,
        object: Guid,
        element: ElementId,
        what: &str,
        take: impl Fn(ElementValue) -> Option<T>,
    ) -> Result<Option<T>, BcdError> {
        let Some(value) = self.effective(object, element)? else { return Ok(None) };
        match take(value) {
            Some(taken) => Ok(Some(taken)),
            None => Err(BcdError::Malformed { object, element, what: what.to_owned() }),
        }
    }
}

fn object_path(id: Guid) -> String {
    format!("Objects\\{id}")
}

fn description_path(id: Guid) -> String {
    format!("Objects\\{id}\\Description")
}

fn element_path(object: Guid, element: ElementId) -> String {
    format!("Objects\\{object}\\Elements\\{element}")
}
