//! A program on an interface: it stays attached, and its maps stay, by their names in the BPF file system.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, XdpMode};

use crate::object::refused;
use crate::{Config, Failure};

const FILE_SYSTEM: &str = "/sys/fs/bpf";
const LINK: &str = "link";

/// How a program was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there are these two")]
pub enum Mode {
    /// In the driver, before the kernel allocates anything for the packet.
    Native,
    /// In the kernel's own code behind the driver: slower, on every interface.
    Generic,
}

/// The names of what is attached to an interface, which has its own name only within a network namespace. By names rather
/// than numbers, so that what an interface that is gone has left can be detached.
pub(crate) fn pins(interface: &str) -> Result<PathBuf, Failure> {
    // The kernel has no interfaces of other names, and these are other folders.
    if matches!(interface, "" | "." | "..") || interface.contains('/') {
        return Err(Failure::new(format!(
            "{interface:?} is no name of an interface"
        )));
    }
    let namespace = fs::metadata("/proc/self/ns/net")
        .map_err(|error| refused("/proc/self/ns/net", &error))?
        .ino();
    Ok(Path::new(FILE_SYSTEM)
        .join("ipencap-xdp")
        .join(namespace.to_string())
        .join(interface))
}

/// Loads the program that `config` names, fills its maps and attaches it: natively, or generically where the driver
/// cannot.
///
/// # Errors
/// There is a program already; a permission is missing; the verifier or the library refuses something.
pub fn attach(config: &Config, objects: &Path, interface: &str) -> Result<Mode, Failure> {
    let pins = pins(interface)?;
    if is_there(&pins)? {
        return Err(Failure::new(format!(
            "{interface} has a program already: `xdp detach {interface}` removes it"
        )));
    }
    mount()?;
    let mut object = config.load(objects)?;
    config.fill(&mut object, interface)?;
    fs::create_dir_all(&pins).map_err(|error| refused(&pins.display().to_string(), &error))?;
    let attached = attach_and_pin(&mut object, &pins, interface);
    if attached.is_err() {
        let _is_gone = fs::remove_dir_all(&pins);
        let _is_last = pins.parent().map(fs::remove_dir);
    }
    attached
}

/// Loads the program that `config` names and puts it in the place of the attached one, by one exchange in the kernel: no
/// packet passes without a program. The counters by reason stay, and the connections that have begun while tables change.
///
/// # Errors
/// Nothing is attached, or a program of another kind; then as [`attach`]. The old program stays where the new one cannot be
/// loaded.
pub fn replace(config: &Config, objects: &Path, interface: &str) -> Result<(), Failure> {
    let pins = pins(interface)?;
    let link = pins.join(LINK);
    if !is_there(&link)? {
        return Err(no_program(interface));
    }
    // Each kind of program has one of these maps, `pass` has none.
    for name in ["BEGUN", "DECAP", "ROUTES"] {
        if is_there(&pins.join(name))? != (config.own_map() == Some(name)) {
            return Err(Failure::new(format!(
                "{interface} has a program of another kind than {}: `xdp detach {interface}` removes it",
                config.program()
            )));
        }
    }
    let kept = config.kept();
    let mut object = config.load_keeping(objects, &pins)?;
    config.fill(&mut object, interface)?;
    let link = PinnedLink::from_pin(link).map_err(|error| refused(interface, &error))?;
    let link = XdpLink::try_from(FdLink::from(link)).map_err(|error| refused(interface, &error))?;
    let program = object.program()?;
    let _is_pinned = program
        .attach_to_link(link)
        .map_err(|error| refused(interface, &error))?;
    for (name, map) in object.maps() {
        if name.starts_with('.') || kept.contains(&name) {
            continue;
        }
        let pin = pins.join(name);
        if is_there(&pin)? {
            fs::remove_file(&pin).map_err(|error| refused(&pin.display().to_string(), &error))?;
        }
        map.pin(pin)
            .map_err(|error| refused(&format!("map {name}"), &error))?;
    }
    Ok(())
}

