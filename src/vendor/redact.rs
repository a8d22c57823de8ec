//! What a vendor answered, made fit to be shown: short, printable and without credentials.
//!
//! An issuer's own words are the best explanation a person can get, but they travel through logs,
//! terminals and bug reports, and issuers have been seen to repeat the token they refuse.

/// The most of a body that is passed on, in bytes.
const MAX_BYTES: usize = 4096;
/// The shortest run of token characters that is taken for a credential. Words and error codes are
/// shorter, or hold neither digits nor letters of both cases. (One in forty random codes of 22 characters has
/// no digit; a name in camel case that is so long is the price.)
const MIN_RUN: usize = 20;

const GONE: &str = "[redacted]";

/// The body as text: cut to 4 KiB, control characters replaced, anything that looks like a credential gone.
#[must_use]
pub fn redact(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(whole_pieces(body))
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut out = String::with_capacity(text.len());
    let mut after_secret_name = false;
    for piece in Pieces(&text) {
        let run = piece.starts_with(is_token_char);
        if run && (looks_like_credential(piece) || (after_secret_name && piece.len() >= 4)) {
            out.push_str(GONE);
        } else {
            out.push_str(piece);
        }
        // `"refresh_token": "` and `refresh_token=`: what follows is the value, however short.
        after_secret_name =
            if run { names_a_secret(piece) } else { after_secret_name && is_assignment(piece) };
    }
    out.trim().to_owned()
}

/// As much of a body as is passed on. A run of token characters at the cut is left out: what remained
/// of it might be too short to be known for what it is.
fn whole_pieces(body: &[u8]) -> &[u8] {
    if body.len() <= MAX_BYTES {
        return body;
    }
    let cut = &body[..MAX_BYTES];
    let end = cut.iter().rposition(|byte| !is_token_char(char::from(*byte)));
    &cut[..end.unwrap_or_default()]
}

/// Splits text into runs of token characters and whatever stands between them.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let inside = is_token_char(self.0.chars().next()?);
        let end = self.0.find(|c| is_token_char(c) != inside).unwrap_or(self.0.len());
        let (piece, rest) = self.0.split_at(end);
        self.0 = rest;
        Some(piece)
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+' | '/')
}

fn is_assignment(piece: &str) -> bool {
    !piece.is_empty() && piece.chars().all(|c| matches!(c, '"' | '\'' | ':' | '=' | ' ' | '\\'))
}

fn names_a_secret(piece: &str) -> bool {
    // Not `code`: in error bodies that is the reason, the very thing to show.
    const NAMES: [&str; 10] = [
        "access_token",
        "refresh_token",
        "id_token",
        "token",
        "code_verifier",
        "device_auth_id",
        "client_secret",
        "password",
        "bearer",
        "authorization_code",
    ];
    NAMES.iter().any(|name| piece.eq_ignore_ascii_case(name))
}

fn looks_like_credential(run: &str) -> bool {
    let jwt = run.starts_with("eyJ");
    let has = |test: fn(&char) -> bool| run.chars().any(|c| test(&c));
    // A path of words is not a secret; a token has no slash-separated plain words.
    let longest = run.split('/').map(str::len).max().unwrap_or_default();
    let mixed =
        has(char::is_ascii_digit) || has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    jwt || (longest >= MIN_RUN && mixed && has(char::is_ascii_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_go_and_words_stay() {
        let body = br#"{"error":{"code":"refresh_token_reused","message":"Token rt_AbC123xyz456def789ghi was used; see https://help.example.com/en/articles/why","refresh_token":"short1"}}"#;
        let shown = redact(body);
        assert!(
            shown.contains("refresh_token_reused")
                && shown.contains("https://help.example.com/en/articles/why"),
            "{shown}"
        );
        assert!(!shown.contains("rt_AbC") && !shown.contains("short1"), "{shown}");
        assert!(!redact(b"Authorization: Bearer abcdef").contains("abcdef"));
        assert!(!redact(b"got eyJhbGciOi.eyJzdWIi.sig").contains("eyJ"));
    }

    #[test]
    fn control_characters_and_length_are_bounded() {
        assert_eq!(redact(b"a\x1b[31mb\r\nc"), "a [31mb  c");
        assert!(redact(&[b'!'; 100_000]).len() <= MAX_BYTES);
        let at_the_cut = format!("{}rt-Secret123", "! ".repeat(MAX_BYTES / 2 - 3));
        assert!(!redact(format!("{at_the_cut}{at_the_cut}").as_bytes()).contains("rt"));
    }

    #[test]
    fn a_code_without_a_digit_goes_as_well() {
        let shown = redact(
            b"you sent qWeRtYuIoPaSdFgHjKlZxC, which is unsupported_country_region_territory",
        );
        assert_eq!(shown, "you sent [redacted], which is unsupported_country_region_territory");
    }

    proptest! {
        #[test]
        fn a_token_never_comes_through(token in "[A-Za-z0-9_-]{18}[0-9][a-z]", before in "[ a-z\":{]{0,40}", after in "[ a-z\"}]{0,40}") {
            let text = format!("{before} {token} {after}");
            prop_assert!(!redact(text.as_bytes()).contains(&token));
        }

        #[test]
        fn any_bytes_are_fit_to_print(bytes: Vec<u8>) {
            prop_assert!(!redact(&bytes).chars().any(char::is_control));
        }
    }
}
