//! The variable store of edk2 firmware, as OVMF keeps it in the second flash chip: Secure Boot's databases
//! and everything else that the firmware remembers.
//!
//! Layout: edk2, `MdePkg/Include/Pi/PiFirmwareVolume.h` and
//! `MdeModulePkg/Include/Guid/VariableFormat.h`. A store is read as a whole and written as a whole, without
//! the variables that were deleted; this is what the firmware itself does when its store is full. What lies
//! behind it, the area for interrupted writes, is left as it is.

use crate::Guid;
use crate::bytes::{u16_at, u32_at, utf16_bytes, utf16_units};

/// `EFI_FIRMWARE_VOLUME_HEADER`: the signature, and the length of the header.
const SIGNATURE: std::ops::Range<usize> = 0x28..0x2c;
const HEADER_LENGTH: usize = 0x30;
/// `VARIABLE_STORE_HEADER`.
const STORE_HEADER: usize = 28;
/// `AUTHENTICATED_VARIABLE_HEADER`.
const VARIABLE_HEADER: usize = 60;
const START: u16 = 0x55aa;
/// A variable that counts.
const ADDED: u8 = 0x3f;
/// One that counts as long as no other replaces it.
const BEING_REPLACED: u8 = 0x3e;
/// `gEfiAuthenticatedVariableGuid`.
const AUTHENTICATED: Guid = Guid::from_fields(
    0xaaf3_2c78,
    0x947b,
    0x439a,
    [0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92],
);
/// A store of a few hundred KiB holds no more.
const MAX_VARIABLES: usize = 16_384;

