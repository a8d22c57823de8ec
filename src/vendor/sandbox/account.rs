//! What the backend tells of an account: its limits, its workspaces, its settings.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answers::json_answer;
use super::backend::{WINDOWS_MINUTES, admit, used_percent};
use super::stats::Endpoint;
use super::world::Caller;

/// `GET /backend-api/wham/usage`, and `/backend-api/codex/usage`, which some accounts must ask instead
pub(super) async fn usage(caller: Caller) -> Response {
    caller
        .answer(Endpoint::Usage, |app, world, headers, _| {
            let account = match admit(app, world, headers) {
                Err(refusal) => return *refusal,
                Ok(access) => access.account_id.clone(),
            };
            let now = app.now().as_secs();
            let window = |used: u64, minutes: u64| {
                json!({
                    "used_percent": used,
                    "limit_window_seconds": minutes * 60,
                    "reset_after_seconds": minutes * 60,
                    "reset_at": now.saturating_add(minutes * 60),
                })
            };
            let (short, long) = WINDOWS_MINUTES;
            let used = used_percent(world);
            let body = json!({
                "user_id": world.settings.user_id,
                "account_id": account,
                "email": world.settings.email,
                "plan_type": world.settings.plan,
                "rate_limit": {
                    "allowed": true,
                    "limit_reached": false,
                    "primary_window": window(used, short),
                    "secondary_window": window(used / 10, long),
                },
                "code_review_rate_limit": null,
                "additional_rate_limits": [],
                "credits": { "has_credits": false, "unlimited": false, "balance": "0" },
                "spend_control": { "reached": false },
                "rate_limit_reached_type": null,
            });
            json_answer(StatusCode::OK, &body)
        })
        .await
}

/// `GET /backend-api/wham/accounts/check`
pub(super) async fn accounts(caller: Caller) -> Response {
    caller
        .answer(Endpoint::Accounts, |app, world, headers, _| {
            let account = match admit(app, world, headers) {
                Err(refusal) => return *refusal,
                Ok(access) => access.account_id.clone(),
            };
            let entry = json!({
                "id": account,
                "plan_type": world.settings.plan,
                "name": null,
                "structure": "personal",
                "workspace_backend_origin": world.settings.workspace_backend_origin,
                "account_routing_override": world.settings.account_routing_override,
            });
            let body = json!({ "accounts": [entry], "account_ordering": [account], "default_account_id": account });
            json_answer(StatusCode::OK, &body)
        })
        .await
}

/// `GET /backend-api/wham/settings/user`
pub(super) async fn settings(caller: Caller) -> Response {
    caller
        .answer(Endpoint::Settings, |app, world, headers, _| match admit(app, world, headers) {
            Err(refusal) => *refusal,
            Ok(_) => json_answer(StatusCode::OK, &json!({})),
        })
        .await
}
