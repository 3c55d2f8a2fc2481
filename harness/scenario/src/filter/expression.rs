//! A filter, and what it chooses.

use std::str::FromStr;

use super::error::FilterError;
use super::parse::parse;
use super::predicate::Predicate;
use crate::model::Scenario;

/// What is known of a scenario's last recorded run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// It failed: the outcome differed, an expectation was not met, or the run could not be brought to an end.
    pub failed: bool,
    /// It took more than a minute.
    pub slow: bool,
}

/// A filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub(super) text: String,
    pub(super) expression: Expression,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Asks(Predicate, String),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

impl Filter {
    /// Whether it chooses a scenario.
    pub fn matches(&self, scenario: &Scenario, recorded: Recorded) -> bool {
        self.expression.matches(scenario, recorded)
    }

    /// Whether it could choose a scenario on one image or another.
    pub fn may_match(&self, scenario: &Scenario) -> bool {
        self.expression.on_any_image(scenario) != Some(false)
    }

    /// Whether it asks for what only records of runs tell.
    pub fn asks_for_records(&self) -> bool {
        self.expression.asks_for_records()
    }
}

impl Expression {
    fn matches(&self, scenario: &Scenario, recorded: Recorded) -> bool {
        match self {
            Self::Asks(predicate, pattern) => predicate.asks(pattern, scenario, recorded),
            Self::Not(other) => !other.matches(scenario, recorded),
            Self::And(one, other) => {
                one.matches(scenario, recorded) && other.matches(scenario, recorded)
            }
            Self::Or(one, other) => {
                one.matches(scenario, recorded) || other.matches(scenario, recorded)
            }
        }
    }

    /// As [`matches`](Self::matches), while the image is not known; `None` where that decides.
    fn on_any_image(&self, scenario: &Scenario) -> Option<bool> {
        match self {
            Self::Asks(Predicate::Image, _) => None,
            Self::Asks(predicate, pattern) => {
                Some(predicate.asks(pattern, scenario, Recorded::default()))
            }
            Self::Not(other) => other.on_any_image(scenario).map(|known| !known),
            Self::And(one, other) => {
                match (one.on_any_image(scenario), other.on_any_image(scenario)) {
                    (Some(false), _) | (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }
            }
            Self::Or(one, other) => {
                match (one.on_any_image(scenario), other.on_any_image(scenario)) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }
            }
        }
    }

    fn asks_for_records(&self) -> bool {
        match self {
            Self::Asks(predicate, _) => matches!(predicate, Predicate::Failed | Predicate::Slow),
            Self::Not(other) => other.asks_for_records(),
            Self::And(one, other) | Self::Or(one, other) => {
                one.asks_for_records() || other.asks_for_records()
            }
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Ok(Self { text: text.to_owned(), expression: parse(text)? })
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
