//! What `{:?}` leaves out of those parameters and results that hold a token or a code in the clear.
//!
//! On the wire they are plain text and have to be; one `?params` in a log line would print them.

use std::fmt;

use super::{LoginComplete, PageOpened, Rejected, TokenResult};

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation(generation) => f.debug_tuple("Generation").field(generation).finish(),
            Self::Token(_) => f.write_str("Token(..)"),
        }
    }
}

/// Without the headers: one of them is the token again.
impl fmt::Debug for TokenResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResult")
            .field("expires_at", &self.expires_at)
            .field("expires_in", &self.expires_in)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Without the address: an authorization code stands in it.
impl fmt::Debug for LoginComplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginComplete").field("login_id", &self.login_id).finish_non_exhaustive()
    }
}

/// Without the address: whoever has it first has the page.
impl fmt::Debug for PageOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageOpened").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::TokenParams;

    #[test]
    fn no_debug_output_holds_what_is_lent_or_pasted() {
        let lent: TokenResult = serde_json::from_value(serde_json::json!({
            "access_token": "at-canary", "expires_at": 1, "expires_in": 2, "generation": 3,
            "headers": {"Authorization": "Bearer at-canary"},
        }))
        .expect("a token");
        let rejected = TokenParams {
            rejected: Some(Rejected::Token("at-canary".into())),
            ..TokenParams::default()
        };
        let pasted = LoginComplete {
            login_id: "id".into(),
            redirect_url: "http://localhost:1455/auth/callback?code=canary".into(),
        };
        let page = PageOpened {
            url: "http://127.0.0.1:1/enter/canary".into(),
            expires_at: crate::clock::Timestamp(9),
        };
        let shown = format!("{lent:?} {rejected:?} {pasted:?} {page:?}");
        assert!(!shown.contains("canary") && shown.contains("generation: 3"), "{shown}");
    }
}
