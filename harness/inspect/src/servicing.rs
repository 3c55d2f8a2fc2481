//! Updates that are half done: what Windows will go on with at its next start.
//!
//! Three things tell: `WinSxS\pending.xml`, the list of operations that runs before the session does;
//! values in the hives COMPONENTS and SOFTWARE; and the session manager's own list of files to move. A
//! `pending.xml` that is damaged is a known cause of boot loops (windows-facts.md 4, "offline
//! servicing").

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::{Deserialize, Serialize};
use winfmt::hive::{Data, Hive, HiveError, ValueType};

/// Real lists are some megabytes, after feature updates some dozens.
const MAX_SIZE: usize = 128 << 20;
const MAX_DEPTH: usize = 64;
/// Kinds of operations that are counted by name.
const MAX_KINDS: usize = 64;
const MAX_RENAMES: usize = 4096;
const MAX_TEXT: usize = 256;

const SERVICING: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";

/// A `pending.xml` that cannot be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PendingXmlError {
    /// Far larger than any such list.
    #[error("it has {size} bytes, more than {MAX_SIZE}; it was not read")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Its text is in no known encoding.
    #[error("it is neither UTF-8 nor UTF-16 at offset {offset:#x}; it is damaged")]
    Encoding {
        /// Where, in bytes.
        offset: usize,
    },
    /// Nothing but zeros: the data were lost when the machine went off while they were written.
    #[error("all its {size} bytes are zero: it was lost when the machine went off")]
    Zeros {
        /// Its size.
        size: usize,
    },
    /// No well-formed XML.
    #[error("line {line}, column {column}: {what}; {operations} operations stand before that")]
    Damaged {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What is wrong.
        what: String,
        /// How many operations stand before the damage.
        operations: u64,
    },
    /// Another document.
    #[error("its root element is `{found}`, not `PendingTransaction`")]
    Root {
        /// The root element.
        found: String,
    },
}

/// What a `pending.xml` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PendingXml {
    /// `Identifier`, which `COMPONENTS\PendingXmlIdentifier` names.
    pub identifier: Option<String>,
    /// `Version` of the list's form.
    pub version: Option<String>,
    /// How many operations it holds, in all its queues.
    pub operations: u64,
    /// How many of each kind (`HardlinkFile`, `SetKeyValue`, …); rare ones beyond 64 kinds are left out.
    pub kinds: BTreeMap<String, u64>,
}

impl PendingXml {
    /// Reads a list.
    ///
    /// # Errors
    /// [`PendingXmlError`] says where it is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, PendingXmlError> {
        if bytes.len() > MAX_SIZE {
            return Err(PendingXmlError::TooLarge { size: bytes.len() });
        }
        if bytes.iter().all(|&byte| byte == 0) && !bytes.is_empty() {
            return Err(PendingXmlError::Zeros { size: bytes.len() });
        }
        let text = decode(bytes)?;
        let mut reader = Reader::from_str(&text);
        reader.config_mut().check_end_names = true;
        let mut list = Self::default();
        let mut path: Vec<String> = Vec::new();
        loop {
            let event = reader.read_event();
            let damaged = |what: String, at: u64, operations| {
                let (line, column) = place(&text, at);
                PendingXmlError::Damaged { line, column, what, operations }
            };
            match event {
                Ok(Event::Start(element)) => {
                    list.element(&path, &element)?;
                    path.push(name(&element));
                    if path.len() > MAX_DEPTH {
                        let what = "its elements are nested too deep".to_owned();
                        return Err(damaged(what, reader.buffer_position(), list.operations));
                    }
                }
                Ok(Event::Empty(element)) => list.element(&path, &element)?,
                Ok(Event::End(_)) => {
                    path.pop();
                }
                Ok(Event::Eof) => {
                    let what = match path.last() {
                        Some(open) => format!("it ends inside `{open}`"),
                        None if list == Self::default() => "it has no element".to_owned(),
                        None => return Ok(list),
                    };
                    return Err(damaged(what, text.len() as u64, list.operations));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(damaged(
                        error.to_string(),
                        reader.error_position(),
                        list.operations,
                    ));
                }
            }
        }
    }

    fn element(
        &mut self,
        path: &[String],
        element: &BytesStart<'_>,
    ) -> Result<(), PendingXmlError> {
        let name = name(element);
        let attribute = |wanted: &str| {
            let mut all = element.attributes();
            // The check for doubles takes the square of their number.
            let mut all = all.with_checks(false).take(64).filter_map(Result::ok);
            let found = all.find(|own| own.key.as_ref() == wanted)?;
            Some(limited(&found.value))
        };
        match path {
            [] if name != "PendingTransaction" => {
                return Err(PendingXmlError::Root { found: limited(&name) });
            }
            [] => {
                self.identifier = attribute("Identifier");
                self.version = attribute("Version");
            }
            // The queues before and after the restart are both called so.
            [_, queue] if queue == "POQ" => {
                self.operations += 1;
                let name = limited(&name);
                if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&name) {
                    *self.kinds.entry(name).or_default() += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(element: &BytesStart<'_>) -> String {
    element.name().as_ref().to_owned()
}

fn limited(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn decode(bytes: &[u8]) -> Result<String, PendingXmlError> {
    let units = |from: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| PendingXmlError::Encoding { offset: 2 })
    };
    match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
            let text = std::str::from_utf8(bytes)
                .map_err(|error| PendingXmlError::Encoding { offset: error.valid_up_to() })?;
            Ok(text.to_owned())
        }
    }
}

