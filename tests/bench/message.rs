//! What it costs to take an envelope apart: the part of each call that is the same for all methods.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use valetkey::rpc::codec::{Lines, Next};
use valetkey::rpc::message;

fn main() {
    divan::main();
}

const TOKEN: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"token","params":{"min_ttl":60}}"#;

#[divan::bench]
fn parse_a_call(bencher: Bencher) {
    bencher.counter(BytesCount::of_slice(TOKEN)).bench(|| message::parse(black_box(TOKEN)).is_ok());
}

#[divan::bench(args = [10, 1000])]
fn parse_a_batch(bencher: Bencher, calls: usize) {
    let line = [b"[", vec![TOKEN; calls].join(&b',').as_slice(), b"]"].concat();
    bencher.counter(BytesCount::of_slice(&line)).bench(|| message::parse(black_box(&line)).is_ok());
}

#[divan::bench(args = [1 << 10, 1 << 20])]
fn parse_a_body_of(bencher: Bencher, bytes: usize) {
    let text = "x".repeat(bytes);
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"responses.create","params":{{"input":"{text}"}}}}"#
    );
    bencher
        .counter(BytesCount::of_str(&line))
        .bench(|| message::parse(black_box(line.as_bytes())).is_ok());
}

#[divan::bench]
fn find_a_hundred_lines(bencher: Bencher) {
    let input = [TOKEN, b"\n"].concat().repeat(100);
    bencher.counter(BytesCount::of_slice(&input)).bench(|| {
        let mut lines = Lines::new(1 << 20);
        lines.space().extend_from_slice(black_box(&input));
        let mut found = 0;
        while let Next::Line(_) = lines.next() {
            found += 1;
        }
        found
    });
}
