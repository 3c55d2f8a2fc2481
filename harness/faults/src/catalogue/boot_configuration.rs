//! What starts Windows.

use super::{Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[KindInfo {
    name: "boot-configuration",
    title: "damage to what starts Windows",
    what: "One thing wrong on the way from the firmware to Windows: the boot configuration \
               store (BCD) is missing or damaged, its default entry names a partition that does \
               not exist, has recovery off, another `bootstatuspolicy`, safe mode or test signing \
               left on; the loader is missing; the EFI system partition is full or no longer in \
               the partition table; the recovery image is missing or of an older build.",
    lands: "Offline, on the EFI system partition, the Windows volume, the recovery volume or \
                in the partition table. The whole file, or the table's entry, is read back from \
                the disk.",
    undone: "What was there is put back byte by byte, with its time.",
    inert: "The same file, entry or partition is written as it is; for a full partition, a \
                file of one byte.",
    images: "UEFI images with a GUID partition table. The understudy checks \
                 signatures of drivers where `nointegritychecks` is off (it is on there), after a model of its \
                 own; it takes any recovery image that is one.",
    expect: "Missing store or loader: 0xC000000F. Damaged store: 0xC000014C. Wrong device: \
                 0xC000000E. The machine stands there until somebody switches it off and on; after \
                 two such starts of a missing loader it goes to recovery, without a store it \
                 cannot. Recovery off or failures ignored: a crashing driver loops for ever. Safe \
                 mode: drivers that are not on its list are left out; on the understudy without \
                 network and agent for `minimal`.",
    examples: BOOT_EXAMPLES,
}];

const BOOT_EXAMPLES: &[Example] = &[
    Example {
        name: "boot-configuration-missing-store",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "missing-store"

[expect]
verdict = "hung"
boot-error = 0xC000000F
"#,
        consequence: "the boot manager stands at 0xC000000F",
    },
    Example {
        name: "boot-configuration-corrupt-store",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "corrupt-store"

[expect]
verdict = "hung"
boot-error = 0xC000014C
"#,
        consequence: "the boot manager stands at 0xC000014C",
    },
    Example {
        name: "boot-configuration-wrong-device",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "wrong-device"

[expect]
verdict = "hung"
boot-error = 0xC000000E
"#,
        consequence: "the boot manager stands at 0xC000000E",
    },
    Example {
        name: "boot-configuration-missing-loader",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "missing-loader"

[expect]
verdict = "hung"
boot-error = 0xC000000F
"#,
        consequence: "the boot manager stands at 0xC000000F",
    },
    Example {
        name: "boot-configuration-missing-loader-operator",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "missing-loader"

[operator]
at-stop-screen = "power-cycle"

[expect]
verdict = "recovered"
layers = ["automatic-repair"]
boot-error = 0xC000000F
"#,
        consequence: "0xC000000F twice; then Startup Repair puts Windows' own copy of the \
                          loader back",
    },
    Example {
        name: "boot-configuration-recovery-disabled",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "recovery-disabled"

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "looping"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
"#,
        consequence: "with a driver that stops at every start: it loops, and recovery never \
                          comes",
    },
    Example {
        name: "boot-configuration-status-policy-ignore-all-failures",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { status-policy = { policy = "ignore-all-failures" } }

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "looping"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
"#,
        consequence: "with a driver that stops at every start: failures do not count, it loops",
    },
    Example {
        name: "boot-configuration-status-policy-ignore-boot-failures",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { status-policy = { policy = "ignore-boot-failures" } }

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "looping"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
"#,
        consequence: "with a driver that stops at every start: failures do not count, it loops",
    },
    Example {
        name: "boot-configuration-status-policy-ignore-shutdown-failures",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { status-policy = { policy = "ignore-shutdown-failures" } }

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
"#,
        consequence: "with a driver that stops at every start: failed starts still lead to \
                          recovery",
    },
    Example {
        name: "boot-configuration-safe-boot-minimal",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { safe-boot = { mode = "minimal" } }

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "unaffected"
"#,
        consequence: "safe mode leaves the driver out that stops at every other start",
    },
    Example {
        name: "boot-configuration-safe-boot-network",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { safe-boot = { mode = "network" } }

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "unaffected"
"#,
        consequence: "safe mode leaves the driver out that stops at every other start",
    },
    Example {
        name: "boot-configuration-signing-policy",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { signing-policy = { testsigning = true, nointegritychecks = true } }

[expect]
verdict = "unaffected"
"#,
        consequence: "none by itself: no driver without a signature is there",
    },
    Example {
        name: "boot-configuration-full-efi-partition",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = { full-efi-partition = { leave = 0 } }

[expect]
verdict = "unaffected"
"#,
        consequence: "the machine starts; what would be written there is not",
    },
    Example {
        name: "boot-configuration-missing-efi-partition",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "missing-efi-partition"

[limits]
time = "6m"

[expect]
verdict = "hung"
"#,
        consequence: "the firmware finds nothing to start",
    },
    Example {
        name: "boot-configuration-missing-recovery-image",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "missing-recovery-image"

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "hung"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
boot-error = 0xC000000F
"#,
        consequence: "after two stops of a driver recovery is to start and cannot: 0xC000000F",
    },
    Example {
        name: "boot-configuration-stale-recovery-image",
        machine: "",
        scenario: r#"
[[fault]]
name = "damage"
kind = "boot-configuration"
damage = "stale-recovery-image"

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[limits]
recovery-rounds = 1

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
"#,
        consequence: "recovery starts, as the older build that it is",
    },
];
