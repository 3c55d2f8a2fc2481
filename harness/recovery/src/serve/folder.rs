//! The folder of remediations: one TOML file each, in the words of a scenario's `[[update-service.remediation]]`, and
//! `troubles.toml` with what is to go wrong. What lies in it is published, what is taken out of it is withdrawn.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use scenario::ServiceTrouble;
use serde::Deserialize;
use words::PayloadPath;

use crate::manifest::Action;
use crate::remediation::Remediation;
use crate::service::RemediationService;
use crate::trouble::Trouble;

/// The file that says what goes wrong.
const TROUBLES: &str = "troubles.toml";
/// No such file is longer, in bytes.
const MOST: u64 = 1 << 20;

/// What goes wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TroubleFile {
    #[serde(default)]
    trouble: Vec<Wrong>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrong {
    trouble: ServiceTrouble,
    requests: Option<u32>,
}

/// A folder, and what was read of it last.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The text of each file as it was read, and the remediation that it is published as, if it is one.
    known: BTreeMap<String, (String, Option<String>)>,
    troubles: String,
    down: bool,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: BTreeMap::new(), troubles: String::new(), down: false }
    }

    /// True where nobody is to be let in.
    pub(crate) fn is_down(&self) -> bool {
        self.down
    }

    /// Reads the folder, and has the service offer what lies in it. A file that cannot be read changes nothing, and is
    /// told: what was published from it stays.
    pub(crate) fn refresh(&mut self, service: &RemediationService) -> io::Result<()> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.extension().is_some_and(|it| it == "toml") && !name.starts_with('.') {
                files.insert(name.to_owned(), path.clone());
            }
        }
        let troubles = files.remove(TROUBLES);
        // What is gone goes first: its name may be in another file now.
        let gone: Vec<String> =
            self.known.keys().filter(|name| !files.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some((_, Some(id))) = self.known.remove(&name) {
                service.withdraw(&id);
            }
        }
        for (name, path) in &files {
            self.read(service, name, path);
        }
        self.trouble(service, troubles.as_deref());
        Ok(())
    }

    fn read(&mut self, service: &RemediationService, name: &str, path: &Path) {
        let text = match text_of(path) {
            Ok(text) => text,
            // Removed meanwhile: the next change tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return service.not_published(name, &error.to_string()),
        };
        let before = self.known.get(name);
        if before.is_some_and(|(known, _)| *known == text) {
            return;
        }
        let before = before.and_then(|(_, id)| id.clone());
        let published = parse(&text).and_then(|remediation| {
            let id = remediation.id.clone();
            let elsewhere = self
                .known
                .iter()
                .any(|(other, (_, known))| other != name && known.as_deref() == Some(id.as_str()));
            if elsewhere {
                return Err(format!("the remediation `{id}` is in another file, too"));
            }
            service.publish(remediation).map_err(|error| error.to_string())?;
            Ok(id)
        });
        let id = match published {
            Ok(id) => {
                if let Some(before) = before.filter(|before| *before != id) {
                    service.withdraw(&before);
                }
                Some(id)
            }
            Err(reason) => {
                service.not_published(name, &reason);
                before
            }
        };
        self.known.insert(name.to_owned(), (text, id));
    }

    fn trouble(&mut self, service: &RemediationService, path: Option<&Path>) {
        let text = match path.map(text_of) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(error)) => return service.not_published(TROUBLES, &error.to_string()),
        };
        if text == self.troubles {
            return;
        }
        self.troubles.clone_from(&text);
        let file: TroubleFile = match toml::from_str(&text) {
            Ok(file) => file,
            Err(error) => return service.not_published(TROUBLES, error.message()),
        };
        service.disarm();
        self.down = false;
        for wrong in file.trouble {
            match Trouble::declared(&wrong.trouble) {
                Some(trouble) => service.arm(trouble.name(), trouble, wrong.requests),
                None if wrong.requests.is_some() => service.not_published(
                    TROUBLES,
                    "`down` lasts as long as it is in the file; remove its `requests`",
                ),
                None => self.down = true,
            }
        }
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // Opening a pipe would wait for whoever writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    std::fs::File::open(path)?.take(MOST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST {
        return Err(io::Error::other("it has more than 1 MiB, and a remediation is smaller"));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Remediation, String> {
    let declared: scenario::Remediation =
        toml::from_str(text).map_err(|error| error.to_string())?;
    let remediation = Remediation::from(&declared);
    if remediation.actions.is_empty() {
        return Err("it does nothing; write what it deletes or writes".to_owned());
    }
    for action in &remediation.actions {
        let (path, single) = match action {
            Action::Delete { path, .. } => (path, false),
            Action::Write { path, .. } => (path, true),
        };
        let path: PayloadPath = path.parse()?;
        if single && path.has_wildcard() {
            return Err(format!("`{path}` names no single file to write"));
        }
    }
    if declared.release.is_some_and(|release| release.percent > 100) {
        return Err("a release goes to at most 100 percent".to_owned());
    }
    Ok(remediation)
}
