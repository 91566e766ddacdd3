//! Paths: their one spelling, and which of them make up the system.

use smol_str::SmolStr;

/// The path without `.`, `..` and repeated slashes, as far as its text says. A relative path stays relative.
pub(super) fn normalise(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != ".." && !last.starts_with('~')) => drop(parts.pop()),
            ".." if absolute => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// Directories whose programs are the well-known ones.
const PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// The name of a well-known program that is called by this word, if it is one. A path through `..` may lead elsewhere by a link.
pub(super) fn program(word: &str) -> Option<&str> {
    let Some((directory, name)) = word.rsplit_once('/') else { return Some(word) };
    if word.split('/').any(|part| part == "..") || !word.starts_with('/') {
        return None;
    }
    PROGRAMS.contains(&normalise(directory).as_str()).then_some(name)
}

/// The path of a program in another directory, in a spelling that is never that of a well-known one.
pub(super) fn of_program(word: &str) -> SmolStr {
    let path = normalise(word);
    if path.starts_with(['/', '~']) || path.starts_with("..") { path.into() } else { format!("./{path}").into() }
}

/// The path in a word such as `if=/etc/shadow`, `@/etc/shadow` or `file:///etc/shadow`.
pub(super) fn within(word: &str) -> &str {
    let word = word.split_once("://").map_or(word, |(_, rest)| rest);
    let start = word.find(['/', '~']).unwrap_or(word.len());
    // `-o/etc/passwd`
    if word.starts_with('-') && !word.starts_with("--") {
        return word.get(start..).unwrap_or_default();
    }
    let before = word.get(..start).and_then(|before| before.rfind(['=', '@', ':']));
    word.get(before.map_or(0, |before| before + 1)..).unwrap_or_default()
}

/// Whether writing there changes how the system or the user's shell works.
pub(super) fn is_system(path: &str) -> bool {
    const DIRECTORIES: [&str; 14] = [
        "/etc/",
        "/boot/",
        "/proc/",
        "/sys/",
        "/dev/",
        "/usr/",
        "/bin/",
        "/sbin/",
        "/lib/",
        "/lib64/",
        "/root/",
        "/var/spool/cron/",
        "/opt/",
        "/run/",
    ];
    const NAMES: [&str; 18] = [
        ".bashrc",
        ".bash_profile",
        ".bash_login",
        ".bash_logout",
        ".profile",
        ".zshrc",
        ".zshenv",
        ".zprofile",
        ".kshrc",
        ".inputrc",
        ".vimrc",
        ".exrc",
        ".gitconfig",
        ".npmrc",
        ".curlrc",
        ".wgetrc",
        ".tmux.conf",
        ".screenrc",
    ];
    const PARTS: [&str; 6] = [".git", ".config", ".local", ".vim", "autostart", "systemd"];
    let path = path.strip_prefix("//").map_or(path, |_| path.trim_start_matches('/'));
    DIRECTORIES.iter().any(|directory| path.starts_with(directory) || path == directory.trim_end_matches('/'))
        || path.split('/').any(|part| PARTS.contains(&part))
        || path.rsplit('/').next().is_some_and(|name| NAMES.contains(&name))
        || path.starts_with('~') && !path.starts_with("~/")
}

/// Files that are nothing but the streams of the command, or nothing at all.
pub(super) fn is_stream(path: &str) -> bool {
    matches!(path, "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "/dev/zero" | "/dev/full")
        || path.strip_prefix("/dev/fd/").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_spelling() {
        for (path, normal) in [
            ("/etc//../etc/./passwd", "/etc/passwd"),
            ("/../etc", "/etc"),
            ("a/../../b", "../b"),
            ("./", "."),
            ("~/../x", "~/../x"),
            ("", "."),
        ] {
            assert_eq!(normalise(path), normal, "{path}");
        }
    }
}
