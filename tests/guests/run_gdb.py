#!/usr/bin/env python3
"""Lets the real gdb debug guests under calco: run_gdb.py CALCO GUESTS_FOLDER NAME ENGINE

NAME is a function below that begins with guest_: `rom` debugs debugger_rom.S, with symbols, `kernel` the running Debian
kernel of GUESTS_FOLDER by the addresses of its /proc/kallsyms, `kernel_start` its first instructions. ENGINE is the value
of -accel. What gdb says is compared with regular expressions.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import pexpect

from monitor_client import Monitor, needs_kvm

HERE = pathlib.Path(__file__).parent
SECONDS = 120


def build_rom(folder):
    """The ROM as an ELF file for gdb and as an image for -bios."""
    for command in (["gcc", "-g", "-c", HERE / "debugger_rom.S", "-o", folder / "rom.o"],
                    ["ld", "-nostdlib", "-e", "_start", "-Ttext=0xf0000", folder / "rom.o", "-o", folder / "rom.elf"],
                    ["objcopy", "-O", "binary", "-j", ".text", folder / "rom.elf", folder / "rom.bin"]):
        subprocess.run(command, check=True)
    return folder / "rom.elf", folder / "rom.bin"


def run_gdb(commands, *arguments):
    """What gdb prints for these commands. It ends where one of them fails."""
    options = [word for command in commands for word in ("-ex", command)]
    result = subprocess.run(["gdb", "-nx", "-batch", "-ex", "set confirm off", *options, *arguments],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=SECONDS, check=False, text=True)
    print(result.stdout)
    return result.stdout


def interactive_gdb(connect, *arguments):
    """A gdb for pexpect, without colours."""
    child = pexpect.spawn("gdb", ["-nx", "-q", "-ex", "set confirm off", "-ex", "set style enabled off", "-ex", connect,
                                  *map(str, arguments)], timeout=60, encoding="utf-8")
    child.logfile_read = sys.stdout
    return child


def expect(text, *patterns):
    """The patterns appear in this order."""
    position = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(text, position)
        if found is None:
            sys.exit(f"gdb did not say (here): {pattern}")
        position = found.end()


def start_rom(calco, folder, *arguments):
    elf, image = build_rom(folder)
    line = folder / "gdb.socket"
    machine = subprocess.Popen([calco, "-display", "none", "-nodefaults", "-m", "2", "-bios", image, "-gdb",
                                f"unix:{line}", *arguments], stdin=subprocess.DEVNULL)
    while not line.exists():
        if machine.poll() is not None:
            sys.exit(f"calco ended with {machine.returncode}")
    return machine, elf, f"target remote {line}"


def finish(machine, status):
    try:
        ended = machine.wait(timeout=30)
    except subprocess.TimeoutExpired:
        machine.kill()
        sys.exit("calco goes on after gdb's kill")
    if ended != status:
        sys.exit(f"calco ended with {ended}, not {status}")


def guest_rom(calco, _guests, folder, engine):
    machine, elf, connect = start_rom(calco, folder, "-accel", engine, "-S", "-smp", "2")
    try:
        # -S: the reset vector, before anything was executed.
        text = run_gdb([connect, "printf \"starts at %lx:%lx\\n\", $cs, $rip", "info threads",
                        # A breakpoint hit, the code and the registers there, an address on the stack.
                        "break add", "continue", "bt 2", "x/2i $rip", "info registers rip cs eflags",
                        "printf \"rbx %lx rdi %ld\\n\", $rbx, $rdi", "p/x $xmm3.v2_int64[0]", "p $st0",
                        "p/x $cr0 & 0x80000001", "p/x $efer & 0x500", "p/x $cs",
                        # Single steps, over the breakpoint and back to the caller.
                        "stepi", "stepi", "stepi", "stepi", "p $rip == (long)&main + 10",
                        "monitor info registers",
                        # Registers and memory can be changed, and the guest goes on with them.
                        "delete", "set var *(long*)&counter = 1000", "set $xmm3.v2_int64[0] = 77",
                        "p $xmm3.v2_int64[0]", "p $cr3 = 0",
                        "hbreak *(long)&add + 8", "continue", "printf \"counter %ld\\n\", *(long*)&counter",
                        "delete",
                        # Watchpoints stop behind the instruction that wrote.
                        "set can-use-hw-watchpoints 1", "watch *(long*)&total", "continue", "delete",
                        "rwatch *(long*)&total", "continue", "delete",
                        "awatch *(long*)&counter", "continue", "p $rip == (long)&add + 8", "delete",
                        # The other processor is a thread of its own.
                        "break other", "thread 2", "continue", "info threads", "stepi", "printf \"at %lx\\n\", $rip",
                        "x/2xw 0x40000000",
                        "kill"], elf)
        expect(text, r"starts at f000:fff0", r"Thread 1 .*CPU#0 \[running\]", r"Thread 2 .*CPU#1 \[waits for start-up\]",
               r"Breakpoint 1, add \(\)", r"#0 +add \(\)", r"#1 .* main \(\)", r"=> 0x\w+ <add>:\s+incq", r"rip .*<add>",
               r"cs\s+0x10", r"eflags\s+0x", r"rbx 1122334455667788 rdi 5", r"0x1122334455667788",
               r"^\$\d+ = 1$", r"0x80000001", r"0x500", r"0x10$", r"= 1$", r"RAX=", r"= 77", r"Could not write register",
               r"Hardware assisted breakpoint", r"counter 1001",
               r"Hardware watchpoint \d+: .*total", r"Old value = 5$", r"New value = 10$",
               r"Hardware read watchpoint .*total", r"Value = ",
               r"Hardware access .*counter", r"Value|Old value", r"= 1$",
               r"Breakpoint \d+, .*other", r"\* 2 .*other", r"at f\w+", r"Cannot access memory at address 0x40000000",
               r"killed")
        finish(machine, 0)
    finally:
        machine.kill()


def guest_detach(calco, _guests, folder, engine):
    """Ctrl-C, detach, a client that vanishes: the guest goes on."""
    rounds = 10 if engine == "kvm" else 10000  # that it makes meanwhile at least
    machine, elf, connect = start_rom(calco, folder, "-accel", engine)
    try:
        child = interactive_gdb(connect, elf)
        prompt = r"\(gdb\) "
        child.expect(prompt)
        child.sendline("continue")
        child.expect("Continuing")
        child.sendintr()
        child.expect("SIGINT")
        child.expect(prompt)
        child.sendline("break add")
        child.expect(prompt)
        child.sendline("p *(long*)&counter")
        child.expect(r"= (\d+)\s")
        before = int(child.match.group(1))
        child.close(force=True)  # with a breakpoint set
        text = run_gdb([connect, f"p *(long*)&counter > {before + rounds}", "detach"], elf)
        expect(text, r"= 1$", "detached")
        text = run_gdb([connect, "p *(long*)&counter", "kill"], elf)
        expect(text, r"= \d+", "killed")
        finish(machine, 0)
    finally:
        machine.kill()


def guest_kernel(calco, guests, folder, engine):
    line = folder / "gdb.socket"
    prompt = "guest# "
    guest = pexpect.spawn(calco, ["-accel", engine, "-nographic", "-m", "512", "-smp", "2", "-kernel", f"{guests}/vmlinuz-cloud", "-initrd",
                                  f"{guests}/initrd.gz", "-append", "console=ttyS0 nokaslr quiet", "-gdb",
                                  f"unix:{line}"], timeout=SECONDS, encoding="utf-8", codec_errors="replace")
    guest.logfile_read = sys.stdout
    try:
        guest.expect(prompt)
        guest.sendline("grep -w __x64_sys_newuname /proc/kallsyms")
        guest.expect(r"\n([0-9a-f]{16}) T")
        address = "0x" + guest.match.group(1)
        guest.expect(prompt)
        child = interactive_gdb(f"target remote {line}")

        def command(text, *answers):
            child.expect_exact("(gdb) ")
            child.sendline(text)
            for answer in answers:
                child.expect(answer)

        command(f"hbreak *{address}", "Hardware assisted breakpoint")
        command("continue", "Continuing")
        guest.sendline("uname -m")
        child.expect("Breakpoint 1")
        command("printf \"at %lx of %lx\\n\", $rip, $cr3 & 0xfff", f"at {address[2:]}")
        command("info threads", "CPU#0", "CPU#1")
        command("x/3i $rip", f"=> {address}")
        command("stepi")
        command("p $rip > " + address, "= 1")
        # The kernel's text is mapped; user memory of the program that calls is its own.
        command("p $gs_base != 0 || $k_gs_base != 0", "= 1")
        command("delete")
        command("detach", "detached")
        guest.expect("x86_64")
        guest.expect(prompt)
        guest.sendline("poweroff -f")
        guest.expect("Power down")
        guest.expect(pexpect.EOF)
        child.close(force=True)
    finally:
        guest.close(force=True)


def guest_kernel_start(calco, guests, folder, engine):
    """The kernel's two entries (Documentation/arch/x86/boot.rst): 32-bit code at 1 MiB, 64-bit code 200H behind it."""
    line = folder / "gdb.socket"
    machine = subprocess.Popen([calco, "-accel", engine, "-display", "none", "-m", "512", "-kernel", f"{guests}/vmlinuz-cloud",
                                "-append", "nokaslr", "-S", "-gdb", f"unix:{line}"], stdin=subprocess.DEVNULL)
    try:
        while not line.exists():
            if machine.poll() is not None:
                sys.exit(f"calco ended with {machine.returncode}")
        text = run_gdb([f"target remote {line}", "hbreak *0x100000", "continue",
                        "printf \"at %lx cr0 %lx efer %lx\\n\", $rip, $cr0 & 0x80000001, $efer & 0x500",
                        "stepi", "p $rip > 0x100000 && $rip < 0x100010", "delete",
                        "hbreak *0x100200", "continue",
                        "printf \"at %lx cr0 %lx efer %lx\\n\", $rip, $cr0 & 0x80000001, $efer & 0x500", "kill"])
        expect(text, r"Breakpoint 1, 0x0*100000 in", r"at 100000 cr0 1 efer 0", r"= 1$", r"Breakpoint 2, 0x0*100200 in",
               r"at 100200 cr0 80000001 efer 500", "killed")
        finish(machine, 0)
    finally:
        machine.kill()


