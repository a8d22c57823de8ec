//! The sections of the file, one function each, every default taken from the types' own.

use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::reader::{Section, Source};
use super::values;
use super::{Config, ConfigError, Daemon, Hooks, Http, Lead, Log, Refresh, Relay, SystemPrompt};

/// The least that a message bound may be: below this no login would fit through.
const MESSAGE_BYTES_MIN: u64 = 64 * 1024;
/// The most that a size may be: what one process can be expected to hold.
const MESSAGE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// The most connections: beyond this a process runs out of file descriptors long before.
const CLIENTS_MAX: u64 = 65_536;
/// The most days that logs can be asked to stay.
const KEEP_DAYS_MAX: u64 = 3650;

const DURATION: &str = "a duration such as \"90s\", \"1m30s\" or \"24h\"";
const WORDS: &str = "a list of words such as [\"notify-send\", \"Sign in again\"]";

/// The whole file.
pub(super) fn config(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let source = Source { text, path };
    let table = DeTable::parse(text).map_err(|error| {
        source.wrong(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()))
    })?;
    let known = ["default_vendor", "daemon", "http", "refresh", "relay", "log", "hooks", "vendors"];
    let top = Section::new(source, String::new(), &table, &known)?;
    let mut config = Config {
        daemon: daemon(&top)?,
        http: http(&top)?,
        refresh: refresh(&top)?,
        relay: relay(&top)?,
        log: log(&top)?,
        hooks: hooks(&top)?,
        ..Config::default()
    };
    super::vendors::read(&top, &mut config)?;
    if let Some(vendor) =
        top.text("default_vendor", "the name of a vendor", |t| Some(t.to_owned()))?
    {
        if !config.vendors.contains_key(&vendor) {
            let names: Vec<&str> = config.vendors.keys().map(String::as_str).collect();
            let message =
                format!("`default_vendor`: found {vendor:?}, expected one of {}", names.join(", "));
            return Err(top.wrong("default_vendor", message));
        }
        config.default_vendor = vendor;
    }
    Ok(config)
}

