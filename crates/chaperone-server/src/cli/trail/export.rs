//! `chaperone trail export`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use chaperone_api::chaperone::v1::trail_service_export_request::What;
use chaperone_api::chaperone::v1::{TrailFilter, TrailFormat, TrailServiceExportRequest};
use clap::{Args, ValueEnum};

use super::filter::{FilterOptions, says_only_when};
use super::progress::Progress;
use super::stretch::StretchOptions;
use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Examples for the help.
pub const HELP: &str = "\
Without filters other than --since and --until whole chains are exported, each in its order: as JSON lines that can be
verified offline. With filters it is what matches, the oldest first.

Examples:
  chaperone trail export --file trail.jsonl && chaperone trail verify --file trail.jsonl --key KEY
  chaperone trail export --format csv --since 7d --outcome deny > denials.csv
  chaperone trail export --format ocsf --since 1h --kind decision";

/// Arguments of `trail export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// How it is written
    #[arg(long, value_enum, default_value_t = FormatOption::Jsonl)]
    format: FormatOption,
    /// Where to; standard output when it is not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    places: StretchOptions,
    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// How an export is written, as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatOption {
    /// JSON lines: the records' very bytes
    Jsonl,
    /// CSV (RFC 4180) with a header
    Csv,
    /// OCSF 1.6.0 API Activity, JSON lines
    Ocsf,
}

impl From<FormatOption> for TrailFormat {
    fn from(format: FormatOption) -> Self {
        match format {
            FormatOption::Jsonl => Self::JsonLines,
            FormatOption::Csv => Self::Csv,
            FormatOption::Ocsf => Self::Ocsf,
        }
    }
}

impl ExportArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come. What was written up to then is not whole: to a file, nothing is left under its name.
    pub async fn run(self) -> Result<(), Failure> {
        let what = what(self.filter.into_filter()?, self.places)?;
        let request = TrailServiceExportRequest { what: Some(what), format: TrailFormat::from(self.format).into() };
        let link = self.admin.connect().await?;
        let mut trail = link.trail_without_deadline();
        let mut parts = link.answer(trail.export(request)).await?;
        let mut target = Target::open(self.file.as_deref())?;
        let (mut progress, mut record_count) = (Progress::begin(), 0);
        while let Some(part) = parts.message().await.map_err(|status| link.failure(&status))? {
            target.write(&part.data)?;
            record_count = part.record_count;
            progress.tell(record_count);
        }
        target.finish()?;
        if self.file.is_some() {
            output::note(&format!("exported {record_count} records"));
        }
        Ok(())
    }
}

/// A stretch, unless something is asked for that only a filter can say.
fn what(filter: TrailFilter, places: StretchOptions) -> Result<What, Failure> {
    if says_only_when(&filter) {
        return Ok(What::Stretch(places.into_stretch(filter.from, filter.before)));
    }
    if places.is_given() {
        return Err(Failure::Input(
            "--chain, --from-seq and --to-seq say which stretch is exported whole, and do not go with filters"
                .to_owned(),
        ));
    }
    Ok(What::Filter(filter))
}

/// Where an export goes.
enum Target {
    Stdout,
    /// A draft, which gets its name when it is whole.
    File {
        draft: PathBuf,
        path: PathBuf,
        file: BufWriter<File>,
    },
}

impl Target {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let file = File::create(&draft)
            .map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", draft.display())))?;
        Ok(Self::File { draft, path: path.to_owned(), file: BufWriter::new(file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => output::print_raw(bytes),
            Self::File { file, .. } => file.write_all(bytes).map_err(Failure::Output),
        }
    }

    fn finish(self) -> Result<(), Failure> {
        let Self::File { draft, path, file } = self else { return Ok(()) };
        let file = file.into_inner().map_err(|error| Failure::Output(error.into_error()))?;
        file.sync_all().and_then(|()| std::fs::rename(draft, path)).map_err(Failure::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_and_places_make_a_stretch() {
        let from = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let places = || StretchOptions { chain: Some("c".to_owned()), from_seq: Some(1), to_seq: None };
        let times = TrailFilter { from, ..TrailFilter::default() };
        let Ok(What::Stretch(stretch)) = what(times.clone(), places()) else { panic!("no stretch") };
        assert_eq!((stretch.from, stretch.chain_id.as_str(), stretch.from_seq), (from, "c", 1));
        let owner = TrailFilter { owner: "ann".to_owned(), ..times };
        assert!(matches!(what(owner.clone(), StretchOptions::default()), Ok(What::Filter(_))));
        assert!(what(owner, places()).is_err());
    }
}
