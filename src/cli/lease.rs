//! `valetkey lease`: a key for the loopback door, for agents that want a bearer and a URL.
//!
//! Agents run it as their credential helper, so it prints the key alone, is silent on standard error
//! unless it fails, and prints nothing where it fails: an agent would send whatever it is given to
//! whoever listens on the port. That is why it looks at the listener first. The daemon's process
//! number is known from the socket, whose server the kernel vouches for; the listener has to show
//! the same. Without a runtime and without a library: agents wait for it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::rpc::{Info, LeaseParams, Leased};

use super::Done;
use super::args::Lease;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output;
use super::words::plain;

/// How long the listener may take to show itself: it is on this machine.
const LISTENER_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest answer that is read of it; a healthy one has some hundred bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

pub(super) fn run(context: &Context, verb: &Lease) -> Done {
    let params = LeaseParams { client: verb.client.clone(), ttl: verb.ttl };
    let params = to_raw_value(&params).map_err(io::Error::from)?;
    let mut client = context.client()?;
    let answer: Box<RawValue> = client.call_raw("lease", &params, &mut |_, _| {})?;
    let leased: Leased = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::new(Exit::Failed, format!("the daemon's answer is not a lease: {error}"))
    })?;
    let info: Info = client.call("info", &crate::rpc::Empty {})?;
    check(&leased, info.pid).map_err(|why| {
        let base_url = plain(&leased.base_url);
        Failure::new(
            Exit::Failed,
            format!("nothing was leased, because {base_url} is not our daemon's listener: {why}"),
        )
        .hint("`valetkey rpc info` says where it listens; after a change: valetkey rpc reload")
    })?;
    if verb.json {
        return Ok(output::json(&answer)?);
    }
    // The reason for this verb's being: the key is for whoever asked.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", leased.key.expose())?;
    Ok(stdout.flush()?)
}

/// Makes sure that process `pid` listens where the key is to be used; else says why it is not believed.
fn check(leased: &Leased, pid: u32) -> Result<(), String> {
    let address = address(&leased.base_url).ok_or("it is no address on this machine")?;
    let answer = ask(address, leased).map_err(|error| error.to_string())?;
    let seen = pid_in(&answer).ok_or("it does not answer as a daemon does")?;
    if seen == pid {
        return Ok(());
    }
    Err(format!("process {seen} listens there, and the daemon is process {pid}"))
}

/// The loopback address in a base URL, which is `http://ADDRESS:PORT/v1`.
fn address(base_url: &str) -> Option<SocketAddr> {
    let rest = base_url.strip_prefix("http://")?;
    let address: SocketAddr = rest.split('/').next()?.parse().ok()?;
    address.ip().is_loopback().then_some(address)
}

/// `GET /healthz`, within the time that there is.
fn ask(address: SocketAddr, leased: &Leased) -> io::Result<String> {
    let end = Instant::now() + LISTENER_TIME_MAX;
    let mut stream = TcpStream::connect_timeout(&address, LISTENER_TIME_MAX)?;
    stream.set_write_timeout(Some(LISTENER_TIME_MAX))?;
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        leased.key.expose()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    // Whole, by its own word, before the end of the connection: nothing is waited for in vain.
    while pid_in(&String::from_utf8_lossy(&answer)).is_none() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The process number in a whole and good answer.
fn pid_in(answer: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Health {
        pid: u32,
    }
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    if !status.starts_with("200") {
        return None;
    }
    // The body may be chunked (RFC 9112 section 7.1); what is looked for is one small object in it.
    let object = body.get(body.find('{')?..=body.rfind('}')?)?;
    serde_json::from_str::<Health>(object).ok().map(|health| health.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn leased(base_url: &str) -> Leased {
        let lease = serde_json::json!({"key": "vk_x", "expires_at": 1, "base_url": base_url});
        serde_json::from_value(lease).expect("a lease")
    }

    /// Answers one request with `answer`, and gives what was asked.
    fn listener(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read") == 1 {
                asked.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).expect("written");
            String::from_utf8(asked).expect("text")
        });
        (address, thread)
    }

    #[test]
    fn only_addresses_of_this_machine_are_asked() {
        assert!(address("http://127.0.0.1:8459/v1").is_some());
        assert!(address("http://[::1]:8459/v1").is_some());
        for wrong in
            ["http://192.0.2.1:80/v1", "https://127.0.0.1:1/v1", "http://localhost:1/v1", ""]
        {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_listener_that_is_the_daemon_is_believed() {
        let (address, asked) = listener(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1a\r\n{\"status\":\"ok\",\"pid\":4711}\r\n0\r\n\r\n",
        );
        assert_eq!(check(&leased(&format!("http://{address}/v1")), 4711), Ok(()));
        let asked = asked.join().expect("it ends");
        assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nAuthorization: Bearer vk_x\r\n"), "{asked}");
    }

    #[test]
    fn a_listener_that_is_another_is_not() {
        let good = "HTTP/1.1 200 OK\r\n\r\n{\"pid\":4712}";
        let refusing = "HTTP/1.1 401 Unauthorized\r\n\r\n{\"pid\":4711}";
        let foreign = "HTTP/1.1 200 OK\r\n\r\n}<html>{</html>";
        for (answer, word) in [
            (good, "4712"),
            (refusing, "as a daemon does"),
            (foreign, "as a daemon does"),
            ("", "as a daemon does"),
        ] {
            let (address, asked) = listener(answer);
            let why = check(&leased(&format!("http://{address}/v1")), 4711).expect_err(answer);
            assert!(why.contains(word), "{why}");
            asked.join().expect("it ends");
        }
    }

    #[test]
    fn a_port_where_nobody_listens_leases_nothing() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        assert!(check(&leased(&format!("http://{free}/v1")), 1).is_err());
    }
}
