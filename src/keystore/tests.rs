//! Stories about key files. Strength is low where the story is not about strength.

use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// Made by eth-account 0.14.0 with the password `correct horse`.
const BY_ETH_ACCOUNT: &str = r#"{"address": "2c7536E3605D9C16a7a3D7b1898e529396a65c23", "crypto": {"cipher": "aes-128-ctr", "cipherparams": {"iv": "260a2a53ab0635f611ec54ff62708725"}, "ciphertext": "ed57f8e32d37d1ea216413547e0891f8c27a64433497f6eb7cc93a9267743839", "kdf": "scrypt", "kdfparams": {"dklen": 32, "n": 4096, "r": 8, "p": 1, "salt": "ffb7039c7af58c5f799a1b15c0c0fb7f"}, "mac": "d8747f7f053e2d7f51fbcb58d6ad265aae90b3e0717d1d49d2643627d47eb2bc"}, "id": "bb8937d9-c7b8-4863-bdbd-343e5df0150d", "version": 3}"#;
/// The same key, with the password `pässwörd`.
const BY_ETH_ACCOUNT_UMLAUTS: &str = r#"{"address": "2c7536E3605D9C16a7a3D7b1898e529396a65c23", "crypto": {"cipher": "aes-128-ctr", "cipherparams": {"iv": "760d5a95035f24fbc2db65ce907bce39"}, "ciphertext": "8b593bbcbb995b397bfaad95b387f61ca20abe6692703fe8e6fdf4e0f15044d2", "kdf": "scrypt", "kdfparams": {"dklen": 32, "n": 4096, "r": 8, "p": 1, "salt": "18fce03604c0baa2ea04d9efc8a69096"}, "mac": "a08af65cdd6520f2d4276f0b63cada699ec5130874c1ba2651bedd5e6295880d"}, "id": "c8d115f9-9fa4-42bd-93d1-49bd6e07c7a7", "version": 3}"#;
/// The key in both.
const SECRET: &str = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned()), "the test").unwrap()
}

fn key() -> Key {
    read_secret(SECRET.as_bytes(), "the test").unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn a_file_of_another_tool_opens() {
    let dir = folder();
    fs::write(dir.path().join("plain.json"), BY_ETH_ACCOUNT).unwrap();
    fs::write(dir.path().join("umlauts.json"), BY_ETH_ACCOUNT_UMLAUTS).unwrap();
    let plain = open(dir.path(), "plain", &password("correct horse")).unwrap();
    let umlauts = open(dir.path(), "umlauts", &password("pässwörd")).unwrap();
    assert_eq!(plain.public(), key().public());
    assert_eq!(umlauts.public(), key().public());
    let listed = list(dir.path()).unwrap();
    assert_eq!(listed[0].account, Some(key().public().account()));
    assert_eq!(listed[0].public, None);
}

#[test]
fn a_new_key_is_listed_without_its_password_and_opens_with_it() {
    let dir = folder();
    let keys = dir.path().join("keys");
    assert_eq!(list(&keys).unwrap(), []);
    let public = new(&keys, "seller", &password("one")).unwrap();
    let listed =
        Listed { name: "seller".to_owned(), public: Some(public), account: Some(public.account()) };
    assert_eq!(list(&keys).unwrap(), [listed]);
    assert_eq!(open(&keys, "seller", &password("one")).unwrap().public(), public);
    assert_eq!(mode(&keys), 0o700);
    assert_eq!(mode(&keys.join("seller.json")), 0o600);
    // Nothing temporary is left behind.
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 1);
}

#[test]
fn a_folder_where_others_could_swap_keys_is_refused() {
    let dir = folder();
    for open in [0o720, 0o702] {
        fs::set_permissions(dir.path(), Permissions::from_mode(open)).unwrap();
        let refused = new(dir.path(), "a", &password("one")).unwrap_err();
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
    }
    assert_eq!(list(dir.path()).unwrap(), []);
}

