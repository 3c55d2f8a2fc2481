//! What can be asked of a scenario.

use words::Layer;

use super::expression::Recorded;
use crate::Verdict;
use crate::model::Scenario;

/// What a predicate asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Predicate {
    /// Every scenario.
    All,
    /// No scenario.
    None,
    /// The full name: `kb5009624/host-repair`.
    Name,
    /// The scenario without its variant: `kb5009624`.
    Incident,
    /// The variant: `host-repair`.
    Variant,
    /// The image that it runs on.
    Image,
    /// A layer that is expected to bring the machine back.
    Layer,
    /// The verdict that is expected.
    Verdict,
    /// The kind of a fault.
    Fault,
    /// A tag.
    Tag,
    /// Its last recorded run failed.
    Failed,
    /// Its last recorded run took more than a minute.
    Slow,
}

impl Predicate {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 12] = [
        Self::All,
        Self::None,
        Self::Name,
        Self::Incident,
        Self::Variant,
        Self::Image,
        Self::Layer,
        Self::Verdict,
        Self::Fault,
        Self::Tag,
        Self::Failed,
        Self::Slow,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::None => "none",
            Self::Name => "name",
            Self::Incident => "incident",
            Self::Variant => "variant",
            Self::Image => "image",
            Self::Layer => "layer",
            Self::Verdict => "verdict",
            Self::Fault => "fault",
            Self::Tag => "tag",
            Self::Failed => "failed",
            Self::Slow => "slow",
        }
    }

    /// Whether it takes no pattern.
    pub(super) const fn stands_alone(self) -> bool {
        matches!(self, Self::All | Self::None | Self::Failed | Self::Slow)
    }

    /// The words that a pattern has to fit one of, where there are only so many.
    pub(super) fn known(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Layer => Some(Layer::ALL.iter().map(|layer| layer.name()).collect()),
            Self::Verdict => {
                Some(Verdict::OF_A_MACHINE.iter().map(|verdict| verdict.name()).collect())
            }
            _ => None,
        }
    }

    /// The answer.
    pub(super) fn asks(self, pattern: &str, scenario: &Scenario, recorded: Recorded) -> bool {
        let fits = |text: &str| fits(pattern, text);
        match self {
            Self::All => true,
            Self::None => false,
            Self::Name => fits(&scenario.name),
            Self::Incident => fits(scenario.folder_name()),
            Self::Variant => {
                scenario.name.split_once('/').is_some_and(|(_, variant)| fits(variant))
            }
            Self::Image => fits(&scenario.machine.image),
            Self::Layer => scenario.expect.layers.iter().any(|layer| fits(layer.name())),
            Self::Verdict => fits(scenario.expect.verdict.name()),
            Self::Fault => scenario.fault.iter().any(|fault| fits(fault.kind())),
            Self::Tag => scenario.tags.iter().any(|tag| fits(tag)),
            Self::Failed => recorded.failed,
            Self::Slow => recorded.slow,
        }
    }
}

/// Whether a text fits a pattern as a whole.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (pattern, text) = (lower(pattern), lower(text));
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((behind, taken)) => {
                    star = Some((behind, taken + 1));
                    (p, t) = (behind, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}
