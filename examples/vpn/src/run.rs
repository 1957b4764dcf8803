//! The program's life: it starts, passes packets, reads its file again, and ends.

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use ipencap_cli::failure::Failure;
use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::config::{Config, Interface};
use crate::device::Tun;
use crate::engine::Engine;
use crate::membership::link_mtu;
use crate::routes::Routes;
use crate::sockets::errors;
use crate::ways::{Source, Ways};
use crate::{file, say};

/// Why the program cannot go on, in one line. Its status is 1.
pub(crate) struct Trouble(String);

impl From<String> for Trouble {
    fn from(line: String) -> Self {
        Self(line)
    }
}

/// Runs until it is told to end.
pub(crate) fn vpn(config: Config, file: Option<PathBuf>) -> ExitCode {
    match Vpn::start(config, file).and_then(Vpn::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble(line)) => {
            say(&line);
            ExitCode::from(1)
        }
    }
}

struct Vpn {
    interface: Interface,
    file: Option<PathBuf>,
    tun: Tun,
    routes: Option<Routes>,
    engine: Engine,
    signals: SignalFd,
    next_stats: Option<Instant>,
}

impl Vpn {
    fn start(config: Config, file: Option<PathBuf>) -> Result<Self, Trouble> {
        let signals = signals().map_err(|error| format!("cannot watch signals: {error}"))?;
        let mut ways = Ways::new(config.interface.offload)
            .map_err(|error| format!("cannot begin to watch sockets: {error}"))?;
        ways.open(&config.peers)?;
        let mut engine = Engine::new(&config, link_mtu(&config), ways);
        let Config { interface, peers } = config;
        for peer in peers {
            engine.add(&interface, peer)?;
        }
        let (tun, routes) = open_tun(&interface, &engine)?;
        watch(&engine, &tun, routes.as_ref())?;
        engine.ways.watch(&signals, Source::Signal)?;
        if interface.offload && !tun.has_offload() {
            say("the TUN device has no segmentation offload: packets are passed one by one");
        }
        let next_stats = interface.stats_interval.map(|every| Instant::now() + every);
        Ok(Self {
            interface,
            file,
            tun,
            routes,
            engine,
            signals,
            next_stats,
        })
    }

    fn run(mut self) -> Result<(), Trouble> {
        crate::print_line(&format!(
            "ready tun={} mtu={} peers={}",
            self.tun.name(),
            self.engine.tun_mtu(),
            self.engine.members().count()
        ));
        // Without a service manager this does nothing.
        if let Err(error) = sd_notify::notify(true, &[sd_notify::NotifyState::Ready]) {
            say(&format!(
                "cannot tell the service manager that packets can flow: {error}"
            ));
        }
        let mut events = [EpollEvent::empty(); 64];
        loop {
            let timeout = self.timeout();
            let count = match self.engine.ways.epoll().wait(&mut events, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(format!("cannot wait for packets: {error}").into()),
            };
            let events = &mut events[..count];
            // What waits at a raw socket is more with each moment, and all of it costs one call.
            events.sort_unstable_by_key(|event| matches!(Source::of(event.data()), Source::Raw(_)));
            for event in events {
                match Source::of(event.data()) {
                    Source::Signal => {
                        if self.on_signal() {
                            self.engine.end();
                            self.print_counters();
                            return Ok(());
                        }
                    }
                    Source::Links => {
                        if self.routes.as_mut().is_some_and(Routes::are_gone) {
                            say("the TUN device is up again: setting the routes that went with it");
                            self.set_routes();
                        }
                    }
                    source => {
                        if let Err(error) = self.on_event(source, event.events()) {
                            self.restore_tun(&error)?;
                            // Another of these events may be about the device that is gone. Those that hold come
                            // again.
                            break;
                        }
                    }
                }
            }
            self.engine.on_time(say);
            if self.next_stats.is_some_and(|due| due <= Instant::now()) {
                self.print_counters();
                let every = self.interface.stats_interval;
                self.next_stats = every.map(|every| Instant::now() + every);
            }
        }
    }

