//! SQL scripts: the first byte chooses the dialect, the rest is the script.

use std::sync::LazyLock;

use chaperone_decode::sql::{Dialect, Options, decode};
use chaperone_decode::{Classes, Decoder, Operation};

use crate::{Target, law, table};

/// SQL scripts.
pub const TARGET: Target = Target { name: "sql", check, seeds };

pub(crate) static CLASSES: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().expect("the tables are valid"));

static OPTIONS: LazyLock<Vec<Options>> = LazyLock::new(|| Dialect::ALL.map(options).into());

/// The options of the tests' tables.
fn options(dialect: Dialect) -> Options {
    let views = [("orders_v", vec!["orders"]), ("all_v", vec!["orders_v", "audit.log"])];
    let views = views.map(|(view, tables)| (view.into(), tables.into_iter().map(Into::into).collect()));
    Options { dialect, database: "shop".into(), views: views.into() }
}

pub(crate) fn options_of(byte: u8) -> &'static Options {
    &OPTIONS[usize::from(byte) % OPTIONS.len()]
}

fn check(data: &[u8]) {
    let Some((first, script)) = data.split_first() else { return };
    let (options, script) = (options_of(*first), String::from_utf8_lossy(script));
    let result = decode(&script, options, &CLASSES);
    law::told(Decoder::Sql, &CLASSES, result.as_ref());
    if data.len().is_multiple_of(8) {
        assert_eq!(decode(&script, options, &CLASSES), result, "it says something else the second time");
    }
    if result.is_ok() {
        hides_nothing(&script, options);
    }
}

/// A script that is whole hides nothing that comes after it.
fn hides_nothing(script: &str, options: &Options) {
    let Ok(operations) = decode(&format!("{script}\n;DELETE FROM hidden"), options, &CLASSES) else { return };
    let deletes = |operation: &Operation| {
        operation.action == "delete" && operation.resource.id.eq_ignore_ascii_case("shop/hidden")
    };
    assert!(operations.iter().any(deletes), "a statement after it is not told");
}

fn seeds() -> Vec<Vec<u8>> {
    let dialects = (0_u8..).zip(Dialect::ALL);
    let scripts = dialects.flat_map(|(first, dialect)| {
        table::sql(dialect.as_str()).into_iter().map(move |script| [&[first], script.as_bytes()].concat())
    });
    scripts.collect()
}
