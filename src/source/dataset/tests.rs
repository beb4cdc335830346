//! Stories about files that were promised.

use super::super::{Format, Origin, Source};
use super::*;

const BYTES_MAX: usize = 1_000;

fn lines(count: u32) -> String {
    (1..=count).map(|n| format!("reading {n}\n")).collect()
}

fn leaves(text: &str) -> Vec<Digest> {
    text.lines().map(|line| dataset_leaf(&keccak(&[line.as_bytes()]))).collect()
}

/// A file with this text, promised as it stands.
fn promised(text: &str) -> (tempfile::TempDir, Origin) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("readings.txt");
    std::fs::write(&path, text).unwrap();
    let file = File { path, format: Format::Lines, committed: true };
    let (origin, count) = Origin::File(file).stock(BYTES_MAX).unwrap();
    assert_eq!(count, Some(text.lines().count() as u64));
    (dir, origin)
}

fn path(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join("readings.txt")
}

/// All that it gives, each held against what was promised, and how it ended.
async fn all(source: &mut Source, dataset: Dataset, skip: u64) -> (u64, Option<SourceError>) {
    let mut seq = skip;
    loop {
        match source.next(NonZeroUsize::new(100).unwrap(), usize::MAX).await {
            Ok(Batch::Rows(rows)) => {
                for (item, path) in rows {
                    seq += 1;
                    let leaf = dataset_leaf(&keccak(&[item.as_str().as_bytes()]));
                    assert!(dataset.has(seq, &leaf, &path), "item {seq}: {item}");
                }
            }
            Ok(Batch::End) => return (seq - skip, None),
            Ok(Batch::Items(_)) => panic!("an item without its way up"),
            Err(error) => return (seq - skip, Some(error)),
        }
    }
}

#[tokio::test]
async fn each_item_of_a_promised_file_comes_with_its_way_up_to_the_root() {
    for count in [1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3, 1_000] {
        let (_dir, origin) = promised(&lines(count));
        let dataset = origin.dataset().unwrap();
        assert_eq!(dataset.root, merkle::root(&leaves(&lines(count))), "{count} items");
        for skip in [0, 1, u64::from(count / 2), u64::from(count)] {
            let mut source = origin.open(BYTES_MAX, skip).unwrap();
            let (given, error) = all(&mut source, dataset, skip).await;
            assert!(error.is_none() && given == u64::from(count) - skip, "{count}, {skip}");
        }
    }
}

#[tokio::test]
async fn what_changed_since_it_was_promised_is_not_given() {
    let whole = lines(600);
    // In the second block: of the first all can be proven, of the second nothing.
    let changed = whole.replace("reading 300\n", "reading 3OO\n");
    let (dir, origin) = promised(&whole);
    std::fs::write(path(&dir), &changed).unwrap();
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    let (given, error) = all(&mut source, origin.dataset().unwrap(), 0).await;
    assert_eq!(given, u64::from(BLOCK));
    let error = error.unwrap().to_string();
    assert!(error.contains("has changed since its root was put on the menu: item 257"), "{error}");
    // Behind its end there was nothing promised, and nothing is given.
    std::fs::write(path(&dir), format!("{whole}one more\n")).unwrap();
    let mut source = origin.open(BYTES_MAX, 512).unwrap();
    let (given, error) = all(&mut source, origin.dataset().unwrap(), 512).await;
    assert!(given == 88 && error.is_none(), "{error:?}");
    std::fs::write(path(&dir), lines(599)).unwrap();
    let (given, error) =
        all(&mut origin.open(BYTES_MAX, 0).unwrap(), origin.dataset().unwrap(), 0).await;
    assert!(given == 512 && matches!(error, Some(SourceError::Changed { item: 513, .. })));
}

