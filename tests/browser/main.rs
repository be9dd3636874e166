//! The dashboard in a browser: scripts for Node that drive Chromium, against the real binary with real photos.
//!
//! ```text
//!  a test ─► the binary with its dashboard ◄── HTTP ── Chromium ◄─ playwright-core ─ node NAME.mjs
//!     └──────────────────────────────────────────────────────────────────────────────► fails if the script does
//! ```
//!
//! A harness of its own, since a test whose browser a machine lacks is counted as ignored, with the reason. Debian has
//! Chromium and Node; `make test` installs both there, and what drives them. A script waits for what it expects, never for
//! a time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed")]

#[path = "../dashboard/client.rs"]
#[expect(dead_code, reason = "the tests without a browser use it all")]
mod client;
mod looks;
mod support;
mod used;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, used::suite().into_iter().chain(looks::suite()).collect()).exit();
}
