//! The envelope, written straight into the bytes that go out.

use serde::Serialize;

use crate::rpc::error::RpcError;

/// Begins a successful answer; the bytes of the result and [`end_result`] follow.
pub fn begin_result(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(br#","result":"#);
}

/// Ends what [`begin_result`] began.
pub fn end_result(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Writes an answer that refuses; `id` is `None` where it could not be made out.
pub fn write_error(out: &mut Vec<u8>, id: Option<&str>, error: &RpcError) {
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.unwrap_or("null").as_bytes());
    out.extend_from_slice(br#","error":"#);
    serde_json::to_writer(&mut *out, error)
        .expect("an error is strings and numbers, and a Vec takes them all");
    out.push(b'}');
}

/// Writes a notification.
///
/// # Errors
/// Where `params` cannot be written as JSON.
pub fn write_notification(
    out: &mut Vec<u8>,
    method: &str,
    params: &impl Serialize,
) -> serde_json::Result<()> {
    write_call(out, None, method, params)
}

/// Writes a request, or a notification where there is no id.
///
/// # Errors
/// Where `params` cannot be written as JSON.
pub fn write_call(
    out: &mut Vec<u8>,
    id: Option<u64>,
    method: &str,
    params: &impl Serialize,
) -> serde_json::Result<()> {
    #[derive(Serialize)]
    struct Wire<'a, P> {
        jsonrpc: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        method: &'a str,
        params: &'a P,
    }
    serde_json::to_writer(out, &Wire { jsonrpc: "2.0", id, method, params })
}
