//! The table and its cells.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use timeline::{Layer, Micros, Outcome, Touch, Verdict};
use words::ImageLine;

use winfmt::escaped;

/// Version of the table's form.
pub const MATRIX_FORMAT: u32 = 1;

/// Every incident against every layer alone, on one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// [`MATRIX_FORMAT`].
    pub format: u32,
    /// The image's name.
    pub image: String,
    /// Which line of systems it is of.
    pub line: ImageLine,
    /// True where it is a model and not Windows.
    pub is_model: bool,
    /// By incident and layer.
    pub incidents: BTreeMap<String, BTreeMap<Layer, Cell>>,
}

/// What came of one incident with one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "came", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Cell {
    /// The machine was broken, and this became of it.
    Ran {
        /// What became of it.
        verdict: Verdict,
        /// The layer that brought it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Layer>,
        /// Whose hands that needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        touch: Option<Touch>,
        /// Boots up to the verdict.
        boots: usize,
        /// The user's data is as it was; absent where the scenario has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_intact: Option<bool>,
        /// Why.
        why: String,
    },
    /// The layer cannot be held against this incident, or not on this image.
    NotApplicable {
        /// Why not.
        why: String,
    },
    /// The harness or the host failed: nothing is known of the product.
    Failed {
        /// What failed.
        why: String,
    },
}

/// What a cell took. It differs from run to run, so it is not part of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The run that shows it.
    pub run: String,
    /// From the first sign of trouble to the healthy machine, where it came back.
    pub outage_us: Option<Micros>,
    /// The whole run.
    pub total_us: Micros,
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// It is no table.
    #[error("line {line}, column {column}: {what}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// A newer one.
    #[error("format {found} is not known; this loopbreak reads {MATRIX_FORMAT}")]
    Format {
        /// What it says.
        found: u32,
    },
}

impl Cell {
    /// What a run came to.
    pub fn of(outcome: &Outcome) -> Self {
        if outcome.verdict == Verdict::Infrastructure {
            return Self::Failed { why: outcome.because.clone() };
        }
        let canaries = &outcome.canaries;
        Self::Ran {
            verdict: outcome.verdict,
            by: outcome.brought_back_by,
            touch: outcome.touch,
            boots: outcome.boots.len(),
            data_intact: (!canaries.is_empty())
                .then(|| canaries.iter().all(|canary| canary.intact)),
            why: outcome.because.clone(),
        }
    }

    /// True where the machine came back with its data.
    pub fn saves(&self) -> bool {
        matches!(self, Self::Ran { verdict: Verdict::Recovered | Verdict::RecoveredOtherwise, .. })
    }

    /// A few words, for a cell of a table. `layer` is the one of its column.
    pub fn short(&self, layer: Layer) -> String {
        match self {
            Self::Ran { by, boots, .. } if self.saves() => match by {
                Some(by) if *by != layer => format!("by {by}, {boots} boots"),
                Some(_) => format!("yes, {boots} boots"),
                None => format!("by itself, {boots} boots"),
            },
            Self::Ran { verdict, .. } => verdict.name().to_owned(),
            Self::NotApplicable { .. } => "-".to_owned(),
            Self::Failed { .. } => "no verdict".to_owned(),
        }
    }

    /// Why it is so, on one line.
    pub fn why(&self) -> String {
        match self {
            Self::Ran { why, .. } | Self::NotApplicable { why } | Self::Failed { why } => {
                escaped(why).to_string()
            }
        }
    }
}

impl Matrix {
    /// An empty table.
    pub fn new(image: &str, line: ImageLine, is_model: bool) -> Self {
        let incidents = BTreeMap::new();
        Self { format: MATRIX_FORMAT, image: image.to_owned(), line, is_model, incidents }
    }

    /// From its text.
    ///
    /// # Errors
    /// [`MatrixError`].
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let matrix: Self = serde_json::from_str(text).map_err(|error| MatrixError::Malformed {
            line: error.line(),
            column: error.column(),
            what: error.to_string(),
        })?;
        match matrix.format {
            MATRIX_FORMAT => Ok(matrix),
            found => Err(MatrixError::Format { found }),
        }
    }

    /// Its text, the same for the same table.
    pub fn render(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("a table holds only strings, numbers and string-keyed maps") + "\n"
    }

    /// Puts a cell in, in the place of what is there.
    pub fn put(&mut self, incident: &str, layer: Layer, cell: Cell) {
        self.incidents.entry(incident.to_owned()).or_default().insert(layer, cell);
    }

    /// The layers that it has, in the order of the ladder.
    pub fn layers(&self) -> Vec<Layer> {
        let all: BTreeSet<Layer> =
            self.incidents.values().flat_map(|cells| cells.keys().copied()).collect();
        Layer::ALL.into_iter().filter(|layer| all.contains(layer)).collect()
    }

    /// All cells, by incident and layer.
    pub fn cells(&self) -> impl Iterator<Item = (&str, Layer, &Cell)> {
        self.incidents.iter().flat_map(|(incident, cells)| {
            cells.iter().map(move |(layer, cell)| (incident.as_str(), *layer, cell))
        })
    }

    /// What is in `over` in the place of what is here; what it does not have stays.
    pub fn laid_over(mut self, over: &Self) -> Self {
        for (incident, layer, cell) in over.cells() {
            self.put(incident, layer, cell.clone());
        }
        self
    }

    /// The table for a terminal.
    pub fn table(&self) -> String {
        let layers = self.layers();
        let mut rows = vec![vec!["INCIDENT".to_owned()]];
        rows[0].extend(layers.iter().map(|layer| layer.name().to_uppercase()));
        for (incident, cells) in &self.incidents {
            let short = |layer: &Layer| cells.get(layer).map(|cell| cell.short(*layer));
            let mut row = vec![escaped(incident).to_string()];
            row.extend(layers.iter().map(|layer| short(layer).unwrap_or_default()));
            rows.push(row);
        }
        let widths: Vec<usize> = (0..=layers.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }

    /// `8 of 12 saved, 3 not, 1 not applicable`.
    pub fn counts(&self) -> String {
        let (mut saved, mut not, mut none, mut failed) = (0, 0, 0, 0);
        for (_, _, cell) in self.cells() {
            match cell {
                Cell::Ran { .. } if cell.saves() => saved += 1,
                Cell::Ran { .. } => not += 1,
                Cell::NotApplicable { .. } => none += 1,
                Cell::Failed { .. } => failed += 1,
            }
        }
        let mut text = format!("{saved} saved, {not} not saved");
        for (count, what) in [(none, "not applicable"), (failed, "without a verdict")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text
    }
}
