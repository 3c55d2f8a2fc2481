//! `loopbreak bisect`: which build is the first that breaks, and which of several things break together.

mod answers;
mod certainty;
mod page;
mod search;
mod subject;

use std::sync::Arc;

use clap::{Args, Subcommand};
use disk::Store;
use engine::{Interrupt, RunOptions, RunResult, Session, StateDir};
use words::Verdict;

use self::answers::{Answers, Done};
use self::certainty::{Certainty, answers_of_a_row};
use self::page::{Searched, document};
use self::search::{Found, Question, first_that_breaks, smallest_that_breaks};
use self::subject::Subject;
use super::journal::Journal;
use super::run::{Manner, Target, images, run_targets};
use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};
use crate::progress::status_sink;
use crate::schedule::Known;
use crate::session::{exit_code, in_session, marked};

/// Which search.
#[derive(Debug, Subcommand)]
pub(crate) enum BisectCommand {
    /// Find the first of a row of builds that breaks the machine
    ///
    /// The builds are the variants of a scenario, in the order of its file; or, with --of, files in the place of one driver,
    /// or folders in the place of one driver package or update. Found is where builds begin to break, if all that come
    /// after the first do: a build in between that is good again is not looked for.
    Builds(BuildsArgs),
    /// Find the fewest of a scenario's faults that break the machine together
    ///
    /// Faults are drivers, updates and all else under [[fault]]. The machine has to stay well with harmless copies of
    /// them, or with only those that --keep leaves on it. Of what is found nothing can be left out; there may be other sets like it.
    Faults(FaultsArgs),
}

/// What `bisect builds` takes.
#[derive(Debug, Args)]
pub(crate) struct BuildsArgs {
    /// The scenario, by name or path; with --of, or one variant as `scenario/variant`
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Builds of the fault that --of names, the oldest first
    #[arg(value_name = "BUILD", requires = "of")]
    builds: Vec<std::path::PathBuf>,
    /// Which fault of the scenario the builds take the place of
    #[arg(long, value_name = "NAME", requires = "builds")]
    of: Option<String>,
    #[command(flatten)]
    search: SearchArgs,
}

/// What `bisect faults` takes.
#[derive(Debug, Args)]
pub(crate) struct FaultsArgs {
    /// The scenario, by name or path, or one variant as `scenario/variant`
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Faults that stay on the machine in every run
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    keep: Vec<String>,
    #[command(flatten)]
    search: SearchArgs,
}

