//! Everything teams reach for Redis for, from one store that starts inside the process.
