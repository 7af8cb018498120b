//! Blocking work, aside from the runtime's threads.
//!
//! A simulation has one thread and no chance but its seed's: there the same work is done in line.

use std::cell::Cell;
use std::ffi::CStr;

use tokio::task::{AbortHandle, JoinError, spawn, spawn_blocking, yield_now};

thread_local! {
    static IN_LINE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` where it blocks nobody.
pub async fn aside<T, W>(work: W) -> Result<T, JoinError>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    if !IN_LINE.get() {
        return spawn_blocking(work).await;
    }
    // On a thread of its own the work is not begun yet when the first poll returns, nor heard of when it ends.
    yield_now().await;
    let result = work();
    yield_now().await;
    Ok(result)
}

/// Drives `work` whether or not the caller is driven; it ends with whoever waits for it.
pub async fn beside<T, W>(work: W) -> Result<T, JoinError>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    if IN_LINE.get() {
        return Ok(work.await);
    }
    let task = spawn(work);
    let _end = EndWith(task.abort_handle());
    task.await
}

/// Ends a task when it goes.
struct EndWith(AbortHandle);

impl Drop for EndWith {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// From now on what this thread asks for is done in line: for simulations, which nobody else waits for.
pub fn work_in_line() {
    IN_LINE.set(true);
}

/// How SQLite is to reach its files. <https://sqlite.org/vfs.html>
///
/// A simulation has them for itself: it takes the locks against other processes once a file, not once a transaction.
pub fn vfs() -> &'static CStr {
    if IN_LINE.get() { c"unix-excl" } else { c"unix" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_a_thread_of_its_own_unless_a_simulation_wants_it_in_line() {
        let here = std::thread::current().id();
        assert_ne!(aside(|| std::thread::current().id()).await.unwrap(), here);
        std::thread::spawn(|| {
            work_in_line();
            let here = std::thread::current().id();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert_eq!(runtime.block_on(aside(|| std::thread::current().id())).unwrap(), here);
        })
        .join()
        .unwrap();
    }
}
