//! Ports that others have, disks without room, and programs that go away.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use super::{Report, healthy};
#[cfg(unix)]
use crate::storage::disks::{Mounted, fill, may_mount};
use crate::support::{Daemon, Home, Sandbox, ended};

/// The command that ends whoever has a port, which is this process; elsewhere it is not told.
fn ours(linux: &str, elsewhere: &str) -> String {
    let pid = std::process::id().to_string();
    if cfg!(target_os = "linux") { linux.replace("PID", &pid) } else { elsewhere.to_owned() }
}

fn with_callback_ports(sandbox: &Sandbox, ports: &[u16]) -> Home {
    let config = Home::config_for(sandbox);
    Home::with_config(&config.replace("[0]", &format!("{ports:?}")))
}

#[test]
fn callback_ports_that_another_process_has() {
    let sandbox = Sandbox::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = Report::of(&with_callback_ports(&sandbox, &[port, free]), 0);
    let words = format!("port {port} is taken by {}", ours("process PID (", "another process"));
    report.says('!', "callback", &words, &ours("kill PID", "valetkey login --device"));
    report.nothing_but(&["daemon", "callback"]);
    let report = Report::of(&with_callback_ports(&sandbox, &[port]), 1);
    report.says('✗', "callback", "and no other is free", "valetkey login --device");
    drop(taken);
    let report = Report::of(&with_callback_ports(&sandbox, &[port]), 0);
    assert!(report.line('✓', "callback").message.contains(&port.to_string()));
}

#[test]
fn a_door_that_another_process_keeps_shut() {
    let sandbox = Sandbox::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = format!("[http]\nlisten = \"{address}\"\n");
    let daemon = Daemon::start(Home::new(&sandbox).and_config(&listen));
    daemon.sign_in(&sandbox);
    let report = Report::of(&daemon, 1);
    let look = if cfg!(windows) {
        format!("netstat -ano -p TCP | findstr :{}", address.port())
    } else {
        format!("sudo lsof -nP -iTCP:{} -sTCP:LISTEN", address.port())
    };
    let fix = ours("kill PID && valetkey rpc reload", &look);
    report.says('✗', "door", &format!("has {address}"), &fix);
    report.nothing_but(&["door"]);
    drop(taken);
    let report = Report::of(&daemon, 1);
    report.says('✗', "door", "the port is free", "valetkey rpc reload");
    daemon.ok("reload", json!({}));
    let report = Report::of(&daemon, 0);
    assert_eq!(report.line('✓', "door").message, format!("the daemon listens on {address}"));
    report.nothing_but(&[]);
    daemon.write_config(&Home::config_for(&sandbox));
    let report = Report::of(&daemon, 0);
    report.says('!', "door", "asks for none: it was not told", "valetkey rpc reload");
}

// A file system is mounted for it.
#[cfg(unix)]
#[test]
fn a_disk_without_room() {
    if !may_mount("a_disk_without_room") {
        return;
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let _disk = Mounted::small(&home.data());
    let daemon = home.serve();
    daemon.sign_in(&sandbox);
    fill(&daemon.data());
    let report = Report::of(&daemon, 1);
    let fix = format!("df -h {}", daemon.data().join("credentials").display());
    report.says('✗', "disk", "0 KiB are left where the credentials are kept", &fix);
    report.line('✓', "disk");
    report.nothing_but(&["disk"]);
}

// A file system is mounted for it.
#[cfg(unix)]
#[test]
fn a_disk_that_takes_no_writes() {
    if !may_mount("a_disk_that_takes_no_writes") {
        return;
    }
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let credentials = daemon.data().join("credentials");
    let mounted = Mounted::read_only(&credentials);
    let report = Report::of(&daemon, 1);
    let fix = format!("df -h {}", credentials.display());
    report.says('✗', "disk", "nothing can be written", &fix);
    report.nothing_but(&["disk"]);
    drop(mounted);
    Report::of(&daemon, 0).nothing_but(&[]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = daemon.command(arguments);
        let mut child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let status = ended(&mut child);
        let mut said = String::new();
        child.stderr.unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    }
}
