//! `loopbreak hive`: registry hives, without Windows.

#[cfg(test)]
#[path = "../../../../winfmt/src/artifacts.rs"]
mod artifacts;
mod file;
mod named;
mod show;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use winfmt::escaped;
use winfmt::hive::{Data, Hive, HiveError, Key, KeyPath, Name, RegEncoding, ValueType};

pub(crate) use self::file::HiveFile;
use crate::exit::{Exit, usage};
use crate::output::{print, print_bytes, tell};

/// What to do.
#[derive(Debug, Subcommand)]
#[command(after_long_help = ABOUT_NAMES)]
pub(crate) enum HiveCommand {
    /// Show a key: its values and the names of its subkeys
    #[command(after_long_help = ABOUT_NAMES)]
    Show {
        /// The hive file
        file: PathBuf,
        /// The key, for example `ControlSet001\Control\CrashControl` [default: the root]
        #[arg(default_value = "", hide_default_value = true)]
        key: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the data of one value
    ///
    /// Text is printed as it is, lists one text a line, numbers in decimal, and everything else as hexadecimal
    /// bytes. On a terminal, control characters are escaped; a pipe or a file gets the text unchanged.
    #[command(after_long_help = ABOUT_NAMES)]
    Get {
        /// The hive file
        file: PathBuf,
        /// The key
        key: String,
        /// The value [default: the key's default value]
        #[arg(default_value = "", hide_default_value = true)]
        name: String,
        /// Print JSON, with type and bytes
        #[arg(long)]
        json: bool,
    },
    /// Set a value; its key is created if it is missing
    #[command(after_long_help = ABOUT_NAMES)]
    Set {
        /// The hive file
        file: PathBuf,
        /// The key
        key: String,
        /// The value; "" is the key's default value
        name: String,
        /// The value's type, for example sz, dword or REG_BINARY
        ///
        /// One of sz, expand-sz, multi-sz, dword, qword, binary (or hex), none, link and dword-be, with or without
        /// REG_ in front, or a number such as 0x10.
        #[arg(value_name = "TYPE")]
        kind: String,
        /// The value's data
        ///
        /// Text; a number in decimal, or in hexadecimal with 0x; bytes as hexadecimal digits; any number of texts
        /// for multi-sz.
        #[arg(value_name = "DATA", allow_hyphen_values = true)]
        data: Vec<String>,
    },
    /// Delete a value, or a key and everything below it
    #[command(after_long_help = ABOUT_NAMES)]
    Delete {
        /// The hive file
        file: PathBuf,
        /// The key
        key: String,
        /// The value; "" is the key's default value [default: delete the whole key]
        name: Option<String>,
    },
    /// Bring a dirty hive up to date from its transaction logs
    ///
    /// This is what Windows does when it loads a hive. The logs beside the hive are emptied afterwards.
    Recover {
        /// The hive file
        file: PathBuf,
        /// Use this log instead of those beside the hive; .LOG1 before .LOG2
        #[arg(long = "log", value_name = "FILE")]
        logs: Vec<PathBuf>,
        /// Write the recovered hive here; leave the hive and its logs unchanged
        #[arg(short, long, value_name = "OUT")]
        out: Option<PathBuf>,
    },
    /// Export a key and everything below it as registration entries (.reg)
    #[command(after_long_help = ABOUT_NAMES)]
    Export {
        /// The hive file
        file: PathBuf,
        /// The key [default: the root]
        #[arg(default_value = "", hide_default_value = true)]
        key: String,
        /// Write UTF-16 and CR LF, as Windows does, instead of UTF-8 and LF
        #[arg(long = "utf-16")]
        utf_16: bool,
        /// What to call the hive's root key [default: by the hive's file name]
        ///
        /// For example HKEY_LOCAL_MACHINE\SYSTEM.
        #[arg(long, value_name = "NAME")]
        root: Option<String>,
        /// Write to this file [default: standard output]
        #[arg(short, long, value_name = "OUT")]
        out: Option<PathBuf>,
    },
}

const ABOUT_NAMES: &str = r"Keys are paths from the hive's root key, for example ControlSet001\Control\CrashControl. In a SYSTEM hive, CurrentControlSet is the control set that Select\Current names.

Control and formatting characters in names and texts are shown escaped: \x1b, \u{202e}. A key or value can be named just as it is shown: if nothing has the name as it was typed, an escape stands for its character. JSON output has the names themselves, with the escapes of JSON.

A hive that Windows left dirty is read together with the logs beside it (.LOG1 and .LOG2, or .LOG).";

pub(crate) fn run(command: &HiveCommand) -> anyhow::Result<Exit> {
    match command {
        HiveCommand::Show { file, key, json } => show::key(file, key, *json)?,
        HiveCommand::Get { file, key, name, json } => show::value(file, key, name, *json)?,
        HiveCommand::Set { file, key, name, kind, data } => set(file, key, name, kind, data)?,
        HiveCommand::Delete { file, key, name: Some(name) } => delete_value(file, key, name)?,
        HiveCommand::Delete { file, key, name: None } => delete_key(file, key)?,
        HiveCommand::Recover { file, logs, out } => recover(file, logs, out.as_deref())?,
        HiveCommand::Export { file, key, utf_16, root, out } => {
            export(file, key, *utf_16, root.as_deref(), out.as_deref())?;
        }
    }
    Ok(Exit::AsExpected)
}

pub(crate) fn in_file(file: &Path, error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", file.display())
}

fn refused(file: &Path) -> impl Fn(HiveError) -> anyhow::Error {
    move |error| usage(in_file(file, error))
}

/// The path of the key that is named, `CurrentControlSet` replaced by what it means. Says so on standard error.
fn key_path(hive: &Hive, file: &Path, key: &str) -> anyhow::Result<KeyPath> {
    let path = named::key_path(hive, key).map_err(refused(file))?;
    match hive.in_control_set(&path).map_err(refused(file))? {
        Some(there) => {
            tell(format!(r"note: {path} is {there} (Select\Current)"));
            Ok(there)
        }
        None => Ok(path),
    }
}

/// The key at a path; where it is missing, an error that says how far the path leads.
fn existing<'h>(hive: &'h Hive, file: &Path, path: &KeyPath) -> anyhow::Result<Key<'h>> {
    const SHOWN: usize = 20;
    let mut key = hive.root().map_err(refused(file))?;
    let mut there = KeyPath::default();
    for name in path.names() {
        let Some(subkey) = key.subkey(name).map_err(refused(file))? else {
            let names = key.subkey_names().map_err(refused(file))?;
            let shown: Vec<String> =
                names.iter().take(SHOWN).map(|name| escaped(name).to_string()).collect();
            let mut listed = shown.join(", ");
            if names.len() > SHOWN {
                listed += &format!(" and {} more", names.len() - SHOWN);
            }
            let above = match there.names() {
                [] => "the root key".to_owned(),
                _ => format!("`{there}`"),
            };
            let mut why = match names.len() {
                0 => format!("no key `{path}`: {above} has no subkeys"),
                _ => format!("no key `{path}`: {above} has {listed}"),
            };
            if there.names().is_empty() && is_of_the_whole_registry(name) {
                why += "; paths begin below the hive's root key, so leave out names such as HKEY_LOCAL_MACHINE\\SYSTEM";
            }
            return Err(usage(in_file(file, why)));
        };
        there = there.join(subkey.name());
        key = subkey;
    }
    Ok(key)
}

