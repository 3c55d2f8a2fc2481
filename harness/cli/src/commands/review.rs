//! `loopbreak review`: pending outcomes, one after the other.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use engine::{RunDir, StateDir, recorded_case};
use report::{Came, Style};
use winfmt::escaped;

use crate::args::Global;
use crate::choice::Choice;
use crate::commands::pending::{self, Pending, words};
use crate::commands::run::style;
use crate::exit::{Exit, usage};
use crate::output::{print, print_styled, tell};

pub(crate) fn run(global: &Global, choice: &Choice) -> anyhow::Result<Exit> {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let exit = pending::list(global, choice, false)?;
        tell(
            "there is no terminal to ask; `loopbreak accept SCENARIO` or `reject SCENARIO` decides",
        );
        return Ok(exit);
    }
    let filter = choice.parse()?;
    let all = pending::all(global, filter.as_ref())?;
    if all.is_empty() {
        tell("nothing is pending");
    }
    let style = style(global);
    let count = all.len();
    for (index, one) in all.iter().enumerate() {
        print_styled(&page(one, index + 1, count, style), style)?;
        loop {
            print("accept, reject, skip, picture of the stop, quit? [a/r/s/p/q] ")?;
            std::io::stdout().flush()?;
            match answer()? {
                Answer::Accept => {
                    report::accept(std::slice::from_ref(&one.waiting.pending)).map_err(usage)?;
                    print(&format!("accepted {}\n\n", one.waiting.reference.display()))?;
                }
                Answer::Reject => {
                    report::reject(std::slice::from_ref(&one.waiting.pending)).map_err(usage)?;
                    print("rejected; the reference stays\n\n")?;
                }
                Answer::Skip => print("\n")?,
                Answer::Picture => {
                    print(&picture(global, &one.waiting.run))?;
                    continue;
                }
                Answer::Quit => return Ok(Exit::AsExpected),
                Answer::Unclear => continue,
            }
            break;
        }
    }
    Ok(Exit::AsExpected)
}

/// What somebody decides on: words first, the diff below, where to look further.
fn page(one: &Pending, number: usize, count: usize, style: Style) -> String {
    let Pending { scenario, waiting } = one;
    let mut page = format!("{number} of {count}: {}\n", escaped(scenario));
    page.extend(words(waiting).iter().map(|line| format!("  {}\n", escaped(line))));
    if let Some(diff) = waiting.diff.as_ref().filter(|_| !waiting.is_stale) {
        page += "\n";
        page.extend(diff.render(style).lines().map(|line| format!("  {line}\n")));
    }
    page += &format!(
        "\n  reference  {}\n  run        {}; `loopbreak timeline {}` shows it\n\n",
        waiting.reference.display(),
        waiting.run,
        waiting.run
    );
    page
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accept,
    Reject,
    Skip,
    Picture,
    Quit,
    Unclear,
}

fn answer() -> std::io::Result<Answer> {
    let mut line = String::new();
    // The end of the input is no decision.
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(Answer::Quit);
    }
    Ok(meant(&line))
}

fn meant(line: &str) -> Answer {
    match line.trim().to_ascii_lowercase().as_str() {
        "a" | "accept" => Answer::Accept,
        "r" | "reject" => Answer::Reject,
        "s" | "skip" => Answer::Skip,
        "p" | "picture" => Answer::Picture,
        "q" | "quit" => Answer::Quit,
        _ => Answer::Unclear,
    }
}

/// Where the pictures of a run lie.
fn picture(global: &Global, run: &str) -> String {
    let pictures = || -> Option<Vec<PathBuf>> {
        let state = StateDir::open(global.state.as_deref()).ok()?;
        let run = RunDir::find(&state.runs(), run).ok()?;
        match recorded_case(&run).ok()?.came {
            Came::Ran(ran) => Some(ran.pictures.into_iter().map(|picture| picture.path).collect()),
            _ => None,
        }
    };
    match pictures() {
        Some(paths) if !paths.is_empty() => {
            paths.iter().map(|path| format!("  {}\n", path.display())).collect()
        }
        Some(_) => "  the run has no picture of a stop\n".to_owned(),
        None => format!("  the run {run} is no longer recorded here\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, meant};

    #[test]
    fn only_a_clear_answer_decides() {
        assert_eq!(meant("a\n"), Answer::Accept);
        assert_eq!(meant(" Reject \n"), Answer::Reject);
        for unclear in ["\n", "y\n", "ar\n", "accept it\n"] {
            assert_eq!(meant(unclear), Answer::Unclear);
        }
    }
}
