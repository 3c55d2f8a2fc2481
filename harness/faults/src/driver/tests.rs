use super::*;
#[test]
fn dump() {
    let image = build(&DriverKind::named("content-driver").unwrap()).unwrap();
    std::fs::write("/tmp/csagent.sys", image).unwrap();
}
