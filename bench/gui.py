# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of windows: a real qube's X server and agent, linkd, guid and an X server without a screen (Xvfb) on the host. What draws in the qube is
bench-paint; what is measured is seen on the host's X server, by its DAMAGE extension or in its pixels."""
import ctypes
import json
import os
import select
import struct
import subprocess
import time

import bh
from xplay import MISSING, Screen

TEMPLATE, DVM, APP = "debian-12-x11", "gui-dvm", "gui-app"
MANY = 5
PROGRAM = "debian-xterm"  # the desktop file of Debian's xterm
BAR = "/usr/lib/qubes/qubes-wait-path /run/user/1000/bulkhead-session"
WHITE = 0xffffff


class Host:
    """Xvfb, bulkhead-desktop, and an X client that watches."""

    def __init__(self, inst):
        self.inst, self.screen = inst, Screen(size="1920x1200")
        self.x, self.d = self.screen.x.x, self.screen.x.d
        self.tst, self.dmg = ctypes.CDLL("libXtst.so.6"), ctypes.CDLL("libXdamage.so.1")
        self.dmg.XDamageCreate.restype = ctypes.c_ulong
        self.x.XGetImage.restype = ctypes.c_void_p
        self.x.XGetPixel.restype = ctypes.c_ulong
        base, err = ctypes.c_int(), ctypes.c_int()
        bh.check(self.dmg.XDamageQueryExtension(self.d, ctypes.byref(base), ctypes.byref(err)), "DAMAGE")
        self.damage_event = base.value
        self.log = open(os.path.join(inst.root, "log", "desktop.log"), "wb")
        self.p = subprocess.Popen([os.path.join(inst.bin, "bulkhead-desktop"), "--all", "--watch"], env=dict(inst.env, DISPLAY=self.screen.name), stdout=self.log, stderr=self.log)

    def close(self):
        self.p.terminate()
        self.p.wait(60)
        self.screen.close()
        self.log.close()

    def shown(self, prefix):
        """(outer, inner) of the windows whose title begins so and whose pixels may be there."""
        d, out = self.screen.x, []
        for w in d.children(d.root):
            t = d.prop(w, "_NET_WM_NAME")
            if t and t.decode("utf-8", "replace").startswith(prefix) and d.visible(w):
                kids = [k for k in d.children(w) if d.visible(k)]
                if kids:
                    out.append((w, max(kids, key=lambda k: d.attributes(k).width * d.attributes(k).height)))
        return out

    def windows(self, prefix, n=1, timeout=300):
        return bh.wait_for(lambda: (lambda v: v if len(v) >= n else None)(self.shown(prefix)), f"{n} windows '{prefix}'", timeout, 0.1)

    def pixel(self, win):
        a = self.screen.x.attributes(win)
        if not a or a.map_state != 2:
            return None
        image = self.x.XGetImage(self.d, ctypes.c_ulong(win), a.width // 2, a.height * 3 // 4, 1, 1, ctypes.c_ulong(0xffffffff), 2)
        if not image:
            return None
        v = self.x.XGetPixel(ctypes.c_void_p(image), 0, 0)
        self.x.XDestroyImage(ctypes.c_void_p(image)) if hasattr(self.x, "XDestroyImage") else None
        return v & 0xffffff

    def first(self, prefix, begun, timeout=600):
        """ms from begun until a window of that title shows the white of a terminal."""
        while True:
            for _, inner in self.shown(prefix):
                if self.pixel(inner) == WHITE:
                    return (time.monotonic() - begun) * 1000
            bh.check(time.monotonic() - begun < timeout, f"no window '{prefix}'")
            time.sleep(0.002)

    def watch(self, win):
        return self.dmg.XDamageCreate(self.d, ctypes.c_ulong(win), 0)

    def unwatch(self, damage):
        self.dmg.XDamageDestroy(self.d, ctypes.c_ulong(damage))
        self.screen.x.sync()
        self.events(0)

    def events(self, timeout):
        """(window, width, height, time) of the damage that comes within timeout; returns after the first ones."""
        out = []
        self.x.XFlush(self.d)
        if not self.x.XPending(self.d):
            select.select([self.x.XConnectionNumber(self.d)], [], [], timeout)
        while self.x.XPending(self.d):
            raw = (ctypes.c_char * 192)()
            self.x.XNextEvent(self.d, raw)
            if struct.unpack_from("i", raw.raw, 0)[0] == self.damage_event:
                w, h = struct.unpack_from("HH", raw.raw, 68)
                out.append((struct.unpack_from("L", raw.raw, 32)[0], w, h, time.monotonic()))
        return out

    def count(self, seconds, like=lambda w, h: True):
        """Times of the damage of each window."""
        out, end = {}, time.monotonic() + seconds
        self.events(0)
        while (left := end - time.monotonic()) > 0:
            for win, w, h, t in self.events(left):
                if like(w, h):
                    out.setdefault(win, []).append(t)
        return out

    def key(self, code, down):
        self.tst.XTestFakeKeyEvent(self.d, code, int(down), ctypes.c_ulong(0))
        self.x.XFlush(self.d)

    def guid(self, qube):
        for pid, argv in self.inst.processes():
            if argv and os.path.basename(argv[0]) == b"guid" and qube.encode() in argv:
                return pid
        return None


def process(inst, name, qube):
    """The pid of a role of a qube, of the file that names them."""
    path = os.path.join(inst.root, "run", "q", inst.prop(qube, "qid"), "pids")
    with open(path) as f:
        return next(int(line.split()[1]) for line in f if line.split()[0] == name)


def paint(inst, build, qube, args):
    """Starts bench-paint in a qube."""
    inst.sh(qube, f"{BAR}; test -x /tmp/paint || {{ cat > /tmp/paint.new; chmod 755 /tmp/paint.new; mv /tmp/paint.new /tmp/paint; }}; "
                  f"setsid /tmp/paint {args} </dev/null >/dev/null 2>&1 & true", stdin=open(os.path.join(build, "bench", "bench-paint"), "rb").read(), timeout=600)


def end_paint(inst, qube):
    inst.sh(qube, "pkill -x paint; while pgrep -x paint >/dev/null; do sleep 0.05; done; true", timeout=300)


def key_times(h, inner, n):
    """ms from a key press to the first change of pixels; keys are let go of, and their changes over, before the next."""
    out = []
    for _ in range(n):
        while h.events(0.2):
            pass
        t = time.monotonic()
        h.key(38, True)  # a
        got = []
        while not got and time.monotonic() - t < 10:
            got = h.events(1)
        h.key(38, False)
        bh.check(got, "no pixels within ten seconds of a key")
        out.append((got[0][3] - t) * 1000)
    return out


def typing(h, inst, build, figure, n):
    paint(inst, build, APP, "-s 400x300 key")
    outer, inner = h.windows(f"[{APP}] paint")[0]
    h.screen.x.focus(outer)
    watch = h.watch(inner)
    key_times(h, inner, 3)
    figure("gui-key-plain", key_times(h, inner, n), "ms", "key press → pixels on the host's X server; a program that only fills its window")
    h.unwatch(watch)
    end_paint(inst, APP)
    inst.sh(APP, "setsid xterm -T typing -e cat </dev/null >/dev/null 2>&1 & true")
    outer, inner = h.windows(f"[{APP}] typing")[0]
    h.screen.x.focus(outer)
    watch = h.watch(inner)
    key_times(h, inner, 3)
    figure("gui-key", key_times(h, inner, n), "ms", "the same with a terminal that echoes; bar: 40")
    h.unwatch(watch)
    inst.sh(APP, "pkill -x xterm; true")


def drawing(h, inst, build, figure, seconds):
    paint(inst, build, APP, "full 16")
    _, inner = h.windows(f"[{APP}] paint")[0]
    watch = h.watch(inner)
    got = h.count(seconds, lambda w, g: w * g >= 1280 * 800)
    figure("gui-full", [len(v) / seconds for v in got.values()] or [0], "updates/s", f"1280x800 as a whole, one client that draws 60 times a second, {seconds} s; bar: 25")
    h.unwatch(watch)
    end_paint(inst, APP)
    paint(inst, build, APP, "-s 400x300 rect 40")
    _, inner = h.windows(f"[{APP}] paint")[0]
    watch = h.watch(inner)
    pids = {"guid": h.guid(APP), "linkd": process(inst, "linkd", APP), "X server": h.screen.p.pid}
    cpu = {k: bh.cpu_seconds(p) for k, p in pids.items()}
    n = sum(len(v) for v in h.count(max(20, seconds)).values())
    cpu = {k: (bh.cpu_seconds(p) - cpu[k]) * 1000 / max(n, 1) for k, p in pids.items()}
    figure("gui-damage-cpu", [sum(cpu.values())], "ms", f"CPU of the host for a damage of 100x20 ({n} of them): " + ", ".join(f"{k} {v:.2f}" for k, v in cpu.items()) + "; bar: 5")
    h.unwatch(watch)
    end_paint(inst, APP)
    m = bh.memory_kib(h.guid(APP))
    figure("gui-guid-rss", [m["Rss"] / 1024], "MiB", f"guid, of that {m['Pss'] / 1024:.1f} MiB its share; it maps nothing of the memory for pixels; bar: 6")


def ask(inst, *args):
    """A request as the menu makes it; gives when it was begun, and its process."""
    t = time.monotonic()
    return t, subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-q", "--service", *args, "qubes.StartApp+" + PROGRAM], env=inst.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def disposable(h, inst):
    t, p = ask(inst, f"--dispvm={DVM}")
    try:
        ms = h.first("[disp", t)
    finally:
        p.terminate()  # and with it the disposable
        p.wait(120)
    bh.wait_for(lambda: not h.shown("[disp"), "the end of the disposable's windows", 120)
    return ms


def waiting(inst, n, opened=False):
    """Until n disposables wait, and the guid of each has its memory for pixels as far as a log can say it."""
    def full():
        for p in json.loads(inst.good("qvm-state", "--json", "pool").text):
            if p["template"] == DVM:
                v = p["preloaded"]
                return len(v) == n and all(q["completed"] and bool(q["open"]) == opened for q in v)
        return n == 0
    bh.wait_for(full, f"{n} preloaded disposables", 3600, 0.5)


def starts(h, inst, figure, n):
    def rows(name, k, note, before=lambda: None):
        got = []
        for _ in range(k):
            before()
            got.append(disposable(h, inst))
        figure(name, got, "ms", "request → terminal's pixels on the host's X server; " + note)
    inst.good("qvm-state", "build", DVM, timeout=3600)
    rows("gui-first-saved", n, "a disposable from a saved state with nothing running; bar: 1500")
    inst.good("qvm-state", "preload", DVM, "1")
    rows("gui-first-warm", n, "a preloaded disposable; bar: 1000", lambda: waiting(inst, 1))
    inst.good("qvm-features", DVM, "preload-app", PROGRAM)
    rows("gui-first-open", n, "a preloaded disposable that has it open; bar: 100", lambda: waiting(inst, 1, True))
    inst.good("qvm-features", "--delete", DVM, "preload-app")
    inst.good("qvm-state", "preload", DVM, "0")
    waiting(inst, 0)
    inst.good("qvm-features", DVM, "fast-start", "")
    rows("gui-first-cold", max(1, n // 4), "a disposable that boots")
    inst.good("qvm-features", "--delete", DVM, "fast-start")
    got = []
    for _ in range(n):
        t, p = ask(inst, APP)
        got.append(h.first(f"[{APP}]", t))
        p.wait(300)
        inst.good("qvm-kill", APP, timeout=300)
        bh.wait_for(lambda: not h.shown(f"[{APP}]") and inst.state(APP) == "Halted", "its end", 120)
    figure("gui-first-app", got, "ms", "request → terminal's pixels, an app qube that is not running, from a saved state; bar: 2000")


def many(h, inst, build, figure, qubes, seconds):
    """Six windows of each qube draw, and all are moved twice a second."""
    names = [f"gui-many{i}" for i in range(qubes)]
    for q in names:
        inst.good("qvm-create", "-l", "green", "-t", TEMPLATE, "--prop", "netvm=none", "--prop", "memory=500", q)
        inst.good("qvm-start", q, timeout=900)
        paint(inst, build, q, "-n 6 -s 200x150 full 50")
    wins = [w for q in names for w in h.windows(f"[{q}] paint", 6)]
    watches = [h.watch(inner) for _, inner in wins]
    times, end, step = {inner: [] for _, inner in wins}, time.monotonic() + seconds, 0
    begun = time.monotonic()
    while time.monotonic() < end:
        step += 1
        for i, (outer, _) in enumerate(wins):
            h.x.XMoveWindow(h.d, ctypes.c_ulong(outer), i % 6 * 220 + step % 7 * 3, i // 6 * 180 + step % 5 * 3)
        until = time.monotonic() + 0.5
        while (left := until - time.monotonic()) > 0:
            for win, _, _, t in h.events(left):
                if win in times:
                    times[win].append(t)
    gaps = [max(b - a for a, b in zip([begun] + v, v + [end])) for v in times.values()]
    note = f"{len(wins)} windows of {qubes} qubes that draw and are moved twice a second, {seconds} s"
    figure("gui-many", [len(v) / seconds for v in times.values()], "updates/s", f"of each window; least {min(map(len, times.values())) / seconds:.2f}; " + note)
    figure("gui-many-gap", [g * 1000 for g in gaps], "ms", f"longest time without an update, of each window; longest of all {max(gaps) * 1000:.0f}; bar: none starves")
    for w in watches:
        h.unwatch(w)
    inst.good("qvm-kill", *names, timeout=300)
    inst.good("qvm-remove", "-f", *names)


def gui_figures(inst, build, figure, n=12, qubes=MANY):
    if MISSING or not os.path.exists(os.path.join(build, "bench", "bench-paint")):
        print("# windows are left out: needs " + ", ".join(MISSING or ["bench-paint"]), flush=True)
        return
    if TEMPLATE not in inst.states():
        inst.good("qvm-template", "build", TEMPLATE, timeout=3000)
    inst.good("qvm-features", TEMPLATE, "gui", "1")
    for q in (APP, DVM):
        inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "--prop", "netvm=none", "--prop", "memory=500", *(["--prop", "template_for_dispvms=True"] if q == DVM else []), q)
    h = Host(inst)
    try:
        inst.good("qvm-state", "build", APP, timeout=3600)
        inst.good("qvm-start", APP, timeout=900)
        typing(h, inst, build, figure, max(20, 4 * n))
        drawing(h, inst, build, figure, 10)
        inst.good("qvm-kill", APP, timeout=300)
        starts(h, inst, figure, n)
        many(h, inst, build, figure, qubes, 20)
    finally:
        h.close()
