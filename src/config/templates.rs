//! What `sdpp init` writes: the very files in `config/`, so examples and templates cannot differ.
//! And the lines in them that it fills in.

/// A commented config for a seller.
pub const SELLER: &str = include_str!("../../config/seller.toml");

/// A commented config for a buyer.
pub const BUYER: &str = include_str!("../../config/buyer.toml");

/// Where the seller's config finds the data that it sells, relative to the config, and the data.
pub const DATA: (&str, &str) =
    ("data/mauna-loa-co2.csv", include_str!("../../config/data/mauna-loa-co2.csv"));

/// The line in both that says what opens the keystore.
pub const PASSWORD: &str = "password = \"env:SDPP_PASSWORD\"";

/// Where the seller's config listens.
pub const SELLER_ADDRESS: &str = "127.0.0.1:9620";

/// The line of the buyer's config where a known seller would stand.
pub const KNOWN_SELLER: &str = "# \"127.0.0.1:9620\" = \"0x02...\"";
