//! Tower middleware on a store: rate limits.
