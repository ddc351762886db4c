# SPDX-License-Identifier: GPL-3.0-or-later
"""X servers of tests: each on a display number of its own choice, while others start and end theirs beside it, and without a trace after its end."""
import os
import select
import subprocess
import tempfile
import time

from bh import Failure

START_S = 120
TRIES = 50
END_S = 60


class XServer:
    """A running X server. Two that choose their number at one moment, or one that chooses what another is just giving up, may collide: the loser ends by
    itself and is started again. What it says is kept in a file without a name; text() gives it."""

    def __init__(self, argv):
        self.log = tempfile.TemporaryFile()
        for _ in range(TRIES):
            number = self._start(argv)
            if number is not None:
                self.display = ":" + number
                return
            self._stop()
            if "already active" not in self.text() and "socket to listen on" not in self.text() and "lock" not in self.text():
                break
        raise Failure(f"{argv[0]} does not start: {self.text()[-1500:]}")

    def _start(self, argv):
        r, w = os.pipe()
        self.p = subprocess.Popen([*argv, "-displayfd", str(w)], pass_fds=(w,), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(w)
        got, end = b"", time.monotonic() + START_S
        try:
            while not got.endswith(b"\n"):
                if not select.select([r], [], [], max(0, end - time.monotonic()))[0]:
                    raise Failure(f"{argv[0]} did not start in {START_S} s: {self.text()[-1500:]}")
                part = os.read(r, 64)
                if not part:
                    return None
                got += part
        except Failure:
            self._stop()
            raise
        finally:
            os.close(r)
        return got.decode().strip() if got.strip().isdigit() else None

    def text(self):
        size = os.fstat(self.log.fileno()).st_size
        return os.pread(self.log.fileno(), size, 0).decode("utf-8", "replace")

    def _stop(self):
        """Asked first: a server that is killed leaves its lock and its socket behind."""
        self.p.terminate()
        try:
            self.p.wait(END_S)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()

    def stop(self):
        self._stop()
        self.log.close()
