//! The kernel programs of the datapath.
#![no_std]
#![no_main]
