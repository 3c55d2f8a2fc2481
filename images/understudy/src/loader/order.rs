//! The order in which drivers and services start (windows-facts.md 4): by group, as
//! `ServiceGroupOrder\List` has it, within a group by tag, as `GroupOrderList` has it.

use std::collections::BTreeMap;

use winfmt::hive::{Hive, HiveError};

use super::filters::{Filter, filters};
use super::service::Service;

/// What starts, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartPlan {
    /// Start 0: loaded by the loader.
    pub boot: Vec<Service>,
    /// Start 1: loaded by the kernel.
    pub system: Vec<Service>,
    /// Start 2: drivers and services that the session starts.
    pub automatic: Vec<Service>,
    /// Filters of the classes that the system disk needs.
    pub filters: Vec<Filter>,
}

/// A safe mode: the key of `Control\\SafeBoot` that lists what may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SafeMode {
    /// Without network.
    Minimal,
    /// With network.
    Network,
}

impl SafeMode {
    /// From `safeboot` of the loader's entry; directory services repair counts as minimal.
    pub fn from_element(number: Option<u64>) -> Option<Self> {
        Some(match number? {
            1 => Self::Network,
            _ => Self::Minimal,
        })
    }

    /// What `Control\\SafeBoot\\Option` says of it.
    pub fn option(self) -> u32 {
        match self {
            Self::Minimal => 1,
            Self::Network => 2,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Minimal => "Minimal",
            Self::Network => "Network",
        }
    }
}

/// Reads the plan of a control set. In a safe mode only what its list names, by service, file or
/// group.
pub fn plan(
    system: &Hive,
    control_set: &str,
    safe_mode: Option<SafeMode>,
) -> Result<StartPlan, HiveError> {
    let order = Order::read(system, control_set)?;
    let mut services = Vec::new();
    if let Some(key) = system.find_key(format!("{control_set}\\Services"))? {
        services.extend(key.subkeys()?.iter().filter_map(Service::read));
    }
    if let Some(mode) = safe_mode {
        let list = format!("{control_set}\\Control\\SafeBoot\\{}", mode.key());
        let names = match system.find_key(list)? {
            Some(key) => key.subkey_names()?,
            None => Vec::new(),
        };
        let listed = |name: &str| names.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        services.retain(|service| {
            listed(&service.name)
                || listed(&service.image_name())
                || service.group.as_deref().is_some_and(listed)
        });
    }
    let of_start = |start: u32, drivers_only: bool| {
        let mut chosen: Vec<Service> = services
            .iter()
            .filter(|service| service.start == start && (!drivers_only || service.is_driver()))
            .cloned()
            .collect();
        // A stable sort: what is equal stays in the order of the registry.
        chosen.sort_by_key(|service| order.place(service));
        chosen
    };
    Ok(StartPlan {
        boot: of_start(0, true),
        system: of_start(1, true),
        automatic: of_start(2, false),
        filters: filters(system, control_set)?,
    })
}

/// Places of groups, and of tags in each group. Names in lower case.
#[derive(Debug, Default)]
struct Order {
    groups: BTreeMap<String, usize>,
    tags: BTreeMap<String, Vec<u32>>,
}

impl Order {
    fn read(system: &Hive, control_set: &str) -> Result<Self, HiveError> {
        let control = format!("{control_set}\\Control");
        let mut order = Self::default();
        if let Some(list) =
            system.get_multi_string(format!("{control}\\ServiceGroupOrder"), "List")?
        {
            for (place, group) in list.iter().enumerate() {
                order.groups.entry(group.to_lowercase()).or_insert(place);
            }
        }
        if let Some(key) = system.find_key(format!("{control}\\GroupOrderList"))? {
            for value in key.values()? {
                order.tags.insert(value.name.text().to_lowercase(), tag_list(&value.data.bytes));
            }
        }
        Ok(order)
    }

