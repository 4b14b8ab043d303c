"""What is compared: emulators that boot the guest, and the host itself. Each runs rows and gives an Outcome."""

import dataclasses
import os
import re
import resource
import subprocess
import threading
import time
from pathlib import Path

# What firmware and busybox send to a terminal beside text.
CONTROL_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[a-z])")
REMARK = re.compile(r"(calco|qemu-system-x86_64): ")


class Failure(Exception):
    """A run that did not come to its end; says why, and keeps what it gave until then."""

    def __init__(self, name, status, reader):
        rows = list(reader.outcome.seconds)
        finished = f"after {len(rows)} rows, the last of them {rows[-1]}" if rows else "before the first row"
        super().__init__("\n    ".join([f"{name}: exit status {status}, ended {finished}:", *reader.last_lines]))
        self.outcome = reader.outcome


@dataclasses.dataclass
class Outcome:
    seconds: dict = dataclasses.field(default_factory=dict)  # row -> seconds by the guest's clock, one a repetition
    checksums: dict = dataclasses.field(default_factory=dict)  # row -> set of what was printed
    skipped: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)  # lines `NAME what happened`
    remarks: list = dataclasses.field(default_factory=list)  # what the emulator itself says, such as a warning
    guest_time: float = 0  # from the first row to the last by the guest's clock, and by the host's
    host_time: float = 0
    wall: float = 0  # the whole run, and its processor time in all threads
    cpu: float = 0
    flags: frozenset = frozenset()  # what /proc/cpuinfo says that the processor has


class Reader:
    """Takes in the lines that bench/guest/rows prints, with the host's time of each."""

    def __init__(self):
        self.outcome = Outcome()
        self.begun = None
        self.last_lines = []

    def line(self, text, host_now):
        self.last_lines = self.last_lines[-20:] + [text]
        outcome = self.outcome
        if REMARK.match(text):
            outcome.remarks.append(text)
        # The kernel may have written half a line before ours.
        found = re.search(r"\b(row|skip|fail|begin|end|flags\s*:) (.*)", CONTROL_SEQUENCE.sub("", text))
        kind, words = (found[1], found[2].split()) if found else ("", [])
        if kind == "row" and len(words) == 3:
            outcome.seconds.setdefault(words[0], []).append(float(words[1]))
            outcome.checksums.setdefault(words[0], set()).add(words[2])
        elif kind == "skip":
            outcome.skipped.append(words[0])
        elif kind == "fail":
            outcome.failures.append(" ".join(words))
        elif kind == "begin":
            self.begun = (float(words[0]), host_now)
        elif kind == "end" and self.begun:
            outcome.guest_time = float(words[0]) - self.begun[0]
            outcome.host_time = host_now - self.begun[1]
        elif kind.startswith("flags"):
            outcome.flags = frozenset(words)


def run(command, seconds, processors=None, errors=subprocess.STDOUT):
    """Runs a command to its end, at most so many seconds, and reads what its rows print."""
    pin = (lambda: os.sched_setaffinity(0, processors)) if processors else None
    reader = Reader()
    begin = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                             preexec_fn=pin)
    watchdog = threading.Timer(seconds, child.kill)
    watchdog.start()
    with child.stdout:
        for line in child.stdout:
            reader.line(line.decode(errors="replace").strip(), time.monotonic())
    _, status, usage = os.wait4(child.pid, 0)
    watchdog.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.outcome.wall = time.monotonic() - begin
    reader.outcome.cpu = usage.ru_utime + usage.ru_stime
    if reader.outcome.wall >= seconds:
        reader.last_lines.append(f"killed after {seconds} seconds")
    return child.returncode, reader


class Others:
    """How much of the host other programs take from now on; where that is much, times mean little."""

    def __init__(self):
        self.begin = time.monotonic()
        self.busy_before = self.busy()

    @staticmethod
    def busy():
        """Processor seconds of all programs but our children; user to steal without idle (man 5 proc, /proc/stat)."""
        words = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (sum(words) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK") - children.ru_utime - children.ru_stime

    def processors(self):
        return max(0, self.busy() - self.busy_before) / max(time.monotonic() - self.begin, 0.01)


class Emulator:
    """Boots the guest under one emulator and accelerator."""

    boots = True

    def __init__(self, name, command, guest, seconds, errors=subprocess.STDOUT):
        self.name = name
        self.command = command
        self.guest = guest
        self.seconds = seconds
        self.errors = errors  # None lets them through to the terminal

    def boot(self, processors, script):
        # A kernel that panics restarts at once, which ends the emulator.
        command = [*self.command, "-smp", str(processors), "-m", "512", "-nographic", "-no-reboot",
                   "-kernel", str(self.guest.kernel), "-initrd", str(self.guest.initrd),
                   "-append", "console=ttyS0 quiet panic=-1 calco.script=" + script.replace(" ", ",")]
        status, reader = run(command, self.seconds, errors=self.errors)
        if status != 0 or not any("Power down" in line for line in reader.last_lines):
            raise Failure(self.name, status, reader)
        return reader.outcome

    def rows(self, names, processors, repeat):
        # One script, without a space or quotes: the kernel's command line.
        return self.boot(processors, f"grep -m1 flags /proc/cpuinfo;/bench/rows --repeat {repeat} {' '.join(names)}")


class Native:
    """Runs the rows on the host, on as many processors as the guest has."""

    boots = False
    name = "native"

    def __init__(self, guest, seconds):
        self.guest = guest
        self.seconds = seconds

    def rows(self, names, processors, repeat):
        host = sorted(os.sched_getaffinity(0))[:processors]
        # Short as the rows are here, one run of them says little.
        command = [str(self.guest.program), "--repeat", str(3 * repeat), *names]
        status, reader = run(command, self.seconds, host)
        if status != 0 and not reader.outcome.failures:
            raise Failure(self.name, status, reader)
        return reader.outcome
