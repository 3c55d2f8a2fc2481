//! From an install section to changes of a disk: files, services, registry.
//!
//! Directives: `CopyFiles`, `AddReg`, and in `.Services` `AddService` with the service's own section;
//! `[ClassInstall32]` with its `AddReg` (Microsoft: "INF directives"). What binds a driver to a device
//! (models, hardware ids, the driver database) is left out: nothing is plugged in offline. A driver
//! with a start type of 0 to 2 starts all the same.

use jiff::Timestamp;

use super::{Entry, Inf, InfError, Place, Value};

pub use super::target::Target;
use crate::plan::{Change, DRIVER_STORE, Edit, HiveName, RegistryValue, VolumeRole};

/// What an install section does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installation {
    /// Files: where from, beside the INF; where to, below `C:\`.
    pub files: Vec<(String, String)>,
    /// Registry values: hive, key, name, value, and whether it is added to the list that is there.
    pub values: Vec<(HiveName, String, String, RegistryValue, bool)>,
    /// The names of the services.
    pub services: Vec<String>,
}

/// Reads an install section and all that it refers to.
///
/// # Errors
/// The section is not there, or something in it cannot be done offline.
pub fn installation(
    inf: &Inf,
    section: Option<&str>,
    target: Target,
) -> Result<Installation, InfError> {
    let start = Place { line: 1, column: 1 };
    let signature = inf.value("Version", "Signature").map(|value| value.text.to_uppercase());
    if !matches!(signature.as_deref(), Some("$WINDOWS NT$" | "$CHICAGO$" | "$WINDOWS 95$")) {
        let what = "this is not an INF of Windows: [Version] has no `Signature = \"$Windows NT$\"`";
        return Err(inf.error(start, what.to_owned(), "add it"));
    }
    let reader = Reader { inf, target };
    let base = match section {
        Some(section) => section.to_owned(),
        None => reader.only_section(start)?,
    };
    let name = reader.decorated(&base).ok_or_else(|| {
        let what = format!("there is no section [{base}] for this processor");
        inf.error(start, what, "name another one with `section`")
    })?;
    let mut found = Installation::default();
    reader.copy_files(&name, &mut found)?;
    reader.add_reg(&name, None, &mut found)?;
    // The services of the section that was taken, and of no other.
    let services = format!("{name}.services");
    if inf.section(&services).is_some() {
        reader.services(&services, &mut found)?;
    }
    if let Some(class) = reader.decorated("ClassInstall32") {
        let guid = inf.value("Version", "ClassGuid").ok_or_else(|| {
            let what = "[ClassInstall32] needs the `ClassGuid` of [Version]".to_owned();
            inf.error(start, what, "add it")
        })?;
        let key = format!("CurrentControlSet\\Control\\Class\\{}", guid.text);
        reader.add_reg(&class, Some(&key), &mut found)?;
    }
    if found.files.is_empty() && found.values.is_empty() {
        let what = format!("[{name}] installs nothing");
        return Err(inf.error(start, what, "name another section with `section`"));
    }
    Ok(found)
}

/// The changes of an installation, and for each whether it adds to the list that is there. `file` gives
/// the bytes of a file beside the INF.
///
/// # Errors
/// Those of `file`.
pub fn edits<E>(
    installation: &Installation,
    modified: Option<Timestamp>,
    mut file: impl FnMut(&str) -> Result<Vec<u8>, E>,
) -> Result<Vec<Change>, E> {
    let mut changes = Vec::new();
    for (from, to) in &installation.files {
        let bytes = file(from)?;
        let (volume, path) = (VolumeRole::Windows, to.clone());
        changes.push(Edit::WriteFile { volume, path, bytes, modified }.into());
    }
    for (hive, key, name, value, append) in &installation.values {
        let (hive, key, name, value) = (*hive, key.clone(), name.clone(), value.clone());
        let texts = value.as_texts().filter(|_| *append);
        changes.push(match texts {
            Some(texts) => Change::AddTexts { hive, key, name, texts },
            None => Edit::SetValue { hive, key, name, value }.into(),
        });
    }
    Ok(changes)
}

