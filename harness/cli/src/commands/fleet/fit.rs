//! `loopbreak fleet fit`: what recorded runs were measured to take, for a rollout file.

use std::collections::BTreeMap;

use clap::Args;
use engine::replay;
use fleet::{binomial_interval, fit};
use timeline::{BootKind, Derived, Micros, Phase, Verdict};
use winfmt::escaped;
use words::Span;

use crate::args::Global;
use crate::commands::runs::open;
use crate::exit::{Exit, usage};
use crate::output::{print, tell};

/// Confidence of all intervals.
const CONFIDENCE: f64 = 0.95;

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    /// Runs of one scenario on one image, the more the better
    ///
    /// Each a run's name, part of it, its directory, or `latest`. `loopbreak run --times` makes many.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
}

pub(crate) fn run(global: &Global, args: &FitArgs) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for name in &args.runs {
        let run = open(global, name)?;
        let replayed = replay(&run).map_err(usage)?;
        if replayed.derived.outcome.verdict == Verdict::Infrastructure {
            tell(format!("note: {} says nothing about the machine, and is left out", run.name()));
        } else {
            all.push(replayed.derived);
        }
    }
    print(&text(&all))?;
    Ok(Exit::AsExpected)
}

/// Durations of one kind.
struct Durations {
    name: &'static str,
    about: &'static str,
    observed: Vec<Span>,
}

fn durations(runs: &[Derived]) -> [Durations; 4] {
    let of = |name, about, observed: Vec<Micros>| Durations {
        name,
        about,
        observed: observed.iter().map(|it| Span::from_millis(it.get() / 1000)).collect(),
    };
    // A boot and its measurements have the same place in their lists. What was restored from a checkpoint did not
    // start, so how long it was there says nothing about a start.
    let boots = || {
        let all =
            runs.iter().flat_map(|run| run.timeline.boots.iter().zip(&run.measurements.boots));
        all.filter(|(boot, _)| boot.phases.first().is_some_and(|it| it.phase == Phase::Firmware))
    };
    let took = |wanted: &dyn Fn(&timeline::Boot) -> bool| {
        boots().filter(|(boot, _)| wanted(boot)).filter_map(|(_, it)| it.duration_us).collect()
    };
    [
        // A start in which the fault was put in place lasted as long as the scenario waited.
        of(
            "failed start",
            "from power-on or reset to its end",
            took(&|boot| boot.failed() && boot.began_after_all_faults),
        ),
        of(
            "recovery start",
            "of the recovery environment, to its end",
            took(&|boot| boot.kind() == BootKind::Recovery),
        ),
        of(
            "healthy start",
            "from power-on or reset to healthy",
            boots().filter_map(|(_, it)| it.to_healthy_us).collect(),
        ),
        of(
            "outage",
            "from the fault to healthy",
            runs.iter().filter_map(|run| run.measurements.outage_us).collect(),
        ),
    ]
}

