//! Reading the annotations that make a policy act.

use cedar_policy_core::ast::{Annotation, AnyId, Effect as CedarEffect, Policy as CorePolicy};
use cedar_policy_core::parser::Loc;
use smol_str::SmolStr;

use super::{Act, Level, Observes, Rule, Severity, Source};
use crate::diagnostics::File;
use crate::fact::is_fact_name;
use crate::memory::{MemoryName, ParseMemoryNameError, Reported, is_name};
use crate::problem::Problem;

/// How many items one annotation has at most: every decision that the policy determines does all of them.
const ITEMS_MAX: usize = 32;
/// Every annotation of this family.
const FAMILY: [&str; 8] = ["stepup", "label", "count", "remember", "risk", "revoke", "alert", "observe"];

/// What a policy's annotations ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Annotations {
    /// Takes no part in decisions, and sees those of these outcomes.
    pub(crate) observes: Option<Observes>,
    /// The approval that lifts it, where it forbids.
    pub(crate) step_up: Option<SmolStr>,
    /// In the order of the annotations' names, then as written.
    pub(crate) rules: Vec<Rule>,
}

impl Annotations {
    /// Whether something is taken from this attribute of requests. An approval is for all of them.
    pub(crate) fn read(&self, attribute: &str) -> bool {
        self.step_up.is_some()
            || self.rules.iter().any(|rule| match &rule.act {
                Act::Count(.., Source::Attribute(path)) | Act::Remember(.., Source::Attribute(path)) => {
                    path.first().is_some_and(|name| name == attribute)
                }
                Act::Count(..)
                | Act::Remember(..)
                | Act::Label(..)
                | Act::Risk(_)
                | Act::Revoke(_)
                | Act::Alert(..) => false,
            })
    }

    /// Whether they change a memory of this level. What lifts a forbid is used up in its session or tree, and what waits for a report
    /// stands in the session's.
    pub(crate) fn change(&self, level: Level) -> bool {
        (self.step_up.is_some() && level != Level::Principal)
            || self.rules.iter().any(|rule| match &rule.act {
                _ if rule.on.is_some() && level == Level::Session => true,
                Act::Label(of, _) | Act::Count(of, ..) | Act::Remember(of, ..) => *of == level,
                Act::Risk(_) => level == Level::Session,
                Act::Revoke(_) | Act::Alert(..) => false,
            })
    }
}

/// What a scope's policy must not have: a scope narrows, and does nothing beside.
pub(crate) fn refuse_in_scope(file: File<'_>, policy: &CorePolicy) -> Vec<Problem> {
    let effects = policy.annotations().filter(|(key, _)| FAMILY.contains(&AsRef::<str>::as_ref(*key)));
    effects
        .map(|(key, annotation)| {
            let message = format!("`@{}` has no meaning in a scope", AsRef::<str>::as_ref(key));
            file.problem_at(annotation.loc.as_ref().or(policy.loc()), "annotation_in_scope", message)
        })
        .collect()
}

/// Something in an annotation's text that means nothing.
struct Malformed<'t> {
    /// The part of the text.
    part: &'t str,
    message: String,
    /// Advice, where the annotation's own is not to the point.
    help: Option<&'static str>,
}

type Parsed<'t, T> = Result<T, Malformed<'t>>;

/// Reads the annotations of a policy.
///
/// # Errors
/// With everything in them that means nothing, and where it stands.
pub(crate) fn parse(file: File<'_>, policy: &CorePolicy) -> Result<Annotations, Vec<Problem>> {
    let mut annotations = Annotations::default();
    let mut problems = Vec::new();
    for (key, annotation) in policy.annotations() {
        let name = AsRef::<str>::as_ref(key);
        if FAMILY.contains(&name)
            && let Err(malformed) = add(&mut annotations, name, &annotation.val, policy)
        {
            problems.push(problem(file, policy, key, annotation, &malformed));
        }
    }
    if problems.is_empty() { Ok(annotations) } else { Err(problems) }
}

fn problem(
    file: File<'_>,
    policy: &CorePolicy,
    key: &AnyId,
    annotation: &Annotation,
    found: &Malformed<'_>,
) -> Problem {
    let loc = annotation.loc.as_ref().or(policy.loc());
    let problem = match loc.and_then(|loc| place(file, loc, &annotation.val, found.part)) {
        Some((offset, length)) => file.problem(offset, length, "annotation_syntax", &found.message),
        None => file.problem_at(loc, "annotation_syntax", &found.message),
    };
    problem.with_help(found.help.unwrap_or_else(|| help(key.as_ref())))
}

