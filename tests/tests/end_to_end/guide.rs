//! The pages of the guide whose commands need a machine, followed as a reader would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tests::Loopbreak;
use tests::guide::{Page, Place, pages};

fn follow(names: &[&str]) {
    let loopbreak = Loopbreak::built().unwrap();
    for page in pages(&tests::workspace()).unwrap() {
        if names.contains(&page.name.as_str()) {
            let folder = tempfile::tempdir().unwrap();
            let (folder, state, program) =
                (folder.path(), loopbreak.state(), loopbreak.program().canonicalize().unwrap());
            let wrong = Place { folder, state, program: &program }.follow(&page).unwrap();
            assert!(wrong.is_empty(), "{wrong}");
        }
    }
}

// Two tests of about the same length, so that they run side by side.
const VENDOR: [&str; 2] = ["driver-vendor.md", "images.md"];
const OTHERS: [&str; 3] = ["first-run.md", "release-pipeline.md", "researcher.md"];

#[test]
fn a_vendor_gets_what_the_guide_says() {
    follow(&VENDOR);
}

#[test]
fn a_release_engineer_and_a_researcher_get_what_the_guide_says() {
    follow(&OTHERS);
}

#[test]
fn no_page_that_needs_a_machine_is_forgotten() {
    let needed: Vec<Page> = pages(&tests::workspace()).unwrap();
    let needed = needed.iter().filter(|page| page.needs_machine()).map(|page| page.name.as_str());
    let mut followed = [&VENDOR[..], &OTHERS].concat();
    followed.sort_unstable();
    assert_eq!(needed.collect::<Vec<_>>(), followed);
}
