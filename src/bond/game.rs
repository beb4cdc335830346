//! Every dispute as a tree: who moves, what each may do, what both have at the end. A tree is fair
//! where at each turn, also at those that fair play never comes to, the fair move is better for who
//! moves than any other, all later moves being fair. So nobody gains by a threat that it would not
//! carry out, nor by one cheat at any turn.
//!
//! Payoffs are beside those of a session that both play fair, which is nothing for both.

use super::{Bonds, Deal};

/// Who moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mover {
    /// The buyer.
    Buyer = 0,
    /// The seller.
    Seller = 1,
}

/// What both have more than after a fair session: the buyer, the seller.
pub type Payoff = [i128; 2];

/// A state of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// It is over.
    End(Payoff),
    /// Somebody moves.
    Turn {
        /// Who.
        mover: Mover,
        /// What it does if it plays fair; what it is called, and what follows.
        fair: (&'static str, Box<Node>),
        /// What else it can do.
        others: Vec<(&'static str, Node)>,
    },
}

use Mover::{Buyer, Seller};

impl Node {
    fn turn(
        mover: Mover,
        fair: (&'static str, Node),
        others: impl Into<Vec<(&'static str, Node)>>,
    ) -> Node {
        Node::Turn { mover, fair: (fair.0, Box::new(fair.1)), others: others.into() }
    }

    /// What both get when all who move from here on do what is best for them: backward induction.
    /// What is as good as the fair move is taken in its place.
    pub fn solve(&self) -> Payoff {
        match self {
            Node::End(payoff) => *payoff,
            Node::Turn { mover, fair, others } => {
                let mut best = fair.1.solve();
                for payoff in others.iter().map(|(_, node)| node.solve()) {
                    if payoff[*mover as usize] >= best[*mover as usize] {
                        best = payoff;
                    }
                }
                best
            }
        }
    }

    /// The first turn at which the fair move is not the best: who moves, and what is as good for it.
    pub fn temptation(&self) -> Option<(Mover, &'static str)> {
        let Node::Turn { mover, fair, others } = self else { return None };
        let below = others.iter().map(|(_, node)| node).chain([fair.1.as_ref()]);
        if let Some(found) = below.filter_map(Node::temptation).next() {
            return Some(found);
        }
        let worth = |node: &Node| node.solve()[*mover as usize];
        let best = others.iter().find(|(_, node)| worth(node) >= worth(&fair.1));
        best.map(|(what, _)| (*mover, *what))
    }
}

/// The amounts of a deal and its bonds, signed.
struct Sums {
    cheapest_demand: i128,
    demand: i128,
    pay: i128,
    refute: i128,
    complain: i128,
    show: i128,
    conclude: i128,
    buyer: i128,
    seller: i128,
    stake: i128,
    fee: i128,
}

impl Sums {
    /// All amounts fit the contract's 88 bits, so their sums fit here.
    fn new(deal: &Deal, bonds: &Bonds) -> Sums {
        Sums {
            cheapest_demand: signed(deal.cheapest_demand),
            demand: signed(deal.demand),
            pay: signed(deal.pay),
            refute: signed(deal.refute),
            complain: signed(deal.complain),
            show: signed(deal.show),
            conclude: signed(deal.conclude),
            buyer: signed(bonds.buyer.units()),
            seller: signed(bonds.seller.units()),
            stake: signed(bonds.stake.units()),
            fee: signed(bonds.fee.units()),
        }
    }

    /// What the other side gets of a lost bond: half, rounded up.
    fn kept(bond: i128) -> i128 {
        bond - bond / 2
    }
}

fn signed(amount: u128) -> i128 {
    i128::try_from(amount).unwrap_or(i128::MAX)
}

/// A buyer has items that cost `debt`, and pays or does not; the seller asks in public, rightly or
/// for what it has.
pub fn of_a_debt(deal: &Deal, bonds: &Bonds, debt: u128) -> Node {
    let (s, debt) = (Sums::new(deal, bonds), signed(debt));
    let won = Sums::kept(s.buyer) - debt - s.demand - s.conclude;
    let silent = Node::turn(
        Seller,
        ("ends it", Node::End([debt - s.buyer, won])),
        [("takes it back", Node::End([debt, -debt - s.demand]))],
    );
    let demanded = Node::turn(
        Buyer,
        ("pays at once", Node::End([-s.fee - s.pay, s.fee - s.demand])),
        [("stays silent", silent)],
    );
    let unpaid = Node::turn(
        Seller,
        ("asks in public", demanded),
        [("lets it go", Node::End([debt, -debt]))],
    );
    Node::turn(Buyer, ("pays", of_a_payment(&s)), [("does not pay", unpaid)])
}

/// The buyer has paid; the seller is content, or asks once more: with a receipt out, or without. When
/// it sees the receipt come it may still take its demand back in front of it, which is taken as free;
/// what the buyer's call costs then is taken as whole.
fn of_a_payment(s: &Sums) -> Node {
    let again = || Node::End([-s.fee - s.pay, s.fee - s.cheapest_demand]);
    let silent = || Node::End([-s.buyer, Sums::kept(s.buyer) - s.cheapest_demand]);
    let won = Sums::kept(s.seller) + s.stake - s.refute;
    let refuted = Node::End([won, -s.cheapest_demand - s.stake - s.seller]);
    let receipt = Node::turn(
        Seller,
        ("takes it back", Node::End([-s.refute, -s.cheapest_demand])),
        [("is refuted", refuted)],
    );
    // Either answer is fair: the buyer gives the one that costs it less.
    let answer = if s.refute < s.fee + s.pay {
        ("shows the receipt", receipt)
    } else {
        ("shows the voucher", again())
    };
    let receipted = Node::turn(Buyer, answer, [("stays silent", silent())]);
    let vouched = Node::turn(Buyer, ("shows the voucher", again()), [("stays silent", silent())]);
    Node::turn(
        Seller,
        ("is content", Node::End([0, 0])),
        [("asks for what it was paid", vouched), ("asks for what it receipted", receipted)],
    )
}

/// A seller delivers what it signed, or what brings it a window's price and contradicts what it
/// signed; the buyer complains, rightly or not.
pub fn of_an_item(deal: &Deal, bonds: &Bonds) -> Node {
    let (s, gain) = (Sums::new(deal, bonds), signed(deal.window));
    let lost = Sums::kept(s.seller) - s.complain - s.conclude;
    let sham = Node::turn(
        Seller,
        ("shows the item", Node::End([-s.complain - s.stake, s.stake - s.show])),
        [("stays silent", Node::End([lost, -s.seller]))],
    );
    let content =
        Node::turn(Buyer, ("is content", Node::End([0, 0])), [("complains of nothing", sham)]);
    let cheated = Node::turn(
        Buyer,
        ("complains", Node::End([lost - gain, gain - s.seller])),
        [("lets it go", Node::End([-gain, gain]))],
    );
    Node::turn(Seller, ("delivers what it signed", content), [("cheats", cheated)])
}

/// Whether both games are fair, and who plays fair has lost nothing wherever the other cheats and
/// does not give in.
pub fn is_fair(deal: &Deal, bonds: &Bonds) -> bool {
    let s = Sums::new(deal, bonds);
    let debts = [bonds.least_debt.units(), deal.credit];
    let are_whole = [
        Sums::kept(s.buyer) - signed(deal.credit) - s.demand - s.conclude,
        Sums::kept(s.seller) - signed(deal.window) - s.complain - s.conclude,
        Sums::kept(s.seller) + s.stake - s.refute,
        s.stake - s.show,
    ];
    are_whole.into_iter().all(|rest| rest >= 0)
        && of_an_item(deal, bonds).temptation().is_none()
        && debts.into_iter().all(|debt| of_a_debt(deal, bonds, debt).temptation().is_none())
}
