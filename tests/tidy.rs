//! The house keeps itself tidy: who may name whom, and how long a file and a function may be.
//! Each rule is seen to fail on a planted breach.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

/// Which rooms of `src` each room may name. What is not listed may name none.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("terms", &[]),
    ("bond", &["terms"]),
    ("source", &["crypto", "terms"]),
    ("keystore", &[]),
    ("crypto", &["terms"]),
    ("door", &["standing", "terms"]),
    ("gate", &[]),
    ("settling", &["terms"]),
    ("standing", &["terms"]),
    ("record", &["crypto", "settling", "standing", "terms"]),
    ("message", &["crypto", "record", "terms"]),
    ("session", &["crypto", "door", "message", "record", "settling", "standing", "terms"]),
    ("journal", &["crypto", "record", "standing", "terms"]),
    ("rates", &["message", "terms"]),
    ("audit", &["crypto", "journal", "message", "record", "terms"]),
    ("dispute", &["crypto", "journal", "message", "record", "terms"]),
    ("admin", &["journal", "message", "terms"]),
    ("tls", &[]),
    (
        "config",
        &["door", "gate", "keystore", "rates", "settling", "source", "standing", "terms", "tls"],
    ),
    (
        "actors",
        &[
            "gate", "journal", "message", "rates", "record", "session", "source", "standing",
            "terms", "tls",
        ],
    ),
    (
        "cli",
        &[
            "actors", "admin", "audit", "bond", "config", "crypto", "dispute", "door", "gate",
            "journal", "keystore", "message", "rates", "record", "session", "settling", "source",
            "standing", "terms", "tls",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

/// Words that a room must not say, and the file, or the beginning of the paths, in it that may.
const MUST_NOT_SAY: &[(&str, &[&str], &str)] = &[
    (
        "session",
        &[
            "actix",
            "tokio",
            "sled",
            "reqwest",
            "ethers",
            "async",
            "std::net",
            "std::fs",
            "std::time",
            "getrandom",
            "rand::",
            "SystemTime",
            "Instant",
            "Serialize",
        ],
        "",
    ),
    ("crypto", &["actix", "tokio", "async", "std::fs", "getrandom", "SystemTime"], ""),
    ("message", &["actix", "tokio", "async", "std::fs", "std::net", "getrandom"], ""),
    ("audit", &["actix", "tokio", "async", "std::fs", "std::net"], ""),
    (
        "dispute",
        &["actix", "tokio", "async", "std::fs", "std::net", "std::time", "SystemTime", "getrandom"],
        "",
    ),
    ("rates", &["tokio", "async", "reqwest", "std::fs", "std::net"], "src/rates/source"),
    ("rates", &["actix", "SystemTime", "Instant", "f32", "f64"], ""),
    ("bond", &["actix", "tokio", "async", "std::fs", "std::net", "SystemTime", "f32", "f64"], ""),
    ("journal", &["sled::"], "src/journal/tree.rs"),
    ("journal", &["actix", "tokio", "SystemTime", "getrandom", "std::net"], ""),
    ("", &["sled::"], "src/journal/tree.rs"),
    ("", &["rustls", "tokio_rustls"], "src/tls/"),
    (
        "",
        &["sdpp_ledger_embedded", "sdpp_ledger_ethereum", "sdpp_ledger_fabric", "sdpp_ledger_iota"],
        "src/config/ledgers",
    ),
    ("", &["ethers", "ethers_core"], ""),
    ("", &["todo!", "unimplemented!", "FIXME", "TODO", "dbg!"], ""),
];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const FUNCTION_LINES_MEDIAN_MAX: usize = 10;

/// A source file without its tests and comments.
struct Source {
    path: String,
    code: Vec<String>,
    lines: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let kept: Vec<&str> =
            text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect();
        let without_comment = |line: &&str| line.split("//").next().unwrap_or("").to_owned();
        Source {
            path: path.to_owned(),
            code: kept.iter().map(without_comment).collect(),
            lines: kept.len(),
        }
    }

    /// The room: the folder or file right under `src`.
    fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or("");
        below.split('/').next().unwrap_or("").trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests") || self.path.contains("conformance")
    }

    /// Each function with its length in lines.
    fn functions(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for (start, line) in self.code.iter().enumerate() {
            let trimmed = line.trim_start();
            let indent = line.len() - trimmed.len();
            let Some(at) = trimmed.find("fn ") else { continue };
            let modifiers = ["", "pub ", "pub(super) ", "pub(crate) ", "async ", "const "];
            let before = trimmed[..at].split_inclusive(' ');
            if !before.clone().all(|word| modifiers.contains(&word)) {
                continue;
            }
            let end = " ".repeat(indent) + "}";
            let signature = |line: &&String| line.ends_with(['{', ';', '}']);
            let first = self.code[start..].iter().find(signature);
            if first.is_none_or(|line| !line.ends_with('{')) {
                continue;
            }
            let length = self.code[start..].iter().position(|line| *line == end);
            let name = trimmed[at + 3..].split(['(', '<']).next().unwrap_or("").to_owned();
            found.extend(length.map(|length| (name, length + 1)));
        }
        found
    }
}

