# SPDX-License-Identifier: GPL-3.0-or-later
"""A core whose machines are played by this process: real `qubesd --core` and real `spawner`, and between them a proxy that answers everything about
machines and saved states itself. A machine is the sockets of its linkd, qrexec-daemon and qubesdb-daemon; what it does is decided by knobs of Host."""
import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import bh
from admin_rig import Rig
from bh import check, wait_for

SP_START, SP_STARTED, SP_KILL, SP_USAGE, SP_USAGE_REPLY = 0x101, 0x102, 0x105, 0x109, 0x10a
SP_KEEP, SP_DROP, SP_LIST, SP_STATES, SP_STATE = 0x10c, 0x10d, 0x10e, 0x10f, 0x110
LD_HELLO, LD_CMD, LD_TICKET, LD_EVENT, LD_QUERY = 0x201, 0x202, 0x203, 0x205, 0x206
LC_CONNECT, LC_OPEN, LC_GUI = 0x602, 0x603, 0x605
QD_HELLO, QD_POLICY_CHAN, QD_EXEC, QD_EVENT = 0x301, 0x302, 0x303, 0x306
CONT, STOP, POWERDOWN, QUIT, FREEZE, SAVE, LOAD, WAKE = range(8)
COMMANDS = "cont stop powerdown quit freeze save load wake".split()
EV_CONSOLE, EV_LINK_UP, EV_SHUTDOWN, EV_READY = 1, 2, 6, 10
REPLY, ERROR = 1, 2
COLD, SOURCE, CLONE = range(3)
STATE_QID = 10001
ENOENT, EIO, EACCES, EBUSY, ENOTSUP = 2, 5, 13, 16, 95
NO_SUCH_PROCESS = 3


def lstr(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<H", len(b)) + b


def msg(kind, body=b"", serial=0, flags=0):
    return struct.pack("<IIII", kind, serial, len(body), flags) + body


def error(kind, serial, code, text):
    return msg(kind, struct.pack("<I", code) + lstr(text), serial, REPLY | ERROR)


class Reader:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, fmt):
        v = struct.unpack_from("<" + fmt, self.b, self.at)
        self.at += struct.calcsize("<" + fmt)
        return v[0]

    def text(self):
        n = self.take("H")
        v = self.b[self.at:self.at + n].decode()
        self.at += n
        return v


class Spec:
    """vm_spec as the core sends it; given: what came with it, (path, access) of each descriptor."""
    given = ()

    def __init__(self, r):
        self.qid = r.take("I")
        self.name, self.uuid, self.start_id, self.user, self.kernel, self.kernelopts = (r.text() for _ in range(6))
        self.accel, self.start = r.take("B"), r.take("B")
        self.state = r.text()
        self.debug, self.template_based = r.take("B"), r.take("B")
        self.memory, self.vcpus, self.ports, self.gui, n = (r.take("I") for _ in range(5))
        self.disks = [self.disk(r) for _ in range(n)]

    @staticmethod
    def disk(r):
        d = {"serial": r.text(), "pool": r.text(), "readonly": r.take("B"), "ephemeral": r.take("Q")}
        d["layers"] = [(r.text(), r.take("B")) for _ in range(r.take("I"))]
        return d


