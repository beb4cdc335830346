//! What a node's errors mean. One table, by their codes and texts: the codes alone are shared by
//! errors that mean opposite things. What is not known is no reason to believe anything.

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
const TABLE: [(i64, &str, Said); 12] = [
    (-32602, "Could not find the referenced transaction", Said::NotFound),
    (-32602, "Size limit exceeded", Said::TooLarge),
    (-32602, "Invalid params", Said::Malformed),
    (-32002, "is not available for consumption", Said::Stale),
    (-32002, "reserved for another transaction", Said::Locked),
    (-32002, "already locked by a different transaction", Said::Locked),
    (-32002, "Invalid user signature", Said::BadSignature),
    (-32002, "is lower than min", Said::Underpriced),
    (-32002, "under reference gas price", Said::Underpriced),
    (-32002, "Size limit exceeded", Said::TooLarge),
    (429, "", Said::Busy),
    (-32005, "Too many", Said::Busy),
];

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

    #[test]
    fn a_text_under_another_code_means_nothing() {
        assert_eq!(said(-32000, "Could not find the referenced transaction"), Said::Other);
        assert_eq!(said(-32002, "Could not find the referenced transaction"), Said::Other);
    }
}
