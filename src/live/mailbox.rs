//! A bounded queue for one reader. It takes memory only while something waits in it, and who is
//! too slow for it is told so instead of being waited for.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::Notify;

/// How many letters may wait. One more empties the box: the reader has to look elsewhere then.
pub const CAPACITY: usize = 1024;

/// The room that an empty box keeps.
const KEPT: usize = 16;

/// Some letters were dropped, because the reader was too slow for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged;

/// The queue.
#[derive(Debug)]
pub struct Mailbox<T> {
    inside: Mutex<Inside<T>>,
    filled: Notify,
}

#[derive(Debug)]
struct Inside<T> {
    waiting: VecDeque<T>,
    lagged: bool,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            inside: Mutex::new(Inside {
                waiting: VecDeque::new(),
                lagged: false,
            }),
            filled: Notify::new(),
        }
    }
}

impl<T> Mailbox<T> {
    /// Puts a letter in, unless the last one that waits makes it needless.
    pub fn put(&self, letter: T, needless: impl FnOnce(&T, &T) -> bool) {
        let mut inside = self.inside.lock().expect("no holder of this lock panics");
        if let Some(last) = inside.waiting.back()
            && needless(last, &letter)
        {
            return;
        }
        if inside.waiting.len() == CAPACITY {
            inside.waiting = VecDeque::new();
            inside.lagged = true;
        }
        inside.waiting.push_back(letter);
        drop(inside);
        self.filled.notify_one();
    }

    /// Takes the next letter, or waits for one. For one reader; dropped while it waits, it has
    /// taken nothing.
    pub async fn take(&self) -> Result<T, Lagged> {
        loop {
            if let Some(taken) = self.try_take() {
                return taken;
            }
            // What was put in since has left a permit: this does not sleep over it.
            self.filled.notified().await;
        }
    }

    /// Takes the next letter if there is one of which this is true.
    pub fn take_if(&self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut inside = self.inside.lock().expect("no holder of this lock panics");
        if inside.lagged || !inside.waiting.front().is_some_and(wanted) {
            return None;
        }
        inside.waiting.pop_front()
    }

    /// Takes the next letter if there is one.
    pub fn try_take(&self) -> Option<Result<T, Lagged>> {
        let mut inside = self.inside.lock().expect("no holder of this lock panics");
        if std::mem::take(&mut inside.lagged) {
            return Some(Err(Lagged));
        }
        let letter = inside.waiting.pop_front()?;
        if inside.waiting.is_empty() && inside.waiting.capacity() > KEPT {
            inside.waiting = VecDeque::new();
        }
        Some(Ok(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(_: &usize, _: &usize) -> bool {
        false
    }

    #[tokio::test]
    async fn letters_come_in_order() {
        let mailbox = Mailbox::default();
        for number in 0..CAPACITY {
            mailbox.put(number, never);
        }
        for number in 0..CAPACITY {
            assert_eq!(mailbox.take().await, Ok(number));
        }
    }

    #[tokio::test]
    async fn one_letter_too_many_is_a_lag_and_then_what_came_later() {
        let mailbox = Mailbox::default();
        for number in 0..CAPACITY + 2 {
            mailbox.put(number, never);
        }
        assert_eq!(mailbox.take().await, Err(Lagged));
        assert_eq!(mailbox.take().await, Ok(CAPACITY));
        assert_eq!(mailbox.take().await, Ok(CAPACITY + 1));
    }

    #[tokio::test]
    async fn a_letter_that_says_nothing_new_is_left_out() {
        let mailbox = Mailbox::default();
        for number in [7, 7, 8, 8, 7] {
            mailbox.put(number, |last, new| last == new);
        }
        for number in [7, 8, 7] {
            assert_eq!(mailbox.take().await, Ok(number));
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let mailbox = std::sync::Arc::new(Mailbox::default());
        let reader = tokio::spawn({
            let mailbox = std::sync::Arc::clone(&mailbox);
            async move { mailbox.take().await }
        });
        tokio::task::yield_now().await;
        mailbox.put(1, never);
        assert_eq!(reader.await.expect("the reader ends"), Ok(1));
    }

    #[test]
    fn an_empty_box_is_small() {
        // And nothing is on the heap: a queue that never held anything takes no memory there.
        assert!(size_of::<Mailbox<crate::live::bus::Signal>>() <= 128);
    }
}
