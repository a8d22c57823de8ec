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

/// What a client does, who has no runtime.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(|| spawn(work).join().unwrap()).await.unwrap()
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
    let (client, late) = apart(move || {
        client.set_timeout(Some(SHORT)).unwrap();
        let late = client.read(&mut [0]).unwrap_err();
        (client, late)
    })
    .await;
    assert_eq!(late.kind(), io::ErrorKind::WouldBlock);
    stream.write_all(b"ab").await.unwrap();
    let read = async |mut client: BlockingStream, bound| {
        apart(move || {
            client.set_timeout(bound).unwrap();
            let mut byte = [0];
            let count = client.read(&mut byte).unwrap();
            (client, byte[..count].to_vec())
        })
        .await
    };
    let (client, first) = read(client, Some(10 * LINGER)).await;
    let (client, second) = read(client, None).await;
    assert_eq!((first, second), (b"a".to_vec(), b"b".to_vec()));
    drop(stream);
    let (_client, end) = read(client, None).await;
    assert!(end.is_empty(), "an end is no error");
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
        let read = apart(move || asking.join().unwrap()).await;
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
    apart(move || writer.write_all(b"?")).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'?');
    stream.write_all(b"ok").await.unwrap();
    let answer = apart(move || reading.join().unwrap()).await;
    assert_eq!(&answer.unwrap(), b"ok");
}

#[tokio::test]
async fn a_client_that_gave_up_waiting_and_went_is_gone() {
    let (_dir, _, mut stream, mut client) = both_ends().await;
    apart(move || {
        client.set_timeout(Some(SHORT)).unwrap();
        assert!(client.read(&mut [0]).is_err());
    })
    .await;
    let read = tokio::time::timeout(10 * LINGER, stream.read_u8()).await.expect("it is seen");
    assert!(read.is_err());
}

#[tokio::test]
async fn a_client_that_came_and_went_keeps_no_other_out() {
    let dir = tempfile::tempdir().unwrap();
    let address = address_in(dir.path());
    let listener = Listener::bind(&address).unwrap();
    let connecting = address.clone();
    apart(move || drop(connect_blocking(&connecting).unwrap())).await;
    let speaking = spawn(move || connect_blocking(&address).unwrap().write_all(b"!"));
    let hearing = async {
        loop {
            // What became of the first one is not asked.
            let Ok(mut stream) = listener.accept().await else { continue };
            if stream.read_u8().await.is_ok_and(|byte| byte == b'!') {
                return;
            }
        }
    };
    tokio::time::timeout(10 * LINGER, hearing).await.expect("the second is heard");
    apart(move || speaking.join().unwrap()).await.unwrap();
}

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
