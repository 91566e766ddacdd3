//! Texts that are made to take long.

use std::time::Instant;

/// Pieces of command lines, of which each is repeated up to the greatest length.
const LINES: &[&str] = &[
    "a|",
    "a;",
    ")",
    "x=(",
    "find -exec ",
    "ssh h ",
    "xargs ",
    "<<E\nE\n",
    "kubectl get $x;",
    "git a b;",
    "`a`;",
    "a=b ",
    "$(a) ",
    "[[ a &&",
    "a ",
    "a $b ",
    "a\n",
    "if a;then b;fi;",
    "a=(b c) ",
    "${a} ",
    "${a:-b}${",
    "$((a+1)) ",
    "\"$a\"",
    "a>b c>d ",
    "git push --force -f origin $x ",
    "/etc/*?[a] ",
    "{a,b}{c,d} ",
    "~/.ssh/id_* ",
    "case a in b) c;; esac;",
    "f() { a; };",
    "sudo -u a ",
    "env A=b ",
    "find . -exec rm {} + ",
    "'a'\"b\"",
    "\\a",
    "$'\\x41'",
    "export A=b ",
    "read a ",
    "https://u@h/p?q ",
    "sh -c 'a' ",
    "a&&b||c ",
    "x=$y ls ",
    "!)*",
    "{a:-`b a`",
    "TT `+`)sud `×n of +` S0",
    "case x in afilscase x in (",
    "))${case x in do ",
    "${@\\|[a]=<(then #",
    "function do \\!function fi",
];

/// Pieces of scripts.
const SCRIPTS: &[&str] = &[
    "SELECT 1;",
    "a,",
    "(",
    "1+",
    "SELECT * FROM t UNION ",
    "a JOIN ",
    "CASE WHEN ",
    "'a' ",
    "WITH a AS (SELECT ",
    "/**/",
    "NOT ",
];

/// The longest time in milliseconds of any line and of any script, of the greatest length and of half of it, each the least of three, with the name of the figure.
pub fn worst_ms(line: &dyn Fn(&str) -> bool, script: &dyn Fn(&str) -> bool) -> [(&'static str, f64); 2] {
    let worst = |pieces: &[&str], heads: &[&str], bytes: usize, decode: &dyn Fn(&str) -> bool| {
        let mut worst = 0.0_f64;
        for (head, piece) in heads.iter().flat_map(|head| pieces.iter().map(move |piece| (head, piece))) {
            for bytes in [bytes, bytes / 2] {
                let text = format!("{head}{}", piece.repeat((bytes - head.len()) / piece.len()));
                let time = |_| {
                    let began = Instant::now();
                    decode(&text);
                    began.elapsed().as_secs_f64() * 1e3
                };
                let least = (0..3).map(time).fold(f64::INFINITY, f64::min);
                if std::env::var_os("HOSTILE").is_some() && least > 5.0 {
                    eprintln!("{least:8.1} ms {bytes} of {head:?} {piece:?}");
                }
                worst = worst.max(least);
            }
        }
        worst
    };
    [
        (
            "shell_worst_ms",
            worst(LINES, &["", "a ", "echo \"", "$(", "sudo ", "export ", "+x=", "[["], 16 * 1024, line),
        ),
        ("sql_worst_ms", worst(SCRIPTS, &["", "SELECT ", "SELECT * FROM "], 64 * 1024, script)),
    ]
}
