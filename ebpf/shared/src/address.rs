//! An IPv4 or IPv6 address as every map stores it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Sixteen bytes in network order; IPv4 stands in its mapped form (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2).
///
/// One layout for both families keeps one map per purpose. Aligned to four bytes so that the kernel side
/// copies words.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// Number of prefix bits that stand before an IPv4 prefix: a `/24` is stored as a `/120`.
    pub const V4_PREFIX: u32 = 96;

    /// The mapped form of four IPv4 bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// Whether this is the mapped form of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let [first, second, third, _] = self.words();
        first == 0 && second == 0 && third == u32::from_ne_bytes([0, 0, 0xff, 0xff])
    }

    /// The four IPv4 bytes in network order; meaningful only for a mapped address.
    #[inline(always)]
    #[must_use]
    pub const fn v4_octets(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }

    /// Four words of the machine's, as the kernel's structures have them: their bytes are in network order.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0;
        [
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ]
    }

    /// The standard library's type; a mapped address becomes IPv4.
    #[must_use]
    pub const fn to_ip(&self) -> IpAddr {
        Ipv6Addr::from_octets(self.0).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Self::v4(ip.octets())
    }
}
