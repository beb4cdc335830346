//! What `sdpp init` writes: the very files in `config/`, so examples and templates cannot differ.

/// A commented config for a seller.
pub const SELLER: &str = include_str!("../../config/seller.toml");

/// A commented config for a buyer.
pub const BUYER: &str = include_str!("../../config/buyer.toml");

/// Where the seller's config finds the data that it sells, relative to the config, and the data.
pub const DATA: (&str, &str) =
    ("data/mauna-loa-co2.csv", include_str!("../../config/data/mauna-loa-co2.csv"));
