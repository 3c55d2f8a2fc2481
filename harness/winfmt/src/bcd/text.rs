//! Values as people write them: shown as `bcdedit` shows them, and read back from the same words.

use super::ids::display_guid;
use super::{
    BcdError, BcdStore, Device, ElementFormat, ElementId, ElementValue, ObjectType, known,
};
use crate::Guid;
use crate::escaped;
use crate::hive::Data;

impl ElementValue {
    /// The value for people, in the words of `bcdedit` and [`escaped`], one line for each member of a list. An
    /// object that is the default entry shows as `{default}`.
    pub fn lines(&self, element: ElementId, default: Option<Guid>) -> Vec<String> {
        let one = |text: String| vec![text];
        match self {
            ElementValue::Device(device) => one(escaped(device).to_string()),
            ElementValue::String(text) => one(escaped(text).to_string()),
            ElementValue::Object(id) => one(show_id(*id, default)),
            ElementValue::ObjectList(ids) => ids.iter().map(|id| show_id(*id, default)).collect(),
            ElementValue::Integer(number) => {
                let word = element.words().into_iter().find(|(own, _)| own == number);
                one(word.map_or_else(|| number.to_string(), |(_, word)| word.to_owned()))
            }
            ElementValue::Boolean(yes) => one(if *yes { "Yes" } else { "No" }.to_owned()),
            ElementValue::IntegerList(numbers) => {
                numbers.iter().map(|number| format!("{number:#x}")).collect()
            }
            ElementValue::Unknown(data) => one(format!("{} {data}", data.kind)),
        }
    }
}

/// An object's id as `bcdedit` shows it: its alias, or `{default}`, or the GUID.
pub(super) fn show_id(id: Guid, default: Option<Guid>) -> String {
    if default == Some(id) { "{default}".to_owned() } else { display_guid(id) }
}

impl BcdStore {
    /// The element of an object of this type that a text names: a name of `bcdedit`, or eight
    /// hexadecimal digits.
    ///
    /// # Errors
    /// [`BcdError::UnknownElement`], with the names that are close.
    pub fn element_named(&self, text: &str, object: ObjectType) -> Result<ElementId, BcdError> {
        ElementId::by_name(text, object).ok_or_else(|| {
            let close = ElementId::close_names(text, object);
            let hint = match close.is_empty() {
                true => String::new(),
                false => format!(": did you mean {}?", close.join(" or ")),
            };
            BcdError::UnknownElement { text: text.to_owned(), object, hint }
        })
    }

