# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual X display for tests: pictures of it as pixels, its tree of windows with properties, input by XTEST (xdotool). Nothing here sleeps for a fixed time."""
import ctypes
import os
import struct
import subprocess
import tempfile

from bh import check, wait_for
from xserver import XServer

DEADLINE = 120
MISSING = [p for p in ("Xvfb", "xdotool", "xwd") if subprocess.run(["which", p], stdout=subprocess.DEVNULL).returncode]


class Shot:
    """A picture of the whole screen: shot.at(x, y) is 0xRRGGBB."""

    def __init__(self, data):
        head = struct.unpack(">25I", data[:100])
        self.w, self.h, self.line = head[4], head[5], head[12]
        check(head[11] == 32 and head[7] == 0, "xwd: 32 bits a pixel, least byte first")
        self.data = data[head[0] + head[19] * 12:]

    def at(self, x, y):
        o = y * self.line + x * 4
        return self.data[o] | self.data[o + 1] << 8 | self.data[o + 2] << 16

    def row(self, y, x0, x1):
        return [self.at(x, y) for x in range(x0, x1)]

    def part(self, x, y, w, h):
        return b"".join(self.data[r * self.line + x * 4:r * self.line + (x + w) * 4] for r in range(y, y + h))


# Windows may be gone: tests say what they expect. One for the whole process, which libX11 keeps a pointer to: it must outlive every display.
QUIET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda d, e: 0)


class Attributes(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in ("x", "y", "width", "height", "border_width", "depth")] + [
        ("visual", ctypes.c_void_p), ("root", ctypes.c_ulong), ("cls", ctypes.c_int), ("bit_gravity", ctypes.c_int), ("win_gravity", ctypes.c_int),
        ("backing_store", ctypes.c_int), ("planes", ctypes.c_ulong), ("pixel", ctypes.c_ulong), ("save_under", ctypes.c_int), ("colormap", ctypes.c_ulong),
        ("map_installed", ctypes.c_int), ("map_state", ctypes.c_int), ("all_masks", ctypes.c_long), ("my_mask", ctypes.c_long), ("no_prop", ctypes.c_long),
        ("override_redirect", ctypes.c_int), ("screen", ctypes.c_void_p)]


class Display:
    """A client of libX11 by hand: tree, attributes, properties, a few requests."""

    def __init__(self, name):
        self.x = x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XInternAtom.restype = x.XDefaultRootWindow.restype = x.XCreateSimpleWindow.restype = x.XGetSelectionOwner.restype = ctypes.c_ulong
        x.XSetErrorHandler(QUIET)
        self.d = ctypes.c_void_p(x.XOpenDisplay(name.encode()))
        check(self.d.value, "display")
        self.root = x.XDefaultRootWindow(self.d)

    def close(self):
        self.x.XCloseDisplay(self.d)

    def atom(self, name):
        return self.x.XInternAtom(self.d, name.encode(), 0)

    def sync(self):
        self.x.XSync(self.d, 0)

    def children(self, win):
        root, parent, kids, n = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
        if not self.x.XQueryTree(self.d, ctypes.c_ulong(win), ctypes.byref(root), ctypes.byref(parent), ctypes.byref(kids), ctypes.byref(n)):
            return []
        out = [kids[i] for i in range(n.value)]
        if n.value:
            self.x.XFree(kids)
        return out

    def parent(self, win):
        root, parent, kids, n = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_uint()
        self.x.XQueryTree(self.d, ctypes.c_ulong(win), ctypes.byref(root), ctypes.byref(parent), ctypes.byref(kids), ctypes.byref(n))
        return parent.value

    def attributes(self, win):
        a = Attributes()
        return a if self.x.XGetWindowAttributes(self.d, ctypes.c_ulong(win), ctypes.byref(a)) else None

    def visible(self, win):
        a = self.attributes(win)
        return bool(a and a.map_state == 2)

    def place(self, win):
        """x, y on the screen, width, height (without border)."""
        a = self.attributes(win)
        if not a:
            return None
        x, y, child = ctypes.c_int(), ctypes.c_int(), ctypes.c_ulong()
        self.x.XTranslateCoordinates(self.d, ctypes.c_ulong(win), ctypes.c_ulong(self.root), 0, 0, ctypes.byref(x), ctypes.byref(y), ctypes.byref(child))
        return x.value, y.value, a.width, a.height

    def prop(self, win, name):
        """The bytes of a property of format 8, the list of a property of format 32, or None."""
        typ, fmt, n, left, data = ctypes.c_ulong(), ctypes.c_int(), ctypes.c_ulong(), ctypes.c_ulong(), ctypes.POINTER(ctypes.c_ubyte)()
        self.x.XGetWindowProperty(self.d, ctypes.c_ulong(win), ctypes.c_ulong(self.atom(name)), ctypes.c_long(0), ctypes.c_long(4096), 0, ctypes.c_ulong(0),
                                  ctypes.byref(typ), ctypes.byref(fmt), ctypes.byref(n), ctypes.byref(left), ctypes.byref(data))
        if not typ.value:
            return None
        raw = ctypes.string_at(data, n.value * (8 if fmt.value == 32 else 1))
        self.x.XFree(data)
        return [v & 0xffffffff for v in struct.unpack(f"@{n.value}L", raw)] if fmt.value == 32 else raw

    def walk(self, win=None):
        for kid in self.children(win or self.root):
            yield kid
            yield from self.walk(kid)

    def message(self, win, to, name, *data):
        ev = struct.pack("@iLiPLLi4x5l", 33, 0, 1, 0, win, self.atom(name), 32, *(list(data) + [0] * 5)[:5]).ljust(192, b"\0")
        self.x.XSendEvent(self.d, ctypes.c_ulong(to), 0, ctypes.c_long(0x180000 if to == self.root else 0), ctypes.create_string_buffer(ev, 192))
        self.sync()

    def clicks(self, n):
        """Of the first button, where the pointer is, all in one go: their times do not depend on how busy the machine is."""
        t = ctypes.CDLL("libXtst.so.6")
        for _ in range(n):
            for down in (1, 0):
                t.XTestFakeButtonEvent(self.d, 1, down, ctypes.c_ulong(0))
        self.sync()

    def focus(self, win):
        self.x.XSetInputFocus(self.d, ctypes.c_ulong(win), 1, ctypes.c_ulong(0))
        self.sync()


class Screen:
    """One Xvfb, with a window manager or without."""

    def __init__(self, size="1400x1000", wm=None, options=()):
        self.server = XServer(["Xvfb", "-screen", "0", size + "x24", "-nolisten", "tcp", "-noreset", *options])
        self.p = self.server.p
        self.name = self.server.display
        self.env = dict(os.environ, DISPLAY=self.name)
        self.x = Display(self.name)
        self.wm = None
        if wm:
            # openbox runs this when it has taken over what is there; a window mapped before is lost between it and the server.
            ready = os.path.join(tempfile.mkdtemp(prefix="wm"), "ready")
            self.wm = subprocess.Popen([*wm, "--startup", f"touch {ready}"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: os.path.exists(ready), "the window manager", DEADLINE, step=0.01)
            os.unlink(ready)
            os.rmdir(os.path.dirname(ready))

    def close(self):
        self.x.close()
        if self.wm:
            self.wm.terminate()
            self.wm.wait()
        self.server.stop()

    def do(self, *args):
        subprocess.run(["xdotool", *map(str, args)], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=DEADLINE)

    def shot(self):
        return Shot(subprocess.run(["xwd", "-root", "-silent"], env=self.env, stdout=subprocess.PIPE, check=True, timeout=DEADLINE).stdout)
