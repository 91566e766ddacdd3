//! Variables that change what programs do, or which programs run.

/// Names that are always such.
const NAMES: &[&str] = &[
    "PATH", "IFS", "ENV", "BASH_ENV", "PROMPT_COMMAND", "PS0", "PS1", "PS2", "PS3", "PS4", "SHELL", "HOME", "EDITOR", "VISUAL", "PAGER",
    "BROWSER", "LESS", "LESSOPEN", "LESSCLOSE", "LESSEDIT", "MORE", "TERM", "TERMINFO", "TERMCAP", "LOCPATH", "NLSPATH", "GCONV_PATH",
    "HOSTALIASES", "RES_OPTIONS", "LOCALDOMAIN", "TZDIR", "CDPATH", "FPATH", "ZDOTDIR", "GLOBIGNORE", "MAKEFLAGS", "MAKEFILES", "CC",
    "CXX", "LD", "AR", "GZIP", "BZIP", "BZIP2", "XZ_DEFAULTS", "XZ_OPT", "ZSTD_CLEVEL", "TAPE", "ZIPOPT", "UNZIP", "KUBECONFIG",
    "DOCKER_HOST", "VIMINIT", "EXINIT", "OPENSSL_ENGINES", "NODE_PATH", "USER", "LOGNAME", "UID", "EUID", "DISPLAY", "XAUTHORITY",
    "TMPDIR", "POSIXLY_CORRECT", "CLASSPATH", "COLUMNS", "OPTIND", "PGHOST", "PGSERVICE", "PGSERVICEFILE", "PSQLRC",
    "FCEDIT", "HISTFILE", "HISTCONTROL", "EXECIGNORE", "OPTARG", "BASHOPTS", "SHELLOPTS", "histchars", "FUNCNEST", "INPUTRC",
];
/// How such names start.
const STARTS: &[&str] = &[
    "LD_", "DYLD_", "BASH_", "GIT_", "PYTHON", "PERL", "RUBY", "NODE_", "NPM_", "npm_", "JAVA", "_JAVA", "JDK_", "SSH_", "SUDO_", "GLIBC_",
    "MALLOC_", "SYSTEMD_", "PIP_", "CARGO_", "RUST", "GO", "MYSQL_", "LUA_", "PHP", "XDG_", "DBUS_", "KRB5", "CURL_", "AWS_", "AZURE_",
    "CLOUDSDK_", "GOOGLE_", "DOCKER_", "HELM_", "TF_", "ANSIBLE_", "CMAKE_", "GCC_", "GTK_", "QT_", "VIM", "EMACS", "OPENSSL_", "SSL_",
];
/// How such names end.
const ENDINGS: &[&str] = &[
    "PATH", "_PAGER", "PAGER", "EDITOR", "_RSH", "_COMMAND", "_OPTIONS", "OPTS", "_OPT", "FLAGS", "_HOME", "RC", "_PROXY", "_proxy",
    "SHELL", "_CONFIG", "_WRAPPER", "PRELOAD", "_ASKPASS", "_CMD", "_HOOK", "_LIBRARY", "_LOADER",
];

/// Whether setting the variable may change what is run.
pub(super) fn is_decisive(name: &str) -> bool {
    NAMES.contains(&name)
        || STARTS.iter().any(|start| name.starts_with(start))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
