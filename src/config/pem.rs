//! Certificates in files. They are no secret: anybody may read them.

use crate::keystore::KeystoreError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest PEM file that is read, in bytes: room for every authority of a large consortium.
const PEM_BYTES_MAX: u64 = 256 * 1024;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeystoreError> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    let failed = |error| KeystoreError::Io { what: "read", path: path.to_owned(), error };
    read.map_err(failed)?;
    if bytes.len() as u64 > PEM_BYTES_MAX {
        return Err(failed(std::io::Error::other("it is too large for certificates")));
    }
    Ok(bytes)
}
