//! The folder of remediations: one TOML file each, in the words of a scenario's `[[update-service.remediation]]`, and
//! `troubles.toml` with what is to go wrong. What lies in it is published, what is taken out of it is withdrawn.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use scenario::ServiceTrouble;
use serde::Deserialize;
use words::PayloadPath;

use crate::manifest::Action;
use crate::remediation::Remediation;
use crate::serve::watch::Changed;
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

/// A file as it was read last.
#[derive(Debug, Default)]
struct Known {
    text: String,
    /// The remediation that was published from it.
    published: Option<String>,
    /// Why it is not published as it is now. Another file may be the reason, so it is tried again when one changes.
    rejected: Option<String>,
}

/// A folder, and what was read of it last.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    known: BTreeMap<String, Known>,
    /// Files that could not be read, and are tried again.
    unread: BTreeSet<String>,
    troubles: String,
    down: bool,
}

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            known: BTreeMap::new(),
            unread: BTreeSet::new(),
            troubles: String::new(),
            down: false,
        }
    }

    /// True where nobody is to be let in.
    pub(crate) fn is_down(&self) -> bool {
        self.down
    }

    /// Reads what has changed, and has the service offer what lies in the folder. A file that has not changed is not
    /// read: somebody may be writing it. A link is read each time: what it leads to changes elsewhere. A file that cannot be read changes nothing, and is told: what was published from
    /// it stays.
    pub(crate) fn refresh(
        &mut self,
        service: &RemediationService,
        changed: &Changed,
    ) -> io::Result<()> {
        let mut files = BTreeMap::new();
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries.collect(),
            // It was removed with all that lay in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        for entry in entries {
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
            if let Some(Known { published: Some(id), .. }) = self.known.remove(&name) {
                service.withdraw(&id);
            }
        }
        for (name, path) in &files {
            if changed.names(name) || self.unread.contains(name) || path.is_symlink() {
                self.read(service, name, path);
            }
        }
        self.unread.retain(|name| files.contains_key(name));
        // What stood in the way of one may have gone with another.
        while self.retry(service) {}
        if changed.names(TROUBLES) {
            self.trouble(service, troubles.as_deref());
        }
        Ok(())
    }

    /// Tries the rejected files again. True where one is published now.
    fn retry(&mut self, service: &RemediationService) -> bool {
        let rejected: Vec<(String, String)> = self
            .known
            .iter()
            .filter(|(_, known)| known.rejected.is_some())
            .map(|(name, known)| (name.clone(), known.text.clone()))
            .collect();
        let mut published = false;
        for (name, text) in rejected {
            self.publish(service, &name, text);
            published |= self.known.get(&name).is_some_and(|known| known.rejected.is_none());
        }
        published
    }

    fn read(&mut self, service: &RemediationService, name: &str, path: &Path) {
        let text = match text_of(path) {
            Ok(text) => text,
            // Removed meanwhile: the next change tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                if self.unread.insert(name.to_owned()) {
                    service.not_published(name, &error.to_string());
                }
                return;
            }
        };
        self.unread.remove(name);
        if self.known.get(name).is_none_or(|known| known.text != text) {
            self.publish(service, name, text);
        }
    }

    fn publish(&mut self, service: &RemediationService, name: &str, text: String) {
        let before = self.known.remove(name).unwrap_or_default();
        let published = parse(&text).and_then(|remediation| {
            let id = remediation.id.clone();
            let elsewhere = self.known.values().any(|other| other.published.as_ref() == Some(&id));
            if elsewhere {
                return Err(format!("the remediation `{id}` is in another file, too"));
            }
            service.publish(remediation).map_err(|error| error.to_string())?;
            Ok(id)
        });
        let known = match published {
            Ok(id) => {
                if let Some(before) = before.published.filter(|before| *before != id) {
                    service.withdraw(&before);
                }
                Known { text, published: Some(id), rejected: None }
            }
            Err(reason) => {
                if before.text != text || before.rejected.as_ref() != Some(&reason) {
                    service.not_published(name, &reason);
                }
                Known { text, published: before.published, rejected: Some(reason) }
            }
        };
        self.known.insert(name.to_owned(), known);
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
            if wrong.requests == Some(0) {
                service.not_published(TROUBLES, "a trouble that no request meets; remove it");
                continue;
            }
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
