use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

#[track_caller]
fn refused(text: &str) -> String {
    parse(text).expect_err("the text is refused").to_string()
}

#[test]
fn an_absent_file_means_every_default() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(
        Config::load(&folder.path().join("none.toml")).expect("defaults"),
        Config::default()
    );
    assert_eq!(parse("").expect("an empty file"), Config::default());
}

#[test]
fn the_defaults_that_the_readme_shows_are_the_defaults() {
    let shown = include_str!("../../README.md")
        .split("```")
        .find_map(|block| block.strip_prefix("toml\ndefault_vendor"))
        .expect("the README shows the configuration");
    let mut config = parse(&format!("default_vendor{shown}")).expect("it is valid");
    assert_eq!(config.vendors.remove("sandbox"), Some(Vendor::sandbox()));
    assert_eq!(config, Config::default());
}

#[test]
fn an_unreadable_file_is_not_an_absent_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Config::load(folder.path()).expect_err("a folder is no file");
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn every_key_is_heard() {
    let config = parse(
        r#"
default_vendor = "play"
[daemon]
socket = "/run/vk.sock"
max_clients = 7
max_message_bytes = "1MiB"
max_inflight_bytes = "2MiB"
idle_exit = "10m"
shutdown_grace = "5s"
[http]
listen = "127.0.0.1:8459"
allow_hosts = ["box.local"]
allow_origins = ["http://box.local"]
[refresh]
lead = "1m30s"
backoff = ["2s", "1m"]
[relay]
connect_timeout = "1s"
first_byte_timeout = "2s"
idle_timeout = "3s"
max_streams = 4
system = "prefix"
[log]
level = "valetkey=debug"
keep_days = 3
[hooks]
on_login_required = ["notify-send", "Sign in again"]
on_limit = []
on_refresh = ["true"]
[vendors.play]
kind = "sandbox"
issuer = "http://127.0.0.1:9000"
client_id = "abc"
originator = "me"
scopes = ["openid"]
audience = "x"
callback_ports = [1500]
"#,
    )
    .expect("it parses");
    let secs = Duration::from_secs;
    assert_eq!(config.default_vendor, "play");
    assert_eq!(
        config.daemon,
        Daemon {
            socket: Some("/run/vk.sock".into()),
            max_clients: 7,
            max_message_bytes: 1 << 20,
            max_inflight_bytes: 2 << 20,
            idle_exit: Some(secs(600)),
            shutdown_grace: secs(5),
        }
    );
    assert_eq!(config.http.listen, Some(([127, 0, 0, 1], 8459).into()));
    assert_eq!(config.http.allow_hosts, ["box.local"]);
    assert_eq!(config.http.allow_origins, ["http://box.local"]);
    assert_eq!(
        config.refresh,
        Refresh { lead: Lead::Time(secs(90)), backoff: (secs(2), secs(60)) }
    );
    assert_eq!(
        config.relay,
        Relay {
            connect_timeout: secs(1),
            first_byte_timeout: secs(2),
            idle_timeout: secs(3),
            max_streams: 4,
            system: SystemPrompt::Prefix,
        }
    );
    assert_eq!(config.log, Log { level: "valetkey=debug".into(), keep_days: 3 });
    assert_eq!(config.hooks.on_login_required, ["notify-send", "Sign in again"]);
    assert_eq!(config.hooks.on_refresh, ["true"]);
    let play = &config.vendors["play"];
    assert_eq!(play.kind, VendorKind::Sandbox);
    assert_eq!(play.issuer.as_str(), "http://127.0.0.1:9000/");
    assert_eq!(play.api_base.as_str(), "http://127.0.0.1:9000/backend-api", "follows the issuer");
    assert_eq!((play.client_id.as_str(), play.originator.as_str()), ("abc", "me"));
    assert_eq!(
        (play.scopes.as_slice(), play.audience.as_deref()),
        (["openid".to_owned()].as_slice(), Some("x"))
    );
    assert_eq!(play.callback_ports, [1500]);
    assert_eq!(config.vendors["openai"], Vendor::openai(), "the built-in one stays");
}

#[test]
fn overriding_one_key_of_a_built_in_vendor_keeps_the_others() {
    let config = parse("[vendors.openai]\noriginator = \"mine\"").expect("it parses");
    assert_eq!(config.vendors["openai"], Vendor { originator: "mine".into(), ..Vendor::openai() });
}

