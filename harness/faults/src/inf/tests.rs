//! INFs written by hand.

use proptest::prelude::*;
use scenario::Arch;

use super::*;
use crate::plan::{Change, Edit, HiveName, RegistryValue};

const FILTER: &str = r#"; A filter driver as a vendor ships it.
[Version]
Signature   = "$Windows NT$"
Class       = "ActivityMonitor"
ClassGuid   = {b86dff51-a31e-4bac-b3cf-e8cfe75c9fc2}
Provider    = %Company%

[DestinationDirs]
DefaultDestDir  = 12
Sensor.Data     = 12,Sensor

[DefaultInstall.NTamd64]
CopyFiles = Sensor.Files, \
            Sensor.Data
AddReg    = Sensor.Registry

[Sensor.Files]
sensor.sys
renamed.sys,original.sys,,0x4

[Sensor.Data]
rules.bin

[DefaultInstall.NTamd64.Services]
AddService = %Name%,,Sensor.Service

[Sensor.Service]
DisplayName     = %Name%
ServiceType     = 2               ; SERVICE_FILE_SYSTEM_DRIVER
StartType       = 0x1
ErrorControl    = 3
ServiceBinary   = %12%\sensor.sys
LoadOrderGroup  = "FSFilter Activity Monitor"
AddReg          = Sensor.Instances

[Sensor.Instances]
HKR,"Instances","DefaultInstance",0x00000000,"Sensor ""one"""
HKR,"Instances\Sensor","Altitude",0,"320000"
HKR,,"Limits",0x10001,10

[Sensor.Registry]
HKLM,SYSTEM\CurrentControlSet\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318},UpperFilters,0x10008,sensor
HKLM,SOFTWARE\Sensor,Blob,1,de,ad

[Strings]
Company = "100% Example; Inc."
Name    = "Sensor"
"#;

const X64: Target = Target { arch: Arch::X86_64, build: None };

fn parsed(text: &str) -> Inf {
    Inf::parse("package/sensor.inf", text.as_bytes()).unwrap()
}

#[test]
fn a_filter_driver_is_installed_as_its_inf_says() {
    let inf = parsed(FILTER);
    assert_eq!(inf.value("Version", "Provider").unwrap().text, "100% Example; Inc.");
    let found = installation(&inf, None, X64).unwrap();
    let files: Vec<(&str, &str)> =
        found.files.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(
        files,
        [
            ("sensor.sys", "Windows\\System32\\drivers\\sensor.sys"),
            ("original.sys", "Windows\\System32\\drivers\\renamed.sys"),
            ("rules.bin", "Windows\\System32\\drivers\\Sensor\\rules.bin"),
        ]
    );
    assert_eq!(found.services, ["Sensor"]);
    let value = |key: &str, name: &str| {
        let found = found.values.iter().find(|(_, k, n, _, _)| k == key && n == name);
        let (hive, _, _, value, append) = found.unwrap_or_else(|| panic!("no {key}\\{name}"));
        (*hive, value.clone(), *append)
    };
    let service = "CurrentControlSet\\Services\\Sensor";
    let text = |text: &str| RegistryValue::Text(text.to_owned());
    assert_eq!(value(service, "Type"), (HiveName::System, RegistryValue::Dword(2), false));
    assert_eq!(value(service, "Start").1, RegistryValue::Dword(1));
    assert_eq!(value(service, "ErrorControl").1, RegistryValue::Dword(3));
    assert_eq!(value(service, "Group").1, text("FSFilter Activity Monitor"));
    let path = "\\SystemRoot\\System32\\drivers\\sensor.sys".to_owned();
    assert_eq!(value(service, "ImagePath").1, RegistryValue::ExpandText(path));
    assert_eq!(value(service, "Limits").1, RegistryValue::Dword(10));
    let instances = format!("{service}\\Instances");
    assert_eq!(value(&instances, "DefaultInstance").1, text("Sensor \"one\""));
    assert_eq!(value(&format!("{instances}\\Sensor"), "Altitude").1, text("320000"));
    let class = "CurrentControlSet\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}";
    let list = "sensor\0\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let filters = (HiveName::System, RegistryValue::Other(7, list), true);
    assert_eq!(value(class, "UpperFilters"), filters);
    let blob = (HiveName::Software, RegistryValue::Binary(vec![0xde, 0xad]), false);
    assert_eq!(value("Sensor", "Blob"), blob);

    let changes = edits(&found, None, |name| Ok::<_, ()>(name.as_bytes().to_vec())).unwrap();
    let original = changes.iter().any(|change| {
        matches!(change, Change::Edit(Edit::WriteFile { path, bytes, .. })
            if path.ends_with("renamed.sys") && bytes == b"original.sys")
    });
    assert!(original);
}

