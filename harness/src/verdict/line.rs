//! One line of input: the shape of a flow, with its texts borrowed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use egret_core::Protocol;
use egret_core::judge::Layer7;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::answer;

/// A flow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    #[serde(borrow, default)]
    pub(super) id: Id<'a>,
    #[serde(borrow)]
    pub(super) from: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) to: Cow<'a, str>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(borrow, default)]
    protocol: Option<Text<'a>>,
    #[serde(default)]
    icmp_type: Option<u8>,
    #[serde(default)]
    http: Option<HttpSeen>,
    #[serde(default)]
    dns: Option<String>,
    #[serde(default)]
    sni: Option<String>,
}

/// An HTTP request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSeen {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// What the asker calls the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Id<'a> {
    /// Nothing was given.
    #[default]
    None,
    Text(Cow<'a, str>),
    Number(i64),
}

/// A text that is borrowed where it holds no escapes; serde borrows a bare `Cow` but none inside an `Option`.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The identifier of a line that is no flow, as far as it can be read.
pub(super) fn id_of(text: &[u8]) -> Id<'static> {
    #[derive(Deserialize)]
    struct OnlyId<'a> {
        #[serde(borrow, default)]
        id: Id<'a>,
    }
    serde_json::from_slice::<OnlyId<'_>>(text).map_or(Id::None, |only| only.id.owned())
}

// === impl Line ===

impl Line<'_> {
    /// Protocol and port, or the type of an ICMP message: an echo request when none is given.
    pub(super) fn traffic(&self) -> Result<(Protocol, u16), String> {
        let word = self.protocol.as_ref().map_or("TCP", |text| &text.0);
        let protocol = Protocol::parse(word)
            .or_else(|| Protocol::parse_extended(word))
            .ok_or_else(|| format!("`{word}` is no protocol; there are TCP, UDP, SCTP, ICMP and ICMPv6"))?;
        let echo_request = match protocol {
            Protocol::Icmp => 8,
            Protocol::Icmpv6 => 128,
            Protocol::Other(_) => match (self.port, self.icmp_type) {
                (None, None) => return Ok((protocol, 0)),
                (Some(_), _) | (_, Some(_)) => return Err(format!("{protocol} has neither ports nor types")),
            },
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => {
                return match (self.port, self.icmp_type) {
                    (Some(port), None) => Ok((protocol, port)),
                    (None, _) => Err("`port` is missing".to_owned()),
                    (Some(_), Some(_)) => Err(format!("`icmp_type` means nothing for {protocol}")),
                };
            }
        };
        match self.port {
            None => Ok((protocol, u16::from(self.icmp_type.unwrap_or(echo_request)))),
            Some(_) => Err(format!("`port` means nothing for {protocol}: give `icmp_type`")),
        }
    }

    /// Begins a line of output with the question, so that it can be asked again.
    pub(super) fn write_question(&self, (protocol, port): (Protocol, u16), out: &mut Vec<u8>) {
        self.id.write(out);
        out.extend_from_slice(b",\"from\":");
        answer::write_text(&self.from, out);
        out.extend_from_slice(b",\"to\":");
        answer::write_text(&self.to, out);
        match protocol {
            Protocol::Icmp | Protocol::Icmpv6 => answer::write_number(b",\"icmp_type\":", port, out),
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => answer::write_number(b",\"port\":", port, out),
            Protocol::Other(_) => {}
        }
        out.extend_from_slice(b",\"protocol\":");
        answer::write_text(self.protocol.as_ref().map_or("TCP", |text| &text.0), out);
    }

    /// What a proxy would see.
    pub(super) fn layer7(&self) -> Result<Option<Layer7>, String> {
        match (&self.http, &self.dns, &self.sni) {
            (None, None, None) => Ok(None),
            (Some(http), None, None) => Ok(Some(Layer7::Http {
                method: http.method.clone().unwrap_or_else(|| "GET".to_owned()),
                path: http.path.clone().unwrap_or_else(|| "/".to_owned()),
                host: http.host.clone().unwrap_or_default(),
                headers: http.headers.clone().into_iter().collect(),
            })),
            (None, Some(name), None) => Ok(Some(Layer7::Dns(name.clone()))),
            (None, None, Some(name)) => Ok(Some(Layer7::ServerName(name.clone()))),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err("a flow has one of `http`, `dns` and `sni`".to_owned())
            }
        }
    }
}

// === impl Id ===

impl Id<'_> {
    /// The identifier for longer than its line.
    pub(super) fn owned(&self) -> Id<'static> {
        match self {
            Self::None => Id::None,
            Self::Text(text) => Id::Text(Cow::Owned(text.clone().into_owned())),
            Self::Number(number) => Id::Number(*number),
        }
    }

    /// Begins a line of output with it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        match self {
            Self::None => out.extend_from_slice(b"null"),
            Self::Text(text) => answer::write_text(text, out),
            Self::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor<'a>(std::marker::PhantomData<Id<'a>>);

        impl<'de: 'a, 'a> Visitor<'de> for IdVisitor<'a> {
            type Value = Id<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Id<'a>, E> {
                Ok(Id::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Id<'a>, E> {
                Ok(Id::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Id<'a>, E> {
                Ok(Id::Number(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id<'a>, E> {
                i64::try_from(number)
                    .map(Id::Number)
                    .map_err(|_| de::Error::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_unit<E>(self) -> Result<Id<'a>, E> {
                Ok(Id::None)
            }
        }

        deserializer.deserialize_any(IdVisitor(std::marker::PhantomData))
    }
}
