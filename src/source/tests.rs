//! Stories about sources, through the door that sessions use.

use super::*;
use std::path::Path;
use std::time::Duration;

const BYTES_MAX: usize = 1000;

fn at_most(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// A file with this text, and its folder.
fn file(format: Format, text: &str) -> (tempfile::TempDir, Origin) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, text).unwrap();
    (dir, Origin::File(File { path, format, committed: false }))
}

fn shell(script: &str) -> Command {
    Command {
        argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        dir: "/".into(),
        when_slow: WhenSlow::Wait,
    }
}

/// All that a source has, asked for in threes.
async fn all(source: &mut Source) -> Result<Vec<String>, SourceError> {
    let mut texts = Vec::new();
    while let Batch::Items(items) = source.next(at_most(3), usize::MAX).await? {
        assert!((1..=3).contains(&items.len()));
        texts.extend(items.iter().map(Item::to_string));
    }
    Ok(texts)
}

#[tokio::test]
async fn a_csv_record_becomes_one_json_object_with_strings() {
    let text = "date,\"co2 \"\"ppm\"\"\"\n1958-03-29,316.1\n\"a,\nb\",\u{e9}\n";
    let (_dir, origin) = file(Format::Csv, text);
    assert_eq!(origin.check(BYTES_MAX).unwrap(), Some(2));
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    let first = r#"{"date":"1958-03-29","co2 \"ppm\"":"316.1"}"#;
    let second = "{\"date\":\"a,\\nb\",\"co2 \\\"ppm\\\"\":\"\u{e9}\"}";
    assert_eq!(all(&mut source).await.unwrap(), [first, second]);
    assert_eq!(source.next(at_most(1), usize::MAX).await.unwrap(), Batch::End);
}

#[tokio::test]
async fn no_more_bytes_are_taken_at_once_than_there_is_room_for_and_one_item() {
    let (_dir, of_a_file) = file(Format::Lines, &"0123456789\n".repeat(9));
    let of_a_command = Origin::Command(shell("yes 0123456789 | head -n 9"));
    for origin in [of_a_file, of_a_command] {
        let mut source = origin.open(BYTES_MAX, 0).unwrap();
        let mut count = 0;
        while let Batch::Items(items) = source.next(at_most(100), 25).await.unwrap() {
            assert!(items.len() <= 3, "{} items of ten bytes", items.len());
            count += items.len();
        }
        assert_eq!(count, 9, "nothing is lost");
    }
}

#[tokio::test]
async fn ndjson_and_plain_lines_are_sold_as_they_stand() {
    let (_dir, origin) = file(Format::Ndjson, "{\"a\": 1}\r\n\n[2]\n3");
    assert_eq!(origin.check(BYTES_MAX).unwrap(), Some(3));
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    assert_eq!(all(&mut source).await.unwrap(), ["{\"a\": 1}", "[2]", "3"]);
    let (_dir, origin) = file(Format::Lines, " one\n\n \ntwo");
    assert_eq!(origin.check(BYTES_MAX).unwrap(), Some(2));
    assert_eq!(all(&mut origin.open(BYTES_MAX, 0).unwrap()).await.unwrap(), [" one", "two"]);
}

