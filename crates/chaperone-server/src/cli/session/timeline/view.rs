//! A story as people read it.

use std::fmt::Write as _;

use anstyle::Style;

use super::story::{Beat, Story, What};
use crate::cli::output::{BAD, DIM, GOOD, PLAIN, STRONG, Table, WARN, paint, plain};
use crate::cli::time::shown_moment;

/// How wide the time is, with what follows it.
const TIME_WIDTH: usize = 14;
/// How wide a word such as `deny` is at least.
const WORD_WIDTH: usize = 10;

/// The whole story.
pub fn render(story: &Story) -> String {
    let mut facts = Table::of_facts();
    facts
        .fact("principal", story.principal.as_deref().unwrap_or_default())
        .fact("owner", &story.owner)
        .fact("task", &story.task_id)
        .fact("parent", story.parent_id.map(|id| id.to_string()).unwrap_or_default())
        .fact("tree", story.tree_id.filter(|id| *id != story.session_id).map(|id| id.to_string()).unwrap_or_default());
    let mut text = format!("session {}\n{}", story.session_id, facts.render());
    let mut page = Page { day: String::new(), session: story.session_id, text: String::new() };
    story.beats.iter().for_each(|beat| page.tell(beat));
    text.push_str(&page.text);
    text
}

struct Page {
    /// The day of the last line.
    day: String,
    /// The session of the last line.
    session: chaperone_policy::SessionId,
    text: String,
}

impl Page {
    fn tell(&mut self, beat: &Beat) {
        let moment = shown_moment(beat.at);
        let (day, time) = moment.split_once('T').unwrap_or(("", &moment));
        if day != self.day {
            day.clone_into(&mut self.day);
            // Writing to a String cannot fail.
            let _ = write!(self.text, "\n{}\n", paint(STRONG, day));
        }
        let indent = "    ".repeat(beat.depth);
        if beat.session_id != self.session {
            self.session = beat.session_id;
            let who = beat.principal.as_deref().map(plain).unwrap_or_default();
            let heading = paint(STRONG, &format!("{who}  session {}", beat.session_id));
            let _ = writeln!(self.text, "{}{indent}{heading}", " ".repeat(TIME_WIDTH));
        }
        let (style, word, about) = first_line(beat);
        let count = if beat.count > 1 { format!(" ×{}", beat.count) } else { String::new() };
        let until = if beat.count > 1 { format!("  until {}", time_of(beat.last_at)) } else { String::new() };
        let width = word.chars().count() + count.chars().count();
        let gap = " ".repeat(WORD_WIDTH.saturating_sub(width) + 1);
        let line = format!(
            "{}{}{indent}{}{count}{gap}{}{}",
            paint(DIM, time.trim_end_matches('Z')),
            " ".repeat(TIME_WIDTH.saturating_sub(time.len() - 1)),
            paint(style, &plain(&word)),
            plain(&about),
            paint(DIM, &until),
        );
        let _ = writeln!(self.text, "{}", line.trim_end());
        for more in more_lines(beat) {
            let _ = writeln!(self.text, "{}{indent}{}", " ".repeat(TIME_WIDTH + WORD_WIDTH + 1), plain(&more));
        }
    }
}

fn time_of(at: chaperone_policy::Timestamp) -> String {
    shown_moment(at).split_once('T').map(|(_, time)| time.trim_end_matches('Z').to_owned()).unwrap_or_default()
}

