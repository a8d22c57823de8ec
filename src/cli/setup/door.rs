//! The loopback door that agents come through: where it is, and how it comes to be open.
//!
//! Programs that take a URL need `http.listen`. Setup turns it on in our own configuration with the same
//! care that an agent's gets, has a running daemon read that again, and looks whether the door is open
//! before any agent is sent there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::config::Config;
use crate::platform::paths::Paths;
use crate::rpc::client::{CallError, Client};
use crate::rpc::{Empty, Info};

use super::super::connect::Context;
use super::super::failure::{Exit, Failure};
use super::agent::{Edit, Plugged, Refused, Replaced, Wants};
use super::patch::{Change, Target};
use super::shelf::{DOOR, Shelf};
use super::toml_text::{TomlText, quoted};

/// How long the daemon may take to answer: it has all of it in memory or on its disk. One that hangs must
/// not leave a file half plugged in.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The usual port, which the documentation names.
const PORT: u16 = 8459;

/// How many ports from there on are tried where others listen already.
const PORTS_TRIED: u16 = 20;

const SECTION: &str = "http";
const KEY: &str = "listen";
/// Where it is remembered that the section's header is ours, too.
const HEADER: &str = "header";
/// Where the address is remembered that was set.
const SET: &str = "set";

/// The setting, as an edit of our own configuration.
pub(super) struct Listen(pub(super) SocketAddr);

impl Edit for Listen {
    fn plug(&self, text: &str, _wants: &Wants) -> Result<Plugged, Refused> {
        let now = TomlText::parse(text)?;
        let mut replaced = Replaced::from([(SET.to_owned(), self.0.to_string())]);
        let value = quoted(&self.0.to_string());
        let text = if now.get(&[SECTION, KEY]).is_some() {
            text.to_owned()
        } else if now.get(&[SECTION]).is_some() {
            now.with_value(SECTION, KEY, &value)?
        } else {
            replaced.insert(HEADER.to_owned(), String::new());
            now.with_block(&format!("[{SECTION}]\n{KEY} = {value}\n"))
        };
        Ok(Plugged { text, replaced })
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        let now = TomlText::parse(text)?;
        if now.text_of(&[SECTION, KEY]) != Some(&self.0.to_string()) {
            return Ok(text.to_owned());
        }
        let left = now.without_line(&[SECTION, KEY]);
        let now = TomlText::parse(&left)?;
        let is_empty = now
            .get(&[SECTION])
            .and_then(|item| item.as_table_like())
            .is_some_and(|table| table.is_empty());
        if replaced.contains_key(HEADER) && is_empty {
            now.without_tables(&[SECTION])
        } else {
            Ok(left)
        }
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        Ok(TomlText::parse(text)?.get(&[SECTION, KEY]).is_some())
    }
}

/// Where the door is or will be.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// How it comes to be there; nothing where our configuration or the daemon has it already.
    pub(super) change: Option<Change>,
    config_file: PathBuf,
}

