//! Who listens on a port, by the kernel's tables in `/proc` (proc_pid_net(5), proc_pid_fd(5)).
//!
//! The table of listeners is for everybody to read and names user and inode; which process has that inode
//! open can be seen of one's own processes only. The tables are read as text: the netlink interface says
//! the same and would need a crate.

use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::Holder;

/// The most that is read of a table: some ten thousand connections.
const TABLE_BYTES_MAX: u64 = 2 << 20;

/// The processes that are looked at.
const PROCESSES_MAX: usize = 32_768;

/// `TCP_LISTEN`, as the tables write it.
const LISTENING: &str = "0A";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Listening {
    address: SocketAddr,
    uid: u32,
    inode: u64,
}

/// Who listens where a listener at `wanted` would.
///
/// # Errors
/// Where there is no such table.
pub(super) fn holder(wanted: SocketAddr) -> io::Result<Option<Holder>> {
    let mut all = rows(&table("/proc/net/tcp")?);
    // A kernel without IPv6 has no such table, and no such listeners.
    all.extend(table("/proc/net/tcp6").map(|text| rows(&text)).unwrap_or_default());
    let found = all.into_iter().find(|row| collide(row.address, wanted));
    Ok(found.map(|row| {
        let pid = process_with(row.inode);
        Holder { pid, program: pid.and_then(program), uid: Some(row.uid) }
    }))
}

fn table(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(TABLE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether one listener keeps the other from its port: the same address, or one of them is every address.
fn collide(held: SocketAddr, wanted: SocketAddr) -> bool {
    let every = |address: SocketAddr| address.ip().is_unspecified();
    held.port() == wanted.port() && (held.ip() == wanted.ip() || every(held) || every(wanted))
}

fn rows(table: &str) -> Vec<Listening> {
    table.lines().skip(1).filter_map(row).collect()
}

/// `sl local_address rem_address st queues timer retransmits uid timeout inode …`
fn row(line: &str) -> Option<Listening> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTENING {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Listening {
        address,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// The kernel prints an address as one number of 32 bits, or four, each in this machine's byte order.
fn ip_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            // A listener of IPv6 may hold an IPv4 address in it.
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The process that has this socket open, if it is ours to see.
fn process_with(inode: u64) -> Option<u32> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten().take(PROCESSES_MAX);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| {
        std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|files| {
            files.flatten().any(|file| {
                std::fs::read_link(file.path()).is_ok_and(|to| to == Path::new(&wanted))
            })
        })
    })
}

fn program(pid: u32) -> Option<String> {
    if let Some(path) = crate::platform::process::exe(pid) {
        let name = path.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
        return Some(name.to_owned()).filter(|name| !name.is_empty());
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn listeners_are_read_and_connections_are_not() {
        // As a little-endian machine prints 127.0.0.1.
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        let table = format!(
            "{HEAD}   0: {loopback}:05AF 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 52187 1 0 100 0 0 10 0\n   1: {loopback}:05AF {loopback}:D431 01 00000000:00000000 00:00000000 00000000  1000        0 52188 1 0 20 4 30 10 -1\n"
        );
        let row = Listening { address: "127.0.0.1:1455".parse().unwrap(), uid: 1000, inode: 52187 };
        assert_eq!(rows(&table), [row]);
    }

    #[test]
    fn addresses_of_both_kinds_are_read() {
        let words = [
            0x0000_0000,
            0,
            u32::from_ne_bytes([0, 0, 0xff, 0xff]),
            u32::from_ne_bytes([127, 0, 0, 1]),
        ];
        let mapped: String = words.iter().map(|word: &u32| format!("{word:08X}")).collect();
        assert_eq!(ip_of(&mapped), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(ip_of(&"0".repeat(32)), Some("::".parse().unwrap()));
        for wrong in ["", "0", "0100007G", "ääää"] {
            assert_eq!(ip_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_is_in_the_way_and_who_is_not() {
        let collide =
            |held: &str, wanted: &str| collide(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(collide("127.0.0.1:1455", "127.0.0.1:1455"));
        assert!(collide("0.0.0.0:1455", "127.0.0.1:1455"));
        assert!(collide("[::]:1455", "127.0.0.1:1455"));
        assert!(!collide("192.0.2.1:1455", "127.0.0.1:1455"));
        assert!(!collide("127.0.0.1:1456", "127.0.0.1:1455"));
    }

    proptest! {
        #[test]
        fn no_table_makes_it_panic(text in "(\\PC|\\n){0,200}") {
            let _ = rows(&text);
            let _ = ip_of(&text);
        }
    }
}
