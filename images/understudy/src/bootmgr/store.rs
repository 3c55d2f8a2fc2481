//! The boot configuration store, as far as the boot manager reads it.

use winfmt::Guid;
use winfmt::bcd::{
    BcdError, BcdStore, Device, DeviceKind, ElementId, ElementValue, ObjectType, known,
};

use super::decide::{Configuration, Entry};

/// Reads the store.
pub(super) fn read(store: &BcdStore) -> Result<Configuration, BcdError> {
    let manager = known::BOOT_MANAGER;
    let mut configuration = Configuration {
        boot_sequence: store.objects_of(manager, ElementId::BOOT_SEQUENCE)?,
        default: match store.get(manager, ElementId::DEFAULT_OBJECT)? {
            Some(ElementValue::Object(id)) => Some(id),
            _ => None,
        },
        display_order: store.objects_of(manager, ElementId::DISPLAY_ORDER)?,
        ..Configuration::default()
    };
    for object in store.objects()? {
        if object.kind == ObjectType::OS_LOADER {
            configuration.entries.insert(object.id, entry(store, object.id)?);
        }
    }
    Ok(configuration)
}

fn entry(store: &BcdStore, id: Guid) -> Result<Entry, BcdError> {
    let device = |element| -> Result<Option<Device>, BcdError> {
        Ok(match store.effective(id, element)? {
            Some(ElementValue::Device(device)) => Some(device),
            _ => None,
        })
    };
    // Windows lies on `osdevice`; `device` is where the loader program lies.
    let windows = device(ElementId::OS_DEVICE)?.or(device(ElementId::DEVICE)?);
    let kind = windows.map(|device| device.kind());
    let text = |element| Ok::<_, BcdError>(store.string(id, element)?.unwrap_or_default());
    let on = |element| Ok::<_, BcdError>(store.boolean(id, element)?.unwrap_or(false));
    Ok(Entry {
        description: text(ElementId::DESCRIPTION)?,
        path: text(ElementId::PATH)?,
        system_root: text(ElementId::SYSTEM_ROOT)?,
        partition: kind.as_ref().and_then(partition),
        without_device: !matches!(
            kind,
            Some(DeviceKind::Gpt { .. } | DeviceKind::File { .. } | DeviceKind::Locate(_))
        ),
        ramdisk: match &kind {
            Some(DeviceKind::File { parent, path, .. }) => Some((partition(parent), path.clone())),
            _ => None,
        },
        recovery_sequence: store.recovery_sequence(id)?,
        recovery_enabled: store.recovery_enabled(id)?,
        boot_status_policy: store.integer(id, ElementId::BOOT_STATUS_POLICY)?,
        safe_boot: store.integer(id, ElementId::SAFE_BOOT)?,
        last_known_good: on(ElementId::LAST_KNOWN_GOOD)?,
        test_signing: on(ElementId::TEST_SIGNING)?,
        no_integrity_checks: on(ElementId::NO_INTEGRITY_CHECKS)?,
    })
}

fn partition(kind: &DeviceKind) -> Option<Guid> {
    match kind {
        DeviceKind::Gpt { partition, .. } => Some(*partition),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use winfmt::bcd::{Device, ElementId, ElementValue, StandardStore};
    use winfmt::{FileTime, Guid};

    #[test]
    fn a_standard_store_leads_to_windows_and_to_its_recovery() {
        let id = |number| Guid::from_bytes([number; 16]);
        let standard = StandardStore {
            disk: id(1),
            system_partition: id(2),
            windows_partition: id(3),
            recovery_partition: id(4),
            loader: id(5),
            recovery_loader: id(6),
            recovery_options: id(7),
            description: "Windows".into(),
            locale: "en-US".into(),
            timeout: 30,
        };
        let store = standard.build(FileTime::ZERO).expect("builds");
        let configuration = super::read(&store).expect("reads");
        assert_eq!(configuration.default, Some(id(5)));
        let windows = &configuration.entries[&id(5)];
        assert_eq!(windows.partition, Some(id(3)));
        assert_eq!(windows.recovery_sequence, [id(6)]);
        assert!(windows.recovery_enabled && !windows.without_device);
        let recovery = &configuration.entries[&id(6)];
        let image = "\\Recovery\\WindowsRE\\Winre.wim".to_owned();
        assert_eq!(recovery.ramdisk, Some((Some(id(4)), image)));

        assert!(!windows.test_signing && !windows.no_integrity_checks);

        let mut store = store;
        let on = ElementValue::Boolean(true);
        store.set(id(5), ElementId::TEST_SIGNING, &on).expect("set");
        let windows = &super::read(&store).expect("reads").entries[&id(5)];
        assert!(windows.test_signing && !windows.no_integrity_checks);

        let unknown = Device::from_bytes(vec![0xFF; 0x58]);
        store.set(id(5), ElementId::OS_DEVICE, &ElementValue::Device(unknown)).expect("set");
        let configuration = super::read(&store).expect("reads");
        assert!(configuration.entries[&id(5)].without_device);
    }
}
