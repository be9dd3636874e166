//! Files that a client has, for executors that lack them.
//!
//! ```text
//!  client ──── offer: secret, digests ────► scheduler ◄──── take: secret, digest ──── executor
//!         ◄─── wanted: number, digest ────      │
//!         ──── give: number, parts ───────►     └────────── parts ──────────────────►
//! ```
//!
//! Executors can't reach every client, but all processes reach the scheduler. It keeps nothing: parts pass through it as
//! they come. Only the files of a job whose client leaves it are held there, until the job has ended (`held.rs`). A file is offered while the query of its plan runs, and only whoever has the plan knows the secret; nothing
//! else can be read. What arrives is checked by its digest, so nothing else can be put in its place.

mod held;
mod messages;
mod offer;
mod parts;
mod relay;
mod take;

pub use offer::OfferedFile;
pub(crate) use offer::{Offer, hold, keep, offer};
pub(crate) use relay::{Relay, files};
pub use take::{WantedFile, take};

/// Bytes of a part.
const PART_BYTES: usize = 1 << 20;

/// The generated client and server.
mod service {
    #![expect(
        clippy::allow_attributes,
        clippy::clone_on_ref_ptr,
        unreachable_pub,
        unused_qualifications,
        reason = "generated"
    )]

    include!(concat!(env!("OUT_DIR"), "/seequel.Files.rs"));
}