/// Line and column of a place in a text, both from 1.
fn place(text: &str, at: u64) -> (usize, usize) {
    let at = usize::try_from(at).unwrap_or(text.len()).min(text.len());
    let before = &text.as_bytes()[..at];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
    (line, column)
}

/// A file that the session manager moves or deletes at the next start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rename {
    /// The file, as stored (`\??\C:\…`).
    pub from: String,
    /// Where it goes, as stored but without `!`; absent: it is deleted.
    pub to: Option<String>,
    /// A file that is there already is replaced (`!`).
    pub replaces: bool,
}

/// Decodes `PendingFileRenameOperations`: pairs of texts, where an empty second one means that the file
/// is deleted. So empty texts stand in the middle, against the rule of `REG_MULTI_SZ`. At most 4096
/// pairs. Absent where the value has another type.
pub fn renames(data: &Data) -> Option<Vec<Rename>> {
    if data.kind != ValueType::MultiString {
        return None;
    }
    let units: Vec<u16> =
        data.bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut texts: Vec<&[u16]> = units.split(|&unit| unit == 0).collect();
    // Behind the last terminator stands no text.
    if texts.last().is_some_and(|last| last.is_empty()) {
        texts.pop();
    }
    let text = |units: &[u16]| String::from_utf16_lossy(units);
    // An empty first text is the end of the list.
    let pairs = texts.chunks(2).take_while(|pair| !pair[0].is_empty()).take(MAX_RENAMES);
    let renames = pairs.map(|pair| {
        let to = pair.get(1).map(|to| text(to)).unwrap_or_default();
        let (to, replaces) = match to.strip_prefix('!') {
            Some(rest) => (rest.to_owned(), true),
            None => (to, false),
        };
        Rename { from: text(pair[0]), to: (!to.is_empty()).then_some(to), replaces }
    });
    Some(renames.collect())
}

/// What the hive SOFTWARE says of servicing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServicingState {
    /// `RebootPending` is there: something was installed that a restart completes.
    pub reboot_pending: bool,
    /// `RebootInProgress` is there: that restart has begun.
    pub reboot_in_progress: bool,
    /// `PackagesPending` is there.
    pub packages_pending: bool,
    /// `SessionsPending\Exclusive`: absent where it is not set; other than 0, a session is under way.
    pub session_pending: Option<u32>,
}

impl ServicingState {
    /// Reads it from the hive SOFTWARE.
    ///
    /// # Errors
    /// [`HiveError`] where the hive is damaged at that place.
    pub fn read(software: &Hive) -> Result<Self, HiveError> {
        let there = |key: &str| {
            software.find_key(format!("{SERVICING}\\{key}").as_str()).map(|key| key.is_some())
        };
        let session =
            software.get(format!("{SERVICING}\\SessionsPending").as_str(), "Exclusive")?;
        Ok(Self {
            reboot_pending: there("RebootPending")?,
            reboot_in_progress: there("RebootInProgress")?,
            packages_pending: there("PackagesPending")?,
            session_pending: session.and_then(|data| data.as_dword()),
        })
    }
}

