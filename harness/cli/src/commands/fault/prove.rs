//! `loopbreak fault prove`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use engine::{Interrupt, Session, StateDir};
use faults::{Example, KindInfo, kinds};
use report::{Proof, proof_table};
use tokio::sync::Semaphore;

use crate::args::Global;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json, tell};
use crate::progress::status_sink;
use crate::session::{exit_code, in_session, panicked};

#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Kinds or examples, or how their names begin [default: all]
    ///
    /// For example `driver`, `driver-null-read`, `network-`.
    #[arg(value_name = "FAULT")]
    faults: Vec<String>,
    /// The image to prove them on
    #[arg(long, value_name = "IMAGE", default_value = "understudy")]
    image: String,
    /// How many machines may run at once
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Print JSON lines, in the order of the catalogue
    #[arg(long)]
    json: bool,
    /// Write the table to this file as well, in Markdown
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

type Chosen = (&'static KindInfo, &'static Example);

pub(crate) fn run(global: &Global, args: &ProveArgs) -> anyhow::Result<Exit> {
    let chosen = choose(&args.faults)?;
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    in_session(global, state, async |session, interrupt| {
        prove(args, chosen, session, interrupt).await
    })
}

/// The examples that are meant, in the order of the catalogue.
fn choose(names: &[String]) -> anyhow::Result<Vec<Chosen>> {
    let all = || kinds().flat_map(|kind| kind.examples.iter().map(move |example| (kind, example)));
    let means = |name: &str, (kind, example): &Chosen| {
        kind.name == name || example.name == name || example.name.starts_with(name)
    };
    for name in names {
        if !all().any(|chosen| means(name, &chosen)) {
            return Err(usage(anyhow::anyhow!(
                "no fault's name begins with `{name}`; `loopbreak fault list` lists the kinds, \
                 `loopbreak fault explain KIND` their examples"
            )));
        }
    }
    Ok(all()
        .filter(|chosen| names.is_empty() || names.iter().any(|name| means(name, chosen)))
        .collect())
}

async fn prove(
    args: &ProveArgs,
    chosen: Vec<Chosen>,
    session: &Arc<Session>,
    interrupt: &Interrupt,
) -> anyhow::Result<Exit> {
    let slots = Arc::new(Semaphore::new(args.jobs as usize));
    let status = status_sink(false);
    let mut tasks = Vec::new();
    for (kind, example) in chosen {
        let (session, slots, status) =
            (Arc::clone(session), Arc::clone(&slots), Arc::clone(&status));
        let (image, interrupt) = (args.image.clone(), interrupt.clone());
        let task = tokio::spawn(async move {
            let _slot = slots.acquire_owned().await;
            if interrupt.is_raised() {
                return Err(engine::RunError::Interrupted);
            }
            session.prove(kind, example, &image, status).await
        });
        tasks.push((example.name, task));
    }
    let (mut rows, mut exit): (Vec<Proof>, _) = (Vec::new(), Exit::AsExpected);
    let asked = tasks.len();
    for (name, task) in tasks {
        match task.await.unwrap_or_else(panicked) {
            Ok(row) => {
                if args.json {
                    print_json(&(serde_json::to_string(&row)? + "\n"))?;
                }
                exit = exit.max(if row.holds() { Exit::AsExpected } else { Exit::Differs });
                rows.push(row);
            }
            Err(error) => {
                exit = exit.max(exit_code(&error));
                tell(format!("error: {name}: {error}"));
            }
        }
    }
    if rows.len() < asked {
        tell(format!("error: {} of {asked} faults were not proved", asked - rows.len()));
    }
    if rows.is_empty() {
        return Ok(exit);
    }
    let table = proof_table(&rows);
    if !args.json {
        print(&table)?;
    }
    if let Some(path) = &args.output {
        fs_err::write(path, &table).map_err(usage)?;
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_means_its_examples_and_a_name_that_nothing_has_is_refused() {
        let names = |wanted: &[&str]| -> Vec<&str> {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            choose(&wanted).unwrap().iter().map(|(_, example)| example.name).collect()
        };
        let all = names(&[]);
        let drivers = names(&["driver-null"]);
        assert!(drivers.len() < all.len());
        assert!(!drivers.is_empty() && drivers.iter().all(|name| name.starts_with("driver-null")));
        let error = choose(&["nothing".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("`nothing`") && error.contains("fault list"), "{error}");
    }
}
