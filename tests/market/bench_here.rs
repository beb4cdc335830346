//! The benches that need nothing but this machine: with little to measure they are quick, and measure
//! all the same.

use crate::place::{assert_done, sdpp};
use serde_json::Value;
use std::path::Path;

/// What a bench tells, run in a folder where nothing of it stays but what it was asked to draw.
fn told(dir: &Path, arguments: &[&str]) -> Value {
    let mut bench = sdpp();
    bench.arg("bench").args(arguments).args(["--json", "--svg", "bars.svg"]);
    let output = bench.current_dir(dir).env("TMPDIR", dir).output().unwrap();
    assert_done(&output);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    for figure in told["figures"].as_array().unwrap() {
        assert!(figure["median"].as_f64().is_some_and(f64::is_finite), "{figure}");
    }
    let svg = std::fs::read_to_string(dir.join("bars.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    told
}

fn figure<'a>(told: &'a Value, what: &str) -> &'a Value {
    let figures = told["figures"].as_array().unwrap();
    let found = figures.iter().find(|one| one["what"].as_str().unwrap().starts_with(what));
    found.unwrap_or_else(|| panic!("no {what:?}: {told}"))
}

#[test]
fn the_bench_of_items_sells_them_and_measures_its_own_bound() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["items", "--items", "1000", "--runs", "1", "--sessions", "3"];
    let told = told(dir.path(), &[&few[..], &["--only", "mac"]].concat());
    let cpu = figure(&told, "CPU an item, both sides, MAC");
    assert!(cpu["median"].as_f64() > cpu["bound"]["median"].as_f64(), "{cpu}");
    assert!(figure(&told, "items/s, one session")["median"].as_f64() > Some(0.0));
    assert_eq!(figure(&told, "items/s, 3 sessions")["bound"]["what"], "one session's");
    let bytes = figure(&told, "bytes on the wire")["median"].as_f64().unwrap();
    assert!((350.0..700.0).contains(&bytes), "{bytes}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing stays behind but what was drawn: {left:?}");
}

#[test]
fn the_bench_of_the_journal_measures_the_trees_and_a_sync_too() {
    let dir = tempfile::tempdir().unwrap();
    let told = told(dir.path(), &["journal", "--records", "256", "--windows", "4", "--runs", "1"]);
    for what in ["durable appends/s", "durable appends/s, by their rows"] {
        let figure = figure(&told, what);
        assert!(figure["median"].as_f64() > Some(0.0), "{figure}");
        assert!(figure["bound"]["median"].as_f64() > Some(0.0), "{figure}");
    }
    // A relay that is not served in time sees both at once.
    for what in
        ["added latency of a window, p50", "added latency of a window, p50, by a growing file"]
    {
        let figure = figure(&told, what);
        assert!(figure["median"].as_f64() >= Some(0.0), "{figure}");
        assert!(figure["bound"]["median"].as_f64() > Some(0.0), "{figure}");
    }
}

#[test]
fn the_bench_of_a_restart_starts_a_seller_on_its_past() {
    let dir = tempfile::tempdir().unwrap();
    let told = told(dir.path(), &["restart", "--entries", "300", "--runs", "2"]);
    let restart = figure(&told, "restart with");
    assert_eq!(restart["runs"], 2);
    assert!(restart["median"].as_f64() > Some(0.0), "{restart}");
}

#[test]
fn the_bench_of_sessions_opens_them() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--idle", "3", "--streaming", "2", "--menus", "5", "--runs", "1"];
    let told = told(dir.path(), &[&["sessions"][..], &few].concat());
    figure(&told, "memory of an open, idle session, of 3");
    figure(&told, "memory of a streaming session, of 2");
    assert!(figure(&told, "a menu for a new buyer")["median"].as_f64() > Some(0.0));
}

#[test]
fn the_bench_of_the_third_figure_draws_it() {
    let dir = tempfile::tempdir().unwrap();
    let quick = ["--finality-ms", "100", "--windows-max", "1", "--curves", "curves.svg"];
    let told = told(dir.path(), &[&["fig3"][..], &quick].concat());
    assert_eq!(told["figures"].as_array().unwrap().len(), 12, "four K of three kinds: {told}");
    let svg = std::fs::read_to_string(dir.path().join("curves.svg")).unwrap();
    assert_eq!(svg.matches("<polyline").count(), 16, "and the paper's for each K");
}
