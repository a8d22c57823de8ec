//! Pipes: whose they are, and what is no name of one.

use super::*;
use crate::platform::access_list::{own_sid, tests::written};

#[tokio::test]
async fn a_pipe_is_its_owners_alone_as_it_is_read_back() {
    let (_dir, _, stream, client) = both_ends().await;
    let own = own_sid().unwrap();
    let expected = format!("O:{own}D:P(A;;FA;;;{own})");
    assert_eq!(written(stream.0.pipe_for_tests()), expected);
    assert_eq!(written(client.pipe()), expected);
}

#[test]
fn another_users_pipe_is_told_from_ours_and_not_listened_on() {
    let dir = tempfile::tempdir().unwrap();
    let address = address_in(dir.path());
    let Some(_listening) = listening_as_another_user(&address) else {
        return println!(
            "SKIPPED: another_users_pipe_is_told_from_ours_and_not_listened_on (needs Wine)"
        );
    };
    let client = connect_blocking(&address).unwrap();
    assert_eq!(client.server().unwrap(), Server::Foreign(None));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async { Listener::bind(&address).unwrap_err() });
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{refused}");
}

#[tokio::test]
async fn clients_that_never_read_keep_no_other_from_seeing_the_end() {
    let mut silent = Vec::new();
    for _ in 0..3 {
        let (dir, address, mut stream, client) = both_ends().await;
        stream.write_all(b"nobody reads this").await.unwrap();
        silent.push((dir, address, client));
    }
    let (_dir, _, mut stream, mut client) = both_ends().await;
    stream.write_all(b"last words").await.unwrap();
    drop(stream);
    let reading = apart(move || {
        client.set_timeout(Some(10 * LINGER)).unwrap();
        let mut read = String::new();
        client.read_to_string(&mut read).map(|_| read)
    });
    assert_eq!(reading.await.unwrap(), "last words");
}

#[tokio::test]
async fn what_names_no_pipe_is_refused_and_no_file_is_opened_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("precious");
    std::fs::write(&file, "as it was").unwrap();
    let path = file.to_str().unwrap().to_owned();
    assert!(Listener::bind(&path).is_err());
    assert!(spawn(move || connect_blocking(&path).is_err()).join().unwrap());
    assert_eq!(std::fs::read(&file).unwrap(), b"as it was");
}

#[tokio::test]
async fn only_a_pipe_of_this_machine_is_listened_on_or_asked() {
    for other in [
        "",
        "plain",
        r"C:\x.sock",
        "/run/x.sock",
        r"\\server\pipe\x",
        r"\\.\pipe",
        r"\\.\pipe\",
        r"\\.\pipe\..\C:\x",
        r"\\.\pipe\a/../../C:/x",
        r"\\.\C:\x",
        "日本語",
    ] {
        let refused = Listener::bind(other).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{other:?}: {refused}");
        let refused = spawn(|| connect_blocking(other).unwrap_err()).join().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{other:?}: {refused}");
        assert!(refused.to_string().contains(r"\\.\pipe\NAME"), "{refused}");
    }
    let dir = tempfile::tempdir().unwrap();
    let odd = address_in(dir.path()).replace("pipe", "PIPE") + r"\café";
    assert!(Listener::bind(&odd).is_ok());
}
