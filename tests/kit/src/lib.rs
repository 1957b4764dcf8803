//! The laws of `ipencap`: one law, many engines.
//!
//! | module | what |
//! |---|---|
//! | [`laws`] | plain functions that panic where the library breaks a law |
//! | [`oracle`] | naive answers, written from the RFCs and independent of the library's logic |
//! | [`generate`] | structured inputs from a string of bytes |
//! | [`registry`] | every encapsulator once: a new one is enrolled in every law by its line there |
//! | [`subjects`] | what the registry lists: each encapsulator with its policies and its naive form |
//!
//! Every law takes an input that is already generated, so proptest, a fuzzer, Miri and a
//! big-endian machine call the same function:
//!
//! ```
//! use ipencap_kit::{generate, laws};
//!
//! let input = generate::from_bytes(b"whatever an engine comes up with");
//! laws::law_checksum_matches_oracle(&input);
//!
//! for law in laws::LAWS {
//!     (law.run)(b"the same, by name and from raw bytes: for fuzz targets");
//! }
//! ```

pub use arbitrary;

pub mod generate;
pub mod laws;
pub mod oracle;
pub mod registry;
pub mod subjects;
