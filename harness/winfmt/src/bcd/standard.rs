//! The store of a UEFI installation of Windows with its recovery environment, as set-up makes it.

use super::ids::known;
use super::{BcdError, BcdStore, Device, ElementId as Id, ElementValue as Value, ObjectType};
use crate::{FileTime, Guid};

/// What differs from one installation to another. [`StandardStore::build`] makes the store.
///
/// Left out, against the stores of real installations: the resume application (an installation that
/// never hibernates), the memory tester, and the firmware's entries, which live in its variables.
#[derive(Debug, Clone)]
pub struct StandardStore {
    /// The disk's GUID.
    pub disk: Guid,
    /// The EFI system partition's GUID.
    pub system_partition: Guid,
    /// The Windows partition's GUID.
    pub windows_partition: Guid,
    /// The recovery partition's GUID.
    pub recovery_partition: Guid,
    /// The id that the Windows loader gets.
    pub loader: Guid,
    /// The id that the recovery environment's loader gets.
    pub recovery_loader: Guid,
    /// The id that the RAM disk options of the recovery environment get.
    pub recovery_options: Guid,
    /// What the menu calls Windows.
    pub description: String,
    /// The language, such as `en-US`.
    pub locale: String,
    /// Seconds that the menu waits, if it is shown.
    pub timeout: u64,
}

impl StandardStore {
    /// Makes the store. The clock is the time of every key, so the same input gives the same bytes.
    ///
    /// # Errors
    /// [`BcdError::Hive`].
    pub fn build(&self, clock: FileTime) -> Result<BcdStore, BcdError> {
        let mut store = BcdStore::create(clock)?;
        self.add_settings(&mut store)?;
        let system = Device::gpt(self.disk, self.system_partition);
        let windows = Device::gpt(self.disk, self.windows_partition);
        let add = |store: &mut BcdStore, id, kind, elements: Vec<(Id, Value)>| {
            store.add_object(id, kind)?;
            elements.iter().try_for_each(|(element, value)| store.set(id, *element, value))
        };
        let text = |text: &str| Value::String(text.to_owned());

        add(
            &mut store,
            known::BOOT_MANAGER,
            ObjectType::BOOT_MANAGER,
            vec![
                (Id::DEVICE, Value::Device(system)),
                (Id::PATH, text(r"\EFI\Microsoft\Boot\bootmgfw.efi")),
                (Id::DESCRIPTION, text("Windows Boot Manager")),
                (Id::LOCALE, text(&self.locale)),
                (Id::INHERIT, Value::ObjectList(vec![known::GLOBAL_SETTINGS])),
                (Id::DEFAULT_OBJECT, Value::Object(self.loader)),
                (Id::DISPLAY_ORDER, Value::ObjectList(vec![self.loader])),
                (Id::TIMEOUT, Value::Integer(self.timeout)),
            ],
        )?;
        add(
            &mut store,
            self.loader,
            ObjectType::OS_LOADER,
            vec![
                (Id::DEVICE, Value::Device(windows.clone())),
                (Id::PATH, text(r"\Windows\system32\winload.efi")),
                (Id::DESCRIPTION, text(&self.description)),
                (Id::LOCALE, text(&self.locale)),
                (Id::INHERIT, Value::ObjectList(vec![known::BOOT_LOADER_SETTINGS])),
                (Id::RECOVERY_SEQUENCE, Value::ObjectList(vec![self.recovery_loader])),
                (Id::DISPLAY_MESSAGE_OVERRIDE, Value::Integer(3)),
                (Id::RECOVERY_ENABLED, Value::Boolean(true)),
                (Id::ISOLATED_CONTEXT, Value::Boolean(true)),
                (Id::ALLOWED_IN_MEMORY_SETTINGS, Value::IntegerList(vec![0x1500_0075])),
                (Id::OS_DEVICE, Value::Device(windows)),
                (Id::SYSTEM_ROOT, text(r"\Windows")),
                (Id::NX, Value::Integer(0)),
                (Id::BOOT_MENU_POLICY, Value::Integer(1)),
                (Id::HYPERVISOR_LAUNCH_TYPE, Value::Integer(0)),
            ],
        )?;
        let image = Device::ramdisk(
            self.recovery_options,
            self.disk,
            self.recovery_partition,
            r"\Recovery\WindowsRE\Winre.wim",
        );
        add(
            &mut store,
            self.recovery_loader,
            ObjectType::OS_LOADER,
            vec![
                (Id::DEVICE, Value::Device(image.clone())),
                (Id::PATH, text(r"\windows\system32\winload.efi")),
                (Id::DESCRIPTION, text("Windows Recovery Environment")),
                (Id::LOCALE, text(&self.locale)),
                (Id::INHERIT, Value::ObjectList(vec![known::BOOT_LOADER_SETTINGS])),
                (Id::DISPLAY_MESSAGE, Value::Integer(3)),
                (Id::OS_DEVICE, Value::Device(image)),
                (Id::SYSTEM_ROOT, text(r"\windows")),
                (Id::NX, Value::Integer(0)),
                (Id::BOOT_MENU_POLICY, Value::Integer(1)),
                (Id::WIN_PE, Value::Boolean(true)),
                (Id::RECOVERY_OS, Value::Boolean(true)),
            ],
        )?;
        let recovery = Device::gpt(self.disk, self.recovery_partition);
        add(
            &mut store,
            self.recovery_options,
            ObjectType::DEVICE_OPTIONS,
            vec![
                (Id::DESCRIPTION, text("Windows Recovery")),
                (Id::RAMDISK_SDI_DEVICE, Value::Device(recovery)),
                (Id::RAMDISK_SDI_PATH, text(r"\Recovery\WindowsRE\boot.sdi")),
            ],
        )?;
        Ok(store)
    }

    /// The settings objects that every store has and everything inherits from.
    fn add_settings(&self, store: &mut BcdStore) -> Result<(), BcdError> {
        let shared = ObjectType::INHERITED_SETTINGS;
        let objects = [
            (known::GLOBAL_SETTINGS, shared),
            (known::DEBUGGER_SETTINGS, shared),
            (known::EMS_SETTINGS, shared),
            (known::BAD_MEMORY, shared),
            (known::BOOT_LOADER_SETTINGS, ObjectType::LOADER_SETTINGS),
            (known::HYPERVISOR_SETTINGS, ObjectType::LOADER_SETTINGS),
            (known::RESUME_LOADER_SETTINGS, ObjectType::RESUME_SETTINGS),
        ];
        for (id, kind) in objects {
            store.add_object(id, kind)?;
        }
        let inherit = |ids: &[Guid]| Value::ObjectList(ids.to_vec());
        let below = [known::DEBUGGER_SETTINGS, known::EMS_SETTINGS, known::BAD_MEMORY];
        store.set(known::GLOBAL_SETTINGS, Id::INHERIT, &inherit(&below))?;
        let below = [known::GLOBAL_SETTINGS, known::HYPERVISOR_SETTINGS];
        store.set(known::BOOT_LOADER_SETTINGS, Id::INHERIT, &inherit(&below))?;
        let below = [known::GLOBAL_SETTINGS];
        store.set(known::RESUME_LOADER_SETTINGS, Id::INHERIT, &inherit(&below))?;
        store.set(known::EMS_SETTINGS, Id(0x1600_0020), &Value::Boolean(false))?;
        store.set(known::DEBUGGER_SETTINGS, Id(0x1500_0011), &Value::Integer(4))
    }
}
