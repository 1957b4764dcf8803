//! One object: a program with its maps, loaded.

use core::error::Error;
use core::net::Ipv4Addr;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, LpmTrie, MapData, lpm_trie};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, Pod, VerifierLogLevel};
use ipencap_xdp_maps::{BalanceConfig, InnerSource, Out, Place, Route, Settings};
use zerocopy::{Immutable, IntoBytes};

use crate::Failure;

/// What an XDP program returns to leave a packet to the kernel.
const XDP_PASS: u32 = 2;

/// A loaded program. It stays in the kernel while this or an attachment lives.
pub struct Object {
    ebpf: Ebpf,
    name: String,
}

/// Where the objects lie: the folder that `IPENCAP_XDP_OBJECTS` names, or `xdp` in the folder of build results.
#[must_use]
pub fn objects_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("IPENCAP_XDP_OBJECTS") {
        return folder.into();
    }
    // `target/release/xdp` beside `target/xdp/`.
    let program = std::env::current_exe().unwrap_or_default();
    let target = program.ancestors().nth(2).unwrap_or(Path::new("target"));
    target.join("xdp")
}

impl Object {
    /// Loads the program `name` into the kernel, with its maps.
    ///
    /// # Errors
    /// The object is missing; the permission is; the kernel's verifier refuses the program.
    pub fn load(folder: &Path, name: &str) -> Result<Self, Failure> {
        Self::load_with(folder, name, &[], &[])
    }

    /// The same, with other numbers of entries of some maps, and with maps that are pinned already.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn load_with(
        folder: &Path,
        name: &str,
        sizes: &[(&str, u32)],
        pinned: &[(&str, PathBuf)],
    ) -> Result<Self, Failure> {
        let path = folder.join(format!("{name}.o"));
        let bytes = std::fs::read(&path).map_err(|error| {
            Failure::new(format!(
                "{}: {error}. `examples/xdp/build.sh` builds the objects",
                path.display()
            ))
        })?;
        let mut loader = aya::EbpfLoader::new();
        loader.verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS);
        for &(map, entries) in sizes {
            loader.map_max_entries(map, entries);
        }
        for (map, pin) in pinned {
            loader.map_pin_path(map, pin.as_path());
        }
        let mut ebpf = loader
            .load(&bytes)
            .map_err(|error| refused(&path.display().to_string(), &error))?;
        let programs: Vec<_> = ebpf.programs().map(|(name, _)| name.to_owned()).collect();
        for program in &programs {
            load_program(&mut ebpf, program)?;
        }
        Ok(Self {
            ebpf,
            name: name.to_owned(),
        })
    }

    /// The program.
    ///
    /// # Errors
    /// None that a loaded object has.
    pub fn program(&mut self) -> Result<&mut Xdp, Failure> {
        find(&mut self.ebpf, &self.name)
    }

    /// Sets how outer packets leave.
    ///
    /// # Errors
    /// The program sends none.
    pub fn set_out(&mut self, out: &Out) -> Result<(), Failure> {
        self.set("OUT", 0, bytes::<{ size_of::<Out>() }>(out))
    }

    /// Sets what a balancer knows besides its tables.
    ///
    /// # Errors
    /// The program is none.
    pub fn set_balance(&mut self, config: &BalanceConfig) -> Result<(), Failure> {
        self.set(
            "BALANCE",
            0,
            bytes::<{ size_of::<BalanceConfig>() }>(config),
        )
    }

    /// Puts a tunnel into its place, and has the kernel compose it.
    ///
    /// # Errors
    /// The library refuses the settings.
    pub fn keep(&mut self, map: &str, number: u32, settings: &Settings) -> Result<(), Failure> {
        let place = Place {
            settings: *settings,
            ..Place::default()
        };
        self.set(map, number, bytes::<{ size_of::<Place>() }>(&place))?;
        let mut frame = [0; 64];
        for (to, from) in frame.iter_mut().zip(number.to_ne_bytes()) {
            *to = from;
        }
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        let compose: &Xdp = find(&mut self.ebpf, "compose")?;
        let done = compose
            .test_run(options)
            .map_err(|error| refused("compose", &error))?;
        if done.return_value == XDP_PASS {
            return Ok(());
        }
        let [local, exit] = [settings.local, settings.exit].map(Ipv4Addr::from);
        Err(Failure::new(format!(
            "a tunnel from {local} to {exit}: both must be unicast addresses"
        )))
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All maps.
    pub fn maps(&self) -> impl Iterator<Item = (&str, &aya::maps::Map)> {
        self.ebpf.maps()
    }

    /// A map.
    ///
    /// # Errors
    /// The program has none of this name.
    pub fn map(&self, name: &str) -> Result<&aya::maps::Map, Failure> {
        self.ebpf
            .map(name)
            .ok_or_else(|| Failure::new(format!("{} has no map {name}", self.name)))
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut aya::maps::Map, Failure> {
        let program = &self.name;
        self.ebpf
            .map_mut(name)
            .ok_or_else(|| Failure::new(format!("{program} has no map {name}")))
    }

    /// Writes a value of an array.
    ///
    /// # Errors
    /// The array is shorter, or another map.
    pub fn set<V: Pod>(&mut self, map: &str, place: u32, value: V) -> Result<(), Failure> {
        let mut array: Array<&mut MapData, V> =
            Array::try_from(self.map_mut(map)?).map_err(|error| Failure::of(map, &error))?;
        array
            .set(place, value, 0)
            .map_err(|error| Failure::of(map, &error))
    }

    /// Adds to a hash table.
    ///
    /// # Errors
    /// The table is full, or another map.
    pub fn insert<K: Pod, V: Pod>(&mut self, map: &str, key: K, value: V) -> Result<(), Failure> {
        let mut table: HashMap<&mut MapData, K, V> =
            HashMap::try_from(self.map_mut(map)?).map_err(|error| Failure::of(map, &error))?;
        table
            .insert(key, value, 0)
            .map_err(|error| Failure::of(map, &error))
    }

    /// Allows a peer's inner sources.
    ///
    /// # Errors
    /// The trie is full, or another map.
    pub fn allow(&mut self, map: &str, source: InnerSource) -> Result<(), Failure> {
        // The trie's own type has the length.
        let mut data = [0; 8];
        data.copy_from_slice(&source.as_bytes()[4..]);
        self.insert_prefix(map, source.prefix_len, data, 1_u32)
    }

    /// Routes inner destinations into a tunnel.
    ///
    /// # Errors
    /// The trie is full, or another map.
    pub fn route<V: Pod>(&mut self, map: &str, route: Route, exit: V) -> Result<(), Failure> {
        self.insert_prefix(map, route.prefix_len, route.address, exit)
    }

    fn insert_prefix<K: Pod, V: Pod>(
        &mut self,
        map: &str,
        len: u32,
        data: K,
        value: V,
    ) -> Result<(), Failure> {
        let mut trie: LpmTrie<&mut MapData, K, V> =
            LpmTrie::try_from(self.map_mut(map)?).map_err(|error| Failure::of(map, &error))?;
        trie.insert(&lpm_trie::Key::new(len, data), value, 0)
            .map_err(|error| Failure::of(map, &error))
    }
}

impl core::fmt::Debug for Object {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Object").field(&self.name).finish()
    }
}

