//! The stand-in channel file.
//!
//! The real format of such files is not public; this one is this project's own and has only what the
//! incident needs: a template that declares a number of fields, and for each field a pattern or a
//! wildcard. The content driver ([`crate::driver`]) interprets it.
//!
//! All numbers are little endian:
//!
//! | offset | size | what |
//! |---|---|---|
//! | 0 | 4 | magic, `LBCF` |
//! | 4 | 2 | version, 1 |
//! | 6 | 2 | declared fields |
//! | 8 | 4 | length of the whole file |
//! | 12 | | the fields, one after the other |
//!
//! A field is a u16 kind (0 wildcard, 1 pattern), a u16 length and that many bytes. The length in the
//! header lets a reader tell a file that is still being written from a complete one.

use scenario::{ChannelFile, Content, Damage, Scenario};

use crate::stage_error::StageError;

/// The first bytes of a channel file.
pub const MAGIC: [u8; 4] = *b"LBCF";
/// The version that this module writes and reads.
pub const VERSION: u16 = 1;
/// How many inputs the content driver hands over. Channel file 291's template declared 21
/// (windows-facts 5.1).
pub const DRIVER_INPUTS: usize = 20;

pub(crate) const HEADER: usize = 12;

/// One field of a channel file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Matches anything; nobody reads the input.
    Wildcard,
    /// Has to be equal to the input.
    Pattern(Vec<u8>),
}

/// Why bytes are no channel file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Too short for a header.
    #[error("{0} bytes are too few for a channel file; its header alone has {HEADER}")]
    Short(usize),
    /// Another beginning.
    #[error("this is not a channel file: it does not begin with `LBCF`")]
    Magic,
    /// Another version.
    #[error("channel file version {0} is not supported; this build reads version {VERSION}")]
    Version(u16),
    /// The header says another length.
    #[error("the channel file says that it has {declared} bytes and has {found}")]
    Length {
        /// By the header.
        declared: u32,
        /// Really.
        found: usize,
    },
    /// A field reaches beyond the end.
    #[error("field {0} of the channel file reaches beyond its end")]
    Field(usize),
    /// A field of an unknown kind.
    #[error("field {field} of the channel file is of the unknown kind {kind}")]
    Kind {
        /// Its number, from 1.
        field: usize,
        /// Its kind.
        kind: u16,
    },
}

/// Writes a channel file with these fields.
///
/// # Panics
/// With more than 65535 fields or a pattern of more than 65535 bytes; a scenario can hold neither.
pub fn build(fields: &[Field]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields {
        let (kind, bytes): (u16, &[u8]) = match field {
            Field::Wildcard => (0, &[]),
            Field::Pattern(bytes) => (1, bytes),
        };
        let length = u16::try_from(bytes.len()).expect("a pattern has at most 65535 bytes");
        body.extend_from_slice(&kind.to_le_bytes());
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(bytes);
    }
    let count = u16::try_from(fields.len()).expect("a channel file has at most 65535 fields");
    let length = u32::try_from(HEADER + body.len()).expect("65535 fields fit into 4 GiB");
    let mut file = Vec::with_capacity(HEADER + body.len());
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&count.to_le_bytes());
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&body);
    file
}

/// Reads a channel file. Bounded by the length of `bytes`.
///
/// # Errors
/// The bytes are not a complete, well-formed channel file.
pub fn parse(bytes: &[u8]) -> Result<Vec<Field>, ContentError> {
    let header = bytes.get(..HEADER).ok_or(ContentError::Short(bytes.len()))?;
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[..4] != MAGIC {
        return Err(ContentError::Magic);
    }
    if u16_at(4) != VERSION {
        return Err(ContentError::Version(u16_at(4)));
    }
    let declared = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if u64::from(declared) != bytes.len() as u64 {
        return Err(ContentError::Length { declared, found: bytes.len() });
    }
    let mut rest = &bytes[HEADER..];
    let mut fields = Vec::new();
    for number in 1..=usize::from(u16_at(6)) {
        let Some((&[kind_low, kind_high, length_low, length_high], after)) =
            rest.split_first_chunk::<4>()
        else {
            return Err(ContentError::Field(number));
        };
        let length = usize::from(u16::from_le_bytes([length_low, length_high]));
        let (pattern, after) = after.split_at_checked(length).ok_or(ContentError::Field(number))?;
        fields.push(match u16::from_le_bytes([kind_low, kind_high]) {
            0 => Field::Wildcard,
            1 => Field::Pattern(pattern.to_vec()),
            kind => return Err(ContentError::Kind { field: number, kind }),
        });
        rest = after;
    }
    Ok(fields)
}

