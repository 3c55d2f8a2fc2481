//! Quick Machine Recovery: Startup Repair that asks the update service for a remediation.

/// The two switches of Quick Machine Recovery (windows-facts.md, section 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switches {
    /// `CloudRemediation`.
    pub cloud: bool,
    /// `AutoRemediation`.
    pub automatic: bool,
}

/// What a machine with these switches does once it is in the recovery environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// Asks the update service, again and again for the total waiting time, and restarts by itself.
    Unattended,
    /// Asks only when a person presses on through the recovery environment.
    NeedsPerson,
    /// Never asks: the update service must see no request.
    LocalOnly,
}

impl Switches {
    /// What to expect, by Microsoft's documentation (windows-facts.md, section 1.1: cloud remediation
    /// off leaves only the local Startup Repair; automatic remediation off needs a person).
    pub fn conduct(self) -> Conduct {
        match (self.cloud, self.automatic) {
            (true, true) => Conduct::Unattended,
            (true, false) => Conduct::NeedsPerson,
            (false, _) => Conduct::LocalOnly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_both_switches_make_it_unattended() {
        let conduct = |cloud, automatic| Switches { cloud, automatic }.conduct();
        assert_eq!(conduct(true, true), Conduct::Unattended);
        assert_eq!(conduct(true, false), Conduct::NeedsPerson);
        assert_eq!(conduct(false, true), Conduct::LocalOnly);
        assert_eq!(conduct(false, false), Conduct::LocalOnly);
    }
}
