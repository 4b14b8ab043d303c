#!/usr/bin/env python3
"""Lets a guest work for minutes and watches how much memory Calco takes: run_load.py CALCO BUILD [MINUTES [ARGUMENT...]]

Not part of the test suite. Two shells compile, compress, sort, and start thousands of processes, over and over; the results
must be the same each time. At the end the resident memory of Calco's own in the second half must not have grown beyond what the
first half had by more than LIMIT. Needs tcc on this host: its binary and libraries go into the guest.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

import pexpect

LIMIT = 48 << 20  # bytes
PROMPT = "guest# "

# A C file of many functions that needs no header; its checksum says whether the compiled program is right.
SCRIPT = r"""
cd /tmp
awk 'BEGIN { for (i = 0; i < 1500; i++) printf "unsigned f%d(unsigned x) { unsigned s = %d; for (unsigned i = 0; i < x %% 17; i++) s = s * 31 + (x ^ i); return s; }\n", i, i;
  printf "int printf(const char*, ...);\nint main(void) { unsigned s = 1;\n";
  for (i = 0; i < 1500; i++) printf "s = f%d(s);\n", i; printf "printf(\"%%08x\\n\", s); return 0; }\n" }' > work.c
head -c 3000000 /proc/kcore > noise 2>/dev/null; cat work.c work.c work.c work.c > text
one_round() {
  tcc -nostdinc -o work.$1 work.c && ./work.$1
  gzip -9 < text | md5sum; bzip2 < text | bunzip2 | md5sum; sort -r text | sha256sum
  i=0; while [ $i -lt 400 ]; do /bin/true; (:); i=$((i + 1)); done
  seq 1 3000 | while read n; do echo $((n * n)); done | awk '{ s += $1 } END { print s }'
}
worker() {
  first=$(one_round $1 | md5sum)
  echo "FIRST $1 $first"
  rounds=1
  while [ ! -e stop ]; do
    [ "$(one_round $1 | md5sum)" = "$first" ] || echo "WRONG $1"
    rounds=$((rounds + 1))
  done
  echo "ROUNDS $1 $rounds"
}
worker 1 & worker 2 &
"""


def add_compiler(build, folder):
    """The guest's initial RAM disk with tcc, what it links with, and the script."""
    root = folder / "root"
    needed = subprocess.run(["ldd", "/usr/bin/tcc"], capture_output=True, text=True, check=True).stdout
    files = re.findall(r"(/\S+) \(0x", needed) + ["/usr/bin/tcc", "/usr/lib/x86_64-linux-gnu/tcc/libtcc1.a"]
    files += [f"/usr/lib/x86_64-linux-gnu/{name}" for name in ("crt1.o", "crti.o", "crtn.o", "libc_nonshared.a")]
    for file in files:
        target = root / file[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(pathlib.Path(file).read_bytes())
        target.chmod(0o755)
    (root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2").symlink_to("/lib64/ld-linux-x86-64.so.2")
    # The linker script that stands for libc.so names absolute paths; the library itself will do.
    (root / "usr/lib/x86_64-linux-gnu/libc.so").symlink_to("/lib/x86_64-linux-gnu/libc.so.6")
    (root / "load.sh").write_text(SCRIPT)
    archive = subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, cwd=root, capture_output=True,
                             check=True).stdout
    initrd = folder / "initrd"
    initrd.write_bytes((build / "guests/initrd.gz").read_bytes() + archive)
    return initrd


def resident_bytes(process):
    """Calco's own memory. What is shared is the guest's, and the code cache; both have their sizes from the start."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


def main():
    calco, build = sys.argv[1], pathlib.Path(sys.argv[2])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 10
    with tempfile.TemporaryDirectory() as name:
        initrd = add_compiler(build, pathlib.Path(name))
        guest = pexpect.spawn(calco, ["-accel", "jit", "-cpu", "max", "-smp", "2", "-m", "512", "-nographic", "-kernel",
                                      f"{build}/guests/vmlinuz-cloud", "-initrd", str(initrd), "-append",
                                      "console=ttyS0 quiet", "-d", "jit", *sys.argv[4:]],
                              timeout=120, encoding="utf-8", codec_errors="replace")
        guest.logfile_read = sys.stdout
        guest.expect(PROMPT)
        guest.sendline("mkdir -p /tmp; . /load.sh")
        begin = time.monotonic()
        samples = []
        while time.monotonic() - begin < minutes * 60:
            if guest.expect([pexpect.TIMEOUT, "WRONG", "BUG:", "WARNING:"], timeout=5) != 0:
                print("\nthe guest went wrong")
                return 1
            samples.append(resident_bytes(guest.pid))
        guest.sendline("touch /tmp/stop; wait; echo all  ended")
        guest.expect("ROUNDS", timeout=300)
        guest.expect("ROUNDS", timeout=300)
        guest.expect("all ended")
        guest.sendline("poweroff -f")
        guest.expect(pexpect.EOF)
    half = len(samples) // 2
    first, second = max(samples[:half]), max(samples[half:])
    print(f"\nresident: at most {first >> 20} MiB in the first half, {second >> 20} MiB in the second")
    return 1 if second > first + LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
