//! Class filters of the devices that the system disk stands on. A filter that cannot be started keeps
//! the devices of its class from starting (Microsoft: "Registry entries for device classes").

use winfmt::hive::{Hive, HiveError};

use super::service::Service;

/// Setup classes: host adapters, disks, volumes.
const CLASSES: [&str; 3] = [
    "{4D36E97B-E325-11CE-BFC1-08002BE10318}",
    "{4D36E967-E325-11CE-BFC1-08002BE10318}",
    "{71A27CDD-812A-11D0-BEC7-08002BE2092F}",
];

/// A filter of one of these classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Name of its service.
    pub name: String,
    /// The service, where there is one.
    pub service: Option<Service>,
}

/// All filters, in order, each once.
pub fn filters(system: &Hive, control_set: &str) -> Result<Vec<Filter>, HiveError> {
    let mut found: Vec<Filter> = Vec::new();
    for class in CLASSES {
        for list in ["LowerFilters", "UpperFilters"] {
            let key = format!("{control_set}\\Control\\Class\\{class}");
            for name in system.get_multi_string(&key, list)?.unwrap_or_default() {
                if found.iter().any(|filter| filter.name.eq_ignore_ascii_case(&name)) {
                    continue;
                }
                let key = system.find_key(format!("{control_set}\\Services\\{name}"))?;
                let service = key.as_ref().and_then(Service::read);
                found.push(Filter { name, service });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use winfmt::hive::{Data, Hive};

    use super::filters;

    #[test]
    fn a_filter_without_a_service_is_found() {
        let mut hive = Hive::create("ROOT").expect("create");
        hive.set_value(
            "ControlSet001\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}",
            "UpperFilters",
            &Data::multi_string(["partmgr", "gone", "PARTMGR"]),
        )
        .expect("set");
        let key = "ControlSet001\\Services\\partmgr";
        hive.set_value(key, "Type", &Data::dword(1)).expect("set");
        hive.set_value(key, "Start", &Data::dword(0)).expect("set");
        let found = filters(&hive, "ControlSet001").expect("reads");
        let names: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.service.is_some())).collect();
        assert_eq!(names, [("partmgr", true), ("gone", false)]);
    }
}
