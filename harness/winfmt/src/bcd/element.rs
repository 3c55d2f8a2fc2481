//! Values of elements, and how the hive holds them.

use super::{Device, ElementFormat, ElementId};
use crate::Guid;
use crate::bytes::u64_at;
use crate::hive::Data;

/// An element's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementValue {
    /// A device. Its bytes are kept whether or not they are understood.
    Device(Device),
    /// A string.
    String(String),
    /// One object.
    Object(Guid),
    /// Objects, in order.
    ObjectList(Vec<Guid>),
    /// A number.
    Integer(u64),
    /// Yes or no.
    Boolean(bool),
    /// Numbers, in order.
    IntegerList(Vec<u64>),
    /// Stored in another way than the id says.
    Unknown(Data),
}

impl ElementValue {
    /// Reads what the hive holds. What does not fit the element's format is [`ElementValue::Unknown`].
    pub fn decode(id: ElementId, data: Data) -> Self {
        let value = match id.format() {
            ElementFormat::Device => {
                data.as_binary().map(|bytes| Self::Device(Device::from_bytes(bytes.to_vec())))
            }
            ElementFormat::String => data.as_string().map(Self::String),
            ElementFormat::Object => {
                data.as_string().and_then(|text| text.parse().ok()).map(Self::Object)
            }
            ElementFormat::ObjectList => data
                .as_multi_string()
                .and_then(|texts| texts.iter().map(|text| text.parse().ok()).collect())
                .map(Self::ObjectList),
            // Boot media hold integers in as few bytes as they need (windows-facts.md 3.4).
            ElementFormat::Integer => data
                .as_binary()
                .filter(|bytes| (1..=8).contains(&bytes.len()))
                .map(|bytes| bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
                .map(Self::Integer),
            ElementFormat::Boolean => data
                .as_binary()
                .filter(|bytes| bytes.len() == 1)
                .map(|bytes| Self::Boolean(bytes[0] != 0)),
            ElementFormat::IntegerList => {
                data.as_binary().filter(|bytes| bytes.len() % 8 == 0).map(|bytes| {
                    let number = |at| u64_at(bytes, at).unwrap_or_default();
                    Self::IntegerList((0..bytes.len()).step_by(8).map(number).collect())
                })
            }
            ElementFormat::Unknown => None,
        };
        value.unwrap_or(Self::Unknown(data))
    }

    /// What the hive shall hold.
    pub fn encode(&self) -> Data {
        match self {
            Self::Device(device) => Data::binary(device.bytes()),
            Self::String(text) => Data::string(text),
            Self::Object(id) => Data::string(&id.to_string()),
            Self::ObjectList(ids) => Data::multi_string(ids.iter().map(Guid::to_string)),
            Self::Integer(number) => Data::binary(number.to_le_bytes()),
            Self::Boolean(yes) => Data::binary([u8::from(*yes)]),
            Self::IntegerList(numbers) => {
                Data::binary(numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>())
            }
            Self::Unknown(data) => data.clone(),
        }
    }

    /// Whether an element of this format may hold the value.
    pub(super) fn fits(&self, format: ElementFormat) -> bool {
        match self {
            Self::Device(_) => format == ElementFormat::Device,
            Self::String(_) => format == ElementFormat::String,
            Self::Object(_) => format == ElementFormat::Object,
            Self::ObjectList(_) => format == ElementFormat::ObjectList,
            Self::Integer(_) => format == ElementFormat::Integer,
            Self::Boolean(_) => format == ElementFormat::Boolean,
            Self::IntegerList(_) => format == ElementFormat::IntegerList,
            Self::Unknown(_) => true,
        }
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Device(_) => "a device",
            Self::String(_) => "a string",
            Self::Object(_) => "an object",
            Self::ObjectList(_) => "a list of objects",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::IntegerList(_) => "a list of integers",
            Self::Unknown(_) => "raw data",
        }
    }
}