def guest_exchange(calco, _guests, folder, engine):
    """The engine is exchanged while gdb is attached: stopped at a breakpoint, and with one set while the guest runs."""
    path = folder / "monitor"
    machine, elf, connect = start_rom(calco, folder, "-accel", "jit", "-accel", engine, "-S", "-smp", "2", "-monitor",
                                      f"unix:{path},server=on,wait=off")
    try:
        monitor = Monitor(path)
        child = interactive_gdb(connect, elf)

        def command(text, *answers):
            child.expect_exact("(gdb) ")
            child.sendline(text)
            for answer in answers:
                child.expect(answer)

        command("break add", "Breakpoint 1")
        command("continue", "Breakpoint 1, add")
        engine = engine.split(",")[0]
        for number, other in enumerate([engine, "interp", engine, "jit"], 1):
            monitor.exchange(other)
            command(f"set var *(long*)&counter = {number}000")
            command("continue", "Breakpoint 1, add")
            command("printf \"counter %ld\\n\", *(long*)&counter", f"counter {number}001\\D")
            command("stepi")
            command("watch *(long*)&total", "Hardware watchpoint")
            command("continue", "Old value", "New value")
            command("delete $bpnum")
            command("continue", "Breakpoint 1, add")
        # With a breakpoint that is never met, while the guest runs.
        command("delete")
        command("hbreak *0xffff0000", "Hardware assisted")
        command("continue", "Continuing")
        for other in (engine, "interp", "jit"):
            monitor.exchange(other)
        child.sendintr()
        child.expect("SIGINT")
        command("p *(long*)&counter > 4001", "= 1")
        command("kill", "killed")
        command("quit")
        child.expect(pexpect.EOF)
        finish(machine, 0)
    finally:
        machine.kill()


def main():
    calco, guests, name, engine = sys.argv[1:]
    if engine.startswith("kvm"):
        needs_kvm()
    with tempfile.TemporaryDirectory() as folder:
        globals()["guest_" + name](calco, guests, pathlib.Path(folder), engine)


main()
