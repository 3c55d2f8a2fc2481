//! A stop (bug check): who reported it, what they said, and which of them is believed.
//!
//! Up to four witnesses tell of one stop: the panic device (a hypervisor event, with the Hyper-V crash
//! arguments where the guest knows them), the serial line, the picture, and the dump that is found on the
//! disk after the run. A dump beats the crash arguments, these beat the serial line, and this beats what
//! was read from a picture. What they disagree on is kept as a note and never silently dropped; only a
//! reader's mistakes are no disagreement.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{BugCheck, Confidence, ScreenStop};

/// A bug check code. Written as Windows writes it: `0x00000050`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StopCode(pub u64);

impl fmt::Display for StopCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)
    }
}

/// A text that is not `0x` and up to 16 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a bug check code: write it as 0x00000050")]
pub struct NotAStopCode(String);

impl FromStr for StopCode {
    type Err = NotAStopCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex(text).map(Self).ok_or_else(|| NotAStopCode(text.to_owned()))
    }
}

impl Serialize for StopCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StopCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What the faulting instruction did. From parameter 2 of bug check 0x50: 0 is a read, 2 (1 before
/// Windows 10 1507) a write, 0x10 an execution (Microsoft, "Bug check 0x50: PAGE_FAULT_IN_NONPAGED_AREA").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It read.
    Read,
    /// It wrote.
    Write,
    /// It was fetched from the bad address.
    Execute,
}

impl Access {
    fn of(bug_check: &BugCheck) -> Option<Self> {
        match (bug_check.code, bug_check.parameters[1]) {
            (0x50, 0) => Some(Self::Read),
            (0x50, 1 | 2) => Some(Self::Write),
            (0x50, 0x10) => Some(Self::Execute),
            _ => None,
        }
    }
}

/// What makes two stops the same: code, module and kind of access. Addresses differ from boot to boot
/// (the kernel is loaded elsewhere each time) and are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Signature {
    /// Absent where only a bare panic or a picture was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StopCode>,
    /// The blamed module, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// For a page fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
}

impl Signature {
    /// True where nothing that both know differs. One kernel dump is kept for a whole row of stops, so
    /// only the last of them may have a module; that does not make them different stops.
    pub fn agrees_with(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: Option<&T>, two: Option<&T>) -> bool {
            match (one, two) {
                (Some(one), Some(two)) => one == two,
                _ => true,
            }
        }
        agree(self.code.as_ref(), other.code.as_ref())
            && agree(self.module.as_ref(), other.module.as_ref())
            && agree(self.access.as_ref(), other.access.as_ref())
    }

    /// Everything that either of two agreeing signatures knows.
    #[must_use]
    pub fn joined_with(&self, other: &Self) -> Self {
        Self {
            code: self.code.or(other.code),
            module: self.module.clone().or_else(|| other.module.clone()),
            access: self.access.or(other.access),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code}")?,
            None => f.write_str("unknown code")?,
        }
        if let Some(module) = &self.module {
            write!(f, " in {module}")?;
        }
        Ok(())
    }
}

/// The panic device spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PanicSeen {
    /// The event.
    pub seq: u64,
    /// The Hyper-V crash arguments.
    pub bug_check: Option<BugCheck>,
}

/// The serial line spoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StopLineSeen {
    /// The event of the first line.
    pub seq: u64,
    /// The code.
    pub code: StopCode,
    /// Its parameters, on the same line or the next.
    pub parameters: Option<[u64; 4]>,
    /// The module, from a line of its own after it.
    pub module: Option<String>,
}

/// The display showed a stop screen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PictureSeen {
    /// The event that says so: the first that did.
    pub seq: u64,
    /// What could be read on it, from all frames of it together.
    pub read: ScreenStop,
}

/// A dump on the disk was matched to this stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DumpSeen {
    /// The event.
    pub seq: u64,
    /// From the dump's header.
    pub bug_check: BugCheck,
    /// The module it blames.
    pub module: Option<String>,
}

/// One stop, with all that tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stop {
    /// The panic device.
    pub panic: Option<PanicSeen>,
    /// The serial line.
    pub line: Option<StopLineSeen>,
    /// A stop screen was recognised in a frame.
    pub picture: Option<PictureSeen>,
    /// The dump.
    pub dump: Option<DumpSeen>,
}

impl Stop {
    /// The panic device speaks. A second event of the same panic may be the one that has the arguments.
    pub(crate) fn take_panic(&mut self, seq: u64, bug_check: Option<BugCheck>) {
        if self.panic.is_none_or(|known| known.bug_check.is_none()) {
            self.panic = Some(PanicSeen { seq, bug_check });
        }
    }

