//! `loopbreak settings`.

use crate::exit::Exit;
use crate::output::print;
use crate::settings::DEFAULTS;

pub(crate) fn run() -> anyhow::Result<Exit> {
    print(DEFAULTS)?;
    Ok(Exit::AsExpected)
}
