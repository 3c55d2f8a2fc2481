//! Which line of systems an image is of: what its profile says, else what follows from its disk. Outcomes of images
//! of one line are held against the same references, so a line is as fine as what systems are known to do
//! differently, and no finer: a monthly update does not make another one.

use words::ImageLine;

use super::facts::Facts;

/// The line that follows from what was found on a disk, with the reason; `None` where the disk does not say which
/// system it holds.
pub(super) fn proposed_line(facts: &Facts) -> (Option<ImageLine>, String) {
    let folder = facts.folder.as_deref().unwrap_or_default();
    let product = facts.product.as_deref().unwrap_or_default();
    let (line, reason) = if folder.eq_ignore_ascii_case("ReactOS") || product.contains("ReactOS") {
        (Some(reactos(facts)), format!("Its folder is \"{folder}\", its name \"{product}\"."))
    } else if let Some(windows) = windows(facts, product) {
        let build = facts.build.unwrap_or_default();
        (Some(windows), format!("\"{product}\" of build {build}."))
    } else {
        // A model of this project calls itself by the project's name first, and behind its own says what it is not.
        let own = product.split(" (").next().unwrap_or_default();
        (
            Some(own.strip_prefix(OWN_MODEL).unwrap_or(own).to_owned()),
            format!("It calls itself \"{product}\"."),
        )
    };
    match line.and_then(|line| ImageLine::near(&line)) {
        Some(line) => (Some(line), format!("{reason} References are found by it.")),
        None => (
            None,
            "The disk does not say which system it holds; the image's name is used.".to_owned(),
        ),
    }
}

/// The line of an image whose profile names none. One whose disk does not tell goes by its own name: of two systems
/// that are not known nobody can say that they do the same.
pub(crate) fn line_of(facts: &Facts, image: &str) -> ImageLine {
    let own = || ImageLine::near(image);
    proposed_line(facts).0.or_else(own).unwrap_or_else(ImageLine::unknown)
}

fn reactos(facts: &Facts) -> String {
    let texts = [facts.version.as_deref(), facts.product.as_deref()];
    let version = texts.into_iter().flatten().find_map(|text| {
        text.split_whitespace().find_map(|word| {
            let mut numbers = word.split('.').map(|part| part.parse::<u16>());
            match (numbers.next(), numbers.next()) {
                (Some(Ok(major)), Some(Ok(minor))) => Some(format!("{major}.{minor}")),
                _ => None,
            }
        })
    });
    version.map_or_else(|| "reactos".to_owned(), |version| format!("reactos-{version}"))
}

/// The name by which a model of this project begins.
const OWN_MODEL: &str = "loopbreak ";

/// Whether a system is one of this project's models.
pub(super) fn is_own_model(facts: &Facts) -> bool {
    facts.product.as_deref().is_some_and(|product| product.starts_with(OWN_MODEL))
}

/// Whether a system is Windows. Most begin their names so; some do not ("Hyper-V Server 2019", "Azure Stack HCI", what a
/// maker of machines writes there), and say which installation they are, as each Windows since Vista does.
pub(super) fn is_windows(facts: &Facts) -> bool {
    let product = facts.product.as_deref().unwrap_or_default();
    let folder = facts.folder.as_deref().unwrap_or_default();
    if is_own_model(facts) || product.contains("ReactOS") || folder.eq_ignore_ascii_case("ReactOS")
    {
        return false;
    }
    let named = ["Windows", "Microsoft Windows", "Microsoft(R) Windows"];
    named.iter().any(|name| product.starts_with(name)) || facts.installation.is_some()
}