    /// The serial line speaks. Gives what it says, in a word; `None` where that is nothing new.
    pub(crate) fn take_line(&mut self, seq: u64, text: StopText) -> Option<&'static str> {
        match text {
            StopText::Error { code, parameters } if self.line.is_none() => {
                self.line = Some(StopLineSeen { seq, code, parameters, module: None });
                Some("stop line")
            }
            StopText::Error { .. } => None,
            StopText::Parameters(parameters) => {
                self.line.as_mut()?.parameters.get_or_insert(parameters);
                Some("stop parameters")
            }
            StopText::Module(module) => {
                self.line.as_mut()?.module.get_or_insert(module);
                Some("stop module")
            }
        }
    }

    /// A frame shows a stop screen; later frames of the same screen say what earlier ones left open. True for the first.
    pub(crate) fn take_picture(&mut self, seq: u64, read: Option<&ScreenStop>) -> bool {
        let Some(seen) = &mut self.picture else {
            self.picture = Some(PictureSeen { seq, read: read.cloned().unwrap_or_default() });
            return true;
        };
        if let Some(more) = read {
            let known = &mut seen.read;
            known.code = known.code.or(more.code);
            known.name = known.name.take().or_else(|| more.name.clone());
            known.parameters = known.parameters.or(more.parameters);
            known.module = known.module.take().or_else(|| more.module.clone());
            known.qr = known.qr.take().or_else(|| more.qr.clone());
        }
        false
    }

    /// Code and parameters, from the best witness that has both.
    pub fn bug_check(&self) -> Option<BugCheck> {
        self.dump
            .as_ref()
            .map(|dump| dump.bug_check)
            .or_else(|| self.panic.and_then(|panic| panic.bug_check))
            .or_else(|| {
                let line = self.line.as_ref()?;
                Some(BugCheck { code: line.code.0, parameters: line.parameters? })
            })
            .or_else(|| {
                // A line without parameters still knows the code better than a picture.
                let read = self.read().filter(|_| self.line.is_none())?;
                Some(BugCheck { code: read.code?.0, parameters: read.parameters? })
            })
    }

    /// What was read on the stop screen.
    fn read(&self) -> Option<&ScreenStop> {
        self.picture.as_ref().map(|picture| &picture.read)
    }

    /// What makes this stop the same as another.
    pub fn signature(&self) -> Signature {
        let bug_check = self.bug_check();
        let code = bug_check
            .map(|bug_check| StopCode(bug_check.code))
            .or_else(|| self.line.as_ref().map(|line| line.code))
            .or_else(|| self.read().and_then(|read| read.code));
        // Who speaks of another stop says nothing about this one's module.
        let module = self
            .dump
            .as_ref()
            .and_then(|dump| dump.module.clone())
            .or_else(|| {
                let line = self.line.as_ref().filter(|line| Some(line.code) == code)?;
                line.module.clone()
            })
            .or_else(|| {
                let read = self.read().filter(|read| read.code == code)?;
                // Where anybody else names the stop, a reader's guess at a module is not needed.
                read.module.clone().filter(|_| self.line.is_none() && self.dump.is_none())
            });
        Signature { code, module, access: bug_check.as_ref().and_then(Access::of) }
    }

    /// How sure it is that there was a stop at all.
    pub fn confidence(&self) -> Confidence {
        if self.panic.is_some() || self.dump.is_some() {
            Confidence::Observed
        } else if self.picture.is_some() {
            Confidence::Inferred
        } else {
            Confidence::GuestSays
        }
    }

    /// What the witnesses disagree on, without addresses or times.
    pub fn conflicts(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let panic = self.panic.and_then(|panic| panic.bug_check);
        if let Some(line) = &self.line {
            if self.panic.is_none() {
                let code = line.code;
                notes.push(format!(
                    "the serial line says stop {code}, but the hypervisor saw no panic"
                ));
            }
            if let Some(panic) = panic.filter(|panic| panic.code != line.code.0) {
                let (panic, line) = (StopCode(panic.code), line.code);
                notes.push(format!("the crash arguments say {panic}, the serial line says {line}"));
            }
        }
        if let Some(dump) = &self.dump {
            let code = StopCode(dump.bug_check.code);
            if let Some(panic) = panic.filter(|panic| panic.code != code.0) {
                let panic = StopCode(panic.code);
                notes.push(format!("the dump says {code}, the crash arguments say {panic}"));
            }
            if let Some(line) = &self.line {
                if line.code != code {
                    let line = line.code;
                    notes.push(format!("the dump says {code}, the serial line says {line}"));
                } else if let (Some(dump), Some(line)) = (&dump.module, &line.module)
                    && dump != line
                {
                    notes.push(format!("the dump blames {dump}, the serial line blames {line}"));
                }
            }
        }
        notes
    }
}

/// A serial line that belongs to a stop message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StopText {
    /// `*** Fatal System Error: 0x00000050 (0x…,0x…,0x…,0x…)`, or without the parameters.
    Error { code: StopCode, parameters: Option<[u64; 4]> },
    /// `(0x…,0x…,0x…,0x…)` on the line after it, as the Windows kernel prints them.
    Parameters([u64; 4]),
    /// `*** csagent.sys`, perhaps with ` - Address … base at …`.
    Module(String),
}

