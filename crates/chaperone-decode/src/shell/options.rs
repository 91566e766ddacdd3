//! Options that stand before a subcommand, and whether a value follows them.

/// Of each program with subcommands: its options without a value, and those with one as the next word.
const OPTIONS: &[(&str, &[&str], &[&str])] = &[
    ("apt", &["-y", "-q", "-qq", "--yes", "--quiet", "--assume-yes"], &[]),
    ("apt-get", &["-y", "-q", "-qq", "--yes", "--quiet", "--assume-yes"], &[]),
    ("aws", &["--no-cli-pager", "--no-paginate", "--debug"], &["--profile", "--region", "--output", "--query"]),
    ("az", &["--only-show-errors", "--verbose", "--debug"], &["--output", "-o", "--query", "--subscription"]),
    ("brew", &["-q", "--quiet", "-v", "--verbose"], &[]),
    ("cargo", &["-q", "--quiet", "-v", "--verbose", "--locked", "--offline", "--frozen"], &["--color"]),
    ("dnf", &["-y", "-q", "--assumeyes", "--quiet"], &[]),
    ("docker", &["-D", "--debug"], &["-H", "--host", "-c", "--context", "-l", "--log-level"]),
    ("flatpak", &["-v", "--verbose", "--user", "--system"], &[]),
    ("gcloud", &["-q", "--quiet"], &["--project", "--format", "--account", "--filter", "--region", "--zone"]),
    (
        "git",
        &["--no-pager", "-P", "--no-replace-objects", "--no-optional-locks", "--bare", "--literal-pathspecs"],
        &["-C", "--git-dir", "--work-tree", "--namespace"],
    ),
    ("go", &[], &[]),
    ("helm", &["--debug"], &["-n", "--namespace", "--kube-context"]),
    ("ip", &["-4", "-6", "-br", "-brief", "-s", "-d", "-j", "-o", "-c", "-p", "-color", "-json"], &[]),
    ("journalctl", &[], &[]),
    (
        "kubectl",
        &["-A", "--all-namespaces", "--show-labels", "-w", "--watch", "--no-headers", "-i", "-t", "-it"],
        &[
            "-n",
            "--namespace",
            "--context",
            "--cluster",
            "-o",
            "--output",
            "-l",
            "--selector",
            "-v",
            "--request-timeout",
        ],
    ),
    ("nerdctl", &["--debug"], &["-n", "--namespace"]),
    ("npm", &["-s", "--silent", "-q", "--quiet", "--verbose"], &[]),
    ("openssl", &[], &[]),
    ("pip", &["-q", "--quiet", "-v", "--verbose", "--no-input"], &[]),
    ("pip3", &["-q", "--quiet", "-v", "--verbose", "--no-input"], &[]),
    ("podman", &["-r", "--remote"], &["--log-level", "-c", "--connection"]),
    (
        "systemctl",
        &["--user", "--system", "--no-pager", "-q", "--quiet", "-a", "--all", "-l", "--full", "--now", "--no-legend"],
        &["-t", "--type", "-n", "--lines", "-o", "--output", "-p", "--property", "--state"],
    ),
    ("terraform", &["-no-color"], &[]),
    ("yum", &["-y", "-q", "--assumeyes", "--quiet"], &[]),
    ("zypper", &["-n", "-q", "--non-interactive", "--quiet"], &[]),
];

/// Whether the option of the program takes the next word; `None` for one that is not known.
pub(super) fn takes_value(program: &str, option: &str) -> Option<bool> {
    let (_, alone, valued) = OPTIONS.iter().find(|(name, ..)| *name == program)?;
    if alone.contains(&option) {
        return Some(false);
    }
    if valued.contains(&option) {
        return Some(true);
    }
    // With its value in the same word.
    if !option.starts_with("--") && option.get(..2).is_some_and(|short| valued.contains(&short)) {
        return Some(false);
    }
    let (name, _) = option.split_once('=')?;
    (name.starts_with("--") && valued.contains(&name)).then_some(false)
}
