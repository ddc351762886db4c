# SPDX-License-Identifier: GPL-3.0-or-later
"""A private world of qrexec programs over unix sockets, and raw peers that speak (or break) the protocol."""
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD = os.path.abspath(os.environ.get("BULKHEAD_BUILD") or "build")
DEADLINE = float(os.environ.get("BULKHEAD_DEADLINE") or 120)
try:
    with open(BUILD + "/bin/qrexec-daemon", "rb") as _f:
        SANITIZED = b"__asan_init" in _f.read()  # memory figures mean nothing then
except FileNotFoundError:
    SANITIZED = False
STDIN, STDOUT, STDERR, EXIT = 0x190, 0x191, 0x192, 0x193
EXEC, JUST_EXEC, CONNECT, REFUSED = 0x200, 0x201, 0x202, 0x203
TRIGGER, TERMINATED, TRIGGER3, TRIGGER4, HELLO = 0x210, 0x211, 0x212, 0x213, 0x300
POLICY = """#!/bin/sh
printf '%s|%s|%s|%s\\n' "$1" "$2" "$3" "$4" >> T/policy.log
case "$4" in
test.Deny*) exit 1;;
test.Hang*) exec cat;;
test.Garbage*) echo nonsense; exit 0;;
test.Half*) printf 'user=U\\nresult=allow\\n'; exit 0;;
esac
t=$3
case "$t" in @default|'') t=dom0;; esac
printf 'user=U\\nresult=allow\\ntarget=%s\\nautostart=True\\nrequested_target=%s\\n' "$t" "$3"
"""


def until(what, fn):
    """Waits for fn() to be true; the deadline is for broken programs only."""
    end = time.monotonic() + DEADLINE
    while True:
        r = fn()
        if r:
            return r
        if time.monotonic() > end:
            raise AssertionError("timeout: " + what)
        time.sleep(0.005)


class Peer:
    """One end of a stream of qrexec messages."""

    def __init__(self, sock):
        self.s = sock
        self.s.settimeout(DEADLINE)

    def send(self, kind, body=b""):
        self.s.sendall(struct.pack("<II", kind, len(body)) + body)

    def raw(self, data):
        self.s.sendall(data)

    def exactly(self, n):
        out = b""
        while len(out) < n:
            try:
                b = self.s.recv(n - len(out))
            except ConnectionResetError:
                b = b""
            if not b:
                raise EOFError("stream ended after %d of %d bytes" % (len(out), n))
            out += b
        return out

    def recv(self):
        kind, n = struct.unpack("<II", self.exactly(8))
        return kind, self.exactly(n)

    def expect(self, kind, body=None):
        got, b = self.recv()
        assert got == kind, "expected message 0x%x, got 0x%x %r" % (kind, got, b)
        assert body is None or b == body, "expected %r, got %r" % (body, b)
        return b

    def ended(self):
        """True when the other side closes without sending anything more."""
        try:
            return self.s.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.s.close()


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def attempt():
        try:
            s.connect(path)
            return True
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    until("connecting to " + path, attempt)
    return Peer(s)


