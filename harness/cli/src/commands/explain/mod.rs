//! `loopbreak explain`: what a word means, from the texts beside its code.

mod word;

use recovery::{LayerInfo, explain_layer};
use timeline::Layer;

use self::word::{Word, all, word};
use super::fault;
use crate::exit::{Exit, usage};
use crate::output::{print, sections};

pub(crate) fn run(words: &[String]) -> anyhow::Result<Exit> {
    print(&explanation(words)?)?;
    Ok(Exit::AsExpected)
}

/// `explain safe-mode`, `explain layer safe-mode`: the kind of word may stand before it.
fn explanation(words: &[String]) -> anyhow::Result<String> {
    let (kind, name) = match words {
        [name] => (None, name.as_str()),
        [kind, name] => (Some(kind.as_str()), name.as_str()),
        _ => return Err(usage(anyhow::anyhow!("say one word"))),
    };
    let found = match kind {
        Some("layer") => layer(name),
        Some("fault") => fault::explanation(name).ok(),
        Some("verdict" | "exit-code" | "check" | "touch") => word(name).map(of_word),
        Some(_) => None,
        None => layer(name)
            .or_else(|| word(name).map(of_word))
            .or_else(|| fault::explanation(name).ok()),
    };
    found.ok_or_else(|| usage(anyhow::anyhow!("{}", known(name))))
}

fn layer(name: &str) -> Option<String> {
    name.parse().ok().and_then(explain_layer).map(of_layer)
}

/// What there is, for a word that is not known.
fn known(name: &str) -> String {
    let layers = Layer::ALL.iter().map(|layer| layer.name()).collect();
    let mut known = vec![("layers", layers)];
    known.extend(all());
    let lines = known.into_iter().map(|(kind, words)| format!("\n  {kind}: {}", words.join(", ")));
    format!(
        "`{name}` is not a word of loopbreak; there are{}\n  faults: `loopbreak fault list` lists them",
        lines.collect::<String>()
    )
}

fn of_word(word: Word) -> String {
    let Word { name, title, sections: parts } = word;
    let parts: Vec<(&str, &str)> =
        parts.iter().map(|(label, text)| (*label, text.as_str())).collect();
    sections(name, &title, &parts)
}

fn of_layer(info: &LayerInfo) -> String {
    let touch = info.layer.touch();
    let touch = format!("{touch}: {}.", touch.about());
    sections(
        info.layer.name(),
        info.title,
        &[
            ("What", info.does),
            ("Touch", &touch),
            ("Needs", info.needs),
            ("Set up", info.set_up),
            ("Shows", info.evidence),
            ("Limits", info.limits),
            ("Sources", info.sources),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(words: &str) -> anyhow::Result<String> {
        explanation(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_layer_is_explained_and_another_word_is_answered_with_all() {
        for layer in Layer::ALL {
            let text = explained(layer.name()).unwrap();
            for label in ["What:", "Touch:", "Needs:", "Set up:", "Shows:", "Limits:", "Sources:"] {
                assert!(text.contains(label), "{layer}: {label}");
            }
            assert!(text.contains(&format!("Touch:   {}", layer.touch())), "{text}");
            assert_eq!(explained(&format!("layer {layer}")).unwrap(), text);
        }
        let error = explained("magic").unwrap_err().to_string();
        assert!(Layer::ALL.iter().all(|layer| error.contains(layer.name())), "{error}");
        assert!(error.contains("not-applicable") && error.contains("recovery-room"), "{error}");
    }

    #[test]
    fn every_word_that_is_listed_is_explained() {
        for (kind, words) in all() {
            for name in words {
                let text = explained(name).unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
                assert!(text.starts_with(&format!("{name}: ")), "{text}");
            }
        }
        for kind in faults::kinds() {
            assert!(explained(kind.name).is_ok(), "{}", kind.name);
        }
        // A word of one kind is not one of another.
        assert!(explained("layer recovered").is_err());
        assert!(explained("verdict safe-mode").is_err());
    }

    /// The README and this command say the same of verdicts and exit codes.
    #[test]
    fn the_readme_says_the_same() {
        let readme = include_str!("../../../../../README.md");
        for (kind, words) in all() {
            if !["verdicts", "exit codes"].contains(&kind) {
                continue;
            }
            for name in words {
                let title = word(name).unwrap().title;
                let (_, means) = title.split_once("; ").unwrap();
                let cell = if kind == "verdicts" { format!("`{name}`") } else { name.to_owned() };
                let line = format!("| {cell} | {means}");
                assert!(readme.contains(&line), "{line}");
            }
        }
    }
}
