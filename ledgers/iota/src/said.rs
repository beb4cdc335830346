//! What a node's errors mean. One table, by their codes and texts: the codes alone are shared by
//! errors that mean opposite things. What is not known is no reason to believe anything.

use iota_sdk_types::ObjectId;

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The node has no such transaction, or none any more.
    NotFound,
    /// A coin is not there at the version that the transaction names. It was spent, or the node is
    /// behind: who tells which is the chain, not this error.
    Stale,
    /// A coin is promised to another transaction until the epoch ends.
    Locked,
    /// A signature is not its sender's over these bytes.
    BadSignature,
    /// The budget is less than any transaction costs now, or the price is too low now.
    Underpriced,
    /// It is larger than the network takes.
    TooLarge,
    /// These are no parameters of this question.
    Malformed,
    /// Too many questions.
    Busy,
    /// Anything else: an outage, until the node says something better.
    Other,
}

/// The table: a code, a part of the text, and what they mean. The first that fits counts.
const TABLE: [(i64, &str, Said); 14] = [
    (-32602, "Could not find the referenced transaction", Said::NotFound),
    (-32602, "Size limit exceeded", Said::TooLarge),
    (-32602, "Invalid params", Said::Malformed),
    (-32002, "is not available for consumption", Said::Stale),
    (-32002, "Could not find the referenced object", Said::Stale),
    (-32002, "Object deleted at reference", Said::Stale),
    (-32002, "reserved for another transaction", Said::Locked),
    (-32002, "already locked by a different transaction", Said::Locked),
    (-32002, "Invalid user signature", Said::BadSignature),
    (-32002, "is lower than min", Said::Underpriced),
    (-32002, "under reference gas price", Said::Underpriced),
    (-32002, "Size limit exceeded", Said::TooLarge),
    (429, "", Said::Busy),
    (-32005, "Too many", Said::Busy),
];

/// The object that an error names, the first one.
pub(crate) fn named(message: &str) -> Option<ObjectId> {
    let at = message.find("0x")?;
    message.get(at..at + 2 + 2 * ObjectId::LENGTH)?.parse().ok()
}

/// What an error means.
pub(crate) fn said(code: i64, message: &str) -> Said {
    let is_it = |(its, part, _): &&(i64, &str, Said)| *its == code && message.contains(part);
    TABLE.iter().find(is_it).map_or(Said::Other, |(_, _, said)| *said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::exchange;

    #[test]
    fn every_recorded_error_has_its_meaning() {
        let table = [
            ("16-execute-stale-object-version", Said::Stale),
            ("17-get-tx-unknown", Said::NotFound),
            ("18-get-tx-bad-digest", Said::Malformed),
            ("20-execute-bad-signature", Said::BadSignature),
            ("24-execute-budget-too-low", Said::Underpriced),
            ("25-execute-gasprice-too-low", Said::Underpriced),
            ("32-dryrun-record-16384B", Said::TooLarge),
            ("41-equivocation-a", Said::Locked),
            ("50-poll-checkpoint-0", Said::NotFound),
            ("67-method-not-found", Said::Other),
        ];
        for (name, meaning) in table {
            let error = &exchange(name)["response"]["error"];
            let (code, text) = (error["code"].as_i64(), error["message"].as_str());
            assert_eq!(said(code.unwrap(), text.unwrap()), meaning, "{name}");
        }
    }

    /// As the sources of nodes write it, of old and of today; none was recorded.
    #[test]
    fn a_coin_that_is_gone_is_stale_and_named() {
        let coin = format!("0x{}", "6a".repeat(32));
        let before = "Transaction execution failed due to issues with transaction inputs, please \
            review the errors and try again:\n- ";
        for words in [
            format!("Could not find the referenced object {coin} at version None"),
            format!("Could not find the referenced object {coin} at version Some(Version(3))"),
            format!("Object deleted at reference ObjectReference {{ object_id: {coin}, version"),
        ] {
            let message = format!("{before}{words}");
            assert_eq!(said(-32002, &message), Said::Stale, "{message}");
            assert_eq!(named(&message), coin.parse().ok(), "{message}");
        }
        let recorded = &exchange("16-execute-stale-object-version")["response"]["error"];
        let coin = "0x6ad5856e0d92aa7c7281f5ea416789dcb1e8e7bddfcfe37e13069d235bd62bd9";
        assert_eq!(named(recorded["message"].as_str().unwrap()), coin.parse().ok());
        for nothing in ["", "0x", "no object", &coin[..65], "0x\u{e9}"] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_text_under_another_code_means_nothing() {
        assert_eq!(said(-32000, "Could not find the referenced transaction"), Said::Other);
        assert_eq!(said(-32002, "Could not find the referenced transaction"), Said::Other);
    }
}