#[tokio::test]
async fn a_file_goes_on_where_a_session_stopped() {
    let (_dir, origin) = file(Format::Csv, "n\n1\n2\n3\n");
    let mut source = origin.open(BYTES_MAX, 2).unwrap();
    assert_eq!(all(&mut source).await.unwrap(), [r#"{"n":"3"}"#]);
    assert_eq!(
        origin.open(BYTES_MAX, 9).unwrap().next(at_most(1), usize::MAX).await.unwrap(),
        Batch::End
    );
    let live = Origin::Command(shell("true")).open(BYTES_MAX, 1).unwrap_err();
    assert!(matches!(live, SourceError::Gone { .. }), "{live}");
}

#[tokio::test]
async fn what_is_wrong_in_a_file_is_named_by_its_line() {
    let long = format!("n\n{}\n", "x".repeat(BYTES_MAX));
    let open_quote = format!("n\n\"{}", "x\n".repeat(200_000));
    let unfit = [
        (Format::Ndjson, "1\n\n{\"a\":\n", ":3: the line is not JSON"),
        (Format::Ndjson, "\"a\u{1}\"\n", ":1: the line is not JSON"),
        (Format::Lines, &long, ":2: an item is"),
        (Format::Csv, "a,b\n1,2\n3\n", ":3: CSV error"),
        (Format::Csv, "a,a\n", ":1: column 2 is called \"a\""),
        (Format::Csv, "a,\n", ":1: column 2 is called \"\""),
        (Format::Csv, "", "it has no header"),
        (Format::Csv, &long, ":2: an item is"),
        (Format::Csv, &open_quote, "is a quote not closed?"),
    ];
    for (format, text, expected) in unfit {
        // In plain lines the long line is one byte shorter, because no JSON is around it.
        let text = text.replace("n\nx", if format == Format::Lines { "n\nxx" } else { "n\nx" });
        let (dir, origin) = file(format, &text);
        let error = origin.check(BYTES_MAX).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(dir.path().to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn good_items_are_given_before_the_error_behind_them() {
    let (_dir, origin) = file(Format::Ndjson, "1\n2\nno\n");
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    assert!(
        matches!(source.next(at_most(9), usize::MAX).await.unwrap(), Batch::Items(i) if i.len() == 2)
    );
    assert!(source.next(at_most(9), usize::MAX).await.is_err());
}

#[test]
fn a_file_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let wrong = [
        (dir.path(), "no regular file"),
        (Path::new("/dev/zero"), "no regular file"),
        (&missing, "cannot open"),
    ];
    for (path, expected) in wrong {
        let origin =
            Origin::File(File { path: path.to_owned(), format: Format::Lines, committed: false });
        let error = origin.check(BYTES_MAX).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, b"\xff\n").unwrap();
    for format in [Format::Lines, Format::Ndjson] {
        let origin = Origin::File(File { path: path.clone(), format, committed: false });
        assert!(origin.check(BYTES_MAX).is_err());
    }
}

#[tokio::test]
async fn the_lines_of_a_program_are_items() {
    let mut source = Origin::Command(shell("echo one; echo two")).open(BYTES_MAX, 0).unwrap();
    assert_eq!(all(&mut source).await.unwrap(), ["one", "two"]);
}

#[tokio::test]
async fn a_program_that_fails_is_named_after_its_last_line() {
    let origin = Origin::Command(shell("echo one; exit 3"));
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    assert!(matches!(source.next(at_most(1), usize::MAX).await.unwrap(), Batch::Items(_)));
    let error = source.next(at_most(1), usize::MAX).await.unwrap_err().to_string();
    assert!(error.contains("\"sh\"") && error.contains("exit status: 3"), "{error}");
}

#[test]
fn a_program_that_does_not_exist_stays_off_the_menu() {
    for program in ["sdpp-no-such-program", "./missing", ""] {
        let mut command = shell("");
        command.argv = vec![program.to_owned()];
        let error = Origin::Command(command).check(BYTES_MAX).unwrap_err().to_string();
        assert!(error.contains("no such program"), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_lives_on_without_an_output_has_ended() {
    let origin = Origin::Command(shell("echo one; exec >&-; sleep 1000"));
    let mut source = origin.open(BYTES_MAX, 0).unwrap();
    assert_eq!(all(&mut source).await.unwrap(), ["one"]);
}

#[tokio::test]
async fn a_program_and_its_children_die_with_the_source() {
    let script = "sleep 1000 & echo $!; wait";
    let mut source = Origin::Command(shell(script)).open(BYTES_MAX, 0).unwrap();
    let Batch::Items(items) = source.next(at_most(1), usize::MAX).await.unwrap() else {
        panic!("the program printed nothing");
    };
    let child = format!("/proc/{}/stat", items[0]);
    let alive = || std::fs::read_to_string(&child).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(alive());
    drop(source);
    while alive() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn our_variables_stay_with_us() {
    let mut source = Origin::Command(shell("env")).open(BYTES_MAX, 0).unwrap();
    // The shell adds the last four by itself.
    let allowed = "PATH HOME USER LANG LC_ALL TZ TMPDIR PWD OLDPWD SHLVL _";
    for line in all(&mut source).await.unwrap() {
        let (name, _) = line.split_once('=').unwrap();
        assert!(allowed.split(' ').any(|other| other == name), "{line}");
    }
}

#[tokio::test]
async fn a_source_may_move_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (_dir, origin) = file(Format::Lines, "one\n");
    let mut source = is_send(origin.open(BYTES_MAX, 0).unwrap());
    is_send(source.next(at_most(1), usize::MAX)).await.unwrap();
}

#[tokio::test]
async fn standard_input_has_one_reader_at_a_time() {
    let origin = Origin::Stdin { when_slow: WhenSlow::Wait };
    let first = origin.open(BYTES_MAX, 0).unwrap();
    assert!(matches!(origin.open(BYTES_MAX, 0), Err(SourceError::Taken)));
    drop(first);
    assert!(origin.open(BYTES_MAX, 0).is_ok());
}

fn host(sensor: Sensor, when_slow: WhenSlow) -> Host {
    Host { sensor, interval: Duration::from_secs(1), when_slow }
}

#[tokio::test(start_paused = true)]
async fn every_sensor_reads_or_says_that_it_is_not_there() {
    let sensors = [
        (Sensor::CpuLoad, "cpu_load_percent"),
        (Sensor::Memory, "memory_used_bytes"),
        (Sensor::Network, "network_sent_bytes"),
        (Sensor::Temperature, "temperature_celsius"),
    ];
    for (sensor, key) in sensors {
        let origin = Origin::Host(host(sensor, WhenSlow::Skip));
        let mut source = match origin.open(BYTES_MAX, 0) {
            Ok(source) => source,
            Err(error) => {
                assert!(error.to_string().contains(sensor.name()), "{error}");
                continue;
            }
        };
        let Batch::Items(items) = source.next(at_most(9), usize::MAX).await.unwrap() else {
            panic!("a sensor has no end");
        };
        let value: serde_json::Value = serde_json::from_str(items[0].as_str()).unwrap();
        assert!(value[key].is_number(), "{value}");
        assert!(value["at"].as_str().unwrap().ends_with('Z'), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn readings_without_a_buyer_are_missed_or_put_off() {
    // From 0 s on a reading a second, and nobody asks between 1 s and 4.5 s.
    for (when_slow, missed, last_at_ms) in [(WhenSlow::Skip, 2, 5000), (WhenSlow::Wait, 0, 5500)] {
        let begin = tokio::time::Instant::now();
        let mut source = Source(Open::Host(host(Sensor::Memory, when_slow).open().unwrap()));
        source.next(at_most(1), usize::MAX).await.unwrap();
        tokio::time::advance(Duration::from_millis(3500)).await;
        source.next(at_most(1), usize::MAX).await.unwrap();
        source.next(at_most(1), usize::MAX).await.unwrap();
        assert_eq!(source.skipped(), missed, "{when_slow:?}");
        assert_eq!(begin.elapsed().as_millis(), last_at_ms, "{when_slow:?}");
    }
}

#[tokio::test]
async fn each_session_reads_a_file_from_its_beginning() {
    let (_dir, origin) = file(Format::Lines, "one\n");
    let (mut a, mut b) = (origin.open(9, 0).unwrap(), origin.open(9, 0).unwrap());
    assert_eq!(all(&mut a).await.unwrap(), ["one"]);
    assert_eq!(all(&mut b).await.unwrap(), ["one"]);
}