#[test]
fn faults_are_told_with_place_finding_and_expectation() {
    for (text, expected) in [
        (
            "[daemon]\nmax_cleints = 3",
            "config.toml:2:1: unknown key `max_cleints` in [daemon]; did you mean `max_clients`?",
        ),
        (
            "\n\n[log]\ncolour = true",
            "config.toml:4:1: unknown key `colour` in [log]; expected one of level, keep_days",
        ),
        ("demon = 1", "config.toml:1:1: unknown key `demon` at the top; did you mean `daemon`?"),
        (
            "[vendors.openai]\nisuer = \"x\"",
            "config.toml:2:1: unknown key `isuer` in [vendors.openai]; did you mean `issuer`?",
        ),
        (
            "[daemon]\nmax_clients = \"many\"",
            "config.toml:2:15: `max_clients`: found \"many\", expected a whole number from 1 to 65536",
        ),
        (
            "[daemon]\n  idle_exit = 90",
            "config.toml:2:15: `idle_exit`: found the number 90, expected a duration such as \"90s\", \"1m30s\" or \"24h\"",
        ),
        (
            "daemon = 3",
            "config.toml:1:10: `daemon`: found the number 3, expected a table, as [daemon]",
        ),
        (
            "[refresh]\nlead = \"60%\"",
            "config.toml:2:8: `lead`: found \"60%\", expected a share of the token's life up to \"50%\", or a duration such as \"90s\" or \"24h\"",
        ),
        (
            "default_vendor = \"acme\"",
            "config.toml:1:18: `default_vendor`: found \"acme\", expected one of openai",
        ),
    ] {
        assert_eq!(refused(text), expected);
    }
}

#[test]
fn values_that_would_do_harm_are_refused() {
    for (text, why) in [
        ("[http]\nlisten = \"0.0.0.0:8459\"", "would be open to other machines"),
        ("[http]\nlisten = \"8459\"", "is not an address with a port"),
        (
            "[vendors.openai]\nissuer = \"http://auth.example.org\"",
            "is plain http to another machine",
        ),
        ("[vendors.openai]\napi_base = \"https://a.example/?x=1\"", "has a query"),
        ("[vendors.openai]\ncallback_ports = []", "found none, expected at least one port"),
        ("[vendors.openai]\ncallback_ports = [0]", "found the number 0"),
        ("[vendors.openai]\noriginator = \"a\\r\\nb\"", "expected a text without spaces"),
        ("[vendors.work]\nkind = \"oidc\"", "is not available in this version"),
        ("[vendors.work]\nissuer = \"https://a.example\"", "lacks its `kind`"),
        ("[vendors.\"../up\"]\nkind = \"openai\"", "is not usable"),
        ("[refresh]\nbackoff = [\"5m\", \"1s\"]", "the first pause and the longest"),
        ("[hooks]\non_limit = [\"\"]", "names no program"),
        ("[log]\nlevel = \"a=b=c\"", "`level`: found"),
        ("[daemon]\nmax_message_bytes = \"256MiB\"", "is less than one message may be"),
        ("[daemon\nx = 1", "not TOML"),
        ("[log]\nkeep_days = 1\nkeep_days = 2", "not TOML"),
    ] {
        let told = refused(text);
        assert!(told.contains(why), "{text:?} gave {told:?}");
    }
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    for key in ["issuer", "api_base"] {
        let told =
            refused(&format!("[vendors.openai]\n{key} = \"https://pat:hunter2@a.example/\""));
        assert!(told.contains("has a user name or a password in it"), "{told}");
        assert!(told.contains("…@a.example/") && !told.contains("hunter2"), "{told}");
        assert!(!told.contains("pat:"), "{told}");
    }
    let told = refused("[vendors.openai]\nissuer = \"https://pat:hunter2@a b/\"");
    assert!(told.contains("is not a URL") && !told.contains("hunter2"), "{told}");
}

#[test]
fn names_fit_any_file_system() {
    for ok in ["default", "a", "work.2", "0-x_y", "console", "com", "com10"] {
        assert!(valid_name(ok), "{ok}");
    }
    let long = "a".repeat(65);
    for wrong in ["", ".a", "-a", "A", "a/b", "a b", "con", "nul.txt", "com1", "lpt9.x", "ä", &long]
    {
        assert!(!valid_name(wrong), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(\\PC|\\n){0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_value_makes_it_panic(
        section in "daemon|http|refresh|relay|log|hooks|vendors\\.openai",
        key in "socket|max_clients|idle_exit|listen|lead|backoff|system|level|keep_days|on_limit|issuer|scopes|callback_ports",
        value in "-?[0-9]{1,22}|\"[a-z0-9%:/.]{0,12}\"|\\[(\"[a-z0-9]{0,3}\",?)?\\]|true|1979-05-27|0x1f|1e3|nan",
    ) {
        let _ = parse(&format!("[{section}]\n{key} = {value}\n"));
    }
}
