//! Durations, sizes, shares and addresses as people write them. Pure.

use std::time::Duration;

use reqwest::Url;

/// Ten years: whatever is longer was a slip of the keyboard.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads `90s`, `24h`, `1m30s`, `250ms`: whole numbers with their units, largest first or not.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = leading_number(rest)?;
        let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_len);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = next;
    }
    (total <= DURATION_MAX).then_some(total)
}

/// Reads `64MiB`, `512KiB`, `1GiB`, `1000B`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = leading_number(text.trim())?;
    let factor: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Reads `20%` as 0.2; only whole or decimal shares above 0 and up to 50 %.
pub(super) fn share(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?;
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let percent: f64 = number.parse().ok()?;
    (percent > 0.0 && percent <= 50.0).then_some(percent / 100.0)
}

/// A base URL: https, or http on loopback; without credentials, query or fragment. The error is what
/// is wrong with it.
pub(super) fn base_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password in it");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => {
            Err("is plain http to another machine, where anybody between could read the tokens")
        }
        _ => Err("is neither https nor http"),
    }
}

fn is_loopback(url: &Url) -> bool {
    // `Url` has already lower-cased names and brought every spelling of an IPv4 address into one form.
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, expected) in [
            ("90s", Some(90_000)),
            ("24h", Some(86_400_000)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("0s", Some(0)),
            ("7d", Some(604_800_000)),
            ("", None),
            ("90", None),
            ("s", None),
            ("1.5h", None),
            ("-1s", None),
            ("1 m", None),
            ("99999999999d", None),
            ("4000d", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn sizes_need_their_unit() {
        assert_eq!(size("64MiB"), Some(67_108_864));
        assert_eq!(size("1 KiB"), Some(1024));
        for wrong in ["64", "64MB", "MiB", "-1B", "99999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shares_end_at_half() {
        assert_eq!(share("20%"), Some(0.2));
        assert_eq!(share("12.5%"), Some(0.125));
        for wrong in ["0%", "51%", "20", "%", "-1%", "1e1%", "NaN%", "+5%"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for ok in [
            "https://login.example.org",
            "http://127.0.0.1:8455",
            "http://localhost",
            "http://[::1]:1",
            "http://127.9.9.9",
        ] {
            assert!(base_url(ok).is_ok(), "{ok}");
        }
        for wrong in [
            "http://login.example.org",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "ftp://127.0.0.1",
            "https://example.org/?a=b",
            "https://example.org/#a",
            "https://me:secret@example.org",
            "example.org",
            "",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in "\\PC{0,24}") {
            let _ = (duration(&text), size(&text), share(&text), base_url(&text));
        }

        #[test]
        fn whole_seconds_come_back(secs in 0_u64..300_000_000) {
            prop_assert_eq!(duration(&format!("{secs}s")), Some(Duration::from_secs(secs)));
        }
    }
}
