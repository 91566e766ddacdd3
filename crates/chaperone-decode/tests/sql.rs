//! What SQL scripts are decoded as, by tables of statements; and laws that hold for every text.
//!
//! A case of a table is a script and what is expected of it, and a blank line ends it:
//!
//! - `> SELECT 1` is a line of the script, in which `␍` stands for a carriage return and `␀` for a NUL;
//! - `= select | Table shop/orders` is an operation, the next in order;
//! - `! unbounded exports` lists the facts that are true of some operation; all others are false of all of them;
//! - `: columns a b` lists what the first operation's fact holds, in order; it may be left out;
//! - `x` says that the script is refused;
//! - `# …` is a comment.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails should")]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chaperone_decode::sql::{self, Dialect, Options};
use chaperone_decode::{Classes, Decoder, Fact, FactType, Operation};
use proptest::prelude::*;

const TABLES: [(Dialect, &str); 6] = [
    (Dialect::Postgres, include_str!("sql/postgres.txt")),
    (Dialect::Mysql, include_str!("sql/mysql.txt")),
    (Dialect::Sqlite, include_str!("sql/sqlite.txt")),
    (Dialect::Mssql, include_str!("sql/mssql.txt")),
    (Dialect::Snowflake, include_str!("sql/snowflake.txt")),
    (Dialect::Bigquery, include_str!("sql/bigquery.txt")),
];

static CLASSES: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().unwrap());

const FLAGS: [&str; 5] = ["changes_schema", "changes_privileges", "changes_settings", "exports", "unbounded"];

struct Case<'t> {
    script: String,
    operations: Vec<&'t str>,
    flags: Vec<&'t str>,
    facts: Vec<&'t str>,
    refused: bool,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    for block in table.split("\n\n") {
        let mut case = Case {
            script: String::new(),
            operations: Vec::new(),
            flags: Vec::new(),
            facts: Vec::new(),
            refused: false,
        };
        let mut is_case = false;
        for line in block.lines() {
            if let Some(line) = line.strip_prefix('>') {
                if is_case {
                    case.script.push('\n');
                }
                case.script.push_str(line.strip_prefix(' ').unwrap_or(line));
                is_case = true;
            } else if let Some(operation) = line.strip_prefix("= ") {
                case.operations.push(operation);
            } else if let Some(flags) = line.strip_prefix("! ") {
                case.flags.extend(flags.split(' '));
            } else if let Some(fact) = line.strip_prefix(": ") {
                case.facts.push(fact);
            } else if line == "x" {
                case.refused = true;
            } else {
                assert!(line.starts_with('#'), "{line}");
            }
        }
        if is_case {
            case.script = case.script.replace('␍', "\r").replace('␀', "\0");
            assert_ne!(case.refused, !case.operations.is_empty(), "{}", case.script);
            cases.push(case);
        }
    }
    cases
}

fn options(dialect: Dialect) -> Options {
    let views = [("orders_v", vec!["orders"]), ("all_v", vec!["orders_v", "audit.log"])];
    let views = views.map(|(view, tables)| (view.into(), tables.into_iter().map(Into::into).collect()));
    Options { dialect, database: "shop".into(), views: views.into() }
}

fn told(operation: &Operation) -> String {
    format!("{} | {} {}", operation.action, operation.resource.kind, operation.resource.id)
}

