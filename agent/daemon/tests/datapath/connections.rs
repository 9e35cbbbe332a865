//! Connection tracking in the kernel.

use egret_shared::decide::conntrack::TCP_ESTABLISHED;
use egret_shared::decide::conntrack::tcp::{ACK, RST, SYN};
use egret_shared::{Action, CtStatus, Direction, DropReason, Identity, MARK_FROM_PROXY, MARK_TO_PROXY};
use libtest_mimic::Failed;

use super::Body;
use super::bench::{Bench, EGRESS, INGRESS, PEER, POD, Row, same};
use super::frames::{echo, port_unreachable, tcp, udp};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("an answer passes whatever the other direction's policy says", answers_pass),
    ("a packet that answers nothing asks policy", no_answer_without_question),
    ("an established connection asks policy again with every packet", revoked),
    ("an echo reply belongs to its request", ping),
    ("an error about a connection passes, one about nothing does not", errors),
    ("a connection ends when its time is over", aged),
    ("a closed connection's ports open a new one", reopened),
    ("an answer goes to whoever asked last, the proxy or the pod itself", answers_follow),
];

const ALLOW_ALL: Row = Row { peer: Identity::ANY, protocol: 0, port: 0, action: Action::Allow, rule: 20 };

fn egress_open(bench: &mut Bench) -> Result<(), Failed> {
    bench.enforce(INGRESS, EGRESS)?;
    bench.entry(EGRESS, ALLOW_ALL)
}

fn answers_pass(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?.forwarded()?;
    let ran = bench.run(Direction::Ingress, &tcp((PEER, 80), (POD, 40000), SYN | ACK))?;
    same("status", ran.forwarded()?.status, CtStatus::Reply as u8)?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), ACK))?;
    same("status", ran.forwarded()?.status, CtStatus::Established as u8)
}

fn no_answer_without_question(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench
        .run(Direction::Ingress, &tcp((PEER, 80), (POD, 40000), SYN | ACK))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn revoked(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?.forwarded()?;
    bench.enforce(INGRESS, EGRESS + 1)?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), ACK))?;
    same("status", ran.dropped(DropReason::PolicyDenied)?.status, CtStatus::Established as u8)?;
    // The server's side of the connection is not asked.
    bench.run(Direction::Ingress, &tcp((PEER, 80), (POD, 40000), ACK))?.forwarded()?;
    Ok(())
}

fn ping(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench.run(Direction::Egress, &echo(POD, PEER, 8, 77))?.forwarded()?;
    let ran = bench.run(Direction::Ingress, &echo(PEER, POD, 0, 77))?;
    same("status", ran.forwarded()?.status, CtStatus::Reply as u8)?;
    bench.run(Direction::Ingress, &echo(PEER, POD, 0, 78))?.dropped(DropReason::PolicyDenied)?;
    bench.run(Direction::Ingress, &echo(PEER, POD, 8, 77))?.dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn errors(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    let sent = udp((POD, 40000), (PEER, 9));
    bench.run(Direction::Egress, &sent)?.forwarded()?;
    let ran = bench.run(Direction::Ingress, &port_unreachable(PEER, POD, &sent))?;
    same("status", ran.forwarded()?.status, CtStatus::Related as u8)?;
    let never_sent = udp((POD, 40001), (PEER, 9));
    bench
        .run(Direction::Ingress, &port_unreachable(PEER, POD, &never_sent))?
        .dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn aged(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?.forwarded()?;
    bench.run(Direction::Ingress, &tcp((PEER, 80), (POD, 40000), SYN | ACK))?.forwarded()?;
    bench.datapath.maps.set_clock_offset(TCP_ESTABLISHED + 1_000_000_000)?;
    bench.run(Direction::Ingress, &tcp((PEER, 80), (POD, 40000), ACK))?.dropped(DropReason::PolicyDenied)?;
    Ok(())
}

fn reopened(bench: &mut Bench) -> Result<(), Failed> {
    egress_open(bench)?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?.forwarded()?;
    bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), RST))?.forwarded()?;
    let ran = bench.run(Direction::Egress, &tcp((POD, 40000), (PEER, 80), SYN))?;
    same("status", ran.forwarded()?.status, CtStatus::New as u8)
}

/// The proxy asks in its client's name from a port that it chooses itself, which the client may have used before.
fn answers_follow(bench: &mut Bench) -> Result<(), Failed> {
    let question = udp((PEER, 40000), (POD, 53));
    let answer = udp((POD, 53), (PEER, 40000));
    for (mark_in, mark_out) in [(0, 0), (MARK_FROM_PROXY, MARK_TO_PROXY), (0, 0)] {
        bench.run_marked(Direction::Ingress, &question, mark_in)?.forwarded()?;
        let ran = bench.run(Direction::Egress, &answer)?;
        same("status", ran.forwarded()?.status, CtStatus::Reply as u8)?;
        same("mark of the answer", ran.mark, mark_out)?;
    }
    Ok(())
}
