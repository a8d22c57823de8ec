//! What a completion costs here beside its way over the wire: shaping a request, letting a stream pass,
//! translating one. Bytes a second, to be held against what a socket gives.

use bytes::BytesMut;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use valetkey::config::SystemPrompt;
use valetkey::relay::chat::{self, Chunks};
use valetkey::relay::passing::Passing;
use valetkey::relay::sanitise::{self, Terms};
use valetkey::relay::sse::Decoder;

fn main() {
    divan::main();
}

/// Events in a stream.
const EVENTS: usize = 10_000;
/// What is read of a socket at once.
const PIECE: usize = 64 * 1024;

fn delta(number: usize) -> String {
    format!(
        "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\
         \"item_id\":\"msg_0\",\"output_index\":0,\"content_index\":0,\"delta\":\"twenty bytes of text\"}}\n\n"
    )
}

fn stream() -> Vec<u8> {
    let begin = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_0\",\"created_at\":1,\"model\":\"m\"}}\n\n";
    (0..EVENTS).fold(begin.to_owned(), |stream, number| stream + &delta(number)).into_bytes()
}

fn request(bytes: usize) -> Vec<u8> {
    let text = "lorem ipsum ".repeat(bytes.div_ceil(12));
    format!(
        r#"{{"model":"gpt-5.5","temperature":1,"input":[{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{text}"}}]}}],"store":false,"stream":true}}"#
    )
    .into_bytes()
}

#[divan::bench(args = [1 << 10, 1 << 20])]
fn shape_a_request_of(bencher: Bencher, bytes: usize) {
    let request = request(bytes);
    let models = ["gpt-5.5".to_owned()];
    let terms = Terms {
        system: SystemPrompt::Instructions,
        codex: false,
        models: &models,
        learned: &[],
        needs_instructions: &|_| true,
    };
    bencher
        .counter(BytesCount::of_slice(&request))
        .bench(|| sanitise::shape(black_box(&request), &terms).map(|shaped| shaped.body.len()));
}

#[divan::bench(args = [1 << 10, 1 << 20])]
fn translate_a_request_of(bencher: Bencher, bytes: usize) {
    let text = "lorem ipsum ".repeat(bytes.div_ceil(12));
    let request = format!(
        r#"{{"model":"gpt-5.5","stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#
    )
    .into_bytes();
    bencher
        .counter(BytesCount::of_slice(&request))
        .bench(|| chat::request(black_box(&request)).map(|asked| asked.body.len()));
}

#[divan::bench]
fn pass_a_stream_on(bencher: Bencher) {
    let stream = stream();
    let counted = bencher.counter(BytesCount::of_slice(&stream)).counter(ItemsCount::new(EVENTS));
    counted.bench(|| {
        let (mut passing, mut out) = (Passing::new(), BytesMut::new());
        for piece in black_box(&stream).chunks(PIECE) {
            let _ = passing.feed(piece, &mut out);
            out.clear();
        }
        passing.seen().content
    });
}

#[divan::bench]
fn translate_a_stream(bencher: Bencher) {
    let stream = stream();
    let asked = chat::request(
        br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
    )
    .expect("a good request");
    let counted = bencher.counter(BytesCount::of_slice(&stream)).counter(ItemsCount::new(EVENTS));
    counted.bench(|| {
        let (mut decoder, mut chunks) = (Decoder::new(1 << 20), Chunks::new(&asked));
        let mut written = 0;
        for piece in black_box(&stream).chunks(PIECE) {
            let _ = decoder.feed(piece, &mut |event| {
                chunks.event(&event.data, &mut |chunk| written += chunk.len());
            });
        }
        written
    });
}
