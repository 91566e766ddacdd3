//! `chaperone map explain`: what a bundle's mapping makes of one request.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chaperone_policy::Bundle;
use chaperone_policy::document::{Document, Node};
use chaperone_policy::mapping::{self, Connection, Metadata, Undecodable};
use clap::Args;

use super::message::{self, Message};
use super::view::{self, ExplanationJson};
use crate::cli::bundle::compile_folder;
use crate::cli::failure::{Failure, Verdict};
use crate::cli::files;
use crate::cli::output::{self, Format};
use crate::spiffe::parse_spiffe_id;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone map explain --bundle ./bundle 'https://docs.example.com/documents/7/export?format=csv'
  chaperone map explain -X POST -H 'content-type: application/json' -d '{\"sql\": \"drop table orders\"}' /query
  chaperone map explain --metadata claims.json --source-ip 10.0.0.7 --request request.http --output json

As with curl, -d makes it a POST of a form unless -X and -H say otherwise, and takes @FILE or @- for standard input. --request reads
an HTTP/1.1 message: its first line, headers, an empty line, and the body. Paths are not put into order, so that what a proxy should
refuse is seen. Values of attributes are shown as they are, also those that the trail would not keep.

Exit codes: 0 the request is understood, 1 it is undecodable and would be denied (or the bundle has problems), 2 wrong arguments, or a
file that cannot be read.";

/// Arguments of `map explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The URL, or its path and query alone
    #[arg(value_name = "URL", required_unless_present = "message", conflicts_with = "message")]
    url: Option<String>,
    /// The bundle's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// The method
    #[arg(short = 'X', long = "method", value_name = "METHOD", conflicts_with = "message")]
    method: Option<String>,
    /// A header (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header, conflicts_with = "message")]
    headers: Vec<(String, Vec<u8>)>,
    /// The body, or @FILE
    #[arg(
        short = 'd',
        long = "data",
        value_name = "BODY|@FILE",
        conflicts_with = "message",
        allow_hyphen_values = true
    )]
    data: Option<String>,
    /// File with the whole request as HTTP/1.1 has it, or - for standard input
    #[arg(long = "request", id = "message", value_name = "FILE")]
    message: Option<PathBuf>,
    /// The SPIFFE ID of the peer's certificate
    #[arg(long, value_name = "SPIFFE_ID", value_parser = spiffe_id)]
    peer: Option<String>,
    /// The peer's address
    #[arg(long, value_name = "IP")]
    source_ip: Option<IpAddr>,
    /// A constant of the proxy's configuration (repeatable)
    #[arg(long = "extension", value_name = "NAME=VALUE", value_parser = extension)]
    extensions: Vec<(String, String)>,
    /// JSON file with what the proxy's other filters found out, by their namespaces, or - for standard input
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// How to print the explanation
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// What a file says of the proxy's other filters.
#[derive(Debug)]
struct FileMetadata(Node);

impl Metadata for FileMetadata {
    fn read(&self) -> Result<Node, Undecodable> {
        Ok(self.0.clone())
    }
}

impl ExplainArgs {
    /// Runs the command: yes where the request is understood, no where it is undecodable.
    ///
    /// # Errors
    /// As they come.
    pub fn run(self) -> Result<Verdict, Failure> {
        let bundle: Bundle = compile_folder(&self.bundle)?;
        let message = self.message()?;
        let metadata = self.metadata.as_deref().map(metadata).transpose()?;
        let source_address = self.source_ip.map(|address| address.to_string()).unwrap_or_default();
        let connection = Connection {
            source_address: &source_address,
            peer_spiffe_id: self.peer.as_deref().unwrap_or_default(),
            context_extensions: self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            metadata: metadata.as_ref().map(|metadata| -> &dyn Metadata { metadata }),
            ..Connection::default()
        };
        let explanation = mapping::explain(&bundle, &message.request(connection));
        match self.output {
            Format::Json => output::print_json(&ExplanationJson::from(&explanation))?,
            Format::Table => output::print(&view::shown(&explanation, &message.method, &message.target))?,
        }
        Ok(if explanation.actions.is_ok() { Verdict::Yes } else { Verdict::No })
    }

