#!/usr/bin/env python3
"""The lab of ipencap-vpn: real devices, real sockets, and a network that can be broken.

usage: lab.py lab    [--only NAME]... [--json FILE] [--no-offload] every carrier and nest, by ping, DF, ECN, UDP, iperf3, tshark
       lab.py faults [--only NAME]... [--json FILE] [--jobs N]     what breaks in a network, while streams pass
       lab.py speed  [--only NAME]... [--json FILE] [--plot FILE]  Mbit/s, beside other tunnels
       lab.py control [--json FILE]                                breaks things, to see that the lab notices
       lab.py shell  [--only CARRIER]                              builds it, and leaves it to you until you press Enter

NAME is a carrier, as the first column of the table has it, or a fault. Needs root. Missing Debian packages are installed.
"""

import argparse
import concurrent.futures
import contextlib
import os
import shutil
import signal
import subprocess
import sys

import net

PACKAGES = {
    "ip": "iproute2", "ping": "iputils-ping", "iperf3": "iperf3", "tshark": "tshark", "ethtool": "ethtool",
    "nft": "nftables", "sysctl": "procps", "setpriv": "util-linux",
}
MORE_FOR_SPEED = {"openvpn": "openvpn", "fastd": "fastd", "socat": "socat", "cc": "gcc", "strace": "strace"}


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("lab.py: it makes network namespaces: run it as root")
    # So that everything is removed again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    install({**PACKAGES, **(MORE_FOR_SPEED if options.work == "speed" else {})})
    net.remove_leftovers()
    import vpn
    program = vpn.binary()
    works = {"lab": lab, "faults": faults, "speed": speed, "shell": shell, "control": control}
    try:
        return works[options.work](options, program)
    finally:
        net.close_all()


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1], add_help=True)
    parser.add_argument("work", choices=["lab", "faults", "speed", "shell", "control"])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--json")
    parser.add_argument("--captures")
    parser.add_argument("--plot")
    parser.add_argument("--no-offload", action="store_true")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--flood", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=5)
    return parser.parse_args()


def install(packages):
    missing = sorted({package for command, package in packages.items() if not shutil.which(command)})
    if not missing:
        return
    print(f"installing {' '.join(missing)}", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    quiet = {"env": environment, "stdout": subprocess.DEVNULL}
    subprocess.run([*get, "update"], check=False, **quiet)
    subprocess.run([*get, "install", "-y", "--no-install-recommends", *missing], check=True, **quiet)


def in_parallel(options, tasks):
    """Runs tasks, some at a time. When it is ended, those that have not begun do not begin."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(*task) for task in tasks]
        try:
            for task in running:
                task.result()
        except BaseException:
            # Without their namespaces they end soon.
            pool.shutdown(wait=False, cancel_futures=True)
            net.close_all()
            raise


def finish(options, report):
    import report as reports
    report.print()
    if options.json:
        reports.write_json(options.json, report.json())
    return 1 if report.failures() or not report.rows else 0


def chosen(options, carriers):
    """Those that were asked for; all, if no carrier was."""
    import carriers as known
    names = [name for name in options.only if name.split("+")[0] in known.KINDS]
    return [known.named(name) for name in names] or carriers


def lab(options, program):
    import carriers
    import checks
    from report import Report
    report = Report("carrier", checks.COLUMNS)
    wanted = chosen(options, carriers.all_carriers())
    for carrier in wanted:
        report.case(carrier.name)
    interface = "offload = false" if options.no_offload else ""
    in_parallel(options, [(checks.run, report, program, carrier, options.captures, interface) for carrier in wanted])
    return finish(options, report)


def faults(options, program):
    import carriers
    import faults as all_faults
    import habits
    from report import Report
    report = Report("carrier", [*all_faults.COLUMNS, *habits.HABITS])
    names = [name for name in options.only if name in all_faults.FAULTS]
    habit_names = [name for name in options.only if name in habits.HABITS]
    wanted = chosen(options, [carriers.Carrier(kinds) for kinds in all_faults.CARRIERS])
    if habit_names and not names:
        wanted = []
    for carrier in wanted:
        report.case(carrier.name)
    tasks = [(all_faults.run, report, program, carrier, name, options.flood)
             for name in names or all_faults.FAULTS for carrier in wanted]
    if not options.only or habit_names:
        tasks = [(habits.run, report, program, name) for name in habit_names or habits.HABITS] + tasks
    in_parallel(options, tasks)
    return finish(options, report)


def control(options, program):
    import control as controls
    return finish(options, controls.run(program))


def speed(options, program):
    import speed as speeds
    return speeds.run(options, program)


def shell(options, program):
    import carriers
    from vpn import start_pair
    carrier = carriers.named(options.only[0] if options.only else "fou")
    with net.Lab("shell") as topology:
        topology.build()
        vpns = start_pair(topology, program, carrier)
        print(f"{carrier.name} runs between the gateways. From another terminal:")
        for node in net.NODES:
            print(f"  ip netns exec {topology.name(node)} bash")
        print(f"For example: ip netns exec {topology.name('lan1')} ping {net.HOST['b']}")
        for end, gateway in vpns.items():
            print(f"Gateway {end}: process {gateway.process.pid}, file {gateway.path}")
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            input("Enter ends it. ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
