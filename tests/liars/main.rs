//! A campaign of liars. Each lies to a real program, beside which an honest session of real programs runs
//! and must not notice: `shop.rs` sees to that, `relay.rs` and `stranger.rs` are the liars' mouths. What each
//! lie is told by, here, and where a word for word case of it stands elsewhere:
//!
//! | lie | here | elsewhere |
//! |---|---|---|
//! | replayed hello | `buyers::a_hello_that_is_said_again_and_again_is_answered_three_times` | |
//! | replayed menu | `sellers::a_menu_that_was_shown_to_somebody_else_sells_nothing`, `sellers::a_menu_that_was_good_yesterday_is_not_ordered_from` | `session::liars::an_expired_menu_is_not_sold_from` |
//! | replayed order | `buyers::an_order_that_is_replayed_on_another_connection_buys_nothing`, `buyers::an_order_that_is_said_twice_ends_its_own_session` | |
//! | replayed data | `sellers::an_item_that_is_replayed_is_taken_once` | |
//! | replayed ack | `buyers::an_ack_that_is_replayed_says_nothing_new_and_an_older_one_is_a_lie`, `buyers::an_ack_of_another_session_is_no_ack_of_this_one` | |
//! | replayed voucher | `vouchers::a_voucher_that_is_said_again_pays_nothing_more`, `vouchers::a_voucher_of_another_buyer_is_no_money` | `dispute::table::a_voucher_of_before_is_worth_nothing_again` |
//! | replayed resume | `resumes::who_replays_a_buyers_word_to_go_on_or_says_it_in_its_own_name_moves_no_session`, `resumes::who_answers_with_an_earlier_key_is_not_taken_for_the_seller` | `session::cuts::the_old_line_yields_to_nobody_who_is_not_its_buyer` |
//! | a relayed menu of another seller | `sellers::the_menu_of_another_seller_is_not_believed` | `session::liars::a_buyer_takes_no_menu_that_is_not_its_sellers` |
//! | downgrade | `buyers::who_wants_an_older_version_gets_none`, `sellers::a_menu_of_an_older_version_is_not_ordered_from`, `sellers::who_stands_between_the_two_takes_no_signature_off_their_items` | `market::tls::who_speaks_in_the_clear_to_a_seller_under_tls_is_told_so` |
//! | swapped keys | `buyers::keys_that_are_swapped_or_equal_buy_nothing`, `sellers::a_session_key_of_somebody_else_or_of_another_session_opens_nothing`, `sellers::a_session_key_that_opens_nothing_or_of_another_epoch_is_refused` | |
//! | equal keys | `buyers::who_has_the_sellers_key_too_cannot_buy_with_it`, `sellers::a_seller_with_its_buyers_own_key_is_not_ordered_from` | `session::liars::equal_keys_on_both_sides_are_refused` |
//! | ack beyond what was sent | `buyers::an_ack_of_what_was_not_sent_is_a_lie` | `session::liars::an_ack_of_items_never_sent_or_with_another_digest_is_refused` |
//! | digest that lies | `buyers::an_ack_with_another_digest_is_a_lie`, `sellers::a_seller_whose_digest_lies_is_convicted_by_the_items_that_it_signed` | the same |
//! | voucher lower | `vouchers::a_voucher_of_less_than_is_owed_is_refused` | `session::liars::a_voucher_that_gives_less_or_is_anothers_is_refused` |
//! | voucher equal | `vouchers::a_voucher_that_is_said_again_pays_nothing_more` | |
//! | voucher beyond the deposit | `vouchers::a_voucher_beyond_the_deposit_is_refused`, `vouchers::a_voucher_of_more_than_is_owed_is_refused` | `session::raised::a_voucher_that_no_deposit_ever_covers_is_bad_payment` |
//! | voucher for another channel | `vouchers::a_voucher_for_another_channel_is_no_money` | |
//! | a channel for two sessions at once | `vouchers::a_channel_pays_for_one_session_at_a_time`, `vouchers::a_channel_cannot_be_ordered_on_below_what_was_vouched_on_it` | |
//! | payment by another session's tx | `buyers::a_payment_of_another_session_pays_nothing_here`, `payments::who_names_a_strangers_payment_first_keeps_nobody_from_paying_with_it`, `buyers::a_payment_that_no_ledger_has_pays_nothing`, `buyers::a_payment_of_less_or_of_another_window_pays_nothing` | `session::liars::a_payment_used_twice_pays_once` |
//! | seller that invoices twice | `sellers::an_invoice_that_is_said_twice_is_paid_once`, `sellers::a_second_invoice_under_the_same_number_convicts_its_seller` | `dispute::table::two_invoices_with_one_number_are_named_and_the_buyer_owes_for_none_of_it` |
//! | seller that skips | `sellers::a_seller_that_skips_an_item_is_not_paid_for_it`, `sellers::items_that_come_in_another_order_are_refused` | |
//! | seller that reprices | `sellers::a_seller_that_reprices_is_convicted_by_its_own_invoice`, `sellers::a_final_receipt_that_lies_is_refused` | `session::liars::an_invoice_that_asks_for_anything_else_is_not_paid` |
//! | seller that never sends | `silence::a_seller_that_falls_silent_is_not_waited_for_in_any_state` | |
//! | seller that sells what is not of its dataset | `sellers::a_path_that_leads_nowhere_convicts_a_seller_that_promised_a_dataset` | `session::datasets`, `dispute::datasets` |
//! | seller that sends garbage | `sellers::garbage_in_the_place_of_an_item_is_not_paid_for`, `sellers::a_seller_that_sends_what_is_no_message_is_left` | |
//! | buyer that never acks; acks and never pays; half-open | `silence::a_buyer_that_falls_silent_is_not_waited_for_in_any_state`, `resumes::who_answers_nothing_on_another_line_does_not_hold_the_session_up`, `vouchers::who_vouches_nothing_is_sent_no_more_than_its_credit`, `backlog::takers_that_never_acknowledge_hold_no_more_than_all_may` | `session::patience` |
//! | buyer that vanishes at each message | `buyers::who_vanishes_at_any_message_takes_its_own_session_with_it` | |
//! | 1,000 bare connects, slow drip, one-byte reads | `silence::a_buyer_that_falls_silent_is_not_waited_for_in_any_state`, `noise::who_reads_and_writes_byte_by_byte_is_served_like_anybody` | `market::crowds::a_crowd_that_connects_drips_and_sips_is_bounded_and_honest_sessions_do_not_notice` |
//! | a frame of 10 MB | `noise::a_frame_of_ten_megabytes_is_not_waited_for`, `sellers::a_seller_that_sends_what_is_no_message_is_left` | |
//! | deep JSON, huge numbers, NUL, bad UTF-8 | `noise::deep_json_huge_numbers_nul_and_bad_utf8_are_named_before_an_order`, `noise::deep_json_huge_numbers_nul_and_bad_utf8_are_named_in_a_session` | `session::liars::a_frame_that_is_no_message_ends_the_session_with_a_word_for_it` |

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod backlog;
mod buyers;
mod frame;
mod noise;
mod payments;
#[allow(dead_code, reason = "shared with the stories of the market, which use more of it")]
#[path = "../market/place.rs"]
mod place;
mod relay;
mod resumes;
mod sellers;
mod shop;
mod silence;
mod stranger;
mod vouchers;
