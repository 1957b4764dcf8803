//! A program on an interface: it stays attached, and its maps stay, by their names in the BPF file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use aya::programs::links::{FdLink, PinnedLink};
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

/// The names of what is attached to an interface.
#[must_use]
pub(crate) fn pins(interface: &str) -> PathBuf {
    Path::new(FILE_SYSTEM).join("ipencap-xdp").join(interface)
}

/// Loads the program that `config` names, fills its maps and attaches it: natively, or generically where the driver
/// cannot.
///
/// # Errors
/// There is a program already; a permission is missing; the verifier or the library refuses something.
pub fn attach(config: &Config, objects: &Path, interface: &str) -> Result<Mode, Failure> {
    let pins = pins(interface);
    if pins.exists() {
        return Err(Failure::new(format!(
            "{interface} has a program already: `xdp detach {interface}` removes it"
        )));
    }
    let mut object = config.load(objects)?;
    config.fill(&mut object, interface)?;
    mount()?;
    fs::create_dir_all(&pins).map_err(|error| Failure::of(pins.display(), &error))?;
    let attached = attach_and_pin(&mut object, &pins, interface);
    if attached.is_err() {
        let _is_gone = fs::remove_dir_all(&pins);
    }
    attached
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
                .map_err(|error| refused(interface, &error))?;
            (link, Mode::Generic)
        }
        Err(error) => return Err(refused(interface, &error)),
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

/// Mounts the BPF file system, where it is not.
fn mount() -> Result<(), Failure> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
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
    let pins = pins(interface);
    let link = PinnedLink::from_pin(pins.join(LINK)).map_err(|error| match error {
        _ if !pins.exists() => Failure::new(format!("{interface} has no program of `xdp attach`")),
        error => refused(interface, &error),
    })?;
    // Nobody refers to the link any more: the kernel detaches the program.
    drop(link.unpin().map_err(|error| refused(interface, &error))?);
    fs::remove_dir_all(&pins).map_err(|error| Failure::of(pins.display(), &error))
}
