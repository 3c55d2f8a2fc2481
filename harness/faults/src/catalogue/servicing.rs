//! Updates that went wrong.

use super::{Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[INTERRUPTED_WRITE];

const INTERRUPTED_WRITE: KindInfo = KindInfo {
    name: "interrupted-write",
    title: "an updater that writes its file in place and loses power",
    what: "On a machine that is up a file is written in place up to a part of its content; before the rest is \
           written the power is cut. The file is as long as it was to be, with zeros where nothing was written.",
    lands: "The guest agent writes and flushes the first part and keeps the file open; the disk loses its power \
            and the emulator is killed. Before the power comes back the file is read from the disk, offline, and \
            has to hold just that.",
    undone: "The file is removed, or what was there before is put back. The power is back.",
    inert: "The whole file is written in the same way, into C:\\Windows\\Temp, and the power stays.",
    images: "Images with a guest agent, on a hypervisor of this host: the disk is served by the harness itself.",
    expect: "What the machine makes of half a file at its next start. A content file whose reader trusts its \
             length is read with zeros at its end; half a boot driver is 0xC0000221 or 0xC000007B, half a hive \
             0xC000014C.",
    examples: &[
        Example {
            name: "interrupted-write-content",
            machine: "",
            scenario: r#"
[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'

[[fault]]
name = "update"
kind = "interrupted-write"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys'
content = { channel-file = { fields = 20, patterns = { 20 = "input-20" } } }

[expect]
verdict = "unaffected"

[limits]
time = "5m"
"#,
            consequence: "the sensor reads the half-written channel file at the next start: its last field became \
                          a wildcard",
        },
        Example {
            name: "interrupted-write-hive",
            machine: "",
            scenario: r#"
[[fault]]
name = "update"
kind = "interrupted-write"
path = 'C:\Windows\System32\config\SYSTEM'
content = { text = "a hive that an updater wanted to put here, and did not get far with" }

[expect]
verdict = "hung"
boot-error = 0xC000014C

[limits]
time = "5m"
"#,
            consequence: "0xC000014C for the SYSTEM hive, on the boot manager's screen",
        },
    ],
};