/// By build number: Windows 11 still calls itself "Windows 10" in the registry.
fn windows(facts: &Facts, product: &str) -> Option<String> {
    let build = facts.build?;
    if !is_windows(facts) {
        return None;
    }
    let server = product.contains("Server")
        || facts.installation.as_deref().is_some_and(|kind| kind.starts_with("Server"));
    let (name, has_versions) = if server { (server_of(build), false) } else { client_of(build) };
    let mut line = format!("windows-{name}");
    if has_versions && let Some(version) = facts.version.as_deref() {
        line += &format!("-{version}");
    }
    // From Vista on the usual one is 64-bit; drivers and dumps of the other are not the same.
    if build >= 6000
        && let Some(other @ ("x86" | "arm64")) = facts.architecture.as_deref()
    {
        line += &format!("-{other}");
    }
    Some(line)
}

/// The client of a build, and whether its versions (22H2, 24H2) tell systems apart.
fn client_of(build: u32) -> (String, bool) {
    let name = match build {
        22000.. => return ("11".to_owned(), true),
        10240.. => return ("10".to_owned(), true),
        9600 => "8.1",
        9200 => "8",
        7600 | 7601 => "7",
        6000..=6003 => "vista",
        2600 | 3790 => "xp",
        2195 => "2000",
        _ => return (format!("build-{build}"), false),
    };
    (name.to_owned(), false)
}

fn server_of(build: u32) -> String {
    let name = match build {
        26100 => "2025",
        20348 => "2022",
        17763 => "2019",
        14393 => "2016",
        9600 => "2012-r2",
        9200 => "2012",
        7600 | 7601 => "2008-r2",
        6001..=6003 => "2008",
        3790 => "2003",
        2195 => "2000",
        _ => return format!("server-build-{build}"),
    };
    format!("server-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(product: &str, build: u32, version: &str, rest: Facts) -> String {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let facts = Facts {
            product: text(product),
            build: (build > 0).then_some(build),
            version: text(version),
            ..rest
        };
        line_of(&facts, "my-image").to_string()
    }

    #[test]
    fn the_line_follows_from_what_a_system_says_of_itself() {
        let folder = |name: &str| Facts { folder: Some(name.to_owned()), ..Facts::default() };
        let x86 = || Facts { architecture: Some("x86".to_owned()), ..folder("Windows") };
        let server = || Facts { installation: Some("Server Core".to_owned()), ..folder("Windows") };
        let plain = Facts::default;
        for (product, build, version, rest, expected) in [
            ("Windows 10 Pro", 26100, "24H2", folder("Windows"), "windows-11-24h2"),
            ("Windows 10 Pro", 19045, "22H2", plain(), "windows-10-22h2"),
            ("Windows 10 Pro", 19045, "22H2", x86(), "windows-10-22h2-x86"),
            ("Windows 10 Home", 10240, "", plain(), "windows-10"),
            ("Windows Server 2025 Standard", 26100, "24H2", server(), "windows-server-2025"),
            ("Windows Server 2012 R2 Datacenter", 9600, "", plain(), "windows-server-2012-r2"),
            ("Hyper-V Server 2019", 17763, "1809", server(), "windows-server-2019"),
            ("Azure Stack HCI", 20348, "22H2", server(), "windows-server-2022"),
            ("Windows 7 Ultimate", 7601, "", plain(), "windows-7"),
            ("Microsoft Windows XP", 2600, "", x86(), "windows-xp"),
            ("Windows Server", 25398, "23H2", server(), "windows-server-build-25398"),
            // ReactOS may say that it is a Windows Server 2003; its folder says that it is not.
            ("Microsoft Windows Server 2003", 3790, "", folder("ReactOS"), "reactos"),
            ("ReactOS 0.4.15-dev", 3790, "", folder("ReactOS"), "reactos-0.4"),
            (
                "loopbreak understudy (a model of Windows, not Windows)",
                26100,
                "24H2",
                plain(),
                "understudy",
            ),
            ("OS/2 Warp 4", 0, "", plain(), "os-2-warp-4"),
            ("", 0, "", plain(), "my-image"),
            ("\u{202e}", 0, "", plain(), "my-image"),
        ] {
            assert_eq!(line(product, build, version, rest), expected, "{product}");
        }
    }
}
