//! Drivers, packages and updates: from a scenario's folder to a disk and back.

use std::path::Path;

use faults::signing::Authority;
use faults::{
    HiveName, Offline, RegistryValue, StageError, VolumeRole, inert_control, stage, stage_signed,
};
use scenario::Scenario;

use crate::disk::Disk;
use crate::trust;

const DRIVERS: &str = r#"
[[fault]]
name = "null"
kind = "driver"
driver = "null-read.sys"
defect = "null-read"
service = { start = "boot", error-control = "critical", group = "Base" }

[[fault]]
name = "stop"
kind = "driver"
driver = "stop.sys"
defect = { bug-check = { code = 0xef, parameters = ["0xffff840500000074", "1"] } }
trigger = { session = { seconds = 2 } }
only-on-boot = 2
service = { name = "Stop" }

[[fault]]
name = "gone"
kind = "driver"
driver = "gone.sys"
defect = "missing-file"
service = { error-control = "severe" }

[[fault]]
name = "mine"
kind = "driver-file"
file = "files/mine.sys"
service = { start = "auto", error-control = "ignore" }

[[fault]]
name = "package"
kind = "driver-package"
inf = "package/filter.inf"

[[fault]]
name = "update"
kind = "update"
folder = "update"
to = 'C:\Program Files\Sensor'
"#;

pub(crate) const INF: &str = "[Version]\nSignature=\"$Windows NT$\"\n[DestinationDirs]\nDefaultDestDir=12\n\
    [DefaultInstall]\nCopyFiles=@filter.sys\nAddReg=R\n[DefaultInstall.Services]\n\
    AddService=filter,,S\n[S]\nServiceType=1\nStartType=3\nErrorControl=1\n\
    ServiceBinary=%12%\\filter.sys\n[R]\n\
    HKLM,System\\CurrentControlSet\\Control\\Class\\{c},UpperFilters,0x10008,filter\n";