#[test]
fn the_same_text_in_utf_16_is_the_same_inf() {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(FILTER.encode_utf16().flat_map(u16::to_le_bytes));
    assert_eq!(Inf::parse("package/sensor.inf", &bytes).unwrap(), parsed(FILTER));
}

#[test]
fn models_lead_to_the_install_section_and_decorations_to_the_processor() {
    let text = "[Version]\nSignature=$CHICAGO$\n[Manufacturer]\nM = Models, NTamd64, NTx86\n\
                [Models.NTamd64]\n\"Device\" = Install, PCI\\VEN_1AF4\n[Models.NTx86]\nD = Old, X\n\
                [Install.NT]\nCopyFiles=@a.sys\n[Old]\nCopyFiles=@b.sys\n\
                [DestinationDirs]\nDefaultDestDir=11\n";
    let files =
        |arch| installation(&parsed(text), None, Target { arch, build: None }).unwrap().files;
    let one = |from: &str| vec![(from.to_owned(), format!("Windows\\System32\\{from}"))];
    assert_eq!(files(Arch::X86_64), one("a.sys"));
    assert_eq!(files(Arch::X86), one("b.sys"));
}

#[test]
fn mistakes_are_shown_with_their_place() {
    let refused = |text: &str| match Inf::parse("a.inf", text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(inf) => installation(&inf, None, X64).unwrap_err().to_string(),
    };
    let version = "[Version]\nSignature=\"$Windows NT$\"\n";
    for (text, place, what) in [
        ("[Version\n".to_owned(), "a.inf:1:1:", "has no end"),
        ("[Version]\nx = a = b\n".to_owned(), "a.inf:2:7:", "`=`"),
        ("[Version]\nx = %Nothing%\n".to_owned(), "a.inf:2:5:", "no string `Nothing`"),
        ("[Version]\nClass=x\n".to_owned(), "a.inf:1:1:", "not an INF of Windows"),
        (version.to_owned(), "a.inf:1:1:", "neither [DefaultInstall]"),
        (
            format!("{version}[DefaultInstall]\nCopyFiles = Gone\n"),
            "a.inf:4:13:",
            "no section [Gone]",
        ),
        (
            format!(
                "{version}[DefaultInstall]\nCopyFiles=@a.sys\n[DestinationDirs]\nDefaultDestDir=99\n"
            ),
            "a.inf:6:16:",
            "directory 99",
        ),
        (
            format!(
                "{version}[DefaultInstall]\nCopyFiles=L\n[L]\n..\\a.sys\n[DestinationDirs]\nL=12\n"
            ),
            "a.inf:6:1:",
            "not a file name",
        ),
        (
            format!("{version}[DefaultInstall]\nAddReg=R\n[R]\nHKCU,a,b,,c\n"),
            "a.inf:6:1:",
            "`HKCU` cannot be edited offline",
        ),
    ] {
        let shown = refused(&text);
        assert!(shown.starts_with(place) && shown.contains(what), "{text:?}: {shown}");
    }
}

