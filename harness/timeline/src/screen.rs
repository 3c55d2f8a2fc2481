//! What a frame of the display shows, as the crate `screen` reads it.
//!
//! A picture is one witness among several. It is the only one where a machine halts at its stop screen
//! without a panic device and without a reset (windows-facts.md section 0.1), so it can open a stop by
//! itself; but code and module that were read from it count for less than any other witness's.

use serde::{Deserialize, Serialize};

use crate::StopCode;

/// What kind of screen a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScreenKind {
    /// A stop screen on blue (or the green of preview builds): text mode, classic, with a sad face.
    BlueStop,
    /// The stop screen on black, as Windows 11 24H2 draws it ("unexpected restart").
    BlackStop,
    /// The boot manager says why it cannot start anything.
    BootError,
    /// The boot manager offers a choice.
    BootMenu,
    /// The recovery environment.
    Recovery,
    /// Nothing, on black.
    Black,
    /// Lines of text: a console, a text-mode installer, firmware.
    Text,
    /// A picture with colours up to the edges: a desktop, a log-on page. Logos stand on black.
    Desktop,
    /// Anything else: a logo, a photograph, one colour.
    Picture,
    /// Too small to tell.
    Unknown,
}

impl ScreenKind {
    /// True for both stop screens.
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::BlueStop | Self::BlackStop)
    }

    /// As events and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BlueStop => "blue-stop",
            Self::BlackStop => "black-stop",
            Self::BootError => "boot-error",
            Self::BootMenu => "boot-menu",
            Self::Recovery => "recovery",
            Self::Black => "black",
            Self::Text => "text",
            Self::Desktop => "desktop",
            Self::Picture => "picture",
            Self::Unknown => "unknown",
        }
    }
}

/// How sure the reading of a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It could well be something else. Nothing is concluded from it.
    Weak,
    /// Colours and layout fit, and fit nothing else that is known.
    Likely,
    /// Its text says so too: a stop code, a status, a QR code.
    Sure,
}

/// What could be read on a stop screen. All of it is evidence of the weakest kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScreenStop {
    /// The stop code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<StopCode>,
    /// Its name, as the screen shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its parameters, where all four could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<[u64; 4]>,
    /// The blamed module, lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// What the QR code says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
}

/// A frame of the display, read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// What it is.
    pub kind: ScreenKind,
    /// How sure that is.
    pub certainty: Certainty,
    /// What it rests on, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What a stop screen says, where something could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<ScreenStop>,
    /// The NTSTATUS on an error screen of boot manager or loader, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StopCode>,
}

impl Screen {
    /// True where it may be taken for an error screen of boot manager or loader.
    pub fn is_boot_error(&self) -> bool {
        self.kind == ScreenKind::BootError && self.certainty >= Certainty::Likely
    }

    /// True where it may be taken for a stop screen.
    pub fn is_stop(&self) -> bool {
        self.kind.is_stop() && self.certainty >= Certainty::Likely
    }
}
