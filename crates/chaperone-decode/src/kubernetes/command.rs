//! The command of `exec`, as a line of shell.

use crate::Undecodable;

/// Words that mean something else than a program's name where a command begins.
const RESERVED: &[&str] = &[
    "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select", "then",
    "time", "until", "while",
];

/// A line of shell that is this one command with these arguments; `None` where there are none.
///
/// The API server hands the arguments to the container's runtime as they are, without a shell, so every character that a shell reads
/// otherwise is quoted.
pub(super) fn line<'a>(arguments: impl Iterator<Item = &'a str>) -> Result<Option<String>, Undecodable> {
    let mut line: Option<String> = None;
    for argument in arguments {
        if argument.contains('\0') {
            return Err(Undecodable::new("an argument of the command has a zero byte"));
        }
        let is_first = line.is_none();
        let line = line.get_or_insert_default();
        if !is_first {
            line.push(' ');
        }
        if is_plain(argument) && !(is_first && RESERVED.contains(&argument)) {
            line.push_str(argument);
        } else {
            line.push('\'');
            line.push_str(&argument.replace('\'', r"'\''"));
            line.push('\'');
        }
    }
    Ok(line)
}

/// Whether a shell reads it as it is written.
fn is_plain(argument: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'%' | b'+' | b':' | b',' | b'.' | b'/' | b'-')
    };
    !argument.is_empty() && argument.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(arguments: &[&str]) -> String {
        line(arguments.iter().copied()).unwrap().unwrap()
    }

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        assert_eq!(line_of(&["sh", "-c", "rm -rf $HOME; echo 'x'"]), r"sh -c 'rm -rf $HOME; echo '\''x'\'''");
        assert_eq!(line_of(&["A=b", "", "~", "a\nb", "{a,b}"]), "'A=b' '' '~' 'a\nb' '{a,b}'");
        assert_eq!(line_of(&["if", "if"]), "'if' if");
        assert_eq!(line_of(&["/bin/ls", "-l", "a.txt"]), "/bin/ls -l a.txt");
    }

    #[test]
    fn zero_bytes_are_denied() {
        assert!(line(["a\0b"].into_iter()).is_err());
        assert_eq!(line([].into_iter()), Ok(None));
    }
}
