//! Who a verified token is for, as OpenAI's own claims tell it. Pure.

use serde_json::Value;

use crate::clock::Timestamp;
use crate::vendor::Identity;
use crate::vendor::jwks::Claims;

/// Where OpenAI's own claims stand in its tokens.
const AUTH_CLAIM: &str = "https://api.openai.com/auth";
const PROFILE_CLAIM: &str = "https://api.openai.com/profile";
pub(super) fn identity(claims: &Claims, skew_millis: i64) -> Identity {
    let auth = claims.get(AUTH_CLAIM).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let email = claims.get("email").and_then(text);
    Identity {
        account_id: text(&auth["chatgpt_account_id"]),
        email: email
            .or_else(|| claims.get(PROFILE_CLAIM).and_then(|profile| text(&profile["email"]))),
        plan: text(&auth["chatgpt_plan_type"]),
        fedramp: auth["chatgpt_account_is_fedramp"].as_bool().unwrap_or(false),
        expires_at: claims
            .get("exp")
            .and_then(Value::as_f64)
            .map(|secs| Timestamp((secs * 1000.0) as u64).shifted(-skew_millis)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_account_is_read_from_openais_claims() {
        let claims = json!({
            "exp": 1_800_000_000,
            AUTH_CLAIM: {"chatgpt_account_id": "acc-1", "chatgpt_plan_type": "pro", "chatgpt_account_is_fedramp": true},
            PROFILE_CLAIM: {"email": "a@example.org"},
        });
        let identity = identity(claims.as_object().expect("an object"), 5_000);
        assert_eq!(identity.account_id.as_deref(), Some("acc-1"));
        assert_eq!(identity.email.as_deref(), Some("a@example.org"));
        assert!(identity.fedramp);
        assert_eq!(identity.expires_at, Some(Timestamp(1_800_000_000_000 - 5_000)));
    }
}
