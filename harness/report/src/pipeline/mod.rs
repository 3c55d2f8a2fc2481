//! What a pipeline takes in: JUnit XML, a summary in Markdown, annotations of GitHub.

mod case;
mod github;
mod junit;
mod markdown;

#[cfg(test)]
pub(crate) use case::examples;
pub use case::{Came, Case, Picture, Ran, Standing};
pub use github::annotations;
pub use junit::junit;
pub(crate) use junit::{INDEX, LISTED, SUITE, suite};
pub(crate) use markdown::escaped as markdown_text;
pub use markdown::markdown;