class Machine:
    """One started machine: answers until it is told to quit, killed, or this process closes it."""

    def __init__(self, host, spec):
        self.host, self.spec, self.alive = host, spec, True
        self.commands, self.execs, self.qdb = [], [], {}
        self.conns, self.listeners = [], []
        self.kept = []  # descriptors of channels that the core joined here
        self.pid = host.next_pid()
        self.paused, self.agent = True, False
        self.qrexec = self.ctl = None
        self.sounds = []  # (port, end) of the streams that clients of its sound got
        self.guis = []  # ends of the streams that clients of the GUI got
        d = os.path.join(host.inst.root, "run", "q", str(spec.qid))
        os.makedirs(d, exist_ok=True)
        self.listen(d + "/linkd.ctl", socket.SOCK_SEQPACKET, self.linkd)
        if spec.start != SOURCE:
            self.listen(d + "/qrexec.ctl", socket.SOCK_SEQPACKET, self.serve_qrexec)
            self.listen(d + "/chan.sock", socket.SOCK_SEQPACKET, self.serve_chan)
            self.listen(os.path.join(host.inst.root, "run", f"qubesdb.{spec.name}.sock"), socket.SOCK_STREAM, self.serve_qdb)

    def listen(self, path, kind, serve):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX, kind)
        s.bind(path)
        s.listen(8)
        self.listeners.append((s, path))

        def run():
            while True:
                try:
                    c = s.accept()[0]
                except OSError:
                    return
                if not self.alive:
                    c.close()
                    return
                self.conns.append(c)
                threading.Thread(target=self.guard, args=(serve, c), daemon=True).start()
        threading.Thread(target=run, daemon=True).start()

    def guard(self, serve, c):
        with contextlib.suppress(OSError):
            serve(c)

    def hello(self):
        state = 0 if not self.commands else 2 if self.paused else 1
        return (struct.pack("<II", 1, self.spec.qid) + lstr(self.spec.name) + struct.pack("<IQIQ", self.pid, 1, self.pid + 1, 1) +
                lstr(self.spec.start_id) + bytes([state, 0, 0, 2, 1, 1]))

    def linkd(self, c):
        self.ctl = c
        late = self.host.fault(self, "hello")  # it says who it is only when the machine is to run
        if not late:
            c.send(msg(LD_HELLO, self.hello()))
        while True:
            b, fds, _, _ = socket.recv_fds(c, 70000, 4)
            if not b:
                return
            self.kept += fds
            kind, serial, _, _ = struct.unpack_from("<IIII", b)
            if kind == LD_TICKET and fds and self.host.answers:
                threading.Thread(target=self.answer, args=(socket.socket(fileno=os.dup(fds[0])),), daemon=True).start()
            if kind == LD_CMD:
                if late and COMMANDS[b[16]] == "cont":
                    c.send(msg(LD_HELLO, self.hello()))
                self.command(c, b[16], serial)
            elif kind == LD_QUERY:
                c.send(msg(LD_QUERY + 1, struct.pack("<BQQ", 1, 1024, 1), serial, REPLY))
            else:
                c.send(msg(kind, b"", serial, REPLY))

    def command(self, c, cmd, serial):
        name = COMMANDS[cmd]
        self.commands.append(name)
        fault = self.host.fault(self, name)
        if fault == "silent":
            return
        if fault == "die":
            self.end()
            return
        if fault:
            c.send(error(LD_CMD, serial, EIO, fault))
            return
        c.send(msg(LD_CMD, b"", serial, REPLY))
        if name in ("cont", "wake"):
            self.paused = False
            self.event(EV_LINK_UP)
            if self.spec.start == SOURCE:
                if not self.host.fault(self, "ready"):
                    self.event(EV_READY)
            else:
                self.agent_up()
        elif name == "stop":
            self.paused = True
        elif name == "quit":
            self.end()
        elif name == "powerdown":
            self.event(EV_SHUTDOWN)
            self.end()

    def answer(self, s):
        """A service that dom0 calls here ends with the exit code 0."""
        with s, contextlib.suppress(OSError):
            for kind, value in ((0x300, 4), (0x193, 0)):
                s.sendall(struct.pack("<III", kind, 4, value))
            while s.recv(4096):
                pass

    def event(self, number, detail=0, text=""):
        with contextlib.suppress(OSError):
            self.ctl.send(msg(LD_EVENT, struct.pack("<BI", number, detail) + lstr(text)))

    def agent_up(self):
        if self.agent or self.host.fault(self, "agent"):
            return
        self.agent = True
        wait_for(lambda: self.qrexec, "qrexec channel of " + self.spec.name)
        self.qrexec.send(msg(QD_EVENT, struct.pack("<BIII", 1, 0, 0, 4)))

    def serve_qrexec(self, c):
        c.send(msg(QD_HELLO, struct.pack("<II", 1, self.spec.qid) + lstr(self.spec.name) + struct.pack("<IBB", self.pid, 4 if self.agent else 0, 0)))
        self.qrexec = c
        while True:
            b, fds, _, _ = socket.recv_fds(c, 70000, 4)
            if not b:
                return
            self.kept += fds
            kind = struct.unpack_from("<I", b)[0]
            if kind == QD_EXEC:
                r = Reader(b[16:])
                domain, port = r.take("I"), r.take("I")
                self.execs.append(r.text())
                if self.host.fault(self, "exec"):
                    continue  # it runs for ever
                c.send(msg(QD_EVENT, struct.pack("<BIII", 3, domain, port, 0)))

    def serve_chan(self, c):
        """A client of the GUI gets a stream at once, and host.pixels MiB of memory."""
        while True:
            b = c.recv(70000)
            if not b:
                return
            kind, serial, _, _ = struct.unpack_from("<IIII", b)
            if kind == LC_CONNECT:
                self.sound(c, serial, struct.unpack_from("<II", b, 16)[1])
                continue
            fault = self.host.fault(self, "gui")
            if kind != LC_GUI or fault:
                c.send(error(LC_OPEN, serial, EBUSY if fault else EACCES, fault or "only the GUI"))
                continue
            ours, theirs = socket.socketpair()
            fds = [theirs.fileno()]
            if self.host.pixels:
                mem = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.truncate(mem, self.host.pixels << 20)
                fcntl.fcntl(mem, fcntl.F_ADD_SEALS, self.host.seals)
                fds.append(os.open(f"/proc/self/fd/{mem}", os.O_RDONLY | os.O_CLOEXEC))
                os.close(mem)
            socket.send_fds(c, [msg(LC_OPEN, struct.pack("<II", 0, 6000), serial, REPLY)], fds)
            theirs.close()
            for fd in fds[1:]:
                os.close(fd)
            self.guis.append(ours)
            self.conns.append(ours)

    def sound(self, c, serial, port):
        """The agent of a qube's sound is there when host.sounds says so."""
        if not self.host.sounds or port not in (4713, 4714):
            c.send(error(LC_OPEN, serial, EACCES, "no sound"))
            return
        ours, theirs = socket.socketpair()
        socket.send_fds(c, [msg(LC_OPEN, struct.pack("<II", 0, port), serial, REPLY)], [theirs.fileno()])
        theirs.close()
        self.sounds.append((port, ours))
        self.conns.append(ours)

    def serve_qdb(self, c):
        while True:
            h = b""
            while len(h) < 72:
                x = c.recv(72 - len(h))
                if not x:
                    return
                h += x
            kind, path, n = struct.unpack("<B64s3xI", h)
            data = b""
            while len(data) < n:
                data += c.recv(n - len(data))
            if kind == 1:
                self.qdb[path.split(b"\0")[0].decode()] = data.decode()
            if kind == 4:  # one key, or all below it
                key = path.split(b"\0")[0].decode()
                for k in [k for k in self.qdb if k == key or (key.endswith("/") and k.startswith(key))]:
                    del self.qdb[k]
            if kind == 2:  # all keys that begin so, and an empty one at the end
                prefix = path.split(b"\0")[0].decode()
                for k, v in [(k, v) for k, v in sorted(self.qdb.items()) if k.startswith(prefix)] + [("", "")]:
                    c.sendall(struct.pack("<B64s3xI", 11, k.encode(), len(v)) + v.encode())
                continue
            c.sendall(struct.pack("<B64s3xI", 7, path, 0))

    def end(self):
        """The machine and all its programs are gone."""
        if not self.alive:
            return
        self.alive = False
        for s, path in self.listeners:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        for c in self.conns:
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
            c.close()
        for fd in self.kept:
            os.close(fd)


