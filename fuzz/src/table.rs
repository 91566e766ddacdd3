//! The tables of the decoders' tests, as inputs to begin with.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::message::Message;

/// Where the tables are.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/chaperone-decode/tests")
}

fn text(file: &str) -> String {
    let path = directory().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A table in TOML.
pub(crate) fn toml<T: DeserializeOwned>(file: &str) -> T {
    toml::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The scripts of a dialect.
pub(crate) fn sql(dialect: &str) -> Vec<String> {
    let text = text(&format!("sql/{dialect}.txt"));
    let scripts = text.split("\n\n").map(|case| {
        let lines = case.lines().filter_map(|line| line.strip_prefix('>'));
        let lines: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        lines.join("\n").replace('␍', "\r").replace('␀', "\0")
    });
    scripts.filter(|script| !script.is_empty()).collect()
}

/// The command lines.
pub(crate) fn shell() -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for file in ["shell/everyday.txt", "shell/wrappers.txt", "shell/evasions.txt"] {
        for line in text(file).lines() {
            if let Some(line) = line.strip_prefix("$ ") {
                lines.push(line.into());
            } else if let Some(line) = line.strip_prefix("$e ") {
                // Escapes of characters that are not ASCII stay as they are: the engine needs no help there.
                let unescaped = line.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
                lines.push(unescaped.replace("\\\\", "\\"));
            } else if let (Some(more), Some(line)) = (line.strip_prefix("> "), lines.last_mut()) {
                line.push('\n');
                line.push_str(more);
            }
        }
    }
    lines
}

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    hex: Option<String>,
}

/// The messages of these files.
pub(crate) fn messages(files: &[&str]) -> Vec<Vec<u8>> {
    let cases = files.iter().flat_map(|file| toml::<Cases>(file).case);
    let messages = cases.map(|Case { method, headers, body, hex }| {
        let body = hex.map_or_else(|| body.into_bytes(), |digits| bytes(&digits));
        Message::write(method.as_deref().unwrap_or("POST"), headers, &body)
    });
    messages.collect()
}

/// The bytes that these digits are.
pub(crate) fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}
