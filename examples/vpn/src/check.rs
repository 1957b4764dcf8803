//! `--check`: what a configuration comes to.

use core::fmt::Write as _;

use ipencap::tunnel::{MssPolicy, MtuPolicy};
use ipencap_cli::failure::{Failure, print};
use serde_json::{Value, json};

use crate::config::{Carrier, Config, Peer};
use crate::cost::Cost;
use crate::layers;

/// Prints the configuration for people, or as one JSON object.
pub(crate) fn run(config: &Config, warnings: &[String], as_json: bool) -> Result<(), Failure> {
    print(&if as_json {
        format!("{:#}\n", json(config, warnings))
    } else {
        text(config, warnings)
    })
}

fn cost(config: &Config, peer: &Peer) -> Cost {
    let cost = Cost::of(&peer.stack, config.interface.link_mtu, peer.mtu);
    let most = match peer.mss {
        MssPolicy::AtMost(most) => u32::from(most),
        _ => u32::MAX,
    };
    Cost {
        tcp_mss: cost.tcp_mss.map(|mss| mss.min(most)),
        ..cost
    }
}

/// `ipip in fou`: the innermost first.
fn stack(peer: &Peer) -> String {
    let kinds: Vec<&str> = peer.text.iter().map(|text| layers::kind(text)).collect();
    kinds.join(" in ")
}

fn carrier(carrier: Carrier) -> String {
    match carrier {
        Carrier::Raw { protocol, local } => format!("IP protocol {protocol} at {local}"),
        Carrier::Udp {
            local,
            remote,
            source_port,
            ..
        } => {
            let from = source_port.map_or(String::new(), |port| format!(", sent from port {port}"));
            format!("UDP {local} to {remote}{from}")
        }
        Carrier::Tcp {
            listen: true,
            local,
            remote,
            ..
        } => format!("TCP, listening at {local} for {}", remote.ip()),
        Carrier::Tcp { local, remote, .. } => {
            format!("TCP, connecting from {} to {remote}", local.ip())
        }
    }
}

fn allowed(peer: &Peer) -> Vec<String> {
    peer.allowed.iter().map(ToString::to_string).collect()
}

fn text(config: &Config, warnings: &[String]) -> String {
    let mut text = String::new();
    let or_none = |value: Option<u32>| value.map_or("-".to_owned(), |value| value.to_string());
    for peer in &config.peers {
        let cost = cost(config, peer);
        let path = match (peer.mtu, config.interface.link_mtu) {
            (MtuPolicy::Static(mtu), None) if mtu > cost.link => ", until the link has been asked",
            (MtuPolicy::Static(_), _) => "",
            (_, Some(_)) => ", or less if the path is narrower",
            (_, None) => ", until the link has been asked",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "peer {}: {}, by {}\n  outer MTU {}{path}\n  overhead  {}\n  inner MTU {}\n  TCP MSS   {}\n  allowed   {}",
            peer.name,
            stack(peer),
            carrier(peer.carrier),
            cost.link,
            cost.overhead,
            or_none(cost.inner_mtu),
            or_none(cost.tcp_mss),
            allowed(peer).join(", "),
        );
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}

fn json(config: &Config, warnings: &[String]) -> Value {
    let interface = &config.interface;
    let addresses = interface
        .addresses
        .iter()
        .map(|(address, len)| format!("{address}/{len}"));
    let peers = config.peers.iter().map(|peer| {
        let cost = cost(config, peer);
        json!({
            "name": peer.name,
            "stack": stack(peer),
            "tunnel": peer.text,
            "carrier": carrier(peer.carrier),
            "allowed": allowed(peer),
            "link": cost.link,
            "overhead": cost.overhead,
            "inner_mtu": cost.inner_mtu,
            "tcp_mss": cost.tcp_mss,
            "probe": peer.probe.map(|probe| probe.to_string()),
        })
    });
    json!({
        "interface": {
            "name": interface.name,
            "address": addresses.collect::<Vec<_>>(),
            "link_mtu": interface.link_mtu,
            "offload": interface.offload,
            "routes": interface.routes,
        },
        "peers": peers.collect::<Vec<_>>(),
        "warnings": warnings,
    })
}
