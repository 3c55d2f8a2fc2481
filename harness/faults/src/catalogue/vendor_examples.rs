//! What vendors bring along, and a service that helps: examples with files beside them.

use scenario::{ChannelFile, Defect};

use super::Example;
use crate::content::channel_file;
use crate::driver::{self, DriverError, DriverKind, FaultyDriverOptions};

/// The files of the vendor's package and of the driver alone.
const DRIVER: &str = "lbvendor.sys";
/// The package.
const INF: &str = "package/lbvendor.inf";
/// Content whose 21st field is a pattern.
const CONTENT: &str = "update/C-00000291-00000000-00000032.sys";

pub(super) const DRIVER_FILE: &[Example] = &[Example {
    name: "driver-file-null-read",
    machine: "",
    scenario: r#"[[fault]]
name = "vendor-driver"
kind = "driver-file"
file = "lbvendor.sys"
service = { start = "system" }

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7e, module = "lbvendor.sys" }
"#,
    consequence: "0x7E in the vendor's driver at every start",
}];

pub(super) const DRIVER_PACKAGE: &[Example] = &[Example {
    name: "driver-package-null-read",
    machine: "",
    scenario: r#"[[fault]]
name = "vendor-package"
kind = "driver-package"
inf = "package/lbvendor.inf"

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x7e, module = "lbvendor.sys" }
"#,
    consequence: "0x7E in the package's driver at every start",
}];

pub(super) const UPDATE: &[Example] = &[Example {
    name: "update-content",
    machine: "",
    scenario: r#"[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'

[[fault]]
name = "content-update"
kind = "update"
folder = "update"
to = 'C:\Windows\System32\drivers\CrowdStrike'

[expect]
verdict = "stuck-in-recovery"
stop = { bug-check = 0x50, module = "csagent.sys" }
"#,
    consequence: "0x50 in the driver that reads the updated content, at every start",
}];

pub(super) const CONTENT_UPDATER: &[Example] = &[Example {
    name: "content-updater-wins",
    machine: "",
    scenario: r#"[[given]]
name = "sensor"
kind = "content-driver"
driver = "csagent.sys"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'
trigger = { session = { seconds = 5 } }

[[given]]
name = "updater"
kind = "content-updater"
content-folder = 'C:\Windows\System32\drivers\CrowdStrike'

[content-service]
file = "C-00000291-00000000-00000033.sys"
content = { channel-file = { fields = 21 } }

[[fault]]
name = "bad-content"
kind = "content-file"
path = 'C:\Windows\System32\drivers\CrowdStrike\C-00000291-00000000-00000032.sys'
content = { channel-file = { fields = 21, patterns = { 21 = '\\.\pipe\*' } } }

[expect]
verdict = "unaffected"
"#,
    consequence: "the updater replaces the content before the driver looks: nothing happens",
}];

/// The files beside an example's scenario, by their path from there.
pub(super) fn files(example: &str) -> Result<Vec<(&'static str, Vec<u8>)>, DriverError> {
    let faulty = || {
        let options = FaultyDriverOptions {
            file_name: DRIVER.to_owned(),
            ..FaultyDriverOptions::new(Defect::NullRead)
        };
        driver::build(&DriverKind::Faulty(options))
    };
    Ok(match example {
        "driver-file-null-read" => vec![(DRIVER, faulty()?)],
        "driver-package-null-read" => {
            vec![(INF, PACKAGE.as_bytes().to_vec()), ("package/lbvendor.sys", faulty()?)]
        }
        "update-content" => {
            let patterns = [("21".to_owned(), r"\\.\pipe\*".to_owned())].into();
            vec![(CONTENT, channel_file(&ChannelFile { fields: 21, patterns, damage: None }))]
        }
        _ => Vec::new(),
    })
}

const PACKAGE: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\n\
[DestinationDirs]\r\nDefaultDestDir=12\r\n\
[DefaultInstall]\r\nCopyFiles=@lbvendor.sys\r\n\
[DefaultInstall.Services]\r\nAddService=lbvendor,,Install\r\n\
[Install]\r\nServiceType=1\r\nStartType=1\r\nErrorControl=1\r\nServiceBinary=%12%\\lbvendor.sys\r\n";