/// The bytes of the channel file that a scenario describes.
pub fn channel_file(described: &ChannelFile) -> Vec<u8> {
    let fields: Vec<Field> = (1..=described.fields)
        .map(|number| match described.patterns.get(&number.to_string()) {
            Some(pattern) => Field::Pattern(pattern.clone().into_bytes()),
            None => Field::Wildcard,
        })
        .collect();
    let mut file = build(&fields);
    match described.damage {
        None => {}
        Some(Damage::ZeroFilled) => file.fill(0),
        Some(Damage::Truncated) => file.truncate(file.len() / 2),
        Some(Damage::WrongMagic) => file[..MAGIC.len()].copy_from_slice(b"????"),
        Some(Damage::VersionTooNew) => {
            file[4..6].copy_from_slice(&(VERSION + 1).to_le_bytes());
        }
        Some(Damage::CountMismatch) => {
            file[6..8].copy_from_slice(&(described.fields + 1).to_le_bytes());
        }
    }
    file
}

/// The bytes of what a scenario writes.
pub(crate) fn bytes_of(
    scenario: &Scenario,
    fault: &str,
    content: &Content,
) -> Result<Vec<u8>, StageError> {
    match content {
        Content::ChannelFile(described) => Ok(channel_file(described)),
        Content::Text(text) => Ok(text.clone().into_bytes()),
        Content::File(name) => scenario
            .files
            .get(name)
            .cloned()
            .ok_or_else(|| StageError::File { fault: fault.to_owned(), file: name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn described(damage: Option<Damage>) -> ChannelFile {
        let patterns = BTreeMap::from([("21".to_owned(), "x".to_owned())]);
        ChannelFile { fields: 21, patterns, damage }
    }

    #[test]
    fn a_described_file_has_its_pattern_in_the_right_field() {
        let fields = parse(&channel_file(&described(None))).unwrap();
        assert_eq!(fields.len(), 21);
        assert_eq!(fields[20], Field::Pattern(b"x".to_vec()));
        assert!(fields[..20].iter().all(|field| *field == Field::Wildcard));
    }

    #[test]
    fn each_damage_is_refused_for_its_own_reason() {
        let refusal = |damage| parse(&channel_file(&described(Some(damage)))).unwrap_err();
        assert_eq!(refusal(Damage::ZeroFilled), ContentError::Magic);
        assert_eq!(refusal(Damage::WrongMagic), ContentError::Magic);
        assert!(matches!(refusal(Damage::Truncated), ContentError::Length { .. }));
        assert_eq!(refusal(Damage::CountMismatch), ContentError::Field(22));
        assert_eq!(refusal(Damage::VersionTooNew), ContentError::Version(VERSION + 1));
    }

    proptest! {
        #[test]
        fn what_is_built_parses_back(patterns in prop::collection::vec(
            prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..64)) {
            let fields: Vec<Field> = patterns
                .into_iter()
                .map(|pattern| pattern.map_or(Field::Wildcard, Field::Pattern))
                .collect();
            prop_assert_eq!(parse(&build(&fields)).unwrap(), fields);
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300),
                                       proper in any::<bool>()) {
            if proper && bytes.len() >= HEADER {
                let length = bytes.len() as u32;
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
                bytes[8..12].copy_from_slice(&length.to_le_bytes());
            }
            let _ = parse(&bytes);
        }
    }
}