fn fact(fact: &Fact) -> String {
    match fact {
        Fact::Bool(value) => value.to_string(),
        Fact::Long(value) => value.to_string(),
        Fact::Text(text) => text.to_string(),
        Fact::Texts(texts) => texts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

/// What is wrong with how this case is decoded.
fn differences(case: &Case<'_>, dialect: Dialect) -> Vec<String> {
    let operations = match sql::decode(&case.script, &options(dialect), &CLASSES) {
        Ok(operations) => operations,
        Err(_) if case.refused => return Vec::new(),
        Err(undecodable) => return vec![format!("refused: {undecodable}")],
    };
    let mut wrong = Vec::new();
    let told: Vec<String> = operations.iter().map(told).collect();
    if told != case.operations {
        wrong.push(format!("is {told:#?}"));
    }
    for flag in FLAGS {
        let is = operations.iter().any(|operation| operation.facts[flag] == Fact::Bool(true));
        if is != case.flags.contains(&flag) {
            wrong.push(format!("`{flag}` is {is}"));
        }
    }
    for line in &case.facts {
        let (name, expected) = line.split_once(' ').unwrap_or((line, ""));
        // `copy to` is one text of two words.
        let is = fact(&operations[0].facts[name]);
        if is != expected {
            wrong.push(format!("`{name}` is {is}"));
        }
    }
    wrong
}

#[test]
fn statements_are_decoded_as_the_tables_say() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (dialect, table) in TABLES {
        for case in cases(table) {
            count += 1;
            for difference in differences(&case, dialect) {
                wrong.push(format!("{}: {}\n  {difference}", dialect.as_str(), case.script));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 300, "{count}");
}

#[test]
fn operations_have_the_facts_and_resources_that_are_declared() {
    for (dialect, table) in TABLES {
        for case in cases(table) {
            for operation in sql::decode(&case.script, &options(dialect), &CLASSES).unwrap_or_default() {
                assert!(CLASSES.get(Decoder::Sql, &operation.action).is_some(), "{}", operation.action);
                assert!(sql::RESOURCES.contains(&operation.resource.kind), "{}", operation.resource.kind);
                assert!(!operation.resource.id.is_empty(), "{}", case.script);
                assert_eq!(operation.facts.len(), sql::FACTS.len());
                for spec in sql::FACTS {
                    let ty = match operation.facts[spec.name] {
                        Fact::Bool(_) => FactType::Bool,
                        Fact::Long(_) => FactType::Long,
                        Fact::Text(_) => FactType::Text,
                        Fact::Texts(_) => FactType::Texts,
                    };
                    assert_eq!(ty, spec.ty, "{}", spec.name);
                }
            }
        }
    }
}

#[test]
fn dialects_are_known_by_their_names() {
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::parse(dialect.as_str()), Some(dialect));
    }
    assert_eq!(Dialect::parse("Postgres"), None);
}

#[test]
fn function_that_a_bundle_adds_is_an_operation_of_its_own() {
    let mut classes = Classes::built_in().unwrap();
    classes.add(Decoder::Sql, [("net.http_get()".into(), Vec::new()), ("wipe()".into(), Vec::new())]);
    let decode = |script| -> Vec<String> {
        sql::decode(script, &options(Dialect::Postgres), &classes).unwrap().iter().map(told).collect()
    };
    assert_eq!(decode("SELECT net.http_get('x')"), ["net.http_get() | Function net.http_get"]);
    assert_eq!(decode("SELECT ops.wipe(id) FROM orders"), ["wipe() | Function wipe", "select | Table shop/orders"]);
    assert_eq!(decode("CALL wipe()"), ["wipe() | Function wipe", "call | Function wipe"]);
}

#[test]
fn database_without_a_name_has_an_id() {
    let options = Options { database: "".into(), ..options(Dialect::Postgres) };
    let operations = sql::decode("BEGIN; SELECT * FROM orders", &options, &CLASSES).unwrap();
    assert_eq!(operations.iter().map(told).collect::<Vec<_>>(), ["begin | Database -", "select | Table orders"]);
}

#[test]
fn actions_that_run_what_nobody_can_foresee_are_privileged() {
    for action in
        ["call", "do", "execute", "execute immediate", "copy to program", "xp_cmdshell()", "query_to_xml()", "dblink()"]
    {
        assert!(CLASSES.get(Decoder::Sql, action).unwrap().contains(chaperone_decode::Class::Privileged), "{action}");
    }
}

/// Texts that grow in every way in which the parser or its trees could.
fn growing(size: usize) -> Vec<String> {
    let repeated = |head: &str, part: &str, tail: &str| {
        let count = size.saturating_sub(head.len() + tail.len()) / part.len();
        format!("{head}{}{tail}", part.repeat(count))
    };
    let nested = |head: &str, open: &str, middle: &str, close: &str| {
        let count = size.saturating_sub(head.len() + middle.len()) / (open.len() + close.len());
        format!("{head}{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let mut texts = Vec::new();
    for part in [
        "+1",
        "-1",
        " - -1",
        " OR 1",
        " AND a",
        "||a",
        "::int",
        "[1]",
        ".a",
        " IS NULL",
        " COLLATE x",
        " AT TIME ZONE 'x'",
        " IN (1)",
        " BETWEEN 1 AND 2",
        " LIKE 'a'",
        ", 1",
        ", f(1)",
        ", (SELECT 1)",
        " UNION SELECT 1",
        " UNION SELECT 1, 2",
        " 'a'",
        "->'a'",
        " a",
        " -- x\n",
        "/**/",
        ";SELECT 1",
        "'",
        "\"",
        "`",
        "$",
        "$$",
        "$a$",
        "\\",
        "(",
        ")",
        "[",
        "]",
        "{",
        "<",
        "/*",
        "--",
        "#",
    ] {
        texts.push(repeated("SELECT 1", part, ""));
        texts.push(repeated("SELECT 1 FROM a WHERE x", part, ""));
    }
    for part in [
        ", a",
        " JOIN a",
        " JOIN a ON 1 = 1",
        " NATURAL JOIN a",
        " CROSS JOIN a",
        " PIVOT (sum(x) FOR y IN ('a'))",
        ", (SELECT 1) a",
        ", f(1)",
        " TABLESAMPLE SYSTEM (1)",
    ] {
        texts.push(repeated("SELECT 1 FROM b", part, ""));
    }
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("NOT ", "1", ""),
        ("- ", "1", ""),
        ("f(", "1", ")"),
        ("CASE WHEN ", "1", " THEN 1 END"),
        ("CASE ", "1", " WHEN 1 THEN 1 END"),
        ("CAST(", "1", " AS int)"),
        ("ARRAY[", "1", "]"),
        ("[", "1", "]"),
        ("{a: ", "1", "}"),
        ("EXISTS (SELECT ", "1", ")"),
        ("x IN (", "1", ")"),
        ("INTERVAL ", "1", ""),
        ("STRUCT(", "1", ")"),
        ("EXTRACT(year FROM ", "1", ")"),
        ("TRIM(BOTH FROM ", "1", ")"),
        ("a.b(", "1", ")"),
        ("DATE ", "1", ""),
        ("a -> (", "1", ")"),
        ("x = ANY (", "1", ")"),
        ("(1, ", "1", ")"),
        ("((", "1", "), 1)"),
        ("CASE WHEN 1 THEN ", "1", ""),
        ("f((", "1", ""),
        ("(((SELECT ", "1", ""),
        ("PRIOR ", "1", ""),
        ("COLLATE ", "1", ""),
        ("BINARY ", "1", ""),
    ] {
        texts.push(nested("SELECT ", open, middle, close));
        texts.push(nested("SELECT 1 FROM a WHERE ", open, middle, close));
        texts.push(nested("INSERT INTO t VALUES (", open, middle, close));
    }
    for (open, middle, close) in [
        ("(", "a", ")"),
        ("(SELECT * FROM ", "a", ") t"),
        ("(SELECT * FROM (", "a", ") t)"),
        ("(a JOIN ", "a", ")"),
        ("((", "a", ") JOIN b)"),
        ("LATERAL (", "SELECT 1", ")"),
        ("(VALUES (", "1", "))"),
        ("(WITH t AS (SELECT 1) SELECT * FROM ", "a", ")"),
    ] {
        texts.push(nested("SELECT * FROM ", open, middle, close));
    }
    for (head, open, middle, close) in [
        ("", "(", "SELECT 1", ")"),
        ("", "WITH a AS (", "SELECT 1", ") SELECT 1"),
        ("", "WITH RECURSIVE a AS (SELECT 1 UNION ", "SELECT 1", ") SELECT 1"),
        ("", "EXPLAIN ", "SELECT 1", ""),
        ("", "PREPARE a AS ", "SELECT 1", ""),
        ("", "BEGIN ", "SELECT 1;", " END"),
        ("", "IF 1 = 1 THEN ", "SELECT 1;", " END IF;"),
        ("", "WHILE 1 = 1 ", "SELECT 1", ""),
        ("CREATE TABLE t (x ", "ARRAY<", "INT64", ">)"),
        ("CREATE TABLE t (x ", "STRUCT<a ", "INT64", ">)"),
        ("CREATE TABLE t (x ", "ARRAY(", "INT", "))"),
        ("CREATE TABLE t (x int", "[]", "", ""),
        ("SELECT CAST(1 AS ", "ARRAY<", "INT64", ">)"),
        ("SELECT 1::", "NESTED(a ", "INT", ")"),
        ("SELECT * FROM a MATCH_RECOGNIZE (PATTERN (", "(", "A", ")"),
        ("COPY t FROM STDIN;", "\t1", "", "\n"),
        ("GRANT SELECT ON a TO b", ", c", "", ""),
        ("SET x = ", "a, ", "1", ""),
    ] {
        texts.push(nested(head, open, middle, close));
    }
    texts
}

#[test]
fn growing_texts_end_soon_on_a_small_stack() {
    let decode_all = || {
        let mut slow = Vec::new();
        // What takes exponential time shows in few bytes, and what takes quadratic time in many.
        for (size, dialects) in [(500, &Dialect::ALL[..]), (64 * 1024, &Dialect::ALL[..2])] {
            for text in growing(size) {
                for &dialect in dialects {
                    let start = Instant::now();
                    // Whether it is refused is all the same here.
                    let _ = sql::decode(&text, &options(dialect), &CLASSES);
                    let time = start.elapsed();
                    // A debug build on a busy machine; a release build takes a fraction of it.
                    if time > Duration::from_secs(3) {
                        slow.push(format!("{} {size} {time:?} {:.60}", dialect.as_str(), text));
                    }
                }
            }
        }
        slow
    };
    // As much as the server's threads have.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(decode_all).unwrap();
    let slow = thread.join().unwrap();
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn large_statements_are_bounded() {
    let decode = |script: &str| sql::decode(script, &options(Dialect::Postgres), &CLASSES);
    let rows = vec!["(1, 'x', -1, now(), 'y'::text)"; 1_500].join(", ");
    assert!(decode(&format!("INSERT INTO t VALUES {rows}")).is_ok());
    let conditions = vec!["id = 1"; 300].join(" OR ");
    assert!(decode(&format!("SELECT * FROM t WHERE {conditions}")).is_ok());
    assert!(decode(&"SELECT 1;".repeat(1_000)).is_ok());
    assert!(decode(&"SELECT 1;".repeat(1_001)).is_err());
    let tables: Vec<String> = (0..1_001).map(|number| format!("t{number}")).collect();
    assert!(decode(&format!("SELECT * FROM {}", tables.join(", "))).is_err());
    assert!(decode(&format!("SELECT '{}'", "x".repeat(64 * 1024))).is_err());
}

fn scripts() -> Vec<(Dialect, String)> {
    TABLES.iter().flat_map(|(dialect, table)| cases(table).into_iter().map(|case| (*dialect, case.script))).collect()
}

/// A statement of the tables with some of its characters taken out, doubled or put in.
fn mutated() -> impl Strategy<Value = (Dialect, String)> {
    let pieces = prop::sample::select(vec![
        "'",
        "\"",
        "`",
        "\\",
        "--",
        "/*",
        "*/",
        ";",
        "$$",
        "(",
        ")",
        "[",
        "]",
        "\n",
        "\r",
        "#",
        "@",
        "é",
        "\u{a0}",
        "E'",
        "U&\"",
        "/*!",
        " UNION SELECT ",
        " SELECT ",
        "{",
        "}",
        "<",
        ">",
        "0x",
        "1.e",
        ",",
        ".",
        "::",
        "\t",
        "\u{feff}",
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, pieces), 0..4);
    (prop::sample::select(scripts()), prop::sample::select(Dialect::ALL.to_vec()), any::<bool>(), edits).prop_map(
        |((own, script), other, keep, edits)| {
            let mut characters: Vec<char> = script.chars().collect();
            for (place, kind, piece) in edits {
                let place = place.index(characters.len() + 1);
                match kind {
                    0 => drop(characters.splice(place..place, piece.chars())),
                    1 => characters.truncate(place),
                    _ => drop(characters.drain(place..(place + 3).min(characters.len()))),
                }
            }
            (if keep { own } else { other }, characters.into_iter().collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever the text is, it ends, and what it tells is declared.
    #[test]
    fn mutated_statements_are_decoded_or_refused((dialect, script) in mutated()) {
        let start = Instant::now();
        let operations = sql::decode(&script, &options(dialect), &CLASSES).unwrap_or_default();
        prop_assert!(start.elapsed() < Duration::from_secs(2));
        prop_assert!(operations.iter().all(|operation| CLASSES.get(Decoder::Sql, &operation.action).is_some()));
    }

    #[test]
    fn arbitrary_texts_are_decoded_or_refused(script in any::<String>(), dialect in prop::sample::select(Dialect::ALL.to_vec())) {
        let _ = sql::decode(&script, &options(dialect), &CLASSES);
    }

    /// A statement in front of another hides nothing that the other does.
    #[test]
    fn statement_in_front_hides_nothing((dialect, front) in prop::sample::select(scripts())) {
        let script = format!("{front}\n;DELETE FROM hidden");
        let Ok(operations) = sql::decode(&script, &options(dialect), &CLASSES) else { return Ok(()); };
        let found: BTreeSet<String> = operations.iter().map(|o| told(o).to_lowercase()).collect();
        prop_assert!(found.contains("delete | table shop/hidden"), "{script}");
    }

    /// Unless it ends early or escapes something, nothing behind a string is part of it.
    #[test]
    fn string_hides_nothing_behind_it(text in "[a-z'\"`\\\\;/*$#\\[\\]-]{0,12}", dialect in prop::sample::select(Dialect::ALL.to_vec())) {
        let script = format!("SELECT '{text}' FROM hidden");
        let Ok(operations) = sql::decode(&script, &options(dialect), &CLASSES) else { return Ok(()); };
        let reads = operations.iter().any(|o| o.resource.id.to_lowercase().contains("hidden"));
        prop_assert!(reads || text.contains(['\'', ';', '\\']), "{script}");
    }
}
