//! The defects by name: what `--fault` takes and lists show.

use scenario::Defect;

/// Every defect with its usual parameters, in the order in which to list them.
pub fn defects() -> Vec<Defect> {
    vec![
        Defect::NullRead,
        Defect::WildRead(Default::default()),
        Defect::WildWrite(Default::default()),
        Defect::WildExecute(Default::default()),
        Defect::RaisedIrql(Default::default()),
        Defect::BugCheck(Default::default()),
        Defect::DivideError,
        Defect::StackExhaustion,
        Defect::PoolCorruption(Default::default()),
        Defect::Deadlock,
        Defect::EndlessLoop(Default::default()),
        Defect::SlowStart(Default::default()),
        Defect::FailureStatus(Default::default()),
        Defect::MissingImport(Default::default()),
        Defect::WrongMachine,
        Defect::BadChecksum,
        Defect::Truncated(Default::default()),
        Defect::MissingFile,
    ]
}

/// The name of a defect, as a scenario writes it.
pub fn name(defect: &Defect) -> &'static str {
    match defect {
        Defect::NullRead => "null-read",
        Defect::WildRead(_) => "wild-read",
        Defect::WildWrite(_) => "wild-write",
        Defect::WildExecute(_) => "wild-execute",
        Defect::RaisedIrql(_) => "raised-irql",
        Defect::BugCheck(_) => "bug-check",
        Defect::DivideError => "divide-error",
        Defect::StackExhaustion => "stack-exhaustion",
        Defect::PoolCorruption(_) => "pool-corruption",
        Defect::Deadlock => "deadlock",
        Defect::EndlessLoop(_) => "endless-loop",
        Defect::SlowStart(_) => "slow-start",
        Defect::FailureStatus(_) => "failure-status",
        Defect::MissingImport(_) => "missing-import",
        Defect::WrongMachine => "wrong-machine",
        Defect::BadChecksum => "bad-checksum",
        Defect::Truncated(_) => "truncated",
        Defect::MissingFile => "missing-file",
    }
}
