//! Pure functions over bytes: what is signed, digests of windows, sealing of items, wrapping of
//! the session's key. No randomness of its own: whoever calls brings it.

pub mod layout;
mod leaf;
mod seal;
mod wrap;

pub use leaf::{SaltSecret, dataset_leaf, leaf, leaf_of, masked, running_digest, salt, void_leaf};
pub use seal::{EPOCHS_MAX, Keys, Lane, MacKey, SealError};
pub use wrap::{WrapError, Wrapped, unwrap_key, wrap};
