//! Files that hold secrets, as words name them.

use super::word::Word;

/// Names of files that hold keys, passwords and tokens.
const SECRET_NAMES: &[&str] = &[
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "master.passwd",
    "opasswd",
    "sudoers",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "authorized_keys",
    "ssh_host_rsa_key",
    "ssh_host_ed25519_key",
    "ssh_host_ecdsa_key",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".dockercfg",
    ".htpasswd",
    ".vault-token",
    ".env",
    ".envrc",
    "credentials",
    "kubeconfig",
    "krb5.keytab",
    "environ",
    "application_default_credentials.json",
    "access_tokens.db",
    "credentials.db",
    ".bash_history",
    ".zsh_history",
    ".mysql_history",
    ".psql_history",
    ".python_history",
    "hosts.yml",
    "accesstokens.json",
    "wallet.dat",
    "kcore",
    "mem",
    "login.keychain",
    "secring.gpg",
    "key4.db",
    "logins.json",
    "terraform.tfstate",
    ".s3cfg",
    ".boto",
    "admin.conf",
    "super-admin.conf",
    "kmem",
];
/// Those of these names that mean something else as well, where no directory is before them.
const COMMON_WORDS: &[&str] = &["credentials", "kubeconfig", "mem", "kmem", "kcore"];
/// Directories that hold them.
const SECRET_DIRECTORIES: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    ".password-store",
    "gcloud",
    "serviceaccount",
    "keyrings",
    "secrets",
    "sudoers.d",
];
/// How their names end.
const SECRET_ENDINGS: &[&str] =
    &[".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".keytab", ".ppk", ".gpg", ".asc"];

/// How many parts of a path are looked at.
const PARTS_MAX: usize = 16;

/// Whether a word is, or ends in, the path of a file that holds secrets, such as `/etc/shadow`, `~/.ssh/id_rsa`, `@.env` or
/// `--file=/proc/1/environ`. With patterns in it, it is if it may be one.
pub(super) fn is_secret(word: &Word) -> bool {
    let lower = word.text.to_ascii_lowercase();
    let path = lower.contains('/');
    let blank = lower.contains(' ');
    let braces = word.computed && lower.contains('{');
    let separator =
        |character: char| matches!(character, '/' | '=' | '@' | ':') || braces && matches!(character, '{' | ',' | '}');
    let same = |part: &str, name: &str| {
        if word.computed { like(part, name) } else { part == name || !blank && listed(part, name) }
    };
    let directory =
        |part: &str| SECRET_DIRECTORIES.iter().any(|secret| (path || secret.starts_with('.')) && same(part, secret));
    let patterns = word.computed || lower.contains(['*', '?', '[']);
    let is_named = |name: &str| {
        if !patterns {
            return SECRET_NAMES.contains(&name) && (path || !COMMON_WORDS.contains(&name));
        }
        SECRET_NAMES.iter().any(|secret| (path || !COMMON_WORDS.contains(secret)) && same(name, secret))
    };
    let is_name = |name: &str| {
        !is_public(name)
            && (is_named(name)
                || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
                || name.starts_with(".env.")
                || directory(name))
    };
    // Any pattern may mean any file in the directories that hold most of them.
    if word.computed && lower.starts_with('/') {
        let first = lower.split('/').nth(1).unwrap_or_default();
        let guarded = ["etc", "root", "proc"].iter().any(|name| glob(first.as_bytes(), name.as_bytes()));
        let last = lower.rsplit('/').next().unwrap_or_default();
        if guarded
            && last.contains(['*', '?', '['])
            && SECRET_NAMES.iter().any(|name| glob(last.as_bytes(), name.as_bytes()))
        {
            return true;
        }
    }
    let last = lower.rsplit(['/', '=', '@', ':']).find(|part| !part.is_empty() && *part != "." && *part != "..");
    if last.is_some_and(is_name) || braces && lower.split(separator).any(is_name) {
        return true;
    }
    path && lower.split(separator).take(PARTS_MAX).any(directory) && last.is_some_and(|name| !is_public(name))
}

/// Half of a pair of keys that is no secret.
fn is_public(name: &str) -> bool {
    name.strip_suffix(".pub").is_some()
}

/// Whether a pattern that the program itself may read is one for this name.
fn listed(part: &str, name: &str) -> bool {
    part.contains(['*', '?', '[']) && !part.contains(['$', '{', '(', '|']) && like(part, name)
}

/// Whether a part of a path is a name, or a pattern that has enough of its letters to mean it.
fn like(part: &str, name: &str) -> bool {
    if !part.contains(['*', '?', '[', '{', '$']) {
        return part == name;
    }
    // What an expansion is written like says nothing of what it is worth.
    let shown = part.split('$').next().unwrap_or_default();
    let mut depth = 0_u32;
    let mut literal = 0;
    for byte in shown.bytes() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => literal += u32::from(depth == 0 && byte.is_ascii_alphanumeric()),
        }
    }
    literal >= if shown.contains('{') { 1 } else { 2 } && glob(part.as_bytes(), name.as_bytes())
}

/// Whether a pattern may match a name. Brackets, braces and expansions match any text.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while from <= name.len() {
        match pattern.get(at) {
            None if from == name.len() => return true,
            Some(b'*' | b'[' | b'{' | b'$') => {
                // What follows is within the pattern as far as its closing one.
                let close = match pattern.get(at) {
                    Some(b'[') => pattern.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b']')),
                    Some(b'{') => pattern.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'}')),
                    Some(b'$') => Some(pattern.len() - at - 1),
                    _ => Some(0),
                };
                at += close.unwrap_or(0) + 1;
                retry = Some((at, from));
                continue;
            }
            Some(b'?') if from < name.len() => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            Some(byte) if name.get(from) == Some(byte) => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            _ => {}
        }
        let Some((star, start)) = retry else { return false };
        (at, from) = (star, start + 1);
        retry = Some((star, start + 1));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_seen_through_patterns() {
        let word = |text: &str| Word { computed: text.contains(['*', '?', '[', '{']), ..Word::literal(text) };
        for text in [
            "/etc/shadow",
            "/etc/shado?",
            "/etc/sh*",
            "/etc/{shadow,x}",
            "@.env",
            "if=/etc/shadow",
            "~/.ssh/x",
            "/proc/self/environ",
            "/root/.ss?/id*",
            "/etc/sh[a]dow",
            "file:///etc/shadow",
            "host:~/.aws/config",
            "/etc/sha{dow,x}",
            "/etc/s{hadow,x}",
        ] {
            assert!(is_secret(&word(text)), "{text}");
        }
        for text in ["/etc/passwd", "notes.txt", "~/.ssh/id_rsa.pub", "*.txt", "src/*", "*", "a/{b,c}", "{print}"] {
            assert!(!is_secret(&word(text)), "{text}");
        }
        assert!(!is_secret(&Word::literal("{print $1}")));
    }
}