class Listener:
    def __init__(self, path):
        if os.path.exists(path):
            os.unlink(path)
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.bind(path)
        self.s.listen(1)
        self.s.settimeout(DEADLINE)

    def accept(self):
        c, _ = self.s.accept()
        self.s.close()
        return Peer(c)


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="qx")
        self.procs, self.pids = [], []
        self.log = open(self.dir + "/log", "w+b")
        for d in ("rpc", "local-rpc", "rpc-config"):
            os.mkdir(self.dir + "/" + d)
        import pwd
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.policy(POLICY)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("QREXEC")}
        self.env.update(VCHAN_SOCKET_DIR=self.dir, QREXEC_SERVICE_PATH="%s/local-rpc:%s/rpc" % (self.dir, self.dir),
                        QUBES_RPC_CONFIG_PATH=self.dir + "/rpc-config", HOME=self.dir, QX_WORLD=self.dir)

    def path(self, *a):
        return os.path.join(self.dir, *a)

    def policy(self, text):
        self.script(self.path("qrexec-policy-exec"), text.replace("T/", self.dir + "/").replace("user=U", "user=" + self.user))

    def script(self, path, text):
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)

    def service(self, name, text, config=None, where="rpc"):
        self.script(self.path(where, name), text if text.startswith("#!") else "#!/bin/sh\n" + text)
        if config is not None:
            self.config(name, config)

    def config(self, name, text):
        with open(self.path("rpc-config", name), "wb") as f:
            f.write(text.encode() if isinstance(text, str) else text)

    def environ(self, domain, extra=None):
        e = dict(self.env, VCHAN_DOMAIN=str(domain))
        e.update(extra or {})
        return e

    def start(self, argv, domain, **kw):
        extra = kw.pop("env", None)
        kw.setdefault("stderr", self.log)
        p = subprocess.Popen(argv, env=self.environ(domain, extra), **kw)
        self.procs.append(p)
        return p

    def agent(self, d=42, env=None, args=("--no-fork-server",)):
        return self.start([BUILD + "/conformance/agent/qrexec-agent", "--agent-socket=" + self.path("agent%d.sock" % d)] + list(args), d, env=env)

    def daemon(self, d=42, wait=True, args=()):
        p = self.start([BUILD + "/conformance/daemon/qrexec-daemon", "--uuid=uuid-%d" % d, "--socket-dir=" + self.dir,
                        "--policy-program=" + self.path("qrexec-policy-exec"), "--direct", str(d), "vm%d" % d] + list(args), 0)
        if wait:
            until("daemon of vm%d" % d, lambda: os.path.exists(self.path("qrexec.uuid:uuid-%d" % d)))
        return p

    def qube(self, d=42, env=None):
        return self.agent(d, env), self.daemon(d)

    def client(self, command, d="vm42", args=(), **kw):
        return self.start([BUILD + "/conformance/daemon/qrexec-client", "--socket-dir=" + self.dir, "-d", d] + list(args) + [command], 0, **kw)

    def client_vm(self, target, service, *argv, d=42, args=(), **kw):
        extra = {"QREXEC_NO_ROOT": "1"}
        extra.update(kw.pop("env", {}))
        return self.start([BUILD + "/conformance/agent/qrexec-client-vm", "--agent-socket=" + self.path("agent%d.sock" % d)] + list(args) +
                          [target, service] + list(argv), d, env=extra, **kw)

    def run(self, p, data=None):
        out, err = p.communicate(data, timeout=DEADLINE)
        return p.returncode, out, err

    def dom0_call(self, command, data=b"", args=(), **kw):
        return self.run(self.client(command, args=args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw), data)

    def dom0_rpc(self, service, data=b"", args=(), **kw):
        return self.dom0_call("%s:QUBESRPC %s dom0" % (self.user, service), data, args, **kw)

    def vm_call(self, target, service, data=b"", args=(), **kw):
        return self.run(self.client_vm(target, service, args=args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw), data)

    def text_log(self):
        self.log.flush()
        with open(self.path("log"), "rb") as f:
            return f.read()

    # raw peers
    def fake_agent(self, d=42, version=4, args=()):
        """Plays the agent for a real daemon: listens, sends HELLO, gives the connection."""
        lis = Listener(self.path("vchan.%d.0.512.sock" % d))
        self.daemon(d, wait=False, args=args)
        p = lis.accept()
        p.send(HELLO, struct.pack("<I", version))
        return p

    def again_agent(self, d=42, version=4):
        p = Listener(self.path("vchan.%d.0.512.sock" % d)).accept()
        p.send(HELLO, struct.pack("<I", version))
        return p

    def fake_daemon(self, d=42):
        """Plays the daemon for a real agent."""
        p = connect(self.path("vchan.%d.0.512.sock" % d))
        p.expect(HELLO, struct.pack("<I", 4))
        p.send(HELLO, struct.pack("<I", 4))
        return p

    def order(self, daemon, command, port=513, kind=EXEC, d=42, version=4):
        """Sends an order to a real agent and gives the caller's end of the data channel."""
        lis = Listener(self.path("vchan.0.%d.%d.sock" % (d, port)))
        daemon.send(kind, struct.pack("<II", 0, port) + command.encode() + b"\0")
        p = lis.accept()
        p.send(HELLO, struct.pack("<I", version))
        p.expect(HELLO, struct.pack("<I", 4))
        return p

    def dom0_client(self, d=42):
        p = connect(self.path("qrexec.vm%d" % d))
        p.expect(HELLO, struct.pack("<I", 3))
        p.send(HELLO, struct.pack("<I", 3))
        return p

    def members(self):
        """Processes of this world that are alive: [(pid, command)]."""
        out = []
        mark = ("QX_WORLD=" + self.dir).encode()
        for pid in os.listdir("/proc"):
            if not pid.isdigit() or int(pid) == os.getpid():
                continue
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    if mark not in f.read().split(b"\0"):
                        continue
                with open("/proc/%s/stat" % pid) as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                        continue
                with open("/proc/%s/cmdline" % pid, "rb") as f:
                    out.append((int(pid), f.read().replace(b"\0", b" ").decode(errors="replace")))
            except OSError:
                pass
        return out

    def close(self):
        """Ends the programs by their number; everything else must end by itself."""
        for pid, _ in self.members():
            if pid in self.pids:
                os.kill(pid, signal.SIGTERM)
        for p in self.procs:
            if p.poll() is None:
                p.terminate()
        for p in self.procs:
            try:
                p.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            for f in (p.stdin, p.stdout, p.stderr):
                if f:
                    f.close()
        try:
            until("processes left over", lambda: not self.members())
        except AssertionError:
            left = self.members()
            for pid, _ in left:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError("left over: %s" % left)
        finally:
            log = self.text_log()
            self.log.close()
            shutil.rmtree(self.dir, ignore_errors=True)
        bad = [b for b in log if b != 10 and not 0x20 <= b <= 0x7e]
        assert not bad, "control bytes in the log"
        for word in (b"AddressSanitizer", b"runtime error", b"LeakSanitizer"):
            assert word not in log, log.decode(errors="replace")


