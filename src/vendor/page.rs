//! The one shell for every page that a browser is shown: the end of a login, the sandbox's own forms.
//!
//! Pages that are put together by hand sooner or later print something a stranger chose. Here text
//! goes through [`escape`], and the page needs no script, no font and nothing from elsewhere, so that
//! [`POLICY`] can forbid all of them.

/// The `Content-Security-Policy` under which every page works: no scripts, no requests, no frames.
/// Forms may be sent only to where the page came from.
pub const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                          frame-ancestors 'none'; form-action 'self'";

/// What a page has to say, which colours the bar above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A question, or plain news.
    Plain,
    /// It worked.
    Good,
    /// It did not.
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#1d2129;--soft:#5a6270;--line:#dfe2e8;\
--accent:#2f5bd8;--on-accent:#fff;--good:#187a4b;--bad:#b3312c}\
@media (prefers-color-scheme:dark){:root{--page:#14161a;--card:#1e2127;--ink:#e9ebef;--soft:#a3abb8;\
--line:#343943;--accent:#8fb0ff;--on-accent:#10131a;--good:#63d29c;--bad:#ff8f87}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--page);\
color:var(--ink);font:1rem/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}\
main{--tone:var(--accent);width:100%;max-width:27rem;padding:2rem;background:var(--card);\
border:1px solid var(--line);border-radius:.75rem;\
box-shadow:inset 0 4px 0 var(--tone),0 1px 3px #0001,0 12px 32px #0001}\
main.good{--tone:var(--good)}main.bad{--tone:var(--bad)}\
h1{margin:0 0 .75rem;font-size:1.35rem;line-height:1.25;letter-spacing:-.01em;text-wrap:balance}\
p,form{margin:0 0 1rem}main>:last-child{margin-bottom:0}\
dl{display:grid;grid-template-columns:auto 1fr;gap:.3rem 1rem;margin:0 0 1.25rem;font-size:.925rem}\
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\
label{display:block;margin-bottom:.35rem;font-weight:600}\
input{width:100%;margin-bottom:1rem;padding:.6rem .75rem;font:inherit;color:inherit;background:transparent;\
border:1px solid var(--soft);border-radius:.5rem}\
input.code,.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;letter-spacing:.08em}\
.choices{display:flex;flex-wrap:wrap;gap:.75rem}\
button{flex:1 1 8rem;padding:.65rem 1rem;font:inherit;font-weight:600;color:inherit;background:transparent;\
border:1px solid var(--soft);border-radius:.5rem;cursor:pointer}\
button.primary{color:var(--on-accent);background:var(--accent);border-color:var(--accent)}\
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\
.note{color:var(--soft);font-size:.875rem}";

/// A whole HTML document. `title` is plain text and becomes the heading; `body_html` is markup whose
/// parts the caller has put through [`escape`].
#[must_use]
pub fn render(title: &str, body_html: &str, tone: Tone) -> String {
    let title = escape(title);
    let class = tone.class();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main class=\"{class}\">\n<h1>{title}</h1>\n{body_html}\n</main>\n</body>\n</html>\n"
    )
}

/// Text made safe to stand in markup, between tags as well as in a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaped_text_holds_nothing_that_markup_minds(text in any::<String>()) {
            let safe = escape(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            let back = safe
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn a_title_is_text_and_a_page_asks_for_nothing_from_elsewhere() {
        let page = render("<script>alert(1)</script>", "<p>ok</p>", Tone::Bad);
        assert!(!page.contains("<script"));
        assert!(page.contains("<main class=\"bad\">"));
        for source in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(source), "{source}");
        }
    }
}
