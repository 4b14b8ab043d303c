"""The guest program of bench/guest and the initial RAM disk that carries it."""

import gzip
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SOURCES = TOP / "bench" / "guest"
GUESTS = TOP / "build" / "guests"
FOLDER = TOP / "build" / "bench-guest"
PROGRAM = FOLDER / "rows"
INITRD = FOLDER / "initrd.gz"
KERNEL = GUESTS / "vmlinuz-cloud"

# Without vectorisation only the rows that mean to use packed instructions do.
COMPILER = ["gcc", "-O2", "-fno-tree-vectorize", "-Wall", "-Wextra", "-static", "-pthread"]


def is_newer(made, sources):
    return made.exists() and all(made.stat().st_mtime > source.stat().st_mtime for source in sources)


def archive_entry(name, mode, content, number):
    """One file of a cpio archive in the format newc (Linux, Documentation/driver-api/early-userspace/buffer-format.rst)."""
    fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def prepare():
    """Fetches kernel and busybox, compiles the program and packs it, each only where that is missing or old."""
    if not KERNEL.exists() or not (GUESTS / "initrd.gz").exists():
        subprocess.run([TOP / "tests" / "guests" / "prepare", GUESTS, "cloud"], check=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not is_newer(PROGRAM, SOURCES.iterdir()):
        print("compiling the guest program", file=sys.stderr)
        subprocess.run([*COMPILER, *sorted(SOURCES.glob("*.c")), "-o", PROGRAM, "-lm"], check=True)
    if not is_newer(INITRD, [PROGRAM, GUESTS / "initrd.gz"]):
        entries = [("bench", 0o040755, b""), ("bench/rows", 0o100755, PROGRAM.read_bytes()), ("TRAILER!!!", 0, b"")]
        archive = b"".join(archive_entry(*entry, number) for number, entry in enumerate(entries, 1))
        # The kernel unpacks one archive over the other.
        INITRD.write_bytes((GUESTS / "initrd.gz").read_bytes() + gzip.compress(archive, 1))


def rows():
    """Class and name of every row that the program has, in its order."""
    listed = subprocess.run([PROGRAM, "--list"], check=True, capture_output=True, text=True).stdout
    return [tuple(line.split()) for line in listed.splitlines()]
