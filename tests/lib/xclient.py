# SPDX-License-Identifier: GPL-3.0-or-later
"""A small X client for tests, over libX11 by ctypes: windows with one colour, their properties and events."""
import ctypes
import select
import struct
import time
from ctypes import byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p

X = ctypes.CDLL("libX11.so.6")
for _name, _res in (("XOpenDisplay", c_void_p), ("XDefaultRootWindow", c_ulong), ("XCreateSimpleWindow", c_ulong), ("XInternAtom", c_ulong),
                    ("XGetSelectionOwner", c_ulong), ("XCreateFontCursor", c_ulong), ("XDefaultGC", c_void_p), ("XCreateGC", c_void_p)):
    getattr(X, _name).restype = _res
_handler_t = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
_quiet = _handler_t(lambda *a: 0)  # windows may be gone: tests say what they expect
X.XSetErrorHandler(_quiet)

KeyPress, KeyRelease, ButtonPress, ButtonRelease, MotionNotify, EnterNotify, LeaveNotify, FocusIn, FocusOut = range(2, 11)
MapNotify, UnmapNotify, DestroyNotify, ConfigureNotify, ReparentNotify = 19, 18, 17, 22, 21
PropertyNotify, SelectionNotify, SelectionRequest, SelectionClear, ClientMessage = 28, 31, 30, 29, 33
ALL = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x8000 | 0x20000 | 0x200000 | 0x400000


class Event:
    """The fields that tests use, by the layout of Xlib on 64-bit machines."""

    def __init__(self, raw):
        self.raw, self.type = raw, struct.unpack_from("i", raw, 0)[0]
        self.window = struct.unpack_from("L", raw, 32)[0]
        if self.type in (KeyPress, KeyRelease, ButtonPress, ButtonRelease, MotionNotify):
            self.x, self.y, self.x_root, self.y_root, self.state, self.detail = struct.unpack_from("iiiiII", raw, 64)
        elif self.type in (EnterNotify, LeaveNotify):
            self.x, self.y = struct.unpack_from("ii", raw, 64)
        elif self.type == ConfigureNotify:
            self.x, self.y, self.w, self.h = struct.unpack_from("4i", raw, 48)
        elif self.type == ClientMessage:
            self.message, = struct.unpack_from("L", raw, 40)
            self.data = struct.unpack_from("5l", raw, 56)


