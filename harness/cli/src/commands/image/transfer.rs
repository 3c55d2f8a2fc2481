//! Long pieces of work: a bar on a terminal, a line now and then elsewhere, and an end by a signal.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use disk::{Progress, Watch};
use engine::Interrupt;
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::Exit;
use crate::output::tell;
use crate::signals;

/// Without a terminal, the time between two lines. What is over sooner says nothing.
const LINE: Duration = Duration::from_secs(5);

/// What a second signal says.
const AT_ONCE: &str = "stopped at once; unfinished files may have been left behind, `loopbreak image gc` removes them";

/// One command's long work.
pub(super) struct Transfer {
    interrupt: Interrupt,
    shown: RefCell<Shown>,
    // Its thread waits for signals.
    _runtime: tokio::runtime::Runtime,
}

enum Shown {
    Bar { bar: ProgressBar, doing: &'static str },
    Lines { last: Instant },
}

impl Transfer {
    pub(super) fn new() -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let at_once = || (vec![AT_ONCE.to_owned()], Exit::Leaked);
        let interrupt = runtime.block_on(async { signals::listen(at_once) })?;
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template(
                "{msg:<18} {wide_bar} {binary_bytes:>11} of {binary_total_bytes:<11} {percent:>3} % {eta:>4}",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            Shown::Bar { bar, doing: "" }
        } else {
            Shown::Lines { last: Instant::now() }
        };
        Ok(Self { interrupt, shown: RefCell::new(shown), _runtime: runtime })
    }

    /// Does something that reports how far it is.
    pub(super) fn watch<T, E>(&self, work: impl FnOnce(Watch<'_>) -> Result<T, E>) -> Result<T, E> {
        let result = work(&|progress| {
            self.show(progress);
            match self.interrupt.is_raised() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        if result.is_err() {
            self.done();
        }
        result
    }

    fn show(&self, progress: Progress) {
        match &mut *self.shown.borrow_mut() {
            Shown::Bar { bar, doing } => {
                if *doing != progress.doing {
                    *doing = progress.doing;
                    bar.reset();
                    bar.set_message(progress.doing);
                }
                bar.set_length(progress.total);
                bar.set_position(progress.done);
            }
            Shown::Lines { last } => {
                if last.elapsed() >= LINE && progress.total > 0 {
                    *last = Instant::now();
                    let percent = u128::from(progress.done) * 100 / u128::from(progress.total);
                    tell(format!("{}: {percent} %", progress.doing));
                }
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn done(&self) {
        if let Shown::Bar { bar, .. } = &*self.shown.borrow() {
            bar.finish_and_clear();
        }
    }
}
