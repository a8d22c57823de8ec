//! What each local client has used: since the start, and day by day across restarts. Pure.
//!
//! A subscription's limit is one for everybody on the machine, and when it is reached the first question
//! is who used it up. The vendor cannot tell; the daemon, through which everything went, can.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClientUse, Tokens};
use crate::clock::Timestamp;

/// Days kept: the month behind, which is what a bill or a limit is about.
const MOST_DAYS: usize = 31;
/// Clients counted one by one on a day (and since the start); programs are few, names could be invented.
const MOST_CLIENTS: usize = 256;
/// Under which name those beyond are summed.
const OTHERS: &str = "others";
/// The longest name of a client, in characters; the rest of a long path tells nothing more.
const LONGEST_NAME: usize = 128;
/// The version of the file's form.
const VERSION: u32 = 1;
/// The longest file read, in bytes: all days full of long names.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// Sums by client.
type Clients = BTreeMap<String, Sum>;

/// What was used, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sum {
    requests: u64,
    #[serde(flatten)]
    tokens: Tokens,
}

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    since_start: Clients,
    days: BTreeMap<String, Clients>,
}

/// How many completions each client has under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay(BTreeMap<String, u64>);

impl UnderWay {
    /// One more; gives the name that it is counted under, which [`Self::end`] wants back.
    pub(super) fn begin(&mut self, client: &str) -> String {
        let client = name(client);
        let room = self.0.contains_key(&client) || self.0.len() < MOST_CLIENTS;
        let client = if room { client } else { OTHERS.to_owned() };
        *self.0.entry(client.clone()).or_default() += 1;
        client
    }

    /// One fewer.
    pub(super) fn end(&mut self, client: &str) {
        if let Some(count) = self.0.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(client);
            }
        }
    }

    /// Writes them to the sums since the start; a client whose first completion has not ended yet is
    /// told with nothing but that.
    pub(super) fn told(&self, mut all: Vec<ClientUse>) -> Vec<ClientUse> {
        for (client, &streams) in self.0.iter().rev() {
            match all.iter_mut().find(|used| used.day.is_none() && used.client == *client) {
                Some(used) => used.streams = streams,
                None => {
                    let client = client.clone();
                    all.insert(0, ClientUse { client, streams, ..ClientUse::default() });
                }
            }
        }
        all
    }
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Form<D> {
    version: u32,
    days: D,
}

impl Counts {
    /// What an earlier run kept; nothing where the bytes are no such file.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let form: Form<BTreeMap<String, Clients>> = serde_json::from_slice(bytes).ok()?;
        let whole = form.version == VERSION
            && form.days.values().all(|clients| clients.len() <= MOST_CLIENTS + 1)
            && form.days.keys().all(|day| is_day(day));
        let mut counts = Self { days: form.days, ..Self::default() };
        counts.trim();
        whole.then_some(counts)
    }

    /// The bytes to keep: the days, as the sums since the start end with the process.
    pub(super) fn encode(&self) -> Vec<u8> {
        let form = Form { version: VERSION, days: &self.days };
        serde_json::to_vec(&form).expect("texts and numbers serialise")
    }

    /// Counts one completion.
    pub(super) fn count(&mut self, client: &str, tokens: Tokens, now: Timestamp) {
        let client = name(client);
        add(&mut self.since_start, &client, tokens);
        add(self.days.entry(day(now)).or_default(), &client, tokens);
        self.trim();
    }

    /// All of it, for a person: the sums since the start, then the days, the latest first.
    pub(super) fn told(&self) -> Vec<ClientUse> {
        let of = |day: Option<&String>, clients: &Clients| -> Vec<ClientUse> {
            let told = |(client, sum): (&String, &Sum)| ClientUse {
                client: client.clone(),
                day: day.cloned(),
                requests: sum.requests,
                input_tokens: sum.tokens.input,
                cached_tokens: sum.tokens.cached,
                output_tokens: sum.tokens.output,
                streams: 0,
            };
            clients.iter().map(told).collect()
        };
        let days = self.days.iter().rev().flat_map(|(day, clients)| of(Some(day), clients));
        of(None, &self.since_start).into_iter().chain(days).collect()
    }

    fn trim(&mut self) {
        while self.days.len() > MOST_DAYS {
            self.days.pop_first();
        }
    }
}

fn add(clients: &mut Clients, client: &str, tokens: Tokens) {
    let room = clients.contains_key(client) || clients.len() < MOST_CLIENTS;
    let sum = clients.entry(if room { client } else { OTHERS }.to_owned()).or_default();
    sum.requests = sum.requests.saturating_add(1);
    let all = &mut sum.tokens;
    all.input = all.input.saturating_add(tokens.input);
    all.cached = all.cached.saturating_add(tokens.cached);
    all.output = all.output.saturating_add(tokens.output);
}

/// The UTC date, as `2026-11-22`.
fn day(now: Timestamp) -> String {
    let compact = now.compact();
    let date = compact.split('T').next().unwrap_or_default();
    let (rest, day) = date.split_at(date.len().saturating_sub(2));
    let (year, month) = rest.split_at(rest.len().saturating_sub(2));
    format!("{year}-{month}-{day}")
}

