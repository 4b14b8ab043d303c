#!/usr/bin/env python3
"""Boots a test ROM with -accel jit,report=FILE and checks what the numbers must have in common:
run_report.py CALCO ROM [SETTING...]

The settings are the translator's. "baseline=off" among them: the optimizing tier must have executed all of it.
"""

import json
import pathlib
import subprocess
import sys
import tempfile


def statistics_of(calco: str, rom: str, settings: list[str], folder: str) -> dict[str, int]:
    report = pathlib.Path(folder, "report.json")
    engine = ",".join(["jit", "threshold=1", "count=on", f"report={report}", *settings])
    subprocess.run([calco, "-cpu", "max,vendor=GenuineIntel", "-no-reboot", "-display", "none", "-serial", "none",
                    "-device", "isa-debug-exit,iobase=0x501,iosize=2", "-accel", engine, "-kernel", rom],
                   stdin=subprocess.DEVNULL, timeout=120, check=False)
    return json.loads(report.read_text())


def contradictions(n: dict[str, int], optimizer_only: bool) -> list[str]:
    exits = ["link", "hot", "interpret", "request", "next", "fault"]
    expected = {
        "every number is a count": all(isinstance(value, int) and value >= 0 for value in n.values()),
        "code was translated": n["translations"] > 0,
        "not more translations are known than were made or revived": n["known"] <= n["translations"] + n["revivals"],
        "an instruction has at least a byte": n["guest-bytes"] >= n["guest-instructions"] >= n["translations"],
        "host code is in the cache": 0 < n["host-bytes"] <= n["cache-used"] <= n["cache-size"],
        "each entry has its exit": n["entries"] == sum(n[f"{name}-exits"] for name in exits),
        "translators took time": min(n["frontend-ns"], n["optimizer-ns"], n["baseline-ns"]) > 0,
        "accesses are slow at times": 0 < n["slow-accesses"] < n["accesses"],
        "the interpreter executed what is not 64-bit code": n["interpreted-instructions"] > 0,
        "the TLB was filled and flushed": min(n["tlb-misses"], n["tlb-flushes"]) > 0,
        "regions in use were asked for": n["regions-published"] <= n["regions-promoted"],
    }
    if optimizer_only:
        expected |= {
            "regions were published": n["regions-published"] > 0,
            "the optimizing tier executed": n["optimizer-instructions"] > 0,
            "LLVM took time": min(n["llvm-build-ns"], n["llvm-pass-ns"], n["llvm-code-ns"], n["llvm-link-ns"]) > 0,
        }
    else:
        expected["the baseline executed"] = n["baseline-instructions"] > 0
    return [text for text, true in expected.items() if not true]


def main() -> int:
    calco, rom, *settings = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        numbers = statistics_of(calco, rom, settings, folder)
    wrong = contradictions(numbers, "baseline=off" in settings)
    if wrong:
        print("not so:", *wrong, json.dumps(numbers, indent=1), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
