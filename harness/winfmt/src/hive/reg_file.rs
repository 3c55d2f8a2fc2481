//! Keys as registration entries: `.reg` files, in the form that the registry editor of Windows writes
//! ("Windows Registry Editor Version 5.00").
//!
//! Text is written as text only where reading it back gives the same bytes: terminated once, no
//! control characters. Everything else is written as the bytes that it is, as the registry editor does
//! for all types but three.

use super::{Data, Hive, HiveError, Key, KeyPath, ValueType};
use crate::bytes::{utf16_bytes, utf16_units};

/// A line of bytes is broken behind the byte that reaches this column.
const BREAK: usize = 77;

/// How a `.reg` file is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegEncoding {
    /// UTF-8, lines end with a line feed: for people and tools here. A name that is not valid text
    /// shows U+FFFD.
    Utf8,
    /// UTF-16 with a byte order mark, lines end with carriage return and line feed: as Windows writes
    /// and reads it. Every name survives.
    Utf16,
}

impl Hive {
    /// A key with all below it as a `.reg` file. `root` is what the hive's root key is called there,
    /// such as `HKEY_LOCAL_MACHINE\SYSTEM`.
    ///
    /// # Errors
    /// [`HiveError::NoKey`], [`HiveError::Damaged`].
    pub fn export(
        &self,
        path: impl Into<KeyPath>,
        root: &str,
        encoding: RegEncoding,
    ) -> Result<Vec<u8>, HiveError> {
        let path = path.into();
        let mut top = self.root()?;
        let mut text = Text { units: Vec::new(), encoding };
        text.line("Windows Registry Editor Version 5.00");
        text.line("");
        let mut place: Vec<u16> = root.encode_utf16().collect();
        for name in path.names() {
            let below = top.subkey(name)?;
            top = below.ok_or_else(|| HiveError::NoKey { path: path.to_string() })?;
            place.push(u16::from(b'\\'));
            place.extend_from_slice(top.name().units());
        }
        let mut pending = vec![(place, top)];
        while let Some((place, key)) = pending.pop() {
            text.key(&place, &key)?;
            for subkey in key.subkeys()?.into_iter().rev() {
                let mut below = place.clone();
                below.push(u16::from(b'\\'));
                below.extend_from_slice(subkey.name().units());
                pending.push((below, subkey));
            }
        }
        Ok(text.finish())
    }
}

struct Text {
    units: Vec<u16>,
    encoding: RegEncoding,
}

impl Text {
    fn push(&mut self, text: &str) {
        self.units.extend(text.encode_utf16());
    }

    fn line(&mut self, text: &str) {
        self.push(text);
        self.push(match self.encoding {
            RegEncoding::Utf8 => "\n",
            RegEncoding::Utf16 => "\r\n",
        });
    }

    fn key(&mut self, place: &[u16], key: &Key<'_>) -> Result<(), HiveError> {
        self.push("[");
        self.units.extend_from_slice(place);
        self.line("]");
        for value in key.values()? {
            let from = self.units.len();
            if value.name.is_empty() {
                self.push("@");
            } else {
                self.quoted(value.name.units());
            }
            self.push("=");
            self.data(&value.data, from);
            self.line("");
        }
        self.line("");
        Ok(())
    }

    fn quoted(&mut self, units: &[u16]) {
        self.push("\"");
        for &unit in units {
            if unit == u16::from(b'"') || unit == u16::from(b'\\') {
                self.push("\\");
            }
            self.units.push(unit);
        }
        self.push("\"");
    }

