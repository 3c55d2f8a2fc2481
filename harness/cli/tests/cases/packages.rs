//! Driver packages as their makers wrote them, on a system whose version decides what of them is installed.

use crate::unpacked::{case, folder};
use crate::{json, says, text};

/// A scenario with one of the packages, in a folder below `state`; whatever files it copies are there.
fn scenario(state: &std::path::Path, inf: &str, files: &[&str]) -> std::path::PathBuf {
    let home = state.join("package");
    std::fs::create_dir_all(home.join("p")).unwrap();
    std::fs::copy(folder().join("40-inf").join(inf), home.join("p").join(inf)).unwrap();
    for file in files {
        let dummy = folder().join("40-inf/dummy.sys");
        std::fs::copy(dummy, home.join("p").join(file)).unwrap();
    }
    let written = home.join("scenario.toml");
    let scenario = format!(
        "format = 1\nname = \"package\"\ntitle = \"x\"\ndescription = \"x\"\n\
         [machine]\nimage = \"base\"\nstart = \"cold\"\nlacks = [\"default-entry\"]\n\
         [[fault]]\nname = \"p\"\nkind = \"driver-package\"\ninf = \"p/{inf}\"\n\
         [expect]\nverdict = \"unaffected\"\n"
    );
    std::fs::write(&written, scenario).unwrap();
    written
}

/// Of two install sections the one for the system's version is taken, with what its service depends on.
#[test]
fn the_section_is_that_of_the_system_s_version() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path();
    let Some(disk) = case("40-base-build-26100.raw", state) else { return };
    let profile = folder().join("profile-with-healthy-marker.toml");
    says(state, &["image", "import", text(&disk), "--name", "base", "--profile", text(&profile)]);
    let file = scenario(state, "minispy.inf", &["minispy.sys"]);
    let plan = json(state, &["plan", "run", text(&file), "--json"]).to_string();
    // The section of build 25952 and later copies to the driver store, the other one to `drivers`.
    assert!(plan.contains("DriverStore"), "{plan}");
    assert!(!plan.contains(r"System32\\drivers\\minispy.sys"), "{plan}");
    for value in ["DependOnService", "Description", r"Parameters\\Instances", "370000"] {
        assert!(plan.contains(value), "{value}: {plan}");
    }
}
