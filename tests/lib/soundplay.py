# SPDX-License-Identifier: GPL-3.0-or-later
"""A sound server of a test's own, without sound cards; a player of a qube's sound agent; and what has come out, as bytes."""
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from bh import check, wait_for

DEADLINE = int(os.environ.get("BULKHEAD_DEADLINE", 180))
MISSING = [p for p in ("pulseaudio", "pactl", "parec", "pacat") if not shutil.which(p)]
FRAME = 4
INPUT_OFF, INPUT_ON, CORK, UNCORK = 0x00010000, 0x00010001, 0x00020000, 0x00020001
SET, STATE = 1, 2
KEEP, MUTE, MIC, LOUD = 0xffffffff, 1, 2, 4
PLAYING, WANTS_MIC, RECORDING = 1, 2, 4


def tune(frames, seed=1):
    """Frames of which none is silent and no two of a period are the same: what is missing, doubled or turned around is seen."""
    out = bytearray()
    for i in range(frames):
        out += struct.pack("<hh", 1 + (i * 7 + seed) % 20000, -1 - (i * 3 + seed) % 20000)
    return bytes(out)


def heard(data):
    """Without the silence before, after and in between: a machine under load has pauses."""
    return b"".join(data[i:i + FRAME] for i in range(0, len(data) - FRAME + 1, FRAME) if data[i:i + FRAME] != b"\0\0\0\0")


