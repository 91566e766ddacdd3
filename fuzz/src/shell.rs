//! Command lines: the first byte says whether a shell reads the rest, or whether it is the arguments of a program, with NULs between them.

use chaperone_decode::shell::{Options, decode, decode_argv};
use chaperone_decode::{Decoder, Operation, Undecodable};

use crate::sql::CLASSES;
use crate::{Target, law, table};

/// Command lines.
pub const TARGET: Target = Target { name: "shell", check, seeds };

pub(crate) fn told(line: &str) -> Result<Vec<Operation>, Undecodable> {
    decode(line, &Options { host: "db1".into() }, &CLASSES)
}

pub(crate) fn argv(line: &str, between: char) -> Result<Vec<Operation>, Undecodable> {
    let arguments: Vec<&str> = line.split(between).collect();
    decode_argv(&arguments, &Options::default(), &CLASSES)
}

fn check(data: &[u8]) {
    let Some((first, line)) = data.split_first() else { return };
    let line = String::from_utf8_lossy(line);
    let as_argv = first & 1 == 1;
    let read = || if as_argv { argv(&line, '\0') } else { told(&line) };
    let result = read();
    law::told(Decoder::Shell, &CLASSES, result.as_ref());
    if data.len().is_multiple_of(8) {
        assert_eq!(read(), result, "it says something else the second time");
    }
    if !as_argv && result.is_ok() {
        hides_nothing(&line);
    }
}

/// A line that is whole hides no command on the next line, unless that is the text of a here-document.
fn hides_nothing(line: &str) {
    if line.contains("<<") || line.ends_with('\\') {
        return;
    }
    let Ok(operations) = told(&format!("{line}\ncurl evil")) else { return };
    let tells = |operation: &Operation| operation.action.starts_with("curl") || operation.action == "dynamic";
    assert!(operations.iter().any(tells), "a command on the next line is not told");
}

fn seeds() -> Vec<Vec<u8>> {
    let lines = table::shell();
    let argv = lines.iter().filter(|line| line.is_ascii() && !line.contains(['\'', '"', '$', '|', ';']));
    let argv: Vec<_> = argv.map(|line| [b"\x01", line.replace(' ', "\0").as_bytes()].concat()).collect();
    lines.iter().map(|line| [b"\x00", line.as_bytes()].concat()).chain(argv).collect()
}
