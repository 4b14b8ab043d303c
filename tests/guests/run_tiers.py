#!/usr/bin/env python3
"""Runs the guests of guests.toml in each tier, with one and with four processors; prints a line for each, and what failed.

usage: run_tiers.py CALCO GUESTS_FOLDER [GUEST...]

Longer than the tests: about a quarter of an hour on two processors that have nothing else to do.
"""

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

TIERS = {
    "interpreter": "interp",
    "all tiers": "jit",
    "baseline": "jit,llvm=off",
    "regions soon": "jit,llvm-threshold=100",
    "at once": "jit,threshold=1",
    "full cache": "jit,threshold=1,tb-size=4",
    "LLVM alone": "jit,baseline=off",
}
# There every block waits for LLVM before it executes for the first time.
UNDER_LLVM_ALONE = ("seabios_banner", "debian_cloud_kernel_to_a_shell")
HERE = Path(__file__).parent


def guests():
    """Those that leave it to others what executes them, and whether they say how many processors they need."""
    for guest in tomllib.loads((HERE / "guests.toml").read_text())["guest"]:
        if "kvm" not in guest["arguments"] and "cosim" not in guest["arguments"]:
            yield guest["name"], "four_processors" in guest["name"]


def main():
    calco, folder, *wanted = sys.argv[1:]
    environment = dict(os.environ, CALCO_TEST_PATIENCE=os.environ.get("CALCO_TEST_PATIENCE", "6"))
    failed = []
    for name, fixed in guests():
        if wanted and name not in wanted:
            continue
        for tier, engine in TIERS.items():
            if tier == "LLVM alone" and name not in UNDER_LLVM_ALONE:
                continue
            for processors in ("4",) if fixed else ("1", "4"):
                begin = time.monotonic()
                result = subprocess.run([sys.executable, HERE / "run_guest.py", calco, folder, name, "-accel", engine, "-smp", processors],
                                        env=environment, capture_output=True, text=True, errors="replace", check=False)
                label = f"{name}, {tier}, {processors} processor{'s' * (processors != '1')}"
                print(f"{'ok  ' if result.returncode == 0 else 'FAIL'} {time.monotonic() - begin:6.1f} s  {label}", flush=True)
                if result.returncode != 0:
                    failed.append(label)
                    print("\n".join((result.stdout + result.stderr).splitlines()[-8:]), flush=True)
    print(f"{len(failed)} failed" if failed else "all pass")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
