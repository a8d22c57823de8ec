//! `[vendors.NAME]`: the built-in vendor with some keys changed, or a sandbox beside it.

use toml::de::DeValue;

use super::reader::{Section, integer};
use super::sections::not_empty;
use super::{Config, ConfigError, Vendor, VendorKind, valid_name, values};

const BASE_URL: &str =
    "an https URL without query or fragment (plain http only for localhost, 127.0.0.0/8 and ::1)";

/// Reads every vendor of the file into `config`.
pub(super) fn read(top: &Section<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let known = [
        "kind",
        "issuer",
        "api_base",
        "client_id",
        "originator",
        "scopes",
        "audience",
        "callback_ports",
    ];
    for (name, section) in top.named_sections("vendors", &known)? {
        if !valid_name(&name) {
            let expected =
                "lower-case letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first";
            return Err(section.wrong(
                "",
                format!("the vendor name {name:?} is not usable; expected {expected}"),
            ));
        }
        let vendor = vendor(&name, &section)?;
        config.vendors.insert(name, vendor);
    }
    Ok(())
}

fn vendor(name: &str, section: &Section<'_>) -> Result<Vendor, ConfigError> {
    let kind = section.text("kind", "\"openai\" or \"sandbox\"", |text| match text {
        "openai" => Some(Some(VendorKind::OpenAi)),
        "sandbox" => Some(Some(VendorKind::Sandbox)),
        "oidc" => Some(None),
        _ => None,
    })?;
    let mut vendor = match kind {
        Some(Some(VendorKind::OpenAi)) => Vendor::openai(),
        Some(Some(VendorKind::Sandbox)) => Vendor::sandbox(),
        Some(None) => {
            let message = "`kind = \"oidc\"` is not available in this version; expected \"openai\" or \"sandbox\"";
            return Err(section.wrong("kind", message));
        }
        None if name == "openai" => Vendor::openai(),
        None => {
            let message = format!(
                "[vendors.{name}] lacks its `kind`; expected kind = \"openai\" or \"sandbox\""
            );
            return Err(section.wrong("kind", message));
        }
    };
    let word = |key| section.text(key, "a text without spaces or special characters", header_word);
    if let Some(issuer) = section.told("issuer", BASE_URL, values::base_url)? {
        if vendor.kind == VendorKind::Sandbox {
            vendor.api_base =
                values::base_url(&format!("{}/backend-api", issuer.as_str().trim_end_matches('/')))
                    .map_err(|why| section.wrong("issuer", format!("`issuer` {why}")))?;
        }
        vendor.issuer = issuer;
    }
    if let Some(api_base) = section.told("api_base", BASE_URL, values::base_url)? {
        vendor.api_base = api_base;
    }
    vendor.client_id = word("client_id")?.unwrap_or(vendor.client_id);
    vendor.originator = word("originator")?.unwrap_or(vendor.originator);
    vendor.audience = section.text("audience", "a text", not_empty)?.or(vendor.audience);
    let scope = |item: &DeValue<'_>| item.as_str().and_then(header_word);
    vendor.scopes = section
        .list("scopes", "a list of scopes such as [\"openid\"]", scope)?
        .unwrap_or(vendor.scopes);
    let expected = "at least one port from 1 to 65535, as [1455, 1457]";
    // Any free port (0) is of use only where the issuer takes the callback on whichever it is.
    let any = vendor.kind == VendorKind::Sandbox;
    let port = |item: &DeValue<'_>| {
        integer(item).and_then(|n| u16::try_from(n).ok()).filter(|port| *port > 0 || any)
    };
    match section.list("callback_ports", expected, port)? {
        Some(ports) if ports.is_empty() => {
            return Err(section.wrong(
                "callback_ports",
                format!("`callback_ports`: found none, expected {expected}"),
            ));
        }
        Some(ports) => vendor.callback_ports = ports,
        None => {}
    }
    Ok(vendor)
}

/// Visible ASCII only: such a word can stand in a header or a query without doing harm.
fn header_word(text: &str) -> Option<String> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}
