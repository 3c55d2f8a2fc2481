//! What the machines of a libvirt daemon may reach.
//!
//! The machine's disk, its variables and the sockets on which the harness waits for it lie with whoever runs the
//! harness. A daemon has its emulators under an account of its own, which reaches none of them. So they run under
//! ours (libvirt: "Domain XML format", security label); and whether the daemon sees our files at all is found out
//! before anything starts.

use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};
use virt::connect::Connect;
use virt::domain::Domain;

use crate::checkpoint::SaveHeader;
use crate::error::HypervisorError;

/// Under which labels a machine's emulator runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// `+uid:+gid`, where the daemon chooses an account for its emulators.
    pub(crate) account: Option<String>,
    /// Models that would confine the emulator to what is in libvirt's own elements (`selinux`, `apparmor`). Its
    /// cable and its agent's socket are not.
    pub(crate) unconfined: Vec<String>,
}

impl Labels {
    /// Of the daemon behind `connect`. Blocking.
    pub(crate) fn of(connect: &Connect) -> Result<Self, virt::error::Error> {
        let account = format!("+{}:+{}", geteuid().as_raw(), getegid().as_raw());
        Ok(Self::from_capabilities(&connect.get_capabilities()?, &account))
    }

    /// libvirt: "Driver capabilities XML format", `<host><secmodel><model>`. What is not XML has no models: the
    /// machine then fails to start, with libvirt's reason, or its cable is missed.
    fn from_capabilities(capabilities: &str, account: &str) -> Self {
        let mut labels = Self::default();
        let Ok(document) = roxmltree::Document::parse(capabilities) else { return labels };
        let models = document.descendants().filter(|node| {
            node.has_tag_name("model")
                && node.parent().is_some_and(|parent| parent.has_tag_name("secmodel"))
        });
        for model in models.filter_map(|node| node.text()) {
            match model {
                "dac" => labels.account = Some(account.to_owned()),
                "none" => {}
                other => labels.unconfined.push(other.to_owned()),
            }
        }
        labels
    }
}

/// Refuses a daemon that does not see these directories as this process does: one on another host, one in a
/// container, one whose account may not read them. Blocking.
///
/// It is asked what stands in a file that was just written there, which libvirt answers for save files.
pub(crate) fn check_reach(
    connect: &Connect,
    uri: &str,
    directories: &[PathBuf],
) -> Result<(), HypervisorError> {
    let refused = |why: String| HypervisorError::Unsupported {
        what: format!("a machine through {uri}"),
        why,
    };
    let there = connect.get_hostname().map_err(|error| refused(error.message().to_owned()))?;
    let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if first_label(&there) != first_label(&here) {
        return Err(refused(format!(
            "it is on the host {there}, and disk, network cable and agent of a machine are served here, on {here}; \
             run loopbreak on {there}"
        )));
    }
    for directory in directories {
        let name = format!("loopbreak-probe-{}", std::process::id());
        let seen = asked(connect, directory, &name);
        let seen = seen.map_err(|(file, error)| HypervisorError::io("write", file, error))?;
        if let Err(said) = seen {
            return Err(refused(format!(
                "its daemon does not see the directory {}: {said}; give a directory that the daemon's host and \
                 account can read (--state, and TMPDIR for sockets)",
                directory.display()
            )));
        }
    }
    Ok(())
}

/// Whether the daemon reads in `directory` what was written there; if not, its words.
fn asked(
    connect: &Connect,
    directory: &Path,
    name: &str,
) -> Result<Result<(), String>, (PathBuf, std::io::Error)> {
    let file = tempfile::Builder::new()
        .prefix(".probe-")
        .tempfile_in(directory)
        .map_err(|error| (directory.to_owned(), error))?;
    let failed = |error| (file.path().to_owned(), error);
    let xml = format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>1</memory><os><type>hvm</type></os></domain>"
    );
    let header = SaveHeader::alone(&xml).map_err(std::io::Error::other).map_err(failed)?;
    fs_err::write(file.path(), header).map_err(failed)?;
    let Some(path) = file.path().to_str() else {
        return Ok(Err("its name is not UTF-8".to_owned()));
    };
    Ok(match Domain::save_image_get_xml_desc(connect, path, 0) {
        Ok(xml) if xml.contains(name) => Ok(()),
        Ok(_) => Err("another file lies in its place".to_owned()),
        Err(error) => Err(error.message().to_owned()),
    })
}

fn first_label(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_models_of_the_daemon() {
        let of = |models: &str| {
            let xml = format!("<capabilities><host>{models}</host></capabilities>");
            Labels::from_capabilities(&xml, "+1000:+100")
        };
        let dac = "<secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+108</baselabel></secmodel>";
        let apparmor = "<secmodel><model>apparmor</model><doi>0</doi></secmodel>";
        // A daemon of the system, on Debian and on Ubuntu.
        let labels = of(dac);
        assert_eq!(labels.account.as_deref(), Some("+1000:+100"));
        assert!(labels.unconfined.is_empty());
        assert_eq!(of(&format!("{apparmor}{dac}")).unconfined, ["apparmor"]);
        // A user's own daemon, whose emulators are the user's; and one that answers rubbish.
        assert_eq!(of("<secmodel><model>none</model><doi>0</doi></secmodel>"), Labels::default());
        assert_eq!(Labels::from_capabilities("<capabilities", "+0:+0"), Labels::default());
        // The name of a processor is a model too.
        assert_eq!(of("<cpu><model>EPYC</model></cpu>"), Labels::default());
    }

    #[test]
    fn a_host_is_told_by_its_own_name() {
        assert_eq!(first_label("build-7.example.org"), first_label("build-7"));
        assert_ne!(first_label("build-7.example.org"), first_label("build-8"));
    }
}
