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
        // The kernel's program does not ask for routes.
        if let Config::Balance(balance) = config {
            assert!(balance.out.is_some(), "{file} cannot be attached");
        }
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

#[test]
fn errors_have_the_line_and_the_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let right = std::fs::read_to_string(folder.join("balance.toml")).unwrap();
    for (from, to, line) in [
        ("\"198.51.100.1\"", "\"198.51.100\"", "source = "),
        (
            "\"192.0.2.12\"",
            "\"192.0.2.256\"",
            "address = \"192.0.2.256\"",
        ),
        ("\"02:00:00:00:00:01\"", "\"02:00\"", "next_hop = "),
        ("link_mtu = 1500", "link_mtu = 70000", "link_mtu = "),
        ("weight = 2", "wait = 2", "wait = 2"),
        ("\"balance\"", "\"balancer\"", "program = "),
    ] {
        let wrong = right.replacen(from, to, 1);
        let number = 1 + wrong
            .lines()
            .position(|found| found.contains(line))
            .unwrap();
        let error = read(&wrong).unwrap_err();
        assert!(error.contains(&format!("line {number},")), "{to}: {error}");
        assert!(error.contains(line), "{to}: {error}");
    }
}

#[test]
fn values_that_no_network_has_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    for (file, from, to, told) in [
        (
            "balance.toml",
            "link_mtu = 1500",
            "link_mtu = 87",
            "link_mtu is 88 or more",
        ),
        ("encap.toml", "mtu = 1500", "mtu = 99", "mtu is 100 or more"),
        (
            "balance.toml",
            "203.0.113.53/udp",
            "224.0.0.53/udp",
            "the VIP 224.0.0.53",
        ),
        (
            "balance.toml",
            "203.0.113.53/udp",
            "0.0.0.0/udp",
            "the VIP 0.0.0.0",
        ),
        (
            "balance.toml",
            "203.0.113.53/udp",
            "255.255.255.255/udp",
            "the VIP 255.255.255.255",
        ),
        (
            "pass.toml",
            "program = \"pass\"",
            "program = \"pass\"\nlocal = 1",
            "unknown field `local`",
        ),
    ] {
        let right = std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(right.contains(from), "{file}: {from}");
        let error = read(&right.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(told), "{to}: {error}");
    }
    let right = std::fs::read_to_string(folder.join("balance.toml")).unwrap();
    let short = right.replacen("link_mtu = 1500", "link_mtu = 88", 1);
    assert!(read(&short).is_ok());
    let error = read(&short.replacen("\"ipip\"", "\"gue\"", 1)).unwrap_err();
    assert!(error.contains("link_mtu is 100 or more"), "{error}");
}
