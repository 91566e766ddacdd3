//! What it costs to tell a command line of some 200 bytes, and the worst that 16 KiB can ask for.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first thing that is not as it must be")]

use std::hint::black_box;

use chaperone_decode::{Classes, shell};
use criterion::{Criterion, criterion_group, criterion_main};

/// 200 bytes, of the sort that an operator types.
const LINE: &str = "cd /srv/app && git fetch --all && git log --oneline -20 origin/main | grep -v 'merge' | sort -u > /tmp/changes.txt; \
    sudo systemctl status nginx --no-pager && curl -fsS https://example.org/health";

fn decode(criterion: &mut Criterion) {
    let classes = Classes::built_in().unwrap();
    let options = shell::Options::default();
    criterion.bench_function("shell/200 bytes", |bencher| {
        bencher.iter(|| shell::decode(black_box(LINE), &options, &classes).unwrap());
    });
    criterion.bench_function("shell/one command", |bencher| {
        bencher.iter(|| shell::decode(black_box("ls -la /var/log"), &options, &classes).unwrap());
    });
    let mut group = criterion.benchmark_group("shell/16 KiB of");
    group.sample_size(10);
    for piece in [
        "a|",
        "a;",
        ")",
        "x=(",
        "find -exec ",
        "ssh h ",
        "xargs ",
        "<<E\nE\n",
        "kubectl get $x;",
        "git a b;",
        "`a`;",
        "a=b ",
        "$(a) ",
        "[[ a &&",
    ] {
        let line = piece.repeat(16 * 1024 / piece.len());
        group.bench_function(piece, |bencher| {
            bencher.iter(|| shell::decode(black_box(&line), &options, &classes).is_ok());
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
