//! Damage to the registry, as changes of the hives and their files (windows-facts section 4, 5.3).

use scenario::{
    CriticalService, ErrorControl, HiveDamage, HiveFile, MissingFilter, RegistryChange,
    RegistryDamage, RegistryData, RegistryFault, RunsIn, ServiceStart,
};

use crate::boot_configuration::BASE_BLOCK;
use crate::plan::{Change, Edit, HiveName, RegistryValue, Rewrite, VolumeRole};
use crate::service::DriverService;

/// A device class that no device has.
const NO_CLASS: &str = "{00000000-0000-0000-0000-000000000000}";
/// Where an inert value goes: nothing reads it.
const UNREAD: &str = "loopbreak";

/// The changes that do it.
pub(crate) fn changes(fault: &RegistryFault) -> Vec<Change> {
    let inert = fault.inert;
    match &fault.damage {
        RegistryDamage::CorruptHive(damage) => {
            let how = match damage.how {
                _ if inert => Rewrite::Same,
                HiveDamage::Header => Rewrite::Begin(vec![0; BASE_BLOCK]),
                HiveDamage::Bin => Rewrite::Overwrite(BASE_BLOCK as u64, vec![0; 4]),
                HiveDamage::Truncated => Rewrite::Cut,
                HiveDamage::ZeroFilled => Rewrite::Zeros,
            };
            let path = hive(damage.hive).file().to_owned();
            vec![Change::Rewrite { volume: VolumeRole::Windows, path, how }]
        }
        RegistryDamage::WrongControlSet(set) => ["Current", "Default"]
            .map(|name| set_or_keep("Select", name, RegistryValue::Dword(set.number), inert))
            .into(),
        RegistryDamage::DisabledDiskDriver(driver) => {
            let key = service_key(driver.service.as_deref().unwrap_or("disk"));
            let disabled = RegistryValue::Dword(ServiceStart::Disabled.value());
            vec![set_or_keep(&key, "Start", disabled, inert)]
        }
        RegistryDamage::MissingFilter(filter) => vec![missing_filter(filter, inert)],
        RegistryDamage::CriticalService(service) => critical_service(service, inert),
        RegistryDamage::Value(change) => vec![value(change, inert)],
    }
}

fn hive(file: HiveFile) -> HiveName {
    match file {
        HiveFile::System => HiveName::System,
        HiveFile::Software => HiveName::Software,
    }
}

fn service_key(service: &str) -> String {
    format!("CurrentControlSet\\Services\\{service}")
}

/// A value of the SYSTEM hive that is there; the inert control writes what it is already.
fn set_or_keep(key: &str, name: &str, value: RegistryValue, inert: bool) -> Change {
    let (hive, key, name) = (HiveName::System, key.to_owned(), name.to_owned());
    match inert {
        true => Change::Keep { hive, key, name },
        false => Edit::SetValue { hive, key, name, value }.into(),
    }
}

fn missing_filter(filter: &MissingFilter, inert: bool) -> Change {
    let class = if inert { NO_CLASS } else { filter.class.guid() };
    Change::AddTexts {
        hive: HiveName::System,
        key: format!("CurrentControlSet\\Control\\Class\\{class}"),
        name: filter.list.value_name().to_owned(),
        texts: vec![filter.service.clone().unwrap_or_else(|| "lbmissing".to_owned())],
    }
}

/// A service whose file is not there and whose failure is critical. The inert control of one that is there
/// leaves it as it is; that of our own makes its failure one that nobody minds.
fn critical_service(service: &CriticalService, inert: bool) -> Vec<Change> {
    let Some(name) = &service.service else {
        let service = DriverService {
            name: None,
            file_name: "lbcritical.sys",
            start: ServiceStart::System,
            error_control: if inert { ErrorControl::Ignore } else { ErrorControl::Critical },
            group: None,
            modified: None,
            runs_in: RunsIn::Kernel,
            parameters: Vec::new(),
        };
        return service.install(None).into_iter().map(Change::from).collect();
    };
    let key = service_key(name);
    let critical = RegistryValue::Dword(ErrorControl::Critical.value());
    let gone = RegistryValue::ExpandText(format!("system32\\drivers\\{name}-missing.sys"));
    vec![
        set_or_keep(&key, "ErrorControl", critical, inert),
        set_or_keep(&key, "ImagePath", gone, inert),
    ]
}

pub(crate) fn value(change: &RegistryChange, inert: bool) -> Change {
    let key = if inert { UNREAD } else { &change.key }.to_owned();
    let (hive, name) = (hive(change.hive), change.value.clone());
    let value = match &change.to {
        RegistryData::Dword(number) => RegistryValue::Dword(*number),
        RegistryData::Text(text) => RegistryValue::Text(text.clone()),
        RegistryData::ExpandText(text) => RegistryValue::ExpandText(text.clone()),
        RegistryData::MultiText(texts) => RegistryValue::texts(texts),
        RegistryData::Removed if inert => RegistryValue::Dword(0),
        RegistryData::Removed => return Edit::RemoveValue { hive, key, name }.into(),
    };
    Edit::SetValue { hive, key, name, value }.into()
}
