# SPDX-License-Identifier: GPL-3.0-or-later
"""policyd with a prompt for tests: the world of tests/host/run_policyd, whose qubes have dom0 as their GUI domain, and agents."""
import importlib.machinery
import importlib.util
import json
import os
import select
import socket
import struct
import subprocess
import threading

from bh import check, equal, wait_for

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
loader = importlib.machinery.SourceFileLoader("run_policyd", os.path.join(TOP, "tests", "host", "run_policyd"))
pd = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_policyd", loader))
loader.exec_module(pd)
DEADLINE = pd.DEADLINE
COLOURS = {"dom0": "0x000000", "work": "0x3465a4", "vault": "0x000000", "dvm": "0xcc0000", "far": "0x555555"}


def info(name, uuid, klass, dispvm="", dvm=0, tags="", state="Running", relay="", rpc=""):
    guivm = {"dom0": "", "vault": "", "dvm": "sys-gui"}.get(name, "dom0")
    texts = [name, uuid, klass, dispvm, guivm, relay, rpc, state, COLOURS.get(name, "0x73d216"), "appvm-x"]
    return b"".join(map(pd.lstr, texts)) + bytes([dvm, 0]) + pd.lstr(tags)


pd.info = info


class World(pd.World):
    """A policyd that talks to whoever serves the prompt's socket."""

    @property
    def sock(self):
        return os.path.join(self.root, "run", "policy-agent", "agent.sock")

    def ask(self, daemon, target, service, request=7, requested=""):
        """Only asks; see answer."""
        daemon.send(pd.ASK, struct.pack("<I", request) + pd.lstr(requested) + pd.lstr(target) + pd.lstr(service))

    def answer(self, daemon, request=7):
        """Waits for the ticket (a dict) or the refusal (None) of one request."""
        while True:
            ready, _, _ = select.select([self.core.s, daemon.s], [], [], DEADLINE)
            check(ready, f"an answer to request {request}")
            for s in ready:
                t, b = (self.core if s is self.core.s else daemon).recv()
                check(t is not None, "channel closed")
                if t == pd.NOTIFY:
                    continue
                equal(struct.unpack("<I", b[:4])[0], request, "request number")
                return pd.ticket(b) if t == pd.TICKET else None

    def no_answer_yet(self, daemon):
        return not any(s is daemon.s or self.core.recv()[0] != pd.NOTIFY for s in select.select([self.core.s, daemon.s], [], [], 0)[0])


class Call:
    """One connection that policyd made to the agent."""

    def __init__(self, s):
        self.s = s
        b = b""
        while True:
            x = s.recv(65536)
            if not x:
                break
            b += x
        head, _, body = b.partition(b"\0")
        self.head, self.json = head.decode(), json.loads(body)

    def reply(self, data):
        self.s.sendall(data)
        self.s.close()

    def closed(self):
        """True once policyd has closed the connection for good."""
        p = select.poll()
        p.register(self.s, 0)
        return any(ev & select.POLLHUP for _, ev in p.poll(0))


class FakeAgent:
    """Serves the prompt's socket; questions and notices are kept for the test, which answers by itself."""

    def __init__(self, path):
        self.questions, self.notices = [], []
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.l = socket.socket(socket.AF_UNIX)
        # As a real agent does it: bound aside, then renamed, so that nobody meets a socket that does not listen.
        self.l.bind(path + "~")
        self.l.listen(100)
        os.rename(path + "~", path)
        self.t = threading.Thread(target=self.run, daemon=True)
        self.t.start()

    def run(self):
        while True:
            try:
                s, _ = self.l.accept()
            except OSError:
                return
            c = Call(s)
            if c.head.startswith("policy.Ask"):
                self.questions.append(c)
            else:
                self.notices.append(c.json)
                s.close()

    def question(self, n=0):
        return wait_for(lambda: self.questions[n] if len(self.questions) > n else None, f"question {n}", DEADLINE)

    def notice(self, **want):
        return wait_for(lambda: next((x for x in list(self.notices) if all(x.get(k) == v for k, v in want.items())), None), f"a notice {want}", DEADLINE)

    def close(self):
        self.l.shutdown(socket.SHUT_RDWR)
        self.l.close()


def program(build, *args, env=None, **kw):
    return subprocess.Popen([os.path.join(build, "bin", args[0]), *args[1:]], env=dict(os.environ, **(env or {})), **kw)
