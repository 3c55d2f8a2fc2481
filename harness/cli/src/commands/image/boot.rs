//! Which of an image's detectors work: two boots tell.

use engine::{DetectorReport, Reliance, Session, SessionOptions, StateDir};

use crate::args::Global;
use crate::commands::run::{on_ctrl_c, quiet_libvirt};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;
use crate::progress::status_sink;

pub(super) fn detectors(
    global: &Global,
    state: StateDir,
    image: &str,
    as_json: bool,
) -> anyhow::Result<Exit> {
    quiet_libvirt(&state);
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    let marked = |error: engine::RunError| {
        if error.is_usage() { usage(error) } else { infrastructure(error) }
    };
    let report = runtime.block_on(async {
        let interrupt = on_ctrl_c(&state);
        let options = SessionOptions { state, connect: global.connect.clone(), interrupt };
        let session = Session::open(options).await.map_err(marked)?;
        let report = session.detectors(image, status_sink()).await.map_err(marked);
        session.close();
        report
    })?;
    print(&if as_json { serde_json::to_string_pretty(&report)? + "\n" } else { page(&report)? })?;
    let works = report.detectors.iter().all(|one| one.reliance == Reliance::Works);
    Ok(if works { Exit::AsExpected } else { Exit::Differs })
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
    page += &format!("with a stop   run {}: {positive}\n", report.positive_run);
    page += &format!("without       run {}: {negative}\n", report.negative_run);
    Ok(page)
}
