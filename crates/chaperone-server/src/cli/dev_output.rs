//! What `chaperone dev` prints: a welcome with commands to try, and a line for every decision. Pure text, with styles in it.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::Style;
use chaperone_policy::Timestamp;

use super::output::{BAD, DIM, GOOD, PLAIN, STRONG, Table, WARN, paint, plain};
use crate::cli::check::shown_latency;

const DATA_URL: &str = "http://127.0.0.1:7401";
const ADMIN_URL: &str = "http://127.0.0.1:7402";

/// What runs, and what to suggest.
#[derive(Clone, Debug)]
pub struct DevInfo {
    /// How the program was called, for the commands to copy, such as `chaperone` or `target/release/chaperone`.
    pub program: String,
    /// The data plane, such as `http://127.0.0.1:7401`.
    pub data_url: String,
    /// The admin plane.
    pub admin_url: String,
    /// Health and metrics.
    pub http_url: String,
    /// Where an Envoy listens that asks this server; `None` suggests no request through one.
    pub envoy_url: Option<String>,
    /// The header that carries a session's handle to Envoy.
    pub session_header: String,
    /// What decides, such as `sample bundle (4 policies)`.
    pub bundle: String,
    /// The open session; `None` when the bundle is not the sample, whose principals are not known here.
    pub session: Option<DevSession>,
}

/// The sample session, and two actions to try with it.
#[derive(Clone, Debug)]
pub struct DevSession {
    /// Its id.
    pub id: String,
    /// Its handle, in the clear: this is for trying out.
    pub handle: String,
    /// Who acts, as Cedar writes it.
    pub principal: String,
    /// Who answers for it.
    pub owner: String,
    /// An action that the policies allow.
    pub allowed: DevAction,
    /// One that they deny.
    pub denied: DevAction,
    /// The path of a request through Envoy that is allowed, such as `/documents/welcome`.
    pub envoy_path: String,
}

/// An action to try.
#[derive(Clone, Debug)]
pub struct DevAction {
    /// The action.
    pub action: String,
    /// The resource, as Cedar writes it.
    pub resource: String,
    /// Attributes in the form of `--attr`.
    pub attributes: Vec<String>,
}

/// What a line tells about one decision.
#[derive(Clone, Debug)]
pub struct DecisionLine<'a> {
    /// When it was decided.
    pub time: Timestamp,
    /// What came of it.
    pub outcome: LineOutcome,
    /// The stable code.
    pub code: &'a str,
    /// Who acts, as Cedar writes it; empty when nobody is known.
    pub principal: &'a str,
    /// The action, in its short form where it has one.
    pub action: &'a str,
    /// The resource, as Cedar writes it.
    pub resource: &'a str,
    /// The session's id; empty without one.
    pub session_id: &'a str,
    /// The ids of the determining policies.
    pub policies: &'a [String],
    /// How long deciding took.
    pub latency: Duration,
}

/// What can come of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineOutcome {
    /// It may go ahead.
    Allow,
    /// It must not.
    Deny,
    /// It must not until a person approves it.
    Challenge,
    /// There was no decision, so it does not go ahead either.
    NoDecision,
}

/// The text that greets: what runs where, and what to try next.
pub fn welcome(info: &DevInfo) -> String {
    let mut facts = Table::of_facts();
    facts
        .fact("data plane", format!("{}  Envoy's ext_authz, and direct checks", info.data_url))
        .fact("admin plane", format!("{}  bundles, sessions, entities", info.admin_url))
        .fact("http", format!("{0}/readyz  {0}/metrics", info.http_url))
        .fact("bundle", &info.bundle);
    if let Some(session) = &info.session {
        facts
            .fact("session", format!("{} for {}, owner {}", session.id, session.principal, session.owner))
            .fact("handle", &session.handle);
    }
    let mut out = format!("{} is deciding. Everything is in memory.\n\n{}", paint(STRONG, "Chaperone"), facts.render());
    if let Some(session) = &info.session {
        out.push_str("\nTry in another terminal:\n");
        for (title, command) in suggestions(info, session) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\n  {}\n  {}\n", paint(DIM, &format!("# {title}")), paint(STRONG, &command));
        }
    } else {
        let program = plain(&info.program);
        let _ = writeln!(out, "\nOpen a session with `{program} session open --help`.");
    }
    out.push_str("\nEvery decision is shown below. Ctrl-C ends this.\n\n");
    out
}

/// Titles and commands, in the order to try them.
fn suggestions(info: &DevInfo, session: &DevSession) -> Vec<(&'static str, String)> {
    let mut steps = vec![
        ("allowed", check(info, session, &session.allowed)),
        ("denied, and why", check(info, session, &session.denied)),
    ];
    if let Some(envoy) = &info.envoy_url {
        let header = quoted(&format!("{}: {}", info.session_header, session.handle));
        let url = quoted(&format!("{}{}", envoy.trim_end_matches('/'), session.envoy_path));
        steps.push(("through Envoy", format!("curl -i -H {header} {url}")));
    }
    let admin =
        if info.admin_url == ADMIN_URL { String::new() } else { format!(" --admin {}", quoted(&info.admin_url)) };
    let revoke = format!("{} session revoke{admin} {} --reason 'trying it out'", program(info), session.id);
    steps.push(("revoke the session, then try the first one again", revoke));
    steps
}

fn check(info: &DevInfo, session: &DevSession, action: &DevAction) -> String {
    let data = if info.data_url == DATA_URL { String::new() } else { format!(" --data {}", quoted(&info.data_url)) };
    let mut command = format!(
        "{} check{data} --session {} --action {} --resource {}",
        program(info),
        quoted(&session.handle),
        quoted(&action.action),
        quoted(&action.resource),
    );
    for attribute in &action.attributes {
        // Writing to a String cannot fail.
        let _ = write!(command, " --attr {}", quoted(attribute));
    }
    plain(&command)
}

