//! Every target over its corpus, and over inputs drawn from a seed: without a fuzzer, in every test run.
use std::path::Path;

use fuzz::TARGETS;

#[test]
fn every_target_survives_its_corpus() {
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            (target.run)(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 0, "{} has no corpus", target.name);
    }
}

#[test]
fn the_seeds_are_those_that_the_code_makes() {
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        for (name, bytes) in (target.seeds)() {
            let kept = std::fs::read(directory.join(format!("seed-{name}"))).unwrap_or_default();
            let what = format!("{}/{name}: run `cargo run -p fuzz --example seeds`", target.name);
            assert!(kept == bytes, "{what}");
        }
    }
}

#[test]
fn every_target_survives_changed_seeds() {
    // xorshift: the same inputs in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap() % below.max(1)
    };
    for target in TARGETS {
        for (_, seed) in (target.seeds)() {
            for _ in 0..60 {
                let mut input = seed.clone();
                for _ in 0..1 + draw(4) {
                    match draw(3) {
                        0 if !input.is_empty() => {
                            let at = draw(input.len());
                            input[at] = u8::try_from(draw(256)).unwrap();
                        }
                        1 if !input.is_empty() => input.truncate(draw(input.len())),
                        _ => input
                            .extend((0..8 + draw(24)).map(|_| u8::try_from(draw(256)).unwrap())),
                    }
                }
                (target.run)(&input);
            }
        }
    }
}
