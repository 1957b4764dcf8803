//! A smoltcp stack in a tunnel exchanges 10 MB each way with Linux's own TCP, behind a TUN device. On the way the path
//! narrows from 1500 to 1280 bytes. Run it with
//! `sudo -E cargo run --release -p ipencap-smoltcp --example linux_stack`: it makes a network namespace of its own and
//! changes nothing outside of that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::std_instead_of_core,
    reason = "a program that tries something may panic"
)]

#[path = "../tests/sim/mod.rs"]
mod sim;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: this is not Linux");
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::error::Error;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};
    use std::rc::Rc;
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant as Clock};

    use ipencap::encap::Tunnel;
    use ipencap::icmp::{IcmpError, Kind};
    use ipencap::packet::{Packet, PerPacket, Span};
    use ipencap::shim::Fou;
    use ipencap::tunnel::{Counters, Endpoint, Event, Inbound, OnePeer, Outbound};
    use ipencap_smoltcp::TunnelDevice;
    use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
    use smoltcp::socket::tcp;
    use smoltcp::time::Instant;
    use tun_rs::{DeviceBuilder, SyncDevice};

    use crate::sim::{Memory, Stack, Stream, byte_at, endpoint, exchange};

    const LINUX: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const BOARD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
    const INNER_LINUX: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
    const INNER_BOARD: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
    const PORT: u16 = 7;
    const TOTAL: usize = 10_000_000;
    const NARROW: usize = 1280;
    const HEADROOM: usize = 64;
    const PATIENCE: Duration = Duration::from_mins(2);

    type End = Endpoint<'static, OnePeer<'static, Tunnel<Fou>>, Counters>;

    pub(super) fn main() -> Result<(), Box<dyn Error>> {
        let tun = match open_tun() {
            Ok(tun) => tun,
            Err(error) => {
                println!(
                    "skipped: no TUN device in a network namespace of its own, which needs root ({error})"
                );
                return Ok(());
            }
        };
        let cable = Cable::new();
        let mut linux = endpoint(fou(LINUX, BOARD)?, Memory::new(1).path);
        let memory = Memory::new(4);
        let board = endpoint(fou(BOARD, LINUX)?, memory.path);
        let below = Plug(Rc::clone(&cable));
        let mut device = TunnelDevice::new(
            below,
            board,
            memory.outgoing,
            memory.incoming,
            Instant::ZERO,
        )?;
        let mut stack = Stack::new(INNER_BOARD, &mut device, Instant::ZERO);
        stack
            .sockets
            .get_mut::<tcp::Socket<'_>>(stack.tcp)
            .listen(PORT)?;

        let client = thread::spawn(client);
        let start = Clock::now();
        let (mut written, mut read) = (Stream::default(), Stream::default());
        let mut narrowed = None;
        while !client.is_finished() || read.read < TOTAL {
            let now = Instant::from_micros(i64::try_from(start.elapsed().as_micros())?);
            let moved = carry(&tun, &mut linux, &cable, now)?;
            device.follow_mtu(now, &mut stack.interface, 7);
            stack.interface.poll(now, &mut device, &mut stack.sockets);
            exchange(&mut stack, 1, &mut written, &mut read, TOTAL);
            stack.interface.poll(now, &mut device, &mut stack.sockets);
            // Whichever direction is faster, it is not half done then.
            if narrowed.is_none() && read.read + written.written >= TOTAL / 2 {
                narrowed = Some(start.elapsed());
                cable.borrow_mut().mtu = NARROW;
            }
            if !moved {
                thread::sleep(Duration::from_micros(200));
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("stuck: {written:?}, {read:?}").into());
            }
        }
        client.join().map_err(|_| "the client has panicked")?;

        let narrowed = narrowed.ok_or("the path has not narrowed")?;
        let after = start.elapsed().saturating_sub(narrowed);
        println!("10 MB each way between Linux and smoltcp, every byte as it was sent");
        println!("  until the path narrowed: {narrowed:?}; afterwards: {after:?}");
        println!(
            "  too long for the router: {} packets",
            cable.borrow().too_long
        );
        print("Linux's end", &linux);
        print("smoltcp's end", device.queue().endpoint());
        let is_narrow = device.queue().mtu() == NARROW - 28;
        let is_told = cable.borrow().too_long > 0 && linux.tally().packets(Event::Relayed) > 0;
        // ICMP errors to a stack that sends many long packets at once; it does not read them.
        let losses = *device.queue().losses();
        println!("    {losses:?}");
        let is_whole = losses.too_long_from_inner == 0
            && losses.too_long_from_network == 0
            && losses.no_room_for_inner == 0
            && losses.not_wrapped == 0;
        if is_narrow && is_told && is_whole {
            Ok(())
        } else {
            Err(format!("unexpected: {device:?}").into())
        }
    }

    fn fou(here: Ipv4Addr, there: Ipv4Addr) -> Result<Tunnel<Fou>, Box<dyn Error>> {
        Ok(Tunnel::new(here, there, Fou::new(5555))?)
    }

    fn print<P: ipencap::tunnel::Peers>(name: &str, endpoint: &Endpoint<'_, P, Counters>) {
        println!("  {name}:");
        for (event, cause, packets) in endpoint.tally().iter() {
            println!("    {event} {cause} {packets}");
        }
    }

    /// A TUN device with Linux's inner address, in a network namespace of its own.
    fn open_tun() -> Result<SyncDevice, Box<dyn Error>> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
        let tun = DeviceBuilder::new()
            .mtu(1472)
            .ipv4(INNER_LINUX, 24, None)
            .build_sync()?;
        tun.set_nonblocking(true)?;
        Ok(tun)
    }

    /// Linux's own TCP: writes and reads at the same time, and compares.
    fn client() {
        let mut stream = TcpStream::connect((INNER_BOARD, PORT)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing: JoinHandle<()> = thread::spawn(move || {
            let bytes: Vec<u8> = (0..TOTAL).map(|at| byte_at(0, at)).collect();
            writer.write_all(&bytes).unwrap();
        });
        let mut bytes = vec![0; TOTAL];
        stream.read_exact(&mut bytes).unwrap();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, byte_at(1, at), "other bytes than were sent, at {at}");
        }
        writing.join().unwrap();
    }

    /// Between the TUN device and the cable. `true` if there was anything to carry.
    fn carry(
        tun: &SyncDevice,
        end: &mut End,
        cable: &RefCell<Cable>,
        now: Instant,
    ) -> Result<bool, Box<dyn Error>> {
        let now = ipencap::time::Instant::from_millis(u64::try_from(now.total_millis())?);
        let mut moved = false;
        let mut buffer = [0; 2048];
        loop {
            let len = match tun.recv(&mut buffer[HEADROOM..]) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            moved = true;
            // IPv6, which Linux sends by itself.
            if buffer[HEADROOM] >> 4 != 4 {
                continue;
            }
            let mut packet = Packet::new(&mut buffer, Span::new(HEADROOM, len));
            let out = |outer: &mut [u8]| cable.borrow_mut().send(outer, Side::Board);
            if let Outbound::Answer { error, .. } =
                end.send(now, &mut packet, &PerPacket::new(), out)
            {
                tell(tun, &error, packet.as_slice())?;
            }
        }
        loop {
            let Some(mut outer) = cable.borrow_mut().to_linux.pop_front() else {
                return Ok(moved);
            };
            moved = true;
            match end.receive(now, &mut outer) {
                Inbound::Deliver { opened, .. } => {
                    tun.send(opened.span().get(&outer).unwrap_or_default())?;
                }
                Inbound::Relay { error, quoted, .. } => {
                    tell(tun, &error, quoted.get(&outer).unwrap_or_default())?;
                }
                _ => {}
            }
        }
    }

    fn tell(tun: &SyncDevice, error: &IcmpError, about: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut message = vec![0; error.len()];
        error.write(about, &mut message).ok_or("no room")?;
        tun.send(&message)?;
        Ok(())
    }

    #[derive(Clone, Copy)]
    enum Side {
        Linux,
        Board,
    }

    /// The outer network: a router between the two.
    struct Cable {
        mtu: usize,
        too_long: usize,
        to_linux: VecDeque<Vec<u8>>,
        to_board: VecDeque<Vec<u8>>,
    }

    impl Cable {
        fn new() -> Rc<RefCell<Self>> {
            Rc::new(RefCell::new(Self {
                mtu: 1500,
                too_long: 0,
                to_linux: VecDeque::new(),
                to_board: VecDeque::new(),
            }))
        }

        fn send(&mut self, packet: &[u8], to: Side) {
            if packet.len() <= self.mtu {
                self.queue(to).push_back(packet.to_vec());
                return;
            }
            self.too_long += 1;
            let kind = Kind::FragmentationNeeded {
                mtu: self.mtu as u16,
            };
            let error = IcmpError::about(packet, kind, ROUTER).unwrap();
            let mut report = vec![0; error.len()];
            error.write(packet, &mut report).unwrap();
            let back = match to {
                Side::Linux => Side::Board,
                Side::Board => Side::Linux,
            };
            self.queue(back).push_back(report);
        }

        const fn queue(&mut self, to: Side) -> &mut VecDeque<Vec<u8>> {
            match to {
                Side::Linux => &mut self.to_linux,
                Side::Board => &mut self.to_board,
            }
        }
    }

    /// The board's device.
    struct Plug(Rc<RefCell<Cable>>);

    struct Arrived(Vec<u8>);

    impl phy::RxToken for Arrived {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
            f(&self.0)
        }
    }

    struct Send(Rc<RefCell<Cable>>);

    impl phy::TxToken for Send {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
            let mut packet = vec![0; len];
            let result = f(&mut packet);
            self.0.borrow_mut().send(&packet, Side::Linux);
            result
        }
    }

    impl Device for Plug {
        type RxToken<'a> = Arrived;
        type TxToken<'a> = Send;

        fn receive(&mut self, _: Instant) -> Option<(Arrived, Send)> {
            let packet = self.0.borrow_mut().to_board.pop_front()?;
            Some((Arrived(packet), Send(Rc::clone(&self.0))))
        }

        fn transmit(&mut self, _: Instant) -> Option<Send> {
            Some(Send(Rc::clone(&self.0)))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut capabilities = DeviceCapabilities::default();
            capabilities.medium = Medium::Ip;
            capabilities.max_transmission_unit = 1500;
            capabilities
        }
    }
}
