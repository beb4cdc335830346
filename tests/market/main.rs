//! Stories through the real program: a ledger that is served, a seller and buyers, each a process
//! of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "ethereum")]
mod anvil;
#[cfg(feature = "ethereum")]
mod bench;
#[cfg(feature = "fabric")]
mod bench_fabric;
mod bench_here;
#[cfg(feature = "iota")]
mod bench_iota;
mod books;
#[cfg(feature = "ethereum")]
mod chain;
mod channels;
mod crash;
mod credits;
mod crowds;
mod datasets;
#[cfg(feature = "ethereum")]
mod dispute;
#[cfg(feature = "fabric")]
#[path = "../../ledgers/fabric/tests/rig/double.rs"]
mod double;
mod each_write;
mod ending;
mod exposure;
#[cfg(all(feature = "ethereum", feature = "fabric"))]
mod fabric;
mod failing_over;
mod full;
#[cfg(feature = "ethereum")]
#[path = "../../examples/vanishing_buyer/gate.rs"]
mod gate;
#[cfg(feature = "fabric")]
#[path = "../../ledgers/fabric/tests/rig/gateway.rs"]
mod gateway;
mod health;
mod interrupted;
#[cfg(all(feature = "ethereum", feature = "iota"))]
mod iota;
#[cfg(feature = "iota")]
mod iota_network;
#[cfg(feature = "ethereum")]
mod killed;
mod lines;
#[cfg(feature = "fabric")]
mod network;
mod offers;
mod place;
#[allow(dead_code, reason = "shared with the tests of what asks it, which use more of it")]
#[cfg(feature = "rates-http")]
mod prices;
#[cfg(feature = "ethereum")]
#[path = "../../ledgers/ethereum/tests/rig/proxy.rs"]
#[allow(dead_code, reason = "shared with the tests of the ledger, which use more of it")]
mod proxy;
mod prune;
#[cfg(feature = "rates-http")]
mod rates;
mod reclaim;
mod redeeming;
mod relay;
#[cfg(feature = "ethereum")]
mod reorg;
mod restarts;
mod restoring;
#[cfg(feature = "ethereum")]
mod settling;
#[cfg(all(feature = "ethereum", any(feature = "fabric", feature = "iota")))]
mod shop;
mod spending;
mod stage;
mod storm;
#[cfg(feature = "tls")]
mod tls;
mod trade;
mod trust;
mod watch;
#[cfg(all(feature = "ethereum", feature = "fabric", feature = "iota"))]
mod whole;
