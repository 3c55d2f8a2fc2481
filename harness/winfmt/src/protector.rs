//! The understudy's stand-in for BitLocker's metadata: which key the volume wants, and what the TPM keeps.
//!
//! A format of this project. On Windows the protectors lie in the volume's own metadata, outside of its file
//! system, and the volume is encrypted; the understudy's is not, it only refuses to start without its key.

use crate::Guid;

/// Where it lies on the Windows volume.
pub const PATH: &str = r"System Volume Information\loopbreak-protector.txt";
/// Its first line.
const FIRST: &str = "loopbreak understudy: protector of this volume, format 1";
/// Blobs of a TPM have a few hundred bytes.
const MAX_SIZE: usize = 16 << 10;

/// What protects a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protector {
    /// Names the recovery key; its first eight digits are on the screen that asks for it.
    pub key_id: Guid,
    /// The platform configuration registers (0 to 23) whose values the TPM demands.
    pub registers: Vec<u8>,
    /// The sealed key. `None` until the first good start has sealed it.
    pub sealed: Option<Sealed>,
}

/// A key that only one TPM gives out, as TPM 2.0 hands it over to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// `TPM2B_PRIVATE`, with its length.
    pub private: Vec<u8>,
    /// `TPM2B_PUBLIC`, with its length.
    pub public: Vec<u8>,
}

/// A file is no protector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectorError {
    /// It does not begin as one.
    #[error("it is not a protector of the understudy")]
    NotAProtector,
    /// A line that is missing or says nothing sensible.
    #[error("its line `{0}` is missing or damaged")]
    Line(&'static str),
}

impl Protector {
    /// Reads it.
    ///
    /// # Errors
    /// It is none, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProtectorError> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_SIZE);
        let mut lines = text.ok_or(ProtectorError::NotAProtector)?.lines();
        if lines.next() != Some(FIRST) {
            return Err(ProtectorError::NotAProtector);
        }
        let lines: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(" = ")).collect();
        let value = |key| lines.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
        let key_id = value("key-id").and_then(|text| text.parse().ok());
        let registers = value("registers").and_then(registers);
        let sealed = match (value("private"), value("public")) {
            (None, None) => None,
            (private, public) => Some(Sealed {
                private: private.and_then(from_hex).ok_or(ProtectorError::Line("private"))?,
                public: public.and_then(from_hex).ok_or(ProtectorError::Line("public"))?,
            }),
        };
        Ok(Self {
            key_id: key_id.ok_or(ProtectorError::Line("key-id"))?,
            registers: registers.ok_or(ProtectorError::Line("registers"))?,
            sealed,
        })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let registers: Vec<String> = self.registers.iter().map(u8::to_string).collect();
        let mut text =
            format!("{FIRST}\nkey-id = {}\nregisters = {}\n", self.key_id, registers.join(","));
        if let Some(Sealed { private, public }) = &self.sealed {
            text += &format!("private = {}\npublic = {}\n", to_hex(private), to_hex(public));
        }
        text.into_bytes()
    }
}

fn registers(text: &str) -> Option<Vec<u8>> {
    let numbers: Option<Vec<u8>> = text.split(',').map(|number| number.parse().ok()).collect();
    numbers.filter(|numbers| numbers.iter().all(|number| *number < 24))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protectors_survive_and_other_files_are_refused() {
        let key_id = Guid::from_bytes([7; 16]);
        let sealed = Some(Sealed { private: vec![0, 1, 0xfe], public: vec![0xff] });
        for sealed in [None, sealed] {
            let protector = Protector { key_id, registers: vec![0, 2, 4, 23], sealed };
            assert_eq!(Protector::parse(&protector.to_bytes()), Ok(protector));
        }
        assert_eq!(Protector::parse(b"[protector]"), Err(ProtectorError::NotAProtector));
        let with = |line: &str| Protector::parse(format!("{FIRST}\n{line}").as_bytes());
        let id = format!("key-id = {key_id}\n");
        assert_eq!(with("registers = 7"), Err(ProtectorError::Line("key-id")));
        assert_eq!(with(&id), Err(ProtectorError::Line("registers")));
        assert_eq!(with(&format!("{id}registers = 24")), Err(ProtectorError::Line("registers")));
        let half = format!("{id}registers = 7\nprivate = 00");
        assert_eq!(with(&half), Err(ProtectorError::Line("public")));
        let odd = format!("{id}registers = 7\nprivate = 000\npublic = 00");
        assert_eq!(with(&odd), Err(ProtectorError::Line("private")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\n]{0,200}") {
            let _ = Protector::parse(format!("{FIRST}\n{text}").as_bytes());
        }
    }
}
