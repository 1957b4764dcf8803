//! A TCP echo server at 10.9.0.1, in a FOU tunnel over Ethernet, on a W5500-EVB-Pico.
//!
//! ```text
//!   echo     inner      tunnel::run      outer
//!  server ── stack ──── SharedQueue ──── stack ──── W5500 ──── Ethernet
//!          10.9.0.1      UDP 5555        DHCP
//! ```
#![no_std]
#![no_main]

mod tunnel;

use core::net::Ipv4Addr;

use defmt_rtt as _;
use panic_probe as _;

use embassy_executor::Spawner;
use embassy_futures::join::join;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, DhcpConfig, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_net_wiznet::chip::W5500;
use embassy_rp::bind_interrupts;
use embassy_rp::clocks::RoscRng;
use embassy_rp::dma;
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::peripherals::{DMA_CH0, DMA_CH1, SPI0};
use embassy_rp::spi::{self, Spi};
use embassy_time::Delay;
use embedded_hal_bus::spi::ExclusiveDevice;
use static_cell::StaticCell;

bind_interrupts!(struct Interrupts {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>, dma::InterruptHandler<DMA_CH1>;
});

/// The inner address of this board, and what is behind the tunnel.
const INNER: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::new(10, 9, 0, 1), 24);

const ECHO_PORT: u16 = 7;

type Bus = ExclusiveDevice<Spi<'static, SPI0, spi::Async>, Output<'static>, Delay>;
type Ethernet = embassy_net_wiznet::Runner<'static, W5500, Bus, Input<'static>, Output<'static>>;

#[embassy_executor::task]
async fn run_ethernet(ethernet: Ethernet) -> ! {
    ethernet.run().await
}

#[embassy_executor::task]
async fn run_outer(mut runner: Runner<'static, embassy_net_wiznet::Device<'static>>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_inner(mut runner: Runner<'static, tunnel::Driver>) -> ! {
    runner.run().await
}

/// The inner stack's address. It has no other.
#[allow(clippy::default_trait_access, reason = "the type is of another crate")]
fn inner_config() -> Config {
    Config::ipv4_static(StaticConfigV4 {
        address: INNER,
        gateway: None,
        dns_servers: Default::default(),
    })
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let peripherals = embassy_rp::init(embassy_rp::config::Config::default());
    let mut random = RoscRng;

    // The W5500 is wired to these pins.
    let mut config = spi::Config::default();
    config.frequency = 30_000_000;
    let spi = Spi::new(
        peripherals.SPI0,
        peripherals.PIN_18,
        peripherals.PIN_19,
        peripherals.PIN_16,
        peripherals.DMA_CH0,
        peripherals.DMA_CH1,
        Interrupts,
        config,
    );
    let select = Output::new(peripherals.PIN_17, Level::High);
    let Ok(bus) = ExclusiveDevice::new(spi, select, Delay);
    let interrupt = Input::new(peripherals.PIN_21, Pull::Up);
    let reset = Output::new(peripherals.PIN_20, Level::High);
    // Locally administered, and different on each start: two boards must not share it.
    let mut mac = [0x02, 0, 0, 0, 0, 0];
    random.fill_bytes(&mut mac[1..]);
    static ETHERNET: StaticCell<embassy_net_wiznet::State<4, 4>> = StaticCell::new();
    let ethernet = ETHERNET.init(embassy_net_wiznet::State::new());
    let Ok((ethernet, runner)) =
        embassy_net_wiznet::new(mac, ethernet, bus, interrupt, reset).await
    else {
        defmt::panic!("no W5500 answers");
    };
    spawner.spawn(defmt::unwrap!(run_ethernet(runner)));

    // The outer stack: its address is from DHCP.
    static OUTER: StaticCell<StackResources<3>> = StaticCell::new();
    let outer = OUTER.init(StackResources::new());
    let (outer, runner) = embassy_net::new(
        ethernet,
        Config::dhcpv4(DhcpConfig::default()),
        outer,
        random.next_u64(),
    );
    spawner.spawn(defmt::unwrap!(run_outer(runner)));

    // The inner stack: its device is the tunnel, which begins at the address that the outer stack has got.
    outer.wait_config_up().await;
    let local = defmt::unwrap!(outer.config_v4()).address.address();
    let Ok(queue) = tunnel::new(local) else {
        defmt::panic!("no tunnel can begin at {}", local);
    };
    static INNER_STACK: StaticCell<StackResources<2>> = StaticCell::new();
    let inner = INNER_STACK.init(StackResources::new());
    let (inner, runner) =
        embassy_net::new(queue.driver(), inner_config(), inner, random.next_u64());
    spawner.spawn(defmt::unwrap!(run_inner(runner)));

    join(tunnel::run(outer, local, queue), echo(inner)).await;
}

/// Sends back what comes.
async fn echo(stack: Stack<'static>) -> ! {
    let (mut received, mut to_send, mut bytes) = ([0; 2048], [0; 2048], [0; 512]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut received, &mut to_send);
        if socket.accept(ECHO_PORT).await.is_err() {
            continue;
        }
        while let Ok(len @ 1..) = socket.read(&mut bytes).await {
            let mut rest = &bytes[..len];
            while let Ok(sent @ 1..) = socket.write(rest).await {
                rest = &rest[sent..];
            }
        }
    }
}