    fn message(&self) -> Result<Message, Failure> {
        let mut message = self.written_message()?;
        // Whoever sends a body from a flag or a file knows its length, as clients do.
        let has_body = self.data.is_some() || !message.body.is_empty();
        if has_body && !message.has_header("transfer-encoding") {
            let length = message.body.len().to_string();
            message.add_header("content-length", length);
        }
        Ok(message)
    }

    /// As it was written.
    fn written_message(&self) -> Result<Message, Failure> {
        if let Some(path) = &self.message {
            let bytes = files::read(path, files::JSON_BYTES_MAX)?;
            return Message::parse(&bytes)
                .map_err(|message| Failure::Input(format!("`{}`: {message}", path.display())));
        }
        let (scheme, host, target) = message::split_url(self.url.as_deref().unwrap_or_default());
        let method = self.method.clone().unwrap_or_else(|| if self.data.is_some() { "POST" } else { "GET" }.to_owned());
        let body = match self.data.as_deref().map(|data| data.strip_prefix('@').ok_or(data)) {
            None => Vec::new(),
            Some(Ok(path)) => files::read(Path::new(path), files::JSON_BYTES_MAX)?,
            Some(Err(text)) => text.as_bytes().to_vec(),
        };
        let mut message = Message { method, host, scheme, target, headers: self.headers.clone(), body };
        if self.data.is_some() {
            message.add_header("content-type", "application/x-www-form-urlencoded".to_owned());
        }
        Ok(message)
    }
}

fn metadata(path: &Path) -> Result<FileMetadata, Failure> {
    let bytes = files::read(path, files::JSON_BYTES_MAX)?;
    let document = Document::json(&bytes);
    let document = document.map_err(|error| Failure::Input(format!("`{}`: {}", path.display(), error.message)))?;
    Ok(FileMetadata(document.root))
}

fn header(text: &str) -> Result<(String, Vec<u8>), String> {
    message::header(text.as_bytes())
}

fn spiffe_id(text: &str) -> Result<String, String> {
    parse_spiffe_id(text).map(str::to_owned).ok_or_else(|| "a SPIFFE ID, such as spiffe://example.org/ci".to_owned())
}

fn extension(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        explain: ExplainArgs,
    }

    /// What is said of the length of a body.
    fn lengths(arguments: &[&str]) -> Vec<String> {
        let options = Options::try_parse_from(["x"].iter().chain(arguments)).expect("arguments");
        let message = options.explain.message().expect("a message");
        let lengths = message.headers.iter().filter(|(name, _)| name == "content-length");
        lengths.map(|(_, length)| String::from_utf8_lossy(length).into_owned()).collect()
    }

    #[test]
    fn body_has_a_length_unless_it_comes_in_chunks() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("request.http");
        let written = |headers: &str| {
            std::fs::write(&file, format!("POST /a HTTP/1.1\r\n{headers}\r\nbody")).expect("written");
            lengths(&["--request", file.to_str().expect("UTF-8")])
        };
        assert_eq!(written(""), ["4"]);
        assert_eq!(written("Content-Length: 7\r\n"), ["7"]);
        assert!(written("Transfer-Encoding: chunked\r\n").is_empty());
        assert_eq!(lengths(&["-d", "body", "/a"]), ["4"]);
        assert_eq!(lengths(&["-d", "", "/a"]), ["0"]);
        assert_eq!(lengths(&["-d", "body", "-H", "content-length: 7", "/a"]), ["7"]);
        assert!(lengths(&["-d", "body", "-H", "transfer-encoding: chunked", "/a"]).is_empty());
        assert!(lengths(&["/a"]).is_empty());
    }
}
