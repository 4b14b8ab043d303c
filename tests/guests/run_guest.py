#!/usr/bin/env python3
"""Runs one guest of guests.toml under calco on a pseudo-terminal: waits, types, checks text and exit status.

usage: run_guest.py CALCO GUESTS_FOLDER NAME [further calco arguments]

Further -accel and -smp take the place of the guest's own.
"""

import os
import shlex
import sys
import time
import tomllib
from pathlib import Path

import pexpect


def guest_called(name):
    table = tomllib.loads((Path(__file__).parent / "guests.toml").read_text())
    return next(guest for guest in table["guest"] if guest["name"] == name)


def with_further(arguments, further):
    for option in ("-accel", "-smp"):
        if option in arguments and option in further:
            at = arguments.index(option)
            arguments = arguments[:at] + arguments[at + 2:]
    return arguments + further


# More than 1 where calco is slow (tests/sanitizers/run).
PATIENCE = float(os.environ.get("CALCO_TEST_PATIENCE", 1))
SKIPPED = 77  # the exit status that ctest takes for a skipped test


def may_be_opened(path):
    try:
        with open(path, "r+b", buffering=0):
            return True
    except OSError:
        return False


def main():
    calco, folder, name, *further = sys.argv[1:]
    guest = guest_called(name)
    if "needs" in guest and not may_be_opened(guest["needs"]):
        print(f"skipped: no {guest['needs']}")
        sys.exit(SKIPPED)
    arguments = with_further(shlex.split(guest["arguments"].format(guests=folder)), further)
    seconds = guest["seconds"] * PATIENCE
    deadline = time.monotonic() + seconds
    child = pexpect.spawn(calco, arguments, timeout=seconds, encoding="utf-8", codec_errors="replace",
                          dimensions=(50, 200))
    child.logfile_read = sys.stdout
    child.delaybeforesend = None
    output = ""
    for text, typed in guest["steps"]:
        try:
            child.expect(text, timeout=max(1, deadline - time.monotonic()))
        except (pexpect.TIMEOUT, pexpect.EOF) as problem:
            child.close(force=True)
            sys.exit(f"\n{name}: '{text}' did not appear: {type(problem).__name__}")
        output += child.before + child.after
        child.send(typed)
    try:
        child.expect(pexpect.EOF, timeout=max(5, deadline - time.monotonic()))
    except pexpect.TIMEOUT:
        child.close(force=True)
        sys.exit(f"\n{name}: calco did not end")
    output += child.before
    child.close()
    unwanted = [text for text in guest.get("absent", []) if text in output]
    if unwanted:
        sys.exit(f"\n{name}: the output has {unwanted}")
    if child.exitstatus != guest["status"]:
        sys.exit(f"\n{name}: exit status {child.exitstatus} (signal {child.signalstatus}), not {guest['status']}")


main()
