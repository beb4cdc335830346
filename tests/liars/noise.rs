//! Those who send what is no message, or not as one is sent.

use crate::shop::{WINDOW, shop};
use crate::stranger::Stranger;
use std::fmt::Write;

/// What is no message, and how it is named: before there is an order, and to who has one.
fn noise() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let frame = |data: &str| {
        format!(r#"{{"message_type":"hello","data":{data},"signature":"","verification":""}}"#)
    };
    let deep = frame(&format!("{}0{}", "[".repeat(5_000), "]".repeat(5_000)));
    let digits = "9".repeat(400);
    let huge =
        [format!(r#"{{"versions":[],"encodings":[],"resume":{digits}}}"#), "1e999".to_owned()];
    let keys = (0..3_000).fold(String::new(), |mut keys, number| {
        write!(keys, "\"{number}\":0,\"{number}\":0,").unwrap();
        keys
    });
    let text = |text: String, code, says| (text.into_bytes(), code, says);
    vec![
        text(deep, "malformed", "recursion"),
        text(frame(&huge[0]), "malformed", ""),
        text(frame(&huge[1]), "malformed", ""),
        text(frame(&format!("{{{}\"end\":0}}", keys)), "malformed", "duplicate"),
        text("\0".repeat(100), "malformed", "frame"),
        text(frame("\"\0\""), "malformed", "frame"),
        text(String::new(), "malformed", "frame"),
        text("GET / HTTP/1.1".to_owned(), "malformed", "frame"),
        text("\u{feff}{}".to_owned(), "malformed", "frame"),
        (b"\xff\xfe\xc3\x28".to_vec(), "malformed", "utf-8"),
        (vec![0x16, 0x03, 0x01, 0x00, 0xf4], "malformed", "frame"),
    ]
}

#[test]
fn deep_json_huge_numbers_nul_and_bad_utf8_are_named_before_an_order() {
    shop().beside(|shop| {
        for (bytes, code, says) in noise() {
            let mut liar = Stranger::at(&shop.place.address);
            liar.say(&[bytes, b"\n".to_vec()].concat());
            liar.is_refused(code, says);
        }
    });
}

#[test]
fn deep_json_huge_numbers_nul_and_bad_utf8_are_named_in_a_session() {
    shop().beside(|shop| {
        for (bytes, code, says) in noise() {
            let mut liar = Stranger::served(&shop.place.address, "co2", Some(20));
            liar.takes(2);
            liar.say(&[bytes, b"\n".to_vec()].concat());
            liar.is_refused(code, says);
        }
    });
}

#[test]
fn a_frame_of_ten_megabytes_is_not_waited_for() {
    shop().beside(|shop| {
        let ten_megabytes = vec![b'x'; 10 << 20];
        let mut liar = Stranger::at(&shop.place.address);
        liar.say(&ten_megabytes);
        liar.hangs_up_on_too_much("longer than the 65536");
        let mut liar = Stranger::served(&shop.place.address, "co2", Some(20));
        liar.takes(2);
        liar.say(&ten_megabytes);
        liar.hangs_up_on_too_much("longer than the 1048576");
    });
}

/// Slow in all that it does, and no liar: it gets what it ordered.
#[test]
fn who_reads_and_writes_byte_by_byte_is_served_like_anybody() {
    shop().beside(|shop| {
        let mut slow = Stranger::at(&shop.place.address);
        let order = slow.order(|_| ());
        order.iter().for_each(|byte| slow.say(&[*byte]));
        assert_eq!(slow.sips().kind, "session_key");
        for seq in 1..WINDOW {
            assert_eq!(slow.sips().data["seq"], serde_json::json!(seq));
        }
        assert_eq!(slow.sips().kind, "data_invoice");
    });
}
