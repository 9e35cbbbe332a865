//! Captures read back by two readers that are not ours.

use pcap_parser::pcapng::{Block, EnhancedPacketBlock, OptionCode};
use pcap_parser::{PcapBlockOwned, PcapNGSlice};

use super::*;
use crate::fake::{dns, packet, policies, reply, syn};

fn capture() -> Vec<u8> {
    let other = packet(|flow, _| {
        if let Some(endpoint) = &mut flow.endpoint {
            endpoint.pod.name = "a".into();
        }
        flow.time += 1;
    });
    let mut bytes = Vec::new();
    write(&[syn(), dns(None), other, reply()], &policies(), &mut bytes).unwrap();
    bytes
}

fn comment(block: &EnhancedPacketBlock<'_>) -> Option<String> {
    let option = block.options.iter().find(|option| option.code == OptionCode::Comment)?;
    Some(String::from_utf8_lossy(&option.value[..usize::from(option.len)]).into_owned())
}

#[test]
fn another_reader_finds_everything() {
    let bytes = capture();
    let slice = PcapNGSlice::from_slice(&bytes).unwrap();
    let mut interfaces = Vec::new();
    let mut packets = Vec::new();
    for block in slice {
        let PcapBlockOwned::NG(block) = block.unwrap() else { panic!("not pcapng") };
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other block is an error")]
        match block {
            Block::SectionHeader(_) => {}
            Block::InterfaceDescription(block) => {
                assert_eq!(block.if_tsresol, 9);
                interfaces.push(block.if_name().unwrap().unwrap().to_owned());
            }
            Block::EnhancedPacket(block) => {
                let data = &block.data[..block.caplen as usize];
                let time = (u64::from(block.ts_high) << 32) | u64::from(block.ts_low);
                packets.push((block.if_id, time, data.to_vec(), block.origlen, comment(&block)));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(interfaces, ["default/a", "default/nginx"]);
    let Event::Packet(packet) = syn().event else { panic!("`syn` is a packet") };
    let text = "verdict=dropped reason=Policy denied by=default deny (cases/tutorial/deny-all.yaml:3)";
    let said = Some(text.to_owned());
    let time = syn().time;
    assert_eq!(
        packets,
        [
            (1, time, packet.bytes.clone(), 74, said.clone()),
            (0, time + 1, packet.bytes.clone(), 74, said),
            (1, time, packet.bytes, 74, None),
        ]
    );
}

/// Runs where Wireshark's tools are installed; the reader above runs everywhere.
#[test]
fn tshark_reads_it_where_it_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets.pcapng");
    std::fs::write(&path, capture()).unwrap();
    let fields = ["-e", "frame.interface_name", "-e", "frame.comment"];
    let run = std::process::Command::new("tshark")
        .arg("-r")
        .arg(&path)
        .args(["-T", "fields"])
        .args(fields)
        .output();
    let Ok(output) = run else { return };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("default/nginx\tverdict=dropped reason=Policy denied"), "{text}");
}