/// A way into the file is not read: who comes back for its last items keeps nobody waiting.
#[tokio::test]
async fn what_stands_before_the_block_of_an_item_is_not_read() {
    let (dir, origin) = promised(&lines(600));
    std::fs::write(path(&dir), lines(600).replacen('\n', " ", 2)).unwrap();
    let mut source = origin.open(BYTES_MAX, 590).unwrap();
    let (given, error) = all(&mut source, origin.dataset().unwrap(), 590).await;
    assert!(given == 10 && error.is_none(), "{given}: {error:?}");
    // What cannot be read any more has changed, too.
    let long = lines(600).replacen("reading 301\n", &"3".repeat(2 * BYTES_MAX), 1);
    std::fs::write(path(&dir), long).unwrap();
    let mut source = origin.open(BYTES_MAX, 270).unwrap();
    let (given, error) = all(&mut source, origin.dataset().unwrap(), 270).await;
    assert!(
        given == 0 && matches!(error, Some(SourceError::Changed { item: 271, .. })),
        "{error:?}"
    );
}

/// Whatever ends a line, and whatever stands where a block begins.
#[tokio::test]
async fn any_kind_of_file_is_opened_at_any_place() {
    let mark = '\u{feff}';
    let row = |n: u32| match n {
        257 => format!("{mark}{n},\"at\n{n}\""),
        n => format!("{n},\"at\n{n}\""),
    };
    let rows: Vec<String> = (1..=600).map(row).collect();
    let csv = |end: &str| format!("celsius,at{end}{}{end}", rows.join(end));
    let marked = lines(600).replacen("reading 257", &format!("{mark}257"), 1);
    let texts = [
        (Format::Csv, csv("\n")),
        (Format::Csv, csv("\r\n")),
        (Format::Csv, csv("\n\n")),
        (Format::Lines, marked.replace('\n', "\r\n \n")),
        (Format::Lines, marked),
        (Format::Ndjson, (1..=600).map(|n| format!("{n}\n")).collect()),
    ];
    for (format, text) in texts {
        let (dir, _) = promised("any\n");
        std::fs::write(path(&dir), text).unwrap();
        let file = File { path: path(&dir), format, committed: true };
        let (origin, count) = Origin::File(file).stock(BYTES_MAX).unwrap();
        assert_eq!(count, Some(600), "{format:?}");
        for skip in [0, 1, 255, 256, 257, 511, 512, 513, 599, 600] {
            let mut source = origin.open(BYTES_MAX, skip).unwrap();
            let (given, error) = all(&mut source, origin.dataset().unwrap(), skip).await;
            assert!(
                given == 600 - skip && error.is_none(),
                "{format:?}, {skip}: {given}, {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_promised_file_that_cannot_even_be_opened_any_more_has_changed() {
    let (dir, _) = promised("any\n");
    std::fs::write(path(&dir), "celsius\n20.9\n").unwrap();
    let file = File { path: path(&dir), format: Format::Csv, committed: true };
    let (origin, _) = Origin::File(file).stock(BYTES_MAX).unwrap();
    std::fs::write(path(&dir), "").unwrap();
    let error = origin.open(BYTES_MAX, 0).unwrap_err();
    assert!(matches!(error, SourceError::Changed { item: 1, .. }), "{error}");
    std::fs::remove_file(path(&dir)).unwrap();
    let error = origin.open(BYTES_MAX, 0).unwrap_err();
    assert!(matches!(error, SourceError::Io { .. }), "it may come back: {error}");
}

/// What leaves is an item and its way up, which may be the larger part.
#[tokio::test]
async fn what_is_asked_for_at_once_counts_paths_too() {
    let (_dir, origin) = promised(&lines(512));
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    let batch = source.next(NonZeroUsize::new(100).unwrap(), 1_000).await.unwrap();
    let Batch::Rows(rows) = batch else { panic!("{batch:?}") };
    let bytes = |(item, path): &(Item, Vec<Digest>)| item.as_str().len() + 32 * path.len();
    let all: usize = rows.iter().map(bytes).sum();
    assert_eq!((rows.len(), rows[0].1.len()), (4, 9), "{all} bytes");
}

/// Its leaves were read, and what is under them changes before its items are.
#[tokio::test]
async fn a_file_that_changes_between_its_leaves_and_its_items_is_noticed() {
    // Longer than what is read from the disk at once.
    let line = |n: u32| format!("{n:0>900}\n");
    let whole: String = (1..=200).map(line).collect();
    let (dir, origin) = promised(&whole);
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    let one = source.next(NonZeroUsize::MIN, usize::MAX).await.unwrap();
    assert!(matches!(one, Batch::Rows(rows) if rows.len() == 1));
    let changed: String = (1..=200).map(|n| line(if n == 150 { 999 } else { n })).collect();
    std::fs::write(path(&dir), changed).unwrap();
    let (given, error) = all(&mut source, origin.dataset().unwrap(), 1).await;
    assert!(
        given == 148 && matches!(error, Some(SourceError::Changed { item: 150, .. })),
        "{given}"
    );
}

/// A session that was begun before goes on with what it was begun with.
#[test]
fn what_was_promised_before_is_found_in_a_file_that_grew_and_in_no_other() {
    let (dir, origin) = promised(&lines(600));
    let dataset = origin.dataset().unwrap();
    let again = |committed, text: &str| {
        std::fs::write(path(&dir), text).unwrap();
        let file = File { path: path(&dir), format: Format::Lines, committed };
        Origin::File(file).committed_to(dataset, BYTES_MAX)
    };
    let grown = lines(900);
    for committed in [false, true] {
        assert_eq!(again(committed, &grown).unwrap().dataset(), Some(dataset));
    }
    let (now, _) = again(true, &grown).unwrap().stock(BYTES_MAX).unwrap();
    assert_eq!(now.committed_to(dataset, BYTES_MAX).unwrap().dataset(), Some(dataset));
    for other in [lines(599), grown.replace("reading 600\n", "reading 6OO\n")] {
        let error = again(true, &other).unwrap_err().to_string();
        assert!(error.contains("put the file back as it was, with `committed = true`"), "{error}");
    }
    let live = Origin::Stdin { when_slow: crate::source::WhenSlow::Wait };
    assert!(live.committed_to(dataset, BYTES_MAX).is_err());
}

/// Who writes the file is in the middle of its last line.
#[tokio::test]
async fn a_last_line_without_its_end_is_not_promised() {
    let texts = [
        (Format::Lines, "20.9\n21.", "3\n"),
        (Format::Lines, "20.9\r\n21.3\r", "\n"),
        (Format::Ndjson, "20.9\n{\"celsius\":", "21.3}\n"),
        (Format::Ndjson, "20.9\n21", ".3\n"),
        (Format::Csv, "celsius,at\n20.9,7\n21.", "3,8\n"),
        (Format::Csv, "celsius,at\n20.9,7\n21.3,8", "5\n"),
        (Format::Csv, "celsius,at\n20.9,7\n\"21\n", "\",8\n"),
    ];
    for (format, text, rest) in texts {
        println!("{format:?} {text:?}");
        let (dir, _) = promised("any\n");
        std::fs::write(path(&dir), text).unwrap();
        let file = File { path: path(&dir), format, committed: true };
        let (origin, count) = Origin::File(file.clone()).stock(BYTES_MAX).unwrap();
        assert_eq!(count, Some(1));
        std::fs::write(path(&dir), [text, rest].concat()).unwrap();
        let dataset = origin.dataset().unwrap();
        let (given, error) = all(&mut origin.open(BYTES_MAX, 0).unwrap(), dataset, 0).await;
        assert!(given == 1 && error.is_none(), "{given}: {error:?}");
        let again = Origin::File(file.clone()).committed_to(dataset, BYTES_MAX).unwrap();
        assert_eq!(again.dataset(), Some(dataset), "it only grew");
        assert_eq!(Origin::File(file).stock(BYTES_MAX).unwrap().1, Some(2));
    }
    let (dir, _) = promised("any\n");
    std::fs::write(path(&dir), "21.").unwrap();
    let file = File { path: path(&dir), format: Format::Lines, committed: true };
    assert!(Origin::File(file).stock(BYTES_MAX).is_err(), "there is no item yet");
}

#[test]
fn a_file_with_nothing_in_it_cannot_be_promised() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(path(&dir), "\n \n").unwrap();
    let file = File { path: path(&dir), format: Format::Lines, committed: true };
    let error = Origin::File(file).stock(BYTES_MAX).unwrap_err().to_string();
    assert!(error.contains("there is nothing to commit to"), "{error}");
}
