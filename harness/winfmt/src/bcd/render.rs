//! A store as text, in the manner of `bcdedit /enum all`.

use std::fmt::Write;

use super::ids::{display_guid, known};
use super::{BcdError, BcdStore, BootStatusPolicy, ElementId, ElementValue, Object, ObjectType};
use crate::Guid;

impl BcdStore {
    /// All objects and elements for people, the boot manager first. The default entry shows as
    /// `{default}`. Elements without a known name show as `custom:` and their id.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn render(&self) -> Result<String, BcdError> {
        let default = match self.get(known::BOOT_MANAGER, ElementId::DEFAULT_OBJECT)? {
            Some(ElementValue::Object(id)) => Some(id),
            _ => None,
        };
        let mut objects = self.objects()?;
        objects.sort_by_key(|object| (rank(object, default), object.id.to_string()));
        let mut text = String::new();
        for object in &objects {
            // Writing to a string cannot fail.
            let _ = render_object(&mut text, object, default);
        }
        Ok(text)
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
    let heading = object.kind.heading();
    writeln!(text, "{heading}\n{}", "-".repeat(heading.len()))?;
    let id = show_id(object.id, default);
    writeln!(text, "{:<24}{id}", "identifier")?;
    if heading == "Unknown object" {
        writeln!(text, "{:<24}{}", "type", object.kind)?;
    }
    for (element, value) in &object.elements {
        let name =
            element.name_on(object.kind).map_or_else(|| format!("custom:{element}"), str::to_owned);
        for (index, line) in show_value(*element, value, default).iter().enumerate() {
            writeln!(text, "{:<24}{line}", if index == 0 { name.as_str() } else { "" })?;
        }
    }
    Ok(())
}

fn show_id(id: Guid, default: Option<Guid>) -> String {
    if default == Some(id) { "{default}".to_owned() } else { display_guid(id) }
}

fn show_value(element: ElementId, value: &ElementValue, default: Option<Guid>) -> Vec<String> {
    let one = |text: String| vec![text];
    match value {
        ElementValue::Device(device) => one(device.to_string()),
        ElementValue::String(text) => one(text.clone()),
        ElementValue::Object(id) => one(show_id(*id, default)),
        ElementValue::ObjectList(ids) => ids.iter().map(|id| show_id(*id, default)).collect(),
        ElementValue::Integer(number) => one(show_integer(element, *number)),
        ElementValue::Boolean(yes) => one(if *yes { "Yes" } else { "No" }.to_owned()),
        ElementValue::IntegerList(numbers) => numbers.iter().map(|n| format!("{n:#x}")).collect(),
        ElementValue::Unknown(data) => one(format!("{} {data}", data.kind)),
    }
}

fn show_integer(element: ElementId, number: u64) -> String {
    let names: &[&str] = match element {
        ElementId::NX => &["OptIn", "OptOut", "AlwaysOff", "AlwaysOn"],
        ElementId::SAFE_BOOT => &["Minimal", "Network", "DsRepair"],
        ElementId::BOOT_MENU_POLICY => &["Legacy", "Standard"],
        ElementId::HYPERVISOR_LAUNCH_TYPE => &["Off", "Auto"],
        ElementId::BOOT_STATUS_POLICY => return BootStatusPolicy::from(number).to_string(),
        ElementId::DISPLAY_MESSAGE | ElementId::DISPLAY_MESSAGE_OVERRIDE if number == 3 => {
            return "Recovery".to_owned();
        }
        _ => &[],
    };
    let name = usize::try_from(number).ok().and_then(|index| names.get(index));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}
