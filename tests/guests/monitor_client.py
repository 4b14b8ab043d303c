"""The human monitor of a guest, and what tests with /dev/kvm need."""

import socket
import sys
import time

SKIPPED = 77  # the exit status that ctest takes for a skipped test


class Monitor:
    """On a Unix socket."""

    def __init__(self, path):
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.answer()

    def answer(self):
        text = ""
        while not text.endswith("(calco) "):
            piece = self.socket.recv(65536).decode(errors="replace")
            if not piece:
                sys.exit("the monitor went away")
            text += piece
        return text

    def command(self, line):
        self.socket.sendall(line.encode() + b"\n")
        return self.answer().split("\n", 1)[1].removesuffix("(calco) ").strip()

    def exchange(self, engine):
        answer = self.command(f"accel {engine}")
        if answer:
            sys.exit(f"accel {engine}: {answer}")
        runs = self.command("accel").split(":")[0]
        if runs != engine:
            sys.exit(f"accel {engine}: {runs} runs")


def needs_kvm():
    try:
        with open("/dev/kvm", "r+b", buffering=0):
            pass
    except OSError:
        print("skipped: no /dev/kvm")
        sys.exit(SKIPPED)
