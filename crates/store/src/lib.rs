//! The seam between what uses a store and what is one: commands, values, scripts, keys.
