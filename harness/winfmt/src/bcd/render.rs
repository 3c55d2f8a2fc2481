//! A store as text, in the manner of `bcdedit /enum all`.

use std::fmt::Write;

use super::text::show_id;
use super::{BcdError, BcdStore, ElementId, Object, ObjectType};
use crate::Guid;

impl BcdStore {
    /// All objects and elements for people, the boot manager first. The default entry shows as
    /// `{default}`. Elements without a known name show as `custom:` and their id.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn render(&self) -> Result<String, BcdError> {
        let default = self.shown_default()?;
        let mut text = String::new();
        for object in &self.objects_in_order()? {
            // Writing to a string cannot fail.
            let _ = render_object(&mut text, object, default);
        }
        Ok(text)
    }

    /// One object for people.
    ///
    /// # Errors
    /// [`BcdError::NoObject`], [`BcdError::Hive`].
    pub fn render_object(&self, id: Guid) -> Result<String, BcdError> {
        let object = self.object(id)?.ok_or(BcdError::NoObject { id })?;
        let mut text = String::new();
        let _ = render_object(&mut text, &object, self.shown_default()?);
        Ok(text)
    }

    /// All objects: boot manager, default entry, other entries, tools, settings.
    pub(super) fn objects_in_order(&self) -> Result<Vec<Object>, BcdError> {
        let default = self.shown_default()?;
        let mut objects = self.objects()?;
        objects.sort_by_key(|object| (rank(object, default), object.id.to_string()));
        Ok(objects)
    }
}

fn rank(object: &Object, default: Option<Guid>) -> u8 {
    match object.kind {
        ObjectType::FIRMWARE_BOOT_MANAGER => 0,
        ObjectType::BOOT_MANAGER => 1,
        ObjectType::FIRMWARE_APPLICATION => 2,
        ObjectType::OS_LOADER if default == Some(object.id) => 3,
        ObjectType::OS_LOADER => 4,
        ObjectType::RESUME_LOADER => 5,
        ObjectType::MEMORY_TESTER => 6,
        ObjectType::DEVICE_OPTIONS => 9,
        ObjectType(kind) if kind >> 28 == 1 => 7,
        _ => 8,
    }
}

fn render_object(text: &mut String, object: &Object, default: Option<Guid>) -> std::fmt::Result {
    if !text.is_empty() {
        text.push('\n');
    }
    let heading = object.heading();
    writeln!(text, "{heading}\n{}", "-".repeat(heading.len()))?;
    let id = show_id(object.id, default);
    writeln!(text, "{:<24}{id}", "identifier")?;
    if heading == "Unknown object" {
        writeln!(text, "{:<24}{}", "type", object.kind)?;
    }
    for (element, value) in &object.elements {
        let name = shown_name(*element, object.kind);
        for (index, line) in value.lines(*element, default).iter().enumerate() {
            writeln!(text, "{:<24}{line}", if index == 0 { name.as_str() } else { "" })?;
        }
    }
    Ok(())
}

/// The name of an element, or `custom:` and its type.
pub(super) fn shown_name(element: ElementId, object: ObjectType) -> String {
    element.name_on(object).map_or_else(|| format!("custom:{element}"), str::to_owned)
}
