//! The disk itself.

use super::{Example, KindInfo};

const DRIVE: &str = "Every image, on a hypervisor of this host: the machine's disk is served by the harness \
                     itself (NBD on a Unix socket), which stands in front of QEMU's block layer. `file` needs \
                     an NTFS volume that can be read offline.";

pub(super) const KINDS: &[KindInfo] = &[KindInfo {
    name: "storage",
    title: "trouble between the machine and its disk",
    what: "Reads or writes of a file's data or of chosen sectors fail, every request takes longer, or the host \
           has no room for more. From power-on or once the machine is up, for good or for some boots.",
    lands: "The harness is the drive. The sectors are those in which the file lies, looked up on the disk before \
            power-on, and named in the proof. Each error that the machine gets is in the record as QEMU's own \
            event, too.",
    undone: "The trouble is lifted. Nothing on the disk was changed by it.",
    inert: "The harness is the drive, and nothing is wrong with it.",
    images: DRIVE,
    expect: "What is needed and cannot be read is not there: 0xC00000E9 on the boot manager's screen for the \
             loader, the SYSTEM hive or a boot driver; a driver of a later start is not loaded, and its error \
             control decides; a status file that cannot be written does not count starts.",
    examples: &[
        Example {
            name: "storage-read-error",
            machine: "",
            scenario: r#"
[[fault]]
name = "bad-sectors"
kind = "storage"
trouble = { read-error = { file = 'C:\Windows\System32\config\SYSTEM' } }

[expect]
verdict = "hung"
boot-error = 0xC00000E9

[limits]
time = "5m"
"#,
            consequence: "0xC00000E9 for the SYSTEM hive, on the boot manager's screen",
        },
        Example {
            name: "storage-read-error-driver",
            machine: "",
            scenario: r#"
[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'
start = "boot"

[[fault]]
name = "bad-sectors"
kind = "storage"
trouble = { read-error = { file = 'C:\Windows\System32\ntoskrnl.exe' } }

[expect]
verdict = "hung"
boot-error = 0xC00000E9

[limits]
time = "5m"
"#,
            consequence: "0xC00000E9 for the kernel, on the boot manager's screen",
        },
        Example {
            name: "storage-read-error-one-boot",
            machine: "",
            scenario: r#"
[[fault]]
name = "bad-sectors"
kind = "storage"
trouble = { read-error = { file = 'C:\Windows\System32\config\SOFTWARE' } }
boots = 1

[expect]
verdict = "recovered"
stop = { bug-check = 0xC0000218 }

[limits]
time = "5m"
"#,
            consequence: "stop 0xC0000218 once, then a healthy start by itself",
        },
        Example {
            name: "storage-write-error",
            machine: "",
            scenario: r#"
[[fault]]
name = "bad-sectors"
kind = "storage"
trouble = { write-error = { sectors = { first = 0, count = 100000000 } } }

[expect]
verdict = "unaffected"

[limits]
time = "5m"
"#,
            consequence: "nothing can be written, so no start is counted; Windows starts",
        },
        Example {
            name: "storage-slow",
            machine: "",
            scenario: r#"
[[fault]]
name = "slow-disk"
kind = "storage"
trouble = { slow = { latency = "5ms" } }

[expect]
verdict = "unaffected"

[limits]
time = "10m"
"#,
            consequence: "everything takes longer, and nothing fails",
        },
        Example {
            name: "storage-full",
            machine: "",
            scenario: r#"
[[fault]]
name = "no-room"
kind = "storage"
trouble = "full"

[expect]
verdict = "unaffected"

[limits]
time = "5m"
"#,
            consequence: "no start is counted and nothing is written; Windows starts",
        },
    ],
}];
