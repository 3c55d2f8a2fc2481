//! What examples have in common, as text that `concat!` takes: how a scenario ends, and a driver that
//! crashes beside the fault that is shown.

/// One example, of a name and a text put together from these parts.
macro_rules! example {
    ($name:expr, [$($part:expr),+ $(,)?], $consequence:literal) => {
        $crate::catalogue::Example {
            name: $name,
            machine: "",
            scenario: concat!($($part),+),
            consequence: $consequence,
        }
    };
}

/// One example that shows one fault of a kind: what the example is called after the kind, what the fault is
/// called, its keys, and what to expect.
macro_rules! shows {
    ($kind:literal, $name:literal, $fault:literal, [$($key:expr),+], $expect:expr, $consequence:literal) => {
        example!(
            concat!($kind, "-", $name),
            [
                "[[fault]]\nname = \"", $fault, "\"\nkind = \"", $kind, "\"\n",
                $($key),+,
                "\n\n", $expect
            ],
            $consequence
        )
    };
}

/// Besides, a driver stops the system at every start.
macro_rules! crash {
    ($expect:expr) => {
        concat!(
            "[[fault]]\nname = \"crash\"\nkind = \"driver\"\ndriver = \"lbfault.sys\"\n\
             defect = \"null-read\"\n\n",
            $expect
        )
    };
}

/// The system stops with this code, in this module where one is to blame.
macro_rules! stop {
    ($code:literal) => {
        concat!("stop = { bug-check = ", $code, " }\n")
    };
    ($code:literal, $module:literal) => {
        concat!("stop = { bug-check = ", $code, ", module = \"", $module, "\" }\n")
    };
}

/// It stops at every start, until the recovery environment comes and cannot help.
macro_rules! stops {
    ($($stop:literal),+) => {
        concat!("[expect]\nverdict = \"stuck-in-recovery\"\n", stop!($($stop),+))
    };
}

/// The same; one visit of the recovery environment tells.
macro_rules! stuck {
    ($($stop:literal),+) => {
        concat!("[limits]\nrecovery-rounds = 1\n\n", stops!($($stop),+))
    };
}

/// It stops at every start, and no recovery comes.
macro_rules! loops {
    ($($stop:literal),+) => {
        concat!("[expect]\nverdict = \"looping\"\n", stop!($($stop),+))
    };
}

/// It stops once; the next start is sound.
macro_rules! once {
    ($($stop:literal),+) => {
        concat!("[expect]\nverdict = \"recovered\"\n", stop!($($stop),+))
    };
}

/// It stops until Startup Repair has mended it.
macro_rules! repaired {
    ($($stop:literal),+) => {
        concat!(
            "[expect]\nverdict = \"recovered\"\nlayers = [\"automatic-repair\"]\n",
            stop!($($stop),+)
        )
    };
}

/// Boot manager or loader show this error and stand still.
macro_rules! stands {
    ($status:literal) => {
        concat!("[expect]\nverdict = \"hung\"\nboot-error = ", $status, "\n")
    };
}

/// No harm is done.
macro_rules! healthy {
    () => {
        "[expect]\nverdict = \"unaffected\"\n"
    };
}
