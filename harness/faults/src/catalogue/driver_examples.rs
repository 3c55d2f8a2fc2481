//! Drivers that show each defect, trigger and signature.

use super::Example;

/// A scenario with one faulty driver: its keys, and what to expect.
macro_rules! driver {
    ($name:literal, $keys:expr, $expect:expr, $consequence:literal) => {
        shows!(
            "driver",
            $name,
            "faulty",
            ["driver = \"lbfault.sys\"\n", $keys],
            $expect,
            $consequence
        )
    };
}

/// It does not start, and the machine goes on.
macro_rules! goes_on {
    () => {
        concat!(healthy!(), "failures = [\"lbfault.sys\"]\n")
    };
}

/// The start never goes on.
macro_rules! hangs {
    () => {
        "[expect]\nverdict = \"hung\"\n"
    };
}

/// A faulty driver on a machine that checks signatures, and takes those of the test authority.
macro_rules! checked {
    ($name:literal, $keys:literal, $expect:expr, $consequence:literal) => {
        driver!(
            $name,
            concat!(
                $keys,
                "\n\n[[given]]\nname = \"checked\"\nkind = \"boot-configuration\"\n\
                 damage = { signing-policy = { testsigning = true, nointegritychecks = false } }"
            ),
            $expect,
            $consequence
        )
    };
}