    fn on_event(&mut self, source: Source, flags: EpollFlags) -> io::Result<()> {
        let (engine, tun) = (&mut self.engine, &mut self.tun);
        if flags.contains(EpollFlags::EPOLLERR) {
            while let Some(error) = match source {
                Source::Raw(index) => engine.ways.raw_at(index).and_then(|raw| {
                    let (_, local) = raw.key();
                    errors::next(raw, local)
                }),
                Source::Udp(index) => engine.ways.udp_at(index).and_then(|udp| {
                    let local = *udp.local().ip();
                    errors::next(udp, local)
                }),
                _ => None,
            } {
                engine.on_path_error(error);
            }
        }
        match source {
            Source::Tun if flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP) => {
                Err(Errno::EBADFD.into())
            }
            Source::Tun => engine.pass_tun(tun),
            Source::Raw(index) => engine.pass_raw(index, tun),
            Source::Udp(index) => engine.pass_udp(index, tun),
            Source::Listener(index) => {
                engine.ways.accept(index);
                Ok(())
            }
            Source::Connection(place) => {
                if let Some(connection) = engine.ways.connection_at(place)
                    && flags.intersects(
                        EpollFlags::EPOLLOUT | EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP,
                    )
                {
                    connection.on_writable();
                }
                let passed = engine.pass_connection(place, tun);
                engine.ways.sync(place);
                passed
            }
            Source::Signal | Source::Links => Ok(()),
        }
    }

    /// Until something is due: rounded up, because a deadline that is not reached yet would be asked for again.
    fn timeout(&self) -> EpollTimeout {
        let now = self.engine.now();
        let engine = self.engine.deadline().map(|due| due.since(now).as_millis());
        let stats = self.next_stats.map(|due| {
            let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
        });
        match engine.into_iter().chain(stats).min() {
            None => EpollTimeout::NONE,
            // An hour is soon enough to ask again.
            Some(millis) => {
                EpollTimeout::try_from(millis.min(3_600_000) as u32).unwrap_or(EpollTimeout::NONE)
            }
        }
    }

    /// Whether the program is to end.
    fn on_signal(&mut self) -> bool {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGUSR1) => self.print_counters(),
                Ok(Signal::SIGHUP) => self.reload(),
                _ => return true,
            }
        }
        false
    }

    fn print_counters(&mut self) {
        crate::print_line(&self.engine.counters().to_string());
    }

    /// The device is gone or broken: makes it anew.
    fn restore_tun(&mut self, error: &io::Error) -> Result<(), Trouble> {
        say(&format!(
            "the TUN device {} is gone ({error}): making it anew",
            self.tun.name()
        ));
        let (tun, routes) = open_tun(&self.interface, &self.engine)?;
        // The old one leaves with its last descriptor.
        (self.tun, self.routes) = (tun, routes);
        watch(&self.engine, &self.tun, self.routes.as_ref())?;
        Ok(())
    }

    /// Reads the file again. A file that is wrong changes nothing.
    fn reload(&mut self) {
        let Some(path) = &self.file else {
            say("there is no file to read again: the peer came from the arguments");
            return;
        };
        let config = match read(path, self.interface.routes) {
            Ok(config) => config,
            Err(line) => {
                say(&format!("nothing is changed: {line}"));
                return;
            }
        };
        let (old, new) = (&self.interface, &config.interface);
        if (&old.name, old.offload) != (&new.name, new.offload) {
            say("'name' and 'offload' of [interface] are changed by a restart only");
        }
        let interface = config.interface.clone();
        match self.engine.reload(&self.interface, config) {
            Ok(failed) => {
                for line in failed {
                    say(&format!("some of the file could not be done: {line}"));
                }
            }
            Err(line) => {
                say(&format!("nothing is changed: {line}"));
                return;
            }
        }
        self.change_interface(&interface);
        self.set_routes();
        self.next_stats = interface.stats_interval.map(|every| Instant::now() + every);
        say(&format!(
            "the file is read again; peers: {}",
            self.engine.members().count()
        ));
        self.interface = interface;
    }

    fn set_routes(&mut self) {
        if let Some(routes) = &mut self.routes
            && let Err(error) = routes.set(&self.engine.networks())
        {
            say(&format!("cannot set a route to {error}"));
        }
    }

    fn change_interface(&mut self, interface: &Interface) {
        let (old, new) = (&self.interface.addresses, &interface.addresses);
        for (address, _) in old.iter().filter(|address| !new.contains(address)) {
            if let Err(error) = self.tun.remove_address(*address) {
                say(&format!("cannot remove the address {address}: {error}"));
            }
        }
        // All of them: the system may have removed others of the same network with one.
        for address in new {
            match self.tun.add_address(*address) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    say(&format!("cannot add the address {}: {error}", address.0));
                }
                _ => {}
            }
        }
        if let Err(error) = self.tun.set_mtu(self.engine.tun_mtu()) {
            say(&format!(
                "cannot set the MTU of {}: {error}",
                self.tun.name()
            ));
        }
    }
}

fn read(path: &Path, routes: bool) -> Result<Config, String> {
    match file::read(path, routes) {
        Ok((config, warnings)) => {
            for warning in &warnings {
                say(warning);
            }
            Ok(config)
        }
        Err(Failure::Because(line)) => Err(line),
        Err(_) => Err("the file cannot be read".to_owned()),
    }
}

fn signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn watch(engine: &Engine, tun: &Tun, routes: Option<&Routes>) -> Result<(), String> {
    engine.ways.watch(tun, Source::Tun)?;
    routes.map_or(Ok(()), |routes| engine.ways.watch(routes, Source::Links))
}

fn open_tun(interface: &Interface, engine: &Engine) -> Result<(Tun, Option<Routes>), String> {
    let tun = Tun::open(interface, engine.tun_mtu()).map_err(|error| {
        let name = interface.name.as_deref().unwrap_or("a TUN device");
        let remedy = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM) => ": run as root, or with CAP_NET_ADMIN",
            Some(Errno::EACCES) => {
                ": this user may not open /dev/net/tun; chmod 666 /dev/net/tun, as udev does"
            }
            Some(Errno::EBUSY) => ": another program has it; stop that, or choose another 'name'",
            Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => ": load the kernel module 'tun'",
            Some(Errno::EINVAL) => {
                ": a device of this name is no TUN device; choose another 'name'"
            }
            _ => "",
        };
        format!("cannot make {name}: {error}{remedy}")
    })?;
    let routes = if interface.routes {
        let set = tun.index().and_then(Routes::new).and_then(|mut routes| {
            routes.set(&engine.networks())?;
            Ok(routes)
        });
        Some(set.map_err(|error| {
            format!(
                "cannot set a route to {error}: remove the route that is there, or use --no-routes"
            )
        })?)
    } else {
        None
    };
    Ok((tun, routes))
}
