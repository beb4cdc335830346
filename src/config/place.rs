//! Finds the line of a key, and the key at a place in the text.

use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key as a path from the top: `["topics", "co2", "price"]`. An index stands for an element.
pub(super) type KeyPath = Vec<String>;

/// The line, from 1, of an offset into the text.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The offset of the key, or of the nearest table above it when it is not written.
pub(super) fn offset_of(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let deeper = offset_in(value, rest);
    Some(deeper.unwrap_or(key.span().start))
}

fn offset_in(value: &Spanned<DeValue<'_>>, path: &[String]) -> Option<usize> {
    match value.get_ref() {
        DeValue::Table(table) => offset_of(table, path),
        DeValue::Array(elements) => {
            let (first, rest) = path.split_first()?;
            let element = elements.get(first.parse::<usize>().ok()?)?;
            Some(offset_in(element, rest).unwrap_or(element.span().start))
        }
        _ => None,
    }
}

/// The innermost key whose name or value covers the span; empty at the top.
pub(super) fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> KeyPath {
    for (key, value) in table {
        let path = key_in(value, span);
        if !path.is_empty() || covers(&key.span(), span) || covers(&value.span(), span) {
            return [vec![key.get_ref().to_string()], path].concat();
        }
    }
    KeyPath::new()
}

fn key_in(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> KeyPath {
    match value.get_ref() {
        DeValue::Table(table) => key_at(table, span),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let path = key_in(element, span);
                if !path.is_empty() || covers(&element.span(), span) {
                    return [vec![index.to_string()], path].concat();
                }
            }
            KeyPath::new()
        }
        _ => KeyPath::new(),
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
