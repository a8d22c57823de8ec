//! One question at a time: who wants to ask what is being asked already waits for that answer.
//!
//! A daemon that many agents share would otherwise put the same question to the API as often as it has
//! clients, at the very moment when the answer is missing.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Questions of one kind about one thing, of which one is in flight.
#[derive(Debug)]
pub(super) struct SingleFlight<T> {
    turn: tokio::sync::Mutex<()>,
    landed: Mutex<Landed<T>>,
}

/// How many flights have landed, and what the last of them brought.
#[derive(Debug)]
struct Landed<T> {
    count: u64,
    last: Option<T>,
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            landed: Mutex::new(Landed { count: 0, last: None }),
        }
    }
}

impl<T: Clone> SingleFlight<T> {
    /// Asks, or waits for the answer to the same question of somebody who asked earlier. Where that
    /// caller goes away before it has the answer, the next one asks in its place.
    pub(super) async fn ask(&self, question: impl Future<Output = T>) -> T {
        let before = self.landed().count;
        let _turn = self.turn.lock().await;
        {
            let landed = self.landed();
            if landed.count != before
                && let Some(answer) = &landed.last
            {
                return answer.clone();
            }
        }
        let answer = question.await;
        let mut landed = self.landed();
        *landed = Landed { count: landed.count.wrapping_add(1), last: Some(answer.clone()) };
        answer
    }

    fn landed(&self) -> MutexGuard<'_, Landed<T>> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;
    use tokio::sync::Notify;

    /// Longer than anything here takes; a question that nobody answers is a defect, not a long test.
    async fn bounded<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), work).await.expect("everybody is answered")
    }

    #[tokio::test]
    async fn those_who_ask_meanwhile_share_the_answer_and_later_ones_ask_anew() {
        let (flight, asked, go) = (SingleFlight::default(), Cell::new(0), Notify::new());
        let question = || async {
            asked.set(asked.get() + 1);
            go.notified().await;
            asked.get()
        };
        let all = async {
            tokio::join!(
                flight.ask(question()),
                flight.ask(question()),
                flight.ask(question()),
                async { go.notify_one() },
            )
        };
        let (first, second, third, ()) = bounded(all).await;
        assert_eq!((first, second, third), (1, 1, 1));
        go.notify_one();
        assert_eq!(bounded(flight.ask(question())).await, 2);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_question_to_the_next() {
        let (flight, go) = (SingleFlight::default(), Notify::new());
        let mut first = Box::pin(flight.ask(std::future::pending()));
        let mut second = Box::pin(flight.ask(async {
            go.notified().await;
            2
        }));
        tokio::select! {
            biased;
            _ = &mut first => unreachable!("it is never answered"),
            _ = &mut second => unreachable!("it is not its turn"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        go.notify_one();
        assert_eq!(bounded(second).await, 2);
    }
}
