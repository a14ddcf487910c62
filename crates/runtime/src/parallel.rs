//! Items of a stream, worked on by several threads, results in the order of the stream.

use std::{
    iter::Fuse,
    panic::resume_unwind,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Applies `make` to every item of a stream, on `threads` threads. Of several failures that of the earliest item is returned.
///
/// Items are taken from the stream one at a time, when a thread is free: no more than `threads` are held at once.
pub(crate) fn map<T, U, E>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    make: impl Fn(usize, T) -> Result<U, E> + Sync,
) -> Result<Vec<U>, E>
where
    U: Send,
    E: Send,
{
    let stream = Mutex::new(items.fuse().enumerate());
    let failed = AtomicBool::new(false);
    let work = || {
        let mut made = Vec::new();
        while let Some((index, item)) = next(&stream) {
            let result = make(index, item);
            let stop = result.is_err();
            made.push((index, result));
            if stop {
                failed.store(true, Ordering::Relaxed);
            }
            if failed.load(Ordering::Relaxed) {
                break;
            }
        }
        made
    };
    let mut made = thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut made = work();
        for worker in workers {
            match worker.join() {
                Ok(more) => made.extend(more),
                Err(panic) => resume_unwind(panic),
            }
        }
        made
    });
    made.sort_unstable_by_key(|&(index, _)| index);
    made.into_iter().map(|(_, result)| result).collect()
}

/// The next item and its number.
fn next<I: Iterator>(stream: &Mutex<std::iter::Enumerate<Fuse<I>>>) -> Option<(usize, I::Item)> {
    stream.lock().unwrap_or_else(PoisonError::into_inner).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_for_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let squares = map(0..100, threads, |index, item: usize| {
                assert_eq!(index, item);
                Ok::<_, ()>(item * item)
            });
            assert_eq!(squares, Ok((0..100).map(|item| item * item).collect()));
        }
    }

    #[test]
    fn stops_at_a_failure() {
        let taken = std::sync::atomic::AtomicUsize::new(0);
        let items = (0..1_000_000).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        });
        let result = map(items, 2, |_, item| if item < 10 { Ok(item) } else { Err(item) });
        assert_eq!(result, Err(10));
        assert!(taken.into_inner() < 1_000_000);
    }
}
