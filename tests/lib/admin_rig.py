# SPDX-License-Identifier: GPL-3.0-or-later
"""A qubesd --no-vms of its own for tests that speak the Admin API's bytes: calls, event streams, kill -9 of the core."""
import os
import signal
import socket
import struct
import time

import bh
from bh import check

DEADLINE = 120


class Rig(bh.Instance):
    """Paths of sockets are short, volumes are sparse: below /var/tmp as every instance."""

    def __init__(self):
        super().__init__()
        self.sock_path = os.path.join(self.root, "run", "qubesd.sock")

    def start(self, *extra, timeout=120):
        return super().start("--no-vms", *extra, timeout=timeout)

    def core_pid(self):
        """The child of the supervisor that is the core, or None."""
        try:
            with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children") as f:
                pids = f.read().split()
        except OSError:
            return None
        for pid in pids:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if b"--core" in f.read():
                        return int(pid)
            except OSError:
                pass
        return None

    def connect(self, sock="qubesd.sock"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(DEADLINE)
        s.connect(os.path.join(self.root, "run", sock))
        return s

    def send(self, data, sock="qubesd.sock"):
        """A connection on which a complete request is under way."""
        s = self.connect(sock)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return s

    def raw(self, data, sock="qubesd.sock"):
        with self.send(data, sock) as s:
            return receive(s)

    def call(self, method, arg=None, dest="dom0", payload=b"", src="dom0", sock="qubesd.sock"):
        return self.raw(request(method, arg, dest, payload, src), sock)

    def ok(self, *a, **k):
        r = self.call(*a, **k)
        check(r[:2] == b"0\0", f"{a} {k}: success expected, got {r[:300]!r}")
        return r[2:].decode("utf-8", "surrogateescape")

    def wait_core(self, old=None):
        """Until a core other than `old` answers."""
        end = time.monotonic() + DEADLINE
        while True:
            pid = self.core_pid()
            if pid and pid != old:
                try:
                    if self.call("admin.vm.List")[:2] == b"0\0":
                        return pid
                except OSError:
                    pass
            check(time.monotonic() < end, "the core did not come back: " + self.tail("qubesd.out"))
            time.sleep(0.005)  # poll of a condition with a deadline

    def kill_core(self):
        pid = self.core_pid()
        os.kill(pid, signal.SIGKILL)
        return self.wait_core(pid)

    def listen(self, dest="dom0", method="admin.Events", rcvbuf=None):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(DEADLINE)
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.connect(self.sock_path)
        s.sendall(request(method, None, dest))
        s.shutdown(socket.SHUT_WR)
        return s


def receive(s):
    out = []
    try:
        while True:
            d = s.recv(1 << 18)
            if not d:
                break
            out.append(d)
    except ConnectionError:
        pass
    return b"".join(out)


def request(method, arg=None, dest="dom0", payload=b"", src="dom0"):
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogateescape")
    name = method if arg is None else method + "+" + arg
    return f"{name} {src} name {dest}".encode("utf-8", "surrogateescape") + b"\0" + payload


def parse_events(buf):
    """([(subject, event, [(key, value)…])…], what is left of an incomplete one)."""
    out, at = [], 0
    while True:
        if buf[at:at + 2] not in (b"1\0", b"", b"1"):
            raise bh.Failure(f"not an event: {buf[at:at + 40]!r}")
        fields, i = [], at + 2
        while True:
            end = buf.find(b"\0", i)
            if end < 0 or i > len(buf):
                return out, buf[at:]
            field = buf[i:end]
            i = end + 1
            if len(fields) >= 2 and len(fields) % 2 == 0 and not field:
                break
            fields.append(field.decode())
        out.append((fields[0], fields[1], list(zip(fields[2::2], fields[3::2]))))
        at = i


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def peer_pid(s):
    """Process at the other end of a connection."""
    return struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
