//! Sockets as files: modes, what is left behind, and what is in the way.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_socket_and_its_folder_are_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("run/here/v.sock");
    let listener = Listener::bind(socket.to_str().unwrap()).unwrap();
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    drop(listener);
    assert!(!socket.exists(), "an orderly end leaves no stale socket");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_anything_else_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("v.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    Listener::bind(socket.to_str().unwrap()).unwrap();
    std::fs::write(&socket, "precious").unwrap();
    let error = Listener::bind(socket.to_str().unwrap()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
}

#[tokio::test]
async fn a_socket_that_cannot_be_told_to_be_stale_stays() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("v.sock");
    // Another program's, of a kind that refuses our way of speaking while it is served.
    let served = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let error = Listener::bind(socket.to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("cannot be told"), "{error}");
    let speaker = std::os::unix::net::UnixDatagram::unbound().unwrap();
    speaker.send_to(b"still here", &socket).unwrap();
    drop(served);
}

#[tokio::test]
async fn a_daemon_that_ends_leaves_the_socket_of_the_one_that_took_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("v.sock");
    let first = Listener::bind(socket.to_str().unwrap()).unwrap();
    // As systemd does with what is in its way.
    std::fs::remove_file(&socket).unwrap();
    let second = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    drop(first);
    assert!(connect_blocking(socket.to_str().unwrap()).is_ok(), "it is served as before");
    drop(second);
}

#[tokio::test]
async fn a_path_too_long_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("x".repeat(120));
    let error = Listener::bind(socket.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("VALETKEY_SOCKET"), "{error}");
}

#[tokio::test]
async fn an_inherited_socket_accepts_and_its_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("v.sock");
    let opened = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let listener = Listener::inherited(opened.into()).unwrap();
    let client = connect_blocking(socket.to_str().unwrap()).unwrap();
    let stream = listener.accept().await.unwrap();
    assert!(stream.credentials().is_ok() && client.server().is_ok());
    drop(listener);
    assert!(socket.exists());
}
