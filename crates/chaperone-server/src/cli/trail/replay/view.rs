//! What came of a replay, as it is printed.

use std::fmt::Write as _;

use serde::Serialize;

use super::speed::Speed;
use crate::cli::differences::{self, GroupJson, VerdictJson};
use crate::cli::output::{BAD, Cell, DIM, GOOD, Table, WARN, paint, plain};
use crate::cli::time::shown_moment;
use crate::replay::{Difference, Different, Tally};

/// A tally in JSON output.
#[derive(Debug, Serialize)]
pub struct TallyJson {
    record_count: u64,
    decision_count: u64,
    identical_count: u64,
    difference_count: u64,
    not_replayable_count: u64,
    unreadable_count: u64,
    elapsed_ms: u64,
    decisions_per_s: u64,
    /// By kind, action and policies, the gravest kind first.
    groups: Vec<GroupJson>,
    /// At most as many as were asked for.
    differences: Vec<DifferentJson>,
    not_replayable: Vec<ObstacleJson>,
}

#[derive(Debug, Serialize)]
struct DifferentJson {
    chain_id: String,
    seq: u64,
    decision_id: String,
    time: String,
    asked: String,
    recorded: Option<VerdictJson>,
    replayed: Option<VerdictJson>,
    /// Whose state was changed since.
    changed_state: Option<String>,
}

#[derive(Debug, Serialize)]
struct ObstacleJson {
    code: &'static str,
    count: u64,
    /// One of them.
    decision_id: String,
    message: String,
}

impl TallyJson {
    /// With at most so many differences.
    pub fn new(tally: &Tally, speed: Speed, limit: usize) -> Self {
        let obstacles = tally.obstacles.iter().map(|(code, (count, id, obstacle))| ObstacleJson {
            code,
            count: *count,
            decision_id: id.to_string(),
            message: obstacle.to_string(),
        });
        Self {
            record_count: tally.record_count,
            decision_count: tally.decision_count,
            identical_count: tally.same_count,
            difference_count: tally.different_count,
            not_replayable_count: tally.obstacle_count(),
            unreadable_count: tally.unreadable_count,
            elapsed_ms: speed.elapsed_ms(),
            decisions_per_s: speed.decisions_per_s(),
            groups: tally.groups.iter().map(GroupJson::from).collect(),
            differences: tally.different.iter().take(limit).map(DifferentJson::from).collect(),
            not_replayable: obstacles.collect(),
        }
    }
}

impl From<&Different> for DifferentJson {
    fn from(different: &Different) -> Self {
        let (recorded, replayed, changed_state) = match &different.difference {
            Difference::Decision { recorded, replayed } => (Some(recorded.into()), Some(replayed.into()), None),
            Difference::State { of } => (None, None, Some(of.clone())),
        };
        Self {
            chain_id: different.chain.to_string(),
            seq: different.seq,
            decision_id: different.id.to_string(),
            time: different.at.to_string(),
            asked: different.asked.clone(),
            recorded,
            replayed,
            changed_state,
        }
    }
}

/// The verdict, with at most so many differences before it.
pub fn render(tally: &Tally, speed: Speed, limit: usize) -> String {
    let mut text = String::new();
    if !tally.different.is_empty() {
        let mut table = Table::with_header(&["TIME", "DECISION", "ASKED", "RECORDED", "REPLAYED"]);
        for different in tally.different.iter().take(limit) {
            let (recorded, replayed) = match &different.difference {
                Difference::Decision { recorded, replayed } => (recorded.to_string(), replayed.to_string()),
                Difference::State { of } => (String::new(), format!("the state of {of} was changed since")),
            };
            table.row([
                Cell::new(DIM, &shown_moment(different.at)),
                different.id.to_string().into(),
                different.asked.as_str().into(),
                recorded.into(),
                Cell::new(BAD, &replayed),
            ]);
        }
        text.push_str(&table.render());
        let hidden = tally.different_count.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
        if hidden > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", paint(DIM, &format!("and {hidden} more; --limit shows more of them")));
        }
    }
    text.push_str(&differences::table(tally.groups.iter().map(GroupJson::from)));
    if !tally.obstacles.is_empty() {
        let mut table = Table::with_header(&["NOT REPLAYABLE", "COUNT", "SUCH AS"]);
        for (code, (count, id, obstacle)) in &tally.obstacles {
            table.row([
                Cell::new(WARN, code),
                count.to_string().into(),
                format!("{id}: {}", plain(&obstacle.to_string())).into(),
            ]);
        }
        text.push_str(&table.render());
    }
    if tally.unreadable_count > 0 {
        let unreadable = match tally.unreadable_count {
            1 => "1 line is no record that this program reads".to_owned(),
            count => format!("{count} lines are no records that this program reads"),
        };
        let _ = writeln!(text, "{}", paint(WARN, &unreadable));
    }
    let (decisions, same, obstacles) = (tally.decision_count, tally.same_count, tally.obstacle_count());
    let verdict = match tally.different_count {
        0 if decisions == 0 => paint(WARN, "there are no decisions"),
        0 if same == 0 => paint(WARN, "NOT REPLAYABLE"),
        0 => paint(GOOD, "NO DIFFERENCE"),
        1 => paint(BAD, "1 DIFFERENCE"),
        count => paint(BAD, &format!("{count} DIFFERENCES")),
    };
    let rate = speed.decisions_per_s();
    let _ = writeln!(
        text,
        "{verdict}: {same} of {decisions} decisions come out the same, {obstacles} cannot be replayed ({rate} a second)"
    );
    text
}