# --- the product's wiring: this script plays linkd, the core and policyd --------------------------------------------------------------

QD_HELLO, QD_POLICY_CHAN, QD_EXEC, QD_CONNECT, QD_REFUSE, QD_EVENT = range(0x301, 0x307)
PQ_ASK, PQ_DENY = 0x401, 0x402
LC_LISTEN, LC_CONNECT, LC_OPEN, LC_GRANT = range(0x601, 0x605)
REPLY, ERROR = 1, 2


def lstr(s):
    return struct.pack("<H", len(s)) + s


def take_lstr(b):
    n, = struct.unpack_from("<H", b)
    return b[2:2 + n], b[2 + n:]


class Msgs:
    """One end of a channel of typed messages."""

    def __init__(self, sock):
        self.s = sock
        self.s.settimeout(DEADLINE)

    def send(self, kind, body=b"", serial=0, flags=0, fds=()):
        socket.send_fds(self.s, [struct.pack("<IIII", kind, serial, len(body), flags) + body], list(fds))

    def recv(self):
        """(type, body, serial, flags); None at the end."""
        try:
            b, fds, _, _ = socket.recv_fds(self.s, 70000, 4)
        except ConnectionResetError:
            return None
        for fd in fds:
            os.close(fd)
        if not b:
            return None
        kind, serial, n, flags = struct.unpack_from("<IIII", b)
        assert n == len(b) - 16
        return kind, b[16:], serial, flags

    def expect(self, kind):
        m = self.recv()
        assert m and m[0] == kind, "expected message 0x%x, got %r" % (kind, m)
        return m[1], m[2]

    def close(self):
        self.s.close()


