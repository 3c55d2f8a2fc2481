//! The registry.

use super::{Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[KindInfo {
    name: "registry",
    title: "damage to the registry",
    what: "One thing wrong in the SYSTEM or SOFTWARE hive: its file is damaged (base block, \
               first bin, cut off, zeros), `Select` names a control set that is not there, the \
               system disk's driver is disabled, a device class has a filter without a service, a \
               service that must start cannot, or any value is set or taken out.",
    lands: "Offline. Values go through the hive, brought up to date from its logs; damage \
                through its file. Each value, or the whole file, is read back from the disk.",
    undone: "The value or file that was there is put back; a key that was made is removed.",
    inert: "The same file or value is written as it is; a filter goes to a device class that \
                no device has, a value to a key that nothing reads; the service's failure is one \
                that nobody minds.",
    images: "Any image of the store whose Windows volume can be written offline. On Windows a \
                 hive with logs that hold changes may be rebuilt from them.",
    expect: "SYSTEM damaged or a control set that is missing: 0xC000014C in the loader. \
                 SOFTWARE damaged: stop 0xC0000218. Disk driver or filter: stop 0x7B. Critical \
                 service: stop 0x5A.",
    examples: REGISTRY_EXAMPLES,
}];

/// A scenario with one damage, and what to expect.
macro_rules! damage {
    ($name:literal, $damage:literal, $expect:expr, $consequence:literal) => {
        shows!("registry", $name, "damage", ["damage = ", $damage], $expect, $consequence)
    };
}

const REGISTRY_EXAMPLES: &[Example] = &[
    damage!(
        "corrupt-hive-system-header",
        r#"{ corrupt-hive = { hive = "system", how = "header" } }"#,
        stands!("0xC000014C"),
        "the loader halts at 0xC000014C"
    ),
    damage!(
        "corrupt-hive-software-header",
        r#"{ corrupt-hive = { hive = "software", how = "header" } }"#,
        stuck!("0xC0000218"),
        "stop 0xC0000218 at every start; recovery has no copy of the hive"
    ),
    damage!(
        "corrupt-hive-system-bin",
        r#"{ corrupt-hive = { hive = "system", how = "bin" } }"#,
        stands!("0xC000014C"),
        "the loader halts at 0xC000014C"
    ),
    damage!(
        "corrupt-hive-software-bin",
        r#"{ corrupt-hive = { hive = "software", how = "bin" } }"#,
        stuck!("0xC0000218"),
        "stop 0xC0000218 at every start; recovery has no copy of the hive"
    ),
    damage!(
        "corrupt-hive-system-truncated",
        r#"{ corrupt-hive = { hive = "system", how = "truncated" } }"#,
        stands!("0xC000014C"),
        "the loader halts at 0xC000014C"
    ),
    damage!(
        "corrupt-hive-software-truncated",
        r#"{ corrupt-hive = { hive = "software", how = "truncated" } }"#,
        stuck!("0xC0000218"),
        "stop 0xC0000218 at every start; recovery has no copy of the hive"
    ),
    damage!(
        "corrupt-hive-system-zero-filled",
        r#"{ corrupt-hive = { hive = "system", how = "zero-filled" } }"#,
        stands!("0xC000014C"),
        "the loader halts at 0xC000014C"
    ),
    damage!(
        "corrupt-hive-software-zero-filled",
        r#"{ corrupt-hive = { hive = "software", how = "zero-filled" } }"#,
        stuck!("0xC0000218"),
        "stop 0xC0000218 at every start; recovery has no copy of the hive"
    ),
    damage!(
        "wrong-control-set",
        r#"{ wrong-control-set = { number = 7 } }"#,
        stands!("0xC000014C"),
        "the loader halts at 0xC000014C"
    ),
    damage!(
        "disabled-disk-driver",
        r#"{ disabled-disk-driver = {} }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-disk-drive-upper",
        r#"{ missing-filter = { class = "disk-drive", list = "upper" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-disk-drive-lower",
        r#"{ missing-filter = { class = "disk-drive", list = "lower" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-volume-upper",
        r#"{ missing-filter = { class = "volume", list = "upper" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-volume-lower",
        r#"{ missing-filter = { class = "volume", list = "lower" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-host-adapter-upper",
        r#"{ missing-filter = { class = "host-adapter", list = "upper" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "missing-filter-host-adapter-lower",
        r#"{ missing-filter = { class = "host-adapter", list = "lower" } }"#,
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    damage!(
        "critical-service",
        r#"{ critical-service = {} }"#,
        stuck!("0x5A"),
        "stop 0x5A at every start"
    ),
    damage!(
        "value",
        r#"{ value = { key = 'CurrentControlSet\Services\disk', value = "Start", to = { dword = 4 } } }"#,
        stuck!("0x7B"),
        "that of the value: here stop 0x7B at every start"
    ),
];
