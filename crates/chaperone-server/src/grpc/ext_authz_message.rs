//! Reads ext_authz's `CheckRequest` in place: what the adapter asks for is borrowed from the message, the rest is only walked.

use chaperone_policy::mapping::{Connection, Headers, HttpRequest};

use super::filter_metadata::FilterMetadata;
use super::wire::{Content, Fields, Malformed, keep_last};
use crate::presenter::{self, Certificate, Evidence};

/// How many headers a request has, so that their list need not grow.
const HEADERS_USUAL: usize = 32;

/// `google.protobuf.Timestamp`.
static TIMESTAMP: [(u32, Content); 2] = [(1, Content::Varint), (2, Content::Varint)];
/// `google.protobuf.Any`.
static ANY: [(u32, Content); 2] = [(1, Content::Text), (2, Content::Bytes)];
/// `google.protobuf.Value`, which may hold values in a `ListValue` or a `Struct`.
static VALUE: [(u32, Content); 6] = [
    (1, Content::Varint),
    (2, Content::Fixed64),
    (3, Content::Text),
    (4, Content::Varint),
    (5, Content::Message(&STRUCT)),
    (6, Content::Message(&[(1, Content::Message(&VALUE))])),
];
/// `google.protobuf.Struct`.
static STRUCT: [(u32, Content); 1] = [(1, Content::Map(&[(1, Content::Text), (2, Content::Message(&VALUE))]))];
/// `envoy.config.core.v3.Metadata`.
static METADATA: [(u32, Content); 2] = [
    (1, Content::Map(&[(1, Content::Text), (2, Content::Message(&STRUCT))])),
    (2, Content::Map(&[(1, Content::Text), (2, Content::Message(&ANY))])),
];
/// `envoy.config.core.v3.Pipe` and `EnvoyInternalAddress`.
static ONE_TEXT: [(u32, Content); 1] = [(1, Content::Text)];

/// `envoy.service.auth.v3.AttributeContext`, as far as checks speak of it. What is absent is empty.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Attributes<'a> {
    pub(super) source: Peer<'a>,
    pub(super) destination: Peer<'a>,
    /// Without it, the check is of a connection.
    pub(super) http: Option<Http<'a>>,
    pub(super) sni: &'a str,
    /// By name, each once.
    pub(super) context_extensions: Vec<(&'a str, &'a str)>,
    pub(super) metadata: FilterMetadata<'a>,
}

/// One end of the connection.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Peer<'a> {
    pub(super) address: Address<'a>,
    pub(super) principal: &'a str,
    /// PEM, URL-encoded.
    pub(super) certificate: &'a str,
}

/// Where an end of the connection is.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Address<'a> {
    /// Nowhere that is known here.
    #[default]
    Unknown,
    /// A socket; its port is 0 when it is not a number.
    Socket { host: &'a str, port: u32 },
}

