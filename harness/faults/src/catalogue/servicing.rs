//! Updates that went wrong.

use super::{ANY_DISK, Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[
    QUALITY_UPDATE,
    KindInfo {
        name: "servicing-transaction",
        title: "an update that was left half done",
        what: "`WinSxS\\pending.xml` and the order to carry it out (`Session \
               Manager\\SetupExecute`), as the servicing stack leaves them when it is interrupted; \
               the files that it is to move are not there, or its list is cut off.",
        lands: "Offline: the list in WinSxS and the value in the SYSTEM hive, both read back from \
                the disk.",
        undone: "The list and the order are removed, or what was there before is put back.",
        inert: "A transaction that can be carried out: it moves a file of its own, and is gone.",
        images: ANY_DISK,
        expect: "Stop 0xC000021A at every start until Startup Repair, or DISM's \
                 `/revertpendingactions`, removes the list and the order. On Windows also a rollback at \
                 \"undoing changes\"; the understudy has none.",
        examples: TRANSACTION_EXAMPLES,
    },
    KindInfo {
        name: "file-version",
        title: "a system file of another version than the rest",
        what: "The numbers in the file's version resource are others, as after an update that \
               replaced only one of two copies. Where there is no such file, a program of that \
               version that does nothing is put there; through the guest agent always.",
        lands: "Staged: the whole file is read back from the disk. Healthy: written and read back \
                through the guest agent.",
        undone: "The file is put back as it was, or removed.",
        inert: "The file is written as it is; where there is none, beside it in \
                `C:\\Windows\\Temp`.",
        images: ANY_DISK,
        expect: "`hidparse.sys` of another version in System32 than in System32\\drivers: \
                 0xC000021A (KB5021233). Its signature no longer fits, which counts on images that \
                 check it. Other files: what uses them. The understudy compares that pair only.",
        examples: VERSION_EXAMPLES,
    },
    KindInfo {
        name: "file-loss",
        title: "a file that is no longer where it belongs",
        what: "A file is deleted, or moved to another folder as a scanner's quarantine does.",
        lands: "Staged: offline; that the file is gone, and the moved one, are read back from the \
                disk. Healthy: `cmd /c del` or `move` through the guest agent, which then looks \
                whether it is gone.",
        undone: "The file is put back with its time; the quarantine is emptied.",
        inert: "The same done to a copy of the file in `C:\\Windows\\Temp`.",
        images: ANY_DISK,
        expect: "That of the file: ntdll.dll 0x6B; smss, csrss, winlogon 0xC000021A; wininit, \
                 services, lsass 0xEF; a driver that the disk needs 0x7B or 0xC000000F; \
                 svchost.exe a restart after a minute. A file that goes while the machine is up is \
                 missed at its next start.",
        examples: LOSS_EXAMPLES,
    },
    INTERRUPTED_WRITE,
];

const QUALITY_UPDATE: KindInfo = KindInfo {
    name: "quality-update",
    title: "an update that was installed as a package",
    what: "What other faults of the scenario change (`brings`) came with an update: the package is \
           recorded as installed (`Windows\\servicing\\Packages`, `Component Based Servicing\\Packages` \
           in the SOFTWARE hive), and the component store has its component in two versions, what was there \
           before and what the update brought (windows-facts 4.5). So it can be uninstalled.",
    lands: "Offline, around the changes that it brings: manifests, files of the store and the package's \
            key are read back from the disk.",
    undone: "The record is removed; what the faults that it brings changed is undone as theirs.",
    inert: "An update that brings nothing but a text in `C:\\Windows\\Temp`.",
    images: ANY_DISK,
    expect: "By itself nothing: what it brings decides. Windows' own tools would list the package; they do \
             not trust its publisher, who is this project. The understudy reads none of it.",
    examples: UPDATE_EXAMPLES,
};

const UPDATE_EXAMPLES: &[Example] = &[
    example!(
        "quality-update-driver",
        [
            "[[fault]]\nname = \"crash\"\nkind = \"driver\"\ndriver = \"lbfault.sys\"\ndefect = \
             \"null-read\"\n\n[[fault]]\nname = \"update\"\nkind = \"quality-update\"\nkb = \
             \"KB5039302\"\nbrings = [\"crash\"]\n\n[uninstall-update]\npackage = \"latest\"\n\n\
             [limits]\nrecovery-rounds = 1\n\n[expect]\nverdict = \"recovered\"\nlayers = \
             [\"uninstall-update\"]\n",
            stop!("0x7E", "lbfault.sys")
        ],
        "0x7E at every start, until the update is uninstalled"
    ),
    shows!(
        "quality-update",
        "alone",
        "update",
        ["kb = \"KB5040442\""],
        healthy!(),
        "none: it brought a text that nothing reads"
    ),
];

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

[[given]]
name = "content"
kind = "content-file"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000029.sys'
content = { channel-file = { fields = 20 } }

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

/// A transaction that was left half done, and what to expect.
macro_rules! transaction {
    ($name:literal, $state:literal, $expect:expr, $consequence:literal) => {
        shows!(
            "servicing-transaction",
            $name,
            "update",
            ["state = ", $state],
            $expect,
            $consequence
        )
    };
}

const TRANSACTION_EXAMPLES: &[Example] = &[
    transaction!(
        "missing-files",
        r#""missing-files""#,
        repaired!("0xC000021A"),
        "0xC000021A twice; Startup Repair reverts the transaction"
    ),
    transaction!(
        "damaged-list",
        r#""damaged-list""#,
        repaired!("0xC000021A"),
        "0xC000021A twice; Startup Repair reverts the transaction"
    ),
];

/// A file of another version: its keys, and what to expect.
macro_rules! version {
    ($name:literal, $keys:literal, $expect:expr, $consequence:literal) => {
        shows!("file-version", $name, "older", [$keys], $expect, $consequence)
    };
}

const VERSION_EXAMPLES: &[Example] = &[
    version!(
        "hidparse",
        r#"path = 'C:\Windows\System32\hidparse.sys'
version = "10.0.19041.1""#,
        stuck!("0xC000021A"),
        "0xC000021A at every start (KB5021233)"
    ),
    version!(
        "healthy",
        r#"when = "healthy"
path = 'C:\Windows\System32\drivers\disk.sys'
version = "10.0.10240.0""#,
        healthy!(),
        "none: nothing compares the version of this file"
    ),
];

/// A file that is gone: its keys, and what to expect.
macro_rules! loss {
    ($name:literal, $keys:literal, $expect:expr, $consequence:literal) => {
        shows!("file-loss", $name, "loss", [$keys], $expect, $consequence)
    };
}

const LOSS_EXAMPLES: &[Example] = &[
    loss!(
        "ntdll",
        r"path = 'C:\Windows\System32\ntdll.dll'",
        stuck!("0x6B"),
        "stop 0x6B at every start"
    ),
    loss!(
        "smss",
        r"path = 'C:\Windows\System32\smss.exe'",
        stuck!("0xC000021A"),
        "stop 0xC000021A at every start"
    ),
    loss!(
        "lsass",
        r"path = 'C:\Windows\System32\lsass.exe'",
        stuck!("0xEF"),
        "stop 0xEF at every start"
    ),
    loss!(
        "boot-driver",
        r"path = 'C:\Windows\System32\drivers\disk.sys'",
        stuck!("0x7B"),
        "stop 0x7B at every start"
    ),
    loss!(
        "quarantine",
        r"path = 'C:\Windows\System32\csrss.exe'
quarantine = 'C:\ProgramData\Quarantine'",
        stuck!("0xC000021A"),
        "stop 0xC000021A at every start"
    ),
    loss!(
        "healthy",
        r#"path = 'C:\Windows\System32\lsass.exe'
when = "healthy""#,
        healthy!(),
        "none before the next start: the process runs on"
    ),
    loss!(
        "healthy-quarantine",
        r#"path = 'C:\Windows\System32\lsass.exe'
when = "healthy"
quarantine = 'C:\Windows\System32\config'"#,
        healthy!(),
        "none before the next start: the process runs on"
    ),
];
