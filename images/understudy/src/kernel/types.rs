//! The Windows structures that drivers and the model share, in their x64 layout.
//!
//! Source: the public headers `wdm.h` and `ntddk.h`; the tests hold the offsets.

/// `UNICODE_STRING`: counted UTF-16, lengths in bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct UnicodeString {
    pub(super) length: u16,
    pub(super) maximum_length: u16,
    pub(super) buffer: *mut u16,
}

/// `ANSI_STRING`: counted bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct AnsiString {
    pub(super) length: u16,
    pub(super) maximum_length: u16,
    pub(super) buffer: *mut u8,
}

/// `OBJECT_ATTRIBUTES`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct ObjectAttributes {
    pub(super) length: u32,
    pub(super) root_directory: u64,
    pub(super) object_name: *const UnicodeString,
    pub(super) attributes: u32,
    pub(super) security_descriptor: u64,
    pub(super) security_quality: u64,
}

/// `IO_STATUS_BLOCK`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct IoStatusBlock {
    pub(super) status: u64,
    pub(super) information: u64,
}

/// `LIST_ENTRY`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct ListEntry {
    pub(super) flink: u64,
    pub(super) blink: u64,
}

/// `DISPATCHER_HEADER`; a `KEVENT` is nothing more.
#[repr(C)]
#[derive(Debug)]
pub(super) struct DispatcherHeader {
    pub(super) kind: u8,
    pub(super) signalling: u8,
    pub(super) size: u8,
    pub(super) reserved: u8,
    pub(super) signal_state: i32,
    pub(super) wait_list: ListEntry,
}

/// `KMUTANT` (`KMUTEX`).
#[repr(C)]
#[derive(Debug)]
pub(super) struct Mutant {
    pub(super) header: DispatcherHeader,
    pub(super) list: ListEntry,
    pub(super) owner: u64,
    pub(super) abandoned: u8,
    pub(super) apc_disable: u8,
}

/// `KSEMAPHORE`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Semaphore {
    pub(super) header: DispatcherHeader,
    pub(super) limit: i32,
}

/// `KTIMER`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Timer {
    pub(super) header: DispatcherHeader,
    pub(super) due: u64,
    pub(super) list: ListEntry,
    pub(super) dpc: *mut Dpc,
    pub(super) processor: u32,
    pub(super) period: u32,
}

/// `KDPC`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Dpc {
    pub(super) target: u32,
    pub(super) list: u64,
    pub(super) history: u64,
    pub(super) routine: u64,
    pub(super) context: u64,
    pub(super) argument1: u64,
    pub(super) argument2: u64,
    pub(super) data: u64,
}

/// `FAST_MUTEX`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct FastMutex {
    pub(super) count: i32,
    pub(super) owner: u64,
    pub(super) contention: u32,
    pub(super) event: DispatcherHeader,
    pub(super) old_irql: u32,
}

/// `MDL`; the numbers of its pages follow.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Mdl {
    pub(super) next: u64,
    pub(super) size: u16,
    pub(super) flags: u16,
    pub(super) process: u64,
    pub(super) mapped: u64,
    pub(super) start: u64,
    pub(super) count: u32,
    pub(super) offset: u32,
}

/// `DRIVER_EXTENSION`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct DriverExtension {
    pub(super) driver_object: *mut DriverObject,
    pub(super) add_device: u64,
    pub(super) count: u32,
    pub(super) service_key_name: UnicodeString,
}

/// `DRIVER_OBJECT`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct DriverObject {
    pub(super) kind: i16,
    pub(super) size: i16,
    pub(super) device_object: *mut DeviceObject,
    pub(super) flags: u32,
    pub(super) driver_start: u64,
    pub(super) driver_size: u32,
    pub(super) driver_section: u64,
    pub(super) driver_extension: *mut DriverExtension,
    pub(super) driver_name: UnicodeString,
    pub(super) hardware_database: u64,
    pub(super) fast_io: u64,
    pub(super) driver_init: u64,
    pub(super) driver_start_io: u64,
    pub(super) driver_unload: u64,
    pub(super) major_function: [u64; 28],
}