fn attach_and_pin(
    object: &mut crate::Object,
    pins: &Path,
    interface: &str,
) -> Result<Mode, Failure> {
    for (name, map) in object.maps() {
        // Constants of the program's, in maps that nobody reads.
        if !name.starts_with('.') {
            map.pin(pins.join(name))
                .map_err(|error| refused(&format!("map {name}"), &error))?;
        }
    }
    let program = object.program()?;
    let (link, mode) = match program.attach(interface, XdpMode::Driver) {
        Ok(link) => (link, Mode::Native),
        Err(ProgramError::SyscallError(error)) if is_unsupported(&error.io_error) => {
            let link = program
                .attach(interface, XdpMode::Skb)
                .map_err(|error| not_attached(interface, &error))?;
            (link, Mode::Generic)
        }
        Err(error) => return Err(not_attached(interface, &error)),
    };
    let link = program
        .take_link(link)
        .map_err(|error| refused(interface, &error))?;
    FdLink::try_from(link)
        .map_err(|error| refused(interface, &error))?
        .pin(pins.join(LINK))
        .map_err(|error| refused(interface, &error))?;
    Ok(mode)
}

/// The driver has no XDP, or not for this interface as it is: an MTU that is too long, say.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(95 | 22 | 34))
}

/// An interface has one program, which may be somebody else's.
fn not_attached(interface: &str, error: &ProgramError) -> Failure {
    match error {
        // EBUSY; EEXIST where that program is generic and this one native.
        ProgramError::SyscallError(error)
            if matches!(error.io_error.raw_os_error(), Some(16 | 17)) =>
        {
            Failure::new(format!(
                "{interface} has an XDP program that `xdp` has not attached. `ip link show dev {interface}` shows it; \
                 remove it with the tool that attached it, or by `ip link set dev {interface} xdp off` (xdpgeneric off)"
            ))
        }
        error => refused(interface, error),
    }
}

/// Whether there are such names; without permission nobody can tell.
pub(crate) fn is_there(pins: &Path) -> Result<bool, Failure> {
    pins.try_exists()
        .map_err(|error| refused(&pins.display().to_string(), &error))
}

/// What to say where there is no program.
pub(crate) fn no_program(interface: &str) -> Failure {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let advice = match netns_exec(&mounts) {
        Some(name) => format!(". {}", use_nsenter(name)),
        None => String::new(),
    };
    Failure::new(format!(
        "{interface} has no program of `xdp attach`{advice}"
    ))
}

/// The namespace of `ip netns exec`, under which this runs: it mounts `/sys` again, by that name.
fn netns_exec(mounts: &str) -> Option<&str> {
    let sys = mounts.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let source = words.next()?;
        (words.next() == Some("/sys")).then_some(source)
    })?;
    let is_name = !sys.contains('/') && Path::new("/run/netns").join(sys).exists();
    is_name.then_some(sys)
}

fn use_nsenter(name: &str) -> String {
    format!(
        "`ip netns exec` hides {FILE_SYSTEM}, where programs stay: use `nsenter --net=/run/netns/{name} xdp ...`"
    )
}

/// Mounts the BPF file system, where it is not.
fn mount() -> Result<(), Failure> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    // What is mounted there ends with the command, and the program with it.
    if let Some(name) = netns_exec(&mounts) {
        return Err(Failure::new(use_nsenter(name)));
    }
    let is_mounted = |line: &str| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(FILE_SYSTEM) && words.next() == Some("bpf")
    };
    if mounts.lines().any(is_mounted) {
        return Ok(());
    }
    let done = Command::new("mount")
        .args(["-t", "bpf", "bpf", FILE_SYSTEM])
        .status()
        .map_err(|error| Failure::of("mount", &error))?;
    if done.success() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "the BPF file system cannot be mounted on {FILE_SYSTEM}: it takes root"
        )))
    }
}

/// Detaches the program that [`attach`] has attached.
///
/// # Errors
/// There is none, or a permission is missing.
pub fn detach(interface: &str) -> Result<(), Failure> {
    let pins = pins(interface)?;
    if !is_there(&pins)? {
        return Err(no_program(interface));
    }
    let link = pins.join(LINK);
    // An attachment that was interrupted has left maps without a link.
    if is_there(&link)? {
        let link = PinnedLink::from_pin(link).map_err(|error| refused(interface, &error))?;
        // Nobody refers to the link any more: the kernel detaches the program.
        drop(link.unpin().map_err(|error| refused(interface, &error))?);
    }
    fs::remove_dir_all(&pins).map_err(|error| refused(&pins.display().to_string(), &error))?;
    // It fails where the namespace has other interfaces with programs.
    let _is_last = pins.parent().map(fs::remove_dir);
    Ok(())
}
