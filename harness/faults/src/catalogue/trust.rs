//! Trust and encryption.

use super::{Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[
    KindInfo {
        name: "encryption",
        title: "a Windows volume whose key the TPM keeps",
        what: "BitLocker with a TPM and nothing else, as Windows sets it up by itself: the volume's key is \
               sealed to platform configuration registers, into which the firmware measures what it trusts \
               and what it starts. Before the run proper the machine starts once, is marked good, seals its \
               key and shuts down. Only under [[given]].",
        lands: "Offline: the protector on the Windows volume, read back from it. The key is sealed by the \
                machine itself at its first good start, with TPM 2.0 commands.",
        undone: "The protector is removed; the volume is then as one that was never encrypted.",
        inert: "The same: by itself it changes nothing for a machine that starts as it did when the key was \
                sealed.",
        images: "The understudy: sealing, registers and TPM (swtpm) are real, but its volume is not encrypted; it \
                 is not started without its key. On Windows encryption is a property of the image: switch \
                 BitLocker on, keep the recovery key, and take the image in with its TPM state; it can then \
                 not be edited offline.",
        expect: "Nothing by itself. Where the TPM does not give the key out, the boot manager asks for the \
                 recovery key, and so does the recovery environment: Startup Repair and Quick Machine Recovery \
                 do not even begin. Where it does, the recovery environment gets the key as well only if \
                 register 7 is among those that it is sealed to.",
        examples: &[
            Example {
                name: "encryption-recovery-needs-key",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"
registers = [0, 2, 4]

[[fault]]
name = "crash"
kind = "driver"
driver = "lbfault.sys"
defect = "null-read"

[expect]
verdict = "stuck-in-recovery"
recovery-key = true
"#,
                consequence: "Windows stops twice, then the recovery environment asks for the recovery key",
            },
            Example {
                name: "encryption-harmless",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"
registers = [0, 2, 4, 7]

[[fault]]
name = "no-clear"
kind = "trust"
change = "tpm-cleared"
inert = true

[expect]
verdict = "unaffected"
"#,
                consequence: "the TPM unlocks the volume, healthy",
            },
        ],
    },
    KindInfo {
        name: "trust",
        title: "a change of what the machine trusts, or is trusted by",
        what: "Between two starts: Secure Boot's database of forbidden signatures (dbx) gets an entry, as by \
               KB5012170 or by new firmware; the TPM is cleared, as by a person, by new firmware or with a new \
               main board; the boot manager is replaced by a different one.",
        lands: "Offline: the variable in the machine's own firmware variables, the state of its TPM, the file \
                on the EFI system partition. Each is read back from where it is. What is added to dbx is the \
                digest of a program that does not exist. A cleared TPM is one without state, so its other seeds \
                change too. The boot manager gets another time in its PE header, which is part of what is \
                measured.",
        undone: "The variable, the TPM's state or the file is put back as it was: the machine starts again \
                 without asking.",
        inert: "A variable that no firmware knows; the TPM's state and the boot manager are written as they \
                are.",
        images: "Any with UEFI; clearing needs a TPM in the machine's profile, or `encryption`. The boot manager \
                 only with Secure Boot off: the changed one is no longer what Microsoft signed. Consequences are \
                 Windows' own where BitLocker is on in the image; on the understudy those of `encryption`.",
        expect: "Without encryption nothing. With it the recovery key is asked for at the next start: after a \
                 change of dbx where the key is sealed to register 7, of the boot manager where it is sealed to \
                 register 4, after a clear always. It is not a stop, and the start does not count as failed.",
        examples: &[
            Example {
                name: "trust-secure-boot-database",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"

[[fault]]
name = "dbx"
kind = "trust"
change = "secure-boot-database"

[expect]
verdict = "hung"
recovery-key = true
"#,
                consequence: "the boot manager asks for the recovery key",
            },
            Example {
                name: "trust-secure-boot-database-not-encrypted",
                machine: "",
                scenario: r#"
[[fault]]
name = "dbx"
kind = "trust"
change = "secure-boot-database"

[expect]
verdict = "unaffected"
"#,
                consequence: "healthy: nothing is sealed",
            },
            Example {
                name: "trust-secure-boot-database-not-measured",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"
registers = [0, 2, 4]

[[fault]]
name = "dbx"
kind = "trust"
change = "secure-boot-database"

[expect]
verdict = "unaffected"
"#,
                consequence: "healthy: the key is not sealed to register 7",
            },
            Example {
                name: "trust-tpm-cleared",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"

[[fault]]
name = "clear"
kind = "trust"
change = "tpm-cleared"

[expect]
verdict = "hung"
recovery-key = true
"#,
                consequence: "the boot manager asks for the recovery key",
            },
            Example {
                name: "trust-boot-manager-changed",
                machine: "",
                scenario: r#"
[[given]]
name = "bitlocker"
kind = "encryption"
registers = [0, 2, 4]

[[fault]]
name = "boot-manager"
kind = "trust"
change = "boot-manager-changed"

[expect]
verdict = "hung"
recovery-key = true
"#,
                consequence: "the boot manager asks for the recovery key",
            },
        ],
    },
];
