//! A law that no target calls is not fuzzed.

use ipencap_kit::laws::LAWS;

#[test]
fn every_law_has_a_target() {
    let targets = [
        include_str!("../fuzz_targets/parse.rs"),
        include_str!("../fuzz_targets/checksum.rs"),
        include_str!("../fuzz_targets/encap.rs"),
        include_str!("../fuzz_targets/decap.rs"),
        include_str!("../fuzz_targets/roundtrip.rs"),
        include_str!("../fuzz_targets/stream.rs"),
    ];
    for law in LAWS {
        let call = format!("laws::{}(", law.name);
        let callers = targets.iter().filter(|target| target.contains(&call));
        assert_eq!(callers.count(), 1, "{}", law.name);
    }
}
