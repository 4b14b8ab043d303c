#!/usr/bin/env python3
"""Exchanges the engine under running guests: run_exchange.py CALCO BUILD_FOLDER NAME

NAME is a function below that begins with exchange_.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import pexpect

from monitor_client import Monitor, needs_kvm

SECONDS = 180 * float(os.environ.get("CALCO_TEST_PATIENCE", 1))
PROMPT = "guest# "
MASK = (1 << 64) - 1


# --- roms/testroms/running_sum.S ---------------------------------------------------------------------------------------

def rotate(value, count):
    return (value << count | value >> (64 - count)) & MASK


def sum_of_a_round(iterations=2000):
    state, rotated, carries, mixed, floats, doubles, quads = 1, 0, 0, 0, 0, 0, 0
    for _ in range(iterations):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        rotated = rotate(rotated, 7) + state
        carries += rotated >> 64
        rotated &= MASK
        pushed = []
        for _ in range(4):
            mixed = rotate(mixed, 9)
            pushed.append((mixed + state) & MASK)
        for value in reversed(pushed):
            mixed ^= value
        floats += state & 0x7FFF
        doubles += state & 0x7FFF
        quads = (quads + state) & MASK
    return ((rotate(floats, 32) ^ doubles ^ quads ^ rotated) + carries & MASK) ^ mixed


def expected_sum(of_a_round, rounds):
    total = 0
    for number in range(1, rounds + 1):
        total = rotate(total, 5) ^ (of_a_round + number & MASK)
    return total


def run_sum(calco, build, folder, stays, *arguments, processors=1):
    """`stays`: engines and how many seconds the guest stays with each."""
    path = folder / "monitor"
    machine = subprocess.Popen(
        [calco, "-accel", "jit", *arguments, "-smp", str(processors), "-no-reboot", "-display", "none", "-kernel", build / "roms/testroms/running_sum.elf",
         "-debugcon", "stdio", "-global", "isa-debugcon.iobase=0xe9", "-device",
         "isa-debug-exit,iobase=0x501,iosize=2", "-monitor", f"unix:{path},server=on,wait=off"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        monitor = Monitor(path)
        if machine.stdout.readline() != "begins\n":
            sys.exit("the ROM does not begin")
        rounds = 0
        for engine, seconds in stays:
            monitor.exchange(engine)
            time.sleep(seconds)
            last, rounds = rounds, int(monitor.command("print $r14"), 0)
            if engine == "kvm":
                print(f"kvm: rounds {last} to {rounds}", monitor.command("info accel").splitlines()[:3])
        monitor.socket.sendall(b"sendkey a\n")
        report = machine.communicate(timeout=SECONDS)[0]
    finally:
        machine.kill()
    print(report)
    found = re.findall(r"^rounds (\w+) sum (\w+)$", report, re.MULTILINE)
    if len(found) != processors or machine.returncode != 0x10 << 1 | 1:
        sys.exit(f"the ROM failed, status {machine.returncode}")
    of_a_round = sum_of_a_round()
    for rounds, total in found:
        expected = expected_sum(of_a_round, int(rounds, 16))
        if int(total, 16) != expected:
            sys.exit(f"the sum should be {expected:016x}")


def exchange_sum(calco, build, folder):
    """100 exchanges."""
    run_sum(calco, build, folder, [("interp", 0.03), ("jit", 0.03)] * 50, processors=2)


# Each after each.
ALL_ENGINES = [("kvm", 0.2), ("interp", 0.05), ("jit", 0.05), ("interp", 0.05), ("kvm", 0.2), ("jit", 0.05)]


def exchange_sum_with_kvm(calco, build, folder):
    """100 exchanges between all engines."""
    needs_kvm()
    run_sum(calco, build, folder, [("kvm", 3), ("jit", 0.1)] + ALL_ENGINES * 16 + [("kvm", 1), ("jit", 0.1)])


def exchange_sum_with_split_irqchip(calco, build, folder):
    """Local APICs in the kernel."""
    needs_kvm()
    run_sum(calco, build, folder, ALL_ENGINES * 8, "-accel", "kvm,kernel-irqchip=split")


def exchange_sum_with_irqchip(calco, build, folder):
    """Every interrupt controller and the 8254 in the kernel."""
    needs_kvm()
    run_sum(calco, build, folder, ALL_ENGINES * 8, "-accel", "kvm,kernel-irqchip=on")


def exchange_processors_with_kvm(calco, build, folder):
    """Four processors, with our local APICs and with the kernel's."""
    needs_kvm()
    for irqchip in ("off", "on"):
        run_sum(calco, build, folder, ALL_ENGINES * 4, "-accel", f"kvm,kernel-irqchip={irqchip}", processors=4)


