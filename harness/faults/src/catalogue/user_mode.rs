//! What goes wrong outside the kernel.

use super::KindInfo;

/// A process that is ended once the machine is up.
macro_rules! death {
    ($process:literal, $name:literal, $stop:literal, $consequence:literal) => {
        shows!(
            "process-death",
            $name,
            "death",
            ["process = \"", $process, "\""],
            once!($stop),
            $consequence
        )
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
        death!("lsass.exe", "lsass", "0xEF", "stop 0xEF once, then healthy"),
        death!("services.exe", "services", "0xEF", "stop 0xEF once, then healthy"),
        death!("wininit.exe", "wininit", "0xEF", "stop 0xEF once, then healthy"),
        death!("csrss.exe", "csrss", "0xC000021A", "stop 0xC000021A once, then healthy"),
        death!("smss.exe", "smss", "0xC000021A", "stop 0xC000021A once, then healthy"),
        death!("winlogon.exe", "winlogon", "0xC000021A", "stop 0xC000021A once, then healthy"),
    ],
}];
