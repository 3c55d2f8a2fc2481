//! The agent's channel and RAM checkpoints with a guest that has an agent: an image bundle (disk.qcow2,
//! vars.fd, profile.toml) in the directory that `LOOPBREAK_TEST_BUNDLE` names.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use hypervisor::{AgentError, Hypervisor as _, MachineProfile, MachineSpec};
use timeline::{Body, Phase, StartedFrom};

use crate::support::{Seen, libvirt, overlay, tools_are_here};

const LIMIT: Duration = Duration::from_secs(180);
const PATH: &str = r"C:\Windows\Temp\loopbreak-test.bin";

fn bundle() -> Option<PathBuf> {
    let bundle = std::env::var_os("LOOPBREAK_TEST_BUNDLE").map(PathBuf::from);
    if bundle.is_none() {
        println!("skipped: LOOPBREAK_TEST_BUNDLE names no image bundle");
    }
    bundle.filter(|_| tools_are_here())
}

fn spec(
    directory: &Path,
    name: &str,
    profile: &MachineProfile,
    disk: &Path,
    variables: &Path,
) -> Result<MachineSpec> {
    let own = directory.join(format!("{name}.fd"));
    std::fs::copy(variables, &own)?;
    Ok(MachineSpec {
        name: format!("loopbreak-test{}-{name}", std::process::id()),
        profile: profile.clone(),
        disk: overlay(disk, directory, name)?,
        disk_socket: None,
        firmware_code: None,
        firmware_vars: Some(own),
        tpm_state: None,
        cable: None,
        sockets: directory.join(format!("s-{name}")),
        evidence: directory.join(format!("e-{name}")),
        fw_cfg: vec![("opt/org.loopbreak/time-scale".to_owned(), "60".to_owned())],
        clock: Some(1_721_362_140),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_answers_before_and_after_checkpoints_and_resets() -> Result<()> {
    let Some(bundle) = bundle() else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let profile = MachineProfile::read(&bundle.join("profile.toml"))?;
    let marker = profile.markers.iter().find(|marker| marker.phase == Phase::Healthy).cloned();
    let healthy = move |body: &Body| match (&marker, body) {
        (Some(marker), Body::SerialLine { text, .. }) => text.starts_with(&marker.starts_with),
        _ => false,
    };
    let hypervisor = libvirt().await?;

    let cold = Instant::now();
    let seen = Seen::default();
    let first =
        spec(directory.path(), "a", &profile, &bundle.join("disk.qcow2"), &bundle.join("vars.fd"))?;
    let machine = hypervisor.start(&first, seen.sink()).await?;
    machine.agent().wait_up(LIMIT).await?;
    seen.wait(1, "a healthy boot", &healthy).await?;
    let cold = cold.elapsed();
    println!("cold boot to healthy: {cold:?}");
    println!("{:?} {:?}", machine.agent().info().await?, machine.agent().os_info().await?);
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at / 7) as u8).collect();
    let proof = machine.agent().write_file(PATH, &bytes).await?;
    assert!(proof.closed);
    assert!(machine.agent().read_file(r"C:\no\such\file", 10).await.is_err());
    let save = Instant::now();
    let ram = directory.path().join("ram");
    machine.save(&ram).await?;
    println!("save: {:?}, {} KiB", save.elapsed(), std::fs::metadata(&ram)?.len() >> 10);

    let fork = async |name: &str| -> Result<_> {
        let variables = first.firmware_vars.as_ref().expect("set above");
        let spec = spec(directory.path(), name, &profile, &first.disk, variables)?;
        let seen = Seen::default();
        let begun = Instant::now();
        let machine = hypervisor.restore(&ram, &spec, seen.sink()).await?;
        let restored = begun.elapsed();
        machine.agent().wait_up(LIMIT).await?;
        println!("fork {name}: restored after {restored:?}, agent after {:?}", begun.elapsed());
        let name = name.to_owned();
        machine.agent().write_file(PATH, name.as_bytes()).await?;
        Ok((machine, seen))
    };
    let (one, two) = tokio::join!(fork("one"), fork("two"));
    let ((one, one_seen), (two, two_seen)) = (one?, two?);
    assert_eq!(one.agent().read_file(PATH, 100).await?, b"one");
    assert_eq!(two.agent().read_file(PATH, 100).await?, b"two");
    for seen in [&one_seen, &two_seen] {
        assert_eq!(seen.count(|body| *body == Body::AgentUp), 1);
        let from = Body::MachineStarted { from: StartedFrom::Checkpoint };
        assert_eq!(seen.count(|body| *body == from), 1);
    }

    // After a reset the agent is another one; what was asked of the old one is not answered late.
    two.destroy().await?;
    let begun = Instant::now();
    one.reset().await?;
    one_seen.wait(1, "the reset", |body| matches!(body, Body::Reset { .. })).await?;
    one.agent().wait_up(LIMIT).await?;
    println!("agent after a reset: {:?}", begun.elapsed());
    assert_eq!(one_seen.count(|body| *body == Body::AgentUp), 2);
    one.agent().ping().await?;
    one.destroy().await?;
    assert!(matches!(one.agent().ping().await, Err(AgentError::GuestGone { .. })));
    Ok(())
}