#[test]
fn a_key_is_never_overwritten() {
    let dir = folder();
    let public = import(dir.path(), "a", &key(), &password("one")).unwrap();
    let again = new(dir.path(), "a", &password("two")).unwrap_err();
    assert!(matches!(again, KeystoreError::Exists { .. }), "{again}");
    assert_eq!(open(dir.path(), "a", &password("one")).unwrap().public(), public);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_wrong_password_and_a_missing_key_are_told_apart() {
    let dir = folder();
    fs::write(dir.path().join("a.json"), BY_ETH_ACCOUNT).unwrap();
    let wrong = open(dir.path(), "a", &password("incorrect horse")).unwrap_err();
    assert!(matches!(wrong, KeystoreError::WrongPassword { .. }), "{wrong}");
    assert!(!wrong.to_string().contains("incorrect"));
    let missing = open(dir.path(), "b", &password("x")).unwrap_err();
    assert!(missing.to_string().contains("sdpp keys new b"), "{missing}");
}

#[test]
fn names_cannot_leave_the_folder() {
    let long = "a".repeat(65);
    for bad in ["", "../a", "a/b", "A", "a.json", "ä", long.as_str()] {
        let refused = open(Path::new("/nowhere"), bad, &password("x")).unwrap_err();
        assert!(matches!(refused, KeystoreError::Name { .. }), "{bad:?} was taken");
    }
}

#[test]
fn a_hostile_file_is_refused_and_costs_nothing() {
    let changes = [
        ("\"n\": 4096", "\"n\": 1099511627776"),
        ("\"n\": 4096", "\"n\": 4095"),
        ("\"n\": 4096", "\"n\": 0"),
        ("\"r\": 8", "\"r\": 4000000"),
        ("\"r\": 8", "\"r\": 0"),
        ("\"p\": 1,", "\"p\": 4000000,"),
        ("\"dklen\": 32", "\"dklen\": 16"),
        ("260a2a53ab", ""),
        ("ed57f8e32d", ""),
        ("ffb7039c7a", "zz"),
        ("\"scrypt\"", "\"pbkdf2\""),
        ("aes-128-ctr", "rot13"),
        ("\"version\": 3", "\"version\": 1"),
        ("{\"address\"", "[\"address\""),
    ];
    let dir = folder();
    for (from, to) in changes {
        assert!(BY_ETH_ACCOUNT.contains(from));
        fs::write(dir.path().join("a.json"), BY_ETH_ACCOUNT.replacen(from, to, 1)).unwrap();
        let refused = open(dir.path(), "a", &password("correct horse")).unwrap_err();
        assert!(matches!(refused, KeystoreError::Malformed { .. }), "{from} -> {to}: {refused}");
    }
}

#[test]
fn a_public_key_that_was_swapped_is_noticed() {
    let dir = folder();
    let weak = web3::Strength { n: 16, r: 8, p: 1 };
    let sealed = web3::seal(&key(), &password("one"), weak).unwrap();
    let mine = key().public().to_string();
    let other = Key::from_bytes(&[7; 32]).unwrap().public().to_string();
    fs::write(dir.path().join("a.json"), sealed.replace(&mine, &other)).unwrap();
    let refused = open(dir.path(), "a", &password("one")).unwrap_err();
    assert!(refused.to_string().contains("the file was changed"), "{refused}");
}

#[test]
fn the_standard_strength_is_what_is_written() {
    let dir = folder();
    import(dir.path(), "a", &key(), &password("one")).unwrap();
    let text = fs::read_to_string(dir.path().join("a.json")).unwrap();
    assert!(text.contains("\"n\": 131072"), "{text}");
    assert!(!text.contains(SECRET));
}

#[test]
fn a_secret_is_64_hex_digits_and_is_not_echoed() {
    let expected = key().public();
    let with_prefix = format!("0x{SECRET}\n");
    assert_eq!(read_secret(with_prefix.as_bytes(), "x").unwrap().public(), expected);
    let (zero, long) = ("0".repeat(64), "a".repeat(5000));
    for bad in ["", "hunter2", &SECRET[1..], &zero, &long] {
        let refused = read_secret(bad.as_bytes(), "file:x").unwrap_err().to_string();
        assert!(refused.contains("file:x"), "{refused}");
        assert!(bad.is_empty() || !refused.contains(bad), "{refused}");
    }
}

#[test]
fn a_password_file_loses_its_newline_and_must_be_closed_to_others() {
    let dir = folder();
    let path = dir.path().join("password");
    fs::write(&path, "one \r\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let from = PasswordFrom::File(path.clone());
    assert_eq!(from.read("").unwrap().as_bytes(), b"one ");
    for open in [0o604, 0o602, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        let refused = from.read("").unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}

#[test]
fn an_empty_password_is_refused() {
    let dir = folder();
    let path = dir.path().join("password");
    fs::write(&path, "\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let refused = PasswordFrom::File(path).read("").unwrap_err().to_string();
    assert!(refused.contains("empty"), "{refused}");
}

#[test]
fn without_a_terminal_the_error_says_how_a_server_unlocks() {
    let refused = password::ask(Path::new("/nowhere/tty"), "?").unwrap_err().to_string();
    assert!(refused.contains("LoadCredential"), "{refused}");
}

#[test]
fn a_signing_key_comes_from_a_keystore_or_a_file() {
    let dir = folder();
    let secret = dir.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let from_file = KeyFrom::File(secret.clone());
    assert_eq!(from_file.open().unwrap().public(), key().public());

    fs::write(dir.path().join("a.json"), BY_ETH_ACCOUNT).unwrap();
    let password = dir.path().join("password");
    fs::write(&password, "correct horse\n").unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let from_keystore = KeyFrom::Keystore {
        dir: dir.path().to_owned(),
        name: "a".to_owned(),
        password: PasswordFrom::File(password),
    };
    assert_eq!(from_keystore.open().unwrap().public(), key().public());
    assert_eq!(from_keystore.to_string(), "keystore:a");

    let unset = KeyFrom::Env("SDPP_NO_SUCH_VARIABLE".to_owned());
    let refused = unset.open().unwrap_err().to_string();
    assert!(refused.contains("env:SDPP_NO_SUCH_VARIABLE"), "{refused}");
}

#[test]
fn nothing_prints_a_password() {
    assert!(!format!("{:?}", password("hunter2")).contains("hunter2"));
}