/// `PendingXmlIdentifier` of the hive COMPONENTS, which names the `pending.xml` that is to run. Windows
/// stores it as bytes of text; absent where it is not set.
///
/// # Errors
/// [`HiveError`] where the hive is damaged at that place.
pub fn pending_xml_identifier(components: &Hive) -> Result<Option<String>, HiveError> {
    let Some(data) = components.get("", "PendingXmlIdentifier")? else { return Ok(None) };
    Ok(Some(match data.as_string() {
        Some(text) => limited(&text),
        None => limited(String::from_utf8_lossy(&data.bytes).trim_end_matches('\0')),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIST: &str = "\u{feff}<?xml version='1.0' encoding='utf-8'?>\n<PendingTransaction Version=\"3.1\" WcpVersion=\"10.0.22621.2567 (WinBuild.160101.0800)\" Identifier=\"916ae75edb30da0146730000dc1be027\">\n\t<Transactions>\n\t\t<Transaction TransactionId=\"a\"/>\n\t</Transactions>\n\t<POQ postAction=\"reboot\">\n\t\t<HardlinkFile source=\"\\??\\C:\\a &amp; b\" destination=\"\\??\\C:\\c\"/>\n\t\t<HardlinkFile source=\"x\" destination=\"y\"/>\n\t\t<SetKeyValue path=\"p\" name=\"n\" type=\"0x1\" encoding=\"base64\" value=\"AA==\"/>\n\t</POQ>\n\t<POQ>\n\t\t<CreateDirectory path=\"z\"><Nested/></CreateDirectory>\n\t</POQ>\n\t<InstallerQueue Length=\"0x00000000\">\n\t</InstallerQueue>\n</PendingTransaction>\n";

    #[test]
    fn operations_are_counted() {
        let list = PendingXml::read(LIST.as_bytes()).unwrap();
        assert_eq!(list.identifier.as_deref(), Some("916ae75edb30da0146730000dc1be027"));
        assert_eq!(list.version.as_deref(), Some("3.1"));
        assert_eq!(list.operations, 4);
        let kinds: Vec<_> =
            list.kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        assert_eq!(kinds, [("CreateDirectory", 1), ("HardlinkFile", 2), ("SetKeyValue", 1)]);
        let utf16: Vec<u8> = LIST.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(PendingXml::read(&utf16).unwrap(), list);
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let says = |bytes: &[u8]| PendingXml::read(bytes).unwrap_err().to_string();
        let cut = LIST.find("<SetKeyValue").unwrap();
        let text = says(&LIST.as_bytes()[..cut]);
        assert_eq!(text, "line 9, column 3: it ends inside `POQ`; 2 operations stand before that");
        let text = says(&LIST.as_bytes()[..cut + 8]);
        assert!(text.starts_with("line 9, column 3:"), "{text}");
        let text = says(LIST.replacen("</POQ>", "</PQO>", 1).as_bytes());
        assert!(text.starts_with("line 10, ") && text.contains("3 operations"), "{text}");
        assert!(says(&[0; 4096]).contains("4096 bytes are zero"));
        assert!(says(b"<Other/>").contains("`Other`"));
        assert!(says(b"").contains("no element"));
        assert!(says(b"<PendingTransaction>\xff").contains("offset 0x14"));
        let deep = format!("<PendingTransaction>{}", "<a>".repeat(100));
        assert!(says(deep.as_bytes()).contains("too deep"));
        // A doctype cannot make it grow.
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><PendingTransaction>&b;</PendingTransaction>";
        let list = PendingXml::read(bomb.as_bytes());
        assert!(list.is_err() || list.is_ok_and(|list| list.operations == 0));
    }

    fn value(texts: &str) -> Data {
        let bytes = texts.encode_utf16().flat_map(u16::to_le_bytes).collect();
        Data { kind: ValueType::MultiString, bytes }
    }

    #[test]
    fn renames_and_deletions() {
        let all = "\\??\\C:\\a\0\0\\??\\C:\\b\0!\\??\\C:\\c\0\\??\\C:\\d\0\\??\\C:\\e\0\0";
        let rename = |from: &str, to: Option<&str>, replaces| Rename {
            from: format!(r"\??\C:\{from}"),
            to: to.map(|to| format!(r"\??\C:\{to}")),
            replaces,
        };
        let expected =
            [rename("a", None, false), rename("b", Some("c"), true), rename("d", Some("e"), false)];
        assert_eq!(renames(&value(all)).unwrap(), expected);
        // Without the terminator of the list; with a deletion at its end, with and without.
        assert_eq!(renames(&value(all.trim_end_matches('\0'))).unwrap(), expected);
        for end in ["x\0\0\0", "x\0\0", "x\0", "x"] {
            let only = Rename { from: "x".to_owned(), to: None, replaces: false };
            assert_eq!(renames(&value(end)).unwrap(), [only], "{end:?}");
        }
        assert_eq!(renames(&value("\0")).unwrap(), []);
        assert_eq!(renames(&value("")).unwrap(), []);
        assert_eq!(renames(&Data::dword(1)), None);
    }

    #[test]
    fn the_state_of_servicing() {
        let mut hive = Hive::create("ROOT").unwrap();
        assert_eq!(ServicingState::read(&hive).unwrap(), ServicingState::default());
        assert_eq!(pending_xml_identifier(&hive).unwrap(), None);
        hive.create_key(format!("{SERVICING}\\RebootPending").as_str()).unwrap();
        let sessions = format!("{SERVICING}\\SessionsPending");
        hive.set_value(sessions.as_str(), "Exclusive", &Data::dword(1)).unwrap();
        hive.set_value("", "PendingXmlIdentifier", &Data::binary(*b"916ae75e")).unwrap();
        let state = ServicingState::read(&hive).unwrap();
        assert!(state.reboot_pending && !state.reboot_in_progress && !state.packages_pending);
        assert_eq!(state.session_pending, Some(1));
        assert_eq!(pending_xml_identifier(&hive).unwrap().as_deref(), Some("916ae75e"));
    }

    proptest! {
        #[test]
        fn no_list_is_too_odd(at in 0usize..900, byte: u8, keep in 0usize..1000) {
            let mut bytes = LIST.as_bytes().to_vec();
            let size = bytes.len();
            bytes[at % size] = byte;
            bytes.truncate(keep);
            match PendingXml::read(&bytes) {
                Ok(list) => prop_assert!(list.operations <= 5),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }

        #[test]
        fn no_value_is_too_odd(bytes in prop::collection::vec(0u8..3, 0..60)) {
            let _ = renames(&Data { kind: ValueType::MultiString, bytes });
        }
    }
}
