//! What is written in the languages of `sed` and `awk`: whether it may run commands or write files.

/// Whether a script of sed is one of the common ones that only print or change the text that goes through: addresses, `s` without `e` and
/// `w`, and the commands `d`, `p`, `q`, `n`, `N`, `g`, `G`, `h`, `H`, `x`, `D`, `P`, `=` and `y`.
pub(super) fn is_plain_sed(script: &str) -> bool {
    let mut rest = script;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', ';', '{', '}']);
        if rest.is_empty() {
            return true;
        }
        let Some(after) = address(rest) else { return false };
        let mut command = after.trim_start_matches([' ', '\t', '!', '{']);
        let Some(letter) = command.chars().next() else { return true };
        command = command.get(letter.len_utf8()..).unwrap_or_default();
        rest = match letter {
            's' => match substitution(command) {
                Some(flags) => flags.trim_start_matches(|flag: char| flag.is_ascii_digit() || "gpiIm".contains(flag)),
                None => return false,
            },
            'y' => match substitution(command) {
                Some(after) => after,
                None => return false,
            },
            'q' | 'Q' => command.trim_start_matches(|digit: char| digit.is_ascii_digit()),
            'd' | 'p' | 'n' | 'N' | 'g' | 'G' | 'h' | 'H' | 'x' | 'D' | 'P' | '=' | '}' => command,
            _ => return false,
        };
        if !rest.is_empty() && !rest.starts_with([' ', '\t', '\n', ';', '}']) {
            return false;
        }
    }
}

/// What comes after the addresses.
fn address(mut rest: &str) -> Option<&str> {
    for _ in 0..2 {
        let first = rest.chars().next()?;
        rest = match first {
            '0'..='9' | '$' => {
                rest.trim_start_matches(|character: char| character.is_ascii_digit() || "$~+".contains(character))
            }
            '/' => delimited(rest.get(1..)?, '/')?.trim_start_matches(['I', 'M']),
            // Any other delimiter is too rare to be read.
            '\\' => return None,
            _ => return Some(rest),
        };
        let Some(second) = rest.strip_prefix(',') else { return Some(rest) };
        rest = second.trim_start_matches([' ', '+', '~']);
    }
    Some(rest)
}

/// What comes after both parts of `s/…/…/`.
fn substitution(command: &str) -> Option<&str> {
    let delimiter = command.chars().next().filter(|one| one.is_ascii_punctuation() && *one != '\\')?;
    delimited(delimited(command.get(1..)?, delimiter)?, delimiter)
}

/// What comes after the delimiter. In brackets it would not count, so where there are brackets around it, nobody can tell.
fn delimited(text: &str, delimiter: char) -> Option<&str> {
    let mut bracket = false;
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            _ if character == delimiter && bracket => return None,
            _ if character == delimiter => return text.get(index + character.len_utf8()..),
            '[' => bracket = true,
            ']' => bracket = false,
            '\n' => return None,
            _ => {}
        }
    }
    None
}

/// Whether a program of awk neither runs commands, nor reads or writes files of its own choice, nor calls what is not in it.
///
/// Where its strings and regular expressions end is not read, so that a bar or an angle within one counts as well.
pub(super) fn is_plain_awk(program: &str) -> bool {
    let unguarded = program.replace("||", "");
    let prints = program.find("print").and_then(|print| program.get(print..));
    let indirect = program
        .split('@')
        .skip(1)
        .any(|after| after.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'));
    !indirect
        && !unguarded.contains('|')
        && !prints.is_some_and(|after| after.contains('>'))
        && !["system", "getline", "extension", "ENVIRON", "PROCINFO"].iter().any(|word| program.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_sed_that_run_or_write_are_not_plain() {
        for script in [
            "s/a/b/",
            "s/a/b/g",
            "1,5p",
            "/x/d",
            "$!N;s/\\n/ /;P;D",
            "/a/,/b/{p;d}",
            "s|/usr|/opt|gI; 2q",
            "y/abc/xyz/",
            "10q",
        ] {
            assert!(is_plain_sed(script), "{script}");
        }
        for script in [
            "1e id",
            "e",
            "s/a/b/e",
            "s/a/b/ge",
            "w /tmp/x",
            "s/a/b/w /tmp/x",
            "r /etc/shadow",
            "R x",
            "W x",
            "s/a/b",
            "\\xaxe",
            "1!e",
            "p;e id",
            "{e id\n}",
            "s/[/]/x/e;",
            "1,$e",
            "a\\\ntext",
            "F",
            ":a;ba",
            "s/x/y/;e",
            "s/a/b/p;w x",
            "$ e",
        ] {
            assert!(!is_plain_sed(script), "{script}");
        }
    }

    #[test]
    fn programs_of_awk_that_run_or_write_are_not_plain() {
        for program in [
            "{print $1}",
            "$1 > 5 {print $2}",
            "BEGIN {FS=\":\"} $3 >= 1000 || $1 == \"a\" {print $1; n++}",
            "/x/ {c++} END {print c}",
        ] {
            assert!(is_plain_awk(program), "{program}");
        }
        for program in [
            "BEGIN{system(\"id\")}",
            "{print > \"/tmp/x\"}",
            "{print | \"sh\"}",
            "BEGIN{\"id\" | getline x}",
            "@load \"x\"",
            "BEGIN{f=\"sys\" \"tem\"; @f(\"id\")}",
            "{printf \"%s\", $0 >> \"x\"}",
            "BEGIN{getline x < \"/etc/shadow\"}",
            "{print \"a\" |& \"sh\"}",
            "/\"/ {print | \"sh\"; x = \"\"}",
        ] {
            assert!(!is_plain_awk(program), "{program}");
        }
    }
}