fn daemon(top: &Section<'_>) -> Result<Daemon, ConfigError> {
    let known = [
        "socket",
        "max_clients",
        "max_message_bytes",
        "max_inflight_bytes",
        "idle_exit",
        "shutdown_grace",
    ];
    let default = Daemon::default();
    let Some(section) = top.section("daemon", &known)? else {
        return Ok(default);
    };
    let size = |key, default| {
        let read = |text: &str| {
            values::size(text)
                .filter(|bytes| (MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(bytes))
                .and_then(|bytes| usize::try_from(bytes).ok())
        };
        Ok::<_, ConfigError>(
            section.text(key, "a size from \"64KiB\" to \"4GiB\"", read)?.unwrap_or(default),
        )
    };
    let daemon = Daemon {
        socket: section.text(
            "socket",
            "the path of a socket (or the name of a pipe)",
            not_empty,
        )?,
        max_clients: count(&section, "max_clients", CLIENTS_MAX, default.max_clients)?,
        max_message_bytes: size("max_message_bytes", default.max_message_bytes)?,
        max_inflight_bytes: size("max_inflight_bytes", default.max_inflight_bytes)?,
        idle_exit: section.text("idle_exit", DURATION, positive)?,
        shutdown_grace: section
            .text("shutdown_grace", DURATION, values::duration)?
            .unwrap_or(default.shutdown_grace),
    };
    if daemon.max_inflight_bytes < daemon.max_message_bytes {
        let key = "max_inflight_bytes";
        return Err(section
            .wrong(key, format!("`{key}` is less than one message may be (`max_message_bytes`)")));
    }
    Ok(daemon)
}

fn http(top: &Section<'_>) -> Result<Http, ConfigError> {
    let Some(section) = top.section("http", &["listen", "allow_hosts", "allow_origins"])? else {
        return Ok(Http::default());
    };
    let listen = |text: &str| {
        let address: std::net::SocketAddr =
            text.parse().map_err(|_| "is not an address with a port")?;
        if address.ip().is_loopback() {
            Ok(address)
        } else {
            Err("would be open to other machines")
        }
    };
    let hosts =
        |key| section.list(key, "a list of texts", |item| item.as_str().and_then(not_empty));
    Ok(Http {
        listen: section.told("listen", "a loopback address such as \"127.0.0.1:8459\"", listen)?,
        allow_hosts: hosts("allow_hosts")?.unwrap_or_default(),
        allow_origins: hosts("allow_origins")?.unwrap_or_default(),
    })
}

fn refresh(top: &Section<'_>) -> Result<Refresh, ConfigError> {
    let default = Refresh::default();
    let Some(section) = top.section("refresh", &["lead", "backoff"])? else {
        return Ok(default);
    };
    let lead = |text: &str| {
        let share = values::share(text).map(Lead::Share);
        share.or_else(|| positive(text).map(Lead::Time))
    };
    let expected = "two durations, the first pause and the longest, such as [\"1s\", \"5m\"]";
    let backoff = match section
        .list("backoff", expected, |item| item.as_str().and_then(positive))?
        .as_deref()
    {
        None => default.backoff,
        Some([first, longest]) if first <= longest => (*first, *longest),
        Some(_) => return Err(section.wrong("backoff", format!("`backoff`: expected {expected}"))),
    };
    let expected =
        "a share of the token's life up to \"50%\", or a duration such as \"90s\" or \"24h\"";
    Ok(Refresh { lead: section.text("lead", expected, lead)?.unwrap_or(default.lead), backoff })
}

fn relay(top: &Section<'_>) -> Result<Relay, ConfigError> {
    let known = ["connect_timeout", "first_byte_timeout", "idle_timeout", "max_streams", "system"];
    let default = Relay::default();
    let Some(section) = top.section("relay", &known)? else {
        return Ok(default);
    };
    let time = |key, default| {
        Ok::<_, ConfigError>(section.text(key, DURATION, positive)?.unwrap_or(default))
    };
    let system = |text: &str| match text {
        "instructions" => Some(SystemPrompt::Instructions),
        "developer" => Some(SystemPrompt::Developer),
        "prefix" => Some(SystemPrompt::Prefix),
        _ => None,
    };
    Ok(Relay {
        connect_timeout: time("connect_timeout", default.connect_timeout)?,
        first_byte_timeout: time("first_byte_timeout", default.first_byte_timeout)?,
        idle_timeout: time("idle_timeout", default.idle_timeout)?,
        max_streams: count(&section, "max_streams", CLIENTS_MAX, default.max_streams)?,
        system: section
            .text("system", "\"instructions\", \"developer\" or \"prefix\"", system)?
            .unwrap_or(default.system),
    })
}

fn log(top: &Section<'_>) -> Result<Log, ConfigError> {
    let default = Log::default();
    let Some(section) = top.section("log", &["level", "keep_days"])? else {
        return Ok(default);
    };
    let level =
        |text: &str| text.parse::<tracing_subscriber::filter::Targets>().ok().and(not_empty(text));
    let expected = "error, warn, info, debug, trace, or a filter such as \"valetkey::login=debug\"";
    Ok(Log {
        level: section.text("level", expected, level)?.unwrap_or(default.level),
        keep_days: count(&section, "keep_days", KEEP_DAYS_MAX, default.keep_days)?,
    })
}

fn hooks(top: &Section<'_>) -> Result<Hooks, ConfigError> {
    let Some(section) = top.section("hooks", &["on_login_required", "on_limit", "on_refresh"])?
    else {
        return Ok(Hooks::default());
    };
    let command = |key| {
        let words =
            section.list(key, WORDS, |item| item.as_str().map(str::to_owned))?.unwrap_or_default();
        if words.first().is_some_and(String::is_empty) {
            return Err(section.wrong(
                key,
                format!("`{key}`: the first word names no program; expected {WORDS}"),
            ));
        }
        Ok(words)
    };
    Ok(Hooks {
        on_login_required: command("on_login_required")?,
        on_limit: command("on_limit")?,
        on_refresh: command("on_refresh")?,
    })
}

fn count(section: &Section<'_>, key: &str, max: u64, default: usize) -> Result<usize, ConfigError> {
    Ok(section.number(key, 1..=max)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(default))
}

fn positive(text: &str) -> Option<Duration> {
    values::duration(text).filter(|duration| !duration.is_zero())
}

pub(super) fn not_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
