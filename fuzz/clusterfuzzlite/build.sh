#!/bin/bash -eu
# Builds every target with its corpus and its dictionary, under the names that ClusterFuzzLite and OSS-Fuzz look for.
cd "$SRC/headcount"
cargo fuzz build --release --debug-assertions
for target in $(cargo fuzz list); do
    cp "fuzz/target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
    zip -q -j "$OUT/${target}_seed_corpus.zip" "fuzz/seeds/$target"/*
    if [ -f "fuzz/dictionaries/$target.dict" ]; then
        cp "fuzz/dictionaries/$target.dict" "$OUT/"
    fi
    # The longest inputs that mean something, as in fuzz/run.
    printf '[libfuzzer]\nmax_len = 9000\n' >"$OUT/$target.options"
done
