//! Where secrets come from. A secret that is written out is refused and not repeated.

use super::super::file::{SecretText, SignerFile};
use super::value::wrong;
use super::{Outcome, Wrong};
use crate::keystore::{self, KeyFrom, PasswordFrom};
use std::path::Path;

pub(super) fn identity(written: &SignerFile, base: &Path) -> Outcome<KeyFrom> {
    let keystore = base.join(written.keystore.as_deref().unwrap_or(Path::new("keys")));
    let password = match &written.password {
        Some(text) => password(&["identity", "password"], text, base)?,
        None => PasswordFrom::Prompt,
    };
    key(
        &["identity", "key"],
        &written.key,
        &keystore,
        password,
        base,
    )
}

pub(super) fn key(
    at: &[&str],
    text: &SecretText,
    keystore: &Path,
    password: PasswordFrom,
    base: &Path,
) -> Outcome<KeyFrom> {
    match split(text) {
        Some(("keystore", name)) if keystore::is_name(name) => Ok(KeyFrom::Keystore {
            dir: keystore.to_owned(),
            name: name.to_owned(),
            password,
        }),
        Some(("keystore", _)) => Err(wrong(
            at,
            "a key's name is 1 to 64 of a-z, 0-9, _ and -: \"keystore:seller\"",
        )),
        Some(("file", path)) => Ok(KeyFrom::File(base.join(path))),
        Some(("env", name)) if is_variable(name) => Ok(KeyFrom::Env(name.to_owned())),
        _ => Err(literal_secret(
            at,
            "\"keystore:NAME\", \"file:PATH\" or \"env:NAME\"",
        )),
    }
}

pub(super) fn password(at: &[&str], text: &SecretText, base: &Path) -> Outcome<PasswordFrom> {
    match split(text) {
        Some(("file", path)) => Ok(PasswordFrom::File(base.join(path))),
        Some(("env", name)) if is_variable(name) => Ok(PasswordFrom::Env(name.to_owned())),
        _ if text
            .0
            .as_ref()
            .is_some_and(|text| text.as_str() == "prompt") =>
        {
            Ok(PasswordFrom::Prompt)
        }
        _ => Err(literal_secret(
            at,
            "\"file:PATH\", \"env:NAME\" or \"prompt\"",
        )),
    }
}

fn split(text: &SecretText) -> Option<(&str, &str)> {
    let (scheme, rest) = text.0.as_ref()?.split_once(':')?;
    (!rest.is_empty()).then_some((scheme, rest))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn literal_secret(at: &[&str], forms: &str) -> Wrong {
    let what = format!(
        "it says where the secret is, not what it is: write {forms}. A secret that stood here \
         has been in the open: replace it"
    );
    wrong(at, what)
}
