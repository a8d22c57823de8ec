//! Who was granted what: families of rotating refresh tokens and the access tokens they bought. Pure.
//!
//! A refresh token works once. One that comes back a second time was either stolen or replayed by a
//! careless client; the issuer cannot tell which and revokes the whole family, as RFC 9700 section
//! 4.14.2 has it. That rule is why this program exists, so the sandbox enforces it to the letter.

use std::time::Duration;

use super::bounded::Bounded;
use crate::clock::Timestamp;
use crate::secret::random_base64url;

/// Tokens and families remembered, far more than a test or a demo makes. The oldest are forgotten,
/// which to a client looks like an unknown token.
const REMEMBERED_MOST: usize = 20_000;

/// Who approved a login, fixed at that moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Person {
    pub(super) account_id: String,
    pub(super) user_id: String,
    pub(super) email: String,
    pub(super) plan: String,
    pub(super) fedramp: bool,
}

/// All that one login led to.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) person: Person,
    pub(super) scope: String,
    pub(super) revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    family: String,
    used: bool,
    expires_at: Timestamp,
}

/// An access token that was issued.
#[derive(Debug)]
pub(super) struct Access {
    family: String,
    /// The account it says it is for.
    pub(super) account_id: String,
    expires_at: Timestamp,
    revoked: bool,
}

/// Why a refresh token is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RefreshRefusal {
    Unknown,
    Expired,
    Reused,
    Revoked,
}

/// Why an access token is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AccessRefusal {
    Unknown,
    Expired,
    Revoked,
}

/// The issuer's memory.
#[derive(Debug)]
pub(super) struct Grants {
    families: Bounded<Family>,
    refresh: Bounded<Refresh>,
    access: Bounded<Access>,
}

impl Grants {
    pub(super) fn new() -> Self {
        Self {
            families: Bounded::new(REMEMBERED_MOST),
            refresh: Bounded::new(REMEMBERED_MOST),
            access: Bounded::new(REMEMBERED_MOST),
        }
    }

    /// Begins a family and says its name.
    pub(super) fn begin(&mut self, person: Person, scope: String) -> String {
        let name = random_base64url(12);
        let family = Family { person, scope, revoked: false };
        self.families.insert(name.clone(), family);
        name
    }

    pub(super) fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(name)
    }

    /// The family's next refresh token.
    pub(super) fn issue_refresh(&mut self, family: &str, expires_at: Timestamp) -> String {
        let token = format!("rt_{}", random_base64url(40));
        let entry = Refresh { family: family.to_owned(), used: false, expires_at };
        self.refresh.insert(token.clone(), entry);
        token
    }

    /// Remembers an access token as one of the family's.
    pub(super) fn keep_access(
        &mut self,
        family: &str,
        token: String,
        account_id: String,
        expires_at: Timestamp,
    ) {
        let entry = Access { family: family.to_owned(), account_id, expires_at, revoked: false };
        self.access.insert(token, entry);
    }

    /// Takes a refresh token for good (unless `keep`), and says whose it is.
    pub(super) fn redeem(
        &mut self,
        token: &str,
        now: Timestamp,
        keep: bool,
    ) -> Result<String, RefreshRefusal> {
        let entry = self.refresh.get_mut(token).ok_or(RefreshRefusal::Unknown)?;
        let family = self.families.get_mut(&entry.family).ok_or(RefreshRefusal::Unknown)?;
        if entry.used {
            family.revoked = true;
            return Err(RefreshRefusal::Reused);
        }
        if family.revoked {
            return Err(RefreshRefusal::Revoked);
        }
        if entry.expires_at <= now {
            return Err(RefreshRefusal::Expired);
        }
        entry.used = !keep;
        Ok(entry.family.clone())
    }

    /// Whether a bearer may pass, and for which account.
    pub(super) fn admit(&self, token: &str, now: Timestamp) -> Result<&Access, AccessRefusal> {
        let access = self.access.get(token).ok_or(AccessRefusal::Unknown)?;
        let revoked = self.families.get(&access.family).is_none_or(|family| family.revoked);
        if revoked || access.revoked {
            Err(AccessRefusal::Revoked)
        } else if access.expires_at <= now {
            Err(AccessRefusal::Expired)
        } else {
            Ok(access)
        }
    }

    /// Ends a family by name. Says whether it was alive.
    pub(super) fn revoke_family(&mut self, name: &str) -> bool {
        self.families
            .get_mut(name)
            .is_some_and(|family| !std::mem::replace(&mut family.revoked, true))
    }

    /// What RFC 7009 asks: a refresh token takes its family with it, an access token only itself.
    pub(super) fn revoke(&mut self, token: &str) -> bool {
        if let Some(entry) = self.refresh.get(token) {
            let family = entry.family.clone();
            return self.revoke_family(&family);
        }
        self.access
            .get_mut(token)
            .is_some_and(|access| !std::mem::replace(&mut access.revoked, true))
    }

    /// Ends every family. Says how many were alive.
    pub(super) fn revoke_families(&mut self) -> usize {
        self.families
            .values_mut()
            .filter_map(|family| (!std::mem::replace(&mut family.revoked, true)).then_some(()))
            .count()
    }

    /// Ends every access token issued so far, and no refresh token.
    pub(super) fn revoke_access(&mut self) -> usize {
        self.access
            .values_mut()
            .filter_map(|access| (!std::mem::replace(&mut access.revoked, true)).then_some(()))
            .count()
    }

    /// Families alive and revoked.
    pub(super) fn census(&self) -> (usize, usize) {
        let revoked = self.families.values().filter(|family| family.revoked).count();
        (self.families.values().count() - revoked, revoked)
    }
}

