//! A real QEMU on the other end of the cable: the boot ROM of its network card asks for an address.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Stdio;
use std::time::Duration;

use network::{Network, NetworkConfig};
use pcap_file::pcapng::{Block, PcapNgReader};
use timeline::Sink;
use tokio::process::Command;

const QEMU: &str = "qemu-system-x86_64";

/// The DHCP message types in a capture, in order.
fn dhcp_types(path: &std::path::Path) -> Vec<u8> {
    let mut reader = PcapNgReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut types = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
        let message = packet.data.get(42..).unwrap_or_default();
        if packet.data.get(12..14) == Some(&[8, 0])
            && message.get(236..240) == Some(&[99, 130, 83, 99])
        {
            let at = message.windows(2).skip(240).position(|pair| pair == [53, 1]);
            types.extend(at.and_then(|at| message.get(240 + at + 2)));
        }
    }
    types
}

#[tokio::test]
async fn the_boot_rom_of_a_real_network_card_gets_its_lease() {
    if std::process::Command::new(QEMU).arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: {QEMU} is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("net.pcapng");
    let config = NetworkConfig::new(directory.path().join("net.sock"), &capture, Vec::new());
    let network = Network::start(config, Sink::new(|_| {})).unwrap();
    let mut qemu = Command::new(QEMU)
        .args(["-nodefaults", "-display", "none", "-accel", "tcg", "-m", "64", "-boot", "n"])
        .args([
            "-netdev",
            &format!(
                "stream,id=n0,server=off,addr.type=unix,addr.path={}",
                network.socket().display()
            ),
        ])
        .args(["-device", "virtio-net-pci,netdev=n0"])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut report = network.report();
    let leased = report.wait_for(|report| report.leases > 0);
    tokio::time::timeout(Duration::from_secs(120), leased).await.expect("a lease").unwrap();
    qemu.kill().await.unwrap();
    let report = network.stop().await.unwrap();
    assert_eq!(report.links, 1);
    let types = dhcp_types(&capture);
    // Discover, offer, request, acknowledgement; the ROM may discover more than once.
    assert!(types.starts_with(&[1, 2]), "{types:?}");
    assert!(types.ends_with(&[3, 5]), "{types:?}");
}
