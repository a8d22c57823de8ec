//! What the backend tells of a subscription's limits, in its three ways: headers of an answer, an event
//! of a stream, a page. Pure.
//!
//! The members are those that openai/codex reads (`codex-api/src/rate_limits.rs`, `backend-client`); what
//! is missing, misspelt or out of all proportion is left out rather than complained of, because nothing
//! that a person waits for depends on it.

use http::HeaderMap;
use serde_json::Value;

use super::Window;
use crate::clock::Timestamp;

/// Windows of one account at most; the backend tells two, and two more for some models.
pub(super) const MOST_WINDOWS: usize = 32;
/// The longest name of a limit, in characters.
const LONGEST_NAME: usize = 64;
/// The longest window believed, in minutes: a year.
const LONGEST_MINUTES: u64 = 366 * 24 * 60;
/// The last moment believed, in seconds since the epoch: the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
/// The headers of the subscription's own limit begin so.
const OWN: &str = "x-codex";

/// What one answer told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) plan: Option<String>,
    /// Each limit by its name (none for the subscription's own) with its windows.
    pub(super) limits: Vec<Limit>,
}

/// The windows of one limit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit {
    /// Nothing for the subscription's own.
    pub(super) name: Option<String>,
    pub(super) windows: Vec<Window>,
}

impl Told {
    fn add(&mut self, name: Option<String>, windows: Vec<Window>) {
        let count: usize = self.limits.iter().map(|limit| limit.windows.len()).sum();
        if !windows.is_empty() && count + windows.len() <= MOST_WINDOWS {
            self.limits.push(Limit { name, windows });
        }
    }
}

/// Reads the headers of an answer (`x-codex-primary-used-percent` and its like).
pub(super) fn from_headers(headers: &HeaderMap, now: Timestamp) -> Told {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let mut told = Told { plan: text("x-codex-plan-type").and_then(word), limits: Vec::new() };
    let mut families: Vec<&str> = headers
        .keys()
        .filter_map(|name| {
            let name = name.as_str();
            let family = name.strip_suffix("-used-percent")?;
            let family =
                family.strip_suffix("-primary").or_else(|| family.strip_suffix("-secondary"))?;
            family.starts_with("x-").then_some(family)
        })
        .collect();
    families.sort_unstable();
    families.dedup();
    for family in families {
        let window = |which: &str| {
            let part = |member: &str| text(&format!("{family}-{which}-{member}"));
            let number = |member: &str| part(member).and_then(|text| text.parse::<f64>().ok());
            window(
                number("used-percent"),
                number("window-minutes"),
                number("reset-at"),
                number("reset-after-seconds"),
                now,
            )
        };
        let name = (family != OWN).then(|| {
            let id = family.strip_prefix("x-").unwrap_or(family);
            text(&format!("{family}-limit-name"))
                .and_then(word)
                .or_else(|| word(id))
                .unwrap_or_default()
        });
        told.add(name.clone(), named(name.as_deref(), window("primary"), window("secondary")));
    }
    told
}

/// Reads an event `codex.rate_limits`; nothing where it is none.
pub(super) fn from_event(event: &Value, now: Timestamp) -> Option<Told> {
    if event["type"] != "codex.rate_limits" {
        return None;
    }
    let mut told = Told { plan: event["plan_type"].as_str().and_then(word), limits: Vec::new() };
    let id = event["metered_limit_name"].as_str().filter(|id| *id != "codex");
    let name = id.and_then(|id| event["limit_name"].as_str().and_then(word).or_else(|| word(id)));
    let limits =
        if event["rate_limits"].is_object() { &event["rate_limits"] } else { &event["rate_limit"] };
    let windows = windows(limits, name.as_deref(), now);
    told.add(name, windows);
    Some(told)
}

/// Reads the page `/wham/usage`.
pub(super) fn from_page(page: &Value, now: Timestamp) -> Told {
    let mut told = Told { plan: page["plan_type"].as_str().and_then(word), limits: Vec::new() };
    told.add(None, windows(&page["rate_limit"], None, now));
    let review = "code_review";
    told.add(Some(review.into()), windows(&page["code_review_rate_limit"], Some(review), now));
    for more in page["additional_rate_limits"].as_array().into_iter().flatten() {
        let name = [&more["limit_name"], &more["metered_feature"]];
        if let Some(name) = name.into_iter().find_map(|name| name.as_str().and_then(word)) {
            let windows = windows(&more["rate_limit"], Some(&name), now);
            told.add(Some(name), windows);
        }
    }
    told
}

