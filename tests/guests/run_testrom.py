#!/usr/bin/env python3
"""Runs a test ROM of roms/testroms: run_testrom.py [--known FILE] CALCO ROM [ARGUMENT...]

Passes if the ROM ends within the time limit with its pass status and "PASS n" as the last line of its report;
otherwise prints the report.

--known is for a software KVM. The ROM must fail those checks that FILE lists for it, and no others: see the file. Where
there is no /dev/kvm, the test is skipped.
"""

import os
import pathlib
import re
import subprocess
import sys

from monitor_client import needs_kvm

SECONDS = 120 * float(os.environ.get("CALCO_TEST_PATIENCE", 1))
KNOWN_SECONDS = 180  # a software KVM is slow
PASS_STATUS = 0x10 << 1 | 1  # what isa-debug-exit makes of the ROM's 0x10
NO_END = "(the end is not reached)"
SECONDS_WITHOUT_END = 40


def run_rom(calco, rom, more, seconds):
    """Report, what was said on standard error, exit status, command."""
    start = "-bios" if pathlib.Path(rom).suffix == ".bin" else "-kernel"
    # Every feature there is, by the rules of the SDM where vendors differ.
    command = [calco, "-cpu", "max,vendor=GenuineIntel", "-no-reboot", "-display", "none", "-debugcon", "stdio",
               "-global", "isa-debugcon.iobase=0xe9",  # away from the firmware's messages
               "-device", "isa-debug-exit,iobase=0x501,iosize=2", start, rom, *more]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=seconds, check=False)
        report, errors, status = run.stdout, run.stderr, run.returncode
    except subprocess.TimeoutExpired as expired:
        report, errors, status = expired.stdout or b"", expired.stderr or b"", f"none after {seconds} s"
    lines = report.decode(errors="replace").splitlines()
    return lines, errors.decode(errors="replace"), status, " ".join(map(str, command))


def known_failures(file, rom):
    """Names of checks that fail, and of those that may: lines "ROM: NAME" and "ROM? NAME" of the file."""
    lines = pathlib.Path(file).read_text().splitlines()
    return tuple({line.removeprefix(prefix) for line in lines if line.startswith(prefix)}
                 for prefix in (pathlib.Path(rom).stem + ": ", pathlib.Path(rom).stem + "? "))


def failed_checks(lines):
    names = {found[1] for line in lines if (found := re.match(r"FAIL (.*) expected \w+ got \w+$", line))}
    ended = bool(lines) and re.fullmatch(r"(PASS|FAIL) \d+", lines[-1])
    return names if ended else names | {NO_END}


def compare_with_known(file, calco, rom, more):
    needs_kvm()
    processor = set(re.search(r"^flags.*$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
    known, possible = (set(), set()) if {"vmx", "svm"} & processor else known_failures(file, rom)
    lines, errors, status, command = run_rom(calco, rom, more, SECONDS_WITHOUT_END if NO_END in known else KNOWN_SECONDS)
    failed = failed_checks(lines) - possible
    print(f"{len(failed)} checks fail, {len(known)} are known to")
    for name in sorted(failed - known):
        print(f"fails: {name}")
    for name in sorted(known - failed):
        print(f"is listed as failing and passes: {name}")
    if failed == known:
        return 0
    print(*lines, errors, f"exit status: {status}", f"command: {command}", sep="\n")
    return 1


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[0] == "--known":
        return compare_with_known(arguments[1], arguments[2], arguments[3], arguments[4:])
    calco, rom, *more = arguments
    lines, errors, status, command = run_rom(calco, rom, more, SECONDS)
    if status == PASS_STATUS and lines and re.fullmatch(r"PASS \d+", lines[-1]):
        print(lines[-1])
        return 0
    print(*lines, sep="\n")
    print(errors, f"exit status: {status}", f"command: {command}", sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
