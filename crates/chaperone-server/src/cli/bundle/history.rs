//! `chaperone bundle history`: what was active.

use chaperone_api::chaperone::v1::{Activation, PolicyServiceHistoryRequest};
use clap::Args;
use serde::Serialize;

use crate::cli::connect::AdminOptions;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Cell, Format, PLAIN, Table, WARN};
use crate::cli::paging;
use crate::cli::time::shown_time;

/// Examples for the help.
pub const HELP: &str = "\
Examples:
  chaperone bundle history
  chaperone bundle history --limit 1 --output json";

/// Arguments of `bundle history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    #[command(flatten)]
    admin: AdminOptions,
}

/// An activation in JSON output.
#[derive(Debug, Serialize)]
struct ActivationJson<'a> {
    number: u64,
    previous_number: Option<u64>,
    rollback: bool,
    message: &'a str,
    activated_by: &'a str,
    activated_at: Option<String>,
}

impl HistoryArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// As they come.
    pub async fn run(self) -> Result<(), Failure> {
        let link = self.admin.connect().await?;
        let activations = paging::collect(self.limit, async |page_size, page_token| {
            let request = PolicyServiceHistoryRequest { page_size, page_token };
            let response = link.answer(link.policies().history(request)).await?;
            Ok((response.activations, response.next_page_token))
        })
        .await?;
        match self.output {
            Format::Json => output::print_json(&activations.iter().map(ActivationJson::from).collect::<Vec<_>>()),
            Format::Table => output::print(&table(&activations)),
        }
    }
}

impl<'a> From<&'a Activation> for ActivationJson<'a> {
    fn from(activation: &'a Activation) -> Self {
        Self {
            number: activation.number,
            previous_number: previous(activation),
            rollback: activation.rollback,
            message: &activation.message,
            activated_by: &activation.activated_by,
            activated_at: activation.activated_at.map(|time| time.to_string()),
        }
    }
}

/// A row an activation.
fn table(activations: &[Activation]) -> String {
    let mut table = Table::with_header(&["NUMBER", "BEFORE", "ACT", "ACTIVATED", "BY", "MESSAGE"]);
    for activation in activations {
        table.row([
            activation.number.to_string().into(),
            previous(activation).map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
            if activation.rollback { Cell::new(WARN, "rollback") } else { Cell::new(PLAIN, "activate") },
            shown_time(activation.activated_at.as_ref()).into(),
            Cell::from(&activation.activated_by),
            Cell::from(&activation.message),
        ]);
    }
    table.render()
}

fn previous(activation: &Activation) -> Option<u64> {
    Some(activation.previous_number).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollback_and_the_first_activation_can_be_told_apart() {
        let first = Activation { number: 1, activated_by: "ann".to_owned(), ..Activation::default() };
        let back = Activation { previous_number: 2, rollback: true, message: "too strict".to_owned(), ..first.clone() };
        let shown = anstream::adapter::strip_str(&table(&[back.clone(), first])).to_string();
        assert_eq!(
            shown,
            "NUMBER  BEFORE  ACT       ACTIVATED  BY   MESSAGE\n\
             1       2       rollback             ann  too strict\n\
             1       -       activate             ann\n"
        );
        let json = serde_json::to_value(ActivationJson::from(&back)).expect("it is written");
        assert_eq!((&json["previous_number"], &json["rollback"]), (&2.into(), &true.into()));
    }
}