/// The main scenario with these faults instead of its own, in a folder with files.
fn folder(faults: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("channel-file-291");
    let original = include_str!("../../../scenario/tests/channel-file-291.toml");
    let (before, rest) = original.split_once("[[fault]]").unwrap();
    let (_, after) = rest.split_once("[[canary]]").unwrap();
    let text = format!("{before}{faults}\n[[canary]]{after}")
        .replace("start = \"checkpoint\"", "start = \"cold\"");
    for (name, bytes) in [
        ("scenario.toml", text.as_bytes()),
        ("files/mine.sys", b"MZ my own"),
        ("package/filter.inf", INF.as_bytes()),
        ("package/filter.sys", b"MZ filter"),
        ("update/agent.exe", b"agent"),
        ("update/data/rules.bin", b"rules"),
    ] {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Scenario {
    Scenario::load(&folder.path().join("channel-file-291"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn drivers() -> Scenario {
    load(&folder(DRIVERS))
}

fn file(disk: &mut Disk, path: &str) -> Option<Vec<u8>> {
    disk.read_file(VolumeRole::Windows, path).unwrap().map(|(bytes, _)| bytes)
}

fn value(disk: &mut Disk, key: &str, name: &str) -> Option<RegistryValue> {
    disk.read_value(HiveName::System, &format!("CurrentControlSet\\{key}"), name).unwrap()
}

#[test]
fn everything_lands_where_it_should_and_is_undone() {
    let mut before = Disk::with_windows();
    let list = |text: &str| {
        let bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        RegistryValue::Other(7, bytes)
    };
    let filters = faults::Edit::SetValue {
        hive: HiveName::System,
        key: "CurrentControlSet\\Control\\Class\\{c}".to_owned(),
        name: "UpperFilters".to_owned(),
        value: list("PartMgr\0\0"),
    };
    before.edit(&filters).unwrap();
    let mut disk = before.clone();
    let scenario = drivers();
    let applied = stage(&scenario, &trust()).unwrap().apply(&mut disk).unwrap();

    let image = file(&mut disk, "Windows\\System32\\drivers\\null-read.sys").unwrap();
    assert!(image.starts_with(b"MZ"));
    let number = |number| Some(RegistryValue::Dword(number));
    assert_eq!(value(&mut disk, "Services\\null-read", "Start"), number(0));
    assert_eq!(value(&mut disk, "Services\\null-read", "ErrorControl"), number(3));
    let group = value(&mut disk, "Services\\null-read", "Group");
    assert_eq!(group, Some(RegistryValue::Text("Base".to_owned())));
    let path = value(&mut disk, "Services\\Stop", "ImagePath");
    let expected = RegistryValue::ExpandText("system32\\drivers\\stop.sys".to_owned());
    assert_eq!(path, Some(expected));
    assert_eq!(value(&mut disk, "Services\\gone", "ErrorControl"), number(2));
    assert_eq!(file(&mut disk, "Windows\\System32\\drivers\\gone.sys"), None);
    let mine = file(&mut disk, "Windows\\System32\\drivers\\mine.sys");
    assert_eq!(mine.as_deref(), Some(&b"MZ my own"[..]));
    assert_eq!(value(&mut disk, "Services\\mine", "Start"), number(2));
    let filter = file(&mut disk, "Windows\\System32\\drivers\\filter.sys");
    assert_eq!(filter.as_deref(), Some(&b"MZ filter"[..]));
    let filters = value(&mut disk, "Control\\Class\\{c}", "UpperFilters");
    assert_eq!(filters, Some(list("PartMgr\0filter\0\0")));
    let rules = file(&mut disk, "Program Files\\Sensor\\data\\rules.bin");
    assert_eq!(rules.as_deref(), Some(&b"rules"[..]));
    let names: Vec<String> = applied.landed.iter().map(|(origin, _)| origin.to_string()).collect();
    for name in ["null", "stop", "gone", "mine", "package", "update"] {
        assert!(names.iter().any(|landed| landed == name), "{name} has no proof");
    }
    for edit in &applied.undo {
        disk.edit(edit).unwrap_or_else(|error| panic!("{}: {error}", edit.object()));
    }
    assert_eq!(disk, before);
}

#[test]
fn inert_controls_go_the_same_way() {
    let scenario = drivers();
    let (mut armed, mut inert) = (Disk::with_windows(), Disk::with_windows());
    stage(&scenario, &trust()).unwrap().apply(&mut armed).unwrap();
    stage(&inert_control(&scenario), &trust()).unwrap().apply(&mut inert).unwrap();
    for name in ["null-read.sys", "stop.sys", "mine.sys", "filter.sys"] {
        let path = format!("Windows\\System32\\drivers\\{name}");
        let (armed, inert) = (file(&mut armed, &path).unwrap(), file(&mut inert, &path).unwrap());
        assert_ne!(armed, inert, "{name}");
        assert!(inert.starts_with(b"MZ") && inert.len() > 1000, "{name}");
    }
    assert!(file(&mut inert, "Windows\\System32\\drivers\\gone.sys").is_some());
    assert!(file(&mut inert, "Program Files\\Sensor\\agent.exe").is_none());
    assert!(file(&mut inert, "Windows\\Temp\\update-inert\\agent.exe").is_some());
    for service in ["null-read", "Stop", "gone", "mine", "filter"] {
        for name in ["Start", "ErrorControl", "ImagePath"] {
            let key = format!("Services\\{service}");
            assert_eq!(value(&mut armed, &key, name), value(&mut inert, &key, name), "{service}");
        }
    }
}

#[test]
fn an_update_may_come_through_the_agent() {
    let later = DRIVERS.replace("folder = \"update\"", "folder = \"update\"\nwhen = \"healthy\"");
    let plan = stage(&load(&folder(&later)), &trust()).unwrap();
    let paths: Vec<&str> = plan
        .online
        .iter()
        .map(|online| match online {
            faults::Online::Write(write) => write.path.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected =
        ["C:\\Program Files\\Sensor\\agent.exe", "C:\\Program Files\\Sensor\\data\\rules.bin"];
    assert_eq!(paths, expected);
}

#[test]
fn a_signed_driver_brings_its_authority_along() {
    let signed = DRIVERS
        .replace("defect = \"null-read\"", "defect = \"null-read\"\nsignature = \"trusted\"");
    let scenario = load(&folder(&signed));
    let error = stage(&scenario, &trust()).unwrap_err();
    assert!(matches!(&error, StageError::NoAuthority { fault } if fault == "null"), "{error}");
    let authority = Authority::create().unwrap();
    let mut disk = Disk::with_windows();
    let plan = stage_signed(&scenario, &trust(), Some(&authority), None).unwrap();
    plan.apply(&mut disk).unwrap();
    let image = file(&mut disk, "Windows\\System32\\drivers\\null-read.sys").unwrap();
    let signed = object::read::pe::PeFile64::parse(&*image).unwrap();
    let table = signed.data_directories().get(object::pe::IMAGE_DIRECTORY_ENTRY_SECURITY).unwrap();
    assert!(table.size.get(object::LittleEndian) > 1000);
    for (store, der) in [("ROOT", authority.root()), ("TrustedPublisher", authority.signer())] {
        let key = format!(
            "Microsoft\\SystemCertificates\\{store}\\Certificates\\{}",
            winfmt::certificates::thumbprint(der)
        );
        let Some(RegistryValue::Binary(blob)) =
            disk.read_value(HiveName::Software, &key, "Blob").unwrap()
        else {
            panic!("no certificate at {key}");
        };
        assert_eq!(winfmt::certificates::decode(&blob).unwrap(), der);
    }
}

#[test]
fn what_cannot_work_is_refused_with_its_place() {
    let problem = |replace: &str, by: &str| {
        assert_eq!(DRIVERS.matches(replace).count(), 1, "{replace}");
        let folder = folder(&DRIVERS.replace(replace, by));
        let path: &Path = &folder.path().join("channel-file-291");
        Scenario::load(path).unwrap_err().to_string()
    };
    for (replace, by, what) in [
        ("defect = \"null-read\"", "defect = \"null-raed\"", "did you mean `null-read`?"),
        ("code = 0xef", "code = 0xef, cod = 1", "unknown key `cod`"),
        ("[\"0xffff840500000074\", \"1\"]", "[\"x\"]", "is not a number of 64 bits"),
        ("{ session = { seconds = 2 } }", "\"entry\"", "cannot count its starts"),
        (
            "defect = \"missing-file\"",
            "defect = \"missing-file\"\ntrigger = { timer = { seconds = 1 } }",
            "acts whenever",
        ),
        (
            "defect = \"missing-file\"",
            "defect = \"missing-file\"\nsignature = \"trusted\"",
            "has no signature",
        ),
        (
            "defect = \"missing-file\"",
            "defect = \"missing-file\"\nwhen = \"healthy\"",
            "while the machine runs",
        ),
        (
            "file = \"files/mine.sys\"",
            "file = \"files/other.sys\"",
            "there is no `files/other.sys`",
        ),
        ("inf = \"package/filter.inf\"", "inf = \"filter.inf\"", "a folder of its own"),
        ("folder = \"update\"", "folder = \"../update\"", "does not stay"),
        ("driver = \"stop.sys\"", "driver = \"stop.exe\"", "cannot be a driver's file name"),
    ] {
        let shown = problem(replace, by);
        assert!(shown.contains(what), "{by}: {shown}");
    }
}
