//! Final objects of streams that leave something out.

use super::*;

fn gathered(events: &[(&str, &str)]) -> Option<serde_json::Value> {
    let mut gather = Gather::new();
    events.iter().for_each(|(name, data)| gather.event(name, data));
    gather.response().map(|object| serde_json::from_str(&object).unwrap())
}

const COMPLETED: (&str, &str) = ("response.completed", r#"{"response":{"output":[]}}"#);

#[test]
fn items_stand_in_the_order_of_their_indices_and_those_without_behind() {
    let object = gathered(&[
        ("response.output_item.done", r#"{"item":{"id":"late"}}"#),
        ("response.output_item.done", r#"{"output_index":10,"item":{"id":"ten"}}"#),
        ("response.output_item.done", r#"{"output_index":2,"item":{"id":"two"}}"#),
        ("response.output_item.done", r#"{"item":{"id":"later"}}"#),
        ("response.output_item.done", r#"{"output_index":2,"item":{"id":"two again"}}"#),
        COMPLETED,
    ]);
    let ids: Vec<_> =
        object.unwrap()["output"].as_array().unwrap().iter().map(|i| i["id"].clone()).collect();
    assert_eq!(ids, ["two again", "ten", "late", "later"]);
}

#[test]
fn texts_serve_where_an_item_never_came_whole() {
    let object = gathered(&[
        (
            "response.output_text.done",
            r#"{"output_index":0,"content_index":1,"item_id":"m","text":"b\ud83d\ude00"}"#,
        ),
        (
            "response.output_text.done",
            r#"{"output_index":0,"content_index":0,"item_id":"m","text":"a"}"#,
        ),
        ("response.output_text.done", r#"{"output_index":1,"text":"overridden"}"#),
        ("response.output_item.done", r#"{"output_index":1,"item":{"id":"n"}}"#),
        ("response.output_text.done", r#"{"output_index":1,"text":"too late"}"#),
        ("response.output_text.done", r#"{"output_index":2,"text":7}"#),
        COMPLETED,
    ]);
    let part = |text: &str| serde_json::json!({"type":"output_text","text":text,"annotations":[]});
    let message = serde_json::json!({"id":"m","type":"message","status":"completed","role":"assistant",
        "content":[part("a"), part("b😀")]});
    assert_eq!(object.unwrap()["output"], serde_json::json!([message, {"id":"n"}]));
}

#[test]
fn an_output_that_is_missing_or_null_is_put_in_as_well() {
    let item = ("response.output_item.done", r#"{"item":{"id":"a"}}"#);
    for response in
        [r#"{"response":{}}"#, r#"{"response":{"output":null}}"#, r#"{"response":{"x":1}}"#]
    {
        let object = gathered(&[item, ("response.completed", response)]).unwrap();
        assert_eq!(object["output"], serde_json::json!([{"id":"a"}]), "{response}");
    }
}

#[test]
fn an_output_that_is_there_gains_missing_ids_of_the_same_kind_and_nothing_else() {
    let object = gathered(&[
        (
            "response.output_item.done",
            r#"{"output_index":0,"item":{"id":"a","type":"message","x":1}}"#,
        ),
        ("response.output_item.done", r#"{"output_index":1,"item":{"id":"b","type":"reasoning"}}"#),
        (
            "response.completed",
            r#"{"response":{"output":[{"type":"message"},{"type":"function_call"},{"id":"c"}]}}"#,
        ),
    ]);
    let message = serde_json::json!({"type":"message","id":"a","role":"assistant","status":"completed","content":[]});
    assert_eq!(
        object.unwrap()["output"],
        serde_json::json!([message, {"type":"function_call"}, {"id":"c"}])
    );
}

#[test]
fn clients_find_what_they_require() {
    let object = gathered(&[
        (
            "response.created",
            r#"{"response":{"id":"r","created_at":7,"model":"m","instructions":"not kept"}}"#,
        ),
        ("response.in_progress", r#"{"response":{"id":"other"}}"#),
        (
            "response.incomplete",
            r#"{"response":{"tools":null,"tool_choice":"none","usage":{"input_tokens":3,"output_tokens":4,
            "output_tokens_details":{"x":1}},"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"t"},
            {"type":"refusal"}]},{"type":"reasoning"}]}}"#,
        ),
    ]);
    let expected = serde_json::json!({
        "id":"r","object":"response","created_at":7,"model":"m","parallel_tool_calls":true,"tool_choice":"none","tools":[],
        "usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7,"input_tokens_details":{"cached_tokens":0},
            "output_tokens_details":{"x":1,"reasoning_tokens":0}},
        "output":[{"type":"message","role":"assistant","status":"completed","content":[
            {"type":"output_text","text":"t","annotations":[]},{"type":"refusal"}]},{"type":"reasoning","summary":[]}],
    });
    assert_eq!(object.unwrap(), expected);
}

#[test]
fn there_is_no_object_without_an_end_that_has_one() {
    for end in [
        ("response.failed", r#"{"response":{}}"#),
        ("error", "{}"),
        ("response.completed", "{}"),
        ("", "[DONE]"),
    ] {
        assert_eq!(gathered(&[end]), None);
    }
}

#[test]
fn events_without_a_name_go_by_their_type() {
    let object = gathered(&[("", r#"{"response":{"id":"r"},"type":"response.completed"}"#)]);
    assert_eq!(object.unwrap()["id"], "r");
}

#[test]
fn an_output_too_large_to_keep_is_no_empty_output() {
    let item = format!(r#"{{"item":{{"a":"{}"}}}}"#, "x".repeat(KEPT_BYTES / 2));
    let many =
        [("response.output_item.done", &*item), ("response.output_item.done", &*item), COMPLETED];
    let mut gather = Gather::new();
    many.iter().for_each(|(name, data)| gather.event(name, data));
    assert!(gather.items.kept.is_empty() && gather.items.spoilt);
    assert_eq!(gather.response(), None);
}