# --- Linux -------------------------------------------------------------------------------------------------------------

def start_linux(calco, build, folder, *arguments):
    path = folder / "monitor"
    guests = build / "guests"
    guest = pexpect.spawn(str(calco), ["-accel", "jit", "-nographic", "-m", "512", "-kernel", f"{guests}/vmlinuz-cloud",
                                       "-initrd", f"{guests}/initrd.gz", "-append", "console=ttyS0 quiet", "-monitor",
                                       f"unix:{path},server=on,wait=off", *arguments],
                          timeout=SECONDS, encoding="utf-8", codec_errors="replace")
    guest.logfile_read = sys.stdout
    monitor = Monitor(path)
    guest.expect(PROMPT)
    return guest, monitor


def ask(guest, command, answer):
    guest.sendline(command)
    guest.expect(answer)
    guest.expect(PROMPT)


def power_off(guest):
    ask(guest, "dmesg | grep -E 'WARNING|BUG:|skew is|stall'; echo $?", r"\n1\s")
    guest.sendline("poweroff -f")
    guest.expect("Power down")
    guest.expect(pexpect.EOF)


def exchange_shell(calco, build, folder):
    """Linux goes from engine to engine and answers under each."""
    guest, monitor = start_linux(calco, build, folder)
    for number, engine in enumerate(["interp", "jit"] * 3):
        monitor.exchange(engine)
        ask(guest, f"echo $(({number} + 4711)) there", f"\n{number + 4711} there")
    power_off(guest)


def exchange_processors(calco, build, folder):
    """Four processors at full load."""
    zeros = 40_000_000
    guest, monitor = start_linux(calco, build, folder, "-smp", "4")
    guest.sendline(f"for i in 1 2 3 4; do (head -c {zeros} /dev/zero | md5sum) & done; wait; echo do''ne")
    for engine in ["interp", "jit"] * 20:
        monitor.exchange(engine)
        time.sleep(0.05)
    expected = subprocess.run(["md5sum"], input=bytes(zeros), stdout=subprocess.PIPE, check=True).stdout.split()[0].decode()
    guest.expect(r"\ndone\s")
    if guest.before.count(expected) != 4:
        sys.exit("wrong sums")
    guest.expect(PROMPT)
    power_off(guest)


def exchange_shell_with_kvm(calco, build, folder):
    """On a software KVM the timer alone may outrun the emulator: there it is enough that the guest executes, and answers
    later."""
    needs_kvm()
    guest, monitor = start_linux(calco, build, folder)
    for engine in ("jit", "interp"):
        monitor.exchange("kvm")
        time.sleep(10)
        text = monitor.command("info accel")
        print(text)
        entries = re.search(r"CPU #0: (\d+) entries", text)
        if entries is None or int(entries[1]) == 0:
            sys.exit("KVM was not entered")
        monitor.exchange(engine)
        ask(guest, "echo $((6 * 7)) is the answer", "\n42 is the answer")
    power_off(guest)


def main():
    calco, build, name = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        globals()["exchange_" + name](pathlib.Path(calco), pathlib.Path(build), pathlib.Path(folder))


main()