fn is_of_the_whole_registry(name: &Name) -> bool {
    let name = name.to_string().to_uppercase();
    name.starts_with("HKEY_") || ["HKLM", "HKU", "HKCU", "HKCR", "HKCC"].contains(&name.as_str())
}

fn set(file: &Path, key: &str, name: &str, kind: &str, data: &[String]) -> anyhow::Result<()> {
    let kind: ValueType = kind.parse().map_err(usage)?;
    let data = Data::from_text(kind, data).map_err(usage)?;
    let mut opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let known = opened.hive.find_key(&path).map_err(refused(file))?.is_some();
    let name = match opened.hive.find_key(&path).map_err(refused(file))? {
        Some(key) => &named::value_name(&key, name).map_err(refused(file))?,
        None => &Name::from(name),
    };
    let before = opened.hive.get(&path, name).map_err(refused(file))?;
    if before.as_ref() == Some(&data) {
        print(&format!("{}: unchanged; nothing was written\n", show::line(&path, name, &data)))?;
        return Ok(());
    }
    opened.hive.set_value(&path, name, &data).map_err(refused(file))?;
    opened.save()?;
    let was = match before {
        _ if !known => " (the key is new)".to_owned(),
        None => " (the value is new)".to_owned(),
        Some(before) => format!(" (was {} {before})", before.kind),
    };
    print(&format!("{}{was}\n", show::line(&path, name, &data)))?;
    Ok(())
}

