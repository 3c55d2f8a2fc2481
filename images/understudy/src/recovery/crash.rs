//! The crash that brought the machine here, as its dumps tell it.

use serde::{Serialize, Serializer};

/// What the update service is told of the crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CrashSignature {
    /// The bug check.
    pub bug_check: u32,
    /// The module that is blamed, where one is.
    pub module: Option<String>,
    /// The four parameters.
    #[serde(serialize_with = "hex")]
    pub parameters: [u64; 4],
}

fn hex<S: Serializer>(parameters: &[u64; 4], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parameters.iter().map(|parameter| format!("0x{parameter:016x}")))
}

/// The crash of the newest dump on the drive.
pub fn newest(drive: &crate::storage::Drive) -> Option<CrashSignature> {
    let _ = drive;
    None
}

#[cfg(test)]
mod tests {
    use super::CrashSignature;

    #[test]
    fn a_signature_is_sent_as_agreed() {
        let signature = CrashSignature {
            bug_check: 0x50,
            module: Some("csagent.sys".to_owned()),
            parameters: [0xffff_8402_0000_009c, 0, 0xffff_f803_1234_5678, 0],
        };
        assert_eq!(
            serde_json::to_string(&signature).expect("serializes"),
            "{\"bugCheck\":80,\"module\":\"csagent.sys\",\"parameters\":[\"0xffff84020000009c\",\
             \"0x0000000000000000\",\"0xfffff80312345678\",\"0x0000000000000000\"]}"
        );
    }
}
