# SPDX-License-Identifier: GPL-3.0-or-later
"""qvm-policy-ask on a terminal of its own, played by a test."""
import os
import pty
import select
import signal

from bh import wait_for

DEADLINE = 120


class Terminal:
    """qvm-policy-ask on a terminal of its own."""

    def __init__(self, build, root, *args):
        self.out = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(QUBES_ROOT=root, TERM="dumb")
            os.execv(os.path.join(build, "bin", "qvm-policy-ask"), ["qvm-policy-ask", *args])
        self.status = None

    def pump(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                b = os.read(self.fd, 65536)
            except OSError:
                b = b""
            if not b:
                return self.out
            self.out += b
        return self.out

    def expect(self, text, since=0):
        wait_for(lambda: text.encode() in self.pump()[since:], f"{text!r} on the terminal", DEADLINE)
        return len(self.out)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        return self.wait()

    def wait(self):
        def gone():
            self.pump()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if pid else None
        return wait_for(gone, "end of qvm-policy-ask", DEADLINE)[0]
