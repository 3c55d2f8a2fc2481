//! What can be wrong with a bundle.

use std::path::PathBuf;

use words::escape::escaped;

/// A bundle cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file cannot be unpacked.
    #[error(
        "{bundle} is no bundle of runs, or it is damaged: {why}; get it again from whoever made it with `loopbreak bundle`"
    )]
    NoBundle {
        /// The file.
        bundle: PathBuf,
        /// What the archive's reader said.
        why: String,
    },
    /// It is of another time.
    #[error(
        "{bundle} has format {format}; this loopbreak reads {known}. Open it with loopbreak {by}, which made it"
    )]
    OtherFormat {
        /// The file.
        bundle: PathBuf,
        /// The format that it has.
        format: u64,
        /// The format that is known.
        known: u64,
        /// The version that made it.
        by: String,
    },
    /// A file in it is not as the manifest says.
    #[error("{bundle}: `{}` {why}; get the bundle again", escaped(file))]
    Damaged {
        /// The bundle.
        bundle: PathBuf,
        /// The file in it.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// It holds what no bundle has.
    #[error(
        "{bundle} is refused: `{}`: {why}. Nothing of it was unpacked; do not trust where it is from",
        escaped(file)
    )]
    Refused {
        /// The bundle.
        bundle: PathBuf,
        /// The entry.
        file: String,
        /// Why.
        why: String,
    },
    /// It is larger than it may be.
    #[error("{bundle} is refused: {what}, and {most} are the most; {advice}")]
    TooLarge {
        /// The bundle.
        bundle: PathBuf,
        /// What there is too much of.
        what: String,
        /// The bound.
        most: u64,
        /// What can be done.
        advice: &'static str,
    },
    /// It would be larger than `show` takes.
    #[error(
        "{bundle} would not be opened again: {what}, and {most} are the most; bundle fewer runs in one file"
    )]
    TooMuch {
        /// The bundle that was to be written.
        bundle: PathBuf,
        /// What there is too much of.
        what: String,
        /// The bound.
        most: u64,
    },
    /// The run has nothing to be bundled.
    #[error("{run} has no file that can be bundled; is it the directory of a run?")]
    Empty {
        /// The run's directory.
        run: PathBuf,
    },
    /// Two runs of one name.
    #[error("the run {run} is named twice; name each once")]
    Twice {
        /// The run.
        run: String,
    },
}