impl StopText {
    /// Reads one line. Guest data: anything that is not exactly of these forms is not a stop.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("*** Fatal System Error:") {
            let rest = rest.trim_start();
            let end = rest.find([' ', '(', '\t']).unwrap_or(rest.len());
            let (code, rest) = rest.split_at(end);
            let code = StopCode(hex(code)?);
            return Some(Self::Error { code, parameters: parameters(rest.trim()) });
        }
        if line.starts_with('(') {
            return parameters(line).map(Self::Parameters);
        }
        module(line.strip_prefix("***")?.trim_start()).map(Self::Module)
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    // `from_str_radix` would also take a sign.
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

fn parameters(text: &str) -> Option<[u64; 4]> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let mut values = inner.split(',').map(|value| hex(value.trim()));
    let all = [values.next()??, values.next()??, values.next()??, values.next()??];
    values.next().is_none().then_some(all)
}

fn module(text: &str) -> Option<String> {
    const EXTENSIONS: [&str; 4] = ["sys", "exe", "dll", "efi"];
    let name = text.split([' ', '\t']).next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let name = (!stem.is_empty() && name.len() <= 64 && name.bytes().all(plain))
        .then(|| name.to_ascii_lowercase())?;
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u64, parameters: Option<[u64; 4]>) -> Option<StopText> {
        Some(StopText::Error { code: StopCode(code), parameters })
    }

    #[test]
    fn reads_the_forms_of_windows_and_reactos() {
        let long = "*** Fatal System Error: 0x00000050 \
                    (0xFFFF840500000074,0x0000000000000000,0xFFFFF80314A835B1,0x0000000000000002)";
        let parameters = [0xFFFF_8405_0000_0074, 0, 0xFFFF_F803_14A8_35B1, 2];
        assert_eq!(StopText::parse(long), error(0x50, Some(parameters)));
        let short =
            "*** Fatal System Error: 0x00000050 (0xF1234568,0x00000000,0xF710C00F,0x00000000)";
        let parameters = [0xF123_4568, 0, 0xF710_C00F, 0];
        assert_eq!(StopText::parse(short), error(0x50, Some(parameters)));
        assert_eq!(StopText::parse("*** Fatal System Error: 0x0000007b"), error(0x7B, None));
        assert_eq!(
            StopText::parse("                       (0x1,0x2,0x3,0x4)"),
            Some(StopText::Parameters([1, 2, 3, 4]))
        );
    }

    #[test]
    fn reads_a_module_and_nothing_that_only_looks_like_one() {
        let module = |name: &str| Some(StopText::Module(name.to_owned()));
        assert_eq!(StopText::parse("*** CSAgent.sys"), module("csagent.sys"));
        assert_eq!(
            StopText::parse("***   csagent.sys - Address FFFFF803 base at FFFFF8"),
            module("csagent.sys")
        );
        for line in ["*** .sys", "*** csagent", "*** c/s.sys", "csagent.sys", "***", ""] {
            assert_eq!(StopText::parse(line), None, "{line}");
        }
    }

    #[test]
    fn refuses_damaged_stop_lines() {
        for line in [
            "*** Fatal System Error:",
            "*** Fatal System Error: 50",
            "*** Fatal System Error: 0x",
            "*** Fatal System Error: 0x+50",
            "*** Fatal System Error: 0x11112222333344445",
        ] {
            assert_eq!(StopText::parse(line), None, "{line}");
        }
        // A good code is worth having even where the parameters are cut.
        assert_eq!(StopText::parse("*** Fatal System Error: 0x50 (0x1,0x2"), error(0x50, None));
        assert_eq!(StopText::parse("(0x1,0x2,0x3,0x4,0x5)"), None);
    }

    #[test]
    fn a_dump_beats_the_crash_arguments_and_these_beat_the_line() {
        let line = StopLineSeen {
            seq: 1,
            code: StopCode(0xD1),
            parameters: Some([1; 4]),
            module: Some("other.sys".into()),
        };
        let mut stop = Stop { line: Some(line), ..Stop::default() };
        assert_eq!(stop.signature().to_string(), "0x000000D1 in other.sys");
        assert_eq!(stop.confidence(), Confidence::GuestSays);
        let bug_check = Some(BugCheck { code: 0x50, parameters: [7, 2, 0, 0] });
        stop.panic = Some(PanicSeen { seq: 2, bug_check });
        assert_eq!(stop.signature().to_string(), "0x00000050");
        assert_eq!(stop.signature().access, Some(Access::Write));
        let bug_check = BugCheck { code: 0x7E, parameters: [0; 4] };
        stop.dump = Some(DumpSeen { seq: 3, bug_check, module: Some("csagent.sys".into()) });
        assert_eq!(stop.signature().to_string(), "0x0000007E in csagent.sys");
        assert_eq!(stop.confidence(), Confidence::Observed);
        assert_eq!(stop.conflicts().len(), 3);
    }
}