def fill_low():
    """A child is given descriptors 3 to 5, and Popen wants these numbers to be open here too, whatever threads close meanwhile."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 5:
            os.close(fd)
            return


class Host:
    """The proxy, the machines and the holder's table of states."""

    def __init__(self):
        fill_low()
        self.inst = Rig()
        self.states, self.dropped, self.starts, self.machines = {}, [], [], []
        self.keep_busy = 0  # so often the end of the source has not come to the spawner's ears yet
        self.faults = []  # (what, predicate on the machine, how often, "silent", "die" or an error's text)
        self.answers = False  # machines play the services that dom0 calls in them
        self.refuse = {}  # kind of start -> (code, text)
        self.pid, self.lock = 4000000, threading.Lock()
        self.core = self.spawner = None
        self.sounds = False  # is there an agent of sound in the machines?
        self.pixels, self.seals = 16, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW  # of the machines' memory for pixels

    def next_pid(self):
        self.pid += 10
        return self.pid

    def add_fault(self, what, how="broken", times=1, when=lambda m: True):
        self.faults.append([what, when, times, how])

    def fault(self, machine, what):
        for f in self.faults:
            if f[0] == what and f[2] and f[1](machine):
                f[2] -= 1
                return f[3]
        return None

    # --- processes ---------------------------------------------------------------------------------------------------
    def start(self):
        to_core, core_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        to_spawner, spawner_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ready_r, ready_w = os.pipe()
        self.life_r, self.life_w = os.pipe()
        log = open(os.path.join(self.inst.root, "core.out"), "ab")

        def run(argv, fds):
            fill_low()
            fds = [os.dup(f) for f in fds]  # none of them is one of the numbers that they become
            high = [__import__("fcntl").fcntl(f, __import__("fcntl").F_DUPFD, 50) for f in fds]
            for f in fds:
                os.close(f)

            def place():
                for i, f in enumerate(high):
                    os.dup2(f, 3 + i)
            p = subprocess.Popen(argv, pass_fds=tuple(high) + tuple(range(3, 3 + len(high))), preexec_fn=place, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, env=self.inst.env)
            for f in high:
                os.close(f)
            return p
        bins = self.inst.bin
        self.spawner = run([os.path.join(bins, "spawner"), "--root", self.inst.root], [spawner_end.fileno()])
        self.core = run([os.path.join(bins, "qubesd"), "--core", "--life-fd=5", "--root", self.inst.root, "--ready-fd=4"],
                        [core_end.fileno(), ready_w, self.life_r])
        core_end.close()
        spawner_end.close()
        os.close(ready_w)
        self.proxy = threading.Thread(target=self.serve, args=(to_core, to_spawner), daemon=True)
        self.proxy.start()
        ready, _, _ = select.select([ready_r], [], [], 60)
        byte = os.read(ready_r, 1) if ready else b""
        os.close(ready_r)
        check(byte, "the core did not become ready: " + self.inst.tail("core.out"))
        return self

    def kill_core(self):
        """kill -9 of the core, and a new one; machines stay."""
        os.kill(self.core.pid, signal.SIGKILL)
        self.reap()
        self.start()

    def stop_core(self):
        self.core.send_signal(signal.SIGTERM)
        self.reap()

    def reap(self):
        self.core.wait(60)
        self.spawner.wait(60)
        self.proxy.join(60)
        os.close(self.life_r)
        os.close(self.life_w)

    def close(self):
        if self.core and self.core.poll() is None:
            self.core.kill()
            self.reap()
        for m in self.machines:
            m.end()
        self.inst.close()

    # --- the proxy -----------------------------------------------------------------------------------------------------
    def serve(self, core, spawner):
        while True:
            ready, _, _ = select.select([core, spawner], [], [])
            for s in ready:
                try:
                    b, fds, _, _ = socket.recv_fds(s, 70000, 8)
                except ConnectionResetError:
                    b, fds = b"", []
                if not b:
                    core.close()
                    spawner.close()
                    return
                out = self.intercept(b) if s is core else None
                if s is core and struct.unpack_from("<I", b)[0] == SP_START:
                    self.starts[-1].given = [(os.readlink(f"/proc/self/fd/{fd}"), fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE) for fd in fds]
                try:
                    if out is not None:
                        core.send(out)
                    elif out is None:
                        socket.send_fds(spawner if s is core else core, [b], fds)
                except OSError:
                    pass
                for fd in fds:
                    os.close(fd)

    def machine(self, pid):
        return next((m for m in self.machines if pid in (m.pid, m.pid + 1)), None)

    def of(self, name):
        """The newest machine of this name that lives."""
        return next((m for m in reversed(self.machines) if m.spec.name == name and m.alive), None)

    def intercept(self, b):
        kind, serial, _, _ = struct.unpack_from("<IIII", b)
        r = Reader(b[16:])
        if kind == SP_START:
            return self.start_machine(r, serial)
        if kind in (SP_KILL, SP_USAGE):
            m = self.machine(r.take("I"))
            if not m:
                return None
            if kind == SP_KILL:
                m.end()
                return msg(kind, b"", serial, REPLY)
            return msg(SP_USAGE_REPLY, struct.pack("<QQQ", 10, 1000, 1000), serial, REPLY) if m.alive else error(kind, serial, NO_SUCH_PROCESS, "gone")
        if kind == SP_KEEP:
            qid, key, memory = r.take("I"), r.text(), r.take("B")
            check(qid == STATE_QID and not any(m.alive and m.spec.qid == qid for m in self.machines), "KEEP while the source lives")
            if self.keep_busy:
                self.keep_busy -= 1
                return error(kind, serial, EBUSY, "the source runs still")
            self.states[key] = memory
            return msg(kind, b"", serial, REPLY)
        if kind == SP_DROP:
            key = r.text()
            self.dropped.append(key)
            for k in [key] if key else list(self.states):
                self.states.pop(k, None)
            return msg(kind, b"", serial, REPLY)
        if kind == SP_LIST:
            body = struct.pack("<I", len(self.states)) + b"".join(lstr(k) + struct.pack("<QBBQ", 400 << 20, 1, not m, 1) for k, m in self.states.items())
            return msg(SP_STATES, body, serial, REPLY)
        return None

    def start_machine(self, r, serial):
        r.take("I")
        r.take("B")
        spec = Spec(r)
        self.starts.append(spec)
        if spec.start in self.refuse:
            return error(SP_START, serial, *self.refuse[spec.start])
        if spec.start == CLONE and spec.state not in self.states:
            return error(SP_START, serial, ENOENT, "no such state")
        m = Machine(self, spec)
        self.machines.append(m)
        return msg(SP_STARTED, struct.pack("<IQIQ", m.pid, 1, m.pid + 1, 1), serial, REPLY)

    # --- for tests -------------------------------------------------------------------------------------------------------
    def prepare(self):
        """One template with an image, a kernel, an app qube and a disposable template."""
        i = self.inst
        i.start()
        kernel = os.path.join(i.root, "lib", "vm-kernels", "6.1-test")
        os.makedirs(kernel)
        for f in ("vmlinuz", "initramfs", "modules.img"):
            with open(os.path.join(kernel, f), "w") as out:
                out.write(f)
        i.good("qvm-create", "-C", "TemplateVM", "-l", "black", "tpl")
        i.good("qvm-create", "-l", "red", "-t", "tpl", "--prop", "netvm=none", "app")
        i.good("qvm-create", "-l", "red", "-t", "tpl", "--prop", "netvm=none", "--prop", "template_for_dispvms=True", "--prop", "memory=410", "dvm")
        i.good("qubes-prefs", "default_dispvm", "dvm")
        i.stop()
        return self.start()

    def starts_of(self, name):
        return [s for s in list(self.starts) if s.name == name]

    def builds(self):
        return [s for s in list(self.starts) if s.start == SOURCE]

    def start_qube(self, name):
        self.inst.good("qvm-start", name, timeout=120)
        return self.starts_of(name)[-1]

    def kill_qube(self, name):
        self.inst.good("qvm-kill", name)
        wait_for(lambda: self.inst.state_or_none(name) in (None, "Halted"), f"the end of {name}")

    def feature(self, qube, name):
        r = self.inst.run("qvm-features", qube, name)
        return r.text.strip() if r.rc == 0 else None

    def queue(self, t="dvm"):
        return (self.feature(t, "preload-dispvm") or "").split()

    def ready(self, n, t="dvm"):
        """Waits until n disposables of t are preloaded and gives their names."""
        def full():
            q = self.queue(t)
            return q if len(q) == n and all(self.feature(x, "preload-dispvm-completed") for x in q) else None
        return wait_for(full, f"{n} preloaded disposables of {t}: {self.inst.tail('core.out', 1500)}", 180) if n else wait_for(lambda: not self.queue(t), "an empty queue")
