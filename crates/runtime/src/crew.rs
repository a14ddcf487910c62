//! Threads that share out the parts of one operation.

use std::sync::Arc;

use adyton_ckks::{Alone, Crew, Task};

use crate::CrewError;

/// A pool of threads, which every evaluation of a process may share.
#[derive(Debug)]
struct Threads(rayon::ThreadPool);

impl Crew for Threads {
    fn run(&self, mut tasks: Vec<Task<'_>>) {
        // The caller waits anyway: what cannot be shared it does itself.
        if tasks.len() <= 1 {
            return tasks.drain(..).for_each(|task| task());
        }
        self.0.scope(|scope| tasks.into_iter().for_each(|task| scope.spawn(|_| task())));
    }
}

/// A crew of `threads` threads; one thread is the caller itself.
///
/// # Errors
/// [`CrewError`] when the system gives no threads.
pub fn crew(threads: usize) -> Result<Arc<dyn Crew>, CrewError> {
    if threads <= 1 {
        return Ok(Arc::new(Alone));
    }
    let name = |number| format!("crew-{number}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
    Ok(Arc::new(Threads(pool.map_err(CrewError)?)))
}
