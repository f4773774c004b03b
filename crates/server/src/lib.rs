//! Sockets around the engine: any Redis client can use it.