/// Where a part of an annotation's text stands in the file; `None` for a part of nothing, and where the text is written with escapes, which
/// move everything behind them.
fn place(file: File<'_>, loc: &Loc, text: &str, part: &str) -> Option<(usize, usize)> {
    let written = file.text.get(loc.start()..loc.end())?;
    let start = written.find('"')? + 1;
    // A part is a slice of the text, and only its address says which of several equal ones.
    let offset = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let is_plain = written.get(start..).is_some_and(|written| written.starts_with(text));
    (is_plain && !part.is_empty() && text.get(offset..)?.starts_with(part))
        .then(|| (loc.start() + start + offset, part.len()))
}

fn help(name: &str) -> &'static str {
    match name {
        "stepup" => "write `@stepup(\"data-protection\")`, one name, on a `forbid`",
        "label" => {
            "write `@label(\"pii\")`, or `@label(\"tree:pii\")` for the whole tree; several are separated by commas"
        }
        "count" => {
            "write `@count(\"exports/1h\")`, `@count(\"principal:usd/24h += context.request.amount\")`; several are separated by commas"
        }
        "remember" => "write `@remember(\"documents/1h = resource\")` or `… = context.request.name`",
        "risk" => "write `@risk(\"+20\")` or `@risk(\"-5\")`, at most 100 either way",
        "revoke" => "write `@revoke(\"session\")`, `\"tree\"` or `\"principal\"`, on a `forbid`",
        "alert" => "write `@alert(\"token-reuse:high\")`; severities are low, medium, high and critical",
        "observe" => "write `@observe`, `@observe(\"deny\")` or `@observe(\"any\")`, on a `permit`",
        _ => "it will be accepted when it has a meaning",
    }
}

fn add<'t>(annotations: &mut Annotations, name: &str, text: &'t str, policy: &CorePolicy) -> Parsed<'t, ()> {
    let effect = policy.effect();
    let malformed = |message: &str| Malformed { part: text, message: message.to_owned(), help: None };
    match name {
        "observe" => {
            if effect != CedarEffect::Permit {
                return Err(malformed(
                    "`@observe` is for a `permit`: a forbid that takes no part would forbid nothing",
                ));
            }
            annotations.observes = Some(match text {
                "" | "allow" => Observes::Allowed,
                "deny" => Observes::Denied,
                "any" => Observes::Any,
                _ => return Err(malformed("this is no outcome")),
            });
            return Ok(());
        }
        "stepup" => {
            if effect != CedarEffect::Forbid {
                return Err(malformed("`@stepup` is for a `forbid`: an approval lifts what forbids"));
            }
            annotations.step_up = Some(self::name(text)?);
            return Ok(());
        }
        "revoke" if effect != CedarEffect::Forbid => return Err(malformed("`@revoke` is for a `forbid`")),
        _ => {}
    }
    if text.split(',').count() > ITEMS_MAX {
        return Err(malformed(&format!("there are more than {ITEMS_MAX} items")));
    }
    for item in text.split(',') {
        let (item, on) = waits(item.trim(), name, policy)?;
        let act = match name {
            "label" => label(item)?,
            "count" => count(item)?,
            "remember" => remember(item)?,
            "risk" => Act::Risk(risk(item)?),
            "revoke" => Act::Revoke(Level::parse(item).ok_or_else(|| unknown(item, "what is revoked"))?),
            "alert" => alert(item)?,
            _ => return Err(malformed(&format!("`@{name}` is not supported in this version"))),
        };
        if on.is_none()
            && let Act::Count(.., Source::Result(_)) | Act::Remember(.., Source::Result(_)) = act
        {
            let message = format!("`{item}` speaks of a result, which only a report tells");
            return Err(Malformed {
                part: item,
                message,
                help: Some("end the item with ` on executed` or ` on failed`"),
            });
        }
        annotations.rules.push(Rule { act, on });
    }
    Ok(())
}

/// Takes ` on executed` or ` on failed` from the end of an item.
fn waits<'t>(item: &'t str, name: &str, policy: &CorePolicy) -> Parsed<'t, (&'t str, Option<Reported>)> {
    let Some((rest, report)) = item.rsplit_once(char::is_whitespace) else { return Ok((item, None)) };
    let rest = rest.trim_end();
    let Some(what) = rest.strip_suffix("on").filter(|what| what.is_empty() || what.ends_with(char::is_whitespace))
    else {
        return Ok((item, None));
    };
    let refused = |message: &str, help| Malformed { part: report, message: message.to_owned(), help: Some(help) };
    let Some(reported) = Reported::parse(report) else {
        let message = format!("`{report}` is no outcome that is reported");
        return Err(refused(&message, "write ` on executed` or ` on failed`"));
    };
    if !matches!(name, "label" | "count" | "remember" | "risk") {
        let message = format!("`@{name}` does not wait for a report");
        return Err(refused(&message, "`@count`, `@label`, `@remember` and `@risk` can"));
    }
    if !sees_allows(policy) {
        let message = "only what was allowed is reported, and this policy determines no allow";
        return Err(refused(message, "put it on a `permit`, or on one with `@observe` or `@observe(\"any\")`"));
    }
    Ok((what.trim_end(), Some(reported)))
}

