//! Steps that come rarely, each with a process that dies just there.

use crate::ledgered::Ledgered;
use crate::rig::Anvil;
use crate::side::{Moment, Side};
use crate::weather::Node;
use crate::{Asset, Call, Transfer, World, fresh, rig};
use sdpp::journal::Write;
use sdpp::journal::obligation::State;
use sdpp::journal::outbox::Step;
use sdpp_ledger::{Amount, Reference};
use serde_json::json;

const MOMENTS: [Moment; 3] = [Moment::BeforeItAsks, Moment::BeforeItWrites, Moment::AfterItWrote];

/// A payment that its chain has, and puts in no block: the price went up.
async fn stuck(world: &mut World) -> Reference {
    let (to, reference) = (rig::account(4), fresh(1));
    let (asset, amount) = (Asset::coin(), Amount::new(1_000));
    world.payer.owe(reference, Call::Transfer(Transfer { to, asset, amount, reference }));
    while world.payer.payments_made().is_empty() || !is_sent(&world.payer) {
        turn(world).await;
    }
    dear(world.node.anvil()).await;
    reference
}

/// A block that costs more than was offered, 20 gwei, and shows that the next will too.
async fn dear(anvil: &Anvil) {
    anvil.ask("anvil_setNextBlockBaseFeePerGas", json!(["0x4a817c800"])).await;
    anvil.mine(1).await;
}

fn is_sent(side: &Side) -> bool {
    use sdpp::journal::delivery::State;
    side.deliveries().iter().all(|row| matches!(row.state, State::Sent))
}

async fn turn(world: &mut World) {
    world.payer.turn(&mut world.dice, &world.roads, true).await;
}

/// Turns until the process has died, and comes back.
async fn until_it_dies(world: &mut World, is_at: fn(&Step) -> bool, moment: Moment) {
    world.payer.doom = Some((is_at, moment));
    for _ in 0..40 {
        turn(world).await;
        if world.payer.doom.is_none() {
            return;
        }
        world.payer.wait(1_000);
    }
    let rows: Vec<_> =
        world.payer.deliveries().into_iter().map(|row| (row.state, row.again)).collect();
    panic!("it never came to that, {moment:?}: {rows:?} {}", world.payer.now());
}

/// Blocks until nothing is owed any more; then books and chain agree.
async fn settle(world: &mut World) {
    for _ in 0..200 {
        if world.payer.is_settled() {
            return;
        }
        turn(world).await;
        world.node.anvil().mine(1).await;
    }
    panic!("never settled: {}", world.payer.now());
}

fn state(world: &World) -> State {
    world.payer.obligations().remove(0).state
}

#[tokio::test]
async fn a_process_that_dies_while_it_raises_a_fee_pays_once() {
    for moment in MOMENTS {
        let Some(node) = Node::start().await else { return };
        let mut world = World::begin(node, 7).await;
        let first = world.node.anvil().height().await;
        let reference = stuck(&mut world).await;
        until_it_dies(&mut world, |step| matches!(step, Step::Raise { .. }), moment).await;
        let is_raised = world.payer.raises();
        assert_eq!(is_raised, usize::from(moment == Moment::AfterItWrote), "{moment:?}");
        // And once more, with the raised bytes on their way.
        for _ in 0..40 {
            if world.payer.raises() > 0 {
                break;
            }
            turn(&mut world).await;
            world.payer.wait(1_000);
        }
        assert!(world.payer.raises() > 0, "{moment:?}: it is raised after all");
        until_it_dies(&mut world, |step| matches!(step, Step::Submit { .. }), moment).await;
        settle(&mut world).await;
        assert!(matches!(state(&world), State::Met { .. }), "{moment:?}");
        let chain = Ledgered::read(world.node.anvil(), first).await;
        chain.check_side(&world.payer).await;
        assert_eq!(chain.carrying(world.payer.account(), &reference.0), 1);
    }
}

#[tokio::test]
async fn a_process_that_dies_while_it_cancels_pays_once_or_not_at_all() {
    for moment in MOMENTS {
        let Some(node) = Node::start().await else { return };
        let mut world = World::begin(node, 7).await;
        let first = world.node.anvil().height().await;
        let reference = stuck(&mut world).await;
        world.payer.write(Write::Cancel { reference });
        until_it_dies(&mut world, |step| matches!(step, Step::Cancel { .. }), moment).await;
        until_it_dies(&mut world, |step| matches!(step, Step::Submit { .. }), moment).await;
        settle(&mut world).await;
        let chain = Ledgered::read(world.node.anvil(), first).await;
        let times = usize::from(matches!(state(&world), State::Met { .. }));
        assert_eq!(chain.carrying(world.payer.account(), &reference.0), times, "{moment:?}");
        chain.check_ends(&world.payer, 1);
    }
}
