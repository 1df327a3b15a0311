//! What redaction costs for a byte of what agents report.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headcount_redaction::{PayloadKind, Policy};

fn rows(row: &str, bytes: usize) -> String {
    let rows = vec![row; bytes / row.len()];
    format!("{{\"result\":[{}]}}", rows.join(","))
}

fn redact(c: &mut Criterion) {
    let policy = Policy::builder().max_items(usize::MAX).build().expect("rules that are valid");
    let row = r#"{"id":12345,"title":"A row of a table","author":"someone","score":0.25}"#;
    let secret = r#"{"id":12345,"apiKey":"0123456789abcdef","note":"x"}"#;
    let nested = r#"{"arguments":"{\"query\":\"rows\",\"token\":\"x\"}"}"#;
    let trace = r#"{"at":"File \"/home/alice/app/main.py\", line 3, in main","n":3}"#;
    let mut group = c.benchmark_group("redact");
    for (name, kind, json) in [
        ("a call of 200 bytes", PayloadKind::Parameters, rows(row, 200)),
        ("rows, 64 KiB", PayloadKind::Result, rows(row, 64 << 10)),
        ("rows with secrets, 64 KiB", PayloadKind::Result, rows(secret, 64 << 10)),
        ("json in strings, 64 KiB", PayloadKind::Parameters, rows(nested, 64 << 10)),
        ("a trace, 64 KiB", PayloadKind::Error, rows(trace, 64 << 10)),
        ("one text, 1 MiB", PayloadKind::Result, format!("\"{}\"", "word ".repeat((1 << 20) / 5))),
    ] {
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(name, |b| b.iter(|| policy.redact(kind, black_box(&json)).is_ok()));
    }
    group.finish();
}

criterion_group!(benches, redact);
criterion_main!(benches);
