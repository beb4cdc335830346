//! Credit notes over processes: a person at the seller's, a person at the buyer's, and a session
//! that goes on meanwhile.

use crate::place::*;
use serde_json::Value;
use std::process::{Child, Command, Stdio};

/// `sdpp dispute` and what follows, asked of the side whose journal it is.
fn dispute(place: &Place, side: &str, session: &str, words: &[&str]) -> Command {
    let mut command = sdpp();
    command.args(["dispute", words[0], session]).args(&words[1..]);
    command.arg("--journal").arg(place.journal(side));
    command
}

fn answer(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert_done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The session that a buyer's process runs, by its own word.
fn session(place: &Place) -> String {
    let mut list = sdpp();
    list.args(["journal", "list", "sessions", "--json", "--journal"]).arg(place.journal("buyer"));
    let output = list.output().unwrap();
    assert_done(&output);
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    line["id"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn complain(place: &Place, session: &str, item: &str) -> Child {
    let mut ask = dispute(place, "buyer", session, &["ask", "--item", item, "--reason", "wrong"]);
    ask.arg("--items").arg(place.items("buyer")).stdout(Stdio::piped()).stderr(Stdio::piped());
    ask.spawn().unwrap()
}

/// What the seller's status shows that a buyer asks for, once it does.
fn asked(place: &Place) -> Value {
    loop {
        let status = place.status();
        if let Some(ask) = status["asks"].as_array().unwrap().first() {
            return ask.clone();
        }
    }
}

#[test]
fn items_are_credited_while_the_session_runs_and_both_audits_say_so() {
    for methods in ["[\"transfer\"]", "[\"escrow\"]"] {
        let mut place = Place::open(Setting { methods, ..Setting::default() });
        place.buyer("buyer", 100_000);
        let buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
        while place.lines("buyer") < 10 {
            std::thread::yield_now();
        }
        let session = session(&place);
        let words = ["credit", "--items", "3,4", "--reason", "late"];
        let note = answer(&mut dispute(&place, "seller", &session, &words));
        assert_eq!((&note["state"], &note["amount"]), (&"agreed".into(), &"6".into()), "{note}");

        let complaint = complain(&place, &session, "5");
        let ask = asked(&place);
        assert_eq!((&ask["item"], &ask["amount"]), (&5.into(), &"3".into()), "{ask}");
        let words = ["credit", "--ask", "1", "--items", "5", "--reason", "wrong"];
        let granted = answer(&mut dispute(&place, "seller", &session, &words));
        assert_eq!(granted["state"], "agreed", "{granted}");
        let told = complaint.wait_with_output().unwrap();
        assert_done(&told);
        let told = String::from_utf8(told.stdout).unwrap();
        assert!(told.contains("3 credited, signed by both, netted from item"), "{told}");

        let complaint = complain(&place, &session, "6");
        asked(&place);
        let words = ["credit", "--decline", "2", "--why", "it is true"];
        assert_eq!(answer(&mut dispute(&place, "seller", &session, &words))["state"], "declined");
        let told = complaint.wait_with_output().unwrap();
        assert_eq!(told.status.code(), Some(1));
        let told = String::from_utf8(told.stdout).unwrap();
        assert!(told.contains("refused: it is true"), "{told}");

        // Who asks the wrong side, or for another session, is told where to go.
        let stranger = format!("0x{}", "ab".repeat(32));
        let items = place.items("buyer").to_str().unwrap().to_owned();
        let words = ["ask", "--item", "7", "--reason", "late", "--items", &items];
        let credit = ["credit", "--items", "7", "--reason", "late"];
        for (side, session, words, next) in [
            ("seller", &session, &words[..], "a running `sdpp buy` answers `sdpp dispute ask`"),
            ("buyer", &session, &credit[..], "a running `sdpp sell` answers"),
            ("buyer", &session, &credit[..], "and either `sdpp journal backup`"),
            (
                "buyer",
                &stranger,
                &words[..],
                "does not run here, so no window follows to net a credit in: `sdpp",
            ),
        ] {
            let (code, why) = crate::place::told(&mut dispute(&place, side, session, words));
            assert!(code == 1 && why.contains(next), "{code}: {why}");
        }

        // What is credited is netted once its window is invoiced.
        let netted = usize::try_from(granted["from_seq"].as_u64().unwrap()).unwrap() + 20;
        while place.lines("buyer") < netted {
            std::thread::yield_now();
        }
        buyer.signal("INT");
        assert!({ buyer }.wait().success());
        let words = ["credit", "--items", "3", "--reason", "late"];
        let (code, late) = crate::place::told(&mut dispute(&place, "seller", &session, &words));
        assert!(code == 1 && late.contains("`sdpp dispute bundle`"), "{code}: {late}");
        place.close();
        let (sold, bought) = (place.audit("seller").remove(0), place.audit("buyer").remove(0));
        for statement in [&sold, &bought] {
            assert_eq!(
                (&statement["credited"], &statement["credit_left"]),
                (&"9".into(), &"0".into())
            );
            assert_eq!(statement["outstanding"], "0", "{statement}");
            assert_eq!(statement["problems"], serde_json::json!([]));
        }
        let items = sold["items_delivered"].as_u64().unwrap();
        assert_eq!(place.balance("seller"), u128::from(items) * 3 - 9);
    }
}
