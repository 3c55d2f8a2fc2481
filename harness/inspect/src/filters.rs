//! What stands between drivers: class filters and file-system minifilters, in order.

use serde::{Deserialize, Serialize};
use winfmt::hive::HiveError;

use crate::Known;
use crate::opened_disk::{OpenedDisk, Registry};

/// All filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Filters {
    /// Of device classes, by class.
    pub classes: Vec<ClassFilters>,
    /// Of file systems, from the highest altitude (nearest to programs) down.
    pub minifilters: Vec<Minifilter>,
}

/// The filters of a device class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClassFilters {
    /// The class, a GUID.
    pub class: String,
    /// Its name, such as `DiskDrive`.
    pub name: Option<String>,
    /// `UpperFilters`, in order: the last is nearest to programs.
    pub upper: Vec<String>,
    /// `LowerFilters`, in order.
    pub lower: Vec<String>,
}

/// One instance of a minifilter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Minifilter {
    /// Its service.
    pub service: String,
    /// The instance's name.
    pub instance: String,
    /// Where it stands, as stored: a decimal number that may have a fraction.
    pub altitude: String,
    /// Whether it is the service's default instance.
    pub default: bool,
}

/// Reads `Control\Class` and the instances of every service.
pub(crate) fn read(opened: &OpenedDisk<'_>) -> Known<Filters> {
    opened.control().and_then(|control| match (classes(control), minifilters(control)) {
        (Ok(classes), Ok(minifilters)) => Known::Known(Filters { classes, minifilters }),
        (Err(error), _) | (_, Err(error)) => Known::Unknown(error.to_string()),
    })
}

fn classes(control: Registry<'_>) -> Result<Vec<ClassFilters>, HiveError> {
    let mut found = Vec::new();
    let Some(classes) = control.hive.find_key(control.path(r"Control\Class"))? else {
        return Ok(found);
    };
    for class in classes.subkeys()? {
        let list = |name: &str| -> Result<Vec<String>, HiveError> {
            let data = class.value(name)?;
            Ok(data.and_then(|data| data.as_multi_string()).unwrap_or_default())
        };
        let (upper, lower) = (list("UpperFilters")?, list("LowerFilters")?);
        if !upper.is_empty() || !lower.is_empty() {
            let name = class.value("Class")?.and_then(|data| data.as_string());
            found.push(ClassFilters { class: class.name().text(), name, upper, lower });
        }
    }
    Ok(found)
}

/// `Services\<name>\Instances`, or in newer packages `Services\<name>\Parameters\Instances`.
fn minifilters(control: Registry<'_>) -> Result<Vec<Minifilter>, HiveError> {
    let mut found = Vec::new();
    let Some(services) = control.hive.find_key(control.path("Services"))? else {
        return Ok(found);
    };
    for service in services.subkeys()? {
        let newer = match service.subkey("Parameters")? {
            Some(parameters) => parameters.subkey("Instances")?,
            None => None,
        };
        let instances = match newer {
            Some(instances) => Some(instances),
            None => service.subkey("Instances")?,
        };
        let Some(instances) = instances else { continue };
        let default = instances.value("DefaultInstance")?.and_then(|data| data.as_string());
        for instance in instances.subkeys()? {
            let altitude = instance.value("Altitude")?.and_then(|data| data.as_string());
            if let Some(altitude) = altitude {
                let name = instance.name().text();
                let is_default =
                    default.as_ref().is_some_and(|default| default.eq_ignore_ascii_case(&name));
                found.push(Minifilter {
                    service: service.name().text(),
                    instance: name,
                    altitude,
                    default: is_default,
                });
            }
        }
    }
    found.sort_by(|one, other| height(&other.altitude).total_cmp(&height(&one.altitude)));
    Ok(found)
}

/// Altitudes are decimal numbers of any length; what is none stands lowest.
fn height(altitude: &str) -> f64 {
    altitude.trim().parse().unwrap_or(f64::NEG_INFINITY)
}
