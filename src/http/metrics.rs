//! The counters, as Prometheus reads them (OpenMetrics 1.0 text).

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Shared, error};
use crate::clock::Timestamp;
use crate::login::directory::Named;
use crate::login::state::Status;
use crate::meter::{Outcome, Reading, Via};
use crate::relay::usage::Usage;

/// What every name begins with.
const PREFIX: &str = "valetkey";

/// The format's own media type (OpenMetrics 1.0).
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers a scrape.
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Response {
    let scrape = Scrape {
        reading: shared.meter.read(),
        limits: shared.relay.uses().snapshot(),
        logins: shared.logins.all().iter().map(|login| login.status()).collect(),
        now: shared.clock.now(),
        started_at: shared.dispatcher.0.about().started_at,
    };
    match scrape.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fmt::Error) => {
            let message = "The counters could not be written.";
            error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, message, None)
        }
    }
}

/// All that is told at one moment.
#[derive(Debug)]
struct Scrape {
    reading: Reading,
    limits: Vec<(Named, Usage)>,
    logins: Vec<Status>,
    now: Timestamp,
    started_at: Timestamp,
}

impl Scrape {
    fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Seconds until each held token ends; nothing for who is signed out.
    fn lives(&self) -> Vec<([(&str, &str); 2], f64)> {
        let ends = |status: &Status| status.expires_at.map(|end| end.since(self.now).as_secs_f64());
        let life = |status| -> Option<([(&str, &str); 2], f64)> {
            let status: &Status = status;
            Some((login(status), ends(status)?))
        };
        self.logins.iter().filter_map(life).collect()
    }
}

fn login(status: &Status) -> [(&str, &str); 2] {
    [("vendor", &status.vendor), ("account", &status.account)]
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Out(encoder);
        let read = &self.reading;
        let build = ([("version", env!("CARGO_PKG_VERSION"))], 1.0);
        out.gauges("build_info", "The version that runs", &[build])?;
        let uptime = self.now.since(self.started_at).as_secs_f64();
        out.gauges("uptime_seconds", "How long it has run", &[([("", ""); 0], uptime)])?;
        out.counters("lends", "Tokens lent", &[([("", ""); 0], read.lends)])?;
        let refreshes = Outcome::ALL
            .map(|outcome| ([("outcome", outcome.label())], read.refreshes[outcome as usize]));
        out.counters("refreshes", "Refreshes by what came of them", &refreshes)?;
        let streams = Via::ALL.map(|via| {
            let (dialect, surface) = via.labels();
            ([("dialect", dialect), ("surface", surface)], read.streams[via as usize])
        });
        out.counters("streams", "Completions begun", &streams)?;
        #[expect(clippy::cast_precision_loss, reason = "there are never so many at once")]
        let open = read.streams_open as f64;
        out.gauges("streams_open", "Completions under way", &[([("", ""); 0], open)])?;
        out.counters(
            "relayed_bytes",
            "Bytes of completions carried",
            &[([("", ""); 0], read.bytes)],
        )?;
        let errors: Vec<_> =
            read.errors.iter().map(|(kind, count)| ([("kind", kind.as_str())], *count)).collect();
        out.counters("errors", "Failed calls and completions by kind", &errors)?;
        let windows = self
            .limits
            .iter()
            .flat_map(|(of, usage)| usage.windows.iter().map(move |window| (of, window)));
        let limits: Vec<_> = windows
            .map(|(of, window)| {
                let labels =
                    [("vendor", &*of.vendor), ("account", &*of.account), ("window", &*window.name)];
                (labels, (100.0 - window.used_percent).max(0.0))
            })
            .collect();
        out.gauges("limit_left_percent", "What is left of a subscription's window", &limits)?;
        let connected: Vec<_> = self
            .logins
            .iter()
            .map(|status| (login(status), f64::from(u8::from(status.connected))))
            .collect();
        out.gauges("login_connected", "Whether a usable token is held", &connected)?;
        out.gauges("token_expiry_seconds", "How long the held token still lives", &self.lives())
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &[([(&str, &str); N], u64)],
    ) -> Result<(), fmt::Error>
    where
        for<'l> [(&'l str, &'l str); N]: EncodeLabelSet,
    {
        self.family(name, help, MetricType::Counter, values, |value| ConstCounter::new(*value))
    }

    fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: &[([(&str, &str); N], f64)],
    ) -> Result<(), fmt::Error>
    where
        for<'l> [(&'l str, &'l str); N]: EncodeLabelSet,
    {
        self.family(name, help, MetricType::Gauge, values, |value| ConstGauge::new(*value))
    }

    fn family<const N: usize, T, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: &[([(&str, &str); N], T)],
        metric: impl Fn(&T) -> M,
    ) -> Result<(), fmt::Error>
    where
        for<'l> [(&'l str, &'l str); N]: EncodeLabelSet,
    {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            if labels.is_empty() {
                metric(value).encode(family)?;
                return Ok(());
            }
            metric(value).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::state::State as LoginState;
    use crate::meter::Meter;
    use crate::relay::usage::Window;

    #[test]
    fn the_text_is_what_it_was_agreed_to_be() {
        let meter = Meter::default();
        meter.lent();
        meter.refreshed(Outcome::Granted);
        let _open = meter.stream_opened(Via::HttpChat);
        meter.bytes(1234);
        meter.error("usage_limit");
        let window = |(name, used_percent): (&str, f64)| Window {
            name: name.into(),
            used_percent,
            window_minutes: None,
            resets_at: None,
        };
        let windows = [("primary", 25.5), ("weird \"name\"\n", 150.0)].map(window).to_vec();
        let default = Named { vendor: "openai".into(), account: "default".into() };
        let held = Status {
            connected: true,
            state: LoginState::Active,
            expires_at: Some(Timestamp(71_500)),
            ..Status::signed_out("openai", "default")
        };
        let scrape = Scrape {
            reading: meter.read(),
            limits: vec![(default, Usage { windows, ..Usage::default() })],
            logins: vec![held, Status::signed_out("openai", "work")],
            now: Timestamp(10_000),
            started_at: Timestamp(1_000),
        };
        let text = scrape.text().unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION");
        assert_eq!(text, include_str!("../../tests/golden/door/metrics.txt"));
        let names = text.lines().filter(|line| !line.starts_with('#'));
        assert!(names.clone().count() > 10 && names.clone().all(|name| name.starts_with(PREFIX)));
    }
}
