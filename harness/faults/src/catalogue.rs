//! The kinds of faults, for people: `loopbreak fault list` and `loopbreak fault explain KIND`.

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// As it is written in a scenario.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// What it is, and after what.
    pub what: &'static str,
    /// How it lands and what proves it.
    pub lands: &'static str,
    /// How it is undone.
    pub undone: &'static str,
    /// What the inert control does instead.
    pub inert: &'static str,
}

const KINDS: [KindInfo; 2] = [
    KindInfo {
        name: "content-driver",
        title: "a kernel driver that interprets content files without checking how many inputs it has",
        what: "A real x86-64 driver, made by loopbreak, with its service. It interprets every file of \
               its pattern in its content folder while the system starts, and again when the folder \
               changes. A file that declares a 21st field with a pattern makes it read past its 20 \
               inputs and use what lies there as an address: stop 0x50 that blames the driver. After \
               channel file 291 of 19 July 2024; harmless without such a file.",
        lands: "Offline: the driver in C:\\Windows\\System32\\drivers and its service key in the SYSTEM \
                hive. Both are read back from the disk: size and digest of the file, every value.",
        undone: "The key and the file are removed, or what was there before is put back.",
        inert: "The same driver: it does nothing by itself.",
    },
    KindInfo {
        name: "content-file",
        title: "a file that a driver or program on the machine reads",
        what: "A channel file in loopbreak's own stand-in format (how many fields it declares, which \
               of them hold a pattern, damage to the file itself), a text, or a file beside the \
               scenario.",
        lands: "Staged: written to the disk before power-on, read back from it. Healthy: written \
                through the guest agent while the machine is up and read back through it, unless the \
                machine stops first; then the file is read from the disk after the run.",
        undone: "The file is removed, or what was there before is put back.",
        inert: "The same file where the fields that the driver has no input for are wildcards; an \
                empty file in place of a text.",
    },
];

/// All kinds, in the order in which to list them.
pub fn kinds() -> &'static [KindInfo] {
    &KINDS
}

/// A kind by its name.
pub fn explain(name: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_scenario_schema_is_explained() {
        let schema = scenario::schema();
        let variants = schema["$defs"]["Fault"]["oneOf"].as_array().unwrap();
        let names: Vec<&str> = variants
            .iter()
            .map(|variant| variant["properties"]["kind"]["const"].as_str().unwrap())
            .collect();
        assert_eq!(names, kinds().iter().map(|kind| kind.name).collect::<Vec<_>>());
    }
}
