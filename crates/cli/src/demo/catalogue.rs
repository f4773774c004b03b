//! What the shop sells.

use serde::{Deserialize, Serialize};

/// A product as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: u32,
    pub(crate) name: String,
    /// The price, in cents.
    pub(crate) cents: i64,
}

/// The names and first prices of all products. Their ids count from 0.
const PRODUCTS: [(&str, i64); 12] = [
    ("Plum jam", 450),
    ("Rye bread", 380),
    ("Olive oil", 1290),
    ("Sea salt", 290),
    ("Pickled beets", 420),
    ("Apple vinegar", 560),
    ("Wildflower honey", 890),
    ("Dried figs", 640),
    ("Hard cheese", 1540),
    ("Smoked paprika", 330),
    ("Buckwheat", 270),
    ("Elderflower syrup", 720),
];

/// All products at their first prices.
pub(crate) fn products() -> impl Iterator<Item = Product> {
    let product = |(id, (name, cents)): (usize, &(&str, i64))| Product {
        id: id as u32,
        name: (*name).to_owned(),
        cents: *cents,
    };
    PRODUCTS.iter().enumerate().map(product)
}

/// How many products there are.
pub(crate) const LEN: u32 = PRODUCTS.len() as u32;

/// The store's URL as it may be shown: without a password.
pub(crate) fn store_name(url: &str) -> String {
    // The URL of a Unix socket has it among its parameters.
    let (address, _) = url.split_once('?').unwrap_or((url, ""));
    match address.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split("://").next().unwrap_or_default();
            format!("{scheme}://…@{host}")
        }
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::store_name;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("memory:", "memory:"),
            ("redis://127.0.0.1:6379/2", "redis://127.0.0.1:6379/2"),
            ("redis://ann:sec@ret@host:6379", "redis://…@host:6379"),
            (
                "redis+unix:///run/r.sock?db=1&pass=sec@ret",
                "redis+unix:///run/r.sock",
            ),
            ("redis://:sec@ret@host?pass=secret", "redis://…@host"),
        ] {
            assert_eq!(store_name(url), shown);
        }
    }
}
