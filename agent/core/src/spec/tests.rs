//! What documents mean, and which are refused with which words.
