//! What a machine says to the service, and how it is read. A machine's words are hostile.

use serde::{Deserialize, Serialize};
use words::{Refusal, WindowsBuild};

use crate::manifest::FORMAT;

/// The longest fact that an event carries, in characters.
pub(crate) const FACT: usize = 200;

/// A machine's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// [`FORMAT`].
    pub format: u32,
    /// The machine's name, as it says.
    pub machine: String,
    /// Its crash. Absent where it knows of none: a machine that cannot reach its disk leaves no dump.
    #[serde(default)]
    pub signature: Option<Signature>,
    /// The number of the scan, counted by the machine.
    pub attempt: u32,
    /// Which Windows it runs, where it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<WindowsBuild>,
    /// The group of machines that it is in, where it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// The crash signature that a machine asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// The stop code.
    pub bug_check: u64,
    /// The blamed module. Absent where none is blamed.
    #[serde(default)]
    pub module: Option<String>,
    /// The four parameters, `0x` and hexadecimal digits.
    pub parameters: [String; 4],
}

/// What a machine did with a remediation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The machine's name, as it says.
    pub machine: String,
    /// The remediation.
    pub id: String,
    /// What came of it.
    pub result: Outcome,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// What was changed, one line each.
    #[serde(default)]
    pub changes: Vec<String>,
}

/// What came of a remediation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All actions were done.
    Applied,
    /// It was refused, and nothing was done.
    Refused,
    /// An action could not be done.
    Failed,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// What a request is about, also where it could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `POST scan`.
    Scan,
    /// `GET manifest/<id>`.
    Manifest,
    /// `POST report`.
    Report,
    /// Something that the protocol does not have.
    Other,
}

impl Kind {
    /// As events write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Manifest => "manifest",
            Self::Report => "report",
            Self::Other => "other",
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A machine asks for help.
    Scan(Scan),
    /// It fetches a manifest.
    Manifest {
        /// The remediation.
        id: String,
    },
    /// It tells what it did.
    Report(Report),
    /// It said something that cannot be read.
    Bad {
        /// What it was meant to be.
        kind: Kind,
        /// What is wrong with it.
        reason: String,
    },
    /// It broke off in the middle of its request: it lost its power or its network. Nobody misunderstood anybody.
    BrokenOff {
        /// What it was meant to be.
        kind: Kind,
    },
    /// It asked for a place that is not there.
    Unknown {
        /// Method and path.
        what: String,
    },
}

impl Request {
    /// Reads the body of a scan.
    pub fn scan(body: &[u8]) -> Self {
        let scan: Scan = match serde_json::from_slice(body) {
            Ok(scan) => scan,
            Err(error) => return Self::bad(Kind::Scan, error),
        };
        if scan.format != FORMAT {
            return Self::bad(Kind::Scan, format_args!("format {}, not {FORMAT}", scan.format));
        }
        for parameter in scan.signature.iter().flat_map(|signature| &signature.parameters) {
            let digits = parameter.strip_prefix("0x").unwrap_or("");
            if u64::from_str_radix(digits, 16).is_err() {
                let parameter = brief(parameter);
                return Self::bad(Kind::Scan, format_args!("`{parameter}` is not a parameter"));
            }
        }
        Self::Scan(scan)
    }

    /// Reads the body of a report.
    pub fn report(body: &[u8]) -> Self {
        match serde_json::from_slice::<Report>(body) {
            Ok(report) if report.format == FORMAT => Self::Report(report),
            Ok(report) => {
                Self::bad(Kind::Report, format_args!("format {}, not {FORMAT}", report.format))
            }
            Err(error) => Self::bad(Kind::Report, error),
        }
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Scan(_) => Kind::Scan,
            Self::Manifest { .. } => Kind::Manifest,
            Self::Report(_) => Kind::Report,
            Self::Bad { kind, .. } | Self::BrokenOff { kind } => *kind,
            Self::Unknown { .. } => Kind::Other,
        }
    }

    /// A request that cannot be read.
    pub fn bad(kind: Kind, reason: impl std::fmt::Display) -> Self {
        Self::Bad { kind, reason: reason.to_string() }
    }
}

/// A machine's words, fit for a line of an event: shortened, without control characters.
pub(crate) fn brief(text: &str) -> String {
    let mut brief: String = text
        .chars()
        .take(FACT)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(FACT).is_some() {
        brief.push('…');
    }
    brief
}
