//! What pods and hosts serve.

use egret_core::Protocol;
use egret_core::world::{Application, Serve};

use super::parts::Given;
use super::problems::Problems;
use crate::case::schema::{ApplicationsFile, PortText, PortsFile, ProtocolWord, ServesFile};
use crate::diagnostic::Diagnostic;
use crate::source::Location;
use crate::yaml::Short;

/// What answers where nothing is said: HTTP on port 80.
pub(super) fn default() -> Vec<Serve> {
    vec![Serve { name: None, port: 80, protocol: Protocol::Tcp, application: Application::Identity }]
}

/// The ports that a file gives.
pub(super) fn lower<T>(given: &Given<T>, serves: Option<&ServesFile>, problems: &mut Problems) -> Vec<Serve> {
    let Some(serves) = serves else { return default() };
    let mut found = Vec::new();
    match serves {
        ServesFile::Applications(applications) => of_applications(given, applications, &mut found, problems),
        ServesFile::Ports(ports) => {
            for port in ports {
                let at = given.place(port);
                let (name, number) = match &port.value {
                    Short::Word(PortText::Number(number)) => (None, Some((*number, Protocol::Tcp))),
                    Short::Word(PortText::Text(text)) => (None, parse(text, &at, problems)),
                    Short::Long(port) => (port.name.clone(), Some((port.port, protocol(port.protocol)))),
                };
                let Some((port, protocol)) = number else { continue };
                let serve = Serve { name, port, protocol, application: Application::Identity };
                push(&mut found, serve, &at, problems);
            }
        }
    }
    found
}

fn of_applications<T>(
    given: &Given<T>,
    file: &ApplicationsFile,
    found: &mut Vec<Serve>,
    problems: &mut Problems,
) {
    let ApplicationsFile { http, https, dns } = file;
    let mut each = |ports: &Option<PortsFile>, application, protocols: &[Protocol]| {
        let Some(ports) = ports else { return };
        let at = given.place(ports);
        let numbers = match &ports.value {
            Short::Word(number) => std::slice::from_ref(number),
            Short::Long(numbers) => numbers.as_slice(),
        };
        for (port, protocol) in numbers.iter().flat_map(|port| protocols.iter().map(move |p| (*port, *p))) {
            push(found, Serve { name: None, port, protocol, application }, &at, problems);
        }
    };
    each(http, Application::Identity, &[Protocol::Tcp]);
    each(https, Application::Https, &[Protocol::Tcp]);
    each(dns, Application::ClusterDns, &[Protocol::Udp, Protocol::Tcp]);
}

/// One container port may have several names; two servers on one port are a mistake.
fn push(found: &mut Vec<Serve>, serve: Serve, at: &Location, problems: &mut Problems) {
    let same = |other: &Serve| (other.port, other.protocol) == (serve.port, serve.protocol);
    if serve.port == 0 {
        problems.add(Diagnostic::error("port 0 cannot be served").at(at.clone()));
    } else if found.iter().any(|other| same(other) && (other.name.is_none() || other.name == serve.name)) {
        problems.add(
            Diagnostic::error(format!("port {}/{} is served twice", serve.port, serve.protocol))
                .at(at.clone()),
        );
    } else {
        found.push(serve);
    }
}

/// Reads `81` or `81/UDP`.
pub(super) fn parse(text: &str, at: &Location, problems: &mut Problems) -> Option<(u16, Protocol)> {
    let (number, protocol) = match text.split_once('/') {
        Some((number, word)) => {
            let place = at.part(text, text.len() - word.len()..text.len());
            (number, parse_protocol(word, &place, problems)?)
        }
        None => (text, Protocol::Tcp),
    };
    let number = number.parse().ok().filter(|number| *number > 0);
    let number = problems.expect(number, || {
        Diagnostic::error(format!("`{text}` is not a port"))
            .at(at.clone())
            .help("a number from 1 to 65535, then `/UDP` or `/SCTP` if it is not TCP")
    })?;
    Some((number, protocol))
}

/// Reads a transport protocol.
pub(super) fn parse_protocol(word: &str, at: &Location, problems: &mut Problems) -> Option<Protocol> {
    match word {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => {
            problems.add(
                Diagnostic::error(format!("unknown protocol `{word}`"))
                    .at(at.clone())
                    .nearest(word, &["TCP", "UDP", "SCTP"]),
            );
            None
        }
    }
}

/// The protocol of a word of the schema.
pub(crate) fn protocol(word: ProtocolWord) -> Protocol {
    match word {
        ProtocolWord::Tcp => Protocol::Tcp,
        ProtocolWord::Udp => Protocol::Udp,
        ProtocolWord::Sctp => Protocol::Sctp,
    }
}
