//! `loopbreak merge`: the results of shards as one.

use std::path::{Path, PathBuf};

use crate::commands::report::Partial;
use crate::exit::{Exit, infrastructure, usage};
use crate::output::print_bytes;

/// Puts files together, all of JSON or all of JUnit, into a file or onto standard output. The exit code is that of one run
/// of the whole.
pub(crate) fn run(files: &[PathBuf], output: Option<&Path>) -> anyhow::Result<Exit> {
    let mut read = Vec::new();
    for file in files {
        let text = fs_err::read_to_string(file).map_err(usage)?;
        read.push((file.display().to_string(), text));
    }
    let is_xml = |text: &str| text.trim_start().starts_with('<');
    let xml = read.iter().filter(|(_, text)| is_xml(text)).count();
    let merged = match xml {
        0 => report::merge_json(&read).map_err(usage)?,
        all if all == read.len() => report::merge_junit(&read).map_err(usage)?,
        _ => {
            let what = "some of these files are JSON, others are JUnit; merge each kind by itself";
            return Err(usage(anyhow::anyhow!(what)));
        }
    };
    match output {
        Some(file) => {
            Partial::beside(file).map_err(usage)?.keep(&merged.text).map_err(infrastructure)?
        }
        None => print_bytes(merged.text.as_bytes())?,
    }
    Ok(Exit::of_code(merged.exit_code))
}