impl Door {
    /// Looks where the door is, in the daemon that runs, if any, and in our configuration.
    pub(super) fn look(
        paths: &Paths,
        shelf: &Shelf,
        client: Option<&mut Client>,
        wants: &Wants,
    ) -> Result<Self, Failure> {
        let config_file = paths.config_file.clone();
        let config = Config::load(&config_file)?;
        let open = client.map(running).transpose()?.flatten();
        if let Some(address) = config.http.listen.filter(|address| address.port() != 0).or(open) {
            return Ok(Self { address, change: None, config_file });
        }
        let address = free_address()?;
        let target = Target::look(&config_file)?;
        let change = Change::to_plug(shelf, DOOR, target, &Listen(address), wants)?;
        Ok(Self { address, change, config_file })
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Opens it: writes the setting, and has a running daemon follow it. A door that cannot be opened is
    /// taken out of the configuration again.
    pub(super) fn open(self, shelf: &Shelf, client: Option<&mut Client>) -> Result<(), Failure> {
        let Self { address, change, config_file } = self;
        let written = change.is_some();
        if let Some(change) = change {
            change.make(shelf, DOOR, false)?;
        }
        let Some(client) = client else { return Ok(()) };
        if running(client)? == Some(address) {
            return Ok(());
        }
        let why = match reload(client).and_then(|()| running(client)) {
            Ok(Some(open)) if open == address => return Ok(()),
            Ok(_) => Failure::new(
                Exit::Failed,
                format!("the daemon that runs could not open its door at {address}"),
            )
            .hint(format!(
                "its log says why; it may run with another configuration than {}",
                config_file.display()
            )),
            Err(failure) => failure,
        };
        if written {
            close(shelf, address, &config_file)?;
            // Best effort: the failure to be told is the first one.
            let _ = reload(client);
        }
        Err(why)
    }
}

/// The change that takes the setting out again, where setup made it and it is as it was made.
pub(super) fn close_ours(paths: &Paths, shelf: &Shelf) -> Result<Option<Change>, Failure> {
    let Some(record) = shelf.record(DOOR)? else { return Ok(None) };
    let set = record.replaced.get(SET).and_then(|address| address.parse().ok());
    let now = Config::load(&record.file)?.http.listen;
    let Some(address) = now.filter(|now| Some(*now) == set) else {
        // The person's own by now.
        shelf.forget(DOOR)?;
        return Ok(None);
    };
    Change::to_unplug(shelf, DOOR, &paths.config_file, &Listen(address))
}

fn close(shelf: &Shelf, address: SocketAddr, config_file: &std::path::Path) -> Result<(), Failure> {
    match Change::to_unplug(shelf, DOOR, config_file, &Listen(address))? {
        Some(change) => change.make(shelf, DOOR, false),
        None => Ok(()),
    }
}

/// Has a running daemon read its configuration again.
pub(super) fn reload(client: &mut Client) -> Result<(), Failure> {
    let done: Result<Value, CallError> = client.call("reload", &Empty {});
    Ok(done.map(|_| ())?)
}

/// Where the door of the daemon that runs is open.
fn running(client: &mut Client) -> Result<Option<SocketAddr>, Failure> {
    let info: Info = client.call("info", &Empty {})?;
    Ok(info.http.and_then(|address| address.parse().ok()))
}

/// A connection to the daemon that runs; nothing where none does.
pub(super) fn daemon(context: &Context) -> Result<Option<Client>, Failure> {
    Ok(Client::connect(&context.paths()?.socket).ok().map(in_time))
}

/// The connection, which waits no longer than anything asked here may take.
pub(super) fn in_time(mut client: Client) -> Client {
    client.set_timeout(Some(ANSWER_TIME_MAX));
    client
}

fn free_address() -> Result<SocketAddr, Failure> {
    let address = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let mut addresses = (PORT..PORT + PORTS_TRIED).map(address);
    addresses.find(|address| TcpListener::bind(address).is_ok()).ok_or_else(|| {
        let last = PORT + PORTS_TRIED - 1;
        Failure::new(Exit::Failed, format!("every port from {PORT} to {last} is taken"))
            .hint("choose one: set listen = \"127.0.0.1:PORT\" under [http] in the configuration")
    })
}

#[cfg(test)]
mod tests {
    use super::super::agent::tests::wants;
    use super::super::hunks;
    use super::*;

    fn listen() -> Listen {
        Listen("127.0.0.1:8459".parse().unwrap())
    }

    #[test]
    fn the_setting_goes_where_its_section_is_or_gets_one_and_comes_out_again() {
        let section = "[http]\nlisten = \"127.0.0.1:8459\"\n";
        for (before, after) in [
            ("", section.to_owned()),
            ("[log]\nlevel = \"info\"\n", format!("[log]\nlevel = \"info\"\n\n{section}")),
            (
                "[http] # the door\nallow_hosts = [\n \"x\",\n] # y\n\n[log]\n",
                "[http] # the door\nallow_hosts = [\n \"x\",\n] # y\nlisten = \"127.0.0.1:8459\"\n\n[log]\n".to_owned(),
            ),
            ("[http]", section.to_owned()),
        ] {
            let plugged = listen().plug(before, &wants()).unwrap();
            assert_eq!(plugged.text, after);
            let hunks = hunks::between(before, &plugged.text);
            assert_eq!(hunks::back(&plugged.text, &hunks).as_deref(), Some(before));
            let left = listen().unplug(&plugged.text, &plugged.replaced).unwrap();
            assert_eq!(left.trim_end(), before.trim_end());
        }
    }

    #[test]
    fn a_door_of_the_persons_is_not_ours_to_move_or_to_close() {
        let own = "[http]\nlisten = \"127.0.0.1:9000\"\n";
        assert_eq!(listen().plug(own, &wants()).unwrap().text, own);
        assert_eq!(listen().unplug(own, &Replaced::new()).unwrap(), own);
        let inline = "http = { allow_hosts = [] }\n";
        assert!(matches!(listen().plug(inline, &wants()), Err(Refused::Shape(_))));
    }
}
