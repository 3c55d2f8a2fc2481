//! Control sets: which one a start takes, and what becomes of the last known good one (windows-facts.md 4).

use winfmt::hive::{Data, Hive, HiveError, Key};

/// Below a control set: where the last known good one is switched on.
const SWITCH: &str = "Control\\Session Manager\\Configuration Manager\\LastKnownGood";

/// The name of the control set that `Select` chooses, such as `ControlSet001`.
pub fn control_set(system: &Hive) -> Option<String> {
    let number = system.get_dword("Select", "Default").ok().flatten()?;
    let name = set_name(number);
    system.find_key(&name).ok().flatten().map(|_| name)
}

fn set_name(number: u32) -> String {
    format!("ControlSet{number:03}")
}

/// The numbers of the set in use and of the last known good one, where that is switched on and another one.
fn sets(system: &Hive, in_use: &str) -> Result<Option<(u32, u32)>, HiveError> {
    let good = system.get_dword("Select", "LastKnownGood").ok().flatten();
    let current = in_use.strip_prefix("ControlSet").and_then(|number| number.parse().ok());
    let switched_on = system.get_dword(format!("{in_use}\\{SWITCH}"), "Enabled")?.unwrap_or(0) != 0;
    Ok(current.zip(good).filter(|(current, good)| switched_on && current != good))
}

/// Goes back to the last known good control set, where that is switched on (`LastKnownGood\\Enabled`) and not in use
/// already: `Select` then says so. True if it was done.
pub fn fall_back(system: &mut Hive, in_use: &str) -> Result<bool, HiveError> {
    let Some((current, good)) = sets(system, in_use)? else { return Ok(false) };
    if system.find_key(set_name(good))?.is_none() {
        return Ok(false);
    }
    for (name, value) in [("Failed", current), ("Current", good), ("Default", good)] {
        system.set_value("Select", name, &Data::dword(value))?;
    }
    Ok(true)
}

/// After a good start: the last known good control set becomes what the one in use is, where that is switched on. True
/// if it was done.
pub(super) fn keep(system: &mut Hive, in_use: &str) -> Result<bool, HiveError> {
    let Some((_, good)) = sets(system, in_use)? else { return Ok(false) };
    let good = set_name(good);
    let mut keys = Vec::new();
    gather(&system.key(in_use)?, String::new(), &mut keys)?;
    if system.find_key(&good)?.is_some() {
        system.delete_key(&good)?;
    }
    for (path, values) in keys {
        let path = format!("{good}{path}");
        system.create_key(&path)?;
        for (name, data) in values {
            system.set_value(&path, name.as_str(), &data)?;
        }
    }
    Ok(true)
}

type Values = Vec<(String, Data)>;

/// All keys from here down, each with its values.
fn gather(key: &Key<'_>, path: String, into: &mut Vec<(String, Values)>) -> Result<(), HiveError> {
    let values = key.values()?.into_iter().map(|value| (value.name.text(), value.data)).collect();
    let below = key.subkeys()?;
    into.push((path.clone(), values));
    for key in below {
        gather(&key, format!("{path}\\{}", key.name().text()), into)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use winfmt::hive::{Data, Hive};

    use super::{control_set, fall_back, keep};

    fn hive(enabled: u32) -> Hive {
        let mut hive = Hive::create("ROOT").expect("create");
        for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 2)]
        {
            hive.set_value("Select", name, &Data::dword(number)).expect("set");
        }
        hive.create_key("ControlSet002\\Services\\gone").expect("create");
        hive.set_value(
            format!("ControlSet001\\{}", super::SWITCH),
            "Enabled",
            &Data::dword(enabled),
        )
        .expect("set");
        hive
    }

    #[test]
    fn the_last_known_good_set_is_taken_once_and_only_where_it_is_on() {
        assert!(!fall_back(&mut hive(0), "ControlSet001").expect("reads"));
        let mut on = hive(1);
        assert!(fall_back(&mut on, "ControlSet001").expect("writes"));
        assert_eq!(control_set(&on).as_deref(), Some("ControlSet002"));
        assert_eq!(on.get_dword("Select", "Failed").expect("reads"), Some(1));
        assert!(!fall_back(&mut on, "ControlSet002").expect("reads"));
    }

    #[test]
    fn a_good_start_makes_it_anew_where_it_is_on() {
        let start = |hive: &mut Hive| {
            let key = "ControlSet001\\Services\\csagent";
            hive.set_value(key, "Start", &Data::dword(1)).expect("set");
            keep(hive, "ControlSet001").expect("writes")
        };
        let kept = |hive: &Hive| {
            hive.get_dword("ControlSet002\\Services\\csagent", "Start").expect("reads")
        };
        let mut off = hive(0);
        assert!(!start(&mut off));
        assert_eq!(kept(&off), None);
        let mut on = hive(1);
        assert!(start(&mut on));
        assert_eq!(kept(&on), Some(1));
        assert!(on.find_key("ControlSet002\\Services\\gone").expect("reads").is_none());
        // What is in use is not copied onto itself.
        assert!(!keep(&mut on, "ControlSet002").expect("reads"));
    }
}
