//! Standard output: what a command answers, and nothing else. Lines for people, or JSON.

use super::exit::{Failure, Outcome};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};

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
