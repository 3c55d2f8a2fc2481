//! The kinds of faults, for people: `loopbreak fault list` and `loopbreak fault explain KIND`. Each family
//! has a module, in the order of the scenario schema.

#[macro_use]
mod frame;

mod boot_configuration;
mod driver_examples;
mod drivers;
mod network;
mod power;
mod registry;
mod servicing;
mod storage;
mod trust;
mod user_mode;
mod vendor_examples;

use std::path::Path;

use scenario::{Scenario, ScenarioError};

use crate::driver::DriverError;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// As it is written in a scenario.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// What it is, and after what.
    pub what: &'static str,
    /// How it lands and what proves it.
    pub lands: &'static str,
    /// How it is undone.
    pub undone: &'static str,
    /// What the inert control does instead.
    pub inert: &'static str,
    /// On which images it works.
    pub images: &'static str,
    /// What to expect of it.
    pub expect: &'static str,
    /// Scenarios that show it, one for each way in which it can be: what `loopbreak fault prove` runs.
    pub examples: &'static [Example],
}

/// A scenario that shows a fault: the end of a `scenario.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Unique among all; begins with the kind's name: `driver-null-read`.
    pub name: &'static str,
    /// Further keys of `[machine]`, as lines of TOML; `image`, `start` and `time-scale` are there already.
    pub machine: &'static str,
    /// Everything from `[[given]]` on, with `[expect]`, in TOML.
    pub scenario: &'static str,
    /// The consequence to expect, for people: `0x7E in lbfault.sys, at every start`.
    pub consequence: &'static str,
}

impl Example {
    /// The scenario, for the image of this name, written into a folder of its own in `folder` with the files
    /// that it brings along.
    ///
    /// # Errors
    /// The folder cannot be written. That an example does not load is found by the tests.
    pub fn load(&self, image: &str, folder: &Path) -> Result<Scenario, ExampleError> {
        let home = folder.join(self.name);
        let scenario = [("scenario.toml", self.source(image).into_bytes())];
        for (name, bytes) in scenario.into_iter().chain(vendor_examples::files(self.name)?) {
            let path = home.join(name);
            fs_err::create_dir_all(path.parent().unwrap_or(&home))?;
            fs_err::write(path, bytes)?;
        }
        Ok(Scenario::load(&home)?)
    }

    /// The whole `scenario.toml`, for the image of this name.
    fn source(&self, image: &str) -> String {
        let Self { name, machine, scenario, consequence } = self;
        // A literal string in TOML holds everything but its own quotes and line ends.
        let description = consequence.replace(['\'', '\n'], " ");
        format!(
            "format = 1\nname = '{name}'\ntitle = '{name}'\ndescription = '{description}'\n\n[machine]\n\
             image = '{image}'\nstart = 'cold'\ntime-scale = 120\n{machine}\n{scenario}\n"
        )
    }
}

/// Why an example could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ExampleError {
    /// It does not load.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A driver of its own could not be made.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Its folder cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

const OFFLINE: &str = "Any image of the store whose Windows volume and hives can be written offline: no \
                       BitLocker without its key, no ReFS. 64-bit Windows 10 and 11 load only signed \
                       drivers: the image needs `testsigning` (for the test authority's) or \
                       `nointegritychecks` (for any), with Secure Boot off. 32-bit Windows and ReactOS check \
                       no signature. The understudy has `nointegritychecks` on; with `signing-policy` of \
                       `boot-configuration` given it checks, after a model of its own. It runs x86-64 only.";
const ANY_DISK: &str = "Staged: any image of the store whose Windows volume can be written offline. \
                        Healthy: images with a guest agent.";

/// A defect of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefectInfo {
    /// As it is written in a scenario.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What the inert control does instead.
    pub inert: &'static str,
    /// The stop codes to expect on Windows 10 and 11, the usual one first.
    pub stops: &'static [u32],
    /// What to expect besides.
    pub expect: &'static str,
}

const FAMILIES: [&[KindInfo]; 9] = [
    drivers::KINDS,
    servicing::KINDS,
    boot_configuration::KINDS,
    registry::KINDS,
    user_mode::KINDS,
    storage::KINDS,
    power::KINDS,
    network::KINDS,
    trust::KINDS,
];

/// All defects of drivers, in the order in which to list them.
pub fn defect_infos() -> &'static [DefectInfo] {
    drivers::DEFECTS
}

/// A defect by its name.
pub fn explain_defect(name: &str) -> Option<&'static DefectInfo> {
    defect_infos().iter().find(|defect| defect.name == name)
}

/// All kinds, in the order in which to list them.
pub fn kinds() -> impl Iterator<Item = &'static KindInfo> {
    FAMILIES.into_iter().flatten()
}

/// A kind by its name.
pub fn explain(name: &str) -> Option<&'static KindInfo> {
    kinds().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_scenario_schema_is_explained() {
        let schema = scenario::schema();
        let variants = schema["$defs"]["Fault"]["oneOf"].as_array().unwrap();
        let names: Vec<&str> = variants
            .iter()
            .map(|variant| variant["properties"]["kind"]["const"].as_str().unwrap())
            .collect();
        let defects: Vec<&str> = crate::driver::defects().iter().map(crate::driver::name).collect();
        assert_eq!(defects, defect_infos().iter().map(|defect| defect.name).collect::<Vec<_>>());
        assert_eq!(names, kinds().map(|kind| kind.name).collect::<Vec<_>>());
    }

    /// The words of a kind's own choice (`defect`, `damage`, …) in the schema.
    fn words(schema: &serde_json::Value, kind: &str) -> Vec<String> {
        let variants = schema["$defs"]["Fault"]["oneOf"].as_array().unwrap();
        let variant = variants.iter().find(|v| v["properties"]["kind"]["const"] == kind).unwrap();
        let choice = ["defect", "damage", "state", "trouble", "change"]
            .into_iter()
            .find_map(|key| variant["properties"][key]["$ref"].as_str());
        let Some(choice) = choice else { return Vec::new() };
        schema["$defs"][choice.trim_start_matches("#/$defs/")]["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| match word["const"].as_str() {
                Some(word) => word.to_owned(),
                None => word["required"][0].as_str().unwrap().to_owned(),
            })
            .collect()
    }

    #[test]
    fn every_way_in_which_a_fault_can_be_has_an_example_that_loads() {
        let folder = tempfile::tempdir().unwrap();
        let schema = scenario::schema();
        let mut seen = std::collections::BTreeSet::new();
        for kind in kinds() {
            assert!(!kind.examples.is_empty(), "{} has no example", kind.name);
            for example in kind.examples {
                assert!(seen.insert(example.name), "{} twice", example.name);
                assert!(example.name.starts_with(kind.name), "{} of {}", example.name, kind.name);
                let loaded = example.load("understudy", folder.path());
                let scenario = loaded.unwrap_or_else(|error| panic!("{}: {error}", example.name));
                let shown = scenario.given.iter().chain(&scenario.fault);
                assert!(shown.clone().any(|fault| fault.kind() == kind.name), "{}", example.name);
            }
            for word in words(&schema, kind.name) {
                let named = |text: &str| {
                    [format!("\"{word}\""), format!("'{word}'"), format!("{word} =")]
                        .iter()
                        .any(|form| text.contains(form.as_str()))
                };
                assert!(
                    kind.examples.iter().any(|example| named(example.scenario)),
                    "{}: no example shows `{word}`",
                    kind.name
                );
            }
        }
    }
}
