//! The door as both ends see it. What is special to a system stands below.

use std::io::{Read as _, Write as _};
use std::thread::spawn;

use super::*;

const SHORT: Duration = Duration::from_millis(50);

/// A listener and a client's end, which has asked nothing yet.
async fn both_ends() -> (tempfile::TempDir, String, Stream, BlockingStream) {
    let dir = tempfile::tempdir().unwrap();
    let address = address_in(dir.path());
    let listener = Listener::bind(&address).unwrap();
    let connecting = spawn({
        let address = address.clone();
        move || connect_blocking(&address).unwrap()
    });
    let stream = listener.accept().await.unwrap();
    (dir, address, stream, connecting.join().unwrap())
}

#[tokio::test]
async fn each_end_knows_whose_the_other_is() {
    let (_dir, _, stream, client) = both_ends().await;
    let me =
        Credentials { pid: Some(std::process::id()), uid: crate::platform::process::own_uid() };
    assert_eq!(stream.credentials().unwrap(), me);
    assert_eq!(client.server().unwrap(), Server::Own);
}

#[tokio::test]
async fn where_somebody_listens_nobody_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let address = address_in(dir.path());
    let first = Listener::bind(&address).unwrap();
    let refused = Listener::bind(&address).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse, "{refused}");
    assert!(refused.to_string().starts_with(&address), "{refused}");
    drop(first);
    Listener::bind(&address).expect("it is free again");
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_given_up_and_the_next_gets_what_came() {
    let (_dir, _, mut stream, mut client) = both_ends().await;
    client.set_timeout(Some(SHORT)).unwrap();
    let mut byte = [0; 1];
    let late = client.read(&mut byte).unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::WouldBlock);
    stream.write_all(b"ab").await.unwrap();
    client.set_timeout(Some(LINGER)).unwrap();
    for expected in *b"ab" {
        assert_eq!((client.read(&mut byte).unwrap(), byte[0]), (1, expected));
    }
    client.set_timeout(None).unwrap();
    drop(stream);
    assert_eq!(client.read(&mut byte).unwrap(), 0, "an end is no error");
}

#[tokio::test]
async fn large_answers_come_whole_with_and_without_a_bound() {
    const BYTES: usize = 3_000_000;
    for bound in [None, Some(10 * LINGER)] {
        let (_dir, _, mut stream, mut client) = both_ends().await;
        let asking = spawn(move || {
            client.set_timeout(bound).unwrap();
            client.write_all(&vec![b'q'; BYTES]).unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            answer
        });
        let mut asked = vec![0; BYTES];
        stream.read_exact(&mut asked).await.unwrap();
        let answer: Vec<u8> = (0..BYTES).map(|at| at.to_le_bytes()[0]).collect();
        stream.write_all(&answer).await.unwrap();
        stream.flush().await.unwrap();
        drop(stream);
        let read = tokio::task::spawn_blocking(move || asking.join().unwrap()).await.unwrap();
        assert!(asked.iter().all(|byte| *byte == b'q') && read == answer);
    }
}

#[tokio::test]
async fn one_thread_writes_while_another_reads() {
    let (_dir, _, mut stream, mut client) = both_ends().await;
    let mut writer = client.another().unwrap();
    let reading = spawn(move || {
        let mut answer = [0; 2];
        client.read_exact(&mut answer).map(|()| answer)
    });
    let mut question = [0; 1];
    writer.write_all(b"?").unwrap();
    stream.read_exact(&mut question).await.unwrap();
    stream.write_all(b"ok").await.unwrap();
    let answer = tokio::task::spawn_blocking(move || reading.join().unwrap()).await.unwrap();
    assert_eq!((&question, &answer.unwrap()), (b"?", b"ok"));
}

#[tokio::test]
async fn a_client_that_gave_up_waiting_and_went_is_gone() {
    let (_dir, _, mut stream, mut client) = both_ends().await;
    client.set_timeout(Some(SHORT)).unwrap();
    assert!(client.read(&mut [0]).is_err());
    drop(client);
    let read = tokio::time::timeout(10 * LINGER, stream.read_u8()).await.expect("it is seen");
    assert!(read.is_err());
}

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