fn is_day(text: &str) -> bool {
    (10..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
}

fn name(client: &str) -> String {
    let name: String = client.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.trim().is_empty() { OTHERS.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp(1_795_311_553_123);
    const DAY: Duration = Duration::from_secs(86_400);
    const FEW: Tokens = Tokens { input: 10, cached: 4, output: 3 };

    fn find<'a>(told: &'a [ClientUse], client: &str, day: Option<&str>) -> Option<&'a ClientUse> {
        told.iter().find(|it| it.client == client && it.day.as_deref() == day)
    }

    #[test]
    fn a_client_is_counted_since_the_start_and_by_the_day() {
        let mut counts = Counts::default();
        counts.count("codex", FEW, NOW);
        counts.count("codex", FEW, NOW);
        counts.count("codex", FEW, NOW.plus(DAY));
        counts.count("aider", Tokens::default(), NOW);
        let told = counts.told();
        let all = find(&told, "codex", None).unwrap();
        assert_eq!(
            (all.requests, all.input_tokens, all.cached_tokens, all.output_tokens),
            (3, 30, 12, 9)
        );
        assert_eq!(find(&told, "codex", Some("2026-11-22")).unwrap().requests, 2);
        assert_eq!(find(&told, "codex", Some("2026-11-23")).unwrap().input_tokens, 10);
        assert_eq!(find(&told, "aider", Some("2026-11-22")).unwrap().requests, 1);
        assert_eq!(told.len(), 5);
    }

    #[test]
    fn days_come_back_after_a_restart_and_sums_begin_anew() {
        let mut counts = Counts::default();
        counts.count("codex", FEW, NOW);
        let mut back = Counts::decode(&counts.encode()).unwrap();
        assert_eq!(find(&back.told(), "codex", None), None);
        back.count("codex", FEW, NOW);
        assert_eq!(find(&back.told(), "codex", Some("2026-11-22")).unwrap().requests, 2);
        assert_eq!(find(&back.told(), "codex", None).unwrap().requests, 1);
        for bytes in [
            &b""[..],
            b"{}",
            b"[1]",
            br#"{"version":2,"days":{}}"#,
            br#"{"version":1,"days":{"x":{}}}"#,
        ] {
            assert!(Counts::decode(bytes).is_none());
        }
    }

    #[test]
    fn a_month_of_days_is_kept() {
        let mut counts = Counts::default();
        for n in 0..40 {
            counts.count("codex", FEW, NOW.plus(n * DAY));
        }
        let told = counts.told();
        assert_eq!(told.iter().filter(|it| it.day.is_some()).count(), MOST_DAYS);
        assert_eq!(told[1].day.as_deref(), Some("2026-12-31"), "the latest first");
        assert!(find(&told, "codex", Some("2026-11-30")).is_none());
    }

    #[test]
    fn names_that_are_invented_are_summed() {
        let mut counts = Counts::default();
        for n in 0..300 {
            counts.count(&format!("client {n}"), FEW, NOW);
        }
        counts.count("client 0", FEW, NOW);
        counts.count("", FEW, NOW);
        let told = counts.told();
        assert_eq!(find(&told, OTHERS, Some("2026-11-22")).unwrap().requests, 45);
        assert_eq!(find(&told, "client 0", Some("2026-11-22")).unwrap().requests, 2);
        assert_eq!(told.len(), 2 * (MOST_CLIENTS + 1));
        assert!(Counts::decode(&counts.encode()).is_some());
    }

    #[test]
    fn sums_end_at_the_largest_number_and_names_are_short_and_printable() {
        let mut counts = Counts::default();
        let many = Tokens { input: u64::MAX, cached: u64::MAX, output: u64::MAX };
        counts.count(&"x\n".repeat(500), many, NOW);
        counts.count(&"x\n".repeat(500), many, NOW);
        let told = counts.told();
        assert_eq!(told[0].client, "x".repeat(LONGEST_NAME));
        assert_eq!((told[0].requests, told[0].output_tokens), (2, u64::MAX));
        assert_eq!(Counts::decode(&counts.encode()).unwrap().told()[0].input_tokens, u64::MAX);
    }

    #[test]
    fn what_is_under_way_is_told_with_the_sums_and_names_cannot_fill_the_memory() {
        let mut counts = Counts::default();
        counts.count("codex", FEW, NOW);
        let mut under_way = UnderWay::default();
        assert_eq!(under_way.told(counts.told()), counts.told());
        let codex = [under_way.begin("codex"), under_way.begin("codex")];
        let aider = under_way.begin("aider\n");
        let told = under_way.told(counts.told());
        assert_eq!(find(&told, "codex", None).unwrap().streams, 2);
        assert_eq!(find(&told, "codex", Some("2026-11-22")).unwrap().streams, 0);
        let first = find(&told, "aider", None).unwrap();
        assert_eq!((first.requests, first.streams), (0, 1), "its first has not ended yet");
        assert_eq!(told.len(), 3);
        let many: Vec<String> =
            (0..1000).map(|n| under_way.begin(&format!("client {n}"))).collect();
        let told = under_way.told(Vec::new());
        assert_eq!(told.len(), MOST_CLIENTS + 1);
        assert_eq!(find(&told, OTHERS, None).unwrap().streams, 1000 - (MOST_CLIENTS as u64 - 2));
        for name in many.iter().chain(&codex).chain([&aider]) {
            under_way.end(name);
        }
        assert!(under_way.0.is_empty());
        under_way.end("nobody");
    }

    #[test]
    fn the_end_of_time_has_a_day_too() {
        assert_eq!(day(Timestamp(0)), "1970-01-01");
        assert!(is_day(&day(Timestamp(u64::MAX))), "{}", day(Timestamp(u64::MAX)));
    }
}