/// The windows of a limit as an object, whichever names its members go by.
fn windows(limit: &Value, name: Option<&str>, now: Timestamp) -> Vec<Window> {
    let read = |which: &str| {
        let object = [&limit[which], &limit[format!("{which}_window")]];
        let object = object.into_iter().find(|object| object.is_object())?;
        let member = |names: &[&str]| names.iter().find_map(|name| number(&object[*name]));
        window(
            member(&["used_percent"]),
            member(&["window_minutes"]).or_else(|| Some(member(&["limit_window_seconds"])? / 60.0)),
            member(&["reset_at", "resets_at"]),
            member(&["reset_after_seconds", "resets_in_seconds"]),
            now,
        )
    };
    named(name, read("primary"), read("secondary"))
}

/// Gives the windows their names: `primary` and `secondary`, or the limit's own.
fn named(limit: Option<&str>, primary: Option<Window>, secondary: Option<Window>) -> Vec<Window> {
    let name = |which: &str| match limit {
        None => which.to_owned(),
        Some(limit) if which == "primary" => limit.to_owned(),
        Some(limit) => format!("{limit} {which}"),
    };
    let both = [(primary, "primary"), (secondary, "secondary")];
    both.into_iter()
        .filter_map(|(window, which)| Some(Window { name: name(which), ..window? }))
        .collect()
}

fn window(
    used: Option<f64>,
    minutes: Option<f64>,
    reset_at: Option<f64>,
    reset_after: Option<f64>,
    now: Timestamp,
) -> Option<Window> {
    let used_percent = used.filter(|used| used.is_finite())?.clamp(0.0, 100.0);
    let window_minutes = minutes.and_then(|minutes| whole(minutes.round(), LONGEST_MINUTES));
    let at = reset_at.and_then(|at| whole(at, LAST_SECOND)).map(Timestamp::from_secs);
    let after = || {
        let secs = whole(reset_after?, LONGEST_MINUTES * 60)?;
        Some(now.plus(std::time::Duration::from_secs(secs)))
    };
    let resets_at = at.or_else(after);
    // A limit that does not exist is told as zeroes.
    let told = used_percent > 0.0 || window_minutes.is_some() || resets_at.is_some();
    told.then_some(Window { name: String::new(), used_percent, window_minutes, resets_at })
}

