//! Work on several things at once.

use anyhow::{Result, anyhow};
use std::sync::Mutex;

/// Does `work` on all `items`, in their order, `count` at a time. After an error no further item
/// is begun.
pub fn side_by_side<T: Sync>(
    count: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let waiting = Mutex::new(items.iter());
    let next = || -> Result<Option<&T>> {
        let mut waiting = waiting.lock().map_err(|_| anyhow!("a worker panicked"))?;
        Ok(waiting.next())
    };
    let worker = || -> Result<()> {
        while let Some(item) = next()? {
            if let Err(error) = work(item) {
                while next()?.is_some() {}
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let mut result = Ok(());
        for worker in workers {
            let ended = worker.join().map_err(|_| anyhow!("a worker panicked"));
            result = result.and(ended.and_then(|ended| ended));
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn everything_is_done_once() {
        let sum = AtomicUsize::new(0);
        let items: Vec<_> = (1..=100).collect();
        side_by_side(3, &items, |n| {
            sum.fetch_add(*n, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 5050);
    }

    #[test]
    fn an_error_begins_nothing_more_and_is_told() {
        let done = AtomicUsize::new(0);
        let error = side_by_side(1, &[1, 2, 3], |n| {
            done.fetch_add(1, Ordering::Relaxed);
            if *n == 2 { Err(anyhow!("two")) } else { Ok(()) }
        });
        assert_eq!(error.unwrap_err().to_string(), "two");
        assert_eq!(done.into_inner(), 2);
    }
}
