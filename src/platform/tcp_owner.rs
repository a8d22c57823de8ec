//! Whose program is at the other end of a loopback connection.
//!
//! A TCP port on loopback is open to every user of the machine, and where a machine has several of them
//! an address that was meant for one is seen by all (in the list of processes, when a browser is started
//! with it). Linux tells the owner of each connection; elsewhere nothing is known, and nobody refused.

use std::net::SocketAddr;

/// Who is at the other end, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpOwner {
    /// This user.
    Uid(u32),
    /// Nobody who is still there.
    Gone,
    /// The system does not tell.
    Unknown,
}

/// Who holds the other end of the connection from `peer` to our `local`, both on this machine. Reads the
/// system's tables, which on a busy machine takes milliseconds: not for a runtime's own thread.
#[cfg(target_os = "linux")]
#[must_use]
pub fn tcp_owner(peer: SocketAddr, local: SocketAddr) -> TcpOwner {
    use std::fs::File;
    use std::io::BufReader;

    let mut told = TcpOwner::Unknown;
    // A program may well use an IPv6 socket for an IPv4 address.
    for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let Ok(file) = File::open(table) else { continue };
        match table::find(BufReader::new(file), peer, local) {
            Some(uid) => return TcpOwner::Uid(uid),
            None => told = TcpOwner::Gone,
        }
    }
    told
}

/// Who holds the other end of the connection from `peer` to our `local`: here nobody tells.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn tcp_owner(_peer: SocketAddr, _local: SocketAddr) -> TcpOwner {
    TcpOwner::Unknown
}

/// The tables of proc(5): a line for each socket, its own address first, then the other one, both as the
/// words that the kernel has them in.
#[cfg(target_os = "linux")]
mod table {
    use std::fmt::Write as _;
    use std::io::BufRead;
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    /// Lines read at most: more connections than the system gives ports to one address.
    const MOST_LINES: usize = 200_000;

    pub(super) fn find(table: impl BufRead, own: SocketAddr, other: SocketAddr) -> Option<u32> {
        let names = |address| [written(address, false), written(address, true)];
        let (own, other) = (names(own), names(other));
        for line in table.lines().skip(1).take(MOST_LINES) {
            let line = line.ok()?;
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (local, remote) = (fields.next()?, fields.next()?);
            if own.iter().zip(&other).any(|(own, other)| own == local && other == remote) {
                // State, queues, timer and retransmissions stand between.
                return fields.nth(4)?.parse().ok();
            }
        }
        None
    }

    /// `0100007F:2105`, or the same as an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
    pub(super) fn written(address: SocketAddr, as_v6: bool) -> String {
        let v6 = |ip: Ipv6Addr| ip.octets().to_vec();
        let octets = match (address.ip(), as_v6) {
            (IpAddr::V4(ip), false) => ip.octets().to_vec(),
            (IpAddr::V4(ip), true) => v6(ip.to_ipv6_mapped()),
            (IpAddr::V6(ip), _) => v6(ip),
        };
        let mut text = String::new();
        for word in octets.chunks_exact(4) {
            let word = u32::from_ne_bytes(word.try_into().expect("chunks of four"));
            let _ = write!(text, "{word:08X}");
        }
        let _ = write!(text, ":{:04X}", address.port());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::process::own_uid;
    use std::net::{TcpListener, TcpStream};

    #[test]
    #[cfg(all(target_os = "linux", target_endian = "little"))]
    fn an_address_is_written_as_the_kernel_does() {
        let address = "127.0.0.1:8453".parse().unwrap();
        assert_eq!(table::written(address, false), "0100007F:2105");
        assert_eq!(table::written(address, true), "0000000000000000FFFF00000100007F:2105");
    }

    #[test]
    fn a_connection_of_our_own_is_ours_and_one_that_is_not_there_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (_stream, peer) = listener.accept().unwrap();
        let told = tcp_owner(peer, local);
        if told != TcpOwner::Unknown {
            assert_eq!(told, TcpOwner::Uid(own_uid().unwrap()));
            // Only the other end's line counts, not our own.
            let nobody = SocketAddr::new(peer.ip(), 1);
            assert_eq!(tcp_owner(nobody, local), TcpOwner::Gone);
        }
        drop(client);
    }
}
