//! Free ports for processes that must be told theirs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections, so that none of those can take one in between.
const FIRST: u16 = 18_000;
const COUNT: u16 = 12_000;

/// Hands out each number once a process; processes start at different places.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which nothing listens now. It is never handed out twice by one process.
pub fn free() -> SocketAddr {
    let start = u16::try_from(std::process::id() * 97 % u32::from(COUNT)).unwrap_or(0);
    (0..COUNT)
        .find_map(|_| {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + (start + step) % COUNT));
            TcpListener::bind(address).is_ok().then_some(address)
        })
        .expect("one of twelve thousand ports is free")
}
