//! The words that have no text beside their code: verdicts, exit codes, checks, touch.

use words::{CheckName, Touch, Verdict};

/// A word, explained.
pub(super) struct Word {
    pub(super) name: &'static str,
    /// What kind of word it is, and what it means in a few words.
    pub(super) title: String,
    pub(super) sections: Vec<(&'static str, String)>,
}

/// Finds it.
pub(super) fn word(name: &str) -> Option<Word> {
    verdict(name).or_else(|| exit_code(name)).or_else(|| check(name)).or_else(|| touch(name))
}

/// All of them, a line each kind.
pub(super) fn all() -> Vec<(&'static str, Vec<&'static str>)> {
    let verdicts = VERDICTS.iter().map(|(name, ..)| *name).collect();
    let checks = CheckName::ALL.iter().map(|check| check.as_str()).collect();
    let touch = TOUCH.iter().map(|touch| touch.name()).collect();
    let exits = EXITS.iter().map(|(code, ..)| *code).collect();
    vec![("verdicts", verdicts), ("exit codes", exits), ("checks", checks), ("touch", touch)]
}

/// In order: each is harder to come by than the one before.
const TOUCH: [Touch; 4] = [Touch::None, Touch::Remote, Touch::Console, Touch::Host];

/// Verdict, what it means, what it rests on, what to do about it.
const VERDICTS: [(&str, &str, &str, &str); 9] = [
    (
        "recovered",
        "it failed, and the expected layer brought it back",
        "A boot that failed with the faults in place, and a later boot that was healthy; where a layer is expected, that \
         this layer changed something before it. A repair's own word that it succeeded does not count.",
        "Nothing, if it was expected. `loopbreak timeline RUN` shows in how many boots, and with whose hands.",
    ),
    (
        "recovered-otherwise",
        "it came back, but by a layer that was not the expected one",
        "As `recovered`; but what changed something before the healthy boot was another layer, or none.",
        "Look which layer did it. If that is right, change `[expect] layers`; if not, the expected one no longer works.",
    ),
    (
        "unaffected",
        "it never failed",
        "All faults landed, the driver that was brought along ran, and the machine stayed healthy.",
        "If a failure was expected, the fault does nothing on this system: `loopbreak fault explain KIND` says what it \
         needs.",
    ),
    (
        "looping",
        "it fails the same way over and over, and recovery never starts",
        "As many boots in a row as `[limits] loop-after` says that ended in the same way.",
        "`loopbreak image qualify IMAGE` says whether recovery can start at all.",
    ),
    (
        "stuck-in-recovery",
        "the recovery environment starts but cannot help",
        "It came up and waits for a person, or it came up as often as `[limits] recovery-rounds` says and Windows still \
         does not start.",
        "The line `layers` says what each layer tried and why it did not help; `loopbreak matrix` says which one would.",
    ),
    (
        "hung",
        "it stopped making progress",
        "Nothing was seen of it for as long as `[limits] silence` says: no serial line, no new picture, no event.",
        "The last picture and the last lines of the serial log are in the run directory.",
    ),
    (
        "data-lost",
        "it came back without the user's data",
        "A file of `[[canary]]` is gone or has other content, whatever else happened.",
        "See which one, and which layer wrote to the disk before.",
    ),
    (
        "infrastructure",
        "the harness or the host failed: never counted for or against the product",
        "A part of loopbreak, the emulator, the host's disk or the model failed, so nothing can be said of the machine.",
        "The reason stands beside the verdict. `loopbreak doctor` checks the host.",
    ),
    (
        "not-applicable",
        "the image lacks what the scenario needs, so nothing was started; the reason is always told",
        "What the scenario declares, held against the qualification of the image.",
        "`loopbreak image qualify IMAGE` says what is missing, `--fix` mends what can be mended.",
    ),
];

/// Exit code, what it means, what to do.
const EXITS: [(&str, &str, &str); 5] = [
    ("0", "as expected", "Nothing."),
    (
        "1",
        "the outcome differs from its reference, or an expectation was not met",
        "`loopbreak review` shows each difference in words, and accepts or rejects it.",
    ),
    (
        "2",
        "usage, scenario or image error; nothing was run",
        "The message has the file, the line and what to do.",
    ),
    (
        "3",
        "the harness or the host failed, or the command was interrupted; this says nothing about the product",
        "Run it again once the cause is mended; `loopbreak doctor` checks the host.",
    ),
    ("4", "something that a run made was left behind", "`loopbreak clean` removes it."),
];

fn verdict(name: &str) -> Option<Word> {
    let (name, means, rests, next) = VERDICTS.iter().find(|(known, ..)| *known == name)?;
    let title = format!("a verdict; {means}");
    let expected = Verdict::OF_A_MACHINE.iter().any(|verdict| verdict.name() == *name);
    let expect = match expected {
        true => format!("A scenario may expect it: `verdict = \"{name}\"`."),
        false => "No scenario may expect it.".to_owned(),
    };
    let sections =
        vec![("Rests on", (*rests).to_owned()), ("Expect", expect), ("Next", (*next).to_owned())];
    Some(Word { name, title, sections })
}

fn exit_code(name: &str) -> Option<Word> {
    let (name, means, next) = EXITS.iter().find(|(known, ..)| *known == name)?;
    let sections = vec![("Next", (*next).to_owned())];
    Some(Word { name, title: format!("an exit code; {means}"), sections })
}

fn check(name: &str) -> Option<Word> {
    let check: CheckName = name.parse().ok()?;
    let title = format!("a check of `image qualify`; {}", about(check));
    let needs = format!(
        "A scenario that needs it is not applicable to an image without; `needs = [\"{check}\"]` and `lacks` in \
         `[machine]` say so by hand."
    );
    let next = "`loopbreak image qualify IMAGE` shows what it found, with the evidence, and `--fix` mends what can be \
                mended.";
    let sections = vec![("Needs", needs), ("Next", next.to_owned())];
    Some(Word { name: check.as_str(), title, sections })
}

/// What a check is about.
const fn about(check: CheckName) -> &'static str {
    match check {
        CheckName::DefaultEntry => {
            "the boot manager's default entry leads to a Windows on this disk"
        }
        CheckName::BootDiskDriver => "a driver for the disk starts with the loader",
        CheckName::RecoveryEnabled => "failed starts lead to the recovery environment",
        CheckName::BootStatusPolicy => "failed starts count",
        CheckName::AutomaticRestart => "it starts again by itself after a stop",
        CheckName::RecoveryImage => {
            "the recovery environment's image is where the boot configuration says"
        }
        CheckName::RecoveryImageBuild => "that image is of the same build as Windows",
        CheckName::RecoveryPartition => "the recovery environment has a partition of its own",
        CheckName::RecoveryRoom => "that partition has room for the next image",
        CheckName::RecoveryReachable => {
            "the image can be read when the Windows volume is encrypted"
        }
        CheckName::QuickMachineRecovery => "Quick Machine Recovery is switched on",
        CheckName::CrashDump => "a stop leaves a dump",
        CheckName::CrashDumpPath => "what the dump is written to exists",
        CheckName::GuestAgent => "a guest agent answers",
        CheckName::Licence => "it will not shut itself down",
        CheckName::Detectors => "stops are recognised from outside",
    }
}

fn touch(name: &str) -> Option<Word> {
    let touch = TOUCH.into_iter().find(|touch| touch.name() == name)?;
    let layers: Vec<&str> = words::Layer::ALL
        .into_iter()
        .filter(|layer| layer.touch() == touch)
        .map(|layer| layer.name())
        .collect();
    let title = format!("whose hands a layer needs; {}", touch.about());
    Some(Word { name: touch.name(), title, sections: vec![("Layers", layers.join(", "))] })
}