fn delete_value(file: &Path, key: &str, name: &str) -> anyhow::Result<()> {
    let mut opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let found = existing(&opened.hive, file, &path)?;
    let name = named::value_name(&found, name).map_err(refused(file))?;
    let before = show::existing_value(&found, file, &path, &name)?;
    opened.hive.delete_value(&path, &name).map_err(refused(file))?;
    opened.save()?;
    print(&format!("deleted {}\n", show::line(&path, &name, &before)))?;
    Ok(())
}

fn delete_key(file: &Path, key: &str) -> anyhow::Result<()> {
    let mut opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    let (mut keys, mut values) = (0, 0);
    let mut pending = vec![existing(&opened.hive, file, &path)?];
    while let Some(key) = pending.pop() {
        keys += 1;
        values += key.value_count();
        pending.extend(key.subkeys().map_err(refused(file))?);
    }
    opened.hive.delete_key(&path).map_err(refused(file))?;
    opened.save()?;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    print(&format!(
        "deleted {path}: {keys} key{}, {values} value{}\n",
        plural(keys),
        plural(values)
    ))?;
    Ok(())
}

fn recover(file: &Path, logs: &[PathBuf], out: Option<&Path>) -> anyhow::Result<()> {
    let opened = HiveFile::open_with(file, logs)?;
    let clean = opened.recovery.clean;
    match out {
        Some(out) => file::create(out, &opened.checked_bytes()?)?,
        None if !clean => opened.save()?,
        None => {}
    }
    let done = if clean { "is clean, no log is needed".to_owned() } else { opened.story() };
    let to = match out {
        Some(out) if clean => format!("; copied to {}", out.display()),
        Some(out) => format!("; written to {}", out.display()),
        None => String::new(),
    };
    print(&format!("{}: {done}{to}\n", file.display()))?;
    Ok(())
}

fn export(
    file: &Path,
    key: &str,
    utf_16: bool,
    root: Option<&str>,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let opened = HiveFile::open(file)?;
    let path = key_path(&opened.hive, file, key)?;
    existing(&opened.hive, file, &path)?;
    let root = root.map_or_else(|| root_name(file), str::to_owned);
    let encoding = if utf_16 { RegEncoding::Utf16 } else { RegEncoding::Utf8 };
    let bytes = opened.hive.export(&path, &root, encoding).map_err(refused(file))?;
    match out {
        Some(out) => file::create(out, &bytes)?,
        None if !std::io::stdout().is_terminal() => print_bytes(&bytes)?,
        None if utf_16 => {
            let why = anyhow::anyhow!("UTF-16 is not for a terminal; name a file with --out");
            return Err(usage(why));
        }
        None => print(&String::from_utf8_lossy(&bytes))?,
    }
    Ok(())
}

/// Where Windows mounts a hive of this name.
fn root_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.to_uppercase().as_str() {
        "NTUSER.DAT" => "HKEY_CURRENT_USER".to_owned(),
        "USRCLASS.DAT" => r"HKEY_CURRENT_USER\Software\Classes".to_owned(),
        "DEFAULT" => r"HKEY_USERS\.DEFAULT".to_owned(),
        "BCD" => r"HKEY_LOCAL_MACHINE\BCD00000000".to_owned(),
        upper @ ("SYSTEM" | "SOFTWARE" | "SAM" | "SECURITY" | "COMPONENTS" | "DRIVERS") => {
            format!(r"HKEY_LOCAL_MACHINE\{upper}")
        }
        _ => format!(r"HKEY_LOCAL_MACHINE\{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hives_are_named_by_where_windows_mounts_them() {
        for (file, name) in [
            ("/x/SYSTEM", r"HKEY_LOCAL_MACHINE\SYSTEM"),
            ("system", r"HKEY_LOCAL_MACHINE\SYSTEM"),
            ("ntuser.dat", "HKEY_CURRENT_USER"),
            ("EFI/Microsoft/Boot/BCD", r"HKEY_LOCAL_MACHINE\BCD00000000"),
            ("my.hiv", r"HKEY_LOCAL_MACHINE\my.hiv"),
        ] {
            assert_eq!(root_name(Path::new(file)), name);
        }
    }
}
