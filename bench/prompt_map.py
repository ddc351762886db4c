# SPDX-License-Identifier: GPL-3.0-or-later
"""prompt-map: from policyd's question on the socket to the mapped window of the resident prompt, seen by the X server (Xvfb)."""
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import bh

QUESTION = dict(source="work", service="qubes.Filecopy", argument="+", targets=[f"qube{i}" for i in range(40)], default_target="", icons={}, labels={"work": "0x3465a4"},
                requested_target="@default", user="", rule="", autostart=True, notify=False)
SUBSTRUCTURE, UNMAP_NOTIFY, MAP_NOTIFY = 1 << 19, 18, 19


def ask(sock):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sock)
    s.sendall(b"policy.Ask dom0 name dom0\0" + json.dumps(QUESTION).encode())
    s.shutdown(socket.SHUT_WR)
    return s


def wait_event(x, display, kind):
    event = ctypes.create_string_buffer(256)
    while True:
        x.XNextEvent(display, event)
        if int.from_bytes(event.raw[:4], sys.byteorder) == kind:
            return


def rounds(x, display, sock, n):
    out = []
    for _ in range(n):
        t = time.monotonic()
        s = ask(sock)
        wait_event(x, display, MAP_NOTIFY)
        out.append((time.monotonic() - t) * 1000)
        s.close()
        wait_event(x, display, UNMAP_NOTIFY)
    return out


def prompt_figures(build, figure, n=30):
    agent = os.path.join(build, "bin", "qrexec-policy-agent")
    if not os.access(agent, os.X_OK) or not shutil.which("Xvfb"):
        print("# prompt-map is left out: no qrexec-policy-agent or no Xvfb", flush=True)
        return
    root = tempfile.mkdtemp(prefix="pm")
    for d in ("etc/policy.d", "run/policy.d"):
        os.makedirs(os.path.join(root, d))
    r, w = os.pipe()
    xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(w), "-screen", "0", "1280x800x24", "-nolisten", "tcp"], pass_fds=[w], stderr=subprocess.DEVNULL)
    os.close(w)
    name = ":" + os.fdopen(r).readline().strip()
    sock = os.path.join(root, "run", "policy-agent", "agent.sock")
    log = open(os.path.join(root, "log"), "w+b")
    p = subprocess.Popen([agent], env=dict(os.environ, DISPLAY=name, QUBES_ROOT=root), stderr=log)
    try:
        bh.wait_for(lambda: b"ready" in open(log.name, "rb").read(), "the prompt")
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XDefaultRootWindow.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x.XOpenDisplay(name.encode()))
        x.XSelectInput(display, ctypes.c_ulong(x.XDefaultRootWindow(display)), ctypes.c_long(SUBSTRUCTURE))
        x.XSync(display, 0)
        first, rest = rounds(x, display, sock, 1), rounds(x, display, sock, n)
        figure("prompt-map-first", first, "ms", "the first question after the start")
        figure("prompt-map", rest, "ms", "question on the socket to mapped window, 40 choices")
        figure("rss-prompt", [bh.memory_kib(p.pid)["Rss"] / 1024], "MiB")
        figure("private-prompt", [bh.memory_kib(p.pid)["Private_Dirty"] / 1024], "MiB")
    finally:
        for q in (p, xvfb):
            q.terminate()
            q.wait()
        shutil.rmtree(root, ignore_errors=True)
