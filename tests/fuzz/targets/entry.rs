#![no_main]

#[path = "../checks.rs"]
#[allow(dead_code, reason = "the other targets' checks stand beside this one's")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::entry(bytes));