/// `gEfiGlobalVariableGuid` (UEFI 2.10, 3.3): owner of `PK` and `KEK`.
pub const GLOBAL: Guid = Guid::from_fields(
    0x8be4_df61,
    0x93ca,
    0x11d2,
    [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c],
);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID` (UEFI 2.10, 32.4.1): owner of `db` and `dbx`.
pub const IMAGE_SECURITY: Guid = Guid::from_fields(
    0xd719_b2cb,
    0x3d3a,
    0x4596,
    [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f],
);
/// `EFI_CERT_SHA256_GUID` (UEFI 2.10, 32.4.1): the type of a list of SHA-256 digests.
const CERT_SHA256: Guid = Guid::from_fields(
    0xc1c4_1626,
    0x504c,
    0x4092,
    [0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28],
);

/// Attributes of a variable (UEFI 2.10, 8.2).
pub mod attributes {
    /// Kept over a restart, and read before the operating system runs.
    pub const BOOT: u32 = 0x3;
    /// As `db` and `dbx` are: kept, read at any time, written only by whoever signs with a time.
    pub const SIGNATURES: u32 = 0x27;
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Whose it is; part of the name.
    pub vendor: Guid,
    /// Its name.
    pub name: String,
    /// What it may be used for; see [`attributes`].
    pub attributes: u32,
    /// What it holds.
    pub data: Vec<u8>,
    /// Of the header: counter, time and key of the last signed write, bytes 8 to 36.
    signed: [u8; 28],
}

impl Variable {
    /// A variable that nobody has signed.
    pub fn new(vendor: Guid, name: &str, attributes: u32, data: Vec<u8>) -> Self {
        Self { vendor, name: name.to_owned(), attributes, data, signed: [0; 28] }
    }

    /// Its place in the store, with what rounds it up.
    fn size(&self) -> usize {
        let name = (self.name.encode_utf16().count() + 1) * 2;
        (VARIABLE_HEADER + name + self.data.len()).next_multiple_of(4)
    }

    fn write(&self, into: &mut Vec<u8>) {
        let name = utf16_bytes(self.name.encode_utf16().chain([0]));
        // A store has a few hundred KiB, and `set` refuses what does not fit into it.
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        into.extend(START.to_le_bytes());
        into.extend([ADDED, 0]);
        into.extend(self.attributes.to_le_bytes());
        into.extend(self.signed);
        into.extend(size(name.len()));
        into.extend(size(self.data.len()));
        into.extend(self.vendor.to_bytes());
        into.extend(name);
        into.extend(&self.data);
        into.resize(into.len().next_multiple_of(4), 0xff);
    }
}

/// The variables that a flash chip holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableStore {
    /// The whole chip as it was read.
    flash: Vec<u8>,
    /// Where in it the variables are, behind the store's header.
    area: std::ops::Range<usize>,
    variables: Vec<Variable>,
}

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariablesError {
    /// No firmware volume.
    #[error("it is not a variable store of edk2: it has no firmware volume header")]
    NotAVolume,
    /// Something else than authenticated variables.
    #[error("its variable store is of another kind than OVMF's")]
    OtherStore,
    /// A variable that reaches out of the store.
    #[error("its variable store is damaged at byte {0:#x}")]
    Damaged(usize),
    /// A change that does not fit.
    #[error("its variable store has {room} bytes, and with `{name}` it would need {needed}")]
    Full {
        /// What was to be written.
        name: String,
        /// Bytes for all variables.
        needed: usize,
        /// Bytes that there are.
        room: usize,
    },
}

impl VariableStore {
    /// Reads the chip's content.
    ///
    /// # Errors
    /// It is no store of OVMF's kind, or it is damaged.
    pub fn open(flash: Vec<u8>) -> Result<Self, VariablesError> {
        if flash.get(SIGNATURE) != Some(b"_FVH") {
            return Err(VariablesError::NotAVolume);
        }
        let start: usize = u16_at(&flash, HEADER_LENGTH).ok_or(VariablesError::NotAVolume)?.into();
        let store = flash.get(start..).ok_or(VariablesError::NotAVolume)?;
        if Guid::read_at(store, 0).ok_or(VariablesError::NotAVolume)? != AUTHENTICATED {
            return Err(VariablesError::OtherStore);
        }
        let damaged = |at: usize| VariablesError::Damaged(start.saturating_add(at));
        let size = u32_at(store, 16).ok_or_else(|| damaged(16))? as usize;
        let store =
            store.get(..size).filter(|_| size >= STORE_HEADER).ok_or_else(|| damaged(16))?;
        let mut found: Vec<(u8, Variable)> = Vec::new();
        let mut at = STORE_HEADER;
        while u16_at(store, at) == Some(START) && found.len() < MAX_VARIABLES {
            let (state, variable, end) = read(store, at).ok_or_else(|| damaged(at))?;
            if [ADDED, BEING_REPLACED].contains(&state) {
                found.push((state, variable));
            }
            at = end.next_multiple_of(4);
        }
        let replaced = |(state, old): &(u8, Variable)| {
            *state == BEING_REPLACED
                && found.iter().any(|(state, new)| {
                    *state == ADDED && (new.vendor, &new.name) == (old.vendor, &old.name)
                })
        };
        let variables =
            found.iter().filter(|entry| !replaced(entry)).map(|(_, own)| own.clone()).collect();
        Ok(Self { area: start + STORE_HEADER..start + size, flash, variables })
    }

    /// All of them.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// A variable.
    pub fn get(&self, vendor: Guid, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|own| own.vendor == vendor && own.name == name)
    }

    /// Puts a variable in, in place of what has its name. Attributes, and who signed it when, stay those
    /// that were there. Nothing checks a signature: this is the chip, not the firmware.
    ///
    /// # Errors
    /// It does not fit; the store is then as it was.
    pub fn set(&mut self, mut variable: Variable) -> Result<(), VariablesError> {
        let same = |own: &Variable| own.vendor == variable.vendor && own.name == variable.name;
        let place = self.variables.iter().position(same);
        let others = self.variables.iter().filter(|own| !same(own)).map(Variable::size);
        let needed = others.sum::<usize>().saturating_add(variable.size());
        if needed > self.area.len() {
            let room = self.area.len();
            return Err(VariablesError::Full { name: variable.name, needed, room });
        }
        match place.and_then(|index| self.variables.get_mut(index)) {
            Some(own) => {
                (variable.attributes, variable.signed) = (own.attributes, own.signed);
                *own = variable;
            }
            None => self.variables.push(variable),
        }
        Ok(())
    }

    /// Takes a variable out. True if it was there.
    pub fn remove(&mut self, vendor: Guid, name: &str) -> bool {
        let before = self.variables.len();
        self.variables.retain(|own| own.vendor != vendor || own.name != name);
        self.variables.len() < before
    }

    /// The chip's content as it is now.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut area = Vec::with_capacity(self.area.len());
        for variable in &self.variables {
            variable.write(&mut area);
        }
        // What flash holds where nothing was written.
        area.resize(self.area.len(), 0xff);
        let mut flash = self.flash.clone();
        flash[self.area.clone()].copy_from_slice(&area[..self.area.len()]);
        flash
    }
}

/// State, variable and end of what lies at `at`.
fn read(store: &[u8], at: usize) -> Option<(u8, Variable, usize)> {
    let name_at = at.checked_add(VARIABLE_HEADER)?;
    let data_at = name_at.checked_add(u32_at(store, at + 36)? as usize)?;
    let end = data_at.checked_add(u32_at(store, at + 40)? as usize)?;
    let name = utf16_units(store.get(name_at..data_at)?);
    let length = name.iter().position(|unit| *unit == 0)?;
    let variable = Variable {
        vendor: Guid::read_at(store, at + 44)?,
        name: String::from_utf16_lossy(&name[..length]),
        attributes: u32_at(store, at + 4)?,
        data: store.get(data_at..end)?.to_vec(),
        signed: store.get(at + 8..at + 36)?.try_into().ok()?,
    };
    Some((*store.get(at + 2)?, variable, end))
}

/// An `EFI_SIGNATURE_LIST` with one SHA-256 digest of a program: in `dbx`, one that must not be started
/// (UEFI 2.10, 32.4.1).
pub fn digest_list(owner: Guid, digest: [u8; 32]) -> Vec<u8> {
    const SIGNATURE_SIZE: u32 = 16 + 32;
    const LIST_SIZE: u32 = 28 + SIGNATURE_SIZE;
    let mut list = CERT_SHA256.to_bytes().to_vec();
    for number in [LIST_SIZE, 0, SIGNATURE_SIZE] {
        list.extend(number.to_le_bytes());
    }
    list.extend(owner.to_bytes());
    list.extend(digest);
    list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A chip with an empty store of 1 KiB, and something behind it.
    fn chip() -> Vec<u8> {
        let mut flash = vec![0; 0x48];
        flash[SIGNATURE].copy_from_slice(b"_FVH");
        flash[HEADER_LENGTH] = 0x48;
        flash.extend(AUTHENTICATED.to_bytes());
        flash.extend(0x400u32.to_le_bytes());
        flash.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        flash.resize(0x48 + 0x400, 0xff);
        flash.extend([7; 64]);
        flash
    }

    fn store(name: &str, data: &[u8]) -> VariableStore {
        let mut store = VariableStore::open(chip()).unwrap();
        store.set(Variable::new(GLOBAL, name, attributes::BOOT, data.to_vec())).unwrap();
        store
    }

    const STATE: usize = 0x48 + STORE_HEADER + 2;

    #[test]
    fn what_was_put_in_is_read_back_and_taken_out() {
        let mut written = store("PK", b"key");
        let bytes = written.to_bytes();
        assert_eq!(bytes[0x448..], [7; 64], "what lies behind the store changed");
        let mut read = VariableStore::open(bytes).unwrap();
        assert_eq!(read.get(GLOBAL, "PK").unwrap().data, b"key");
        assert!(read.get(IMAGE_SECURITY, "PK").is_none());
        read.set(Variable::new(GLOBAL, "PK", attributes::SIGNATURES, b"other".to_vec())).unwrap();
        let replaced = read.get(GLOBAL, "PK").unwrap();
        assert_eq!(
            (replaced.attributes, replaced.data.as_slice()),
            (attributes::BOOT, &b"other"[..])
        );
        assert!(written.remove(GLOBAL, "PK") && !written.remove(GLOBAL, "PK"));
        assert_eq!(written.to_bytes(), chip());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut full = store("PK", b"key");
        let before = full.clone();
        let large = Variable::new(GLOBAL, "db", attributes::BOOT, vec![0; 0x400]);
        assert!(matches!(full.set(large), Err(VariablesError::Full { room: 0x3e4, .. })));
        assert_eq!(full, before);
    }

    #[test]
    fn deleted_variables_do_not_count_and_half_replaced_ones_do() {
        let read = |state: u8| {
            let mut bytes = store("PK", b"key").to_bytes();
            bytes[STATE] = state;
            VariableStore::open(bytes).unwrap().variables().len()
        };
        assert_eq!([ADDED, BEING_REPLACED, 0x3d, 0x3c, 0x7f].map(read), [1, 1, 0, 0, 0]);
        let mut two = store("PK", b"new");
        two.variables.insert(0, Variable::new(GLOBAL, "PK", attributes::BOOT, b"old".to_vec()));
        let mut bytes = two.to_bytes();
        bytes[STATE] = BEING_REPLACED;
        let read = VariableStore::open(bytes).unwrap();
        assert_eq!(read.variables().len(), 1);
        assert_eq!(read.get(GLOBAL, "PK").unwrap().data, b"new");
    }

    #[test]
    fn other_chips_are_refused() {
        let mut other = chip();
        assert_eq!(VariableStore::open(vec![0; 0x100]), Err(VariablesError::NotAVolume));
        other[0x48] ^= 1;
        assert_eq!(VariableStore::open(other.clone()), Err(VariablesError::OtherStore));
        other[0x48] ^= 1;
        other[0x48 + 18] = 0xff;
        assert_eq!(VariableStore::open(other), Err(VariablesError::Damaged(0x58)));
    }

    /// Debian's OVMF brings stores without keys, with Microsoft's and with one of its own.
    #[test]
    fn real_stores_are_read_and_edited() {
        for (file, count) in
            // Debian 12's have 31, by virt-firmware's count; another release's a few more or less.
            [
                ("OVMF_VARS_4M.fd", 0),
                ("OVMF_VARS_4M.ms.fd", 20),
                ("OVMF_VARS_4M.snakeoil.fd", 20),
            ]
        {
            let Ok(flash) = std::fs::read(std::path::Path::new("/usr/share/OVMF").join(file))
            else {
                println!("skipped: there is no {file}");
                continue;
            };
            let mut store = VariableStore::open(flash.clone()).unwrap();
            assert!(store.variables().len() >= count, "{file}: {}", store.variables().len());
            let keys = [(GLOBAL, "PK"), (GLOBAL, "KEK"), (IMAGE_SECURITY, "db")];
            for (vendor, name) in keys {
                assert_eq!(store.get(vendor, name).is_some(), count > 0, "{file}: {name}");
            }
            let before = store.clone();
            let mut list =
                store.get(IMAGE_SECURITY, "dbx").map(|dbx| dbx.data.clone()).unwrap_or_default();
            // Debian's stores forbid one program, of the type that is written here.
            if count > 0 {
                assert_eq!(list.len(), digest_list(GLOBAL, [0; 32]).len(), "{file}");
                assert_eq!(list[..28], digest_list(GLOBAL, [0; 32])[..28], "{file}");
            }
            list.extend(digest_list(GLOBAL, [1; 32]));
            let dbx = Variable::new(IMAGE_SECURITY, "dbx", attributes::SIGNATURES, list.clone());
            store.set(dbx).unwrap();
            let read = VariableStore::open(store.to_bytes()).unwrap();
            let dbx = read.get(IMAGE_SECURITY, "dbx").unwrap();
            assert_eq!((&dbx.data, dbx.attributes), (&list, attributes::SIGNATURES), "{file}");
            assert_eq!(read.variables().len(), before.variables().len() + usize::from(count == 0));
            // Behind the store nothing moved.
            assert_eq!(store.to_bytes()[before.area.end..], flash[before.area.end..]);
        }
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused(
            damage in prop::collection::vec((0usize..0x448, any::<u8>()), 1..8),
            keep in 0usize..0x488,
        ) {
            let mut flash = store("SecureBootEnable", &[1]).to_bytes();
            for (at, byte) in damage {
                flash[at] = byte;
            }
            flash.truncate(keep);
            if let Ok(read) = VariableStore::open(flash) {
                // What was read once is written so that it reads the same.
                let again = VariableStore::open(read.to_bytes()).unwrap();
                prop_assert_eq!(again.variables(), read.variables());
            }
        }

        #[test]
        fn any_variables_survive(
            named in prop::collection::btree_map("[a-zA-Z0-9]{1,12}", prop::collection::vec(any::<u8>(), 0..40), 0..8),
        ) {
            let mut store = VariableStore::open(chip()).unwrap();
            for (name, data) in &named {
                store.set(Variable::new(GLOBAL, name, attributes::BOOT, data.clone())).unwrap();
            }
            let read = VariableStore::open(store.to_bytes()).unwrap();
            prop_assert_eq!(read.variables().len(), named.len());
            for (name, data) in &named {
                prop_assert_eq!(&read.get(GLOBAL, name).unwrap().data, data);
            }
        }
    }
}