/// The HTTP request that is checked.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Http<'a> {
    pub(super) method: &'a str,
    pub(super) host: &'a str,
    pub(super) scheme: &'a str,
    pub(super) path: &'a str,
    /// Envoy's joined headers, each name once.
    pub(super) joined: Vec<(&'a str, &'a [u8])>,
    /// Envoy's raw headers (`encode_raw_headers`), in their order.
    pub(super) listed: Vec<(&'a str, &'a [u8])>,
    /// As text, in which Envoy replaced what is not UTF-8.
    pub(super) body: &'a str,
    /// As it is (`pack_as_bytes`).
    pub(super) raw_body: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads a whole `CheckRequest`; `None` when it has no attributes.
    ///
    /// # Errors
    /// When it is malformed, be it in a part that nobody asks for.
    pub(super) fn read(message: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let mut attributes: Option<Self> = None;
        let mut fields = Fields::new(message);
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => attributes.get_or_insert_default().merge(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        if let Some(attributes) = &mut attributes {
            keep_last(&mut attributes.context_extensions);
            if let Some(http) = &mut attributes.http {
                keep_last(&mut http.joined);
            }
        }
        Ok(attributes)
    }

    /// What is known of the connection.
    pub(super) fn connection(&self) -> Connection<'_> {
        let (source_address, _) = self.source.address.socket();
        let (destination_address, destination_port) = self.destination.address.socket();
        Connection {
            source_address,
            destination_address,
            destination_port,
            sni: self.sni,
            peer_spiffe_id: self.spiffe_id().unwrap_or_default(),
            context_extensions: self.context_extensions.clone(),
            metadata: if self.metadata.is_empty() { None } else { Some(&self.metadata) },
        }
    }

    fn spiffe_id(&self) -> Option<&'a str> {
        crate::spiffe::parse_spiffe_id(self.source.principal)
    }

    /// Who presents the session, as the proxy vouches for it.
    pub(super) fn evidence(&self) -> Evidence<'a> {
        let certificate = match self.source.certificate {
            "" => Certificate::Absent,
            pem => Certificate::UrlEncodedPem(pem),
        };
        // Whatever Envoy takes for the client's end of the connection. What headers say of it, the client may have written.
        let address = match self.source.address {
            Address::Unknown => presenter::Address::Unknown,
            Address::Socket { host, .. } => presenter::Address::Text(host),
        };
        Evidence { spiffe_id: self.spiffe_id(), certificate, address }
    }

    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.source.merge(fields.message(wire_type)?)?,
                2 => self.destination.merge(fields.message(wire_type)?)?,
                4 => self.merge_request(fields.message(wire_type)?)?,
                10 => self.context_extensions.push(fields.text_entry()?),
                11 => {
                    let metadata = fields.message(wire_type)?;
                    metadata.clone().walk(&METADATA)?;
                    self.metadata.push(metadata);
                }
                13 => fields.message(wire_type)?.walk(&METADATA)?,
                12 => self.merge_tls_session(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    fn merge_request(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => fields.message(wire_type)?.walk(&TIMESTAMP)?,
                2 => self.http.get_or_insert_default().merge(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    fn merge_tls_session(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.sni = fields.text(wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> Peer<'a> {
    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.address.merge(fields.message(wire_type)?)?,
                2 => drop(fields.text(wire_type)?),
                3 => drop(fields.text_entry()?),
                4 => self.principal = fields.text(wire_type)?,
                5 => self.certificate = fields.text(wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

impl<'a> Address<'a> {
    fn socket(&self) -> (&'a str, u32) {
        match self {
            Self::Unknown => ("", 0),
            Self::Socket { host, port } => (host, *port),
        }
    }

    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.merge_socket(fields.message(wire_type)?)?,
                2 | 3 => {
                    fields.message(wire_type)?.walk(&ONE_TEXT)?;
                    *self = Self::Unknown;
                }
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    fn merge_socket(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        let (mut host, mut port) = self.socket();
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => drop(fields.varint(wire_type)?),
                2 => host = fields.text(wire_type)?,
                #[expect(clippy::cast_possible_truncation, reason = "protobuf reads a uint32 from the low half")]
                3 => port = fields.varint(wire_type)? as u32,
                4 => {
                    fields.text(wire_type)?;
                    port = 0;
                }
                _ => fields.skip(number, wire_type)?,
            }
        }
        *self = Self::Socket { host, port };
        Ok(())
    }
}

impl<'a> Http<'a> {
    /// The request, in the mapping's terms.
    pub(super) fn into_request<'r>(self, connection: Connection<'r>) -> HttpRequest<'r>
    where
        'a: 'r,
    {
        let Self { method, host, scheme, path, mut joined, listed, body, raw_body } = self;
        let headers = if joined.is_empty() {
            listed
        } else {
            joined.extend(listed);
            joined
        };
        let body_is_text = raw_body.is_empty();
        let (body, headers) = (if body_is_text { body.as_bytes() } else { raw_body }, Headers::new(headers));
        HttpRequest { method, host, scheme, target: path, headers, body, body_is_text, connection }
    }

    fn merge(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                2 => self.method = fields.text(wire_type)?,
                3 => {
                    let (name, value) = fields.text_entry()?;
                    self.joined.push((name, value.as_bytes()));
                }
                4 => self.path = fields.text(wire_type)?,
                5 => self.host = fields.text(wire_type)?,
                6 => self.scheme = fields.text(wire_type)?,
                // Id, query, fragment and protocol.
                1 | 7 | 8 | 10 => drop(fields.text(wire_type)?),
                9 => drop(fields.varint(wire_type)?),
                11 => self.body = fields.text(wire_type)?,
                12 => self.raw_body = fields.bytes(wire_type)?,
                13 => self.merge_header_map(fields.message(wire_type)?)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    fn merge_header_map(&mut self, mut fields: Fields<'a>) -> Result<(), Malformed> {
        if self.listed.capacity() == 0 {
            self.listed.reserve(HEADERS_USUAL);
        }
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => self.listed.push(header(fields.message(wire_type)?)?),
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok(())
    }
}

/// `envoy.config.core.v3.HeaderValue`.
fn header(mut fields: Fields<'_>) -> Result<(&str, &[u8]), Malformed> {
    let (mut key, mut value, mut raw_value) = ("", "", &[][..]);
    while let Some((number, wire_type)) = fields.next()? {
        match number {
            1 => key = fields.text(wire_type)?,
            2 => value = fields.text(wire_type)?,
            3 => raw_value = fields.bytes(wire_type)?,
            _ => fields.skip(number, wire_type)?,
        }
    }
    Ok((key, if raw_value.is_empty() { value.as_bytes() } else { raw_value }))
}

#[cfg(test)]
#[path = "ext_authz_message_tests.rs"]
mod tests;
