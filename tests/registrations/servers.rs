//! What only servers have: many writers at once, restarts, types, schemas, passwords.

mod many_writers;
mod reaching;
mod types;

use crate::fixture::{Fixture, Layout};
use crate::stores::Store;

/// Runs a test against the schema of `init` on every server that is there.
async fn check(test: impl AsyncFn(Fixture)) {
    for store in Store::servers() {
        test(Fixture::on(store, Layout::Rows).await).await;
    }
}
