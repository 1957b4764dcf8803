//! Configurations: those that are shipped, and what wrong ones are told.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use ipencap_xdp::Config;

fn read(text: &str) -> Result<Config, String> {
    let folder = std::env::temp_dir();
    let path = folder.join(format!(
        "ipencap-xdp-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, text).unwrap();
    let config = Config::read(&path).map_err(|error| error.to_string());
    std::fs::remove_file(&path).unwrap();
    config
}

#[test]
fn shipped_configurations_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for (file, program) in [
        ("balance.toml", "balance_ipip"),
        ("decap.toml", "decap_gue"),
        ("demo.toml", "balance_ipip"),
        ("encap.toml", "encap_gue"),
        ("pass.toml", "pass"),
    ] {
        let config = Config::read(&folder.join(file)).unwrap();
        assert_eq!(config.program(), program, "{file}");
    }
}

#[test]
fn wrong_configurations_are_told_what_is_wrong() {
    let decap = "program = \"decap_fou\"\nlocal = \"192.0.2.1\"\n[[peer]]\nouter = \"192.0.2.2\"\n";
    let peer = "[[peer]]\nouter = \"192.0.2.2\"\ninner = [\"10.1.0.0/16\"]\n";
    let tunnel = "[[tunnel]]\nexit = \"192.0.2.2\"\ninner = [\"10.2.0.0/16\"]\n";
    let out = "[out]\nnext_hop = \"02:00:00:00:00:01\"\n";
    let from = "local = \"192.0.2.1\"\n";
    let encap = "program = \"encap_ipip\"\nlocal = \"192.0.2.1\"\ntunnel = []\n[out]\n";
    for (text, told) in [
        (
            "program = \"decap\"\n".to_owned(),
            "unknown variant `decap`",
        ),
        (
            format!("{decap}inner = [\"10.0.0.0/33\"]\n"),
            "10.0.0.0/33: ",
        ),
        (
            format!("{decap}inner = [\"10.0.0/8\"]\n"),
            "10.0.0/8: not an IPv4 address",
        ),
        (format!("{decap}outer_port = 1\n"), "outer_port"),
        (decap.to_owned(), "missing field `inner`"),
        (
            format!("{encap}next_hop = \"02:00:00:00:00\"\n"),
            "not an Ethernet address like 02:00:00:00:00:01",
        ),
        (
            format!("{encap}next_hop = \"02:00:00:00:00:01:02\"\n"),
            "longer than an Ethernet address",
        ),
        (
            format!("program = \"decap_ipip\"\n{from}{peer}{peer}"),
            "192.0.2.2 is `outer` of two peers",
        ),
        (
            format!("program = \"encap_ipip\"\n{from}{out}{tunnel}{tunnel}"),
            "10.2.0.0/16 is listed twice",
        ),
        (
            format!("program = \"decap_fou\"\n{from}{peer}"),
            "`port` is missing or 0",
        ),
        (
            format!("program = \"encap_gue\"\nport = 0\n{from}{out}{tunnel}"),
            "`port` is missing or 0",
        ),
        (
            "program = \"balance\"\nsource = \"192.0.2.1\"\ntunnel = \"gue\"\nport = 0\nseed = 1\npool = []\n"
                .to_owned(),
            "`port` is missing or 0",
        ),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.contains(told), "{text}\n{error}\nlacks {told}");
    }
}
