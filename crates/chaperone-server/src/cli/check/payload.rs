//! What `check` sends for a decoder to read, in place of an action.

use std::path::PathBuf;

use chaperone_api::chaperone::v1::payload::Content;
use chaperone_api::chaperone::v1::{Arguments, Payload};
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::files;

/// Arguments that stand in place of an action.
#[derive(Debug, Args)]
#[group(id = "payload")]
pub struct PayloadOptions {
    /// In place of an action: what this decoder of the bundle's mapping reads in --text, --message, or the arguments behind --
    #[arg(long, value_name = "NAME", conflicts_with_all = ["action", "resource", "attributes", "attrs_json"], requires = "content")]
    decoder: Option<String>,
    /// A script, or a command line that a shell will read
    #[arg(
        long,
        value_name = "TEXT",
        group = "content",
        requires = "decoder",
        conflicts_with = "action",
        allow_hyphen_values = true
    )]
    text: Option<String>,
    /// File with a message in JSON, or - for standard input
    #[arg(long, value_name = "FILE", group = "content", requires = "decoder", conflicts_with = "action")]
    message: Option<PathBuf>,
    /// A program with its arguments, which no shell will read
    #[arg(last = true, value_name = "ARGUMENT", group = "content", requires = "decoder", conflicts_with = "action")]
    arguments: Vec<String>,
}

impl PayloadOptions {
    /// What they say; `None` where an action is asked for.
    ///
    /// # Errors
    /// When the file of a message cannot be read.
    pub fn payload(&self) -> Result<Option<Payload>, Failure> {
        let Some(decoder) = self.decoder.clone() else { return Ok(None) };
        let content = match (&self.text, &self.message) {
            (Some(text), _) => Content::Text(text.clone()),
            (None, Some(path)) => Content::Message(files::read(path, files::JSON_BYTES_MAX)?),
            (None, None) => Content::Arguments(Arguments { values: self.arguments.clone() }),
        };
        Ok(Some(Payload { decoder, content: Some(content) }))
    }
}
