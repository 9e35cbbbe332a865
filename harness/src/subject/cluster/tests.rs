//! The subject against a scripted API server.