/// `DEVICE_OBJECT`; aligned to 16 bytes as the headers ask.
#[repr(C, align(16))]
#[derive(Debug)]
pub(super) struct DeviceObject {
    pub(super) kind: i16,
    pub(super) size: u16,
    pub(super) reference_count: i32,
    pub(super) driver_object: *mut DriverObject,
    pub(super) next_device: *mut DeviceObject,
    pub(super) attached_device: u64,
    pub(super) current_irp: u64,
    pub(super) timer: u64,
    pub(super) flags: u32,
    pub(super) characteristics: u32,
    pub(super) vpb: u64,
    pub(super) device_extension: u64,
    pub(super) device_type: u32,
    pub(super) stack_size: i8,
    pub(super) queue: [u64; 9],
    pub(super) alignment: u32,
    pub(super) device_queue: [u64; 5],
    pub(super) dpc: [u64; 8],
    pub(super) active_threads: u32,
    pub(super) security_descriptor: u64,
    pub(super) device_lock: DispatcherHeader,
    pub(super) sector_size: u16,
    pub(super) spare: u16,
    pub(super) extension: u64,
    pub(super) reserved: u64,
}

/// `RTL_QUERY_REGISTRY_TABLE`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct QueryRegistryTable {
    pub(super) routine: u64,
    pub(super) flags: u32,
    pub(super) name: *const u16,
    pub(super) entry_context: u64,
    pub(super) default_type: u32,
    pub(super) default_data: *const u8,
    pub(super) default_length: u32,
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn layouts_are_those_of_x64_windows() {
        assert_eq!(size_of::<UnicodeString>(), 0x10);
        assert_eq!(offset_of!(UnicodeString, buffer), 8);
        assert_eq!(size_of::<ObjectAttributes>(), 0x30);
        assert_eq!(offset_of!(ObjectAttributes, object_name), 0x10);
        assert_eq!(size_of::<IoStatusBlock>(), 0x10);
        assert_eq!(size_of::<DispatcherHeader>(), 0x18);
        assert_eq!(offset_of!(DispatcherHeader, signal_state), 4);
        assert_eq!(size_of::<Mutant>(), 0x38);
        assert_eq!(size_of::<Semaphore>(), 0x20);
        assert_eq!(size_of::<Timer>(), 0x40);
        assert_eq!(offset_of!(Timer, dpc), 0x30);
        assert_eq!(offset_of!(Timer, period), 0x3C);
        assert_eq!(size_of::<Dpc>(), 0x40);
        assert_eq!(offset_of!(Dpc, routine), 0x18);
        assert_eq!(size_of::<Mdl>(), 0x30);
        assert_eq!(offset_of!(Mdl, mapped), 0x18);
        assert_eq!(offset_of!(Mdl, offset), 0x2C);
        assert_eq!(size_of::<FastMutex>(), 0x38);
        assert_eq!(offset_of!(FastMutex, event), 0x18);

        assert_eq!(size_of::<DriverObject>(), 0x150);
        assert_eq!(offset_of!(DriverObject, driver_extension), 0x30);
        assert_eq!(offset_of!(DriverObject, driver_name), 0x38);
        assert_eq!(offset_of!(DriverObject, driver_unload), 0x68);
        assert_eq!(offset_of!(DriverObject, major_function), 0x70);
        assert_eq!(offset_of!(DriverExtension, service_key_name), 0x18);

        assert_eq!(size_of::<DeviceObject>(), 0x150);
        assert_eq!(offset_of!(DeviceObject, device_extension), 0x40);
        assert_eq!(offset_of!(DeviceObject, stack_size), 0x4C);
        assert_eq!(offset_of!(DeviceObject, queue), 0x50);
        assert_eq!(offset_of!(DeviceObject, alignment), 0x98);
        assert_eq!(offset_of!(DeviceObject, device_queue), 0xA0);
        assert_eq!(offset_of!(DeviceObject, dpc), 0xC8);
        assert_eq!(offset_of!(DeviceObject, device_lock), 0x118);
        assert_eq!(offset_of!(DeviceObject, sector_size), 0x130);
        assert_eq!(size_of::<QueryRegistryTable>(), 0x38);
    }
}
