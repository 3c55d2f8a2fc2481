//! Writes the seeds of all corpora. They are made, not collected.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in fuzz::TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&directory)?;
        for (name, bytes) in (target.seeds)() {
            std::fs::write(directory.join(format!("seed-{name}")), bytes)?;
        }
    }
    Ok(())
}
