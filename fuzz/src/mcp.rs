//! MCP requests, with their headers.

use std::sync::LazyLock;

use chaperone_decode::mcp::{Call, Message, Options, decode};
use chaperone_decode::{Class, Classes, Decoder, Undecodable};

use crate::{Target, law, message, table};

/// MCP requests.
pub const TARGET: Target = Target { name: "mcp", check, seeds };

/// The built-in classes, and what a bundle may add.
static CLASSES: LazyLock<Classes> = LazyLock::new(|| {
    let mut classes = Classes::built_in().expect("the tables are valid");
    let added = ["tools/call send_email", "prompts/get summary", "acme/audit"];
    classes.add(Decoder::Mcp, added.map(|key| (key.into(), vec![Class::NetEgress])));
    classes
});

pub(crate) fn told(message: &Message<'_>) -> Result<Vec<Call>, Undecodable> {
    let result = decode(message, &Options { server: "mail".into() }, &CLASSES);
    let operations = result.as_ref().map(|calls| calls.iter().map(|call| &call.operation));
    law::told(Decoder::Mcp, &CLASSES, operations);
    result
}

fn check(data: &[u8]) {
    let Some(message::Message { method, headers, body, .. }) = message::Message::read(data) else { return };
    let message = Message { method, headers: &headers, body };
    let result = told(&message);
    assert_eq!(told(&message), result, "it says something else the second time");
    let Ok(calls) = result else { return };
    assert!(calls.iter().all(|call| call.arguments.root.as_object().is_some()), "arguments that are no object");
    if method == "POST" {
        // What we read, another reader does, too.
        let theirs = serde_json::from_slice::<serde_json::Value>(body);
        match theirs {
            // A message may do several things; none does nothing.
            Ok(theirs) => assert!(calls.len() >= theirs.as_array().map_or(1, Vec::len), "a message is not told"),
            Err(error) => assert!(error.to_string().contains("number out of range"), "{error}"),
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    table::messages(&["mcp/methods.toml", "mcp/envelopes.toml", "mcp/headers.toml", "mcp/names.toml"])
}
