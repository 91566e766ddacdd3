//! The headers of Streamable HTTP that say again what the body says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use smol_str::SmolStr;

use crate::Undecodable;
use crate::document::{Format, Node, Object};
use crate::json_rpc::folded;

/// The revisions of MCP.
const REVISIONS: [&str; 5] = ["2024-11-05", BATCH_REVISION, "2025-06-18", "2025-11-25", "2026-07-28"];
/// The only revision that has batches.
const BATCH_REVISION: &str = "2025-03-26";
/// The most headers of the family `mcp-param-`.
const PARAMS_MAX: usize = 64;

/// What the headers of a request say of its body.
#[derive(Default)]
pub(super) struct Headers<'a> {
    /// The revision of MCP.
    pub(super) version: Option<&'static str>,
    method: Option<&'a str>,
    name: Option<SmolStr>,
    params: Vec<(&'a str, SmolStr)>,
    content_type: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    pub(super) fn read(headers: &[(&'a str, &'a [u8])]) -> Result<Self, Undecodable> {
        let mut read = Self::default();
        for (name, value) in headers.iter().copied() {
            // No other header begins as those do that matter here.
            if !matches!(name.as_bytes(), [b'm' | b'M', b'c' | b'C', ..] | [b'c' | b'C', b'o' | b'O', ..]) {
                continue;
            }
            let is_twice = match name.to_ascii_lowercase().as_str() {
                "mcp-protocol-version" => {
                    let text = plain(value)?;
                    let Some(version) = REVISIONS.into_iter().find(|revision| *revision == text) else {
                        return Err(Undecodable::new(
                            "`mcp-protocol-version` is no revision of MCP that is known here",
                        ));
                    };
                    read.version.replace(version).is_some()
                }
                "mcp-method" => read.method.replace(plain(value)?).is_some(),
                "mcp-name" => read.name.replace(encoded(value)?).is_some(),
                "content-type" => read.content_type.replace(value).is_some(),
                "content-encoding" if value != b"identity" => {
                    return Err(Undecodable::new("the body has a `content-encoding`"));
                }
                lower if lower.starts_with("mcp-param-") => {
                    let param = name.get("mcp-param-".len()..).unwrap_or_default();
                    let is_twice = read.params.iter().any(|(other, _)| other.eq_ignore_ascii_case(param));
                    read.params.push((param, encoded(value)?));
                    is_twice || read.params.len() > PARAMS_MAX
                }
                _ => false,
            };
            if is_twice {
                return Err(Undecodable::new("a header of MCP comes twice, or too many of them come"));
            }
        }
        Ok(read)
    }

    /// Whether the revision may have batches.
    pub(super) fn allow_batch(&self) -> bool {
        self.version.is_none_or(|version| version == BATCH_REVISION)
    }

    /// Refuses headers that say something of a message where none is, or several are.
    pub(super) fn refuse_message(&self) -> Result<(), Undecodable> {
        if self.method.is_some() || self.name.is_some() || !self.params.is_empty() {
            return Err(Undecodable::new("a header of MCP tells of one request, which the body does not have"));
        }
        Ok(())
    }

    /// Refuses a body that is said to be something other than JSON.
    pub(super) fn expect_json(&self) -> Result<(), Undecodable> {
        match self.content_type.map(Format::of).transpose()? {
            None | Some(Format::Json) => Ok(()),
            Some(Format::Form) => Err(Undecodable::new("`content-type` of an MCP message is not JSON")),
        }
    }

    /// Refuses a message of another revision than the headers say.
    pub(super) fn agree_version(&self, params: &Object) -> Result<(), Undecodable> {
        let meta = params.get("_meta").and_then(Node::as_object);
        match (self.version, meta.and_then(|meta| meta.get("io.modelcontextprotocol/protocolVersion"))) {
            (Some(header), Some(body)) if body.as_text().is_none_or(|body| body != header) => {
                disagrees("mcp-protocol-version")
            }
            _ => Ok(()),
        }
    }

    /// Refuses headers that say something else than a request does.
    ///
    /// Which argument an `mcp-param-` header repeats is known only from the tool's schema. The one of its own name, if there is one, has to have its
    /// value; otherwise any has.
    pub(super) fn agree(&self, method: &str, name: Option<&str>, params: &Object) -> Result<(), Undecodable> {
        if self.method.is_some_and(|header| header != method) {
            return disagrees("mcp-method");
        }
        if self.name.as_ref().is_some_and(|header| Some(header.as_str()) != name) {
            return disagrees("mcp-name");
        }
        self.agree_version(params)?;
        let arguments = params.get("arguments");
        let agrees = |(param, value): &(&str, SmolStr)| {
            let namesake = arguments.and_then(Node::as_object).and_then(|arguments| {
                arguments.iter().find(|(name, node)| is_primitive(node) && folded(name).eq(folded(param)))
            });
            match namesake {
                Some((_, node)) => says(node, value),
                None => arguments.is_some_and(|arguments| has(arguments, value)),
            }
        };
        if !self.params.iter().all(agrees) {
            return disagrees("mcp-param-");
        }
        Ok(())
    }
}

fn disagrees(header: &'static str) -> Result<(), Undecodable> {
    Err(Undecodable::new(format!("`{header}` and the body disagree")))
}

fn is_primitive(node: &Node) -> bool {
    matches!(node, Node::Bool(_) | Node::Number(_) | Node::Text(_))
}

/// Whether it or a value in the objects within it is what a header says. As deep as documents are, at most.
fn has(node: &Node, value: &str) -> bool {
    match node {
        Node::Object(object) => object.iter().any(|(_, node)| has(node, value)),
        node => says(node, value),
    }
}

/// Whether a value is what a header says.
fn says(node: &Node, value: &str) -> bool {
    match node {
        Node::Text(text) => text == value,
        Node::Bool(bool) => value == if *bool { "true" } else { "false" },
        Node::Number(number) => integer(number).is_some_and(|number| integer(value) == Some(number)),
        Node::Null | Node::List(_) | Node::Object(_) => false,
    }
}

/// The integer that a number is, with or without zeros behind a point.
fn integer(number: &str) -> Option<i64> {
    let digits = match number.split_once('.') {
        Some((digits, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => digits,
        Some(_) => return None,
        None => number,
    };
    digits.parse().ok().filter(|_| !digits.starts_with('+'))
}

/// A value of visible ASCII, spaces and tabs; without the space around it that is no part of it.
fn plain(value: &[u8]) -> Result<&str, Undecodable> {
    let text = std::str::from_utf8(value).ok();
    text.filter(|text| text.bytes().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e)))
        .map(|text| text.trim_matches([' ', '\t']))
        .ok_or_else(|| Undecodable::new("a header of MCP has a character that it cannot have"))
}

/// A value that may be written as `=?base64?…?=`, which stands for the UTF-8 in it.
fn encoded(value: &[u8]) -> Result<SmolStr, Undecodable> {
    let text = plain(value)?;
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Ok(text.into()),
        Some(base64) => {
            let bytes = STANDARD.decode(base64).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            text.map(SmolStr::from).ok_or_else(|| Undecodable::new("a header of MCP has Base64 that is no text"))
        }
    }
}