proptest! {
    #[test]
    fn a_damaged_inf_never_panics(
        cuts in prop::collection::vec((0..FILTER.len(), 0usize..30, "[\\[\\]=,;%\"\\\\a-z\n]{0,4}"), 1..5),
        section in prop::option::of("[A-Za-z.]{0,20}"),
    ) {
        let mut text = FILTER.to_owned();
        for (at, length, by) in cuts {
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.replace_range(start..end, &by);
        }
        if let Ok(inf) = Inf::parse("a.inf", text.as_bytes()) {
            let _ = installation(&inf, section.as_deref(), X64);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Inf::parse("a.inf", &bytes);
    }
}

/// What real packages write, and Windows takes.
#[test]
fn what_real_packages_write_is_taken() {
    let text = FILTER
        .replace("; A filter driver", "/* A \"filter\n * driver, = \n */\n; A filter driver")
        .replace("DefaultDestDir  = 12", "DefaultDestDir  = %12%")
        .replace(
            "LoadOrderGroup  =",
            "Description = %Name%\nDependencies = FltMgr,+Base\nLoadOrderGroup  =",
        )
        .replace(
            "HKR,,\"Limits\",0x10001,10",
            "HKR,,Limits,0xb0001,0x1122334455\nHKR,,Dll,0x20000,%13%\\a.dll",
        )
        .replace("Name    = \"Sensor\"", "Name    = \"Sensor");
    let found = installation(&parsed(&text), None, X64).unwrap();
    assert!(
        found.files.contains(&(
            "sensor.sys".to_owned(),
            r"Windows\System32\drivers\sensor.sys".to_owned()
        ))
    );
    let value = |name: &str| {
        let found = found.values.iter().find(|(_, _, own, ..)| own == name);
        found.map(|(_, _, _, value, _)| value.clone()).unwrap()
    };
    assert_eq!(value("Description"), RegistryValue::Text("Sensor".to_owned()));
    assert_eq!(value("DependOnService").as_texts().unwrap(), ["FltMgr"]);
    assert_eq!(value("DependOnGroup").as_texts().unwrap(), ["Base"]);
    assert_eq!(value("Limits"), RegistryValue::Other(11, 0x11_2233_4455u64.to_le_bytes().to_vec()));
    let RegistryValue::ExpandText(path) = value("Dll") else { panic!("no text") };
    assert!(
        path.starts_with(r"C:\Windows\System32\DriverStore\FileRepository\sensor.inf_amd64"),
        "{path}"
    );
    assert!(path.ends_with(r"\a.dll"), "{path}");
    let long = format!("{FILTER}\n[Long]\nkey = {}\n", vec!["1"; 5000].join(","));
    assert_eq!(parsed(&long).section("long").unwrap()[0].values.len(), 5000);
}

/// Of sections for versions, the newest that is not newer than the system; and the services of that one.
#[test]
fn the_section_is_that_of_the_system_s_version() {
    let text = r#"[Version]
Signature = "$Windows NT$"
[DestinationDirs]
DefaultDestDir = 12
[DefaultInstall.NTamd64.10.0...25952]
CopyFiles = @new.sys
[DefaultInstall.NTamd64.10.0...16299]
CopyFiles = @middle.sys
[DefaultInstall.NTamd64]
CopyFiles = @old.sys
[DefaultInstall.NTamd64.Services]
AddService = old,,S
[S]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %12%\old.sys
"#;
    let taken = |build| {
        let target = Target { arch: Arch::X86_64, build };
        let found = installation(&parsed(text), None, target).unwrap();
        (found.files[0].0.clone(), found.services.len())
    };
    assert_eq!(taken(Some(26100)), ("new.sys".to_owned(), 0));
    assert_eq!(taken(Some(25952)), ("new.sys".to_owned(), 0));
    assert_eq!(taken(Some(19045)), ("middle.sys".to_owned(), 0));
    assert_eq!(taken(Some(9600)), ("old.sys".to_owned(), 1));
    assert_eq!(taken(None), ("old.sys".to_owned(), 1));
}

proptest! {
    #[test]
    fn no_version_is_too_odd(ending in "[.0-9x]{0,30}", build in proptest::option::of(any::<u32>())) {
        let text = format!("[Version]\nSignature=\"$Windows NT$\"\n[DefaultInstall.NTamd64{ending}]\na=b\n");
        let target = Target { arch: Arch::X86_64, build };
        let _ = installation(&parsed(&text), None, target);
    }
}
