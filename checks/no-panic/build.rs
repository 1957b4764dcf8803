//! How to link a program without a start-up file or an operating system's library around it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A bare-metal target's linker needs to be told nothing. On the host the C library is there for
    // `memcpy` and its like only.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        for arg in [
            "-nostartfiles",
            "-static",
            "-Wl,--gc-sections",
            "-Wl,--no-undefined",
            "-lc",
        ] {
            println!("cargo::rustc-link-arg-bins={arg}");
        }
    }
}
