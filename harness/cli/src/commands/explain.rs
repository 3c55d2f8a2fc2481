//! `loopbreak explain`: what a thing is, from the texts beside its code.

use clap::Subcommand;
use recovery::{LayerInfo, explain_layer};
use timeline::Layer;

use crate::exit::{Exit, usage};
use crate::output::{print, sections};

/// What is explained.
#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Explain a layer of the recovery ladder
    ///
    /// What it does, whose hands it needs, what it needs of the image, how it is set up on Windows, what evidence it
    /// leaves, what it cannot bring back, and where that is from.
    Layer {
        /// The layer, as scenarios and reports write it
        #[arg(value_name = "LAYER")]
        name: String,
    },
}

pub(crate) fn run(command: &ExplainCommand) -> anyhow::Result<Exit> {
    let ExplainCommand::Layer { name } = command;
    print(&explanation(name)?)?;
    Ok(Exit::AsExpected)
}

fn explanation(name: &str) -> anyhow::Result<String> {
    let info = name.parse().ok().and_then(explain_layer).ok_or_else(|| {
        let all: Vec<&str> = Layer::ALL.iter().map(|layer| layer.name()).collect();
        usage(anyhow::anyhow!("no layer is called `{name}`; there are {}", all.join(", ")))
    })?;
    Ok(of_layer(info))
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

    #[test]
    fn every_layer_is_explained_and_another_word_is_answered_with_all() {
        for layer in Layer::ALL {
            let text = explanation(layer.name()).unwrap();
            for label in ["What:", "Touch:", "Needs:", "Set up:", "Shows:", "Limits:", "Sources:"] {
                assert!(text.contains(label), "{layer}: {label}");
            }
            assert!(text.contains(&format!("Touch:   {}", layer.touch())), "{text}");
        }
        let error = explanation("magic").unwrap_err().to_string();
        assert!(Layer::ALL.iter().all(|layer| error.contains(layer.name())), "{error}");
    }
}