/// The names in a list. Real packages end lists with a comma, behind which there is none.
fn names(entry: &Entry) -> impl Iterator<Item = &Value> {
    entry.values.iter().filter(|value| !value.text.is_empty())
}

struct Reader<'i> {
    inf: &'i Inf,
    target: Target,
}

impl Reader<'_> {
    fn decorated(&self, name: &str) -> Option<String> {
        self.target.section(self.inf, name)
    }

    /// `DefaultInstall`, else the only install section that the models name.
    fn only_section(&self, start: Place) -> Result<String, InfError> {
        if self.decorated("DefaultInstall").is_some() {
            return Ok("DefaultInstall".to_owned());
        }
        let mut names: Vec<String> = Vec::new();
        for maker in self.inf.section("Manufacturer").unwrap_or_default() {
            let Some(models) = maker.values.first() else { continue };
            let Some(models) = self.decorated(&models.text) else { continue };
            for model in self.inf.section(&models).unwrap_or_default() {
                let Some(section) = model.values.first() else { continue };
                if !names.iter().any(|known| known.eq_ignore_ascii_case(&section.text)) {
                    names.push(section.text.clone());
                }
            }
        }
        match names.as_slice() {
            [name] => Ok(name.clone()),
            [] => Err(self.inf.error(
                start,
                "there is neither [DefaultInstall] nor a model for this processor".to_owned(),
                "name an install section with `section`",
            )),
            names => Err(self.inf.error(
                start,
                format!("there are several install sections: {}", names.join(", ")),
                "name one of them with `section`",
            )),
        }
    }

    fn copy_files(&self, section: &str, found: &mut Installation) -> Result<(), InfError> {
        for entry in self.inf.entries(section, "CopyFiles") {
            for value in names(entry) {
                if let Some(file) = value.text.strip_prefix('@') {
                    let folder = self.destination("DefaultDestDir", value)?;
                    push_file(found, file, &format!("{folder}{file}"));
                    continue;
                }
                let list = self.inf.section(&value.text).ok_or_else(|| {
                    let what = format!("there is no section [{}]", value.text);
                    self.inf.error(value.place, what, "add it, or correct the name")
                })?;
                let folder = self.destination(&value.text, value)?;
                for line in list {
                    let Some(to) = line.values.first().filter(|to| !to.text.is_empty()) else {
                        continue;
                    };
                    self.file_name(to)?;
                    let from = line.values.get(1).filter(|from| !from.text.is_empty());
                    if let Some(from) = from {
                        self.file_name(from)?;
                    }
                    let from = from.unwrap_or(to);
                    push_file(found, &from.text, &format!("{folder}{}", to.text));
                }
            }
        }
        Ok(())
    }

    fn file_name(&self, value: &Value) -> Result<(), InfError> {
        if value.text.contains(['\\', '/', ':', '*', '?']) || value.text == ".." {
            let what = format!("`{}` is not a file name", value.text);
            return Err(self.inf.error(value.place, what, "write a name without a folder"));
        }
        Ok(())
    }

    /// Where the files of a list go, below `C:\`, ending in `\`.
    fn destination(&self, list: &str, asked: &Value) -> Result<String, InfError> {
        let entry = self
            .inf
            .entries("DestinationDirs", list)
            .next()
            .or_else(|| self.inf.entries("DestinationDirs", "DefaultDestDir").next());
        let Some((entry, id)) = entry.and_then(|entry| Some((entry, entry.values.first()?))) else {
            let what = format!("[DestinationDirs] does not say where `{}` goes", asked.text);
            return Err(self.inf.error(asked.place, what, "add it there, or `DefaultDestDir`"));
        };
        let mut folder = self.directory(&id.text, id)?;
        if let Some(below) = entry.values.get(1).filter(|below| !below.text.is_empty()) {
            folder = format!("{folder}{}\\", below.text.trim_matches('\\'));
        }
        Ok(folder)
    }

    /// A directory by its number (Microsoft: "Using dirids").
    fn directory(&self, id: &str, at: &Value) -> Result<String, InfError> {
        let folder = match id.trim().trim_matches('%') {
            "10" => "Windows\\",
            "11" => "Windows\\System32\\",
            "12" => "Windows\\System32\\drivers\\",
            "13" => {
                return Ok(format!(
                    "{DRIVER_STORE}\\{}\\",
                    self.inf.store_folder(self.target.arch)
                ));
            }
            "17" => "Windows\\INF\\",
            "24" | "30" => "",
            "16422" => "Program Files\\",
            "16427" => "Program Files\\Common Files\\",
            other => {
                let what = format!("the directory {other} is not known");
                return Err(self.inf.error(
                    at.place,
                    what,
                    "use one of 10, 11, 12, 13, 17, 24, 30, 16422, 16427",
                ));
            }
        };
        Ok(folder.to_owned())
    }

    fn services(&self, section: &str, found: &mut Installation) -> Result<(), InfError> {
        for entry in self.inf.entries(section, "AddService") {
            let Some(name) = entry.values.first().filter(|name| !name.text.is_empty()) else {
                // `AddService = , 2`: a device without a driver of its own.
                continue;
            };
            if name.text.contains(['\\', '/']) {
                let what = format!("`{}` cannot be a service's name", name.text);
                return Err(self.inf.error(name.place, what, "write it without `\\` and `/`"));
            }
            let Some(install) = entry.values.get(2).filter(|name| !name.text.is_empty()) else {
                let what = format!("service `{}` has no section", name.text);
                return Err(self.inf.error(
                    entry.place,
                    what,
                    "write `AddService = name, flags, section`",
                ));
            };
            if self.inf.section(&install.text).is_none() {
                let what = format!("there is no section [{}]", install.text);
                return Err(self.inf.error(install.place, what, "add it, or correct the name"));
            }
            self.service(name, install, found)?;
        }
        Ok(())
    }

    fn service(
        &self,
        name: &Value,
        section: &Value,
        found: &mut Installation,
    ) -> Result<(), InfError> {
        let key = format!("CurrentControlSet\\Services\\{}", name.text);
        let mut set = |value: &str, data: RegistryValue| {
            found.values.push((HiveName::System, key.clone(), value.to_owned(), data, false));
        };
        for (directive, value) in
            [("ServiceType", "Type"), ("StartType", "Start"), ("ErrorControl", "ErrorControl")]
        {
            let Some(written) = self.inf.value(&section.text, directive) else {
                let what = format!("[{}] has no `{directive}`", section.text);
                return Err(self.inf.error(section.place, what, "add it"));
            };
            set(value, RegistryValue::Dword(self.number(written)?));
        }
        let Some(binary) = self.inf.value(&section.text, "ServiceBinary") else {
            let what = format!("[{}] has no `ServiceBinary`", section.text);
            return Err(self.inf.error(section.place, what, "add it, as `%12%\\name.sys`"));
        };
        set("ImagePath", RegistryValue::ExpandText(self.image_path(binary)?));
        for (directive, value) in [
            ("DisplayName", "DisplayName"),
            ("Description", "Description"),
            ("LoadOrderGroup", "Group"),
        ] {
            if let Some(text) = self.inf.value(&section.text, directive) {
                set(value, RegistryValue::Text(text.text.clone()));
            }
        }
        // A plus sign marks a group (Microsoft: "INF AddService directive").
        let needs = self.inf.entries(&section.text, "Dependencies");
        let needs: Vec<&str> = needs
            .flat_map(|entry| &entry.values)
            .map(|value| value.text.as_str())
            .filter(|name| !name.is_empty())
            .collect();
        let groups = needs.iter().filter_map(|name| name.strip_prefix('+'));
        let groups: Vec<&str> = groups.collect();
        let services: Vec<&str> =
            needs.iter().filter(|name| !name.starts_with('+')).copied().collect();
        for (value, names) in [("DependOnService", services), ("DependOnGroup", groups)] {
            if !names.is_empty() {
                set(value, RegistryValue::Other(7, multi_text(&names)));
            }
        }
        found.services.push(name.text.clone());
        self.add_reg(&section.text, Some(&key), found)
    }

    /// `%12%\name.sys` as Windows writes it into a service's key: below the Windows folder.
    fn image_path(&self, binary: &Value) -> Result<String, InfError> {
        let mut parts = binary.text.splitn(3, '%');
        let (Some(""), Some(id), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            let what = format!("`{}` does not begin with a directory", binary.text);
            return Err(self.inf.error(binary.place, what, "write it as `%12%\\name.sys`"));
        };
        let path = format!("{}{}", self.directory(id, binary)?, rest.trim_start_matches('\\'));
        Ok(match path.strip_prefix("Windows\\") {
            Some(below) => format!("\\SystemRoot\\{below}"),
            None => format!("\\??\\C:\\{path}"),
        })
    }

    /// The `AddReg` lists of a section; `relative` is what `HKR` stands for.
    fn add_reg(
        &self,
        section: &str,
        relative: Option<&str>,
        found: &mut Installation,
    ) -> Result<(), InfError> {
        for entry in self.inf.entries(section, "AddReg") {
            for list in names(entry) {
                let lines = self.inf.section(&list.text).ok_or_else(|| {
                    let what = format!("there is no section [{}]", list.text);
                    self.inf.error(list.place, what, "add it, or correct the name")
                })?;
                for line in lines {
                    self.registry(line, relative, found)?;
                }
            }
        }
        Ok(())
    }

    fn registry(
        &self,
        line: &Entry,
        relative: Option<&str>,
        found: &mut Installation,
    ) -> Result<(), InfError> {
        let text = |index: usize| line.values.get(index).map_or("", |value| value.text.as_str());
        let below = text(1).trim_matches('\\');
        let (hive, key) = match (text(0).to_uppercase().as_str(), relative) {
            ("HKR", Some(key)) if below.is_empty() => (HiveName::System, key.to_owned()),
            ("HKR", Some(key)) => (HiveName::System, format!("{key}\\{below}")),
            // The device's own key: there is no device.
            ("HKR", None) => return Ok(()),
            ("HKLM", _) => match below.split_once('\\') {
                Some((hive, key)) if hive.eq_ignore_ascii_case("SYSTEM") => {
                    (HiveName::System, key.to_owned())
                }
                Some((hive, key)) if hive.eq_ignore_ascii_case("SOFTWARE") => {
                    (HiveName::Software, key.to_owned())
                }
                _ => {
                    let what = format!("`HKLM\\{below}` is in no hive that can be edited offline");
                    return Err(self.inf.error(
                        line.place,
                        what,
                        "use a key below HKLM\\SYSTEM or HKLM\\SOFTWARE",
                    ));
                }
            },
            (other, _) => {
                let what = format!("`{other}` cannot be edited offline");
                return Err(self.inf.error(line.place, what, "use HKLM, or HKR for a service"));
            }
        };
        let flags = match line.values.get(3).filter(|value| !value.text.is_empty()) {
            Some(flags) => self.number(flags)?,
            None => 0,
        };
        let rest: Vec<String> = (4..line.values.len())
            .map(|index| self.with_directories(&line.values[index]))
            .collect::<Result<_, _>>()?;
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let value = match flags & 0x000f_0001 {
            0 => RegistryValue::Text(rest.first().copied().unwrap_or_default().to_owned()),
            0x0002_0000 => {
                RegistryValue::ExpandText(rest.first().copied().unwrap_or_default().to_owned())
            }
            0x0001_0000 => RegistryValue::Other(7, multi_text(&rest)),
            0x0001_0001 => match line.values.get(4) {
                Some(number) => RegistryValue::Dword(self.number(number)?),
                None => RegistryValue::Dword(0),
            },
            // FLG_ADDREG_TYPE_QWORD: REG_QWORD.
            0x000b_0001 => {
                let number = match line.values.get(4) {
                    Some(number) => self.number_of(number, 64)?,
                    None => 0,
                };
                RegistryValue::Other(11, number.to_le_bytes().to_vec())
            }
            1 => RegistryValue::Binary(self.binary(&line.values[4.min(line.values.len())..])?),
            other => {
                let what = format!("values of the type {other:#x} are not known");
                let fix = "use 0x0, 0x1, 0x10000, 0x10001, 0x20000 or 0xb0001";
                return Err(self.inf.error(line.place, what, fix));
            }
        };
        // FLG_ADDREG_APPEND: added to the list that is there, as filters are.
        let append = flags & 8 != 0;
        if append && !matches!(value, RegistryValue::Other(7, _)) {
            let what = "only a list of texts can be added to".to_owned();
            return Err(self.inf.error(line.place, what, "use the flags 0x10008"));
        }
        // FLG_ADDREG_KEYONLY: nothing to set; a key is made with its first value.
        if flags & 0x10 == 0 {
            found.values.push((hive, key, text(2).to_owned(), value, append));
        }
        Ok(())
    }

    /// A text of the registry: directories in it (`%13%\name.dll`) as the system has them.
    fn with_directories(&self, value: &Value) -> Result<String, InfError> {
        let mut parts = value.text.split('%');
        let mut text = parts.next().unwrap_or_default().to_owned();
        while let Some(id) = parts.next() {
            let known = id.parse::<u32>().is_ok_and(|id| id > 0);
            match parts.next() {
                Some(after) if known => {
                    let folder = self.directory(id, value)?;
                    text += &format!("C:\\{}{after}", folder.trim_end_matches('\\'));
                }
                Some(after) => text += &format!("%{id}%{after}"),
                None => text += &format!("%{id}"),
            }
        }
        Ok(text)
    }

    fn number(&self, value: &Value) -> Result<u32, InfError> {
        let number = self.number_of(value, 32)?;
        u32::try_from(number).map_err(|_| self.no_number(value, 32))
    }

    fn number_of(&self, value: &Value, bits: u32) -> Result<u64, InfError> {
        let text = value.text.trim();
        let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        parsed.map_err(|_| self.no_number(value, bits))
    }

    fn no_number(&self, value: &Value, bits: u32) -> InfError {
        let what = format!("`{}` is not a number of {bits} bits", value.text.trim());
        self.inf.error(value.place, what, "write it as 3 or 0x3")
    }

    fn binary(&self, values: &[Value]) -> Result<Vec<u8>, InfError> {
        let byte = |value: &Value| {
            let text = value.text.trim();
            let text = text.strip_prefix("0x").unwrap_or(text);
            u8::from_str_radix(text, 16).map_err(|_| {
                let what = format!("`{}` is not a byte", value.text);
                self.inf.error(value.place, what, "write two hexadecimal digits")
            })
        };
        values.iter().map(byte).collect()
    }
}

fn push_file(found: &mut Installation, from: &str, to: &str) {
    let file = (from.to_owned(), to.to_owned());
    if !found.files.contains(&file) {
        found.files.push(file);
    }
}

/// REG_MULTI_SZ: each text with its zero, then one more.
fn multi_text(texts: &[&str]) -> Vec<u8> {
    let mut units: Vec<u16> = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        units.extend(text.encode_utf16());
        units.push(0);
    }
    units.push(0);
    units.into_iter().flat_map(u16::to_le_bytes).collect()
}