fn text(runs: &[Derived]) -> String {
    let mut text = format!("# {} runs\n", runs.len());
    let about: BTreeMap<(&str, &str, bool, u32), usize> =
        runs.iter().fold(BTreeMap::new(), |mut all, run| {
            let (image, outcome) = (&run.outcome.image, &run.outcome);
            let key = (&*outcome.scenario, &*image.name, image.is_model, outcome.time_scale);
            *all.entry(key).or_default() += 1;
            all
        });
    for ((scenario, image, is_model, scale), times) in about {
        text.push_str(&format!("# {times} of {} on {}\n", escaped(scenario), escaped(image)));
        if is_model {
            text.push_str(
                "#   a model: these durations and shares are its own, not those of Windows\n",
            );
        }
        if scale != 1 {
            text.push_str(&format!("#   documented waiting passed {scale} times faster there\n"));
        }
    }
    for it in durations(runs) {
        text.push_str(&format!("\n# {}: {}\n", it.name, it.about));
        match fit(&it.observed, CONFIDENCE, 1) {
            Ok(fit) => {
                let all: Vec<String> = it.observed.iter().map(|it| format!("\"{it}\"")).collect();
                text.push_str(&format!(
                    "# {} observed; mean {:.1} s ({:.1} to {:.1}), median {:.1} s ({:.1} to {:.1}), by bootstrap at \
                     95 %; nothing above {:.1} s will be drawn\n{{ observed = [{}] }}\n",
                    fit.observations,
                    fit.mean.value,
                    fit.mean.from,
                    fit.mean.to,
                    fit.median.value,
                    fit.median.from,
                    fit.median.to,
                    fit.longest,
                    all.join(", ")
                ));
            }
            Err(error) => text.push_str(&format!("# {error}\n")),
        }
    }
    text.push_str(&format!(
        "\n# starts that went well after the fault, before the one that failed\n{}\n",
        starts(runs)
    ));
    // A machine that was never broken was brought back by nobody.
    let broken: Vec<&Derived> = runs
        .iter()
        .filter(|run| run.timeline.boots.iter().any(|boot| boot.after_fault && boot.failed()))
        .collect();
    text.push_str(&format!(
        "\n# broken by the fault, with exact intervals at 95 %\n{}",
        share("machines", broken.len(), runs.len())
    ));
    text.push_str("\n# of these, brought back by\n");
    let mut by = BTreeMap::<&str, usize>::new();
    for run in &broken {
        let layer = run.outcome.brought_back_by.map_or("nothing", |layer| layer.name());
        *by.entry(layer).or_default() += 1;
    }
    for (layer, times) in by {
        text.push_str(&share(layer, times, broken.len()));
    }
    text
}

fn share(what: &str, times: usize, of: usize) -> String {
    let share = binomial_interval(times as u64, of as u64, CONFIDENCE);
    format!(
        "# {what}: {times} of {of}, {:.2} ({:.2} to {:.2})\n",
        share.value, share.from, share.to
    )
}

/// Of the runs in which a start failed: good starts between the fault and that one. A start in which the fault was put
/// in place is none, and one that a layer made is not the machine's own.
fn starts(runs: &[Derived]) -> String {
    let counts = runs.iter().filter_map(|run| {
        let boots = &run.timeline.boots;
        let failed = boots.iter().position(|boot| boot.after_fault && boot.failed())?;
        let good = boots[..failed].iter().filter(|boot| {
            boot.began_after_all_faults && boot.is_healthy() && boot.during.is_none()
        });
        Some(good.count().to_string())
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() {
        return "# no start failed".to_owned();
    }
    format!("good-starts = [{}]", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::path::Path;

    /// A recorded run of the library.
    fn recorded(name: &str) -> Derived {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/recordings");
        let file = fs_err::File::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
        let mut events = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut events).unwrap();
        timeline::derive(&timeline::read_events(&events).unwrap().events)
    }

    #[test]
    fn what_is_printed_is_what_the_runs_were_measured_to_take() {
        let runs = ["channel-file-291", "channel-file-291-late-network.automatic-repair"];
        let runs = runs.map(recorded);
        let text = text(&runs);
        assert!(text.contains("a model: these durations and shares are its own"), "{text}");
        assert!(text.contains("# quick-machine-recovery: 1 of 2, 0.50 (0.01 to 0.99)"), "{text}");
        assert!(text.contains("# machines: 2 of 2, 1.00 (0.16 to 1.00)"), "{text}");
        let failed: usize = runs
            .iter()
            .flat_map(|run| &run.timeline.boots)
            .filter(|boot| boot.failed() && boot.began_after_all_faults)
            .count();
        assert!(failed >= 3 && text.contains(&format!("# {failed} observed; mean")), "{text}");
        assert!(!text.contains("\"0s\""), "what was restored did not start: {text}");
        // Each line that is no comment can be put into a rollout file.
        let values = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut read = 0;
        for line in values {
            let key =
                if line.starts_with('{') { format!("value = {line}") } else { line.to_owned() };
            let table: toml::Table = key.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            let value = table.into_iter().next().unwrap();
            if value.0 == "value" {
                let parsed: fleet::Distribution = value.1.try_into().unwrap();
                assert!(matches!(parsed, fleet::Distribution::Observed(all) if all.len() >= 2));
            } else {
                assert_eq!(value.0, "good-starts");
                assert_eq!(value.1.as_array().unwrap().len(), 2, "a start failed in both");
            }
            read += 1;
        }
        assert!(read >= 3, "{text}");
    }
}
