//! HTTP messages as inputs: `POST /target`, a line for each header, an empty line, and the body.

/// A message, in its parts.
pub(crate) struct Message<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Of these bytes, if they are text up to the body, but for the headers' values.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let (first, mut rest) = split(data, b"\n")?;
        let first = std::str::from_utf8(first).ok()?;
        let (method, target) = first.split_once(' ').unwrap_or((first, ""));
        let mut headers = Vec::new();
        loop {
            let (line, after) = split(rest, b"\n")?;
            rest = after;
            if line.is_empty() {
                return Some(Self { method, target, headers, body: rest });
            }
            let (name, value) = split(line, b": ")?;
            headers.push((std::str::from_utf8(name).ok()?, value));
        }
    }

    /// The bytes that are read as such a message.
    pub(crate) fn write(
        first: &str,
        headers: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>,
        body: &[u8],
    ) -> Vec<u8> {
        let mut bytes = format!("{first}\n").into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{}: {}\n", name.as_ref(), value.as_ref()).as_bytes());
        }
        [&bytes, b"\n".as_slice(), body].concat()
    }
}

fn split<'a>(bytes: &'a [u8], by: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(by.len()).position(|window| window == by)?;
    Some((&bytes[..at], &bytes[at + by.len()..]))
}