    /// Group first (known, unknown, none), then tag (listed, not listed).
    fn place(&self, service: &Service) -> (usize, usize) {
        let Some(group) = service.group.as_ref().map(|group| group.to_lowercase()) else {
            return (usize::MAX, usize::MAX);
        };
        let tags = self.tags.get(&group);
        let tag = service
            .tag
            .and_then(|tag| tags?.iter().position(|listed| *listed == tag))
            .unwrap_or(usize::MAX);
        (self.groups.get(&group).copied().unwrap_or(usize::MAX - 1), tag)
    }
}

/// A value of `GroupOrderList`: a count and that many tags, 32 bits each. A count that is too large
/// is cut to what is there.
fn tag_list(bytes: &[u8]) -> Vec<u32> {
    let mut numbers = bytes
        .chunks_exact(4)
        .map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
    let count = numbers.next().unwrap_or(0) as usize;
    numbers.take(count).collect()
}

#[cfg(test)]
mod tests {
    use winfmt::hive::{Data, Hive};

    use super::{SafeMode, plan, tag_list};

    fn add(hive: &mut Hive, name: &str, start: u32, group: Option<&str>, tag: Option<u32>) {
        let key = format!("ControlSet001\\Services\\{name}");
        hive.set_value(&key, "Type", &Data::dword(1)).expect("set");
        hive.set_value(&key, "Start", &Data::dword(start)).expect("set");
        if let Some(group) = group {
            hive.set_value(&key, "Group", &Data::string(group)).expect("set");
        }
        if let Some(tag) = tag {
            hive.set_value(&key, "Tag", &Data::dword(tag)).expect("set");
        }
    }

    #[test]
    fn groups_come_before_tags_and_tags_before_names() {
        let mut hive = Hive::create("ROOT").expect("create");
        let control = "ControlSet001\\Control";
        hive.set_value(
            format!("{control}\\ServiceGroupOrder"),
            "List",
            &Data::multi_string(["System Bus Extender", "SCSI miniport", "Filter"]),
        )
        .expect("set");
        let tags: Vec<u8> = [2_u32, 7, 3].iter().flat_map(|n| n.to_le_bytes()).collect();
        hive.set_value(format!("{control}\\GroupOrderList"), "Filter", &Data::binary(tags))
            .expect("set");
        add(&mut hive, "zlast", 0, None, None);
        add(&mut hive, "aother", 0, Some("Unknown group"), None);
        add(&mut hive, "f3", 0, Some("filter"), Some(3));
        add(&mut hive, "f7", 0, Some("Filter"), Some(7));
        add(&mut hive, "fnone", 0, Some("Filter"), None);
        add(&mut hive, "pci", 0, Some("System Bus Extender"), None);
        add(&mut hive, "viostor", 0, Some("SCSI Miniport"), None);
        add(&mut hive, "sys", 1, None, None);
        add(&mut hive, "off", 4, None, None);
        let whole = plan(&hive, "ControlSet001", None).expect("a plan");
        let names: Vec<&str> = whole.boot.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["pci", "viostor", "f7", "f3", "fnone", "aother", "zlast"]);
        assert_eq!(whole.system.len(), 1);

        let list = format!("{control}\\SafeBoot\\Minimal");
        hive.set_value(format!("{list}\\scsi miniport"), "", &Data::string("Driver Group"))
            .expect("set");
        hive.set_value(format!("{list}\\PCI"), "", &Data::string("Driver")).expect("set");
        let safe = plan(&hive, "ControlSet001", Some(SafeMode::Minimal)).expect("a plan");
        let names: Vec<&str> = safe.boot.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["pci", "viostor"]);
        assert!(safe.system.is_empty());
    }

    #[test]
    fn a_damaged_tag_list_is_cut() {
        assert_eq!(tag_list(&[9, 0, 0, 0, 1, 0, 0, 0, 2]), [1]);
        assert_eq!(tag_list(&[1]), Vec::<u32>::new());
    }
}
