"""`speed`: how fast it is, beside others, in one run."""

import json
import os
import platform
import statistics
import sys
import time

from contestants import Ours, all_contestants
from probes import Iperf

DIRECTIONS = {">": False, "<": True}
# One contestant, at least so many times as fast as another.
GOALS = [("fou", 0.35, "vxlan"), ("fou", 4, "openvpn"), ("fou", 4, "fastd"), ("fou", 2.2, "plain copy")]
WITHOUT_OFFLOAD = 0.9
MOST_CALLS = 0.1
CALL_RUNS = 3


def run(options, program):
    began = time.monotonic()
    contestants = [one for one in all_contestants() if not options.only or one.name in options.only
                   or one.name.split(",")[0] in options.only]
    results, problems = {}, []
    opened = []
    try:
        for one in contestants:
            try:
                one.open(program)
                opened.append((one, Iperf(one.lab)))
                results[one.name] = {"group": one.group, **{way: [] for way in DIRECTIONS}}
            except Exception as error:  # The others run without it.
                problems.append(f"{one.name}: {error}")
        # Round by round, so that what else this machine does meets all alike.
        for turn in range(options.repeat):
            for one, iperf in opened:
                print(f"\r{turn + 1}/{options.repeat} {one.name:<20}", end="", file=sys.stderr)
                for way, reverse in DIRECTIONS.items():
                    try:
                        results[one.name][way].append(iperf.tcp(reverse, 2)["mbit"])
                    except Exception as error:
                        problems.append(f"{one.name} {way}: {error}")
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
        for one, iperf in opened:
            if isinstance(one, Ours):
                try:
                    # What else the machine does decides how much has come when a program looks.
                    counts = [one.calls(iperf) for _ in range(CALL_RUNS if one.group == "ours" else 1)]
                    results[one.name]["calls"] = {end: statistics.median(count[end] for count in counts) for end in "ab"}
                except Exception as error:
                    problems.append(f"{one.name}: its system calls are not counted: {error}")
    finally:
        for one in contestants:
            one.close()
    for result in results.values():
        for way in DIRECTIONS:
            result[f"median {way}"] = statistics.median(result[way]) if result[way] else 0.0
    missed = goals(results)
    show(results, problems, missed)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "seconds": round(time.monotonic() - began), "results": results,
                       "problems": problems, "missed": missed}, file, indent=1)
            file.write("\n")
    if options.plot:
        plot(options.plot, results)
    return 1 if problems or missed or not results else 0


def machine():
    return {"date": time.strftime("%Y-%m-%d"), "kernel": platform.release(), "cores": os.cpu_count()}


def worse(result):
    """The slower direction counts."""
    return min(result[f"median {way}"] for way in DIRECTIONS)


def goals(results):
    wanted = list(GOALS)
    wanted += [(name, WITHOUT_OFFLOAD, "plain copy") for name, result in results.items()
               if result["group"] == "ours without offload" and "+" not in name]
    missed = []
    for name, factor, other in wanted:
        if name in results and other in results:
            times = worse(results[name]) / max(1, worse(results[other]))
            if times < factor:
                missed.append(f"{name} is {times:.2f} times as fast as {other}, and shall be {factor}")
    for name, result in results.items():
        if result["group"] == "ours":
            for end, calls in result.get("calls", {}).items():
                if calls > MOST_CALLS:
                    missed.append(f"{name}: {calls:.2f} system calls for each packet at gateway {end}, and shall be {MOST_CALLS}")
    return missed


def show(results, problems, missed):
    base = {name: max(1.0, worse(results[name])) for name in ("vxlan", "plain copy") if name in results}
    head = ["Mbit/s, medians", ">", "<", *(f"/ {name}" for name in base), "calls a", "calls b"]
    table = [head]
    for name, result in results.items():
        calls = [f"{result['calls'][end]:.3f}" if "calls" in result else "" for end in "ab"]
        table.append([name, *(f"{result[f'median {way}']:.0f}" for way in DIRECTIONS),
                      *(f"{worse(result) / value:.2f}" for value in base.values()), *calls])
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    for row in table:
        print("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip())
    for line in missed:
        print(f"MISSED: {line}")
    for line in problems:
        print(f"FAILED: {line}")


COLOURS = {"others": "#8a8f98", "ours": "#2f6fb7", "ours without offload": "#9cc0e6"}


def plot(path, results):
    """Bars: the slower direction of each."""
    names = sorted(results, key=lambda name: -worse(results[name]))
    left, width, step = 150, 520, 22
    most = max(1.0, *(worse(result) for result in results.values()))
    place = lambda mbit: width * mbit / most
    height = step * len(names) + 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{height}" '
             f'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{left}" y="16">Mbit/s of TCP, the slower direction</text>']
    for mark in range(0, int(most) + 1, 2000 if most < 12000 else 5000):
        if mark <= most:
            x = left + place(mark)
            parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="24" y2="{height - 34}" stroke="#ddd"/>'
                         f'<text x="{x:.0f}" y="{height - 20}" text-anchor="middle" fill="#555">{mark}</text>')
    for index, name in enumerate(names):
        y = 28 + index * step
        mbit = worse(results[name])
        parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{name}</text>'
                     f'<rect x="{left}" y="{y}" width="{place(mbit):.0f}" height="{step - 5}" '
                     f'fill="{COLOURS[results[name]["group"]]}"/>'
                     f'<text x="{left + place(mbit) + 5:.0f}" y="{y + 13}" fill="#333">{mbit:.0f}</text>')
    x = left
    for group, colour in COLOURS.items():
        parts.append(f'<rect x="{x}" y="{height - 12}" width="10" height="10" fill="{colour}"/>'
                     f'<text x="{x + 14}" y="{height - 3}">{group}</text>')
        x += 40 + 7 * len(group)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*parts, "</svg>", ""]))
