//! Where settings come from, and which of them hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use scenario::parse_document;

use super::model::{Profile, SettingsFile};
use crate::exit::usage;

/// The settings that are built in.
pub(crate) const DEFAULTS: &str = include_str!("loopbreak.toml");
/// The name of a file of settings, in the folder where the command runs.
const FILE: &str = "loopbreak.toml";
/// The profile under all others.
const DEFAULT: &str = "default";

/// Which settings hold.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct SettingsArgs {
    /// A file of settings instead of ./loopbreak.toml
    ///
    /// LOOPBREAK_SETTINGS sets it as well. `loopbreak settings` prints all settings with their defaults.
    #[arg(long, value_name = "FILE", env = "LOOPBREAK_SETTINGS", hide_env = true)]
    pub(crate) settings: Option<PathBuf>,
    /// The profile of settings that holds, such as ci
    ///
    /// LOOPBREAK_PROFILE sets it as well.
    #[arg(long, value_name = "NAME", env = "LOOPBREAK_PROFILE", hide_env = true)]
    pub(crate) profile: Option<String>,
}

impl SettingsArgs {
    /// What holds: the chosen profile over the default one, and in each the file's settings over those that are built in.
    ///
    /// # Errors
    /// The file cannot be read, says something that cannot be, or there is no such profile.
    pub(crate) fn load(&self) -> anyhow::Result<Profile> {
        let path = self.settings.clone().unwrap_or_else(|| PathBuf::from(FILE));
        let text = match fs_err::read_to_string(&path) {
            Ok(text) => Some(text),
            // Only one that was named has to be there.
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && self.settings.is_none() =>
            {
                None
            }
            Err(error) => return Err(usage(error)),
        };
        let chosen = self.profile.as_deref().unwrap_or(DEFAULT);
        let own = text.as_deref().map(|text| (path.as_path(), text));
        effective(own, chosen)
    }
}

fn effective(own: Option<(&Path, &str)>, chosen: &str) -> anyhow::Result<Profile> {
    let read = |path: &Path, text: &str| -> anyhow::Result<BTreeMap<String, Profile>> {
        let file: SettingsFile = parse_document(path, text, "the settings").map_err(usage)?;
        Ok(file.profile)
    };
    let built_in = read(Path::new("the built-in settings"), DEFAULTS)?;
    let own = own.map(|(path, text)| read(path, text)).transpose()?.unwrap_or_default();
    if !built_in.contains_key(chosen) && !own.contains_key(chosen) {
        let mut names: Vec<&str> = own.keys().chain(built_in.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let what = format!("there is no profile `{chosen}`; there are {}", names.join(", "));
        return Err(usage(anyhow::anyhow!(what)));
    }
    let of =
        |from: &BTreeMap<String, Profile>, name: &str| from.get(name).cloned().unwrap_or_default();
    let default = of(&own, DEFAULT).over(of(&built_in, DEFAULT));
    Ok(of(&own, chosen).over(of(&built_in, chosen)).over(default))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use schemars::generate::SchemaSettings;

    use super::*;
    use crate::args::Cli;
    use crate::settings::Update;

    fn of(text: &str, profile: &str) -> Result<Profile, String> {
        let own = Some((Path::new("loopbreak.toml"), text));
        effective(own, profile).map_err(|error| error.to_string())
    }

    #[test]
    fn a_profile_comes_before_the_default_and_a_file_before_what_is_built_in() {
        let built_in = effective(None, DEFAULT).expect("the defaults");
        assert_eq!((built_in.jobs, built_in.retries), (Some(1), Some(0)));
        assert_eq!(built_in.update, Some(Update::Auto));
        let ci = effective(None, "ci").expect("a profile");
        assert_eq!((ci.jobs, ci.retries, ci.update), (Some(1), Some(2), Some(Update::No)));
        let text = "format = 1\n[profile.default]\njobs = 4\nretries = 7\n[profile.ci]\nbudget = \"30m\"\n\
                    [profile.night]\njobs = 8\nimage = [\"a\", \"b\"]\n";
        let ci = of(text, "ci").expect("a profile");
        assert_eq!((ci.jobs, ci.retries), (Some(4), Some(2)));
        assert_eq!(ci.budget.map(|it| it.minutes()), Some(30));
        let night = of(text, "night").expect("a profile");
        assert_eq!((night.jobs, night.retries), (Some(8), Some(7)));
        assert_eq!(night.image.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        let error = of(text, "nigth").expect_err("no such profile");
        assert_eq!(error, "there is no profile `nigth`; there are ci, default, night");
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        for (text, place, what) in [
            ("format = 1\n[profile.ci]\njob = 2\n", "3:1", "unknown key `job` in `profile.ci`"),
            ("format = 1\njobs = 2\n", "2:1", "unknown key `jobs` in the settings"),
            ("format = 1\n[profile.ci]\njobs = 0\n", "3:8", "out of range"),
            ("format = 1\n[profile.ci]\nbudget = \"soon\"\n", "3:10", "not a length of time"),
            ("format = 1\n[profile.ci]\nmax-size = \"20GB\"\n", "", "is not a size"),
            ("format = 1\n[profile.ci]\nflaky = \"maybe\"\n", "3:9", "cannot be `maybe`"),
            ("format = 1\n[profile.ci]\nupdate = \"always\"\n", "3:10", "cannot be `always`"),
            ("format = 1\n[profile.ci]\nimage = \"a\"\n", "3:9", "is a text"),
            ("format = 2\n", "1:10", "out of range"),
            ("", "1:1", "has no `format`"),
        ] {
            let error = of(text, "ci").expect_err(text);
            assert!(error.contains(&format!("loopbreak.toml:{place}")), "{text}: {error}");
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    /// The built-in file is the documentation: each setting is in it, with the option that says the same.
    #[test]
    fn the_built_in_file_names_every_setting_with_its_option() {
        let generator = SchemaSettings::draft2020_12().into_generator();
        let schema = generator.into_root_schema_for::<Profile>().to_value();
        let settings = schema["properties"].as_object().expect("a table");
        assert!(settings.len() > 5, "{schema}");
        let mut command = Cli::command();
        command.build();
        let arguments: Vec<&clap::Arg> = ["run", "runs prune"]
            .iter()
            .flat_map(|path| {
                let mut at = &command;
                for name in path.split(' ') {
                    at = at.find_subcommand(name).expect("a command");
                }
                at.get_arguments()
            })
            .collect();
        for key in settings.keys() {
            let line = DEFAULTS
                .lines()
                .find(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            let at =
                DEFAULTS.find(line.unwrap_or_else(|| panic!("{key} is not there"))).unwrap_or(0);
            let before = DEFAULTS[..at].trim_end().lines().last().unwrap_or_default();
            let named = before.trim_start_matches("# ");
            let option =
                named.split([',', ' ']).next().unwrap_or_default().trim_start_matches("--");
            let own = arguments.iter().find(|it| it.get_long() == Some(option));
            let own = own.unwrap_or_else(|| panic!("{key}: there is no option --{option}"));
            if let Some(variable) = named.split(", ").find(|it| it.starts_with("LOOPBREAK_")) {
                assert_eq!(own.get_env().and_then(|it| it.to_str()), Some(variable), "{key}");
            }
        }
    }
}
