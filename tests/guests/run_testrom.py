#!/usr/bin/env python3
"""Runs a test ROM of roms/testroms: run_testrom.py CALCO ROM [ARGUMENT...]

Passes if the ROM ends within the time limit with its pass status and "PASS n" as the last line of its report;
otherwise prints the report.
"""

import pathlib
import re
import subprocess
import sys

SECONDS = 120
PASS_STATUS = 0x10 << 1 | 1  # what isa-debug-exit makes of the ROM's 0x10


def main() -> int:
    calco, rom, *more = sys.argv[1:]
    start = "-bios" if pathlib.Path(rom).suffix == ".bin" else "-kernel"
    # Every feature there is, by the rules of the SDM where vendors differ.
    command = [calco, "-cpu", "max,vendor=GenuineIntel", "-no-reboot", "-display", "none", "-debugcon", "stdio",
               "-global", "isa-debugcon.iobase=0xe9",  # away from the firmware's messages
               "-device", "isa-debug-exit,iobase=0x501,iosize=2", start, rom, *more]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=SECONDS, check=False)
        report, errors, status = run.stdout, run.stderr, run.returncode
    except subprocess.TimeoutExpired as expired:
        report, errors, status = expired.stdout or b"", expired.stderr or b"", f"none after {SECONDS} s"
    lines = report.decode(errors="replace").splitlines()
    if status == PASS_STATUS and lines and re.fullmatch(r"PASS \d+", lines[-1]):
        print(lines[-1])
        return 0
    print(*lines, sep="\n")
    print(errors.decode(errors="replace"), f"exit status: {status}", "command: " + " ".join(command), sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
