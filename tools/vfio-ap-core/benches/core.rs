// SPDX-License-Identifier: GPL-2.0

//! How long the core's decisions take on this machine: `cargo bench -p vfio-ap-core`.

use criterion::{criterion_group, criterion_main, Criterion};

mod cases;

fn bench(c: &mut Criterion) {
    for (adapters, domains) in cases::SIZES {
        let mut group = c.benchmark_group(format!("{adapters}x{domains}"));
        for (name, case) in cases::all(adapters, domains) {
            group.bench_function(name, |b| b.iter(&case));
        }
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
