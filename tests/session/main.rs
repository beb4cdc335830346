//! Stories of one session, both sides, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod amends;
mod amends_lied;
mod bonded;
mod brakes;
mod channels;
mod channels_shown;
mod choosing;
mod counting;
mod credit;
mod cuts;
mod datasets;
mod doors;
mod killed_buyer;
mod legs;
mod legs_random;
mod liars;
mod line;
mod lying_seller;
mod money;
mod paces;
mod pair;
mod patience;
mod prices;
mod properties;
mod raised;
mod rates;
mod redeeming;
mod restarts;
mod stories;
mod strangers;
mod together;
mod trust;
mod voids;
mod voids_lied;