fn first_line(beat: &Beat) -> (Style, String, String) {
    match &beat.what {
        What::Decision { outcome, actions, .. } => {
            let style = match &**outcome {
                "allow" => GOOD,
                "deny" => BAD,
                "challenge" => WARN,
                _ => PLAIN,
            };
            let about = if actions.is_empty() { "?".to_owned() } else { actions.join(", ") };
            (style, outcome.clone(), about)
        }
        What::Act { act, by, note, approval_id } => {
            let (of, word) = act.split_once('.').unwrap_or(("", act));
            let style = match word {
                "approved" => GOOD,
                "revoked" | "denied" => BAD,
                _ => STRONG,
            };
            let mut about = Vec::new();
            if let Some(id) = approval_id {
                about.push(format!("approval {id}"));
            } else if !matches!(of, "session" | "") {
                about.push(of.to_owned());
            }
            if !by.is_empty() {
                about.push(format!("by {by}"));
            }
            let about = about.join(" ");
            let separator = if about.is_empty() || note.is_empty() { "" } else { ": " };
            (style, word.to_owned(), format!("{about}{separator}{note}"))
        }
    }
}

/// Why it was refused, what is asked for, and what it changed.
fn more_lines(beat: &Beat) -> Vec<String> {
    let mut lines = Vec::new();
    if let What::Decision { outcome, code, reason, failures, asks, .. } = &beat.what {
        if outcome != "allow" {
            let mut reasons = reason.lines();
            lines.push(match reasons.next() {
                Some(first) => format!("{code}: {first}"),
                None => code.clone(),
            });
            lines.extend(reasons.map(str::to_owned));
        }
        lines.extend(failures.iter().map(|failure| format!("policy {failure}")));
        lines.extend(asks.iter().map(|(name, id)| format!("asks for {name}: approval {id}")));
    }
    lines.extend(beat.effects.iter().map(|effect| format!("→ {effect}")));
    lines
}

#[cfg(test)]
mod tests {
    use chaperone_trail::Record;

    use super::*;

    const STORY: &str = include_str!("../../../../../chaperone-trail/fixtures/story.jsonl");

    fn told(session: &str) -> Story {
        let records = STORY.lines().map(|line| Record::parse(line.as_bytes()).expect("a record"));
        Story::of(session.parse().expect("an id"), records)
    }

    fn shown(session: &str) -> String {
        anstream::adapter::strip_str(&render(&told(session))).to_string()
    }

    #[test]
    fn story_reads_from_the_opening_to_the_end() {
        let golden = include_str!("story.txt");
        let shown = shown("0198c0de-0000-7000-8000-000000000001");
        assert!(shown == golden, "{shown}");
    }

    #[test]
    fn story_of_a_child_is_its_own() {
        let story = told("0198c0de-0000-7000-8000-000000000002");
        assert!(story.beats.iter().all(|beat| beat.session_id == story.session_id && beat.depth == 0));
        let shown = shown("0198c0de-0000-7000-8000-000000000002");
        assert!(shown.contains("  parent     0198c0de-0000-7000-8000-000000000001\n"), "{shown}");
        assert!(!shown.contains("customers"), "{shown}");
    }

    #[test]
    fn only_equal_allows_are_folded() {
        let story = told("0198c0de-0000-7000-8000-000000000001");
        let counts: Vec<u32> = story.beats.iter().map(|beat| beat.count).filter(|count| *count > 1).collect();
        assert_eq!(counts, [3, 2]);
        let all: u32 = story.beats.iter().map(|beat| beat.count).sum();
        let of_tree = STORY.lines().filter(|line| line.contains(r#""tree":"0198c0de-0000-7000-8000-000000000001""#));
        assert_eq!(all as usize, of_tree.count());
    }

    #[test]
    fn json_says_what_happened_and_to_whom() {
        let json = serde_json::to_value(told("0198c0de-0000-7000-8000-000000000001")).expect("JSON");
        let beats = json["beats"].as_array().expect("beats");
        let deny = beats.iter().find(|beat| beat["outcome"] == "deny").expect("a denial");
        assert_eq!((&deny["code"], &deny["kind"]), (&"forbidden".into(), &"decision".into()));
        assert_eq!(deny["effects"][0], "label tree:pii");
        let folded = &beats[1];
        assert_eq!((folded["count"].as_u64(), folded["last_at"].as_str()), (Some(3), Some("2026-01-31T12:00:01.4Z")));
    }
}
