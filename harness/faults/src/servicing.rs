//! Updates that went wrong, as changes of the disk (windows-facts section 4, 5.2, 5.3).

use jiff::Timestamp;
use scenario::{FileLoss, FileVersion, ServicingTransaction, TransactionState, WindowsPath};

use crate::driver;
use crate::placing::on_drive;
use crate::plan::{Act, Change, Edit, HiveName, Online, OnlineAct, OnlineWrite, VolumeRole};
use crate::service::nt_path;
use crate::stage_error::StageError;
use crate::vendor;

const PENDING: &str = "Windows\\WinSxS\\pending.xml";
const TEMP: &str = "Windows\\Temp";
const VOLUME: VolumeRole = VolumeRole::Windows;

/// A transaction that the session manager is to carry out at the next start.
pub(crate) fn transaction(
    fault: &ServicingTransaction,
    modified: Option<Timestamp>,
) -> Result<Vec<Change>, StageError> {
    let folder = format!("{TEMP}\\{}", fault.name);
    let (new, old) = (format!("{folder}\\new.dll"), format!("{folder}\\old.dll"));
    let mut moves: Vec<(String, String)> = Vec::new();
    for pending in fault.moves.iter().filter(|_| !fault.inert) {
        moves.push((nt_path(&pending.from), nt_path(&pending.to)));
    }
    if moves.is_empty() {
        moves.push((format!("\\??\\C:\\{new}"), format!("\\??\\C:\\{old}")));
    }
    let mut list = pending_list(&fault.name, &moves).into_bytes();
    if fault.state == TransactionState::DamagedList && !fault.inert {
        list.truncate(list.len() / 2);
    }
    let file = |path: &str, bytes| {
        Change::from(Edit::WriteFile { volume: VOLUME, path: path.to_owned(), bytes, modified })
    };
    let mut changes = Vec::new();
    if fault.inert {
        changes.push(file(&new, b"new".to_vec()));
    }
    changes.push(file(PENDING, list));
    changes.push(Change::AddTexts {
        hive: HiveName::System,
        key: "CurrentControlSet\\Control\\Session Manager".to_owned(),
        name: "SetupExecute".to_owned(),
        texts: vec![
            "\\SystemRoot\\System32\\poqexec.exe /display_progress \\SystemRoot\\WinSxS\\pending.xml"
                .to_owned(),
        ],
    });
    Ok(changes)
}

/// The list in the form that the servicing stack writes: operations on files, one element each.
fn pending_list(identifier: &str, moves: &[(String, String)]) -> String {
    let moves: String = moves
        .iter()
        .map(|(from, to)| {
            let (from, to) = (attribute(from), attribute(to));
            format!("  <MoveFile source=\"{from}\" destination=\"{to}\"/>\r\n")
        })
        .collect();
    format!(
        "<?xml version='1.0' encoding='utf-8'?>\r\n<PendingTransaction Version=\"3.1\" \
         Identifier=\"{identifier}\">\r\n <POQ postAction=\"none\">\r\n{moves} </POQ>\r\n\
         </PendingTransaction>\r\n"
    )
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A file of another version, staged.
pub(crate) fn version(fault: &FileVersion) -> Result<Change, StageError> {
    let (path, version) = (on_drive(&fault.path), parsed(fault)?);
    let made = program(fault, version)?;
    let beside = format!("{TEMP}\\{}", file_name(&path));
    let version = (!fault.inert).then_some(version);
    Ok(Change::Version { volume: VOLUME, path, version, made, beside })
}

/// The same through the guest agent: a program of this version takes the file's place.
pub(crate) fn version_online(fault: &FileVersion) -> Result<Online, StageError> {
    let bytes = program(fault, parsed(fault)?)?;
    let path = match fault.inert {
        false => fault.path.clone(),
        true => in_temp(&fault.path)?,
    };
    Ok(Online::Write(OnlineWrite { fault: fault.name.clone(), path, bytes }))
}

fn parsed(fault: &FileVersion) -> Result<[u16; 4], StageError> {
    driver::parse_version(&fault.version)
        .map_err(|source| StageError::Driver { fault: fault.name.clone(), source })
}

/// A program that does nothing, with this version.
fn program(fault: &FileVersion, version: [u16; 4]) -> Result<Vec<u8>, StageError> {
    let name = file_name(fault.path.as_str());
    let mut image = vendor::inert(&fault.name, name, scenario::Arch::X86_64)?;
    driver::set_version(&mut image, version)
        .map_err(|what| StageError::Name { fault: fault.name.clone(), what: what.to_owned() })?;
    Ok(image)
}

/// A lost file, staged.
pub(crate) fn loss(fault: &FileLoss) -> Result<Vec<Change>, StageError> {
    let mut path = on_drive(&fault.path);
    let name = file_name(&path).to_owned();
    let copy = |from: String, to: String| Change::Copy { volume: VOLUME, from, to };
    let mut changes = Vec::new();
    if fault.inert {
        let from = std::mem::replace(&mut path, format!("{TEMP}\\{name}"));
        changes.push(copy(from, path.clone()));
    }
    if let Some(folder) = &fault.quarantine {
        let folder = on_drive(folder);
        changes.push(copy(path.clone(), format!("{folder}\\{name}")));
    }
    changes.push(Edit::RemoveFile { volume: VOLUME, path }.into());
    Ok(changes)
}

/// The same through the guest agent. The folder of a quarantine must be there.
pub(crate) fn loss_online(fault: &FileLoss) -> Result<Vec<Online>, StageError> {
    let mut steps = Vec::new();
    let mut path = fault.path.clone();
    if fault.inert {
        path = in_temp(&path)?;
        let (fault, bytes) = (fault.name.clone(), b"a file that nobody needs".to_vec());
        steps.push(Online::Write(OnlineWrite { fault, path: path.clone(), bytes }));
    }
    let what = match &fault.quarantine {
        None => Act::Remove { path },
        Some(folder) => {
            let to = within(folder.as_str(), file_name(path.as_str()))?;
            Act::Move { from: path, to }
        }
    };
    steps.push(Online::Act(OnlineAct { fault: fault.name.clone(), what }));
    Ok(steps)
}

fn file_name(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

fn in_temp(path: &WindowsPath) -> Result<WindowsPath, StageError> {
    within(&format!("C:\\{TEMP}"), file_name(path.as_str()))
}

fn within(folder: &str, name: &str) -> Result<WindowsPath, StageError> {
    let path = format!("{}\\{name}", folder.trim_end_matches('\\'));
    path.parse().map_err(|what| StageError::Name { fault: name.to_owned(), what })
}
