//! `loopbreak completions` and `loopbreak man`: what `scripts/install` puts beside the command.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::{Exit, infrastructure};
use crate::output::{print, print_bytes};

const NAME: &str = "loopbreak";

pub(crate) fn completions(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    print_bytes(&script)?;
    Ok(Exit::AsExpected)
}

/// Writes a page for each command into a folder; without one, prints the first page.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<Exit> {
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(infrastructure)?;
        print_bytes(&page)?;
        return Ok(Exit::AsExpected);
    };
    fs_err::create_dir_all(folder).map_err(infrastructure)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(infrastructure)?;
    let count = fs_err::read_dir(folder).map_err(infrastructure)?.count();
    print(&format!("{}: {count} pages\n", folder.display()))?;
    Ok(Exit::AsExpected)
}