class Client:
    def __init__(self, display):
        self.d = c_void_p(X.XOpenDisplay(display.encode()))
        assert self.d, "no X server at " + display
        self.root = X.XDefaultRootWindow(self.d)
        self.events = []

    def close(self):
        if self.d:
            X.XCloseDisplay(self.d)
        self.d = None

    def atom(self, name):
        return X.XInternAtom(self.d, name.encode(), 0)

    def sync(self):
        X.XSync(self.d, 0)

    def window(self, x=0, y=0, w=100, h=80, colour=0x336699, override=False, title=None, cls=None, map=True, parent=None):
        win = X.XCreateSimpleWindow(self.d, c_ulong(parent or self.root), x, y, w, h, 0, c_ulong(0), c_ulong(colour))
        if override:
            # XSetWindowAttributes: override_redirect lies behind eleven fields
            attr = (ctypes.c_char * 112)()
            struct.pack_into("i", attr, 88, 1)
            X.XChangeWindowAttributes(self.d, c_ulong(win), c_ulong(1 << 9), attr)
        X.XSelectInput(self.d, c_ulong(win), c_long(ALL))
        if title is not None:
            self.text(win, "_NET_WM_NAME", "UTF8_STRING", title.encode())
        if cls:
            self.text(win, "WM_CLASS", "STRING", b"\0".join(c.encode() for c in cls) + b"\0")
        if map:
            X.XMapWindow(self.d, c_ulong(win))
        self.sync()
        return win

    def text(self, win, prop, kind, data):
        X.XChangeProperty(self.d, c_ulong(win), c_ulong(self.atom(prop)), c_ulong(self.atom(kind)), 8, 0, c_char_p(data), len(data))

    def numbers(self, win, prop, kind, values):
        a = (c_long * max(1, len(values)))(*values)
        X.XChangeProperty(self.d, c_ulong(win), c_ulong(self.atom(prop)), c_ulong(self.atom(kind)), 32, 0, a, len(values))

    def get(self, win, prop):
        """A property's value: bytes, or a list of numbers; None without."""
        kind, form, n, after, data = c_ulong(), c_int(), c_ulong(), c_ulong(), c_void_p()
        X.XGetWindowProperty(self.d, c_ulong(win), c_ulong(self.atom(prop)), c_long(0), c_long(100000), 0, c_ulong(0), byref(kind), byref(form), byref(n),
                             byref(after), byref(data))
        if not kind.value:
            return None
        size = {8: 1, 16: 2, 32: 8}[form.value]
        raw = ctypes.string_at(data, n.value * size)
        X.XFree(data)
        return raw if form.value == 8 else list(struct.unpack(f"{n.value}L", raw))

    def fill(self, win, colour, x=0, y=0, w=100, h=80):
        gc = c_void_p(X.XCreateGC(self.d, c_ulong(win), c_ulong(0), None))
        X.XSetForeground(self.d, gc, c_ulong(colour))
        X.XFillRectangle(self.d, c_ulong(win), gc, x, y, w, h)
        X.XFreeGC(self.d, gc)
        self.sync()

    def call(self, name, *args):
        getattr(X, name)(self.d, *args)
        self.sync()

    def message(self, win, kind, data, to=None, mask=0x180000):
        raw = (ctypes.c_char * 192)()
        struct.pack_into("i", raw, 0, ClientMessage)
        struct.pack_into("L", raw, 32, win)
        struct.pack_into("L", raw, 40, self.atom(kind))
        struct.pack_into("i", raw, 48, 32)
        struct.pack_into("5l", raw, 56, *(list(data) + [0] * (5 - len(data))))
        X.XSendEvent(self.d, c_ulong(to or self.root), 0, c_long(mask), raw)
        self.sync()

    def poll(self, timeout=0.0):
        X.XFlush(self.d)
        if not X.XPending(self.d):
            select.select([X.XConnectionNumber(self.d)], [], [], timeout)
        while X.XPending(self.d):
            raw = (ctypes.c_char * 192)()
            X.XNextEvent(self.d, raw)
            self.events.append(Event(bytes(raw)))

    def wait(self, what, cond, timeout=120):
        """The first event that cond likes; it and all before it are taken."""
        end = time.monotonic() + timeout
        while True:
            for i, ev in enumerate(self.events):
                if cond(ev):
                    del self.events[:i + 1]
                    return ev
            assert time.monotonic() < end, f"waited for {what}; events {[e.type for e in self.events][-20:]}"
            self.poll(0.2)

    def hints(self, win, flags, min_size=(0, 0), max_size=(0, 0), inc=(0, 0), base=(0, 0)):
        self.numbers(win, "WM_NORMAL_HINTS", "WM_SIZE_HINTS", [flags, 0, 0, 0, 0, *min_size, *max_size, *inc, 0, 0, 0, 0, *base, 0])

    def focus_of(self):
        win, revert = c_ulong(), c_int()
        X.XGetInputFocus(self.d, byref(win), byref(revert))
        return win.value


def conn(client):
    """The XCB side of a client's connection, for what Xlib decides by itself."""
    lib = ctypes.CDLL("libX11-xcb.so.1")
    lib.XGetXCBConnection.restype = c_void_p
    return c_void_p(lib.XGetXCBConnection(client.d))


def create_with_id(c, wid, parent, w, h):
    lib = ctypes.CDLL("libxcb.so.1")
    lib.xcb_create_window(c, 0, c_uint(wid), c_uint(parent), 0, 0, w, h, 0, 1, c_uint(0), c_uint(0), None)
    lib.xcb_flush(c)


def destroy_id(c, wid):
    lib = ctypes.CDLL("libxcb.so.1")
    lib.xcb_destroy_window(c, c_uint(wid))
    lib.xcb_flush(c)
