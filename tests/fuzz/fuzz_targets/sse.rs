//! A stream passes the same however its bytes arrive, nothing of it is lost, and what is put in is an
//! event that can be read.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use valetkey::relay::passing::Passing;
use valetkey::relay::rebuild::Gather;
use valetkey::relay::sse::Decoder;

const LONGEST: usize = 1 << 20;

fn passed<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, String) {
    let (mut passing, mut out) = (Passing::new(), BytesMut::new());
    for chunk in chunks {
        passing.feed(chunk, &mut out).expect("no input is as long as the bound");
    }
    let seen = format!("{:?}", passing.seen());
    passing.finish(&mut out);
    (out.to_vec(), seen)
}

fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<(String, String)> {
    let (mut decoder, mut events) = (Decoder::new(LONGEST), Vec::new());
    for chunk in chunks {
        let outcome = decoder.feed(chunk, &mut |event| events.push((event.name.to_owned(), event.data.into_owned())));
        outcome.expect("no input is as long as the bound");
    }
    events
}

fuzz_target!(|data: &[u8]| {
    let [step, stream @ ..] = data else { return };
    let step = usize::from(*step) + 1;
    let whole = passed(std::iter::once(stream));
    assert_eq!(passed(stream.chunks(step)), whole);
    let events = read(std::iter::once(stream));
    assert_eq!(read(stream.chunks(step)), events);
    let after = read(std::iter::once(&*whole.0));
    assert_eq!(after.len(), events.len());
    let mut gather = Gather::new();
    for ((name, data), (passed_name, passed_data)) in events.iter().zip(&after) {
        assert_eq!(name, passed_name);
        // Putting in an output spoils no JSON.
        if data != passed_data {
            serde_json::from_str::<&serde_json::value::RawValue>(passed_data).expect("JSON");
        }
        gather.event(name, data);
    }
    if let Some(response) = gather.response() {
        serde_json::from_str::<&serde_json::value::RawValue>(&response).expect("JSON");
    }
});
