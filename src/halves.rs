//! Work for two threads which are not the pool's. It does not know what is done.

use std::thread::{Builder, scope};

/// Does something for each of many things, on two threads if there are at least so many. It is for what is too short to start
/// the pool for, and for what the pool's threads must have no part in.
pub(crate) fn in_halves<T: Sync, R: Send>(
    things: &[T],
    least: usize,
    f: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    if things.len() < least {
        return things.iter().map(f).collect();
    }
    let (first, second) = things.split_at(things.len() / 2);
    let f = &f;
    scope(|scope| {
        let half = move || second.iter().map(f).collect::<Vec<R>>();
        let other = Builder::new().spawn_scoped(scope, half);
        let mut done: Vec<R> = first.iter().map(f).collect();
        // If there is no other thread to be had, it is done here and now.
        let rest = other.ok().and_then(|thread| thread.join().ok());
        done.extend(rest.unwrap_or_else(half));
        done
    })
}
