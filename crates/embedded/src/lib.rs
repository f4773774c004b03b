//! The engine with a home: a clock, a background thread, and the store's seam.
