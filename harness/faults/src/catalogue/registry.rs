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

const REGISTRY_EXAMPLES: &[Example] = &[
    Example {
        name: "registry-corrupt-hive-system-header",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "system", how = "header" } }

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the loader stands at 0xC000014C",
    },
    Example {
        name: "registry-corrupt-hive-software-header",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "software", how = "header" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0xC0000218 }
"#,
        consequence: "stop 0xC0000218 at every start; recovery has no copy of the hive",
    },
    Example {
        name: "registry-corrupt-hive-system-bin",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "system", how = "bin" } }

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the loader stands at 0xC000014C",
    },
    Example {
        name: "registry-corrupt-hive-software-bin",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "software", how = "bin" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0xC0000218 }
"#,
        consequence: "stop 0xC0000218 at every start; recovery has no copy of the hive",
    },
    Example {
        name: "registry-corrupt-hive-system-truncated",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "system", how = "truncated" } }

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the loader stands at 0xC000014C",
    },
    Example {
        name: "registry-corrupt-hive-software-truncated",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "software", how = "truncated" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0xC0000218 }
"#,
        consequence: "stop 0xC0000218 at every start; recovery has no copy of the hive",
    },
    Example {
        name: "registry-corrupt-hive-system-zero-filled",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "system", how = "zero-filled" } }

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the loader stands at 0xC000014C",
    },
    Example {
        name: "registry-corrupt-hive-software-zero-filled",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { corrupt-hive = { hive = "software", how = "zero-filled" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0xC0000218 }
"#,
        consequence: "stop 0xC0000218 at every start; recovery has no copy of the hive",
    },
    Example {
        name: "registry-wrong-control-set",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { wrong-control-set = { number = 7 } }

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the loader stands at 0xC000014C",
    },
    Example {
        name: "registry-disabled-disk-driver",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { disabled-disk-driver = {} }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-disk-drive-upper",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "disk-drive", list = "upper" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-disk-drive-lower",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "disk-drive", list = "lower" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-volume-upper",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "volume", list = "upper" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-volume-lower",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "volume", list = "lower" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-host-adapter-upper",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "host-adapter", list = "upper" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-missing-filter-host-adapter-lower",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { missing-filter = { class = "host-adapter", list = "lower" } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "stop 0x7B at every start",
    },
    Example {
        name: "registry-critical-service",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { critical-service = {} }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x5A }
"#,
        consequence: "stop 0x5A at every start",
    },
    Example {
        name: "registry-value",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "registry"
damage = { value = { key = 'CurrentControlSet\Services\disk', value = "Start", to = { dword = 4 } } }

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7B }
"#,
        consequence: "that of the value: here stop 0x7B at every start",
    },
];
