//! What it costs to decode a statement of about 200 bytes.

use std::collections::BTreeMap;
use std::hint::black_box;

use chaperone_decode::Classes;
use chaperone_decode::sql::{Dialect, Options, decode};
use criterion::{Criterion, criterion_group, criterion_main};

const SELECT: &str = "SELECT o.id, o.total, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer_id \
    WHERE o.state = 'open' AND o.created_at > $1 AND c.region IN ('eu', 'us') ORDER BY o.created_at DESC LIMIT 50";

fn sql(criterion: &mut Criterion) {
    let Ok(classes) = Classes::built_in() else { return };
    for dialect in [Dialect::Postgres, Dialect::Snowflake] {
        let options = Options { dialect, database: "shop".into(), views: BTreeMap::new() };
        criterion.bench_function(&format!("sql/{}", dialect.as_str()), |bencher| {
            bencher.iter(|| decode(black_box(SELECT), &options, &classes));
        });
    }
}

criterion_group!(benches, sql);
criterion_main!(benches);
