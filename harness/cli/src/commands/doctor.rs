//! `loopbreak doctor`.

use hypervisor::{FindingStatus, examine};

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json};
use crate::session::quiet_libvirt;
use winfmt::escaped;

pub(crate) fn run(global: &Global, json: bool) -> anyhow::Result<Exit> {
    let state = engine::StateDir::open(global.state.as_deref()).map_err(usage)?;
    quiet_libvirt(&state);
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir().map_err(infrastructure)?;
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    let findings = runtime.block_on(examine(state.root(), scratch.path()));
    let failed = findings.iter().any(|finding| finding.status == FindingStatus::Failed);
    if json {
        print_json(&(serde_json::to_string_pretty(&findings)? + "\n"))?;
    } else {
        let mut text = String::new();
        for finding in &findings {
            let mark = match finding.status {
                FindingStatus::Ok => "ok",
                FindingStatus::Warning => "warning",
                FindingStatus::Failed => "FAILED",
            };
            text += &format!("{mark:<8}  {:<22} {}\n", finding.id, escaped(&finding.seen));
            if !finding.advice.is_empty() {
                text += &format!("{:<33}-> {}\n", "", finding.advice);
            }
        }
        print(&text)?;
    }
    Ok(if failed { Exit::Infrastructure } else { Exit::AsExpected })
}
