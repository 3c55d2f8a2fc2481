//! Suspects and their reasons.

use inspect::services::Service;
use scenario::RepairAction;
use serde::Serialize;

use crate::repairs;
use crate::statement::{Statement, on_c};

/// A suspect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suspect {
    /// What it is: a driver, a file, a service, the boot configuration.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// How strong the reasons are, together.
    pub weight: Weight,
    /// Why, the strongest first.
    pub reasons: Vec<Reason>,
    /// What the layer `host-repair` could do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repair: Vec<RepairAction>,
    /// What is to be done where no such action does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<String>,
}

/// How strong reasons are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Weight(pub i32);

impl Weight {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self.0 {
            60.. => "strong",
            30..60 => "likely",
            _ => "possible",
        }
    }
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reason {
    /// How strong it is; below zero it speaks against.
    pub weight: Weight,
    /// What it says, and where that is from.
    #[serde(flatten)]
    pub statement: Statement,
}

/// The suspects while they are gathered.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Vec<Suspect>);

impl Suspects {
    /// The suspect of that name, made where it is new.
    fn entry(&mut self, what: &'static str, name: &str) -> &mut Suspect {
        let found =
            self.0.iter().position(|own| own.what == what && own.name.eq_ignore_ascii_case(name));
        let at = found.unwrap_or_else(|| {
            self.0.push(Suspect {
                what,
                name: name.to_owned(),
                weight: Weight(0),
                reasons: Vec::new(),
                repair: Vec::new(),
                otherwise: None,
            });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// A driver, by its service.
    pub(crate) fn driver(&mut self, service: &Service) -> &mut Suspect {
        let name = service.file.known().and_then(|file| file.rsplit('\\').next());
        let name = name.map_or_else(|| service.name.clone(), str::to_owned);
        let suspect = self.entry("driver", &name);
        if suspect.repair.is_empty() && suspect.otherwise.is_none() {
            match repairs::without(service) {
                Ok(action) => suspect.repair.push(action),
                Err(otherwise) => suspect.otherwise = Some(otherwise),
            }
        }
        suspect
    }

    /// A file, from the root of the system's volume.
    pub(crate) fn file(&mut self, path: &str) -> &mut Suspect {
        self.entry("file", &on_c(path))
    }

    /// Something of the configuration.
    pub(crate) fn setting(&mut self, what: &'static str, name: &str) -> &mut Suspect {
        self.entry(what, name)
    }

    /// In the order of their weight.
    pub(crate) fn ranked(mut self) -> Vec<Suspect> {
        for suspect in &mut self.0 {
            suspect.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.weight));
        }
        self.0.retain(|suspect| suspect.weight > Weight(0));
        self.0.sort_by(|one, other| {
            other.weight.cmp(&one.weight).then_with(|| one.name.cmp(&other.name))
        });
        self.0
    }
}

impl Suspect {
    /// Adds a reason.
    pub(crate) fn because(&mut self, weight: i32, statement: Statement) -> &mut Self {
        self.weight.0 += weight;
        self.reasons.push(Reason { weight: Weight(weight), statement });
        self
    }

    /// Sets what could be done; the first that is said stays.
    pub(crate) fn repair(&mut self, action: Result<RepairAction, String>) -> &mut Self {
        if self.repair.is_empty() && self.otherwise.is_none() {
            match action {
                Ok(action) => self.repair.push(action),
                Err(otherwise) => self.otherwise = Some(otherwise),
            }
        }
        self
    }
}