    /// Reads a value of an element from text. `texts` is what was written, in one piece or several:
    ///
    /// - booleans: yes, no, on, off, true, false;
    /// - integers: decimal, hexadecimal with `0x`, or the words of [`ElementId::words`];
    /// - objects: a GUID or an alias; lists: several, also with commas between them;
    /// - devices: as they are shown, or `hex:` and all bytes; strings: as they are;
    /// - formats that are not known: `hex:` and the bytes.
    ///
    /// # Errors
    /// [`BcdError::BadValue`] says what can be written; [`BcdError::UnknownName`] for an object.
    pub fn parse_value(
        &self,
        element: ElementId,
        object: ObjectType,
        texts: &[String],
    ) -> Result<ElementValue, BcdError> {
        let whole = texts.join(" ");
        let wrong = |wanted: &str| BcdError::BadValue {
            text: whole.clone(),
            element: match element.name_on(object) {
                Some(name) => format!("{name} ({element})"),
                None => element.to_string(),
            },
            wanted: wanted.to_owned(),
        };
        let members = || {
            let parts = whole.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        Ok(match element.format() {
            ElementFormat::Boolean => {
                ElementValue::Boolean(boolean(whole.trim()).ok_or_else(|| wrong("yes or no"))?)
            }
            ElementFormat::Integer => {
                let words = element.words();
                let named = words.iter().find(|(_, word)| word.eq_ignore_ascii_case(whole.trim()));
                let read = named.map(|(number, _)| *number).or_else(|| integer(whole.trim()));
                ElementValue::Integer(read.ok_or_else(|| {
                    let all: Vec<_> = words.iter().map(|(_, word)| *word).collect();
                    let number = "a whole number, decimal or with 0x";
                    wrong(&match all.is_empty() {
                        true => number.to_owned(),
                        false => format!("{}, or {number}", all.join(", ")),
                    })
                })?)
            }
            ElementFormat::IntegerList => {
                let numbers = members().iter().map(|part| integer(part)).collect::<Option<_>>();
                let wanted = "whole numbers with spaces or commas between them";
                ElementValue::IntegerList(numbers.ok_or_else(|| wrong(wanted))?)
            }
            ElementFormat::String => ElementValue::String(whole),
            ElementFormat::Object => ElementValue::Object(self.resolve(whole.trim())?),
            ElementFormat::ObjectList => {
                let ids: Result<Vec<_>, _> =
                    members().iter().map(|part| self.resolve(part)).collect();
                ElementValue::ObjectList(ids?)
            }
            ElementFormat::Device => {
                let device = match raw(&whole) {
                    Some(bytes) => Some(Device::from_bytes(bytes)),
                    None => Device::from_text(&whole),
                };
                ElementValue::Device(device.ok_or_else(|| {
                    wrong(
                        "a device as `bcd show` shows it (boot; partition={GUID} disk={GUID}; partition=0xOFFSET disk=SIGNATURE; ramdisk=[PARTITION]\\PATH,{OPTIONS}), or hex: and all its bytes",
                    )
                })?)
            }
            ElementFormat::Unknown => {
                let bytes = raw(&whole).ok_or_else(|| {
                    wrong("hex: and the bytes, for this program does not know the element's format")
                })?;
                ElementValue::Unknown(Data::binary(bytes))
            }
        })
    }

    /// The id that the boot manager's element `default` holds, if it holds one that is well formed.
    pub(super) fn shown_default(&self) -> Result<Option<Guid>, BcdError> {
        match self.get(known::BOOT_MANAGER, ElementId::DEFAULT_OBJECT)? {
            Some(ElementValue::Object(id)) => Ok(Some(id)),
            _ => Ok(None),
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(&["yes", "on", "true", "1"]) {
        return Some(true);
    }
    is(&["no", "off", "false", "0"]).then_some(false)
}

fn integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

/// The bytes of `hex:` and pairs of digits; spaces do not count.
fn raw(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text
        .trim()
        .strip_prefix("hex:")?
        .chars()
        .filter(|own| !own.is_whitespace())
        .map(|own| own.to_digit(16))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileTime;

    fn store() -> BcdStore {
        let mut store = BcdStore::create(FileTime::from_ticks(1)).unwrap();
        store.add_object(known::BOOT_MANAGER, ObjectType::BOOT_MANAGER).unwrap();
        let default = ElementValue::Object(Guid::from_bytes([7; 16]));
        store.set(known::BOOT_MANAGER, ElementId::DEFAULT_OBJECT, &default).unwrap();
        store
    }

    fn parse(element: u32, texts: &[&str]) -> Result<ElementValue, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let parsed = store().parse_value(ElementId(element), ObjectType::OS_LOADER, &texts);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_by_the_format_of_their_element() {
        for word in ["yes", "On", "TRUE", "1"] {
            assert_eq!(parse(0x1600_0009, &[word]), Ok(ElementValue::Boolean(true)), "{word}");
        }
        for word in ["no", "Off", "false", "0"] {
            assert_eq!(parse(0x1600_0009, &[word]), Ok(ElementValue::Boolean(false)), "{word}");
        }
        let policy = parse(0x2500_00e0, &["ignoreallfailures"]);
        assert_eq!(policy, Ok(ElementValue::Integer(1)));
        assert_eq!(parse(0x2500_00e0, &["4"]), Ok(ElementValue::Integer(4)));
        assert_eq!(parse(0x2500_0080, &["Network"]), Ok(ElementValue::Integer(1)));
        assert_eq!(parse(0x2500_0004, &["0x1E"]), Ok(ElementValue::Integer(30)));
        assert_eq!(
            parse(0x1700_0077, &["0x15000075", "2,3"]),
            Ok(ElementValue::IntegerList(vec![0x1500_0075, 2, 3]))
        );
        let path = parse(0x1200_0002, &[r"\Windows\system32\winload.efi"]);
        assert_eq!(path, Ok(ElementValue::String(r"\Windows\system32\winload.efi".to_owned())));
        let object = parse(0x2300_0003, &["{default}"]);
        assert_eq!(object, Ok(ElementValue::Object(Guid::from_bytes([7; 16]))));
        let list = parse(0x2400_0001, &["{default}", "memdiag"]);
        let ids = vec![Guid::from_bytes([7; 16]), known::MEMORY_DIAGNOSTIC];
        assert_eq!(list, Ok(ElementValue::ObjectList(ids)));
        let raw = parse(0x1f00_0001, &["hex:00 ff"]);
        assert_eq!(raw, Ok(ElementValue::Unknown(Data::binary([0, 0xff]))));
        let device = parse(0x1100_0001, &["hex:0102"]);
        assert_eq!(device, Ok(ElementValue::Device(Device::from_bytes(vec![1, 2]))));
    }

    #[test]
    fn what_is_no_value_is_told_with_what_is() {
        for (element, text, says) in [
            (
                0x1600_0009,
                "maybe",
                "`maybe` is not a value of recoveryenabled (16000009): write yes",
            ),
            (0x2500_00e0, "IgnoreAll", "DisplayAllFailures, IgnoreAllFailures,"),
            (0x2500_0004, "-1", "a whole number"),
            (0x2500_0004, "99999999999999999999", "a whole number"),
            (0x2500_0004, "0x+1", "a whole number"),
            (0x1700_0077, "1 x", "whole numbers"),
            (0x1100_0001, "C:", "partition={GUID} disk={GUID}"),
            (0x1f00_0001, "1", "hex: and the bytes"),
            (0x1f00_0001, "hex:123", "hex: and the bytes"),
            (0x2300_0003, "{nothing}", "names no object"),
        ] {
            let error = parse(element, &[text]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let error = store().element_named("recoveryenable", ObjectType::OS_LOADER).unwrap_err();
        assert!(
            error.to_string().contains("did you mean recoveryenabled or recoverysequence?"),
            "{error}"
        );
    }
}
