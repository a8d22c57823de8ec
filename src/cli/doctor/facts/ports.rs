//! Who listens on the ports that we want: those of the browser's way back, and the loopback door's.

use std::net::{Ipv4Addr, SocketAddr};

use crate::config::Config;
use crate::platform::vitals::{self, Holder};

/// What a port is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Use {
    Callback,
    Door,
}

/// A port, and who has it.
#[derive(Debug)]
pub(in super::super) struct Port {
    pub(in super::super) wanted_for: Use,
    pub(in super::super) address: SocketAddr,
    pub(in super::super) holder: Option<Holder>,
}

pub(super) fn look(config: &Config) -> Vec<Port> {
    let default = config.vendors.get(&config.default_vendor);
    let callbacks = default.into_iter().flat_map(|vendor| &vendor.callback_ports);
    let callbacks =
        callbacks.map(|port| (Use::Callback, SocketAddr::from((Ipv4Addr::LOCALHOST, *port))));
    let door = config.http.listen.map(|address| (Use::Door, address));
    callbacks
        .chain(door)
        // Port 0 is any that is free.
        .filter(|(_, address)| address.port() != 0)
        .map(|(wanted_for, address)| Port { wanted_for, address, holder: vitals::holder(address) })
        .collect()
}