/// Whether the policy determines allows, or observes them.
fn sees_allows(policy: &CorePolicy) -> bool {
    let observes = policy.annotations().find(|(key, _)| AsRef::<str>::as_ref(*key) == "observe");
    policy.effect() == CedarEffect::Permit && observes.is_none_or(|(_, annotation)| annotation.val != "deny")
}

fn unknown<'t>(part: &'t str, what: &str) -> Malformed<'t> {
    Malformed { part, message: format!("`{part}` does not say {what}"), help: None }
}

/// `tree:pii` is `pii` of the tree; without a level it is the session's.
fn level(item: &str) -> Parsed<'_, (Level, &str)> {
    match item.split_once(':') {
        None => Ok((Level::Session, item)),
        Some((name, rest)) => {
            Level::parse(name.trim()).map(|level| (level, rest.trim())).ok_or_else(|| unknown(name, "whose it is"))
        }
    }
}

fn label(item: &str) -> Parsed<'_, Act> {
    let (level, label) = level(item)?;
    Ok(Act::Label(level, name(label)?))
}

fn name(text: &str) -> Parsed<'_, SmolStr> {
    if is_name(text) {
        return Ok(text.into());
    }
    Err(Malformed { part: text, message: ParseMemoryNameError::Name.to_string(), help: None })
}

fn memory_name(text: &str) -> Parsed<'_, MemoryName> {
    MemoryName::parse(text).map_err(|error| Malformed { part: text, message: error.to_string(), help: None })
}

fn count(item: &str) -> Parsed<'_, Act> {
    let (counter, amount) = match item.split_once("+=") {
        None => (item, Source::Whole(1)),
        Some((counter, amount)) => match source(amount.trim())? {
            Source::Principal | Source::Resource => return Err(unknown(amount.trim(), "how much is counted")),
            known => (counter.trim(), known),
        },
    };
    let (level, counter) = level(counter)?;
    Ok(Act::Count(level, memory_name(counter)?, amount))
}

fn remember(item: &str) -> Parsed<'_, Act> {
    let (left, value) = item.split_once('=').ok_or_else(|| unknown(item, "what is remembered"))?;
    let (level, set) = level(left.trim())?;
    match source(value.trim())? {
        Source::Whole(_) => Err(unknown(value.trim(), "what is remembered")),
        value => Ok(Act::Remember(level, memory_name(set)?, value)),
    }
}

fn source(text: &str) -> Parsed<'_, Source> {
    match text {
        "principal" => return Ok(Source::Principal),
        "resource" => return Ok(Source::Resource),
        _ => {}
    }
    if let Some(path) = text.strip_prefix("context.request.") {
        let names: Box<[SmolStr]> = path.split('.').map(SmolStr::from).collect();
        let is_name = |name: &SmolStr| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        return if names.iter().all(is_name) {
            Ok(Source::Attribute(names))
        } else {
            Err(unknown(text, "an attribute of the request"))
        };
    }
    if let Some(fact) = text.strip_prefix("result.") {
        return if is_fact_name(fact) { Ok(Source::Result(fact.into())) } else { Err(unknown(text, "a result")) };
    }
    match text.parse::<i64>() {
        Ok(number) if number >= 0 && !text.starts_with('+') => Ok(Source::Whole(number)),
        _ => Err(unknown(text, "a value: `resource`, `principal`, `context.request.…`, `result.…` or a whole number")),
    }
}

fn risk(item: &str) -> Parsed<'_, i8> {
    let is_signed = item.starts_with(['+', '-']);
    match item.parse::<i8>() {
        Ok(points) if is_signed && (-100..=100).contains(&points) => Ok(points),
        _ => Err(unknown(item, "by how many points the risk moves")),
    }
}

fn alert(item: &str) -> Parsed<'_, Act> {
    let (alert, severity) = item.split_once(':').ok_or_else(|| unknown(item, "how grave the alert is"))?;
    let severity = Severity::parse(severity.trim()).ok_or_else(|| unknown(severity, "how grave the alert is"))?;
    Ok(Act::Alert(name(alert.trim())?, severity))
}
