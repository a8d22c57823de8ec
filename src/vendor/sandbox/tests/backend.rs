//! The backend: what it refuses, what it streams.

use super::*;

#[tokio::test]
async fn the_backend_refuses_what_the_real_one_refuses() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    for (name, value, text) in [
        ("stream", json!(false), "Stream must be set to true"),
        ("store", Value::Null, "Store must be set to false"),
        ("temperature", json!(1), "Unsupported parameter: temperature"),
        ("max_output_tokens", json!(9), "Unsupported parameter: max_output_tokens"),
        ("input", json!("hi"), "Input must be a list"),
        ("input", json!([{"role": "system", "content": "x"}]), "System messages are not allowed"),
        ("model", json!("gpt-5.5"), "Instructions are required"),
        (
            "model",
            json!("gpt-4"),
            "The 'gpt-4' model is not supported when using Codex with a ChatGPT account.",
        ),
    ] {
        let mut body = question();
        body[name] = value;
        let answer = desk.turn(&grant, &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}");
        assert_eq!(answer.json::<Value>().await.unwrap()["detail"], text);
    }
    let mut told = question();
    told["model"] = "gpt-5.5".into();
    told["input"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"role": "developer", "content": "Be brief."}));
    assert_eq!(desk.turn(&grant, &told).await.status(), StatusCode::OK);
    let url = desk.at("/backend-api/codex/responses");
    assert_eq!(
        desk.http.post(&url).json(&question()).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let upgrade = desk.http.get(&url).header("upgrade", "websocket").send().await.unwrap();
    assert_eq!(upgrade.status(), StatusCode::UPGRADE_REQUIRED);
    let token = grant["access_token"].as_str().unwrap();
    let packed =
        desk.http.post(&url).bearer_auth(token).header("content-encoding", "zstd").body("x");
    assert_eq!(packed.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = desk
        .http
        .post(&url)
        .bearer_auth(token)
        .header("chatgpt-account-id", "other")
        .json(&question());
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(desk.stats().await["responses"], 1, "only the good one");
}

/// A question whose input is this.
fn with_input(input: Value) -> Value {
    let mut body = question();
    body["input"] = input;
    body
}

#[tokio::test]
async fn items_that_only_a_store_could_know_are_not_found() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    for item in [
        json!({"type": "reasoning", "id": "rs_1", "summary": []}),
        json!({"type": "item_reference", "id": "fc_1"}),
    ] {
        let answer = desk.turn(&grant, &with_input(json!([item]))).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{item}");
        let error = answer.json::<Value>().await.unwrap()["error"].take();
        let text = error["message"].as_str().unwrap();
        assert!(text.contains("not persisted when `store` is set to false"), "{text}");
    }
}

#[tokio::test]
async fn what_belongs_to_another_dialect_is_refused() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let said = |role: &str, part: Value| with_input(json!([{"role": role, "content": [part]}]));
    let with = |name: &str, value: Value| {
        let mut body = question();
        body[name] = value;
        body
    };
    let output = json!([{"type": "function_call_output", "call_id": "c", "output": "x"}]);
    let call = json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]);
    for (body, text) in [
        (
            said("assistant", json!({"type": "input_text", "text": "x"})),
            "Invalid value: 'input_text'",
        ),
        (
            said("user", json!({"type": "image_url", "image_url": "x"})),
            "Invalid value: 'image_url'",
        ),
        (said("user", json!({"type": "input_image", "image_url": {"url": "x"}})), "not valid"),
        (with_input(output), "No tool call found for function call output"),
        (with_input(call), "No tool output found for function call"),
        (
            with("tools", json!([{"type": "function", "function": {"name": "f"}}])),
            "'tools[0].name'",
        ),
        (
            with("tool_choice", json!({"type": "function", "function": {"name": "f"}})),
            "'tool_choice.name'",
        ),
        (
            with("text", json!({"format": {"type": "json_schema", "json_schema": {}}})),
            "'text.format.name'",
        ),
    ] {
        let answer = desk.turn(&grant, &body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let error = answer.json::<Value>().await.unwrap()["error"].take();
        assert!(error["message"].as_str().unwrap().contains(text), "{error}");
    }
}

#[tokio::test]
async fn pictures_files_and_answered_calls_are_taken() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let input = json!([
        {"role": "user", "content": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": "hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "seen"}]},
        {"role": "user", "content": "good"},
    ]);
    assert_eq!(desk.turn(&grant, &with_input(input)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_turn_is_streamed_with_the_headers_of_the_limits() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("settings", json!({"reply": "good morning", "event_delay_ms": 1})).await;
    let mut body = question();
    let tools = json!({"type": "additional_tools", "role": "developer", "tools": []});
    body["input"].as_array_mut().unwrap().insert(0, tools);
    let answer = desk.turn(&grant, &body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-codex-plan-type"], "plus");
    assert!(answer.headers().contains_key("x-codex-primary-used-percent"));
    let etag = answer.headers()["x-models-etag"].clone();
    let text = answer.text().await.unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds.first(), Some(&"response.created"));
    assert_eq!(kinds.last(), Some(&"response.completed"));
    assert!(text.contains("\"delta\":\"good \""));

    let token = grant["access_token"].as_str().unwrap();
    let models = |query: &str| {
        desk.http.get(desk.at(&format!("/backend-api/codex/models{query}"))).bearer_auth(token)
    };
    assert_eq!(models("").send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let known = models("?client_version=0.169.0").send().await.unwrap();
    assert_eq!(known.headers()["etag"], etag);
    assert_eq!(known.json::<Value>().await.unwrap()["models"][0]["slug"], "gpt-6.1-sol");
    let again =
        models("?client_version=0.169.0").header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_page_from_elsewhere_cannot_pull_the_levers() {
    let desk = Desk::new().await;
    let request =
        desk.http.post(desk.at("/_sandbox/revoke_family")).header("origin", "https://evil.test");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
