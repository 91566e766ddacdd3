//! `chaperone check`: asks for one decision.

mod payload;
mod view;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Instant;

use chaperone_api::chaperone::v1::{
    ActionRequest, CheckRequest, Consistency, Decision, EntityRef, Outcome, Presenter, Value,
};
use clap::Args;

use self::payload::PayloadOptions;
use self::view::{DecisionJson, explanation};
pub(super) use self::view::{EffectJson, shown_effect, shown_latency};
use super::connect::DataOptions;
use super::failure::{Failure, Verdict};
use super::output::{self, Format};
use super::{files, parse};

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone check --session chp_… --action read --resource 'Document::\"welcome\"'
  CHAPERONE_SESSION=chp_… chaperone check --action export --resource Document::welcome \\
      --attr format=csv --attr rows:long=5 --output json
  if chaperone check --session-file handle --action read --resource Document::welcome; then …
  chaperone check --decoder crm --text 'DELETE FROM orders'
  chaperone check --decoder bastion -- sudo rm -rf /srv/data

Exit codes: 0 allow, 1 deny, 2 no decision (wrong arguments, or the server cannot be reached or cannot decide).
Treat everything but 0 as a denial.";

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The session's handle; other users of this machine may see it among the processes' arguments, so prefer the variable
    /// or a file. Without a session the presenter acts for itself, where the bundle's mapping allows that
    #[arg(long, value_name = "HANDLE", env = "CHAPERONE_SESSION", hide_env_values = true)]
    session: Option<String>,
    /// File with the session's handle, or - for standard input; goes before --session
    #[arg(long, value_name = "FILE")]
    session_file: Option<PathBuf>,
    /// The action, such as read or 'Files::Action::"read"'
    #[arg(long, required_unless_present = "decoder")]
    action: Option<String>,
    /// What it acts on, such as 'Document::"welcome"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref, required_unless_present = "decoder")]
    resource: Option<EntityRef>,
    /// An attribute: NAME=TEXT, or NAME:TYPE=VALUE such as rows:long=5 (repeatable; types: string, long, bool, entity, ip,
    /// decimal, datetime, duration)
    #[arg(long = "attr", value_name = "NAME[:TYPE]=VALUE", value_parser = parse::attribute)]
    attributes: Vec<(String, Value)>,
    /// JSON file with an object of attributes in Cedar's JSON form, or - for standard input
    #[arg(long, value_name = "FILE")]
    attrs_json: Option<PathBuf>,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Present the session as this SPIFFE ID
    #[arg(long, value_name = "SPIFFE_ID", default_value = "", hide_default_value = true)]
    spiffe_id: String,
    /// Present the session with this certificate: a PEM file, or sha256:HEX
    #[arg(long, value_name = "FILE|sha256:HEX", value_parser = parse::certificate_sha256)]
    certificate: Option<parse::Thumbprint>,
    /// Present the session from this IP address
    #[arg(long, value_name = "IP", default_value = "", hide_default_value = true)]
    address: String,
    /// Have the session read from the store before the decision
    #[arg(long)]
    strict: bool,
    /// How to print the decision
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    data: DataOptions,
}

impl CheckArgs {
    /// Runs the command: yes for an allow, no for a denial.
    ///
    /// # Errors
    /// When there is no decision.
    pub async fn run(self) -> Result<Verdict, Failure> {
        let request = self.request()?;
        let link = self.data.connect().await?;
        let asked_at = Instant::now();
        let response = link.answer(link.decisions().check(request.clone())).await?;
        let took = asked_at.elapsed();
        let decision = response.decision.unwrap_or_default();
        let verdict = verdict(&decision)?;
        match self.output {
            Format::Json => output::print_json(&DecisionJson::new(&decision, took))?,
            Format::Table => output::print(&explanation(&decision, &request, took))?,
        }
        Ok(verdict)
    }

    fn request(&self) -> Result<CheckRequest, Failure> {
        let session_handle = match (&self.session_file, &self.session) {
            (Some(path), _) => files::read_secret(path)?,
            // Without one the presenter acts for itself. That is asked for by leaving it out, not by an unset variable.
            (None, Some(handle)) if handle.trim().is_empty() => {
                return Err(Failure::Input(
                    "the session's handle is empty; to ask without a session, leave it out".to_owned(),
                ));
            }
            (None, Some(handle)) => handle.trim().to_owned(),
            (None, None) => String::new(),
        };
        let mut attributes = Vec::new();
        if let Some(path) = &self.attrs_json {
            let text = files::read(path, files::JSON_BYTES_MAX)?;
            let shown = path.display();
            let read = parse::json(&text)
                .and_then(|json| json.into_object().ok_or_else(|| "the file holds an object of attributes".to_owned()));
            for (name, value) in read.map_err(|message| Failure::Input(format!("`{shown}`: {message}")))? {
                let value = parse::cedar_value(value)
                    .map_err(|message| Failure::Input(format!("`{shown}`: attribute `{name}`: {message}")))?;
                attributes.push((name, value));
            }
        }
        attributes.extend(self.attributes.iter().cloned());
        let action = self.action.as_ref().map(|action| ActionRequest {
            action: action.clone(),
            resource: self.resource.clone(),
            attributes: attributes.iter().cloned().collect(),
        });
        // Of two values for one name, guessing which was meant could turn a denial into an allow.
        let mut names = HashSet::new();
        if let Some((name, _)) = attributes.iter().find(|(name, _)| !names.insert(name)) {
            return Err(Failure::Input(format!("the attribute `{name}` is given twice")));
        }
        let presenter = Presenter {
            spiffe_id: self.spiffe_id.clone(),
            certificate_sha256: self.certificate.clone().map(parse::Thumbprint::into_bytes).unwrap_or_default(),
            address: self.address.clone(),
        };
        let consistency = if self.strict { Consistency::Strict } else { Consistency::Unspecified };
        Ok(CheckRequest {
            session_handle,
            presenter: Some(presenter),
            action,
            consistency: consistency.into(),
            payload: self.payload.payload()?,
        })
    }
}

/// An outcome that this version does not know is not an allow, and not a denial that could be explained either.
fn verdict(decision: &Decision) -> Result<Verdict, Failure> {
    match Outcome::try_from(decision.outcome) {
        Ok(Outcome::Allow) => Ok(Verdict::Yes),
        Ok(Outcome::Deny | Outcome::Challenge) => Ok(Verdict::No),
        Ok(Outcome::Unspecified) | Err(_) => Err(Failure::Input(format!(
            "the server answered with the outcome {}, which this version of chaperone does not know; do not go ahead",
            decision.outcome
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_outcome_is_no_allow() {
        for outcome in [0, 4, -1] {
            assert!(verdict(&Decision { outcome, ..Decision::default() }).is_err(), "{outcome}");
        }
        assert_eq!(verdict(&Decision { outcome: 1, ..Decision::default() }).expect("known"), Verdict::Yes);
        for outcome in [2, 3] {
            assert_eq!(verdict(&Decision { outcome, ..Decision::default() }).expect("known"), Verdict::No);
        }
    }
}