fn find<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, Failure> {
    ebpf.program_mut(name)
        .ok_or_else(|| Failure::new(format!("the object has no program {name}")))?
        .try_into()
        .map_err(|error: ProgramError| Failure::of(name, &error))
}

fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<(), Failure> {
    find(ebpf, name)?.load().map_err(|error| match &error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } if !is_not_permitted(io_error) => {
            verifier_refused(name, io_error, &verifier_log.to_string())
        }
        error => refused(name, error),
    })
}

/// The bytes of a value of a map, which has `N`.
pub(crate) fn bytes<const N: usize>(value: &(impl IntoBytes + Immutable)) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(value.as_bytes());
    bytes
}

/// EPERM, and ENOSYS of a kernel without `bpf()`. The verifier's refusals are EACCES and EINVAL.
fn is_not_permitted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(1 | 38))
}

/// An error of loading or attaching, with what to do where the permission is missing.
pub(crate) fn refused(what: &str, error: &(dyn Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let text = format!(
                "{what}: the kernel does not permit it. XDP programs need root, or the capabilities CAP_BPF and \
                 CAP_NET_ADMIN; in a container, also that bpf() is not filtered"
            );
            if is_not_permitted(error) {
                return Failure::not_permitted(text);
            }
            // EACCES is what the BPF file system says. It is no reason to think that no program can be loaded.
            if error.kind() == io::ErrorKind::PermissionDenied {
                return Failure::new(text);
            }
        }
        cause = error.source();
    }
    Failure::of(what, error)
}

fn verifier_refused(name: &str, error: &io::Error, log: &str) -> Failure {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let tail = lines
        .get(lines.len().saturating_sub(12)..)
        .unwrap_or_default()
        .join("\n  ");
    Failure::new(format!(
        "{name}: the verifier of Linux {} refuses the program ({error}). The end of its log:\n  {tail}\nPlease report \
         it with this log and the output of `rustc -vV`.",
        kernel.trim()
    ))
}
