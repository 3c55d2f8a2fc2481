//! The language in which scenarios are chosen: `incident(kb50*) & layer(quick-machine-recovery) - slow()`.
//!
//! A predicate is a word with a pattern in parentheses, in which `*` stands for any text and `?` for any one
//! character; upper and lower case are the same. `&` is both, `|` or `+` is either, `-` is without, `!` or `not` is all
//! others. `&` and `-` bind tighter than `|`; parentheses group.

mod error;
mod expression;
mod parse;
mod predicate;
#[cfg(test)]
mod tests;
mod tokens;

pub use error::FilterError;
pub use expression::{Filter, Recorded};
pub use predicate::Predicate;
