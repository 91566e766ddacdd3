//! What a message to an agent has in it.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::method::Era;
use super::object;
use crate::Undecodable;
use crate::document::{Node, Object};
use crate::json_rpc::{folded, is_line};

/// The most bytes of a URL.
const URL_BYTES_MAX: usize = 8192;

/// The kinds of the parts of a message, and the URLs in them.
pub(super) fn read(era: Era, message: &Object) -> Result<(BTreeSet<SmolStr>, BTreeSet<SmolStr>), Undecodable> {
    let parts = message.get("parts").and_then(Node::as_list);
    let parts = parts.ok_or_else(|| Undecodable::new("`parts` of an A2A message is no list"))?;
    let (mut kinds, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for part in parts {
        let (kind, url) = part
            .as_object()
            .ok_or_else(|| Undecodable::new("a part of an A2A message is no object"))
            .and_then(|part| match era {
                Era::Slashes => slashes(part),
                Era::Protobuf => protobuf(part),
            })?;
        kinds.insert(SmolStr::new_static(kind));
        urls.extend(url);
    }
    Ok((kinds, urls))
}

/// A part of version 0.3, which says its kind.
fn slashes(part: &Object) -> Result<(&'static str, Option<SmolStr>), Undecodable> {
    refuse_alike(part, &["data", "file", "kind", "text"])?;
    let content = ["data", "file", "text"].into_iter().filter(|member| part.get(member).is_some());
    match (part.get("kind").and_then(Node::as_text).map(SmolStr::as_str), content.collect::<Vec<_>>().as_slice()) {
        (Some("text"), ["text"]) => Ok(("text", None)),
        (Some("data"), ["data"]) => Ok(("data", None)),
        (Some("file"), ["file"]) => {
            let file = object(part, "file")?.ok_or_else(unknown)?;
            refuse_alike(file, &["bytes", "uri"])?;
            match (url(file, "uri")?, file.get("bytes")) {
                (Some(uri), None) => Ok(("url", Some(uri))),
                (None, Some(_)) => Ok(("file", None)),
                _ => Err(unknown()),
            }
        }
        _ => Err(unknown()),
    }
}

/// A part from version 1.0 on, which is of the kind whose member it has.
fn protobuf(part: &Object) -> Result<(&'static str, Option<SmolStr>), Undecodable> {
    refuse_alike(part, &["data", "raw", "text", "url"])?;
    let content = ["data", "raw", "text", "url"].into_iter().filter(|member| part.get(member).is_some());
    match content.collect::<Vec<_>>().as_slice() {
        ["text"] => Ok(("text", None)),
        ["data"] => Ok(("data", None)),
        ["raw"] => Ok(("file", None)),
        ["url"] => Ok(("url", url(part, "url")?)),
        _ => Err(unknown()),
    }
}

/// A member that is a URL, if it is there.
fn url(object: &Object, member: &'static str) -> Result<Option<SmolStr>, Undecodable> {
    match object.get(member) {
        None => Ok(None),
        Some(Node::Text(text)) if text.len() <= URL_BYTES_MAX && is_line(text) => Ok(Some(text.clone())),
        Some(_) => Err(Undecodable::new(format!("`{member}` of an A2A message is no URL"))),
    }
}

fn unknown() -> Undecodable {
    Undecodable::new("a part of an A2A message is of no kind or of several")
}

/// The URL that news of a task are to be sent to.
pub(super) fn push_url(config: &Object) -> Result<SmolStr, Undecodable> {
    refuse_alike(config, &["url"])?;
    url(config, "url")?.ok_or_else(|| Undecodable::new("`url` of an A2A message is missing"))
}

/// Refuses an object with a name that differs from one of these in case or underscores: readers of protocol buffers take `task_id` for `taskId`.
pub(super) fn refuse_alike(object: &Object, known: &[&str]) -> Result<(), Undecodable> {
    let is_alike = |name: &str| !known.contains(&name) && known.iter().any(|known| letters(known).eq(letters(name)));
    if object.iter().any(|(name, _)| is_alike(name)) {
        return Err(Undecodable::new("an A2A message has a name that differs from a known one in case"));
    }
    Ok(())
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    folded(name).filter(|letter| *letter != '_')
}
