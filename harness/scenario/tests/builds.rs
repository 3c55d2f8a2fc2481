//! Builds in place of what a scenario brings along.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use scenario::Scenario;

const TEXT: &str = r#"
format = 1
name = "b"
title = "t"
description = "d"
[machine]
image = "understudy"
[[fault]]
name = "filter"
kind = "driver-file"
file = "filter.sys"
[[fault]]
name = "package"
kind = "driver-package"
inf = "package/p.inf"
[[fault]]
name = "update"
kind = "update"
folder = "update"
to = 'C:\Windows\System32'
[expect]
verdict = "looping"
"#;

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_build_takes_the_place_of_the_files_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("b");
    write(&home.join("scenario.toml"), TEXT);
    write(&home.join("filter.sys"), "old");
    write(&home.join("package/p.inf"), "old");
    write(&home.join("package/gone.sys"), "old");
    write(&home.join("update/a.dll"), "old");
    let scenario = Scenario::load(&home).unwrap();
    let build = folder.path().join("build");
    write(&build.join("new.sys"), "new");
    write(&build.join("package/p.inf"), "new");
    write(&build.join("package/sub/more.sys"), "new");

    let one = scenario.with_build("filter", &build.join("new.sys")).unwrap();
    assert_eq!(one.files["filter.sys"], b"new");
    assert_eq!(one.files["package/p.inf"], b"old");
    assert_ne!(one.digest(), scenario.digest());

    let one = scenario.with_build("package", &build.join("package")).unwrap();
    let names: Vec<&str> = one.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["filter.sys", "package/p.inf", "package/sub/more.sys", "update/a.dll"]);
    assert_eq!(one.files["package/p.inf"], b"new");

    let told = |name: &str, build: &Path| scenario.with_build(name, build).unwrap_err().to_string();
    assert!(told("filters", &build).contains("it has filter, package, update"));
    assert!(told("filter", &build.join("none.sys")).contains("none.sys"));
    assert!(told("package", &build.join("package/sub")).contains("there is no p.inf in it"));
}
