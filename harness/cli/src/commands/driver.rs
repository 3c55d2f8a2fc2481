//! `loopbreak driver`.

use faults::driver::{DriverError, DriverKind, build};

use crate::args::DriverCommand;
use crate::exit::{Exit, usage};
use crate::output::print;

pub(crate) fn run(command: &DriverCommand) -> anyhow::Result<Exit> {
    let DriverCommand::Build { fault, name, output } = command;
    let bytes = driver(fault, name).map_err(usage)?;
    fs_err::write(output, &bytes).map_err(usage)?;
    print(&format!("{}: {} bytes\n", output.display(), bytes.len()))?;
    Ok(Exit::AsExpected)
}

fn driver(fault: &str, name: &str) -> Result<Vec<u8>, DriverError> {
    let mut kind = DriverKind::named(fault)?;
    let DriverKind::ContentDriver(options) = &mut kind;
    name.clone_into(&mut options.file_name);
    build(&kind)
}
