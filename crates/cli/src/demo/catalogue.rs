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
