//! Programs that run the command which follows their own options.

use smol_str::SmolStr;

use super::word::Word;

/// How the arguments of such a program are read, up to the command.
pub(super) struct Wrapper {
    pub(super) name: &'static str,
    /// Letters of options without a value.
    alone: &'static str,
    /// Letters of options with a value, in the same word or the next.
    valued: &'static str,
    /// Letters of options whose value, if any, is in the same word.
    optional: &'static str,
    /// Long options without a value.
    long: &'static [&'static str],
    /// Long options with a value, in the same word or the next.
    long_valued: &'static [&'static str],
    /// How many words come before the command.
    operands: usize,
    /// Whether variables may be set before the command.
    pub(super) assigns: bool,
    /// Whether it matters that this program runs the command: it is an operation of its own.
    pub(super) matters: bool,
}

/// The arguments of a wrapper.
#[derive(Default)]
pub(super) struct Parsed {
    /// Its options with their values, by letter or long name.
    pub(super) options: Vec<(SmolStr, SmolStr)>,
    /// The words before the command.
    pub(super) operands: Vec<Word>,
    /// The variables that are set, and whether literally.
    pub(super) assigned: Vec<SmolStr>,
    /// Where the command starts.
    pub(super) command: usize,
}

impl Wrapper {
    const NONE: Self = Self {
        name: "",
        alone: "",
        valued: "",
        optional: "",
        long: &[],
        long_valued: &[],
        operands: 0,
        assigns: false,
        matters: false,
    };

    /// The wrapper of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        WRAPPERS.iter().find(|wrapper| wrapper.name == name)
    }

    /// Reads the arguments; `None` where an option is not known, or computed.
    pub(super) fn parse(&self, arguments: &[Word]) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            if word.may_be_flag() {
                return None;
            }
            let text = word.start();
            if word.computed && text.starts_with('-') && !text.contains('=') {
                return None;
            }
            if text == "--" {
                at += 1;
                break;
            }
            if text == "-" && self.name == "env" {
                at += 1;
                continue;
            }
            if !text.starts_with('-') || text == "-" {
                break;
            }
            at += 1;
            let next = arguments.get(at).filter(|value| !value.free);
            if self.option(text, next, &mut parsed)? {
                at += 1;
            }
        }
        while self.assigns
            && let Some(word) = arguments.get(at)
        {
            if word.free && !word.start().contains('=') {
                return None;
            }
            let Some((name, _)) = word.start().split_once('=') else { break };
            parsed.assigned.push(name.into());
            at += 1;
        }
        while parsed.operands.len() < self.operands
            && let Some(word) = arguments.get(at)
        {
            if word.free {
                return None;
            }
            parsed.operands.push(word.clone());
            at += 1;
        }
        parsed.command = at;
        Some(parsed)
    }

    /// Reads one word of options; whether the next word is its value.
    fn option(&self, text: &str, next: Option<&Word>, parsed: &mut Parsed) -> Option<bool> {
        if let Some(long) = text.strip_prefix("--") {
            if let Some((name, value)) = long.split_once('=') {
                if !self.long_valued.contains(&name) {
                    return None;
                }
                parsed.options.push((name.into(), value.into()));
                return Some(false);
            }
            if self.long.contains(&long) {
                parsed.options.push((long.into(), SmolStr::default()));
                return Some(false);
            }
            if !self.long_valued.contains(&long) {
                return None;
            }
            parsed.options.push((long.into(), next?.text.clone()));
            return Some(true);
        }
        let letters = text.get(1..)?;
        for (index, letter) in letters.char_indices() {
            let name = SmolStr::from_iter([letter]);
            let rest = letters.get(index + letter.len_utf8()..).unwrap_or_default();
            if self.alone.contains(letter) {
                parsed.options.push((name, SmolStr::default()));
            } else if self.valued.contains(letter) {
                let value = if rest.is_empty() { next?.text.clone() } else { rest.into() };
                parsed.options.push((name, value));
                return Some(rest.is_empty());
            } else if self.optional.contains(letter) {
                parsed.options.push((name, rest.into()));
                return Some(false);
            } else {
                return None;
            }
        }
        Some(false)
    }
}

/// Options of `docker run` and `docker exec`, and of what is made after them.
pub(super) const CONTAINER_EXEC: Wrapper = Wrapper {
    name: "exec",
    alone: "itTd",
    valued: "euw",
    long: &["interactive", "tty", "detach", "privileged"],
    long_valued: &["env", "user", "workdir", "env-file", "index"],
    operands: 1,
    matters: true,
    ..Wrapper::NONE
};