/// A moment later by whole seconds.
pub(super) fn after_secs(now: Timestamp, secs: u64) -> Timestamp {
    now.plus(Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LATER: Timestamp = Timestamp(1_800_000_060_000);

    fn login(grants: &mut Grants) -> (String, String) {
        let person = Person {
            account_id: "acct".into(),
            user_id: "user".into(),
            email: "a@example.test".into(),
            plan: "plus".into(),
            fedramp: false,
        };
        let family = grants.begin(person, "openid".into());
        let token = grants.issue_refresh(&family, LATER);
        grants.keep_access(&family, format!("at-{family}"), "acct".into(), LATER);
        (family, token)
    }

    #[test]
    fn a_used_refresh_token_takes_its_family_down_and_no_other() {
        let mut grants = Grants::new();
        let (family, first) = login(&mut grants);
        let (other, _) = login(&mut grants);
        assert_eq!(grants.redeem(&first, NOW, false), Ok(family.clone()));
        let second = grants.issue_refresh(&family, LATER);
        assert!(grants.admit(&format!("at-{family}"), NOW).is_ok());

        assert_eq!(grants.redeem(&first, NOW, false), Err(RefreshRefusal::Reused));
        assert_eq!(grants.redeem(&second, NOW, false), Err(RefreshRefusal::Revoked));
        assert_eq!(grants.admit(&format!("at-{family}"), NOW).err(), Some(AccessRefusal::Revoked));
        assert!(grants.admit(&format!("at-{other}"), NOW).is_ok());
        assert_eq!(grants.census(), (1, 1));
    }

    #[test]
    fn tokens_end_at_their_time() {
        let mut grants = Grants::new();
        let (family, token) = login(&mut grants);
        assert_eq!(grants.redeem(&token, LATER, false), Err(RefreshRefusal::Expired));
        assert_eq!(
            grants.admit(&format!("at-{family}"), LATER).err(),
            Some(AccessRefusal::Expired)
        );
        assert_eq!(grants.redeem("rt_never", NOW, false), Err(RefreshRefusal::Unknown));
    }

    #[test]
    fn revoking_an_access_token_spares_the_family() {
        let mut grants = Grants::new();
        let (family, token) = login(&mut grants);
        assert!(grants.revoke(&format!("at-{family}")));
        assert!(!grants.revoke(&format!("at-{family}")));
        assert_eq!(grants.redeem(&token, NOW, false), Ok(family));
        assert!(grants.revoke(&token));
        assert_eq!(grants.census(), (0, 1));
    }
}
