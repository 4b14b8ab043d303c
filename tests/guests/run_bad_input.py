#!/usr/bin/env python3
"""What clients of the monitors do wrong; the guest goes on: run_bad_input.py CALCO NAME

NAME is a function below that begins with input_.
"""

import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time

from monitor_client import Monitor

MEGABYTE = 1 << 20
COUNTER = 0x1000  # guest physical address


def counting_firmware():
    """64 KiB that count at COUNTER in real mode."""
    image = bytearray(b"\xf4" * 0x10000)
    # xor ax,ax; mov ds,ax; next: inc dword [COUNTER]; jmp next
    code = bytes.fromhex("31c0 8ed8 66ff06") + COUNTER.to_bytes(2, "little") + bytes.fromhex("ebf9")
    image[: len(code)] = code
    image[0xFFF0:0xFFF3] = bytes.fromhex("e90d00")  # jmp f000:0000
    return image


class Client:
    """Of QMP on a Unix socket."""

    def __init__(self, path, negotiate=True, capabilities=()):
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r", errors="replace")
        self.greeting = json.loads(self.lines.readline())
        if negotiate:
            expect(self.execute("qmp_capabilities", enable=list(capabilities)), {"return": {}})

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """The next that is no event."""
        while True:
            message = json.loads(self.lines.readline())
            if "event" not in message:
                return message

    def execute(self, name, **arguments):
        self.send(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        return self.answer()

    def close(self):
        self.lines.close()
        self.socket.close()


def expect(found, expected):
    if found != expected:
        sys.exit(f"expected {expected}, not {found}")


def expect_error(message, error_class="GenericError"):
    if message.get("error", {}).get("class") != error_class or not message["error"]["desc"]:
        sys.exit(f"expected an error of class {error_class}, not {message}")


class Guest:
    """A calco that counts, with the human monitor and QMP twice on Unix sockets."""

    def __init__(self, calco, folder):
        self.calco, self.folder = calco, folder
        firmware = folder / "firmware"
        firmware.write_bytes(counting_firmware())
        self.monitor_path, self.qmp_path, self.other_qmp_path = (folder / name for name in ("monitor", "qmp", "other"))
        places = [word for option, path in (("-monitor", self.monitor_path), ("-qmp", self.qmp_path),
                                            ("-qmp", self.other_qmp_path))
                  for word in (option, f"unix:{path},server=on,wait=off")]
        self.process = subprocess.Popen(
            [calco, "-m", "2", "-nodefaults", "-display", "none", "-accel", "jit", "-bios", firmware, *places],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def qmp(self, **options):
        return Client(self.qmp_path, **options)

    def count(self, monitor):
        return int(monitor.command(f"xp/1xw {COUNTER:#x}").split(": ")[1], 0)

    def expect_progress(self):
        """New clients are served, and the guest counts on."""
        monitor = Monitor(self.monitor_path)
        expect(monitor.command("info status"), "VM status: running")
        for path in (self.qmp_path, self.other_qmp_path):
            client = Client(path)
            expect(client.execute("query-status")["return"]["running"], True)
            client.close()
        count = self.count(monitor)
        deadline = time.monotonic() + 30
        while self.count(monitor) == count:
            if time.monotonic() > deadline:
                sys.exit(f"the guest stays at {count}")
            time.sleep(0.01)
        monitor.socket.close()

    def end(self):
        client = self.qmp()
        client.execute("quit")
        errors = self.process.communicate(timeout=60)[1]
        expect((self.process.returncode, errors), (0, ""))


# --- QMP ---------------------------------------------------------------------------------------------------------------

def input_malformed_json(guest):
    client = guest.qmp()
    for line in (b"nonsense", b"}", b"{]", b'{"execute"}', b'{"execute": "stop}', b'{"execute": 1e9999}',
                 b"'execute'", b"\xff\xfe\xfd", b'{"execute": "\xff"}', b"[" * 5000, b"\0\0\0", b'{"a": tru}', b"17", b'"x"',
                 b"[]", b"{}", b'{"execute": null}', b'{"execute": {}}', b'{"arguments": {}}', b'{"execute": "stop", "x": 1}',
                 b'{"execute": "stop", "arguments": []}'):
        client.send(line + b"\n")
        expect_error(client.answer())
        expect(client.execute("query-status")["return"]["running"], True)


def input_malformed_before_negotiation(guest):
    client = guest.qmp(negotiate=False)
    client.send(b"GET / HTTP/1.1\nHost: localhost\n\n")
    expect_error(client.answer())
    expect_error(client.answer())
    expect_error(client.execute("query-status"), "CommandNotFound")
    expect(client.execute("qmp_capabilities"), {"return": {}})


def input_random_bytes(guest):
    random.seed(1)
    letters = b'{}[]",:\\ntrue0123456789 \n\xff'
    for _ in range(20):
        client = guest.qmp()
        client.send(bytes(random.choice(letters) for _ in range(2000)))
        client.close()


def input_megabyte_without_a_newline(guest):
    client = guest.qmp()
    for begin in (b"x", b'{"execute": "', b'{"a": [1, '):
        client.send(begin + b"1" * (MEGABYTE + 1))
        expect_error(client.answer())  # the line has not ended yet
        client.send(b"x" * MEGABYTE + b"\n")
        expect(client.execute("query-status")["return"]["running"], True)
    terminal = Monitor(guest.monitor_path)
    terminal.socket.settimeout(120)
    terminal.socket.sendall(b"x" * MEGABYTE + b"\n")
    if "unknown command" not in terminal.answer():
        sys.exit("the human monitor takes a megabyte for a command")


def input_wrong_commands(guest):
    client = guest.qmp()
    expect_error(client.execute("nonsense"), "CommandNotFound")
    expect_error(client.execute("stop", now=True))
    expect_error(client.execute("human-monitor-command"))
    expect_error(client.execute("human-monitor-command", **{"command-line": ["stop"]}))
    expect_error(client.execute("human-monitor-command", **{"command-line": "stop", "cpu-index": -1}))
    expect_error(client.execute("human-monitor-command", **{"command-line": "stop", "cpu-index": 1 << 63}))
    expect_error(client.execute("send-key", keys=[{"type": "qcode", "data": "nokey"}]))
    expect_error(client.execute("send-key", keys=[{"type": "number", "data": -1}]))
    expect_error(client.execute("send-key", keys=[{}]))
    expect_error(client.execute("dump-guest-memory", paging=False, protocol="file:/nonexistent/core"))
    expect_error(client.execute("dump-guest-memory", paging=False, protocol="file:/dev/full"))
    expect_error(client.execute("qmp_capabilities"), "CommandNotFound")


# --- Clients that leave -------------------------------------------------------------------------------------------------

def input_client_leaves_within_a_command(guest):
    command = b'{"execute": "human-monitor-command", "arguments": {"command-line": "info status"}}\n'
    for length in range(1, len(command), 7):
        client = guest.qmp()
        client.send(command[:length])
        client.close()
    terminal = Monitor(guest.monitor_path)
    terminal.socket.sendall(b"info regis")
    terminal.socket.close()


def input_client_leaves_before_the_answer(guest):
    for _ in range(20):
        client = guest.qmp(capabilities=["oob"])
        client.send(b'{"execute": "query-qmp-schema"}\n' * 8)
        client.close()
        terminal = Monitor(guest.monitor_path)
        terminal.socket.sendall(b"info mtree\n")
        terminal.socket.close()


def input_client_leaves_while_a_command_takes_its_time(guest):
    pipe = guest.folder / "pipe"
    os.mkfifo(pipe)
    client = guest.qmp(capabilities=["oob"])
    client.send(json.dumps({"execute": "dump-guest-memory",
                            "arguments": {"paging": False, "protocol": f"file:{pipe}"}}).encode() + b"\n")
    client.send(b'{"exec-oob": "query-name", "id": 1}\n')
    expect(client.answer(), {"return": {}, "id": 1})
    client.close()
    with open(pipe, "rb") as reader:
        reader.read(1000)  # and the reader leaves, too
    monitor = Monitor(guest.monitor_path)
    while monitor.command("info dump").startswith("Status: active"):
        time.sleep(0.01)
    expect(monitor.command("info dump"), "Status: failed")
    monitor.socket.close()


def input_client_leaves_while_events_are_sent(guest):
    other = Client(guest.other_qmp_path)
    for _ in range(20):
        client = guest.qmp()
        for command in ("stop", "cont") * 5:
            other.send(json.dumps({"execute": command}).encode() + b"\n")
        client.close()
        for _ in range(10):
            expect(other.answer(), {"return": {}})
    other.close()


def input_client_does_not_read_events(guest):
    deaf = guest.qmp()
    other = Client(guest.other_qmp_path)
    for _ in range(1000):
        expect(other.execute("stop"), {"return": {}})
        expect(other.execute("cont"), {"return": {}})
    deaf.close()
    other.close()


def input_many_clients_come_and_go(guest):
    for _ in range(200):
        client = guest.qmp(negotiate=False)
        client.close()
        with socket.socket(socket.AF_UNIX) as silent:  # does not even read the greeting
            silent.settimeout(60)
            silent.connect(str(guest.other_qmp_path))
        Monitor(guest.monitor_path).socket.close()


# --- Engines and the human monitor --------------------------------------------------------------------------------------

def input_unknown_engine(guest):
    for option, value in (("-accel", "nonsense"), ("-accel", ""), ("-accel", "jit,nonsense=1"),
                          ("-machine", "accel=nonsense"), ("-machine", "accel=jit:nonsense")):
        start = subprocess.run([guest.calco, option, value, "-display", "none"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=60)
        if start.returncode != 1 or len(start.stderr.splitlines()) != 1 or option not in start.stderr:
            sys.exit(f"{option} '{value}': status {start.returncode}, {start.stderr!r}")
    terminal = Monitor(guest.monitor_path)
    expect(terminal.command("accel nonsense"), "accel: 'nonsense' is no engine; possible are interp, jit and kvm")
    expect_error(guest.qmp().execute("x-calco-set-accel", engine="nonsense"))
    expect(terminal.command("info accel").split(":")[0], "jit")


WRONG_LINES = """
nonsense
help nonsense
help info nonsense
help info status more
info nonsense
info status now
info registers 7
info registers -b
info lapic 7
info mtree -z
info version now
x
x/q 0
x/0x 0
x/99999999x 0
x/99999999999999999999999x 0
x $nonsense
x 1 +
x 12z
x (((
xp
xp/i
print
print 1/0
print/i 0
print 'a
p 0x10000000000000000
stop now
cont now
system_reset now
system_powerdown now
quit now
sendkey
sendkey nokey
sendkey ctrl-alt-
sendkey a b
sendkey a -1
sendkey a 1 2
sendkey a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p-q
nmi now
log
log nonsense
log int,nonsense
log int exec
accel jit kvm
cpu
cpu 1
cpu -1
cpu x
dump-guest-memory
dump-guest-memory -p
dump-guest-memory -q file
dump-guest-memory -d
dump-guest-memory -z file
dump-guest-memory a b
dump-guest-memory a b c
dump-guest-memory a 0 0
dump-guest-memory a 0xffffffff00000000 0x1000
dump-guest-memory /nonexistent/core
dump-guest-memory /dev/full
dump-guest-memory "open
""".split("\n")[1:-1]


def input_wrong_arguments(guest):
    terminal = Monitor(guest.monitor_path)
    for line in WRONG_LINES:
        answer = terminal.command(line)
        if not answer or "\n" in answer:
            sys.exit(f"'{line}' should have an answer of one line, not {answer!r}")
        print(f"{line}: {answer}")


def main(calco, name):
    with tempfile.TemporaryDirectory(prefix="calco-") as folder:
        guest = Guest(calco, pathlib.Path(folder))
        try:
            globals()[f"input_{name}"](guest)
            guest.expect_progress()
            guest.end()
        finally:
            guest.process.kill()
    print("passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
