//! Single values, as the file and the command line have them.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use ipencap::decap::Prefix;
use ipencap::mss::MIN_MSS;
use ipencap::pmtu::PathMtuConfig;
use ipencap::tunnel::{MssPolicy, MtuPolicy};
use ipencap::wire::is_unicast;

/// What every IPv4 link carries (RFC 791).
pub(crate) const MIN_MTU: u16 = 68;
/// The longest name of a device, in bytes.
const MAX_NAME_LEN: usize = 15;
/// A day, in seconds: nobody waits longer on purpose.
const MAX_SECONDS: u64 = 86_400;

/// A number or a word, as TOML has them and the command line does not.
pub(crate) enum NumberOr {
    Number(i64),
    Word(String),
}

pub(crate) fn interface_name(name: &str) -> Result<String, String> {
    let is_forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() {
        Err("the name of the device is empty: leave it out, and the system chooses one".to_owned())
    } else if name.len() > MAX_NAME_LEN {
        Err(format!(
            "the name of the device, '{name}', is {} bytes long: choose one of at most {MAX_NAME_LEN}",
            name.len()
        ))
    } else if name.contains(is_forbidden) || name == "." || name == ".." {
        Err(format!(
            "'{name}' cannot be the name of a device: use letters, digits, '-' and '_'"
        ))
    } else {
        Ok(name.to_owned())
    }
}

pub(crate) fn peer_name(name: &str) -> Result<String, String> {
    if name.trim().is_empty() {
        Err("the name of this peer is empty: write one".to_owned())
    } else if name.contains(char::is_control) {
        Err(format!(
            "the name of this peer, '{}', has control characters: take them out",
            name.escape_debug()
        ))
    } else {
        Ok(name.to_owned())
    }
}

/// `address/length`, of an interface: host bits are the point.
pub(crate) fn cidr(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let what = |why: &str| format!("address '{text}' {why}");
    let Some((address, len)) = text.split_once('/') else {
        return Err(what("has no length: write it as in 10.0.0.1/24"));
    };
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| what("is not IPv4: write it as in 10.0.0.1/24"))?;
    let is_number = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit());
    let len = len
        .parse()
        .ok()
        .filter(|len| is_number && (1..=32).contains(len))
        .ok_or_else(|| what("has a bad length: write 1 to 32 behind the slash"))?;
    if !is_unicast(address) {
        return Err(what(
            "is no address of a host: not 0/8, loopback, multicast or class E",
        ));
    }
    let host_bits = u32::MAX.checked_shr(u32::from(len)).unwrap_or_default();
    let host = u32::from(address) & host_bits;
    if len < 31 && (host == 0 || host == host_bits) {
        return Err(what(
            "is the network's own or its broadcast address: choose another one of the network",
        ));
    }
    Ok((address, len))
}

pub(crate) fn prefix(text: &str) -> Result<Prefix, String> {
    ipencap_cli::tunnel::prefix(text).map_err(|error| format!("prefix {error}"))
}

pub(crate) fn number(key: &str, value: i64, range: RangeInclusive<u16>) -> Result<u16, String> {
    u16::try_from(value)
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| {
            format!(
                "{key} = {value} is out of range: write {} to {}",
                range.start(),
                range.end()
            )
        })
}

pub(crate) fn seconds(key: &str, value: i64) -> Result<core::time::Duration, String> {
    u64::try_from(value)
        .ok()
        .filter(|value| (1..=MAX_SECONDS).contains(value))
        .map(core::time::Duration::from_secs)
        .ok_or_else(|| {
            format!("{key} = {value} is out of range: write 1 to {MAX_SECONDS} seconds, or leave it out to turn it off")
        })
}

/// `"discover"`, or the MTU of the path.
pub(crate) fn mtu(value: NumberOr) -> Result<MtuPolicy, String> {
    match value {
        NumberOr::Number(mtu) => number("mtu", mtu, MIN_MTU..=u16::MAX).map(MtuPolicy::Static),
        NumberOr::Word(word) if word == "discover" => {
            Ok(MtuPolicy::Discover(PathMtuConfig::DEFAULT))
        }
        NumberOr::Word(word) => Err(format!(
            "mtu = \"{word}\" is unknown: write \"discover\", or a number of {MIN_MTU} to 65535"
        )),
    }
}

/// `"off"`, `"path"`, or the most that a segment may carry.
pub(crate) fn mss(value: NumberOr) -> Result<MssPolicy, String> {
    match value {
        NumberOr::Number(mss) => number("mss", mss, MIN_MSS..=u16::MAX).map(MssPolicy::AtMost),
        NumberOr::Word(word) if word == "off" => Ok(MssPolicy::Off),
        NumberOr::Word(word) if word == "path" => Ok(MssPolicy::Path),
        NumberOr::Word(word) => Err(format!(
            "mss = \"{word}\" is unknown: write \"off\", \"path\", or a number of {MIN_MSS} to 65535"
        )),
    }
}

/// `"off"` is `None`.
pub(crate) fn probe(text: &str) -> Result<Option<Ipv4Addr>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse()
        .ok()
        .filter(|address| is_unicast(*address))
        .map(Some)
        .ok_or_else(|| {
            format!("probe = \"{text}\" is no address of a host: write an inner IPv4 address that answers pings, or \"off\"")
        })
}
