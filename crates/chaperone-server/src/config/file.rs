//! The configuration file: TOML, flattened to options.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{ArgAction, Command, CommandFactory as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ServeConfig;

/// How large a configuration file may be, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How much a key must resemble an option for that to be suggested, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.75;

/// A file's settings: each option that it sets, with its values as text.
#[derive(Debug, Default)]
pub struct FileSettings(pub(super) BTreeMap<String, Vec<String>>);

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file `{}`", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is too large to be a configuration file.
    #[error("the configuration file `{}` is larger than {FILE_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// What is wrong in it, all at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<FileProblem>),
}

/// Something wrong in a configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileProblem {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

impl FileSettings {
    /// Reads a file and checks every key and value of it against the server's options.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let read_error = |error| FileError::Read(path.to_owned(), error);
        if std::fs::metadata(path).map_err(read_error)?.len() > FILE_BYTES_MAX {
            return Err(FileError::TooLarge(path.to_owned()));
        }
        Self::parse(path, &std::fs::read_to_string(path).map_err(read_error)?)
    }

    /// Reads a file's text; `path` is for the messages.
    ///
    /// # Errors
    /// [`FileError::Invalid`] with every problem of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let mut reader = Reader::new(path, text);
        match DeTable::parse(text) {
            Ok(table) => reader.table("", table.get_ref()),
            Err(error) => reader.problem(error.span().map_or(0, |span| span.start), error.message().to_owned()),
        }
        if reader.problems.is_empty() { Ok(reader.settings) } else { Err(FileError::Invalid(reader.problems)) }
    }

    /// The values of an option, if the file sets it.
    pub fn values(&self, option: &str) -> Option<&[String]> {
        self.0.get(option).map(Vec::as_slice)
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// The server's options, without the environment: a bad variable is not the file's problem.
    options: Command,
    settings: FileSettings,
    problems: Vec<FileProblem>,
}

impl<'a> Reader<'a> {
    fn new(path: &'a Path, text: &'a str) -> Self {
        let options = ServeConfig::command().mut_args(|arg| arg.env(None::<&str>)).disable_help_flag(true);
        Self { path, text, options, settings: FileSettings::default(), problems: Vec::new() }
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref().replace('_', "-"));
            match value.get_ref() {
                DeValue::Table(inner) => self.table(&format!("{name}-"), inner),
                _ => self.setting(&name, key.span().start, value),
            }
        }
    }

    fn setting(&mut self, name: &str, place: usize, value: &Spanned<DeValue<'_>>) {
        // The file cannot name another file.
        let Some(option) = self.options.get_arguments().find(|arg| arg.get_id() == name && name != "config") else {
            let suggestion = self.nearest(name).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return self.problem(place, format!("there is no option `{name}`{suggestion}"));
        };
        let is_list = matches!(option.get_action(), ArgAction::Append);
        let values = match value.get_ref() {
            DeValue::Array(items) if is_list => items.iter().map(|item| text_of(item.get_ref())).collect(),
            other => text_of(other).map(|text| vec![text]),
        };
        let Some(values) = values else {
            return self.problem(
                place,
                format!("`{name}` takes text, a number or a boolean{}", if is_list { ", or a list" } else { "" }),
            );
        };
        if self.settings.0.contains_key(name) {
            return self.problem(place, format!("`{name}` is set twice"));
        }
        if let Err(message) = self.accepts(name, &values) {
            self.problem(place, message);
        }
        self.settings.0.insert(name.to_owned(), values);
    }

    /// Whether the option would take these values as flags.
    fn accepts(&self, name: &str, values: &[String]) -> Result<(), String> {
        let flags = values.iter().map(|value| format!("--{name}={value}"));
        let arguments = std::iter::once("chaperone".to_owned()).chain(flags);
        match self.options.clone().try_get_matches_from(arguments) {
            Ok(_) => Ok(()),
            Err(error) => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                Err(line.strip_prefix("error: ").unwrap_or(line).to_owned())
            }
        }
    }

    fn nearest(&self, name: &str) -> Option<String> {
        self.options
            .get_arguments()
            .map(|arg| arg.get_id().as_str())
            .filter(|id| *id != "config")
            .map(|id| (strsim::jaro_winkler(name, id), id))
            .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, id)| id.to_owned())
    }

    fn problem(&mut self, place: usize, message: String) {
        let before = self.text.get(..place).unwrap_or_default();
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        self.problems.push(FileProblem { path: self.path.to_owned(), line, message });
    }
}

/// A scalar as the text that its flag would have.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().replace('_', "")).filter(|_| number.radix() == 10),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        match FileSettings::parse(Path::new("c.toml"), text) {
            Ok(settings) => panic!("{settings:?}"),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn tables_and_plain_keys_are_flags() {
        let text = "drain-timeout = \"5s\"\ndata-workers = 2\n[data]\nlisten = \"127.0.0.1:1\"\nmax_streams = 1_000\n\
                    allowed-clients = [\"a.example\", \"b.example\"]\n[store]\nnotify = false\n[telemetry]\nsample-ratio = 0.5\n";
        let settings = FileSettings::parse(Path::new("c.toml"), text).expect("it is valid");
        assert_eq!(settings.values("drain-timeout"), Some(&["5s".to_owned()][..]));
        assert_eq!(settings.values("data-workers"), Some(&["2".to_owned()][..]));
        assert_eq!(settings.values("data-listen"), Some(&["127.0.0.1:1".to_owned()][..]));
        assert_eq!(settings.values("data-max-streams"), Some(&["1000".to_owned()][..]));
        assert_eq!(settings.values("data-allowed-clients").map(<[_]>::len), Some(2));
        assert_eq!(settings.values("store-notify"), Some(&["false".to_owned()][..]));
        assert_eq!(settings.values("telemetry-sample-ratio"), Some(&["0.5".to_owned()][..]));
    }

    #[test]
    fn unknown_key_is_refused_with_the_nearest_option() {
        let found = problems("\n[data]\nlisen = \"127.0.0.1:1\"\n[zzz]\nqqq = 1\n");
        assert_eq!(
            found,
            [
                "c.toml:3: there is no option `data-lisen`; did you mean `data-listen`?",
                "c.toml:5: there is no option `zzz-qqq`"
            ]
        );
    }

    #[test]
    fn every_bad_value_is_told_at_once_with_its_line() {
        let found =
            problems("[data]\nlisten = \"nowhere\"\nmax-streams = \"many\"\nworkers = [1]\nruntime = \"magic\"\n");
        assert_eq!(found.len(), 4, "{found:#?}");
        for (line, word) in
            [("c.toml:2: ", "nowhere"), ("c.toml:3: ", "many"), ("c.toml:4: ", "data-workers"), ("c.toml:5: ", "magic")]
        {
            assert!(found.iter().any(|text| text.starts_with(line) && text.contains(word)), "{line}{word}: {found:#?}");
        }
    }

    #[test]
    fn key_set_in_two_ways_is_refused() {
        let found = problems("data-listen = \"127.0.0.1:1\"\n[data]\nlisten = \"127.0.0.1:2\"\n");
        assert!(found.iter().any(|text| text.contains("set twice")), "{found:?}");
    }

    #[test]
    fn syntax_error_has_its_line() {
        let found = problems("[data]\nlisten = \n");
        assert!(found.iter().all(|text| text.starts_with("c.toml:2: ")), "{found:?}");
    }

    #[test]
    fn file_cannot_name_another_file() {
        assert_eq!(problems("config = \"other.toml\"\n"), ["c.toml:1: there is no option `config`"]);
    }
}
