# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Bulkhead instance for tests, the tour and benchmarks (Python standard library only).

Owns: finding the build tree, starting and stopping qubesd below a short directory, running tools with time limits, finding
processes of the instance. It never sleeps for a fixed time to wait for an event: waiting is polling a condition with a deadline.
"""
import atexit
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def own_tmp():
    """All temporary files of a test lie in one directory that goes with it, whatever becomes of the test; tools/run-checks gives it one. Its name is short: a
    socket's path has at most 107 bytes, and many lie below."""
    path, owner = os.environ.get("BULKHEAD_SUITE_TMP"), os.getpid()
    # A test that begins anew in another namespace (exec) is still the one that made it.
    if path and os.environ.get("BULKHEAD_SUITE_OWNER") != str(owner):
        return
    if not path:
        path = tempfile.mkdtemp(prefix="bh-", dir="/tmp")
        os.chmod(path, 0o1777)
        os.environ["BULKHEAD_SUITE_TMP"], os.environ["BULKHEAD_SUITE_OWNER"] = path, str(owner)
    os.environ["TMPDIR"] = tempfile.tempdir = path
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(path, ignore_errors=True))


own_tmp()
# Whoever starts a test: what is ignored or masked stays so in each program that it starts.
os.umask(0o022)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Failure(AssertionError):
    pass


class Skip(Exception):
    pass


def check(cond, text):
    if not cond:
        raise Failure(text)


def equal(got, want, what):
    if got != want:
        raise Failure(f"{what}: got {got!r}, want {want!r}")


class Result:
    def __init__(self, args, rc, out, err, seconds):
        self.args, self.rc, self.out, self.err, self.seconds = args, rc, out, err, seconds

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def errtext(self):
        return self.err.decode("utf-8", "replace")

    def __repr__(self):
        return f"<{self.args} rc={self.rc} out={self.out[-300:]!r} err={self.err[-600:]!r}>"


