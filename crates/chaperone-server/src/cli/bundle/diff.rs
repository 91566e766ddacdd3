//! `chaperone bundle diff`: where two bundles differ.

use std::path::PathBuf;
use std::time::Duration;

use chaperone_analysis::Analysis;
use chaperone_api::chaperone::v1::difference::Part;
use chaperone_api::chaperone::v1::{self as api, PolicyServiceDiffRequest, PolicyServiceGetRequest};
use chaperone_policy::{BundleDiff, BundleSource, DiffError, DiffPart, Difference};
use clap::Args;
use serde::Serialize;

use super::analysis::{self, AnalysisJson, AnalysisOptions};
use super::{number_or_active, validate};
use crate::cli::connect::{AdminOptions, Link};
use crate::cli::failure::{Failure, Verdict};
use crate::cli::output::{self, BAD, DIM, Format, GOOD, STRONG, paint};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle diff 6 7
  chaperone bundle diff 6                      # against the active one
  chaperone bundle diff active ./bundle        # what a push would change
  chaperone bundle diff ./old ./new --output json
  chaperone bundle diff active 7 --analyze     # whether 7 can allow what the active one does not

A side is a number, `active`, or a folder; a folder whose name is a number is written as ./7. White space, comments, the order of policies
and the files that they are in are no differences.

Exit codes, as of diff(1): 0 no difference, 1 there are differences, 2 they could not be compared.
With --analyze: 0 proven that B allows nothing that A does not, 1 it can, or that is not known, 2 they could not be compared, or there is
no solver.";

/// How large a diff may be: both bundles, in the texts of the differences and once more as text.
const DIFF_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a server that analyzes is waited for at least: for longer than its own limits.
const ANALYSIS_WAIT: Duration = Duration::from_secs(30);

/// Arguments of `bundle diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The first bundle: a number, `active`, or a folder
    #[arg(value_name = "A", value_parser = side)]
    from: Side,
    /// The second bundle: a number, `active`, or a folder
    #[arg(value_name = "B", default_value = "active", value_parser = side)]
    to: Side,
    /// How to print the differences
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    analysis: AnalysisOptions,
    #[command(flatten)]
    admin: AdminOptions,
}

/// What was compared.
struct Compared {
    sides: (SideJson, SideJson),
    diff: BundleDiff,
    /// With `--analyze`: what was proven, or why nothing was.
    analysis: Option<Result<Analysis, String>>,
}

/// One of the two bundles.
#[derive(Clone, Debug)]
enum Side {
    /// A stored one; 0 stands for the active one.
    Stored(u64),
    /// One that is read here.
    Folder(PathBuf),
}

/// A bundle that was compared, in JSON output.
#[derive(Debug, Serialize)]
struct SideJson {
    number: Option<u64>,
    folder: Option<String>,
    digest: String,
}

#[derive(Debug, Serialize)]
struct DifferenceJson<'a> {
    part: &'static str,
    name: &'a str,
    change: &'static str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct DiffJson<'a> {
    from: SideJson,
    to: SideJson,
    equal: bool,
    differences: Vec<DifferenceJson<'a>>,
    /// With `--analyze`.
    analysis: Option<AnalysisJson>,
}

impl DiffArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// None of them has the exit code that differences have.
    pub async fn run(self) -> Result<Verdict, Failure> {
        let Compared { sides: (from, to), diff, analysis } = self.compare().await.map_err(unable)?;
        match self.output {
            Format::Json => output::print_json(&DiffJson {
                from,
                to,
                equal: diff.is_empty(),
                differences: diff.differences.iter().map(DifferenceJson::from).collect(),
                analysis: analysis.as_ref().map(AnalysisJson::from),
            })?,
            Format::Table => {
                let proven = analysis.as_ref().and_then(|analysis| analysis.as_ref().ok()).map(analysis::shown);
                let differences = diff.differences.iter().map(shown).collect::<String>();
                output::print(&(differences + &proven.unwrap_or_default()))?;
            }
        }
        let is_yes = match analysis {
            Some(analysis) => analysis.map_err(Failure::Input)?.is_no_wider(),
            None => diff.is_empty(),
        };
        Ok(if is_yes { Verdict::Yes } else { Verdict::No })
    }

    async fn compare(&self) -> Result<Compared, Failure> {
        let link = match (&self.from, &self.to) {
            (Side::Folder(_), Side::Folder(_)) => None,
            _ if self.analysis.analyze => Some(self.admin.connect().await?.waiting(ANALYSIS_WAIT)),
            _ => Some(self.admin.connect().await?),
        };
        if let (Side::Stored(from), Side::Stored(to), Some(link)) = (&self.from, &self.to, &link)
            && (!self.analysis.analyze || self.analysis.is_left_to_server())
        {
            let compared = self.compare_there(link, *from, *to).await?;
            match &compared.analysis {
                Some(Err(why)) => {
                    let why = output::plain(why);
                    output::note(&format!("note: the server has no analysis ({why}); trying it here"));
                }
                Some(Ok(_)) | None => return Ok(compared),
            }
        }
        let (from, before) = self.from.read(link.as_ref()).await?;
        let (to, after) = self.to.read(link.as_ref()).await?;
        let diff = BundleDiff::between(&before, &after).map_err(|error| match error {
            DiffError::Before(problems) => Failure::invalid(self.from.name(), problems),
            DiffError::After(problems) => Failure::invalid(self.to.name(), problems),
        })?;
        let analysis = if self.analysis.analyze { Some(self.analysis.run(before, after).await) } else { None };
        Ok(Compared { sides: (from, to), diff, analysis })
    }

    /// Has the server compare two bundles that it has.
    async fn compare_there(&self, link: &Link, from_number: u64, to_number: u64) -> Result<Compared, Failure> {
        let analyze = self.analysis.analyze;
        let request = PolicyServiceDiffRequest { from_number, to_number, analyze };
        let mut policies = link.policies().max_decoding_message_size(DIFF_BYTES_MAX);
        let response = link.answer(policies.diff(request)).await?;
        let differences = response.differences.into_iter().map(difference).collect::<Result<_, _>>()?;
        Ok(Compared {
            sides: (SideJson::stored(response.from), SideJson::stored(response.to)),
            diff: BundleDiff { differences },
            analysis: analyze.then(|| analysis::of_api(response.analysis)),
        })
    }
}

