//! Standard output: what a command answers, and nothing else. Lines for people, or JSON.

use super::exit::{Failure, Outcome};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// Writes a line and hands it over at once.
///
/// # Errors
/// When nobody reads it; so for all of these.
pub fn line(line: impl fmt::Display) -> Outcome {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Failure::output)
}

/// Writes a value as one line of JSON.
pub fn json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value);
    line(text.map_err(|error| Failure::output(error.into()))?)
}

/// Writes a value as JSON over many lines, for people.
pub fn pretty(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value);
    line(text.map_err(|error| Failure::output(error.into()))?)
}

/// Writes rows in columns as wide as their widest cell; the first row is the heading.
pub fn table(rows: &[impl AsRef<[String]>]) -> Outcome {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.as_ref().iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A path as it is typed in a shell: in quotes where it has more in it than names usually have.
pub fn typed(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        let told = [
            ("shop/seller.toml", "shop/seller.toml"),
            ("/tmp/ünï-1", "/tmp/ünï-1"),
            ("my shop", "'my shop'"),
            ("", "''"),
            ("$(it)'s", r"'$(it)'\''s'"),
        ];
        for (path, word) in told {
            assert_eq!(typed(Path::new(path)), word);
        }
    }
}
