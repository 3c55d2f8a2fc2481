//! Whether a new outcome is written beside its reference, where `cargo insta` and `loopbreak review` find it. In CI it is
//! not, by the rule that insta has: a pipeline that changes its own checkout would hide that from the next step.

use crate::exit::usage;
use crate::settings::Update;

/// Whether outcomes that differ are kept in the run directory alone. `environment` looks a variable up.
///
/// # Errors
/// INSTA_UPDATE has a value that insta does not know.
pub(crate) fn pending_aside(
    no_update: bool,
    settings: Update,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<bool> {
    if no_update {
        return Ok(true);
    }
    match environment("INSTA_UPDATE").as_deref() {
        Some("no") => Ok(true),
        // The last four mean to insta that it may also write references. Here only `accept` does.
        Some("new" | "always" | "1" | "unseen" | "force") => Ok(false),
        None | Some("") => Ok(match settings {
            Update::No => true,
            Update::New => false,
            Update::Auto => is_ci(environment),
        }),
        Some("auto") => Ok(is_ci(environment)),
        Some(other) => Err(usage(anyhow::anyhow!(
            "INSTA_UPDATE is `{other}`; write `auto`, `new` or `no`, or leave it out"
        ))),
    }
}

/// As insta decides it: `CI`, or the variable that Azure Pipelines sets.
fn is_ci(environment: impl Fn(&str) -> Option<String>) -> bool {
    match environment("CI").as_deref() {
        Some("false" | "0" | "") => false,
        Some(_) => true,
        None => environment("TF_BUILD").is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Update, pending_aside};

    fn aside(no_update: bool, variables: &[(&str, &str)]) -> anyhow::Result<bool> {
        aside_by(no_update, Update::Auto, variables)
    }

    fn aside_by(
        no_update: bool,
        settings: Update,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<bool> {
        pending_aside(no_update, settings, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn in_ci_nothing_is_written_beside_references() {
        for (variables, expected) in [
            (&[][..], false),
            (&[("CI", "true")], true),
            (&[("CI", "1")], true),
            (&[("CI", "false")], false),
            (&[("CI", "")], false),
            (&[("TF_BUILD", "True")], true),
            (&[("CI", "false"), ("TF_BUILD", "True")], false),
            (&[("CI", "true"), ("INSTA_UPDATE", "auto")], true),
            (&[("CI", "true"), ("INSTA_UPDATE", "new")], false),
            (&[("INSTA_UPDATE", "no")], true),
        ] {
            assert_eq!(aside(false, variables).expect("known"), expected, "{variables:?}");
        }
        // The environment comes before the settings, and these before the rule.
        assert!(aside_by(false, Update::No, &[]).expect("known"));
        assert!(!aside_by(false, Update::No, &[("INSTA_UPDATE", "new")]).expect("known"));
        assert!(!aside_by(false, Update::New, &[("CI", "true")]).expect("known"));
        assert!(aside(true, &[("INSTA_UPDATE", "new")]).expect("known"), "the option comes first");
        let error = aside(false, &[("INSTA_UPDATE", "nwe")]).expect_err("not known").to_string();
        assert!(error.contains("`nwe`") && error.contains("`no`"), "{error}");
    }
}
