//! Size and offset of every layout: a change here is a new ABI version.

use std::mem::{align_of, offset_of, size_of};

use egret_shared::{
    ABI_VERSION, Address, Config, CtEntry, CtKey, Endpoint, FlowRecord, IpcacheEntry, PACKET_BYTES,
    PolicyEntry, PolicyKey, ServiceEntry, ServiceKey,
};

/// Checks size and alignment, that fields follow each other at these offsets, and that nothing lies between
/// them or after the last.
macro_rules! layout {
    ($name:ident, $size:literal, $align:literal, { $($field:ident: $kind:ty = $offset:literal),+ $(,)? }) => {
        assert_eq!(size_of::<$name>(), $size, stringify!($name));
        assert_eq!(align_of::<$name>(), $align, stringify!($name));
        let mut end = 0;
        $(
            assert_eq!(offset_of!($name, $field), $offset, concat!(stringify!($name), ".", stringify!($field)));
            assert_eq!(end, $offset, concat!("padding before ", stringify!($name), ".", stringify!($field)));
            end += size_of::<$kind>();
        )+
        assert_eq!(end, $size, concat!("padding after ", stringify!($name)));
    };
}

#[test]
fn layouts_of_abi_version_1() {
    assert_eq!(ABI_VERSION, 1);
    assert_eq!((size_of::<Address>(), align_of::<Address>()), (16, 4));
    layout!(CtKey, 40, 4, {
        client: Address = 0, server: Address = 16, client_port: [u8; 2] = 32, server_port: [u8; 2] = 34,
        protocol: u8 = 36, side: u8 = 37, pad: u16 = 38,
    });
    layout!(CtEntry, 32, 8, {
        deadline: u64 = 0, nat_address: Address = 8, nat_port: [u8; 2] = 24, flags: u16 = 26, rule: u32 = 28,
    });
    layout!(Endpoint, 48, 4, {
        id: u32 = 0, identity: u32 = 4, policy: [u32; 2] = 8, ipv4: Address = 16, ipv6: Address = 32,
    });
    layout!(IpcacheEntry, 4, 4, { identity: u32 = 0 });
    layout!(Config, 16, 8, { abi: u32 = 0, flags: u32 = 4, clock_offset: u64 = 8 });
    layout!(PolicyKey, 12, 4, {
        policy: u32 = 0, identity: u32 = 4, protocol: u8 = 8, port: [u8; 2] = 9, pad: u8 = 11,
    });
    layout!(PolicyEntry, 12, 4, {
        precedence: u32 = 0, rule: u32 = 4, action: u8 = 8, proxy: u8 = 9, prefix: u8 = 10, pad: u8 = 11,
    });
    layout!(ServiceKey, 24, 4, {
        address: Address = 0, port: [u8; 2] = 16, protocol: u8 = 18, pad: u8 = 19, slot: u32 = 20,
    });
    layout!(ServiceEntry, 20, 4, { address: Address = 0, port: [u8; 2] = 16, count: u16 = 18 });
    layout!(FlowRecord, 256, 8, {
        time: u64 = 0, ifindex: u32 = 8, endpoint: u32 = 12, verdict: i32 = 16, rule: u32 = 20,
        source_identity: u32 = 24, destination_identity: u32 = 28, hash: u32 = 32, length: u32 = 36,
        direction: u8 = 40, status: u8 = 41, match_type: u8 = 42, flags: u8 = 43, captured: u16 = 44,
        service_port: [u8; 2] = 46, service: Address = 48, packet: [u8; PACKET_BYTES] = 64,
    });
}

#[test]
fn prefixes_of_policy_keys_end_at_fields() {
    assert_eq!(PolicyKey::PREFIX_ANY, 8 * offset_of!(PolicyKey, protocol) as u32);
    assert_eq!(PolicyKey::PREFIX_PROTOCOL, 8 * offset_of!(PolicyKey, port) as u32);
    assert_eq!(PolicyKey::PREFIX_FULL, 8 * offset_of!(PolicyKey, pad) as u32);
}