    /// `from` is where the line begins.
    fn data(&mut self, data: &Data, from: usize) {
        match data.kind {
            ValueType::String => {
                if let Some(units) = plain_text(&data.bytes) {
                    return self.quoted(&units);
                }
            }
            ValueType::Dword => {
                if let Some(number) = data.as_dword() {
                    return self.push(&format!("dword:{number:08x}"));
                }
            }
            _ => {}
        }
        match data.kind {
            ValueType::Binary => self.push("hex:"),
            kind => self.push(&format!("hex({:x}):", u32::from(kind))),
        }
        let mut column = self.units.len() - from;
        let mut bytes = data.bytes.iter().peekable();
        while let Some(byte) = bytes.next() {
            self.push(&format!("{byte:02x}"));
            if bytes.peek().is_none() {
                break;
            }
            self.push(",");
            column += 3;
            if column >= BREAK {
                self.line("\\");
                self.push("  ");
                column = 2;
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self.encoding {
            RegEncoding::Utf8 => String::from_utf16_lossy(&self.units).into_bytes(),
            RegEncoding::Utf16 => utf16_bytes([0xfeff].into_iter().chain(self.units)),
        }
    }
}

/// The units of a text that survives quotes: valid, terminated once at its end, with no control
/// characters (a line end within quotes is not read by every reader).
fn plain_text(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = utf16_units(bytes);
    let terminated = bytes.len().is_multiple_of(2) && units.pop() == Some(0);
    let valid = char::decode_utf16(units.iter().copied())
        .all(|unit| unit.is_ok_and(|unit| !unit.is_control() && unit != '\u{feff}'));
    (terminated && valid).then_some(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Hive {
        let mut hive = Hive::create("ROOT").unwrap();
        let key = r"Services\bad";
        hive.set_value(key, "", &Data::string("default")).unwrap();
        hive.set_value(key, r#"quo"te\"#, &Data::string(r#"C:\a "b""#)).unwrap();
        hive.set_value(key, "Start", &Data::dword(3)).unwrap();
        hive.set_value(key, "short", &Data { kind: ValueType::Dword, bytes: vec![1] }).unwrap();
        hive.set_value(key, "path", &Data::expand_string("%a%")).unwrap();
        hive.set_value(key, "list", &Data::multi_string(["a"])).unwrap();
        hive.set_value(key, "q", &Data::qword(1)).unwrap();
        hive.set_value(key, "lines", &Data::string("a\nb")).unwrap();
        hive.set_value(key, "none", &Data { kind: ValueType::None, bytes: Vec::new() }).unwrap();
        hive.set_value(key, "Security", &Data::binary((0..60).collect::<Vec<u8>>())).unwrap();
        hive.create_key(r"Services\bad\ключ").unwrap();
        hive
    }

    #[test]
    fn as_the_registry_editor_writes_it() {
        let hive = sample();
        let root = r"HKEY_LOCAL_MACHINE\SYSTEM";
        let bytes = hive.export("services", root, RegEncoding::Utf8).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SYSTEM\Services]

[HKEY_LOCAL_MACHINE\SYSTEM\Services\bad]
@="default"
"quo\"te\\"="C:\\a \"b\""
"Start"=dword:00000003
"short"=hex(4):01
"path"=hex(2):25,00,61,00,25,00,00,00
"list"=hex(7):61,00,00,00,00,00
"q"=hex(b):01,00,00,00,00,00,00,00
"lines"=hex(1):61,00,0a,00,62,00,00,00
"none"=hex(0):
"Security"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,\
  15,16,17,18,19,1a,1b,1c,1d,1e,1f,20,21,22,23,24,25,26,27,28,29,2a,2b,2c,2d,\
  2e,2f,30,31,32,33,34,35,36,37,38,39,3a,3b

[HKEY_LOCAL_MACHINE\SYSTEM\Services\bad\ключ]

"#
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        let wide = hive.export("services", root, RegEncoding::Utf16).unwrap();
        assert_eq!(wide[..2], [0xff, 0xfe]);
        let wide = String::from_utf16(&utf16_units(&wide[2..])).unwrap();
        assert_eq!(wide, text.replace('\n', "\r\n"));
    }

    #[test]
    fn only_what_survives_is_written_as_text() {
        let text = |bytes: &[u8]| plain_text(bytes).map(|units| String::from_utf16_lossy(&units));
        assert_eq!(text(b"a\0\0\0").as_deref(), Some("a"));
        assert_eq!(text(b"\0\0").as_deref(), Some(""));
        for bytes in [&b""[..], b"a\0", b"a\0\0", b"a\0\0\0\0\0", b"\x00\xd8\0\0", b"\r\0\0\0"] {
            assert_eq!(text(bytes), None, "{bytes:?}");
        }
    }
}