impl Side {
    fn name(&self) -> String {
        match self {
            Self::Stored(0) => "the active bundle".to_owned(),
            Self::Stored(number) => format!("bundle {number}"),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    async fn read(&self, link: Option<&Link>) -> Result<(SideJson, BundleSource), Failure> {
        match (self, link) {
            (Self::Stored(number), Some(link)) => {
                let request = PolicyServiceGetRequest { number: *number };
                let response = link.answer(link.policies().get(request)).await?;
                let files = response.files.into_iter().map(|file| (file.path, file.content)).collect();
                Ok((SideJson::stored(response.bundle), BundleSource { files }))
            }
            (Self::Stored(_), None) => Err(Failure::Input(format!("{} is on a server", self.name()))),
            (Self::Folder(folder), _) => {
                let source = validate::read(folder)?;
                let side = SideJson { number: None, folder: Some(self.name()), digest: source.digest() };
                Ok((side, source))
            }
        }
    }
}

impl SideJson {
    fn stored(bundle: Option<api::Bundle>) -> Self {
        let bundle = bundle.unwrap_or_default();
        Self { number: Some(bundle.number), folder: None, digest: bundle.digest }
    }
}

impl<'a> From<&'a Difference> for DifferenceJson<'a> {
    fn from(difference: &'a Difference) -> Self {
        Self {
            part: difference.part.as_str(),
            name: &difference.name,
            change: difference.change().as_str(),
            before: difference.before.as_deref(),
            after: difference.after.as_deref(),
        }
    }
}

fn side(text: &str) -> Result<Side, String> {
    match number_or_active(text) {
        Ok(number) => Ok(Side::Stored(number)),
        Err(_) if !text.is_empty() && !text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Side::Folder(text.into())),
        Err(error) => Err(format!("{error}, or a folder")),
    }
}

/// A difference that the server found.
fn difference(found: api::Difference) -> Result<Difference, Failure> {
    let part = match found.part() {
        Part::Policy => DiffPart::Policy,
        Part::EntityType => DiffPart::EntityType,
        Part::Action => DiffPart::Action,
        Part::CommonType => DiffPart::CommonType,
        Part::Mapping => DiffPart::Mapping,
        Part::File => DiffPart::File,
        Part::Unspecified => {
            let name = found.name;
            return Err(Failure::Input(format!(
                "the server tells of `{name}`, in a part that this command does not know"
            )));
        }
    };
    Ok(Difference { part, name: found.name, before: found.before, after: found.after })
}

/// A bundle with problems ends other commands as a definite no, which here would say that there are differences.
fn unable(failure: Failure) -> Failure {
    let Failure::Invalid { place, problems } = failure else { return failure };
    let mut lines = vec![format!("{place} cannot be compared")];
    lines.extend(problems.iter().map(|problem| match problem.line {
        0 => format!("{}: {} [{}]", problem.file, problem.message, problem.code),
        _ => format!("{}:{}:{}: {} [{}]", problem.file, problem.line, problem.column, problem.message, problem.code),
    }));
    Failure::Input(lines.join("\n"))
}

/// Under a heading, each line in the colour of its side.
pub fn shown(difference: &Difference) -> String {
    let text = difference.to_text();
    text.lines().enumerate().fold(String::new(), |mut out, (place, line)| {
        // Tabs may stand in texts, and move the cursor no further than other white space.
        let plain = line.split('\t').map(output::plain).collect::<Vec<_>>().join("\t");
        out.push_str(&match line.bytes().next() {
            _ if place < 2 => paint(STRONG, &plain),
            Some(b'+') => paint(GOOD, &plain),
            Some(b'-') => paint(BAD, &plain),
            Some(b'@' | b'\\') => paint(DIM, &plain),
            _ => plain,
        });
        out.push('\n');
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_is_a_number_the_active_one_or_a_folder() {
        assert!(matches!(side("7"), Ok(Side::Stored(7))));
        assert!(matches!(side("active"), Ok(Side::Stored(0))));
        assert!(matches!(side("./7"), Ok(Side::Folder(_))));
        assert!(matches!(side("bundle"), Ok(Side::Folder(_))));
        for text in ["", "0", "99999999999999999999999"] {
            assert!(side(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_are_coloured_by_side_and_cannot_steer_the_terminal() {
        let difference = Difference {
            part: DiffPart::File,
            name: "entities.json".to_owned(),
            before: Some("[]\n".to_owned()),
            after: Some("[\u{1b}[2J\t]\n".to_owned()),
        };
        let text = shown(&difference);
        assert!(text.contains(&paint(BAD, "-[]")), "{text}");
        let stripped = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(stripped, "--- file entities.json\n+++ file entities.json\n@@ -1 +1 @@\n-[]\n+[\\u{1b}[2J\t]\n");
    }

    #[test]
    fn bundle_with_problems_does_not_end_like_a_difference() {
        let problem = chaperone_policy::Problem::of_file("mapping.toml", "mapping_syntax", "no TOML");
        let failure = unable(Failure::invalid("./bundle", vec![problem]));
        assert!(matches!(&failure, Failure::Input(text) if text.contains("mapping.toml")), "{failure:?}");
    }
}
