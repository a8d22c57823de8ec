//! What holds where the file is silent, with the reason where there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;

use super::{
    Config, Daemon, Hooks, Http, Lead, Log, Refresh, Relay, SystemPrompt, Vendor, VendorKind,
};

impl Default for Config {
    fn default() -> Self {
        Self {
            default_vendor: "openai".to_owned(),
            daemon: Daemon::default(),
            http: Http::default(),
            refresh: Refresh::default(),
            relay: Relay::default(),
            log: Log::default(),
            hooks: Hooks::default(),
            vendors: BTreeMap::from([("openai".to_owned(), Vendor::openai())]),
        }
    }
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            socket: None,
            max_clients: 1024,
            // Room for a prompt with some pictures in it.
            max_message_bytes: 64 * 1024 * 1024,
            max_inflight_bytes: 128 * 1024 * 1024,
            idle_exit: None,
            // Longer than one call to the issuer may take, shorter than systemd's patience.
            shutdown_grace: Duration::from_secs(35),
        }
    }
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            lead: Lead::Share(0.20),
            backoff: (Duration::from_secs(1), Duration::from_secs(300)),
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            // A model may think for minutes before its first word.
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(300),
            // As many as clients: one that waits costs some 30 KiB.
            max_streams: 1024,
            system: SystemPrompt::Instructions,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), keep_days: 7 }
    }
}

impl Vendor {
    /// The built-in vendor: OpenAI's issuer and the backend behind a ChatGPT subscription.
    #[must_use]
    pub fn openai() -> Self {
        let url = |text: &str| Url::parse(text).expect("a constant URL parses");
        Self {
            kind: VendorKind::OpenAi,
            issuer: url("https://auth.openai.com"),
            api_base: url("https://chatgpt.com/backend-api"),
            // Public by design: it identifies a native app and authenticates nobody (RFC 8252
            // section 8.5). It is the id under which the issuer offers these flows to native apps.
            client_id: "app_EMoamEEZ73f0CkXaXp7hrann".to_owned(),
            originator: "valetkey".to_owned(),
            scopes: ["openid", "profile", "email", "offline_access"].map(str::to_owned).to_vec(),
            audience: None,
            // The two ports that the issuer's allow-list of redirect addresses holds.
            callback_ports: vec![1455, 1457],
        }
    }

    /// The stand-in vendor as `valetkey sandbox` runs it by default.
    #[must_use]
    pub fn sandbox() -> Self {
        let url = |text: &str| Url::parse(text).expect("a constant URL parses");
        Self {
            kind: VendorKind::Sandbox,
            issuer: url("http://127.0.0.1:8455"),
            api_base: url("http://127.0.0.1:8455/backend-api"),
            ..Self::openai()
        }
    }
}
