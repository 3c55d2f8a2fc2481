//! What goes wrong outside the kernel.

use super::{Example, KindInfo};

/// A process that is ended once the machine is up.
macro_rules! death {
    ($process:literal, $name:literal, $expect:expr, $consequence:literal) => {
        Example {
            name: concat!("process-death-", $name),
            machine: "",
            scenario: concat!(
                "[[fault]]\nname = \"death\"\nkind = \"process-death\"\nprocess = \"",
                $process,
                "\"\n\n[expect]\n",
                $expect
            ),
            consequence: $consequence,
        }
    };
}

macro_rules! once {
    ($code:literal) => {
        concat!("verdict = \"recovered\"\nstop = { bug-check = ", $code, " }\n")
    };
}

pub(super) const KINDS: &[KindInfo] = &[KindInfo {
    name: "process-death",
    title: "a process that ends although the system needs it",
    what: "Ends every process of a program, as a security product does that takes it for malicious, or a \
           fault of its own.",
    lands: "Through the guest agent while the machine is up: taskkill /f /im PROGRAM. Its answer is the \
            proof, or that the machine was gone at once.",
    undone: "By the next start: nothing on the disk is changed.",
    inert: "The print spooler in its place, which nothing waits for.",
    images: "Images with a guest agent that runs as LocalSystem. Windows refuses to end a protected process \
             (lsass with LSA protection, csrss and services.exe on today's builds): then the fault does not \
             land and the run says so. The understudy ends them all.",
    expect: "wininit, services and lsass: stop 0xEF. smss, csrss and winlogon: stop 0xC000021A. svchost: the \
             service of remote procedure calls ends with it, and the machine starts again after a minute. \
             Once: the next start is sound.",
    examples: &[
        death!("lsass.exe", "lsass", once!("0xEF"), "stop 0xEF once, then healthy"),
        death!("services.exe", "services", once!("0xEF"), "stop 0xEF once, then healthy"),
        death!("wininit.exe", "wininit", once!("0xEF"), "stop 0xEF once, then healthy"),
        death!("csrss.exe", "csrss", once!("0xC000021A"), "stop 0xC000021A once, then healthy"),
        death!("smss.exe", "smss", once!("0xC000021A"), "stop 0xC000021A once, then healthy"),
        death!(
            "winlogon.exe",
            "winlogon",
            once!("0xC000021A"),
            "stop 0xC000021A once, then healthy"
        ),
    ],
}];
