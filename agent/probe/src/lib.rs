//! Clients and servers inside pods.