class Server:
    """PulseAudio with a loudspeaker that keeps what it is given, and a microphone that hears what is played into `ear`."""

    def __init__(self, sinks=True):
        self.dir = tempfile.mkdtemp(prefix="sound")
        os.mkdir(self.dir + "/run", 0o700)
        self.socket = self.dir + "/native"
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "XDG_RUNTIME_DIR": self.dir + "/run", "LC_ALL": "C", "PULSE_SERVER": "unix:" + self.socket}
        for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if k in os.environ:
                self.env[k] = os.environ[k]
        self.p, self.sinks, self.children, self.ears = None, sinks, [], []
        self.start()

    def start(self):
        form = "format=s16le rate=44100 channels=2"
        argv = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--high-priority=no", "--realtime=no", "--disable-shm=no",
                "--log-target=stderr", "-L", f"module-native-protocol-unix socket={self.socket} auth-anonymous=1"]
        if self.sinks:
            argv += ["-L", f"module-pipe-sink sink_name=speaker file={self.dir}/speaker use_system_clock_for_timing=yes {form}",
                     "-L", f"module-null-sink sink_name=ear {form}"]
        with open(self.dir + "/log", "ab") as log:
            self.p = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: self.p.poll() is not None or self.pactl("info", ok=False) is not None, "a sound server", DEADLINE)
        check(self.p.poll() is None, "the sound server ended: " + self.log())
        if self.sinks:
            self.pactl("set-default-sink", "speaker")
            self.pactl("set-default-source", "ear.monitor")

    def log(self):
        with open(self.dir + "/log", errors="replace") as f:
            return f.read()[-1500:]

    def pactl(self, *args, ok=True):
        try:
            r = subprocess.run(["pactl", *args], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            r = None
        if ok:
            check(r is not None and r.returncode == 0, f"pactl {args}: {r and r.stderr} {self.log()}")
        return r.stdout if r is not None and r.returncode == 0 else None

    def streams(self, kind="sink-inputs"):
        """The streams of a kind, each a dictionary of pactl's lines."""
        out = []
        for block in (self.pactl("list", kind) or "").split("\n\n"):
            d = {}
            for line in block.splitlines():
                for sep in (" = ", ":"):
                    if sep in line:
                        k, v = line.split(sep, 1)
                        d.setdefault(k.strip(), v.strip().strip('"'))
                        break
            if d:
                out.append(d)
        return out

    def stream(self, name, kind="sink-inputs"):
        return next((s for s in self.streams(kind) if s.get("application.name") == name), None)

    def child(self, argv, **kw):
        p = subprocess.Popen(argv, env=self.env, **kw)
        self.children.append(p)
        return p

    def listen(self):
        self.ears.append(Ear(self.dir + "/speaker"))
        return self.ears[-1]

    def play(self, sink, data):
        """Something is played into a sink again and again, until the end of the test."""
        p = self.child(["pacat", "--playback", "--raw", "--format=s16le", "--rate=44100", "--channels=2", f"--device={sink}"], stdin=subprocess.PIPE)

        def feed():
            try:
                while True:
                    p.stdin.write(data)
            except OSError:
                pass
        threading.Thread(target=feed, daemon=True).start()
        return p

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.p.kill()
        if self.p:
            self.p.wait()

    def close(self):
        for e in self.ears:
            e.close()
        for p in self.children:
            if p.poll() is None:
                p.kill()
            p.wait()
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Ear:
    """Everything that comes out of the loudspeaker from now on. (A monitor of PulseAudio's leaves out what was played while it thought again.)"""

    def __init__(self, path):
        self.data, self.lock, self.done = bytearray(), threading.Lock(), False
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # The server throws away what finds no room: a reader that a busy machine keeps waiting needs much of it.
        for size in (16 << 20, 1 << 20):
            try:
                fcntl.fcntl(self.fd, 1031, size)  # F_SETPIPE_SZ
                break
            except OSError:
                continue
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        wait_for(self.size, "the first silence of the loudspeaker", DEADLINE)

    def read(self):
        while not self.done:
            if select.select([self.fd], [], [], 0.2)[0]:
                b = os.read(self.fd, 65536)
                with self.lock:
                    self.data += b

    def size(self):
        with self.lock:
            return len(self.data)

    def heard(self):
        with self.lock:
            return heard(bytes(self.data))

    def waits_for(self, want, what):
        def enough():
            got = self.heard()
            return got if len(got) >= len(want) else None
        got = wait_for(enough, f"{what}: {len(want)} bytes", DEADLINE, step=0.2)
        first = next((i for i in range(min(len(got), len(want))) if got[i] != want[i]), None)
        check(got == want, f"{what}: {len(got)} of {len(want)} bytes, the first wrong one at {first}")

    def close(self):
        self.done = True
        self.thread.join()
        os.close(self.fd)


class Agent:
    """A qube with its audiod: play and record are the qube's ends, control is bulkhead-desktop's."""

    def __init__(self, server, build, name="work", icon="appvm-green", start=True):
        self.server, self.name, self.build, self.icon = server, name, build, icon
        self.flags, self.control = 0, None
        if start:
            self.begin()

    def begin(self, play=None, record=None):
        """play and record: dom0's ends, where somebody else is the qube."""
        self.play, a = (None, play) if play else socket.socketpair()
        self.record, b = (None, record) if record else socket.socketpair()
        self.control, c = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        high = [fcntl.fcntl(f, fcntl.F_DUPFD_CLOEXEC, 60) for f in (a.fileno(), b.fileno(), c.fileno())]

        def place():
            for want, have in zip((3, 4, 5), high):
                os.dup2(have, want)
        self.log = tempfile.NamedTemporaryFile("w+", prefix="audiod-log")
        self.p = subprocess.Popen([os.path.join(self.build, "bin", "audiod"), "--name", self.name, "--icon", self.icon], env=self.server.env, stderr=self.log,
                                  preexec_fn=place, close_fds=False)
        for f in high:
            os.close(f)
        for s in (a, b, c):
            s.close()
        self.control.setblocking(False)

    def text(self):
        if self.control is None:
            return ""
        with open(self.log.name, errors="replace") as f:
            return f.read()

    def set(self, volume=KEEP, flags=0):
        body = struct.pack("<II", volume, flags)
        self.control.sendall(struct.pack("<IIII", SET, 0, len(body), 0) + body)

    def word(self, *words):
        self.record.sendall(b"".join(struct.pack("<I", w) for w in words))

    def state(self):
        """The last state that it has told."""
        while True:
            try:
                b = self.control.recv(100)
            except BlockingIOError:
                return self.flags
            if not b:
                return None
            check(len(b) == 20 and struct.unpack_from("<IIII", b) == (STATE, 0, 4, 0), f"no message of audiod: {b!r}")
            self.flags = struct.unpack_from("<I", b, 16)[0]

    def until(self, cond, what):
        def ok():
            check(self.p.poll() is None, f"audiod ended ({self.p.poll()}) instead of {what}: {self.text()[-1500:]}")
            return cond()
        return wait_for(ok, what, DEADLINE, step=0.05)

    def ready(self):
        """Its stream is there and it is in its sandbox: it has said so in the log, and answers a word."""
        self.until(lambda: "sound of" in self.text(), "a stream for playback")
        self.word(INPUT_ON)
        self.until(lambda: self.state() & WANTS_MIC, "an answer")
        self.word(INPUT_OFF)
        self.until(lambda: not self.state() & WANTS_MIC, "an answer")
        return self

    def send(self, data):
        """Plays data, at the pace at which it is taken."""
        self.play.settimeout(DEADLINE)
        self.play.sendall(data)

    def counts(self):
        """The last count that audiod has sent back, 0 before the first."""
        self.play.setblocking(False)
        out = getattr(self, "kept", b"")
        try:
            while True:
                b = self.play.recv(65536)
                if not b:
                    break
                out += b
        except BlockingIOError:
            pass
        whole = len(out) // 8 * 8
        if whole:
            self.count = struct.unpack_from("<Q", out, whole - 8)[0]
        self.kept = out[whole:]
        return getattr(self, "count", 0)

    def recorded(self):
        """What has come from the microphone since the last look."""
        out = b""
        self.record.setblocking(False)
        try:
            while True:
                b = self.record.recv(65536)
                if not b:
                    break
                out += b
        except BlockingIOError:
            pass
        self.record.setblocking(True)
        return out

    def ends(self, want):
        try:
            rc = self.p.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            rc = "no end"
        check(rc == want, f"audiod: exit code {rc} instead of {want}: {self.text()[-1500:]}")

    def close(self):
        if self.control is None:
            return
        for s in (self.play, self.record, self.control):
            if s:
                s.close()
        if self.p.poll() is None:
            try:
                self.p.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.log.close()
