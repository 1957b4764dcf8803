//! The memory map of the board, and the linker scripts of its start-up code.

use std::{env, fs, path::PathBuf};

fn main() {
    let target = env::var("TARGET").unwrap();
    let board = match &target[..] {
        "thumbv7em-none-eabihf" => "mps2-an386",
        "thumbv6m-none-eabi" => "microbit",
        "riscv32imc-unknown-none-elf" => "virt",
        _ => panic!(
            "there is no board for {target}: see .cargo/config.toml for the three that there are"
        ),
    };
    // This file is the build script of `sizes/` too.
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let workspace = folder
        .ancestors()
        .find(|folder| folder.join("memory").is_dir())
        .unwrap();
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let map = format!("{}/memory/{board}.x", workspace.display());
    fs::copy(&map, out.join("memory.x")).unwrap();
    println!("cargo::rerun-if-changed={map}");
    println!("cargo::rustc-link-search={}", out.display());
    // cortex-m-rt's script reads the map itself.
    if !target.starts_with("thumb") {
        println!("cargo::rustc-link-arg=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg=-Tdefmt.x");
    }
    // Without padding to pages, which microcontrollers do not have.
    println!("cargo::rustc-link-arg=--nmagic");
}
