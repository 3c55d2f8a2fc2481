//! The variable store of edk2 firmware, as OVMF keeps it in the second flash chip.
//!
//! Layout: edk2, `MdePkg/Include/Pi/PiFirmwareVolume.h` and
//! `MdeModulePkg/Include/Guid/VariableFormat.h`. Only what is needed to find a variable is read.

use winfmt::Guid;

/// `EFI_FIRMWARE_VOLUME_HEADER`: the signature, and the length of the header.
const SIGNATURE: std::ops::Range<usize> = 0x28..0x2c;
const HEADER_LENGTH: usize = 0x30;
/// `VARIABLE_STORE_HEADER`.
const STORE_HEADER: usize = 28;
/// Size of `AUTHENTICATED_VARIABLE_HEADER`.
const VARIABLE_HEADER: usize = 60;
const START: u16 = 0x55aa;
/// State of a variable that counts: added, and perhaps about to be replaced.
const ADDED: [u8; 2] = [0x3f, 0x3e];
/// `gEfiAuthenticatedVariableGuid`.
const AUTHENTICATED: &str = "{aaf32c78-947b-439a-a180-2e144ec37792}";
/// A store of a few hundred KiB holds no more.
const MAX_VARIABLES: usize = 16_384;

/// The variables of a store that count.
#[derive(Debug)]
pub(crate) struct Variables(Vec<Variable>);

#[derive(Debug)]
struct Variable {
    vendor: Guid,
    name: String,
    data: Vec<u8>,
}

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariablesError {
    #[error("it is no variable store of edk2: it has no firmware volume header")]
    NotAVolume,
    #[error("its variable store is of another kind than OVMF's")]
    OtherStore,
    #[error("its variable store is damaged at byte {0:#x}")]
    Damaged(usize),
}

impl Variables {
    /// Reads a store.
    pub(crate) fn parse(flash: &[u8]) -> Result<Self, VariablesError> {
        if flash.get(SIGNATURE) != Some(b"_FVH") {
            return Err(VariablesError::NotAVolume);
        }
        let start = half(flash, HEADER_LENGTH).ok_or(VariablesError::NotAVolume)?.into();
        let store = flash.get(start..).ok_or(VariablesError::NotAVolume)?;
        let kind = Guid::read_at(store, 0).ok_or(VariablesError::NotAVolume)?;
        if kind.to_string() != AUTHENTICATED {
            return Err(VariablesError::OtherStore);
        }
        let damaged = |at: usize| VariablesError::Damaged(start.saturating_add(at));
        let size = word(store, 16).ok_or_else(|| damaged(16))? as usize;
        let store = store.get(..size).ok_or_else(|| damaged(16))?;
        let mut variables = Vec::new();
        let mut at = STORE_HEADER;
        while half(store, at) == Some(START) && variables.len() < MAX_VARIABLES {
            let state = store.get(at + 2).copied().ok_or_else(|| damaged(at))?;
            let name_size = word(store, at + 36).ok_or_else(|| damaged(at))? as usize;
            let data_size = word(store, at + 40).ok_or_else(|| damaged(at))? as usize;
            let vendor = Guid::read_at(store, at + 44).ok_or_else(|| damaged(at))?;
            let name_at = at + VARIABLE_HEADER;
            let data_at = name_at.checked_add(name_size).ok_or_else(|| damaged(at))?;
            let end = data_at.checked_add(data_size).ok_or_else(|| damaged(at))?;
            let name = store.get(name_at..data_at).ok_or_else(|| damaged(at))?;
            let data = store.get(data_at..end).ok_or_else(|| damaged(at))?;
            if ADDED.contains(&state) {
                variables.push(Variable { vendor, name: text(name), data: data.to_vec() });
            }
            at = end.next_multiple_of(4);
        }
        Ok(Self(variables))
    }

    /// The bytes of a variable.
    pub(crate) fn get(&self, vendor: &str, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|own| own.name == name && own.vendor.to_string() == vendor)
            .map(|own| own.data.as_slice())
    }
}

fn text(bytes: &[u8]) -> String {
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A store with one variable.
    fn store(state: u8, name: &str, data: &[u8]) -> Vec<u8> {
        let vendor: Guid = crate::firmware::GLOBAL.parse().unwrap();
        let kind: Guid = AUTHENTICATED.parse().unwrap();
        let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let mut variable = START.to_le_bytes().to_vec();
        variable.extend([state, 0]);
        variable.extend([0; 32]);
        variable.extend((name.len() as u32).to_le_bytes());
        variable.extend((data.len() as u32).to_le_bytes());
        variable.extend(vendor.to_bytes());
        variable.extend(&name);
        variable.extend(data);
        let mut flash = vec![0; 0x48];
        flash[SIGNATURE].copy_from_slice(b"_FVH");
        flash[HEADER_LENGTH] = 0x48;
        flash.extend(kind.to_bytes());
        flash.extend(0x400u32.to_le_bytes());
        flash.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        flash.extend(variable);
        flash.resize(0x48 + 0x400, 0xff);
        flash
    }

    #[test]
    fn deleted_variables_do_not_count() {
        let found = Variables::parse(&store(0x3f, "PK", b"key")).unwrap();
        assert_eq!(found.get(crate::firmware::GLOBAL, "PK"), Some(&b"key"[..]));
        let deleted = Variables::parse(&store(0x3d, "PK", b"key")).unwrap();
        assert_eq!(deleted.get(crate::firmware::GLOBAL, "PK"), None);
        assert_eq!(Variables::parse(&[0; 0x100]).unwrap_err(), VariablesError::NotAVolume);
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused(at in 0usize..0x100, byte: u8, keep in 0usize..0x448) {
            let mut flash = store(0x3f, "SecureBootEnable", &[1]);
            flash[at] = byte;
            flash.truncate(keep);
            let _ = Variables::parse(&flash);
        }
    }
}
