"""The guest program of bench/guest and the initial RAM disk that carries it."""

import gzip
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = TOP / "bench" / "guest"

# Without vectorisation only the rows that mean to use packed instructions do.
COMPILER = ["gcc", "-O2", "-fno-tree-vectorize", "-Wall", "-Wextra", "-static", "-pthread"]


def is_newer(made, sources):
    return made.exists() and all(made.stat().st_mtime > source.stat().st_mtime for source in sources)


def archive_entry(name, mode, content, number):
    """One file of a cpio archive in the format newc (Linux, driver-api/early-userspace/buffer-format.rst)."""
    fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def archive(program):
    """A cpio archive with the program as /bench/rows."""
    entries = [("bench", 0o040755, b""), ("bench/rows", 0o100755, program), ("TRAILER!!!", 0, b"")]
    return b"".join(archive_entry(*entry, number) for number, entry in enumerate(entries, 1))


class Guest:
    """Where the kernel, the program and the RAM disk are, below a build folder."""

    def __init__(self, build):
        self.guests = build / "guests"
        self.kernel = self.guests / "vmlinuz-cloud"
        self.program = build / "bench-guest" / "rows"
        self.initrd = build / "bench-guest" / "initrd.gz"

    def prepare(self):
        """Fetches kernel and busybox, compiles the program and packs it, each only where that is missing or old."""
        shell = self.guests / "initrd.gz"
        if not self.kernel.exists() or not shell.exists():
            subprocess.run([TOP / "tests" / "guests" / "prepare", self.guests, "cloud"], check=True)
        self.program.parent.mkdir(parents=True, exist_ok=True)
        if not is_newer(self.program, SOURCES.iterdir()):
            print("compiling the guest program", file=sys.stderr)
            subprocess.run([*COMPILER, *sorted(SOURCES.glob("*.c")), "-o", self.program, "-lm"], check=True)
        if not is_newer(self.initrd, [self.program, shell]):
            # The kernel unpacks one archive over the other.
            self.initrd.write_bytes(shell.read_bytes() + gzip.compress(archive(self.program.read_bytes()), 1))

    def rows(self):
        """Class and name of every row that the program has, in its order."""
        listed = subprocess.run([self.program, "--list"], check=True, capture_output=True, text=True).stdout
        return [tuple(line.split()) for line in listed.splitlines()]
