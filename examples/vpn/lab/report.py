"""What was found: a table for people, JSON for programs."""

import json
import threading
import time


class Failed(Exception):
    """A check has found something wrong."""


class Impossible(Exception):
    """This machine, or this carrier, has not what a check needs."""


class Report:
    """The results of all cases."""

    def __init__(self, title, columns):
        self.title, self.columns = title, columns
        self.rows = {}
        self.lock = threading.Lock()
        self.began = time.monotonic()

    def case(self, name):
        with self.lock:
            return Case(self.rows.setdefault(name, {}), name)

    def failures(self):
        return [(name, check, result["detail"]) for name, row in self.rows.items()
                for check, result in row.items() if result["state"] == "failed"]

    def impossible(self):
        return [(name, check, result["detail"]) for name, row in self.rows.items()
                for check, result in row.items() if result["state"] == "impossible" and result["detail"]]

    def print(self):
        names = [name for name in self.rows if self.rows[name]]
        columns = [column for column in self.columns if any(column in self.rows[name] for name in names)]
        table = [[self.title, *columns]]
        table += [[name, *(shown(self.rows[name].get(column)) for column in columns)] for name in names]
        widths = [max(len(row[place]) for row in table) for place in range(len(table[0]))]
        for row in table:
            first = row[0].ljust(widths[0])
            print("  ".join([first, *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip())
        for name, check, detail in self.impossible():
            print(f"not possible: {name}: {check}: {detail}")
        for name, check, detail in self.failures():
            print(f"FAILED: {name}: {check}: {detail}")
        count = sum(len(row) for row in self.rows.values())
        print(f"{count} checks, {len(self.failures())} failed, {time.monotonic() - self.began:.0f} s")

    def json(self):
        return {
            "title": self.title,
            "seconds": round(time.monotonic() - self.began, 1),
            "failed": len(self.failures()),
            "cases": self.rows,
        }


class Case:
    """The checks of one case."""

    def __init__(self, row, name):
        self.row, self.name = row, name

    def check(self, name, work, *arguments):
        """Runs a check, which returns what to show. Returns whether it has passed."""
        try:
            shown_as = work(*arguments)
            self.row[name] = {"state": "passed", "detail": "ok" if shown_as is None else str(shown_as)}
            return True
        except Impossible as reason:
            self.row[name] = {"state": "impossible", "detail": str(reason)}
            return True
        except Exception as error:  # Whatever it is, the other checks go on.
            detail = str(error) if isinstance(error, Failed) else f"{error.__class__.__name__}: {error}"
            self.row[name] = {"state": "failed", "detail": detail}
            return False


def shown(result):
    if result is None:
        return ""
    return {"passed": result["detail"], "impossible": "-", "failed": "FAILED"}[result["state"]]


def write_json(path, reports):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(reports, file, indent=1)
        file.write("\n")
