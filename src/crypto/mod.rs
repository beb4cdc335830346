//! Pure functions over bytes: what is signed, digests and Merkle roots of windows, sealing of
//! items, wrapping of the session key. No randomness of its own: whoever calls brings it.

pub mod layout;
