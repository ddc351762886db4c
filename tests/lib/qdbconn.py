# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a local QubesDB socket: the requests that tests need."""
import socket
import struct

READ, WRITE, RM, OK, NOENT, VALUE = 0, 1, 4, 7, 8, 10


class QubesDB:
    def __init__(self, path, timeout=60):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.s.connect(path)

    def _take(self, n):
        out = b""
        while len(out) < n:
            part = self.s.recv(n - len(out))
            if not part:
                raise EOFError("QubesDB closed the connection")
            out += part
        return out

    def _call(self, kind, key, value=b""):
        self.s.sendall(struct.pack("<B64s3xI", kind, key.encode(), len(value)) + value)
        answer, _, n = struct.unpack("<B64s3xI", self._take(72))
        return answer, self._take(n)

    def read(self, key):
        """The text, or None."""
        answer, value = self._call(READ, key)
        return value.decode() if answer == VALUE else None

    def write(self, key, value):
        answer, _ = self._call(WRITE, key, value.encode())
        if answer != OK:
            raise OSError(f"QubesDB refused to write {key}")

    def rm(self, key):
        return self._call(RM, key)[0] == OK
