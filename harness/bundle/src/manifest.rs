//! The first entry of a bundle.

use serde::{Deserialize, Serialize};

/// Version of the manifest and of the archive's layout.
pub const BUNDLE_FORMAT: u64 = 1;

/// The manifest's name in the archive.
pub(crate) const MANIFEST: &str = "manifest.json";

/// What is in a bundle. It has no date: the same runs give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// [`BUNDLE_FORMAT`].
    pub format: u64,
    /// The loopbreak that made it.
    pub loopbreak: String,
    /// The runs, in the order in which they were named.
    pub runs: Vec<BundledRun>,
    /// All other entries of the archive, in their order.
    pub files: Vec<FileEntry>,
    /// What was looked for to be taken out, and how much of it there was. A rule that found nothing stands here, too.
    pub redacted: Vec<Redaction>,
    /// What the rules do not reach, for whoever hands the bundle on.
    pub not_searched: Vec<String>,
    /// Files of the runs that are not in the bundle.
    pub left_out: Vec<LeftOut>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BundledRun {
    /// Its name, which is the folder's.
    pub run: String,
    /// The scenario.
    pub scenario: String,
    /// The image.
    pub image: String,
    /// The verdict that its events come to.
    pub verdict: String,
    /// Whether the events, as they are in the bundle, come to the outcome that the run wrote.
    pub replay: Replay,
}

/// What deriving a run again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replay {
    /// The same outcome, byte for byte.
    Same,
    /// Another one: what was redacted played a part, or the run's directory was edited.
    Differs,
    /// The run wrote no outcome: it was killed.
    NoOutcome,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path in the archive, which begins with the run's name.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What one rule took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// The rule.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// In how many files.
    pub files: u64,
}

/// A file that is not in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Its path, as it would be in the archive.
    pub path: String,
    /// Why not.
    pub why: String,
}