class Instance:
    """One qubesd with its own root directory."""

    def __init__(self, build=None, root=None, keep=False):
        self.build = os.path.abspath(build or os.environ.get("BULKHEAD_BUILD") or os.path.join(TOP, "build"))
        self.bin = os.path.join(self.build, "bin")
        self.keep = keep or bool(os.environ.get("BULKHEAD_KEEP"))
        self.own_root = root is None
        # Short: unix socket paths have at most 107 bytes. Not on tmpfs when images are large.
        base = os.environ.get("BULKHEAD_TEST_DIR") or "/var/tmp"
        self.root = root or tempfile.mkdtemp(prefix="bh-", dir=base)
        self.env = dict(os.environ, QUBES_ROOT=self.root, PATH=self.bin + ":" + os.environ.get("PATH", "/usr/bin:/bin"))
        self.daemon = None

    # --- processes -------------------------------------------------------------------------------------------------
    def start(self, *extra, timeout=120):
        r, w = os.pipe()
        os.makedirs(self.root, exist_ok=True)
        self.log = open(os.path.join(self.root, "qubesd.out"), "ab")
        self.daemon = subprocess.Popen(
            [os.path.join(self.bin, "qubesd"), "--root", self.root, "--foreground", "--ready-fd", str(w), *extra],
            pass_fds=(w,), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.env)
        os.close(w)
        import select
        ready, _, _ = select.select([r], [], [], timeout)
        byte = os.read(r, 1) if ready else b""
        os.close(r)
        if not byte:
            raise Failure("qubesd did not become ready: " + self.tail("qubesd.out"))
        return self

    def stop(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(120)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        self.daemon = None

    def close(self):
        """Ends everything of this instance, whatever state it is in."""
        try:
            if self.daemon and self.daemon.poll() is None:
                names = [n for n, s in self.states().items() if s not in ("Halted",) and n != "dom0"]
                if names:
                    self.run("qvm-kill", *names, timeout=120)
        except Exception as e:  # cleaning goes on; what is left is killed below
            print("# close:", e, file=sys.stderr)
        self.stop()
        for pid, _ in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.own_root and not self.keep:
            shutil.rmtree(self.root, ignore_errors=True)

    def processes(self):
        """(pid, argv) of every process that belongs to this instance, found by its root or by a parent that does."""
        procs, children = {}, {}
        for d in os.listdir("/proc"):
            if not d.isdigit():
                continue
            try:
                with open(f"/proc/{d}/cmdline", "rb") as f:
                    argv = f.read().split(b"\0")[:-1]
                with open(f"/proc/{d}/stat") as f:
                    rest = f.read().rsplit(")", 1)[1].split()
                with open(f"/proc/{d}/environ", "rb") as f:
                    env = f.read()
                exe = os.readlink(f"/proc/{d}/exe")
            except (OSError, IndexError):
                continue
            if rest[0] in "ZX":
                continue
            procs[int(d)] = (argv, env, exe)
            children.setdefault(int(rest[1]), []).append(int(d))
        marker = self.root.encode()
        found = set()

        def take(pid):
            if pid not in found and pid != os.getpid():
                found.add(pid)
                for c in children.get(pid, []):
                    take(c)
        # Roles outlive the spawner that was their parent; it left their pids beside their sockets.
        for path in glob.glob(os.path.join(self.root, "run", "q", "*", "pids")):
            for pid in re.findall(r"^\S+ (\d+) ", open(path).read(), re.M):
                if int(pid) in procs:
                    take(int(pid))
        for pid, (argv, env, exe) in procs.items():
            ours = exe.startswith(self.build) or "qemu-system" in exe
            if ours and (any(marker in a for a in argv[1:]) or (b"QUBES_ROOT=" + marker) in env):
                take(pid)
        return sorted((p, procs[p][0]) for p in found if p in procs)

    def role_pids(self, role, qube=None):
        out = []
        for pid, argv in self.processes():
            if not argv:
                continue
            base = os.path.basename(argv[0].decode("utf-8", "replace"))
            if base == role and (qube is None or qube.encode() in argv or any(a.endswith(b"=" + qube.encode()) or (b"guest=" + qube.encode()) in a or a == qube.encode() for a in argv)):
                out.append(pid)
        return out

    # --- tools -------------------------------------------------------------------------------------------------------
    def run(self, tool, *args, stdin=b"", timeout=300, env=None, cwd=None, ok=False):
        t = time.monotonic()
        e = dict(self.env, **(env or {}))
        p = subprocess.Popen([os.path.join(self.bin, tool), *args],
                             stdin=stdin if not isinstance(stdin, bytes) else subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=e, cwd=cwd)
        try:
            out, err = p.communicate(stdin if isinstance(stdin, bytes) else None, timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            out, err = p.communicate()
            raise Failure(f"{tool} {' '.join(args)} took more than {timeout} s; stdout {out[-300:]!r} stderr {err[-600:]!r}")
        r = Result([tool, *args], p.returncode, out, err, time.monotonic() - t)
        if ok and r.rc != 0:
            raise Failure(f"{r} should have succeeded")
        return r

    def good(self, tool, *args, **kw):
        return self.run(tool, *args, ok=True, **kw)

    def sh(self, qube, script, user=None, stdin=b"", timeout=300, ok=True):
        """Runs a shell script in a qube and gives its result."""
        args = ["-p"] + (["-u", user] if user else []) + ["--", qube, script]
        r = self.run("qvm-run", *args, stdin=stdin, timeout=timeout)
        if ok and r.rc != 0:
            raise Failure(f"{r} should have succeeded")
        return r

    def states(self):
        r = self.good("qvm-ls", "--raw-data", "-O", "NAME,STATE")
        return dict(line.split("|")[:2] for line in r.text.splitlines() if "|" in line)

    def state(self, qube):
        return self.states().get(qube)

    def state_or_none(self, qube):
        """For waiting: None while the daemon does not answer."""
        try:
            return self.state(qube)
        except Failure:
            return None

    def prop(self, qube, name):
        return self.good("qvm-prefs", qube, name).text.strip()

    def tail(self, name, n=3000):
        try:
            with open(os.path.join(self.root, name), "rb") as f:
                return f.read()[-n:].decode("utf-8", "replace")
        except OSError as e:
            return str(e)

    def write_policy(self, name, text):
        d = os.path.join(self.root, "etc", "policy.d")
        tmp = os.path.join(d, "." + name)
        with open(tmp, "w") as f:
            f.write(text)
        os.rename(tmp, os.path.join(d, name))

    def policy_log(self):
        try:
            with open(os.path.join(self.root, "log", "policy.log")) as f:
                return [json.loads(line) for line in f]
        except FileNotFoundError:
            return []


def wait_for(cond, what, timeout=120, step=0.05):
    """Polls cond until it is true; the value is returned. A deadline is a failure, not a pass."""
    end = time.monotonic() + timeout
    while True:
        v = cond()
        if v:
            return v
        if time.monotonic() > end:
            raise Failure(f"waited {timeout} s for {what}")
        time.sleep(step)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        rest = f.read().rsplit(")", 1)[1].split()
    return (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid):
    out = {}
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            m = re.match(r"(\w+):\s+(\d+) kB", line)
            if m:
                out[m.group(1)] = int(m.group(2))
    return out


class Suite:
    """Runs functions in order, prints one line each, and the summary that tools/summary reads."""

    def __init__(self, name):
        self.name, self.tests = name, []

    def test(self, f):
        self.tests.append(f)
        return f

    def main(self, *fixtures, only=None):
        passed = failed = skipped = 0
        for f in self.tests:
            label = f"{self.name}.{f.__name__}"
            if only and not any(o in label for o in only):
                continue
            t = time.monotonic()
            try:
                f(*fixtures)
            except Skip as e:
                skipped += 1
                print(f"SKIP {label}: {e}", flush=True)
            except Exception as e:
                failed += 1
                text = str(e) if isinstance(e, Failure) else f"{type(e).__name__}: {e}"
                if not isinstance(e, Failure):
                    import traceback
                    traceback.print_exc()
                print(f"FAIL {label} ({time.monotonic() - t:.1f} s): {text}", flush=True)
            else:
                passed += 1
                print(f"ok   {label} ({time.monotonic() - t:.1f} s)", flush=True)
        return passed, failed, skipped
