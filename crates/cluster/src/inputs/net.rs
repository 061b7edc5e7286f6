//! IPv4 networks: as much arithmetic as the rules need.

use std::{fmt, net::Ipv4Addr};

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    first: u32,
    length: u8,
}

/// Why a text is no network.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotNet {
    /// It is not of the form at all.
    Form,
    /// It is an address in this network.
    HostBits(Net),
}

impl Net {
    pub(crate) fn parse(text: &str) -> Result<Self, NotNet> {
        let (address, length) = text.split_once('/').ok_or(NotNet::Form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| NotNet::Form)?;
        let plain =
            length.bytes().all(|b| b.is_ascii_digit()) && !(length.len() > 1 && length.starts_with('0'));
        let length: u8 = length.parse().ok().filter(|length| plain && *length <= 32).ok_or(NotNet::Form)?;
        let net = Self { first: address.to_bits() & mask(length), length };
        if net.first == address.to_bits() { Ok(net) } else { Err(NotNet::HostBits(net)) }
    }

    pub(crate) fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first)
    }

    pub(crate) fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first | !mask(self.length))
    }

    pub(crate) fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.length) == self.first
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }

    /// The nth address, if there is one.
    pub(crate) fn nth(self, n: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.first.checked_add(n)?);
        self.contains(address).then_some(address)
    }

    /// Whether an address is the network's own or everybody's in it.
    pub(crate) fn is_edge(self, address: Ipv4Addr) -> bool {
        self.length < 31 && (address == self.first() || address == self.last())
    }

    /// The hosts, up to a bound: the rules look for one that is free.
    pub(crate) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        (1..4096).map_while(move |n| self.nth(n)).filter(move |address| !self.is_edge(*address))
    }
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        Net::parse(text).unwrap()
    }

    #[test]
    fn networks_are_read() {
        assert_eq!(Net::parse("10.10.10.5/24"), Err(NotNet::HostBits(net("10.10.10.0/24"))));
        for wrong in
            ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0/8", "10.0.0.0/", "010.0.0.0/8", "::/0"]
        {
            assert_eq!(Net::parse(wrong), Err(NotNet::Form), "{wrong}");
        }
    }

    #[test]
    fn arithmetic() {
        let small = net("10.22.16.0/22");
        assert_eq!(small.last(), Ipv4Addr::new(10, 22, 19, 255));
        assert!(
            small.contains(Ipv4Addr::new(10, 22, 19, 254)) && !small.contains(Ipv4Addr::new(10, 22, 20, 0))
        );
        assert!(net("10.22.0.0/16").overlaps(small) && small.overlaps(net("10.22.0.0/16")));
        assert!(!small.overlaps(net("10.22.20.0/22")) && net("0.0.0.0/0").overlaps(small));
        assert_eq!(net("10.43.8.0/29").nth(10), None);
        assert_eq!(net("255.255.255.255/32").nth(1), None);
        assert_eq!(net("10.0.0.0/30").hosts().count(), 2);
        assert!(!net("10.0.0.0/31").is_edge(Ipv4Addr::new(10, 0, 0, 0)));
    }
}
