//! Power.

use super::{Example, KindInfo};

pub(super) const KINDS: &[KindInfo] = &[KindInfo {
    name: "power",
    title: "power that fails at a chosen moment",
    what: "The power is cut, or the reset button pressed, when a boot reaches a phase; or it is cut at the nth \
           write to the disk, or at a random one from the seed. What was written and not flushed is kept, lost \
           or torn. The power comes back at once: the machine starts again from the same disk, firmware \
           variables and TPM state.",
    lands: "The disk loses its power in the moment itself, and the emulator is killed; how much of the unflushed \
            data is on the disk is in the proof. The next boot's cause is a power loss. A fault whose moment \
            does not come has not landed, and the run says nothing.",
    undone: "The power is back. What was lost stays lost: there is nothing to undo.",
    inert: "The harness serves the disk and controls its power, and leaves the power on.",
    images: "Phases: images whose machine profile has a marker for that phase. Cuts: the disk is served by the \
             harness itself, on a hypervisor of this host.",
    expect: "One cut alone does little to a sound system. Two in the middle of starts, or soon after them, count \
             as failed starts: the recovery environment comes up although nothing is wrong (windows-facts 3.1).",
    examples: &[
        example("power-cut-boot-manager", CUT_BOOT_MANAGER, ONCE),
        example("power-cut-loader", CUT_LOADER, ONCE),
        example("power-cut-kernel", CUT_KERNEL, ONCE),
        example("power-cut-session", CUT_SESSION, ONCE),
        example("power-cut-healthy", CUT_HEALTHY, ONCE),
        example(
            "power-cut-recovery",
            CUT_RECOVERY,
            "the recovery environment comes up, is cut, and Windows starts",
        ),
        example(
            "power-cut-twice",
            CUT_TWICE,
            "recovery comes up although nothing is wrong, and waits for a person",
        ),
        example("power-cut-write-kept", CUT_WRITE_KEPT, ONCE),
        example("power-cut-write-lost", CUT_WRITE_LOST, ONCE),
        example("power-cut-write-torn", CUT_WRITE_TORN, ONCE),
        example("power-cut-random-write", CUT_RANDOM, ONCE),
        example("power-reset", RESET, ONCE),
    ],
}];

const ONCE: &str = "the boot ends at once, and the next one, after the power loss, is healthy";

const fn example(name: &'static str, scenario: &'static str, consequence: &'static str) -> Example {
    Example { name, machine: "", scenario, consequence }
}

/// The end of an example in which the machine comes up again.
macro_rules! power {
    ($fault:literal, $verdict:literal) => {
        concat!(
            "[[fault]]\nname = \"power\"\nkind = \"power\"\n",
            $fault,
            "\n\n[expect]\nverdict = \"",
            $verdict,
            "\"\n\n[limits]\ntime = \"5m\"\n"
        )
    };
}

const CUT_BOOT_MANAGER: &str = power!("at = { phase = \"boot-manager\" }", "unaffected");
const CUT_LOADER: &str = power!("at = { phase = \"loader\" }", "unaffected");
const CUT_KERNEL: &str = power!("at = { phase = \"kernel\" }", "unaffected");
const CUT_SESSION: &str = power!("at = { phase = \"session\" }", "unaffected");
const CUT_HEALTHY: &str = power!("at = { phase = \"healthy\" }\nwhen = \"healthy\"", "unaffected");
const CUT_TWICE: &str = power!("at = { phase = \"kernel\" }\ntimes = 2", "stuck-in-recovery");
const CUT_WRITE_KEPT: &str = power!("at = { write = 3 }\nunflushed = \"kept\"", "unaffected");
const CUT_WRITE_LOST: &str = power!("at = { write = 3 }\nunflushed = \"lost\"", "unaffected");
const CUT_WRITE_TORN: &str =
    power!("at = { write = 3 }\nunflushed = \"torn\"\nseed = 7", "unaffected");
const CUT_RANDOM: &str =
    power!("at = { random-write = 20 }\nunflushed = \"torn\"\nseed = 1", "unaffected");
const RESET: &str = power!("what = \"reset\"\nat = { phase = \"session\" }", "unaffected");
const CUT_RECOVERY: &str = concat!(
    "[[fault]]\nname = \"false-alarm\"\nkind = \"power\"\nat = { phase = \"kernel\" }\ntimes = 2\n\n",
    "[[fault]]\nname = \"in-recovery\"\nkind = \"power\"\nat = { phase = \"recovery\" }\n\n",
    "[expect]\nverdict = \"unaffected\"\n\n[limits]\ntime = \"5m\"\n"
);