fn program(info: &DevInfo) -> String {
    quoted(&info.program)
}

/// An argument for a POSIX shell, in quotes where it needs them.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// One decision on one line, with its end.
pub fn decision_line(line: &DecisionLine<'_>) -> String {
    let (style, outcome) = match line.outcome {
        LineOutcome::Allow => (GOOD, "ALLOW"),
        LineOutcome::Deny => (BAD, "DENY"),
        LineOutcome::Challenge => (WARN, "ASK"),
        LineOutcome::NoDecision => (WARN, "NONE"),
    };
    let columns = [
        (DIM, clock(line.time), 12),
        (style, outcome.to_owned(), 5),
        (style_of_code(line.outcome), plain(line.code), 16),
        (PLAIN, plain(line.principal), 20),
        (STRONG, plain(line.action), 8),
        (PLAIN, plain(line.resource), 24),
        (DIM, short_id(line.session_id), 8),
        (DIM, shown_latency(line.latency), 7),
        (DIM, plain(&line.policies.join(", ")), 0),
    ];
    let mut out = String::new();
    for (style, text, width) in columns {
        let shown = if text.is_empty() { "-" } else { &text };
        out.push_str(&paint(style, shown));
        let padding = usize::saturating_sub(width, shown.chars().count());
        out.push_str(&" ".repeat(padding + 2));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn style_of_code(outcome: LineOutcome) -> Style {
    if outcome == LineOutcome::Allow { DIM } else { PLAIN }
}

/// The last group of a UUID: the random part, which tells sessions of one moment apart.
fn short_id(id: &str) -> String {
    let start = id.len().saturating_sub(8);
    plain(id.get(start..).unwrap_or(id))
}

/// The time of day in UTC, to the millisecond.
fn clock(time: Timestamp) -> String {
    const DAY_MS: i64 = 86_400_000;
    let ms = time.as_micros().div_euclid(1_000).rem_euclid(DAY_MS);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> DevInfo {
        DevInfo {
            program: "chaperone".into(),
            data_url: DATA_URL.into(),
            admin_url: ADMIN_URL.into(),
            http_url: "http://127.0.0.1:7403".into(),
            envoy_url: None,
            session_header: "x-chaperone-session".into(),
            bundle: "sample (4 policies)".into(),
            session: Some(DevSession {
                id: "0198c0de-0000-7000-8000-0000deadbeef".into(),
                handle: "chp_abc".into(),
                principal: "Agent::\"report-bot\"".into(),
                owner: "ann@example.com".into(),
                allowed: DevAction {
                    action: "read".into(),
                    resource: "Document::\"welcome\"".into(),
                    attributes: Vec::new(),
                },
                denied: DevAction {
                    action: "export".into(),
                    resource: "Document::\"it's\"".into(),
                    attributes: vec!["format=csv".into()],
                },
                envoy_path: "/documents/welcome".into(),
            }),
        }
    }

    fn stripped(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn welcome_shows_commands_that_a_shell_takes() {
        let shown = stripped(&welcome(&info()));
        for command in [
            "\n  chaperone check --session chp_abc --action read --resource 'Document::\"welcome\"'\n",
            "\n  chaperone check --session chp_abc --action export --resource 'Document::\"it'\\''s\"' --attr format=csv\n",
            "\n  chaperone session revoke 0198c0de-0000-7000-8000-0000deadbeef --reason 'trying it out'\n",
        ] {
            assert!(shown.contains(command), "{command}\n{shown}");
        }
        assert!(!shown.contains("curl"), "{shown}");
    }

    #[test]
    fn welcome_names_other_addresses_and_envoy_in_the_commands() {
        let info = DevInfo {
            data_url: "http://127.0.0.1:1".into(),
            admin_url: "http://127.0.0.1:2".into(),
            envoy_url: Some("http://127.0.0.1:8080/".into()),
            ..info()
        };
        let shown = stripped(&welcome(&info));
        assert!(shown.contains("check --data http://127.0.0.1:1 --session"), "{shown}");
        assert!(shown.contains("revoke --admin http://127.0.0.1:2 0198"), "{shown}");
        assert!(
            shown.contains("curl -i -H 'x-chaperone-session: chp_abc' http://127.0.0.1:8080/documents/welcome\n"),
            "{shown}"
        );
    }

    #[test]
    fn decision_is_one_line_in_columns() {
        let policies = ["no-export".to_owned(), "office-hours".to_owned()];
        let line = DecisionLine {
            time: Timestamp::from_micros(1_769_860_800_123_456),
            outcome: LineOutcome::Deny,
            code: "forbidden",
            principal: "Agent::\"report-bot\"",
            action: "export",
            resource: "Document::\"welcome\"",
            session_id: "0198c0de-0000-7000-8000-0000deadbeef",
            policies: &policies,
            latency: Duration::from_micros(184),
        };
        assert_eq!(
            stripped(&decision_line(&line)),
            "12:00:00.123  DENY   forbidden         Agent::\"report-bot\"   export    Document::\"welcome\"       \
             deadbeef  184 µs   no-export, office-hours\n"
        );
        let nothing = DecisionLine {
            outcome: LineOutcome::NoDecision,
            principal: "",
            session_id: "",
            resource: "Endpoint::\"a\n\u{1b}[2J\"",
            policies: &[],
            ..line
        };
        let shown = stripped(&decision_line(&nothing));
        assert_eq!(shown.lines().count(), 1, "{shown}");
        assert!(shown.ends_with("  -\n") && !shown.contains('\u{1b}'), "{shown}");
    }
}