/// A positive number as whole, where it is at most `most`.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the number is positive and at most some hundred thousand millions"
)]
fn whole(number: f64, most: u64) -> Option<u64> {
    (number >= 1.0 && number <= most as f64).then_some(number as u64)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A name fit to be shown and kept.
fn word(text: &str) -> Option<String> {
    let plain = text.chars().filter(|c| !c.is_control()).take(LONGEST_NAME);
    let word = plain.collect::<String>().trim().to_owned();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn shown(told: &Told) -> Vec<(&str, f64, Option<u64>, Option<u64>)> {
        let windows = told.limits.iter().flat_map(|limit| &limit.windows);
        windows
            .map(|w| {
                (w.name.as_str(), w.used_percent, w.window_minutes, w.resets_at.map(|at| at.0))
            })
            .collect()
    }

    #[test]
    fn headers_tell_the_own_limit_and_others() {
        let told = from_headers(
            &headers(&[
                ("x-codex-plan-type", "plus"),
                ("x-codex-primary-used-percent", "12.5"),
                ("x-codex-primary-window-minutes", "300"),
                ("x-codex-primary-reset-at", "1700000600"),
                ("x-codex-secondary-used-percent", "3"),
                ("x-codex-secondary-window-minutes", "10080"),
                ("x-codex-secondary-reset-after-seconds", "60"),
                ("x-codex-primary-over-secondary-limit-percent", "50"),
                ("x-codex-credits-balance", "0"),
                ("x-codex-bengalfox-primary-used-percent", "7"),
                ("x-codex-bengalfox-primary-window-minutes", "60"),
                ("x-codex-bengalfox-limit-name", "GPT-5.3-Codex-Spark"),
                ("x-codex-bengalfox-secondary-used-percent", "8"),
                ("x-codex-bengalfox-secondary-window-minutes", "600"),
                ("x-other-primary-used-percent", "9"),
            ]),
            NOW,
        );
        assert_eq!(told.plan.as_deref(), Some("plus"));
        assert_eq!(
            shown(&told),
            [
                ("primary", 12.5, Some(300), Some(1_700_000_600_000)),
                ("secondary", 3.0, Some(10_080), Some(1_700_000_060_000)),
                ("GPT-5.3-Codex-Spark", 7.0, Some(60), None),
                ("GPT-5.3-Codex-Spark secondary", 8.0, Some(600), None),
                ("other", 9.0, None, None),
            ]
        );
        assert_eq!(told.limits[0].name, None);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        for used in ["", "soon", "NaN", "inf", "-inf", "1e999"] {
            let told = from_headers(
                &headers(&[
                    ("x-codex-primary-used-percent", used),
                    ("x-codex-primary-window-minutes", "5"),
                ]),
                NOW,
            );
            assert_eq!(told, Told::default(), "{used}");
        }
        let told = from_headers(
            &headers(&[
                ("x-codex-primary-used-percent", "250"),
                ("x-codex-primary-window-minutes", "99999999999999999999"),
                ("x-codex-primary-reset-at", "1e300"),
                ("x-codex-primary-reset-after-seconds", "-1"),
                ("x-codex-secondary-used-percent", "0"),
                ("x-codex-secondary-window-minutes", "0"),
            ]),
            NOW,
        );
        assert_eq!(shown(&told), [("primary", 100.0, None, None)]);
    }

    #[test]
    fn the_page_tells_all_limits() {
        let page = json!({
            "plan_type": "pro",
            "rate_limit": {"allowed": true, "limit_reached": false,
                "primary_window": {"used_percent": 1, "limit_window_seconds": 18_000, "reset_after_seconds": 5, "reset_at": 1_700_000_500},
                "secondary_window": null},
            "code_review_rate_limit": null,
            "additional_rate_limits": [
                {"limit_name": "Spark", "metered_feature": "codex_bengalfox",
                 "rate_limit": {"primary_window": {"used_percent": "40", "limit_window_seconds": "3600", "reset_after_seconds": 30}}},
                {"limit_name": null, "rate_limit": {"primary_window": {"used_percent": 1}}},
                7,
            ],
        });
        let told = from_page(&page, NOW);
        assert_eq!(told.plan.as_deref(), Some("pro"));
        assert_eq!(
            shown(&told),
            [
                ("primary", 1.0, Some(300), Some(1_700_000_500_000)),
                ("Spark", 40.0, Some(60), Some(1_700_000_030_000)),
            ]
        );
        for page in [json!(null), json!([]), json!({"rate_limit": "none"})] {
            assert_eq!(from_page(&page, NOW), Told::default(), "{page}");
        }
    }

    #[test]
    fn the_event_tells_one_limit() {
        let window =
            json!({"used_percent": 42.5, "window_minutes": 300, "reset_at": 1_700_000_100});
        let mut event = json!({"type": "codex.rate_limits", "plan_type": "plus",
            "rate_limits": {"allowed": true, "primary": window, "secondary": null}});
        let told = from_event(&event, NOW).unwrap();
        assert_eq!(shown(&told), [("primary", 42.5, Some(300), Some(1_700_000_100_000))]);
        event["metered_limit_name"] = json!("codex");
        assert_eq!(from_event(&event, NOW).unwrap().limits[0].name, None);
        event["metered_limit_name"] = json!("codex_bengalfox");
        assert_eq!(shown(&from_event(&event, NOW).unwrap())[0].0, "codex_bengalfox");
        event["limit_name"] = json!("Spark");
        assert_eq!(shown(&from_event(&event, NOW).unwrap())[0].0, "Spark");
        event["type"] = json!("response.created");
        assert_eq!(from_event(&event, NOW), None);
        assert_eq!(from_event(&json!("codex.rate_limits"), NOW), None);
    }

    #[test]
    fn nobody_is_told_of_more_windows_than_a_person_can_read() {
        let more: Vec<Value> = (0..100)
            .map(|n| json!({"limit_name": format!("limit {n}"), "rate_limit": {"primary_window": {"used_percent": 1}}}))
            .collect();
        let told = from_page(&json!({"additional_rate_limits": more}), NOW);
        assert_eq!(shown(&told).len(), MOST_WINDOWS);
        let long = json!({"additional_rate_limits": [{"limit_name": "é\n".repeat(1000), "rate_limit": {"primary_window": {"used_percent": 1}}}]});
        assert_eq!(shown(&from_page(&long, NOW))[0].0, "é".repeat(LONGEST_NAME));
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(
            family in "[a-z-]{0,8}",
            which in "primary|secondary|",
            member in "used-percent|window-minutes|reset-at|reset-after-seconds|limit-name",
            value in "[ -~]{0,24}|-?[0-9]{1,30}(\\.[0-9]{1,30})?(e-?[0-9]{1,4})?",
            used in "[0-9.e-]{0,6}",
        ) {
            let (name, of) = (format!("x-{family}-{which}-{member}"), format!("x-{family}-{which}-used-percent"));
            let told = from_headers(&headers(&[(&name, &value), (&of, &used)]), NOW);
            for window in told.limits.iter().flat_map(|limit| &limit.windows) {
                prop_assert!((0.0..=100.0).contains(&window.used_percent));
                prop_assert!(window.resets_at.is_none_or(|at| at.as_secs() <= LAST_SECOND));
                prop_assert!(window.name.chars().count() <= LONGEST_NAME + 10);
                prop_assert!(serde_json::to_string(window).is_ok());
            }
        }

        #[test]
        fn any_page_is_read_without_harm(used: f64, minutes: f64, at: i64, after: u64) {
            let window = json!({"used_percent": used, "limit_window_seconds": minutes, "reset_at": at, "reset_after_seconds": after});
            let told = from_page(&json!({"rate_limit": {"primary_window": window}}), NOW);
            prop_assert!(told.limits.len() <= 1);
        }
    }
}
