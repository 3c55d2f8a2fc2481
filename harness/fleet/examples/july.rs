//! How long the simulation takes, and how much memory: `cargo run --release -p fleet --example july -- [THREADS]`.

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let rollout = fleet::preset("july-2024")?;
    for plan in &rollout.plan {
        let choice = fleet::Choice {
            plan: plan.name.clone(),
            fault: Some(rollout.fault[0].name.clone()),
            seed: rollout.seed,
            threads,
        };
        let began = Instant::now();
        let played = fleet::simulate(&rollout, &choice)?;
        println!(
            "{}: {} machines, {threads} threads: {:.1} s, {:.1} bytes a machine, {} broken",
            plan.name,
            played.outcome.machines,
            began.elapsed().as_secs_f64(),
            played.bytes as f64 / played.outcome.machines as f64,
            played.outcome.broke,
        );
    }
    Ok(())
}
