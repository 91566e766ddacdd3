//! A2A requests, with their headers.

use chaperone_decode::a2a::{Call, Message, Options, decode};
use chaperone_decode::{Decoder, Undecodable};

use crate::sql::CLASSES;
use crate::{Target, law, message, table};

/// A2A requests.
pub const TARGET: Target = Target { name: "a2a", check, seeds };

pub(crate) fn told(message: &Message<'_>) -> Result<Vec<Call>, Undecodable> {
    let result = decode(message, &Options { agent: "travel".into() }, &CLASSES);
    let operations = result.as_ref().map(|calls| calls.iter().map(|call| &call.operation));
    law::told(Decoder::A2a, &CLASSES, operations);
    result
}

fn check(data: &[u8]) {
    let Some(message::Message { method, headers, body, .. }) = message::Message::read(data) else { return };
    let message = Message { method, headers: &headers, body };
    let result = told(&message);
    assert_eq!(told(&message), result, "it says something else the second time");
    let Ok(calls) = result else { return };
    assert!(matches!(calls.as_slice(), [_] | [_, _]), "{} operations", calls.len());
    if let Err(error) = serde_json::from_slice::<serde_json::Value>(body) {
        assert!(error.to_string().contains("number out of range"), "{error}");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    table::messages(&["a2a/requests.toml"])
}
