# SPDX-License-Identifier: GPL-3.0-or-later
"""A display of a test's own: Xvfb, real input (XTEST), pictures. Waiting is for conditions, never for a time."""
import ctypes
import os
import re
import subprocess

from bh import check, wait_for
from xserver import XServer

DEADLINE = 120
MISSING = [p for p in ("Xvfb", "xdotool", "xprop", "xev", "import") if subprocess.run(["which", p], stdout=subprocess.DEVNULL).returncode]


class Screen:
    """One Xvfb without a window manager, so focus is what the test says."""

    def __init__(self):
        self.server = XServer(["Xvfb", "-screen", "0", "1000x800x24", "-nolisten", "tcp", "-noreset"])
        self.name = self.server.display
        self.env = dict(os.environ, DISPLAY=self.name)
        self.xev = subprocess.Popen(["xev", "-name", "another window", "-geometry", "100x50+0+0"], env=self.env, stdout=subprocess.DEVNULL)
        self.other = self.window("another window")
        self.repeat(False)

    def run(self, *args, data=False):
        p = subprocess.run(args, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=DEADLINE)
        return p.stdout if data else p.stdout.decode("utf-8", "replace").strip()

    def windows(self, title):
        return self.run("xdotool", "search", "--onlyvisible", "--name", title).split()

    def window(self, title):
        return wait_for(lambda: self.windows(title), f"a window '{title}'", DEADLINE)[0]

    def gone(self, title):
        wait_for(lambda: not self.windows(title), f"the end of the window '{title}'", DEADLINE)

    def focus(self, win):
        self.run("xdotool", "windowfocus", "--sync", win)

    def no_focus(self):
        """Another window gets it."""
        self.focus(self.other)

    def state(self, win):
        m = re.search(r'"(\w+)"', self.run("xprop", "-id", win, "_BULKHEAD_PROMPT_STATE"))
        return m.group(1) if m else ""

    def wait_state(self, win, want):
        wait_for(lambda: self.state(win) == want, f"state {want}", DEADLINE)

    def repeat(self, on):
        """Whether a key that stays down is pressed again and again. Off, as long as no test wants it: a busy machine may be slow to let go of a key."""
        x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        d = ctypes.c_void_p(x.XOpenDisplay(self.name.encode()))
        check(d.value, "display")
        (x.XAutoRepeatOn if on else x.XAutoRepeatOff)(d)
        x.XSync(d, 0)
        x.XCloseDisplay(d)

    def key(self, *names):
        self.run("xdotool", "key", *names)

    def type(self, text):
        self.run("xdotool", "type", text)

    def title(self, win):
        return self.run("xprop", "-id", win, "_NET_WM_NAME")

    def colours(self, win):
        """The share of each colour of a window, from a picture of the screen."""
        xwd = self.run("import", "-window", win, "-depth", "8", "ppm:-", data=True)
        m = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", xwd)
        body = xwd[m.end():]
        n = {}
        for i in range(0, len(body) - 2, 3):
            n[body[i:i + 3]] = n.get(body[i:i + 3], 0) + 1
        total = len(body) / 3
        return {"%02x%02x%02x" % tuple(k): v / total for k, v in n.items()}

    def geometry(self, win):
        out = self.run("xdotool", "getwindowgeometry", "--shell", win)
        return {k: int(v) for k, v in re.findall(r"^(\w+)=(-?\d+)$", out, re.M)}

    def click(self, win, x, y):
        g = self.geometry(win)
        self.run("xdotool", "mousemove", str(g["X"] + x), str(g["Y"] + y), "click", "1")

    def close(self):
        self.xev.kill()
        self.xev.wait()
        self.server.stop()
