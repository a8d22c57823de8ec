//! Whether the vendors can be reached from here, all of them asked at once and without a token.

use crate::clock::Clock;
use crate::config::{Config, Vendor};
use crate::vendor::reach::{self, Reached};

use super::PATIENCE;

/// Which half of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Half {
    Issuer,
    Api,
}

/// What came of asking one.
#[derive(Debug)]
pub(in super::super) struct Reach {
    pub(in super::super) half: Half,
    /// The host, with its port where it has one of its own.
    pub(in super::super) host: String,
    pub(in super::super) outcome: Result<Reached, String>,
}

/// Asks the default vendor, and every other one that the person has set up.
pub(super) fn ask(config: &Config) -> Vec<Reach> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = built else { return Vec::new() };
    let reaches = runtime.block_on(async {
        let asked: Vec<_> = wanted(config)
            .into_iter()
            .map(|(half, vendor)| {
                let vendor = vendor.clone();
                tokio::spawn(async move { one(half, &vendor).await })
            })
            .collect();
        let mut reaches = Vec::new();
        for reach in asked {
            // One that panicked has nothing to tell.
            reaches.extend(reach.await.ok());
        }
        reaches
    });
    // A look-up of a name that hangs in the system's library must not hold up the answers.
    runtime.shutdown_background();
    reaches
}

/// The built-in vendor is of no interest to somebody who uses another one only.
fn wanted(config: &Config) -> Vec<(Half, &Vendor)> {
    let ours = |(name, vendor): &(&String, &Vendor)| {
        **name == config.default_vendor || **vendor != Vendor::openai()
    };
    let vendors: Vec<&Vendor> = config.vendors.iter().filter(ours).map(|(_, v)| v).collect();
    let mut wanted: Vec<(Half, &Vendor)> = Vec::new();
    for half in [Half::Issuer, Half::Api] {
        for vendor in &vendors {
            let address = |vendor: &Vendor| match half {
                Half::Issuer => vendor.issuer.clone(),
                Half::Api => vendor.api_base.clone(),
            };
            let known = |(h, v): &(Half, &Vendor)| *h == half && address(v) == address(vendor);
            if !wanted.iter().any(known) {
                wanted.push((half, vendor));
            }
        }
    }
    wanted
}

async fn one(half: Half, vendor: &Vendor) -> Reach {
    let (url, outcome) = match half {
        Half::Issuer => (&vendor.issuer, reach::issuer(vendor, &Clock::System, PATIENCE).await),
        Half::Api => (&vendor.api_base, reach::api(vendor, &Clock::System, PATIENCE).await),
    };
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Reach { half, host, outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(config: &str) -> Vec<(Half, String)> {
        let config = Config::parse(config, std::path::Path::new("c")).expect("it parses");
        let wanted = wanted(&config).into_iter();
        wanted.map(|(half, vendor)| (half, vendor.issuer.to_string())).collect()
    }

    #[test]
    fn each_vendor_in_use_is_asked_once() {
        let openai = "https://auth.openai.com/".to_owned();
        assert_eq!(halves(""), [(Half::Issuer, openai.clone()), (Half::Api, openai.clone())]);
        let sandbox = "default_vendor = \"play\"\n[vendors.play]\nkind = \"sandbox\"\n";
        let url = "http://127.0.0.1:8455/".to_owned();
        assert_eq!(halves(sandbox), [(Half::Issuer, url.clone()), (Half::Api, url.clone())]);
        let twice = "[vendors.a]\nkind = \"sandbox\"\n[vendors.b]\nkind = \"sandbox\"\n";
        assert_eq!(halves(twice).len(), 4, "openai and one sandbox");
    }
}
