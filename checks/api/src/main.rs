//! The public interface, one item a line: `ipencap-api RUSTDOC_JSON`.
//!
//! Without what every type has, blanket implementations and auto traits, of which
//! `tests/architecture.rs` asserts those that matter; and without zerocopy's derives, which are
//! outside of the stable interface.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os()
        .nth(1)
        .ok_or("usage: ipencap-api RUSTDOC_JSON")?;
    let interface = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()?;
    for item in interface.items().map(ToString::to_string) {
        if !item.contains("zerocopy::") {
            println!("{item}");
        }
    }
    Ok(())
}
