//! A login's file is read without a panic whatever is in it, what was written is read back the same, and
//! no changed byte passes for a login.
//!
//! The input is taken three ways: as a file, as the body of a file whose checksum is right (else the
//! fuzzer would never get past it), and as a place and a byte by which a good file is spoilt.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use valetkey::store::format::{Record, Unreadable, decode, encode};

fn survives(record: &Record) {
    let bytes = encode(record);
    let back: Record = decode(&bytes).expect("what was written is read back");
    assert_eq!(encode(&back), bytes);
}

fn spoilt(record: &Record, at: usize, to: u8) {
    let good = encode(record);
    let mut bad = good.clone();
    let at = at % bad.len();
    bad[at] = to;
    // Some changes are none: white space between members, another spelling of the checksum's characters.
    if let Ok(read) = decode::<Record>(&bad) {
        assert_eq!(encode(&read), good);
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = decode::<Record>(data) {
        survives(&record);
    }
    let [high, low, to, body @ ..] = data else { return };
    let Ok(body) = serde_json::from_slice::<&RawValue>(body) else { return };
    match decode::<Record>(&encode(&body)) {
        Ok(record) => {
            survives(&record);
            spoilt(&record, usize::from(u16::from_be_bytes([*high, *low])), *to);
        }
        Err(Unreadable::Damaged(why)) => assert!(!why.contains("checksum"), "{why}"),
        Err(Unreadable::Newer(version)) => panic!("written as version {version}"),
    }
});
