//! What can be changed while the sandbox runs: who signs in, for how long, how the issuer behaves.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grants::Person;

/// The longest pause between two events of a streamed answer.
const EVENT_DELAY_MS_MOST: u64 = 60_000;

/// All settings, every one with its value.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Logins are approved without a click.
    pub(super) approve: bool,
    /// An access token's life.
    pub(super) access_ttl_secs: u64,
    /// A refresh token's life.
    pub(super) refresh_ttl_secs: u64,
    /// Seconds between device polls, in the JSON type in which it is sent.
    pub(super) interval: Interval,
    /// Whether device login is switched on.
    pub(super) device_enabled: bool,
    /// Refresh tokens rotate and work once.
    pub(super) rotate: bool,
    /// Access tokens are opaque strings rather than JWTs.
    pub(super) opaque: bool,
    /// What the `Date` header is ahead of the sandbox's clock.
    pub(super) date_skew_secs: i64,
    /// Who signs in next.
    pub(super) account_id: String,
    pub(super) user_id: String,
    pub(super) email: String,
    pub(super) plan: String,
    pub(super) fedramp: bool,
    /// What the model says.
    pub(super) reply: String,
    /// The pause between two events of the answer.
    pub(super) event_delay_ms: u64,
    /// The function that the model calls where the request offers it, or several at once.
    pub(super) call_tool: Option<Calls>,
    /// What is streamed instead of a turn: events as objects, anything else as text that is sent as it is.
    pub(super) events: Option<Vec<Value>>,
    /// How the stream ends.
    pub(super) finish: Finish,
    /// How many turns `events` and `finish` are for; 0 for all until they are changed.
    pub(super) times: u32,
    /// Where the workspace's requests must go, and through which region.
    pub(super) workspace_backend_origin: String,
    pub(super) account_routing_override: String,
    /// How much of the short window is used; a hundredth for each turn unless told.
    pub(super) used_percent: Option<u64>,
}

/// How the stream of a turn ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    /// With its last event, in good order.
    #[default]
    Clean,
    /// With a closed connection. A usual turn goes without its last event.
    Cut,
    /// Not at all: silent until the client leaves, faults are cleared or the sandbox stops. A usual turn
    /// goes without its last event.
    Hang,
}

/// A poll interval as the wire has it: OpenAI's issuer sends a string, RFC 8628 a number.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Interval {
    Number(u64),
    Text(String),
}

/// What the model calls: one function, or several in parallel.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Calls {
    One(ToolCall),
    Several(Vec<ToolCall>),
}

impl Calls {
    pub(super) fn as_slice(&self) -> &[ToolCall] {
        match self {
            Self::One(call) => std::slice::from_ref(call),
            Self::Several(calls) => calls,
        }
    }
}

/// A function call that the model makes, or the call of a custom tool, whose `arguments` are a text.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall {
    pub(super) name: String,
    pub(super) arguments: Value,
}

impl Interval {
    /// In seconds; 5, the default of RFC 8628 section 3.2, where the text is no number.
    pub(super) fn secs(&self) -> u64 {
        match self {
            Self::Number(secs) => *secs,
            Self::Text(text) => text.trim().parse().unwrap_or(5),
        }
    }
}

impl Settings {
    pub(super) fn new(approve: bool, access_ttl_secs: u64) -> Self {
        Self {
            approve,
            access_ttl_secs,
            refresh_ttl_secs: 30 * 24 * 3600,
            interval: Interval::Text("5".into()),
            device_enabled: true,
            rotate: true,
            opaque: false,
            date_skew_secs: 0,
            account_id: "7c1d3f8e-5a0b-4c7e-9f51-2b6d8e0a4c33".into(),
            user_id: "user-Sandbox0000000000000000".into(),
            email: "pat@example.test".into(),
            plan: "plus".into(),
            fedramp: false,
            reply: "Hello from the sandbox: the token that you borrowed works.".into(),
            event_delay_ms: 0,
            call_tool: None,
            events: None,
            finish: Finish::Clean,
            times: 0,
            workspace_backend_origin: "NO_CONSTRAINT".into(),
            account_routing_override: "NO_CONSTRAINT".into(),
            used_percent: None,
        }
    }

    /// One turn of those that `events` and `finish` are for has been played.
    pub(super) fn count_down(&mut self) {
        match self.times {
            0 => (),
            1 => (self.events, self.finish, self.times) = (None, Finish::Clean, 0),
            _ => self.times -= 1,
        }
    }

    /// These settings with some members replaced.
    pub(super) fn changed(&self, change: &Value) -> Result<Self, String> {
        let change = change.as_object().ok_or("settings are a JSON object")?;
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in change {
            all[name] = value.clone();
        }
        let settings: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        if settings.event_delay_ms > EVENT_DELAY_MS_MOST {
            return Err(format!("event_delay_ms is at most {EVENT_DELAY_MS_MOST}"));
        }
        Ok(settings)
    }

    /// Who signs in next.
    pub(super) fn person(&self) -> Person {
        Person {
            account_id: self.account_id.clone(),
            user_id: self.user_id.clone(),
            email: self.email.clone(),
            plan: self.plan.clone(),
            fedramp: self.fedramp,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_touches_what_it_names_and_refuses_what_it_does_not_know() {
        let settings = Settings::new(false, 60);
        let changed = settings.changed(&json!({"interval": 2, "plan": "pro"})).unwrap();
        assert_eq!((changed.interval.secs(), changed.plan.as_str()), (2, "pro"));
        assert_eq!(changed.access_ttl_secs, 60);
        assert_eq!(settings.changed(&json!({"interval": "7"})).unwrap().interval.secs(), 7);
        assert!(settings.changed(&json!({"intervall": 2})).is_err());
        assert!(settings.changed(&json!({"access_ttl_secs": "soon"})).is_err());
        assert!(settings.changed(&json!({"finish": "soon"})).is_err());
    }

    #[test]
    fn what_is_played_a_few_times_makes_room_for_the_usual_turn() {
        let change = json!({"events": [{"type": "error"}], "finish": "cut", "times": 2});
        let mut settings = Settings::new(false, 60).changed(&change).unwrap();
        settings.count_down();
        assert!(settings.events.is_some());
        settings.count_down();
        assert_eq!((settings.events.is_none(), settings.finish), (true, Finish::Clean));
        settings.count_down();
        assert_eq!(settings.times, 0, "0 stands for no end");
    }

    #[test]
    fn one_call_or_several_are_told_alike() {
        let one = json!({"name": "look", "arguments": {}});
        for (given, count) in [(one.clone(), 1), (json!([one, one]), 2), (json!([]), 0)] {
            let settings = Settings::new(false, 60).changed(&json!({"call_tool": given})).unwrap();
            assert_eq!(settings.call_tool.unwrap().as_slice().len(), count);
        }
    }
}
