//! What is searched: a row of builds, or the faults of one scenario.

use std::path::PathBuf;

use faults::inert_control;
use scenario::{Fault, Scenario};

use super::search::Question;
use crate::args::Global;
use crate::exit::usage;
use crate::scenarios;

/// A row, or a set.
pub(super) enum Subject {
    /// Builds, the oldest first, each with its name.
    Builds { name: String, builds: Vec<(String, Scenario)> },
    /// A scenario, and which of its faults are searched.
    Faults { scenario: Box<Scenario>, searched: Vec<String> },
}

impl Subject {
    /// The variants of a scenario, or builds of one of its faults.
    pub(super) fn builds(
        global: &Global,
        name: &str,
        of: Option<(&str, &[PathBuf])>,
    ) -> anyhow::Result<Self> {
        let found = scenarios::find(&global.scenarios, name)?;
        let mut builds = Vec::new();
        match of {
            None => builds.extend(
                found
                    .into_iter()
                    .map(|(scenario, _)| (scenario.reference_name().to_owned(), scenario)),
            ),
            Some((fault, files)) => {
                let scenario = one(found, name)?;
                for (number, file) in files.iter().enumerate() {
                    let mut build = scenario.with_build(fault, file).map_err(usage)?;
                    build.name = format!("{}/build-{}", scenario.folder_name(), number + 1);
                    builds.push((file.display().to_string(), build));
                }
            }
        }
        if builds.len() < 2 {
            let what = format!(
                "there is only one build of `{name}` to search; give it variants, or --of NAME and several builds"
            );
            return Err(usage(anyhow::anyhow!(what)));
        }
        let image = builds[0].1.machine.image.clone();
        if let Some((other, _)) = builds.iter().find(|(_, build)| build.machine.image != image) {
            let what =
                format!("`{other}` is on another image than the first; say which one with --image");
            return Err(usage(anyhow::anyhow!(what)));
        }
        Ok(Self::Builds { name: name.to_owned(), builds })
    }

    /// The faults of a scenario but for those that stay.
    pub(super) fn faults(global: &Global, name: &str, keep: &[String]) -> anyhow::Result<Self> {
        let scenario = one(scenarios::find(&global.scenarios, name)?, name)?;
        let names: Vec<&str> = scenario.fault.iter().map(Fault::name).collect();
        if let Some(unknown) = keep.iter().find(|kept| !names.contains(&kept.as_str())) {
            let what =
                format!("`{name}` has no fault `{unknown}` to keep; it has {}", names.join(", "));
            return Err(usage(anyhow::anyhow!(what)));
        }
        let searched: Vec<String> = names
            .iter()
            .filter(|name| !keep.iter().any(|kept| kept == *name))
            .map(|it| (*it).to_owned())
            .collect();
        if searched.len() < 2 {
            let what =
                format!("`{name}` has fewer than two faults to search; there is nothing to find");
            return Err(usage(anyhow::anyhow!(what)));
        }
        Ok(Self::Faults { scenario: Box::new(scenario), searched })
    }

    pub(super) fn on_image(self, image: Option<&str>) -> Self {
        let Some(image) = image else { return self };
        match self {
            Self::Builds { name, builds } => {
                let builds =
                    builds.into_iter().map(|(name, build)| (name, build.on_image(image))).collect();
                Self::Builds { name, builds }
            }
            Self::Faults { scenario, searched } => {
                Self::Faults { scenario: Box::new(scenario.on_image(image)), searched }
            }
        }
    }

    pub(super) fn image(&self) -> &str {
        match self {
            Self::Builds { builds, .. } => &builds[0].1.machine.image,
            Self::Faults { scenario, .. } => &scenario.machine.image,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Builds { name, .. } => name,
            Self::Faults { scenario, .. } => &scenario.name,
        }
    }

    /// How many builds, or faults.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Builds { builds, .. } => builds.len(),
            Self::Faults { searched, .. } => searched.len(),
        }
    }

    /// What makes this search another than any other.
    pub(super) fn parts(&self) -> Vec<String> {
        match self {
            Self::Builds { builds, .. } => builds
                .iter()
                .map(|(name, build)| format!("build {name} {}", build.digest()))
                .collect(),
            Self::Faults { scenario, searched } => {
                let searched = searched.iter().map(|name| format!("fault {name}"));
                std::iter::once(scenario.digest()).chain(searched).collect()
            }
        }
    }

    /// One of them by its name.
    pub(super) fn label(&self, index: usize) -> &str {
        match self {
            Self::Builds { builds, .. } => &builds[index].0,
            Self::Faults { searched, .. } => &searched[index],
        }
    }

    /// What a question is about, for people.
    pub(super) fn called(&self, question: &[usize]) -> String {
        let names: Vec<&str> = question.iter().map(|index| self.label(*index)).collect();
        match (self, names.as_slice()) {
            (Self::Builds { .. }, names) => names.join(", "),
            (Self::Faults { scenario, searched }, []) => {
                let keeps_some = searched.len() < scenario.fault.len();
                let instead = if keeps_some { "only what is kept" } else { "harmless copies" };
                format!("none of them ({instead})")
            }
            (Self::Faults { .. }, names) if names.len() == self.count() => "all of them".to_owned(),
            (Self::Faults { .. }, names) => names.join(" + "),
        }
    }

    /// A name for the scenario that is run, by which runs of several parts are told apart.
    fn short_name(&self, question: &[usize]) -> String {
        let rest: Question = (0..self.count()).filter(|index| !question.contains(index)).collect();
        let names = |which: &[usize]| {
            which.iter().map(|index| self.label(*index)).collect::<Vec<_>>().join("-")
        };
        let mut name = match (question.len(), rest.len()) {
            (0, _) => "none".to_owned(),
            (_, 0) => "all".to_owned(),
            (with, without) if without < with => format!("without-{}", names(&rest)),
            _ => format!("only-{}", names(question)),
        };
        // As long as a name may be; names of faults are plain letters.
        name.truncate(64);
        name.trim_end_matches('-').to_owned()
    }

    /// What is run to answer a question.
    pub(super) fn scenario(&self, question: &[usize]) -> Scenario {
        match self {
            Self::Builds { builds, .. } => builds[question[0]].1.clone(),
            Self::Faults { scenario, searched } => {
                // A machine with nothing on it proves nothing: it would be another way to stage it. What is harmless in
                // the same way does.
                let is_control = question.is_empty() && searched.len() == scenario.fault.len();
                if is_control {
                    let mut control = inert_control(scenario);
                    control.name = format!("{}/control", scenario.folder_name());
                    return control;
                }
                let mut part = (**scenario).clone();
                let left_out = |fault: &Fault| {
                    searched
                        .iter()
                        .position(|name| name == fault.name())
                        .is_some_and(|at| !question.contains(&at))
                };
                part.fault.retain(|fault| !left_out(fault));
                part.name = format!("{}/{}", scenario.folder_name(), self.short_name(question));
                part
            }
        }
    }
}

fn one(mut found: Vec<scenarios::Found>, name: &str) -> anyhow::Result<Scenario> {
    match found.pop() {
        Some((scenario, _)) if found.is_empty() => Ok(scenario),
        last => {
            let names: Vec<String> =
                found.into_iter().chain(last).map(|(scenario, _)| scenario.name).collect();
            let what =
                format!("`{name}` has several variants; say which one: {}", names.join(", "));
            Err(usage(anyhow::anyhow!(what)))
        }
    }
}
