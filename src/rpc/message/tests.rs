use proptest::prelude::*;

use super::*;

fn single(line: &str) -> Result<Call<'_>, Invalid<'_>> {
    match parse(line.as_bytes()) {
        Ok(Message::Single(single)) => single,
        other => panic!("not a single message: {other:?}"),
    }
}

fn refused(line: &str) -> (Option<String>, Kind) {
    let invalid = single(line).expect_err("refused");
    (invalid.id.map(|id| id.get().to_owned()), invalid.error.kind())
}

fn unparsed(line: &[u8]) -> Kind {
    parse(line).expect_err("not even a message").kind()
}

#[test]
fn an_id_of_null_is_a_call_and_an_absent_one_a_notification() {
    assert_eq!(
        single(r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#).unwrap().id.unwrap().get(),
        "null"
    );
    assert!(single(r#"{"jsonrpc":"2.0","method":"a"}"#).unwrap().id.is_none());
}

#[test]
fn ids_are_kept_byte_for_byte() {
    for id in ["1", "1.0", "-0", "1e400", "18446744073709551616", r#""\u0061""#, r#""""#] {
        let line = format!(r#" {{"jsonrpc":"2.0", "id": {id} ,"method":"a"}} "#);
        assert_eq!(single(&line).unwrap().id.unwrap().get(), id);
    }
}

#[test]
fn an_id_of_another_kind_is_refused_with_null() {
    for id in ["true", "false", "{}", "[]", "[1]"] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        assert_eq!(refused(&line), (None, Kind::InvalidRequest));
    }
}

#[test]
fn what_is_no_request_is_refused_under_its_id() {
    for rest in [
        r#""method":"a""#,
        r#""jsonrpc":"1.0","method":"a""#,
        r#""jsonrpc":2.0,"method":"a""#,
        r#""jsonrpc":"2.0""#,
        r#""jsonrpc":"2.0","method":1"#,
        r#""jsonrpc":"2.0","method":"\ud800""#,
        r#""jsonrpc":"2.0","method":"a","params":1"#,
        r#""jsonrpc":"2.0","method":"a","params":null"#,
        r#""jsonrpc":"2.0","result":{}"#,
    ] {
        assert_eq!(
            refused(&format!(r#"{{"id":7,{rest}}}"#)),
            (Some("7".into()), Kind::InvalidRequest),
            "{rest}"
        );
    }
    for line in ["1", "null", "\"x\"", "true"] {
        assert_eq!(refused(line), (None, Kind::InvalidRequest), "{line}");
    }
}

#[test]
fn a_member_given_twice_is_refused_and_an_unknown_one_ignored() {
    assert_eq!(
        refused(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#),
        (None, Kind::InvalidRequest)
    );
    assert_eq!(
        refused(r#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#).1,
        Kind::InvalidRequest
    );
    assert!(single(r#"{"jsonrpc":"2.0","id":1,"method":"a","trace":{"x":[1]}}"#).is_ok());
    assert_eq!(
        unparsed(br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a" nonsense"#),
        Kind::ParseError
    );
}

#[test]
fn what_is_not_json_is_told_as_such() {
    for line in ["{", "{}}", "nul", "{\"id\":01}", "[1,", "[1]]", "{\"a\":\"\u{1}\"}"] {
        assert_eq!(unparsed(line.as_bytes()), Kind::ParseError, "{line}");
    }
    assert_eq!(unparsed(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}"), Kind::ParseError);
}

#[test]
fn batches_have_bounds() {
    assert_eq!(unparsed(b"[]"), Kind::InvalidRequest);
    let of = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert!(
        matches!(parse(of(MAX_BATCH).as_bytes()), Ok(Message::Batch(b)) if b.len() == MAX_BATCH)
    );
    assert_eq!(unparsed(of(MAX_BATCH + 1).as_bytes()), Kind::InvalidRequest);
    assert_eq!(unparsed(of(MAX_BATCH + 1).replace(']', ",").as_bytes()), Kind::ParseError);
}

#[test]
fn positional_parameters_are_told_apart() {
    assert!(
        single(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#)
            .unwrap()
            .positional()
            .is_some()
    );
    assert!(
        single(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{}}"#)
            .unwrap()
            .positional()
            .is_none()
    );
}

#[test]
fn one_id_has_one_key() {
    let key = |json: &str| {
        let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
        id_key(&raw).into_owned()
    };
    assert_eq!(key(r#""a""#), key(r#""\u0061""#));
    assert_ne!(key(r#""1""#), key("1"));
    assert_ne!(key(r#""null""#), key("null"));
}

#[test]
fn a_deep_nesting_does_not_exhaust_the_stack() {
    let line =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}}}"#, "[".repeat(1_000_000));
    assert_eq!(unparsed(line.as_bytes()), Kind::ParseError);
}

#[test]
fn the_usual_form_is_recognised_and_the_unusual_left_alone() {
    let call = usual(r#"{"jsonrpc":"2.0","id":17,"method":"login.start","params":{"a":"}"}}"#)
        .expect("as any client writes it");
    assert_eq!(call.id.map(RawValue::get), Some("17"));
    assert_eq!(
        (&*call.method, call.params.map(RawValue::get)),
        ("login.start", Some(r#"{"a":"}"}"#))
    );
    for other in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"id":2}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"p\u0069ng","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":01,"method":"ping","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
    ] {
        assert!(usual(other).is_none(), "{other}");
    }
}

proptest! {
    #[test]
    fn the_usual_form_means_what_the_long_way_finds(
        id in r#"[1-9][0-9]{0,30}|[0-9]{0,2}|"a""#,
        method in r#"[a-z.]{0,6}|[a-z"\ ]{0,4}"#,
        params in r#"\{("[a-c]":[0-9]{1,3})?\} ?|[{}\[\]":,a1 ]{0,8}"#,
    ) {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        if let Some(call) = usual(&line) {
            let members = members(&line).expect("it is JSON");
            let long = judge(&members).expect("it is a call");
            prop_assert_eq!(call.id.map(RawValue::get), long.id.map(RawValue::get));
            prop_assert_eq!(call.method, long.method);
            prop_assert_eq!(call.params.map(RawValue::get), long.params.map(RawValue::get));
        }
    }

    #[test]
    fn a_written_call_is_read_again(id in any::<Option<u64>>(), method in ".*", value in ".*") {
        let mut line = Vec::new();
        write_call(&mut line, id, &method, &serde_json::json!({ "value": value })).unwrap();
        prop_assert!(!line.contains(&b'\n'));
        let Ok(Message::Single(Ok(call))) = parse(&line) else { panic!("a call") };
        prop_assert_eq!(call.id.map(|id| id.get().to_owned()), id.map(|id| id.to_string()));
        prop_assert_eq!(call.method.as_ref(), method);
        let params: serde_json::Value = serde_json::from_str(call.params.unwrap().get()).unwrap();
        prop_assert_eq!(&params["value"], &serde_json::Value::from(value));
    }

    #[test]
    fn a_written_answer_is_read_again(id in any::<u64>(), text in ".*", good in any::<bool>()) {
        let mut line = Vec::new();
        let error = RpcError::new(Kind::Denied, text.clone());
        if good {
            begin_result(&mut line, &id.to_string());
            line.extend(serde_json::to_vec(&text).unwrap());
            end_result(&mut line);
        } else {
            write_error(&mut line, Some(&id.to_string()), &error);
        }
        let line = String::from_utf8(line).unwrap();
        let Ok(Incoming::Answer { id: seen, outcome }) = incoming(&line) else { panic!("an answer") };
        prop_assert_eq!(seen.get(), id.to_string());
        match outcome {
            Ok(result) => prop_assert_eq!(serde_json::from_str::<String>(result.get()).unwrap(), text),
            Err(seen) => prop_assert_eq!(seen, error),
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Message::Batch(elements)) = parse(&line) {
            for element in elements {
                let _ = call(element);
            }
        }
    }
}
