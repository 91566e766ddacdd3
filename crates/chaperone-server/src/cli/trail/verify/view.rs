//! What verifying found, as it is printed.

use std::fmt::Write as _;

use chaperone_api::chaperone::v1::{TrailChainReport, TrailFault, TrailVerifyReport};
use serde::Serialize;

use crate::cli::output::{BAD, Cell, DIM, GOOD, Table, WARN, paint, plain};
use crate::count_text::count_text;

/// A report in JSON output.
#[derive(Debug, Serialize)]
pub struct ReportJson<'a> {
    valid: bool,
    record_count: u64,
    chains: Vec<ChainJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ChainJson<'a> {
    chain_id: &'a str,
    first_seq: u64,
    last_seq: u64,
    last_digest: &'a str,
    signed_seq: Option<u64>,
    unsigned_count: u64,
    start_count: u64,
    interruption_count: u64,
    stopped: bool,
    fault: Option<FaultJson<'a>>,
}

#[derive(Debug, Serialize)]
struct FaultJson<'a> {
    seq: u64,
    code: &'a str,
    message: &'a str,
}

impl<'a> From<&'a TrailVerifyReport> for ReportJson<'a> {
    fn from(report: &'a TrailVerifyReport) -> Self {
        let chains = report.chains.iter().map(ChainJson::from).collect();
        Self { valid: report.valid, record_count: report.record_count, chains }
    }
}

impl<'a> From<&'a TrailChainReport> for ChainJson<'a> {
    fn from(chain: &'a TrailChainReport) -> Self {
        Self {
            chain_id: &chain.chain_id,
            first_seq: chain.first_seq,
            last_seq: chain.last_seq,
            last_digest: &chain.last_digest,
            signed_seq: Some(chain.signed_seq).filter(|seq| *seq > 0),
            unsigned_count: chain.unsigned_count,
            start_count: chain.start_count,
            interruption_count: chain.interruption_count,
            stopped: chain.stopped,
            fault: chain.fault.as_ref().map(FaultJson::from),
        }
    }
}

impl<'a> From<&'a TrailFault> for FaultJson<'a> {
    fn from(fault: &'a TrailFault) -> Self {
        Self { seq: fault.seq, code: &fault.code, message: &fault.message }
    }
}

/// The verdict, and what it rests on.
pub fn render(report: &TrailVerifyReport) -> String {
    let mut text = String::new();
    for chain in &report.chains {
        let mut facts = Table::of_facts();
        if !chain.last_digest.is_empty() {
            facts
                .fact("records", format!("{} to {} follow from each other", chain.first_seq, chain.last_seq))
                .fact("sha256", format!("{} of record {}", chain.last_digest, chain.last_seq));
        }
        let (style, signed) = match (chain.signed_seq, chain.unsigned_count) {
            (0, _) => (WARN, "by no checkpoint".to_owned()),
            (seq, 0) => (GOOD, format!("up to {seq}, the last")),
            (seq, count) => (WARN, format!("up to {seq}; {count} after it are not")),
        };
        facts.row([Cell::new(DIM, "signed"), Cell::new(style, &signed)]);
        if chain.interruption_count > 0 {
            facts.fact(
                "interrupted",
                format!("{}, without a stop in order", count_text(chain.interruption_count, "time", "times")),
            );
        }
        facts.fact("end", if chain.stopped { "stopped in order" } else { "open: it runs, crashed, or was cut off" });
        if let Some(fault) = &chain.fault {
            facts.row([
                Cell::new(BAD, "first bad"),
                Cell::new(BAD, &format!("record {}: {} ({})", fault.seq, fault.message, fault.code)),
            ]);
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "chain {}\n{}", plain(&chain.chain_id), facts.render());
    }
    let (records, chains) = (report.record_count, report.chains.len());
    let faulty = report.chains.iter().filter(|chain| chain.fault.is_some()).count();
    let verdict = match (report.valid, chains) {
        (true, 0) => paint(WARN, "there are no records"),
        (true, _) => format!(
            "{}: of {} in {} none was changed, left out or put elsewhere",
            paint(GOOD, "VALID"),
            count_text(records, "record", "records"),
            count_text(chains, "chain", "chains")
        ),
        (false, _) => format!("{}: {faulty} of {}", paint(BAD, "NOT VALID"), count_text(chains, "chain", "chains")),
    };
    let _ = writeln!(text, "{verdict}");
    text
}
