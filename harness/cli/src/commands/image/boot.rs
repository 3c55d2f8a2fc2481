//! Which of an image's detectors work: two boots tell.

use winfmt::escaped;

use engine::{DetectorReport, Reliance, StateDir};

use crate::args::Global;
use crate::exit::Exit;
use crate::output::{print, print_json};
use crate::progress::status_sink;
use crate::session::{in_session, marked};

pub(super) fn detectors(
    global: &Global,
    state: StateDir,
    image: &str,
    as_json: bool,
) -> anyhow::Result<Exit> {
    in_session(global, state, async |session, _| {
        let report = session.detectors(image, status_sink(false)).await.map_err(marked)?;
        if as_json {
            print_json(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        } else {
            print(&page(&report)?)?;
        }
        let works = report.detectors.iter().all(|one| one.reliance == Reliance::Works);
        Ok(if works { Exit::AsExpected } else { Exit::Differs })
    })
}

fn page(report: &DetectorReport) -> anyhow::Result<String> {
    let mut page =
        format!("{:<14}{:<14}{:<16}{}\n", "DETECTOR", "RELIANCE", "WITH A STOP", "WITHOUT");
    let said = |yes: bool| if yes { "seen" } else { "not seen" };
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    for one in &report.detectors {
        page += &format!(
            "{:<14}{:<14}{:<16}{}\n",
            word(serde_json::to_value(one.detector)?),
            word(serde_json::to_value(one.reliance)?),
            said(one.in_positive),
            said(one.in_negative),
        );
    }
    let [positive, negative] = &report.because;
    page += &format!("with a stop   run {}: {}\n", report.positive_run, escaped(positive));
    page += &format!("without       run {}: {}\n", report.negative_run, escaped(negative));
    Ok(page)
}
