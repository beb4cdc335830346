//! Stories of digests that nobody can rewrite.

use super::*;

/// One digest and a root of many are found where they were put, and nothing else is.
pub async fn anchors_are_found(rig: &dyn Rig) {
    let ledger = rig.payer();
    let Some(records) = ledger.records() else {
        return;
    };
    let (reference, digest) = (Reference(fresh()), Digest(fresh()));
    let one = Anchor::One { reference, digest };
    let root = Anchor::Root { root: Digest(fresh()), count: 3 };
    for anchor in [&one, &root] {
        let number = answered(ledger.next_number().await);
        let signed = answered(records.anchor(number, anchor).await);
        let tx = answered(ledger.submit(&signed).await);
        let signed = Signed { tx: Some(tx.clone()), ..signed };
        outcome(rig, ledger, &signed).await;
        let found = answered(records.anchored(&tx, anchor).await);
        let Finality::Final(evidence) = found else {
            panic!("{anchor:?} is not found: {found:?}");
        };
        assert_eq!(evidence.amount, Amount::ZERO, "an anchor pays nobody");
        holds_nothing_else(records, &tx, reference, digest).await;
    }
}

async fn holds_nothing_else(
    records: &dyn Records,
    tx: &TxId,
    reference: Reference,
    digest: Digest,
) {
    let others = [
        Anchor::One { reference, digest: Digest(fresh()) },
        Anchor::One { reference: Reference(fresh()), digest },
        Anchor::Root { root: digest, count: 1 },
    ];
    for other in &others {
        let answer = records.anchored(tx, other).await;
        let refused = matches!(answer, Err(LedgerError::Refused { .. }));
        assert!(refused, "{tx} does not hold {other:?}, yet: {answer:?}");
    }
}
