//! Linux's tunnel devices, as the `ip link` commands of the corpus describe them.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;

use ipencap::decap::{Opened, inspect_without_filter};
use ipencap::encap::{
    AnyTunnel, DfPolicy, DscpPolicy, EcnPolicy, Encapsulate, IdSource, OuterPolicy, PerPacket,
    Role, TtlPolicy,
};
use ipencap::error::{EncapError, Refused};
use ipencap::packet::Quote;
use ipencap::shim::{
    ChecksumPolicy, Fou, Gre, GreInUdp, Gue, InUdp, IpIp, PortRange, SourcePort, Udp,
};
use ipencap::wire::{Dscp, Ipv4};
use ipencap::{Span, encap};

/// One device: `ipip` or `gre`, over UDP or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    local: Ipv4Addr,
    remote: Ipv4Addr,
    ttl: TtlPolicy,
    dscp: DscpPolicy,
    copies_df: bool,
    gre: Option<GreFields>,
    udp: Option<UdpFields>,
}

#[derive(Clone, Copy, Debug, Default)]
struct GreFields {
    key: Option<u32>,
    checksum: bool,
    sequence: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct UdpFields {
    has_gue_header: bool,
    /// `None`: from the flow.
    source_port: Option<u16>,
    destination_port: u16,
    checksum: bool,
    reserves_remote_checksum: bool,
}

/// What Linux drew at random for one outer header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    identification: u16,
    source_port: u16,
}

impl Drawn {
    /// Where Linux sent nothing.
    const NOTHING: Self = Self {
        identification: 1,
        source_port: 0,
    };
}

/// A `tos` of `ip link`: to Linux bit 0 means "inherit", the other ECN bit nothing.
fn dscp(tos: &str) -> DscpPolicy {
    let digits = tos.strip_prefix("0x").unwrap_or(tos);
    match tos {
        "inherit" => DscpPolicy::Copy,
        _ => match u8::from_str_radix(digits, 16).expect(tos) {
            tos if tos & 1 == 1 => DscpPolicy::Copy,
            tos => DscpPolicy::Fixed(Dscp::from_tos(tos)),
        },
    }
}

/// A `key` of `ip link`, in any base.
fn key(key: &str) -> u32 {
    match key.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).expect(key),
        None => key.parse().expect(key),
    }
}

impl Device {
    /// The device that an `ip link` command makes.
    pub(crate) fn parse(command: &str) -> Self {
        let mut words = command
            .split(' ')
            .skip_while(|word| *word != "type")
            .skip(1);
        let gre = match words.next() {
            Some("ipip") => None,
            Some("gre") => Some(GreFields::default()),
            _ => panic!("{command}"),
        };
        let mut device = Self {
            local: Ipv4Addr::UNSPECIFIED,
            remote: Ipv4Addr::UNSPECIFIED,
            ttl: TtlPolicy::Inherit,
            dscp: DscpPolicy::Fixed(Dscp::DEFAULT),
            copies_df: false,
            gre,
            udp: None,
        };
        while let Some(option) = words.next() {
            let mut value = || words.next().expect(command);
            match option {
                "local" => device.local = value().parse().expect(command),
                "remote" => device.remote = value().parse().expect(command),
                "ttl" => {
                    device.ttl = match value() {
                        "inherit" => TtlPolicy::Inherit,
                        ttl => TtlPolicy::Fixed(ttl.parse::<NonZeroU8>().expect(command)),
                    }
                }
                "tos" => device.dscp = dscp(value()),
                "pmtudisc" => device.copies_df = false,
                "nopmtudisc" => device.copies_df = true,
                // To clear DF is not offered (F-09): the exceptions say what is done instead.
                "ignore-df" => assert!(device.copies_df, "{command}"),
                "encap" => {
                    let has_gue_header = match value() {
                        "fou" => false,
                        "gue" => true,
                        _ => panic!("{command}"),
                    };
                    device.udp = Some(UdpFields {
                        has_gue_header,
                        ..UdpFields::default()
                    });
                }
                _ => match (&mut device.gre, &mut device.udp, option) {
                    (Some(gre), _, "key") => gre.key = Some(key(value())),
                    (Some(gre), _, "icsum" | "ocsum") => gre.checksum = true,
                    (Some(gre), _, "iseq" | "oseq") => gre.sequence = true,
                    (_, Some(udp), "encap-sport") => udp.source_port = value().parse().ok(),
                    (_, Some(udp), "encap-dport") => {
                        udp.destination_port = value().parse().expect(command);
                    }
                    (_, Some(udp), "encap-csum") => udp.checksum = true,
                    (_, Some(udp), "noencap-csum") => udp.checksum = false,
                    (_, Some(udp), "encap-remcsum") => udp.reserves_remote_checksum = true,
                    _ => panic!("{command}: {option} is not known here"),
                },
            }
        }
        device
    }

