//! From inside a machine nothing but its services answers: not the host's loopback, not another port of the
//! gateway, not an outside address.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hypervisor::{Hypervisor, Libvirt, MachineProfile, MachineSpec, Options};
use network::{Connection, Network, NetworkConfig, Service};
use serde_json::Value;
use tests::Loopbreak;
use timeline::{Body, Sink};
use tokio::io::AsyncWriteExt;

const LIMIT: Duration = Duration::from_secs(300);

async fn answer(mut connection: Connection, _peer: std::net::SocketAddrV4) {
    // A machine that went away is none of this service's business.
    let _ = connection.write_all(b"hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_services_of_the_scenario_answer() {
    let loopbreak = Loopbreak::built().unwrap();
    // Something that would answer, if the machine could reach the host.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let host_port = host.local_addr().unwrap().port().to_string();

    let scratch = tempfile::Builder::new().prefix("lb-").tempdir().unwrap();
    let staged = scratch.path().join("staged");
    loopbreak
        .expect(0, &["scenario", "stage", "channel-file-291-good", "-o", staged.to_str().unwrap()])
        .unwrap();
    let state = disk::Store::open(loopbreak.state()).unwrap();
    let profile = MachineProfile::read(&state.image("understudy").unwrap().profile()).unwrap();

    let events: Arc<Mutex<Vec<Body>>> = Arc::default();
    let sink = {
        let events = Arc::clone(&events);
        Sink::new(move |seen| events.lock().unwrap().push(seen.body))
    };
    let sockets = scratch.path().join("m");
    std::fs::create_dir(&sockets).unwrap();
    let service = Service {
        name: "greeter".to_owned(),
        host: "greeter.loopbreak.test".to_owned(),
        port: 8080,
        handler: Arc::new(answer),
    };
    let cable = sockets.join("cable");
    let capture = scratch.path().join("network.pcapng");
    let config = NetworkConfig::new(&cable, &capture, vec![service]);
    let network = Network::start(config, sink.clone()).unwrap();
    let libvirt = Libvirt::open(Options::embedded(scratch.path().join("v"))).await.unwrap();
    let spec = MachineSpec {
        name: format!("loopbreak-isolation-{}", std::process::id()),
        profile,
        disk: staged.join("disk.qcow2"),
        disk_socket: None,
        firmware_code: None,
        firmware_vars: Some(staged.join("vars.fd")),
        tpm_state: None,
        cable: Some(cable),
        sockets,
        evidence: scratch.path().join("evidence"),
        fw_cfg: Vec::new(),
        clock: None,
    };
    let machine = libvirt.start(&spec, sink).await.unwrap();
    machine.agent().wait_up(LIMIT).await.unwrap();

    let probe = async |words: &[&str]| -> Value {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let result = machine.agent().exec("probe", &words, LIMIT).await.unwrap();
        serde_json::from_slice(&result.stdout).unwrap()
    };
    // The service of the scenario answers, by name and by address.
    let greeter = probe(&["dns", "greeter.loopbreak.test"]).await;
    assert_eq!(greeter["reached"], true, "{greeter}");
    let gateway = greeter["address"].as_str().unwrap().to_owned();
    for host in ["greeter.loopbreak.test", &gateway] {
        let reached = probe(&["tcp", host, "8080"]).await;
        assert_eq!(reached["reached"], true, "{reached}");
    }
    // Nothing else does.
    for words in [
        ["tcp", gateway.as_str(), host_port.as_str()],
        ["tcp", gateway.as_str(), "22"],
        ["tcp", gateway.as_str(), "8081"],
        ["tcp", "10.0.2.3", "8080"],
        ["tcp", "192.0.2.1", "80"],
        ["udp", gateway.as_str(), "123"],
        ["udp", "192.0.2.1", "53"],
    ] {
        let reached = probe(&words).await;
        assert_eq!(reached["reached"], false, "{reached}");
    }
    for words in [["ping", gateway.as_str()], ["ping", "192.0.2.1"], ["dns", "example.com"]] {
        let reached = probe(&words).await;
        assert_eq!(reached["reached"], false, "{reached}");
    }
    machine.destroy().await.unwrap();
    network.stop().await.unwrap();

    // The host saw nobody, and what the machine tried is on record.
    host.set_nonblocking(true).unwrap();
    assert_eq!(host.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let events = events.lock().unwrap();
    let refused = |wanted: &str| {
        events
            .iter()
            .any(|body| matches!(body, Body::Refused { protocol, .. } if protocol == wanted))
    };
    assert!(refused("tcp") && refused("udp") && refused("icmp"), "{events:?}");
    let capture = std::fs::metadata(&capture).unwrap();
    assert!(capture.len() > 0);
}
