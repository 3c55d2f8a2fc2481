//! What can go wrong with a store.

use super::{ElementId, ObjectType};
use crate::Guid;
use crate::hive::HiveError;

/// A store could not be opened, read or edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BcdError {
    /// The hive below.
    #[error("the boot configuration store: {0}")]
    Hive(#[from] HiveError),
    /// A sound hive, but no store.
    #[error("the hive is not a boot configuration store: {what}")]
    NotAStore {
        /// What is missing.
        what: &'static str,
    },
    /// An object that must exist does not.
    #[error("the boot configuration store has no object {id}")]
    NoObject {
        /// Its id.
        id: Guid,
    },
    /// An element has a value of another shape than its id says.
    #[error("element {element} of {object} is malformed: {what}")]
    Malformed {
        /// The object.
        object: Guid,
        /// The element.
        element: ElementId,
        /// What is wrong.
        what: String,
    },
    /// A value of the wrong kind was to be written.
    #[error("element {element} holds a value of format {wanted}, not {given}")]
    WrongKind {
        /// The element.
        element: ElementId,
        /// What its id says.
        wanted: super::ElementFormat,
        /// What was given.
        given: &'static str,
    },
    /// Neither a GUID nor an alias.
    #[error(
        "`{text}` names no object; write a GUID or an alias such as {{bootmgr}} or {{default}}"
    )]
    UnknownName {
        /// The text.
        text: String,
    },
    /// Neither a name nor a type.
    #[error(
        "`{text}` names no element of an object of type {object} ({}){hint}; write a name of `bcdedit` such as recoveryenabled, or the eight digits of its type such as 16000009",
        object.heading()
    )]
    UnknownElement {
        /// The text.
        text: String,
        /// The object's type.
        object: ObjectType,
        /// Names that are close, as a question; empty where there are none.
        hint: String,
    },
    /// A text is no value of the element.
    #[error("`{text}` is not a value of {element}: write {wanted}")]
    BadValue {
        /// The text.
        text: String,
        /// The element's name and type.
        element: String,
        /// What can be written.
        wanted: String,
    },
}