    /// Whether this crate has such a tunnel: GRE behind a GUE header it has not (G-12, G-14).
    pub(crate) fn is_offered(&self) -> bool {
        self.gre.is_none() || !self.udp.is_some_and(|udp| udp.has_gue_header)
    }

    /// Whether the device draws a source port for each flow.
    pub(crate) fn spreads_flows(&self) -> bool {
        self.udp.is_some_and(|udp| udp.source_port.is_none())
    }

    /// What the device takes off its link's MTU: its headers, and the room for remote checksum
    /// offload where Linux reserves that, which this crate does not do (G-13).
    pub(crate) fn taken_from_mtu(&self) -> usize {
        let reserves = self.udp.is_some_and(|udp| udp.reserves_remote_checksum);
        let kept_free = if reserves { 8 } else { 0 };
        let behind_gue = if self.is_offered() { 0 } else { 4 };
        let tunnel = self.tunnel(Drawn::NOTHING, Role::Originate, None, ChecksumPolicy::Full);
        tunnel.overhead() + kept_free + behind_gue
    }

    /// The tunnel that writes what the device does, with what Linux drew. Linux resets CE (N-06).
    /// What is not offered is GRE in UDP without the GUE header.
    fn tunnel(
        &self,
        drawn: Drawn,
        role: Role,
        link_mtu: Option<u16>,
        checksum: ChecksumPolicy,
    ) -> AnyTunnel {
        let df = if self.copies_df {
            DfPolicy::Copy(IdSource::Constant(drawn.identification))
        } else {
            DfPolicy::Set
        };
        let policy = OuterPolicy {
            ttl: self.ttl,
            dscp: self.dscp,
            ecn: EcnPolicy::Rfc3168,
            df,
            atomic_identification: drawn.identification,
            role,
            link_mtu,
            hairpin: false,
        };
        macro_rules! tunnel {
            ($shim:expr) => {
                encap::Tunnel::new(self.local, self.remote, $shim)
                    .unwrap()
                    .with_policy(policy)
                    .into()
            };
        }
        match (self.gre, self.udp) {
            (None, None) => tunnel!(IpIp),
            (Some(fields), None) => tunnel!(fields.shim()),
            (None, Some(udp)) if udp.has_gue_header => {
                tunnel!(udp.sender(Gue::new(), checksum))
            }
            (None, Some(udp)) => {
                tunnel!(udp.sender(Fou::new(udp.destination_port), checksum))
            }
            (Some(fields), Some(udp)) => {
                tunnel!(udp.sender(GreInUdp::new(fields.shim()), checksum))
            }
        }
    }

    /// What the other end finds in `outer`, whoever may have sent it; for what is not offered, it expects
    /// GUE.
    pub(crate) fn inspect(&self, outer: &[u8]) -> Result<Opened, Refused> {
        match (self.gre, self.udp) {
            (None, None) => inspect_without_filter(&IpIp, outer),
            (Some(fields), None) => inspect_without_filter(&fields.shim(), outer),
            (_, Some(udp)) if udp.has_gue_header => {
                let gue = Gue::new().with_destination_port(udp.destination_port);
                inspect_without_filter(&gue, outer)
            }
            (None, Some(udp)) => inspect_without_filter(&Fou::new(udp.destination_port), outer),
            (Some(fields), Some(udp)) => {
                let gre = GreInUdp::new(fields.shim());
                inspect_without_filter(&gre.with_destination_port(udp.destination_port), outer)
            }
        }
    }
}

impl GreFields {
    const fn shim(self) -> Gre {
        let mut gre = Gre::new();
        if let Some(key) = self.key {
            gre = gre.with_key(key);
        }
        if self.checksum {
            gre = gre.with_checksum();
        }
        if self.sequence {
            gre = gre.with_sequence();
        }
        gre
    }
}

impl UdpFields {
    /// `shim` as the device sends it; the checksum is `checksum` if it sends one.
    const fn sender<I: InUdp>(self, shim: Udp<I>, checksum: ChecksumPolicy) -> Udp<I> {
        let source_port = match self.source_port {
            Some(port) => SourcePort::Fixed(port),
            None => SourcePort::Entropy {
                seed: 0,
                range: PortRange::Linux,
            },
        };
        shim.with_destination_port(self.destination_port)
            .with_source_port(source_port)
            .with_checksum(if self.checksum {
                checksum
            } else {
                ChecksumPolicy::Zero
            })
    }
}