fn says(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts_name = word.starts_with(is_name) && before.is_some_and(is_name);
        let ends_name = word.ends_with(is_name) && after.is_some_and(is_name);
        !starts_name && !ends_name
    })
}

/// Everything that breaks a rule, as sentences.
fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        found.extend(wrong_names(source));
        found.extend(wrong_words(source));
        if source.lines > FILE_LINES_MAX {
            found.push(format!("{} has {} lines", source.path, source.lines));
        }
        let long =
            source.functions().into_iter().filter(|(_, length)| *length > FUNCTION_LINES_MAX);
        found.extend(
            long.map(|(name, length)| format!("{}: fn {name} has {length} lines", source.path)),
        );
    }
    found.extend(long_median(sources));
    found
}

fn wrong_names(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let room = source.room();
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: the room {room:?} is not in the table of layers", source.path)];
    };
    let mut found = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        for path in line.match_indices("crate::").map(|(at, _)| &line[at + 7..]) {
            let named = path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
            let is_room = MAY_NAME.iter().any(|(name, _)| *name == named);
            if is_room && named != room && !allowed.contains(&named) {
                found.push(format!("{}:{}: {room} names {named}", source.path, at + 1));
            }
        }
    }
    found
}

fn wrong_words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let in_src = source.path.starts_with("src/");
    for (room, words, but) in MUST_NOT_SAY {
        let may = !but.is_empty() && source.path.starts_with(but);
        if !in_src || may || !(room.is_empty() || source.room() == *room) {
            continue;
        }
        for (at, line) in source.code.iter().enumerate() {
            for word in words.iter().filter(|word| says(line, word)) {
                found.push(format!("{}:{}: says {word}", source.path, at + 1));
            }
        }
    }
    found
}

fn long_median(sources: &[Source]) -> Option<String> {
    let mut lengths: Vec<usize> =
        sources.iter().flat_map(|source| source.functions()).map(|(_, length)| length).collect();
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
    (median > FUNCTION_LINES_MEDIAN_MAX).then(|| format!("the median function has {median} lines"))
}

fn read(dir: &Path, root: &Path, into: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "target" {
                read(&path, root, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            into.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read(&root.join("src"), root, &mut sources);
    read(&root.join("ledgers"), root, &mut sources);
    assert!(sources.len() > 50, "the sources were not found");
    let found = breaches(&sources);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn each_rule_is_seen_to_fail() {
    let long_function = format!("fn long() {{\n{}}}\n", "    work();\n".repeat(80));
    let planted: Vec<(&str, (&str, String))> = vec![
        ("session names journal", ("src/session/x.rs", "use crate::journal::Entry;".to_owned())),
        ("journal names session", ("src/journal/x.rs", "use crate::session::Seller;".to_owned())),
        ("message names session", ("src/message/x.rs", "use crate::session::Seller;".to_owned())),
        ("says async", ("src/session/x.rs", "pub async fn wait() {}".to_owned())),
        ("says tokio", ("src/session/x.rs", "use tokio::net::TcpStream;".to_owned())),
        ("says SystemTime", ("src/session/x.rs", "let now = SystemTime::now();".to_owned())),
        ("says sled::", ("src/journal/mod.rs", "let db = sled::open(dir);".to_owned())),
        ("says sled::", ("src/cli/x.rs", "let db = sled::open(dir);".to_owned())),
        (
            "says sdpp_ledger_embedded",
            ("src/cli/x.rs", "use sdpp_ledger_embedded::Node;".to_owned()),
        ),
        (
            "says sdpp_ledger_ethereum",
            ("src/config/mod.rs", "use sdpp_ledger_ethereum::Endpoint;".to_owned()),
        ),
        ("says ethers_core", ("src/config/ledgers.rs", "use ethers_core::abi;".to_owned())),
        ("is not in the table", ("src/rooms/x.rs", "fn a() {}".to_owned())),
        ("has 501 lines", ("src/cli/x.rs", "\n".repeat(501))),
        ("fn long has 82 lines", ("src/cli/x.rs", long_function)),
        ("says TODO", ("src/cli/x.rs", "let todo = \"TODO\";".to_owned())),
    ];
    for (says, (path, text)) in planted {
        let found = breaches(&[Source::new(path, &text)]).join("\n");
        assert!(found.contains(says), "{path}: {found:?} does not say {says:?}");
    }
    let fine = "fn a() {\n}\n// a comment may say tokio\n#[cfg(test)]\nuse tokio::time;";
    assert_eq!(breaches(&[Source::new("src/session/x.rs", fine)]), Vec::<String>::new());
}