pub(super) const DRIVER: &[Example] = &[
    driver!(
        "null-read",
        r#"defect = "null-read""#,
        stops!("0x7e", "lbfault.sys"),
        "0x7E at every start"
    ),
    driver!(
        "wild-read",
        "defect = { wild-read = {} }",
        stops!("0x50", "lbfault.sys"),
        "0x50 at every start"
    ),
    driver!(
        "wild-write",
        "defect = { wild-write = {} }",
        stops!("0x50", "lbfault.sys"),
        "0x50 at every start"
    ),
    driver!(
        "wild-execute",
        "defect = { wild-execute = {} }",
        stops!("0x50"),
        "0x50 at every start, nobody to blame by the address"
    ),
    driver!(
        "raised-irql-read",
        "defect = { raised-irql = {} }",
        stops!("0xd1", "lbfault.sys"),
        "0xD1 at every start"
    ),
    driver!(
        "raised-irql-write",
        r#"defect = { raised-irql = { access = "write" } }"#,
        stops!("0xd1", "lbfault.sys"),
        "0xD1 at every start"
    ),
    driver!(
        "raised-irql-execute",
        r#"defect = { raised-irql = { access = "execute" } }"#,
        stops!("0xd1"),
        "0xD1 at every start"
    ),
    driver!(
        "raised-irql-by-kernel",
        r#"defect = { raised-irql = { by = "kernel" } }"#,
        stops!("0xa", "ntoskrnl.exe"),
        "0xA in the kernel at every start"
    ),
    driver!(
        "bug-check",
        "defect = { bug-check = {} }",
        stops!("0xe2", "lbfault.sys"),
        "0xE2 at every start"
    ),
    driver!(
        "bug-check-code",
        r#"defect = { bug-check = { code = 0xed, parameters = ["0xffff840500000074", "0xffffffffc0000032"] } }"#,
        stops!("0xed", "lbfault.sys"),
        "the code that was given, at every start"
    ),
    driver!(
        "divide-error",
        r#"defect = "divide-error""#,
        stops!("0x7e", "lbfault.sys"),
        "0x7E at every start"
    ),
    driver!(
        "stack-exhaustion",
        r#"defect = "stack-exhaustion""#,
        stops!("0x7f", "lbfault.sys"),
        "0x7F at every start"
    ),
    driver!(
        "pool-header",
        r#"defect = { pool-corruption = { how = "header" } }"#,
        stops!("0x19"),
        "0x19 at every start"
    ),
    driver!(
        "pool-overrun",
        r#"defect = { pool-corruption = { how = "overrun" } }"#,
        stops!("0x19"),
        "0x19 at every start"
    ),
    driver!(
        "pool-double-free",
        r#"defect = { pool-corruption = { how = "double-free" } }"#,
        stops!("0xc2"),
        "0xC2 at every start"
    ),
    driver!("deadlock", r#"defect = "deadlock""#, hangs!(), "the start never goes on"),
    driver!("endless-loop", "defect = { endless-loop = {} }", hangs!(), "the start never goes on"),
    driver!(
        "endless-loop-dispatch",
        r#"defect = { endless-loop = { irql = "dispatch" } }"#,
        stops!("0x133", "lbfault.sys"),
        "0x133 at every start"
    ),
    driver!(
        "slow-start",
        "defect = { slow-start = { seconds = 5 } }",
        healthy!(),
        "healthy, five seconds later"
    ),
    driver!(
        "failure-status-ignore",
        r#"defect = { failure-status = {} }
service = { error-control = "ignore" }"#,
        goes_on!(),
        "it does not start, the machine goes on"
    ),
    driver!(
        "failure-status-normal",
        r#"defect = { failure-status = { status = 0xc000009a } }
service = { error-control = "normal" }"#,
        goes_on!(),
        "it does not start, the machine goes on"
    ),
    driver!(
        "failure-status-severe",
        r#"defect = { failure-status = {} }
service = { error-control = "severe" }"#,
        goes_on!(),
        "no last known good control set is enabled: the machine goes on"
    ),
    driver!(
        "failure-status-critical",
        r#"defect = { failure-status = {} }
service = { error-control = "critical" }"#,
        stops!("0x5a"),
        "0x5A at every start"
    ),
    driver!(
        "missing-import",
        "defect = { missing-import = {} }",
        goes_on!(),
        "it is not loaded, the machine goes on"
    ),
    driver!(
        "missing-import-at-boot",
        r#"defect = { missing-import = {} }
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc0000263"),
        "0xC0000263 on the loader's screen"
    ),
    driver!(
        "missing-module-at-boot",
        r#"defect = { missing-import = { module = "gone.sys" } }
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc0000135"),
        "0xC0000135 on the loader's screen"
    ),
    driver!(
        "wrong-machine",
        r#"defect = "wrong-machine"
service = { error-control = "critical" }"#,
        stops!("0x5a"),
        "it is not loaded: 0x5A at every start"
    ),
    driver!(
        "wrong-machine-at-boot",
        r#"defect = "wrong-machine"
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc000007b"),
        "0xC000007B on the loader's screen"
    ),
    driver!(
        "bad-checksum-at-boot",
        r#"defect = "bad-checksum"
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc0000221"),
        "0xC0000221 on the loader's screen"
    ),
    driver!(
        "truncated",
        r#"defect = { truncated = {} }
service = { error-control = "normal" }"#,
        goes_on!(),
        "it is not loaded, the machine goes on"
    ),
    driver!(
        "truncated-at-boot",
        r#"defect = { truncated = { percent = 10 } }
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc000007b"),
        "0xC000007B on the loader's screen"
    ),
    driver!(
        "missing-file",
        r#"defect = "missing-file"
service = { error-control = "critical" }"#,
        stops!("0x5a"),
        "0x5A at every start"
    ),
    driver!(
        "missing-file-at-boot",
        r#"defect = "missing-file"
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc000000f"),
        "0xC000000F on the loader's screen"
    ),
    driver!(
        "missing-file-at-boot-ignored",
        r#"defect = "missing-file"
service = { start = "boot", error-control = "ignore" }"#,
        goes_on!(),
        "loader and kernel go on without it"
    ),
    driver!(
        "boot-start",
        r#"defect = "null-read"
service = { start = "boot" }"#,
        stops!("0x7e", "lbfault.sys"),
        "0x7E at every start"
    ),
    driver!(
        "auto-start",
        r#"defect = "null-read"
service = { start = "auto" }"#,
        stops!("0x7e", "lbfault.sys"),
        "0x7E at every start, in the session"
    ),
    driver!(
        "thread",
        r#"defect = "null-read"
trigger = { thread = { seconds = 1 } }"#,
        stops!("0x7e", "lbfault.sys"),
        "0x7E a second after the driver's start, each time"
    ),
    driver!(
        "timer",
        r#"defect = "null-read"
trigger = { timer = { seconds = 1 } }"#,
        stops!("0xd1", "lbfault.sys"),
        "0xD1 a second after the driver's start, each time"
    ),
    driver!(
        "session",
        r#"defect = { wild-read = {} }
trigger = { session = { seconds = 0 } }"#,
        stops!("0x50", "lbfault.sys"),
        "0x50 once a session can begin, each time"
    ),
    driver!(
        "only-on-boot",
        r#"defect = "null-read"
trigger = { session = { seconds = 0 } }
only-on-boot = 1"#,
        once!("0x7e", "lbfault.sys"),
        "0x7E at the first start, then healthy"
    ),
    driver!(
        "chance",
        r#"defect = "null-read"
trigger = { session = { seconds = 0 } }
chance = { percent = 50, seed = 1 }"#,
        once!("0x7e", "lbfault.sys"),
        "0x7E at the starts that follow from the seed"
    ),
    checked!(
        "signed",
        r#"defect = "null-read"
signature = "trusted""#,
        stops!("0x7e", "lbfault.sys"),
        "the signed driver runs: 0x7E at every start"
    ),
    checked!(
        "unsigned",
        r#"defect = "null-read""#,
        goes_on!(),
        "it is not loaded (0xC0000428), the machine goes on"
    ),
    checked!(
        "untrusted",
        r#"defect = "null-read"
signature = "untrusted""#,
        goes_on!(),
        "it is not loaded (0xC0000428), the machine goes on"
    ),
    checked!(
        "expired",
        r#"defect = "null-read"
signature = "expired""#,
        goes_on!(),
        "it is not loaded (0xC0000428), the machine goes on"
    ),
    checked!(
        "wrong-digest",
        r#"defect = "null-read"
signature = "wrong-digest""#,
        goes_on!(),
        "it is not loaded (0xC0000428), the machine goes on"
    ),
    checked!(
        "unsigned-at-boot",
        r#"defect = "null-read"
service = { start = "boot", error-control = "critical" }"#,
        stands!("0xc0000428"),
        "0xC0000428 on the loader's screen"
    ),
];

/// The sensor, and a channel file of this content.
macro_rules! content {
    ($sensor:literal, $content:literal, $expect:expr) => {
        concat!(
            "[[fault]]\nname = \"sensor\"\nkind = \"content-driver\"\ndriver = \"csagent.sys\"\n\
             content-folder = 'C:\\Windows\\System32\\drivers\\CrowdStrike'\n",
            $sensor,
            "\n\n[[fault]]\nname = \"channel-file\"\nkind = \"content-file\"\n\
             path = 'C:\\Windows\\System32\\drivers\\CrowdStrike\\C-00000291-00000000-00000032.sys'\n\
             content = ",
            $content,
            "\n\n",
            $expect
        )
    };
}

macro_rules! content_file {
    ($name:literal, $content:literal, $expect:expr, $consequence:literal) => {
        example!(concat!("content-file-", $name), [content!("", $content, $expect)], $consequence)
    };
}

pub(super) const CONTENT_DRIVER: &[Example] = &[
    Example {
        name: "content-driver-kernel",
        machine: "",
        scenario: content!(
            "",
            r"{ channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }",
            stops!("0x50", "csagent.sys")
        ),
        consequence: "0x50 at every start",
    },
    Example {
        name: "content-driver-user",
        machine: "",
        scenario: content!(
            r#"runs-in = "user""#,
            r"{ channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }",
            concat!(healthy!(), "failures = [\"csagent\"]\n")
        ),
        consequence: "the process ends each time it is started, the machine stays up",
    },
];

pub(super) const CONTENT_FILE: &[Example] = &[
    content_file!(
        "pattern-in-21st-field",
        r"{ channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }",
        stops!("0x50", "csagent.sys"),
        "0x50 at every start"
    ),
    content_file!(
        "count-mismatch",
        r#"{ channel-file = { fields = 21, damage = "count-mismatch" } }"#,
        healthy!(),
        "ignored as malformed"
    ),
    content_file!(
        "zero-filled",
        r#"{ channel-file = { fields = 21, damage = "zero-filled" } }"#,
        healthy!(),
        "ignored"
    ),
    content_file!(
        "truncated",
        r#"{ channel-file = { fields = 21, damage = "truncated" } }"#,
        healthy!(),
        "ignored"
    ),
    content_file!(
        "wrong-magic",
        r#"{ channel-file = { fields = 21, damage = "wrong-magic" } }"#,
        healthy!(),
        "ignored"
    ),
    content_file!(
        "version-too-new",
        r#"{ channel-file = { fields = 21, damage = "version-too-new" } }"#,
        healthy!(),
        "ignored"
    ),
];