/// The smallest flow hash for which Linux's rule gives `port`, `None` for a port outside of its range.
fn hash_for(port: u16) -> Option<u32> {
    let place = u32::from(port.checked_sub(32_768)?);
    let hash = (place << 16).div_ceil(28_231).checked_mul(1 << 16)?;
    (PortRange::Linux.port(hash) == port).then_some(hash)
}

/// A device, or several of which each is the next one's link: the first is the outermost.
pub(crate) struct Tunnel<'a> {
    pub(crate) devices: &'a [Device],
    /// Whether the packet is on its way through when it meets the first header.
    pub(crate) role: Role,
    /// The MTU in front of the outermost device, as that tunnel's policy.
    pub(crate) link_mtu: Option<u16>,
    /// Of UDP devices that write one.
    pub(crate) checksum: ChecksumPolicy,
}

impl Tunnel<'_> {
    pub(crate) fn overhead(&self) -> usize {
        self.layers(&[]).overhead()
    }

    /// The tunnels of the devices, the innermost first.
    fn layers(&self, drawn: &[Drawn]) -> Vec<AnyTunnel> {
        let innermost = self.devices.len() - 1;
        let layer = |(place, device): (usize, &Device)| {
            let drawn = drawn.get(place).copied().unwrap_or(Drawn::NOTHING);
            let role = if place == innermost {
                self.role
            } else {
                Role::Originate
            };
            let link_mtu = self.link_mtu.filter(|_| place == 0);
            device.tunnel(drawn, role, link_mtu, self.checksum)
        };
        self.devices.iter().enumerate().rev().map(layer).collect()
    }

    /// What Linux drew for each header of `outer`.
    pub(crate) fn drawn(&self, outer: &[u8]) -> Vec<Drawn> {
        let mut rest = outer;
        let read = |device: &Device| {
            let header = Ipv4::parse(rest).unwrap();
            let payload = header.payload();
            let source_port = match device.udp {
                Some(_) => u16::from_be_bytes([payload[0], payload[1]]),
                None => Drawn::NOTHING.source_port,
            };
            rest = payload;
            Drawn {
                identification: header.header().identification(),
                source_port,
            }
        };
        self.devices.iter().map(read).collect()
    }

    /// `inner` wrapped with what Linux drew, in one call and layer by layer, which must agree.
    ///
    /// `path_mtu` is said with the packet, the number `ordinal`, counted from 1, as well.
    pub(crate) fn wrap(
        &self,
        inner: &[u8],
        drawn: &[Drawn],
        ordinal: u32,
        path_mtu: Option<u16>,
    ) -> Result<Vec<u8>, EncapError> {
        let layers = self.layers(drawn);
        let packet_of = |path_mtu: Option<u16>| {
            let packet = PerPacket::new()
                .with_identification(u16::try_from(ordinal).unwrap())
                .with_sequence(ordinal - 1);
            let packet = match drawn.iter().find_map(|drawn| hash_for(drawn.source_port)) {
                Some(hash) => packet.with_flow_hash(hash),
                None => packet,
            };
            match path_mtu {
                Some(mtu) => packet.with_link_mtu(mtu),
                None => packet,
            }
        };
        let wrap_in = |layer: &dyn Encapsulate, inner: &[u8], packet: PerPacket| {
            let overhead = layer.overhead();
            let mut buffer = [&vec![0; overhead], inner].concat();
            let span = Span::new(overhead, inner.len());
            encap(layer, &mut buffer, span, &packet).map(|outer| outer.to_vec())
        };
        let at_once = wrap_in(&layers.as_slice(), inner, packet_of(path_mtu));

        let mut one_by_one = Ok(inner.to_vec());
        let outermost = layers.len() - 1;
        for (place, layer) in layers.iter().enumerate() {
            let packet = packet_of(path_mtu.filter(|_| place == outermost));
            one_by_one = one_by_one.and_then(|inner| wrap_in(layer, &inner, packet));
        }
        // A refusal counts what is left from the layer that refuses.
        let reason =
            |answer: &Result<Vec<u8>, EncapError>| answer.clone().map_err(EncapError::reason);
        assert_eq!(reason(&at_once), reason(&one_by_one), "L-08, P-05");
        at_once
    }

    /// Whether the quoted packet is one of these devices', which have sent `outer`.
    pub(crate) fn wrote(&self, outer: &[u8], quote: Quote<'_>) -> bool {
        let layers = self.layers(&self.drawn(outer));
        layers.as_slice().inside_quote(quote).is_some()
    }

    /// What the other end finds in `outer`, whoever may have sent it.
    pub(crate) fn open(&self, outer: &[u8]) -> Vec<u8> {
        self.devices
            .iter()
            .fold(outer.to_vec(), |mut outer, device| {
                let opened = device.inspect(&outer).unwrap();
                opened.apply(&mut outer).to_vec()
            })
    }
}