class LinkDaemon:
    def __init__(self, w, qid=42):
        self.w = w
        lc, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lc = Msgs(lc)
        socks = []
        for name, kind in (("qrexec.vm%d" % qid, socket.SOCK_STREAM), ("ctl", socket.SOCK_SEQPACKET)):
            s = socket.socket(socket.AF_UNIX, kind)
            s.bind(w.path(name))
            s.listen(16)
            socks.append(s)
        fds = [socks[0].fileno(), socks[1].fileno(), theirs.fileno()]

        def place():
            # above all, then down, so that none is overwritten
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 50) for fd in fds]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)
        self.proc = w.start([BUILD + "/bin/qrexec-daemon", "--link", "--qid", str(qid), "--name", "vm%d" % qid, "--uuid", "u", "--default-user", "joe"], 0,
                            preexec_fn=place, close_fds=False)
        for s in socks + [theirs]:
            s.close()

    def agent(self, version=4):
        body, serial = self.lc.expect(LC_CONNECT)
        assert body == struct.pack("<II", 0, 512), body
        ours, theirs = socket.socketpair()
        self.lc.send(LC_OPEN, struct.pack("<II", 0, 512), serial, REPLY, [theirs.fileno()])
        theirs.close()
        p = Peer(ours)
        p.send(HELLO, struct.pack("<I", version))
        p.expect(HELLO, struct.pack("<I", version))
        return p

    def core(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(self.w.path("ctl"))
        return Msgs(s)


# --- qubesd --------------------------------------------------------------------------------------------------------------------------------

class FakeQubesd(threading.Thread):
    """Answers Admin API calls: {"METHOD+ARG": reply bytes}; an answer that can be called is given the request and makes the reply."""

    def __init__(self, w, answers):
        super().__init__(daemon=True)
        os.makedirs(w.path("run"), exist_ok=True)
        w.env["QUBES_ROOT"] = w.dir
        self.answers, self.requests = answers, []
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.bind(w.path("run", "qubesd.sock"))
        self.s.listen(16)
        self.start()

    def run(self):
        while True:
            c, _ = self.s.accept()
            with c:
                got = read_all(c)
                header, _, payload = got.partition(b"\0")
                self.requests.append((header.decode(), payload))
                reply = self.answers.get(header.decode().split(" ")[0], b"2\0QubesNoSuchMethod\0\0no\0")
                c.sendall(reply(self.requests[-1]) if callable(reply) else reply)


# --- tests -------------------------------------------------------------------------------------------------------------------------------

TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


def eq(got, want):
    assert got == want, "got %r, want %r" % (got, want)


def trigger4(target, service, ident=b"SOCKET1", source=b""):
    return source.ljust(64, b"\0") + target.ljust(64, b"\0") + ident.ljust(32, b"\0") + service + b"\0"


class SocketService(threading.Thread):
    def __init__(self, family, address, fn):
        super().__init__(daemon=True)
        self.s = socket.socket(family, socket.SOCK_STREAM)
        self.s.bind(address)
        self.s.listen(4)
        self.fn = fn
        self.start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            with c:
                self.fn(c)


def read_all(c):
    out = b""
    while (b := c.recv(65536)):
        out += b
    return out


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except FileNotFoundError:
        return []


def call_process(w, agent):
    """The agent's process of a running call: unlike the one that waits for the next call, it has a child."""
    return [k for k in children(agent.pid) if children(k)]


def run_tests():
    """Runs the tests of the script whose names hold one of its words; gives the exit status."""
    if not os.path.exists(BUILD + "/conformance/agent/qrexec-agent"):
        print("no build in " + BUILD)
        return 1
    words = sys.argv[1:]
    passed = failed = 0
    for fn in TESTS:
        if words and not any(x in fn.__name__ for x in words):
            continue
        w = World()
        log = b""
        try:
            try:
                fn(w)
            finally:
                log = w.text_log()
                w.close()
            passed += 1
            print("ok   " + fn.__name__, flush=True)
        except Exception:
            failed += 1
            print("FAIL %s\n%s%s" % (fn.__name__, traceback.format_exc(), log.decode(errors="replace")[-3000:]), flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0