/// How to search.
#[derive(Debug, Args)]
struct SearchArgs {
    /// The verdicts that count as broken, separated by commas
    ///
    /// Without it, all but `unaffected`. What the host or the harness failed counts neither way.
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', value_parser = verdict, hide_possible_values = true)]
    breaks: Vec<Verdict>,
    /// In which share of its runs a break shows at least
    ///
    /// 1 is in each, and then one run of a build is enough. With less, a build counts as good only after so many clean runs
    /// that --confidence is reached.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    rate: f64,
    /// How probable it has to be that what is told is right
    #[arg(long, value_name = "SHARE", default_value_t = 0.95, value_parser = share)]
    confidence: f64,
    /// Try again what the host failed, up to N times
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    retries: u32,
    /// How many machines may run at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: u32,
    /// Run on this image instead of the scenario's own
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Begin anew, even where the same search was interrupted before
    #[arg(long)]
    fresh: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn verdict(text: &str) -> Result<Verdict, String> {
    let known = Verdict::OF_A_MACHINE.into_iter().find(|verdict| verdict.name() == text);
    known.ok_or_else(|| {
        let all: Vec<&str> = Verdict::OF_A_MACHINE.iter().map(|verdict| verdict.name()).collect();
        format!("there are {}", all.join(", "))
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "it is a share, such as 0.95: more than 0, at most 1".to_owned())
}

pub(crate) fn run(global: &Global, command: &BisectCommand) -> anyhow::Result<Exit> {
    let (subject, args) = match command {
        BisectCommand::Builds(args) => {
            let of = args.of.as_deref().map(|of| (of, args.builds.as_slice()));
            (Subject::builds(global, &args.scenario, of)?, &args.search)
        }
        BisectCommand::Faults(args) => {
            (Subject::faults(global, &args.scenario, &args.keep)?, &args.search)
        }
    };
    if args.confidence >= 1.0 && args.rate < 1.0 {
        let what =
            "no number of runs makes it certain: give a --confidence of less than 1, such as 0.95";
        return Err(usage(anyhow::anyhow!(what)));
    }
    let subject = subject.on_image(args.image.as_deref());
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    images(&state, args.image.as_slice())?;
    let digest = Store::open(state.root())
        .and_then(|store| Ok(store.image(subject.image())?.digest))
        .map_err(|error| marked(error.into()))?;
    let breaks = match args.breaks.as_slice() {
        [] => Verdict::OF_A_MACHINE.into_iter().filter(|it| *it != Verdict::Unaffected).collect(),
        named => named.to_vec(),
    };
    let parts = std::iter::once(digest)
        .chain(subject.parts())
        .chain(breaks.iter().map(ToString::to_string));
    let (journal, before) =
        Journal::<Done>::open(&state, "bisect", parts, args.fresh).map_err(infrastructure)?;
    if !before.is_empty() {
        tell(format!(
            "going on with a search that was interrupted: {} runs are done; --fresh begins anew",
            before.len()
        ));
    }
    let certainty = Certainty { rate: args.rate, confidence: args.confidence };
    let answers = match &subject {
        Subject::Builds { .. } => answers_of_a_row(subject.count()),
        Subject::Faults { .. } => subject.count(),
    };
    let clean_runs = certainty.clean_runs(answers);
    let mut search = Search { subject, breaks, clean_runs, answers: Answers::default() };
    before.into_iter().for_each(|done| search.answers.add(done));
    let mut found = None;
    let exit = in_session(global, state, async |session, interrupt| {
        let (end, exit) = search.go(session, interrupt, args, &journal).await?;
        found = end;
        Ok(exit)
    })?;
    let Some(found) = found else {
        tell("what has an answer is kept: the same command goes on from here");
        return Ok(exit);
    };
    let searched = Searched {
        subject: &search.subject,
        found: &found,
        answers: &search.answers,
        certainty,
        clean_runs,
    };
    if args.json {
        print_json(&(serde_json::to_string_pretty(&document(&searched))? + "\n"))?;
    } else {
        print(&searched.page())?;
    }
    // Only now: what is written above may have failed.
    journal.close().map_err(infrastructure)?;
    let own = match found {
        Found::First(_) | Found::Smallest(_) => Exit::AsExpected,
        Found::Nothing | Found::WithoutAny => Exit::Differs,
    };
    Ok(exit.max(own))
}

/// A search under way.
struct Search {
    subject: Subject,
    breaks: Vec<Verdict>,
    clean_runs: u32,
    answers: Answers,
}

impl Search {
    /// What comes next.
    fn step(&self, jobs: u32) -> Result<Found, Vec<Question>> {
        let known = |question: &[usize]| self.answers.known(question, self.clean_runs);
        match &self.subject {
            Subject::Builds { .. } => first_that_breaks(self.subject.count(), known),
            Subject::Faults { .. } => {
                smallest_that_breaks(self.subject.count(), jobs as usize, known)
            }
        }
    }

    /// Runs until something is found, or something speaks against it.
    async fn go(
        &mut self,
        session: &Arc<Session>,
        interrupt: &Interrupt,
        args: &SearchArgs,
        journal: &Journal<Done>,
    ) -> anyhow::Result<(Option<Found>, Exit)> {
        // No reference of a scenario is compared: none of them is what is run here.
        let aside = tempfile::tempdir().map_err(infrastructure)?;
        let manner = Manner {
            options: RunOptions::default(),
            jobs: args.jobs,
            retries: args.retries,
            budget: None,
            repeat: None,
            aside: aside.path().to_path_buf(),
        };
        loop {
            let open = match self.step(args.jobs) {
                Ok(found) => return Ok((Some(found), Exit::AsExpected)),
                Err(open) => open,
            };
            let questions = self.answers.next_runs(&open, self.clean_runs, args.jobs);
            let mut targets = Vec::new();
            for (position, question) in questions.iter().enumerate() {
                let scenario = self.subject.scenario(question);
                if let Some(reason) =
                    session.not_applicable(&scenario, &manner.options).await.map_err(marked)?
                {
                    let what = self.subject.called(question);
                    return Err(usage(anyhow::anyhow!("{what} cannot be run: {reason}")));
                }
                let folder = manner.aside.clone();
                let known = Known { changed: true, failed: false, took: None };
                targets.push(Target {
                    scenario,
                    folder,
                    position,
                    listed: None,
                    quarantine: None,
                    known,
                });
            }
            let status = status_sink(false);
            let finished = run_targets(session, &manner, targets, interrupt, status).await;
            let mut exit = Exit::AsExpected;
            for (question, finished) in questions.into_iter().zip(finished) {
                let what = self.subject.called(&question);
                let Some(turn) = finished.turns.into_iter().next() else {
                    tell(format!("error: {what}: it was not run"));
                    exit = exit.max(Exit::Infrastructure);
                    continue;
                };
                match turn.came {
                    Ok(result) if result.summary.verdict != Verdict::Infrastructure => {
                        let done = self.judged(question, &result);
                        let answer = if done.broke { "breaks" } else { "does not break" };
                        tell(format!("{what}: {answer} ({}), {}", done.way(), done.run));
                        journal.add(&done).map_err(infrastructure)?;
                        self.answers.add(done);
                        if result.exit > Exit::Differs {
                            exit = exit.max(result.exit);
                        }
                    }
                    Ok(result) => {
                        tell(format!("error: {what}: {}", result.summary.because));
                        exit = exit.max(Exit::Infrastructure);
                    }
                    Err(error) => {
                        tell(format!("error: {what}: {error}"));
                        exit = exit.max(exit_code(&error));
                    }
                }
            }
            if exit != Exit::AsExpected {
                return Ok((None, exit));
            }
        }
    }

    fn judged(&self, question: Question, result: &RunResult) -> Done {
        let summary = &result.summary;
        let stop = summary.boots.iter().filter(|boot| boot.failed).find_map(|boot| {
            let stop = boot.stop.as_ref()?;
            let code = stop.code.map_or("a stop".to_owned(), |code| format!("0x{:X}", code.0));
            Some(match &stop.module {
                Some(module) => format!("{code} in {}", winfmt::escaped(module)),
                None => code,
            })
        });
        Done {
            question,
            run: summary.run.clone(),
            verdict: summary.verdict,
            stop,
            broke: self.breaks.contains(&summary.verdict),
            is_model: summary.image.is_model,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;
    use crate::commands::run::scripted::Record;

    fn global() -> Global {
        let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scenarios");
        Cli::try_parse_from(["loopbreak", "--scenarios", scenarios, "doctor"]).unwrap().global
    }

    fn search() -> Search {
        let subject = Subject::builds(&global(), "twelve-builds", None).unwrap();
        // What the recording of a machine that stayed in recovery stands for.
        let breaks = vec![Verdict::StuckInRecovery];
        Search { subject, breaks, clean_runs: 1, answers: Answers::default() }
    }

    /// Answers as a machine would, until something is found or so many runs are done. Each answer is in the journal first.
    fn go_on(search: &mut Search, journal: &Journal<Done>, most: usize) -> Option<Found> {
        let record = Record::new();
        let mut runs = 0;
        loop {
            let open = match search.step(1) {
                Ok(found) => return Some(found),
                Err(open) => open,
            };
            for question in search.answers.next_runs(&open, search.clean_runs, 1) {
                if runs == most {
                    return None;
                }
                let is_broken = question[0] >= 7;
                let result = if is_broken {
                    record.other_run(Exit::Differs)
                } else {
                    record.run(Exit::Differs)
                };
                let done = search.judged(question, &result);
                journal.add(&done).unwrap();
                search.answers.add(done);
                runs += 1;
            }
        }
    }

    #[test]
    fn a_search_that_was_interrupted_goes_on_from_its_journal() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(Some(folder.path())).unwrap();
        let open =
            || Journal::<Done>::open(&state, "bisect", search().subject.parts(), false).unwrap();
        let mut first = search();
        let (journal, before) = open();
        assert!(before.is_empty());
        assert_eq!(go_on(&mut first, &journal, 3), None);
        drop(journal);

        let mut again = search();
        let (journal, before) = open();
        assert_eq!(before.len(), 3);
        before.into_iter().for_each(|done| again.answers.add(done));
        assert_eq!(go_on(&mut again, &journal, usize::MAX), Some(Found::First(7)));
        // 2 ends, and 4 halvings of 11.
        assert_eq!(again.answers.count(), 6);

        let searched = Searched {
            subject: &again.subject,
            found: &Found::First(7),
            answers: &again.answers,
            certainty: Certainty { rate: 1.0, confidence: 0.95 },
            clean_runs: 1,
        };
        let page = searched.page();
        for part in [
            "twelve-builds on understudy, a model, not Windows: 12 builds",
            "the first that breaks: build-8",
            "how         stuck-in-recovery, 0x50 in csagent.sys",
            "before it   build-7 does not",
            "runs        6",
            "certain, if what breaks the machine breaks it in each run",
            "if it shows in 9 of 10 runs only: 70.0 %, in 5 of 10: 0.0 %",
            "and if every build after the first that breaks does so, too",
            "next        loopbreak diff ",
        ] {
            assert!(page.contains(part), "no `{part}` in\n{page}");
        }
        assert_eq!(document(&searched)["found"], serde_json::json!(["build-8"]));
        journal.close().unwrap();
        assert!(open().1.is_empty());
    }

    #[test]
    fn a_part_of_the_faults_leaves_everything_else_as_it_is() {
        let keep = ["keyboard".to_owned()];
        let subject = Subject::faults(&global(), "seven-drivers", &keep).unwrap();
        assert_eq!(subject.count(), 7);
        let part = subject.scenario(&[3, 6]);
        let names: Vec<&str> = part.fault.iter().map(scenario::Fault::name).collect();
        assert_eq!(names, ["sensor", "content", "keyboard"]);
        assert_eq!(part.name, "seven-drivers/only-sensor-content");
        assert_eq!(subject.called(&[3, 6]), "sensor + content");
        // A run needs something that is in place: with nothing, what is harmless is.
        let whole = Subject::faults(&global(), "seven-drivers", &[]).unwrap();
        let control = whole.scenario(&[]);
        assert_eq!((control.name.as_str(), control.fault.len()), ("seven-drivers/control", 8));
        assert_ne!(control.fault[6], whole.scenario(&[6]).fault[0]);
        assert_eq!(subject.scenario(&[]).fault.len(), 1);
        let unknown = Subject::faults(&global(), "seven-drivers", &["mouse".to_owned()]);
        let told = unknown.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("no fault `mouse`") && told.contains("keyboard"), "{told}");
        let several = Subject::faults(&global(), "twelve-builds", &[]);
        assert!(
            several.err().is_some_and(|error| error.to_string().contains("twelve-builds/build-12"))
        );
    }
}