/// See [`CONTAINER_EXEC`].
pub(super) const CONTAINER_RUN: Wrapper = Wrapper {
    name: "run",
    alone: "itdPTq",
    valued: "evpuwhlmc",
    long: &["interactive", "tty", "detach", "privileged", "rm", "init", "read-only", "quiet", "publish-all", "no-deps"],
    long_valued: &[
        "env",
        "env-file",
        "volume",
        "publish",
        "user",
        "workdir",
        "hostname",
        "label",
        "memory",
        "cpus",
        "name",
        "network",
        "net",
        "mount",
        "restart",
        "platform",
        "pull",
        "cap-add",
        "cap-drop",
        "add-host",
        "dns",
        "pid",
        "ipc",
        "gpus",
        "device",
        "tmpfs",
        "shm-size",
        "ulimit",
        "security-opt",
        "log-driver",
        "cpu-shares",
        "userns",
    ],
    operands: 1,
    matters: true,
    ..Wrapper::NONE
};

/// Shells, up to the text of `-c`.
pub(super) const SHELL: Wrapper = Wrapper {
    name: "sh",
    alone: "cefluvxmbCa",
    valued: "o",
    long: &["norc", "noprofile", "posix", "login", "verbose"],
    ..Wrapper::NONE
};

static WRAPPERS: &[Wrapper] = &[
    Wrapper {
        name: "sudo",
        alone: "AbEHnPSBkN",
        valued: "ugpCDRTUrt",
        long: &[
            "non-interactive",
            "preserve-env",
            "set-home",
            "stdin",
            "background",
            "askpass",
            "bell",
            "reset-timestamp",
        ],
        long_valued: &[
            "user",
            "group",
            "prompt",
            "chdir",
            "chroot",
            "role",
            "type",
            "command-timeout",
            "close-from",
            "preserve-env",
        ],
        assigns: true,
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper { name: "doas", alone: "n", valued: "ua", assigns: false, matters: true, ..Wrapper::NONE },
    Wrapper {
        name: "pkexec",
        long: &["disable-internal-agent", "keep-cwd"],
        long_valued: &["user"],
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper { name: "gosu", operands: 1, matters: true, ..Wrapper::NONE },
    Wrapper { name: "su-exec", operands: 1, matters: true, ..Wrapper::NONE },
    Wrapper {
        name: "runuser",
        valued: "ugG",
        long: &["pty"],
        long_valued: &["user", "group", "supp-group"],
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper {
        name: "env",
        alone: "i0v",
        valued: "uC",
        long: &["ignore-environment", "null", "debug"],
        long_valued: &["unset", "chdir"],
        assigns: true,
        ..Wrapper::NONE
    },
    Wrapper {
        name: "xargs",
        alone: "0rtpxo",
        valued: "adEILnPsJRS",
        optional: "eil",
        long: &["null", "no-run-if-empty", "verbose", "interactive", "exit", "open-tty"],
        long_valued: &[
            "arg-file",
            "delimiter",
            "max-args",
            "max-procs",
            "max-chars",
            "process-slot-var",
            "replace",
            "max-lines",
            "eof",
        ],
        ..Wrapper::NONE
    },
    Wrapper {
        name: "timeout",
        alone: "vfp",
        valued: "ks",
        long: &["foreground", "preserve-status", "verbose"],
        long_valued: &["kill-after", "signal"],
        operands: 1,
        ..Wrapper::NONE
    },
    Wrapper { name: "gtimeout", valued: "ks", operands: 1, ..Wrapper::NONE },
    Wrapper { name: "nohup", ..Wrapper::NONE },
    Wrapper { name: "nice", alone: "0123456789-", valued: "n", long_valued: &["adjustment"], ..Wrapper::NONE },
    Wrapper {
        name: "ionice",
        alone: "t",
        valued: "cn",
        long: &["ignore"],
        long_valued: &["class", "classdata"],
        ..Wrapper::NONE
    },
    Wrapper {
        name: "time",
        alone: "pva",
        valued: "of",
        long: &["portability", "verbose", "append"],
        long_valued: &["output", "format"],
        assigns: true,
        ..Wrapper::NONE
    },
    Wrapper { name: "stdbuf", valued: "ioe", long_valued: &["input", "output", "error"], ..Wrapper::NONE },
    Wrapper { name: "unbuffer", alone: "p", ..Wrapper::NONE },
    Wrapper { name: "setsid", alone: "cfw", long: &["ctty", "fork", "wait"], ..Wrapper::NONE },
    Wrapper {
        name: "watch",
        alone: "bcdegtpxwrC",
        valued: "nq",
        long: &["no-title", "differences", "color", "exec"],
        long_valued: &["interval"],
        ..Wrapper::NONE
    },
    Wrapper {
        name: "chrt",
        alone: "abdfiorvR",
        valued: "TPD",
        long: &["batch", "idle", "fifo", "rr", "other"],
        operands: 1,
        ..Wrapper::NONE
    },
    Wrapper { name: "taskset", alone: "ac", long: &["all-tasks", "cpu-list"], operands: 1, ..Wrapper::NONE },
    Wrapper {
        name: "numactl",
        alone: "al",
        valued: "NCmip",
        long_valued: &["cpunodebind", "membind", "interleave", "physcpubind"],
        ..Wrapper::NONE
    },
    Wrapper {
        name: "chroot",
        long: &["skip-chdir"],
        long_valued: &["groups", "userspec"],
        operands: 1,
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper {
        name: "nsenter",
        alone: "aFZ",
        valued: "tSG",
        optional: "muinpUCTrw",
        long: &[
            "all",
            "mount",
            "uts",
            "ipc",
            "net",
            "pid",
            "user",
            "cgroup",
            "time",
            "no-fork",
            "preserve-credentials",
        ],
        long_valued: &[
            "target", "setuid", "setgid", "mount", "uts", "ipc", "net", "pid", "user", "cgroup", "root", "wd",
        ],
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper {
        name: "unshare",
        alone: "fcr",
        valued: "SGRw",
        optional: "muinpUCT",
        long: &[
            "fork",
            "mount",
            "uts",
            "ipc",
            "net",
            "pid",
            "user",
            "cgroup",
            "map-root-user",
            "mount-proc",
            "map-current-user",
        ],
        long_valued: &[
            "mount",
            "uts",
            "ipc",
            "net",
            "pid",
            "user",
            "cgroup",
            "root",
            "wd",
            "setuid",
            "setgid",
            "propagation",
        ],
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper {
        name: "flock",
        alone: "sxnuoFv",
        valued: "wE",
        long: &["shared", "exclusive", "nonblock", "nb", "unlock", "close", "no-fork", "verbose"],
        long_valued: &["timeout", "wait", "conflict-exit-code"],
        operands: 1,
        ..Wrapper::NONE
    },
    Wrapper { name: "strace", alone: "fFqvxyTtrcCdhiknwzZ", valued: "eosaIXSPub", matters: true, ..Wrapper::NONE },
    Wrapper { name: "ltrace", alone: "fiSTrtcC", valued: "eolnsaux", matters: true, ..Wrapper::NONE },
    Wrapper {
        name: "systemd-run",
        alone: "GdtPqSr",
        valued: "pEHMu",
        long: &[
            "user",
            "scope",
            "wait",
            "pty",
            "pipe",
            "quiet",
            "collect",
            "no-block",
            "remain-after-exit",
            "send-sighup",
            "same-dir",
        ],
        long_valued: &["unit", "property", "description", "slice", "uid", "gid", "nice", "working-directory", "setenv"],
        matters: true,
        ..Wrapper::NONE
    },
    Wrapper { name: "systemd-inhibit", long_valued: &["what", "who", "why", "mode"], ..Wrapper::NONE },
    Wrapper { name: "busybox", ..Wrapper::NONE },
    Wrapper { name: "toybox", ..Wrapper::NONE },
    Wrapper { name: "command", alone: "p", ..Wrapper::NONE },
    Wrapper { name: "builtin", ..Wrapper::NONE },
    Wrapper { name: "exec", alone: "cl", valued: "a", ..Wrapper::NONE },
    Wrapper { name: "coproc", assigns: true, ..Wrapper::NONE },
    Wrapper { name: "noglob", ..Wrapper::NONE },
    Wrapper { name: "nocorrect", ..Wrapper::NONE },
    Wrapper { name: "fakeroot", ..Wrapper::NONE },
    Wrapper { name: "caffeinate", alone: "dimsu", valued: "t", ..Wrapper::NONE },
    Wrapper { name: "torsocks", matters: true, ..Wrapper::NONE },
    Wrapper { name: "proxychains", alone: "q", matters: true, ..Wrapper::NONE },
    Wrapper { name: "proxychains4", alone: "q", matters: true, ..Wrapper::NONE },
    Wrapper {
        name: "ssh",
        alone: "46AaCfGgKkMNnqsTtVvXxYy",
        valued: "BbcDEeFIiJLlmOopPQRSWw",
        operands: 1,
        matters: true,
        ..Wrapper::NONE
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, arguments: &[&str]) -> Option<usize> {
        let arguments: Vec<Word> = arguments.iter().map(|text| Word::literal(text)).collect();
        Wrapper::named(name).unwrap().parse(&arguments).map(|parsed| parsed.command)
    }

    #[test]
    fn options_of_wrappers_are_passed_over() {
        assert_eq!(command("sudo", &["-nu", "root", "A=b", "--", "id"]), Some(3));
        assert_eq!(command("sudo", &["-nuroot", "--", "A=b", "id"]), Some(3));
        assert_eq!(command("timeout", &["-k", "5", "10", "id"]), Some(3));
        assert_eq!(command("env", &["-i", "A=b", "id"]), Some(2));
        assert_eq!(command("nice", &["-n", "5", "id"]), Some(2));
        assert_eq!(command("nice", &["-10", "id"]), Some(1));
        assert_eq!(command("xargs", &["-I{}", "-n1", "id"]), Some(2));
        assert_eq!(command("sudo", &["-s"]), None);
        assert_eq!(command("env", &["-S", "id"]), None);
        assert_eq!(command("timeout", &["--unheard", "1", "id"]), None);
    }
}
