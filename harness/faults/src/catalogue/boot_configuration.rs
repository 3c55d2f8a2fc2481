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
                 0xC000000E. The machine halts there until somebody switches it off and on; after \
                 two such starts with a missing loader it goes to recovery, which it cannot do without \
                 a store. Recovery off or failures ignored: a crashing driver loops for ever. Safe \
                 mode: drivers that are not on its list are left out; on the understudy without \
                 network and agent for `minimal`. A full partition or an older recovery image does no harm \
                 by itself: on Windows an update fails there, or a repair that the image does not \
                 know; the understudy has no servicing that writes there, and only one build.",
    examples: BOOT_EXAMPLES,
}];

/// A scenario with one damage, and what to expect.
macro_rules! damage {
    ($name:literal, $damage:literal, $expect:expr, $consequence:literal) => {
        shows!("boot-configuration", $name, "damage", ["damage = ", $damage], $expect, $consequence)
    };
}

const BOOT_EXAMPLES: &[Example] = &[
    damage!(
        "missing-store",
        r#""missing-store""#,
        stands!("0xC000000F"),
        "the boot manager halts at 0xC000000F"
    ),
    damage!(
        "corrupt-store",
        r#""corrupt-store""#,
        stands!("0xC000014C"),
        "the boot manager halts at 0xC000014C"
    ),
    damage!(
        "wrong-device",
        r#""wrong-device""#,
        stands!("0xC000000E"),
        "the boot manager halts at 0xC000000E"
    ),
    damage!(
        "missing-loader",
        r#""missing-loader""#,
        stands!("0xC000000F"),
        "the boot manager halts at 0xC000000F"
    ),
    damage!(
        "missing-loader-operator",
        r#""missing-loader""#,
        r#"[operator]
at-stop-screen = "power-cycle"

[expect]
verdict = "recovered"
layers = ["automatic-repair"]
boot-error = 0xC000000F
"#,
        "0xC000000F twice; then Startup Repair puts Windows' own copy of the loader back"
    ),
    damage!(
        "recovery-disabled",
        r#""recovery-disabled""#,
        crash!(loops!("0x7E", "lbfault.sys")),
        "with a driver that stops at every start: it loops, and recovery never comes"
    ),
    damage!(
        "status-policy-ignore-all-failures",
        r#"{ status-policy = { policy = "ignore-all-failures" } }"#,
        crash!(loops!("0x7E", "lbfault.sys")),
        "with a driver that stops at every start: failures do not count, it loops"
    ),
    damage!(
        "status-policy-ignore-boot-failures",
        r#"{ status-policy = { policy = "ignore-boot-failures" } }"#,
        crash!(loops!("0x7E", "lbfault.sys")),
        "with a driver that stops at every start: failures do not count, it loops"
    ),
    damage!(
        "status-policy-ignore-shutdown-failures",
        r#"{ status-policy = { policy = "ignore-shutdown-failures" } }"#,
        crash!(stuck!("0x7E", "lbfault.sys")),
        "with a driver that stops at every start: failed starts still lead to recovery"
    ),
    damage!(
        "safe-boot-minimal",
        r#"{ safe-boot = { mode = "minimal" } }"#,
        crash!(healthy!()),
        "safe mode leaves the driver out that stops at every other start"
    ),
    damage!(
        "safe-boot-network",
        r#"{ safe-boot = { mode = "network" } }"#,
        crash!(healthy!()),
        "safe mode leaves the driver out that stops at every other start"
    ),
    damage!(
        "signing-policy",
        "{ signing-policy = { testsigning = true, nointegritychecks = true } }",
        healthy!(),
        "none by itself: no driver without a signature is there"
    ),
    damage!(
        "full-efi-partition",
        "{ full-efi-partition = { leave = 0 } }",
        healthy!(),
        "the machine starts; what would be written there is not (on the understudy a log of the boot manager alone)"
    ),
    damage!(
        "missing-efi-partition",
        r#""missing-efi-partition""#,
        r#"[limits]
time = "6m"

[expect]
verdict = "hung"
"#,
        "the firmware finds nothing to start"
    ),
    damage!(
        "missing-recovery-image",
        r#""missing-recovery-image""#,
        crash!(
            r#"[expect]
verdict = "hung"
stop = { bug-check = 0x7E, module = "lbfault.sys" }
boot-error = 0xC000000F
"#
        ),
        "after two stops of a driver recovery is to start and cannot: 0xC000000F"
    ),
    damage!(
        "stale-recovery-image",
        r#""stale-recovery-image""#,
        crash!(stuck!("0x7E", "lbfault.sys")),
        "recovery starts, as the older build that it is (on the understudy nothing depends on the build)"
    ),
];
