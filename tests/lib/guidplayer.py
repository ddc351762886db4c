# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays guid against a qube's agent (docs/gui.md section 2): greeting, messages both ways, a picture of what the agent has told."""
import os
import select
import socket
import struct
import time

KEYPRESS, BUTTON, MOTION, CROSSING, FOCUS = 124, 125, 126, 127, 128
CREATE, DESTROY, MAP, UNMAP, CONFIGURE, SHMIMAGE, CLOSE = 130, 131, 132, 133, 134, 136, 137
CLIPBOARD_REQ, CLIPBOARD_DATA, WMNAME, KEYMAP_NOTIFY, DOCK, HINTS, FLAGS, WMCLASS = 139, 140, 141, 142, 143, 144, 145, 146
DUMP, CURSOR, DUMP_ACK = 147, 148, 149
HELLO, FRAME_ACK, PIXELS, HOST_SCREEN, ICON = range(0x42480001, 0x42480006)
CAN_BAR, CAN_FRAME_ACK, CAN_STREAM, CAN_ICON = 1, 2, 4, 8
FULLSCREEN, ATTENTION, MINIMIZE = 1, 2, 4
LENGTHS = {CREATE: 24, DESTROY: 0, MAP: 8, UNMAP: 0, CONFIGURE: 20, SHMIMAGE: 16, WMNAME: 128, DOCK: 0, HINTS: 36, FLAGS: 8, WMCLASS: 128, CURSOR: 4}
DEADLINE = 120
NAMES = {v: k for k, v in list(globals().items()) if isinstance(v, int) and k.isupper() and v > 100}


class Window:
    def __init__(self, wid, x, y, w, h, override):
        self.id, self.x, self.y, self.w, self.h, self.override = wid, x, y, w, h, bool(override)
        self.mapped = self.docked = False
        self.title = self.cls = self.name = self.hints = self.dump = self.transient = self.cursor = self.icon = None
        self.flags = 0
        self.damage = []
        self.pixels = {}  # of a stream: (x, y) -> 4 bytes


class Player:
    """One connection, to the socket of that path or over a stream that is there already. auto_*: whether dumps, frames and ends of windows are acknowledged at
    once."""

    def __init__(self, path, version=0x10008, can=CAN_BAR | CAN_FRAME_ACK, bar_mib=16, bar=None, screen=(1280, 800), hello=True, scale=1000, timeout=DEADLINE, sock=None):
        self.bar, self.windows, self.log, self.clipboards = bar, {}, [], []
        self.auto_dump = self.auto_frame = self.auto_destroy = True
        self.buf = b""
        self.s = sock or self.open(path, timeout)
        self.agent_version = struct.unpack("<I", self.exactly(4))[0]
        self.s.sendall(struct.pack("<I4I", version, *screen, 24, screen[0] * screen[1] * 4 // 1024 + 1))
        if hello:
            self.send(HELLO, 0, struct.pack("<4I", 1, can, scale, bar_mib))

    @staticmethod
    def open(path, timeout=DEADLINE):
        """A connected stream to the agent that listens there."""
        end = time.monotonic() + timeout
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(path)
                return s
            except (FileNotFoundError, ConnectionRefusedError):
                s.close()
                if time.monotonic() > end:
                    raise AssertionError("the agent does not listen at " + path)
                time.sleep(0.02)

    def exactly(self, n):
        out = b""
        while len(out) < n:
            got = self.s.recv(n - len(out))
            assert got, "the agent closed the connection"
            out += got
        return out

    def send(self, kind, window, body=b""):
        self.s.sendall(struct.pack("<III", kind, window, len(body)) + body)

    def close(self):
        self.s.close()

    # --- what the agent says ---------------------------------------------------------------------------------------
    def take(self, timeout):
        """Reads what there is; False after timeout without anything."""
        r, _, _ = select.select([self.s], [], [], timeout)
        if not r:
            return False
        got = self.s.recv(1 << 20)
        assert got, "the agent closed the connection"
        self.buf += got
        while len(self.buf) >= 12:
            kind, window, n = struct.unpack_from("<III", self.buf)
            if len(self.buf) < 12 + n:
                break
            body, self.buf = self.buf[12:12 + n], self.buf[12 + n:]
            self.message(kind, window, body)
        return True

    def until(self, what, cond, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while True:
            v = cond()
            if v:
                return v
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"waited {timeout} s for {what}; last: {[(NAMES.get(k, k), hex(w)) for k, w in self.log[-20:]]}")
            self.take(min(left, 0.2))

    def sync(self):
        """Everything that the agent had to say so far has arrived, and what it says to our answers. A question about the clipboard has it look at its X
        events; the answer to the second one comes behind what it then said. What came in between we may have answered behind the second question: then it is
        asked again."""
        for _ in range(100):
            told = len(self.log)
            for _ in range(2):
                n = len(self.clipboards)
                self.send(CLIPBOARD_REQ, 0)
                self.until("the answer to a question", lambda: len(self.clipboards) > n)
            if len(self.log) == told + 2:
                return
        raise AssertionError("the agent never becomes silent")

    def message(self, kind, window, body):
        assert kind in NAMES, f"unknown message {kind}"
        assert kind not in LENGTHS or LENGTHS[kind] == len(body), f"{NAMES[kind]} of {len(body)} bytes"
        self.log.append((kind, window))
        if kind == CREATE:
            assert window not in self.windows, "window made twice"
            x, y, w, h, _, override = struct.unpack("<iiIIII", body)
            self.windows[window] = Window(window, x, y, w, h, override)
            return
        if kind == CLIPBOARD_DATA:
            self.clipboards.append(body)
            return
        assert window in self.windows, f"{NAMES[kind]} for a window that is not there"
        self.of_window(kind, self.windows[window], body)

    def of_window(self, kind, w, body):
        if kind == DESTROY:
            del self.windows[w.id]
            if self.auto_destroy:
                self.send(DESTROY, w.id)
        elif kind == MAP:
            assert not w.mapped, "mapped twice"
            w.mapped = True
            w.transient, override = struct.unpack("<II", body)
            w.override = bool(override)
        elif kind == UNMAP:
            w.mapped = False
        elif kind == CONFIGURE:
            w.x, w.y, w.w, w.h, _ = struct.unpack("<iiIII", body)
        elif kind == WMNAME:
            w.title = body.rstrip(b"\0").decode()
        elif kind == WMCLASS:
            w.cls, w.name = (p.split(b"\0")[0].decode() for p in (body[:64], body[64:]))
        elif kind == HINTS:
            w.hints = struct.unpack("<9I", body)
        elif kind == FLAGS:
            on, off = struct.unpack("<II", body)
            assert on & off == 0
            w.flags = (w.flags | on) & ~off
        elif kind == DOCK:
            w.docked = w.mapped = True
        elif kind == ICON:
            iw, ih = struct.unpack_from("<II", body)
            assert iw <= 128 and ih <= 128 and len(body) == 8 + 4 * iw * ih, "ICON of a wrong length"
            w.icon = (iw, ih, body[8:]) if iw else None
        elif kind == CURSOR:
            w.cursor = struct.unpack("<I", body)[0]
        else:
            self.of_pixels(kind, w, body)

    def of_pixels(self, kind, w, body):
        if kind == DUMP:
            d = struct.unpack_from("<4I", body)
            if d[0] == 1:
                off = struct.unpack_from("<Q", body, 16)[0]
                assert off % 4096 == 0 and off + d[1] * d[2] * 4 <= os.path.getsize(self.bar), "place outside of the memory"
                w.dump = d + (off,)
            else:
                w.dump = d
            if self.auto_dump:
                self.send(DUMP_ACK, w.id)
        elif kind == SHMIMAGE:
            assert w.dump, "damage without pixels"
            w.damage.append(struct.unpack("<iiII", body))
            if self.auto_frame:
                self.send(FRAME_ACK, w.id)
        elif kind == PIXELS:
            x, y, pw, ph = struct.unpack_from("<iiII", body)
            assert len(body) == 16 + 4 * pw * ph, "PIXELS of a wrong length"
            w.damage.append((x, y, pw, ph))
            for row in range(ph):
                for col in range(pw):
                    at = 16 + 4 * (row * pw + col)
                    w.pixels[(x + col, y + row)] = body[at:at + 3]
            if self.auto_frame:
                self.send(FRAME_ACK, w.id)

    # --- pixels ----------------------------------------------------------------------------------------------------
    def picture(self, w):
        """All pixels of a window from the memory, 4 bytes each."""
        with open(self.bar, "rb") as f:
            f.seek(w.dump[4])
            return f.read(w.dump[1] * w.dump[2] * 4)

    def pixel(self, w, x, y):
        """0xRRGGBB at a place of a window, or None when nothing was told yet."""
        if w.dump is None:
            return None
        if w.dump[0] == 2:
            p = w.pixels.get((x, y))
        else:
            with open(self.bar, "rb") as f:
                f.seek(w.dump[4] + 4 * (y * w.dump[1] + x))
                p = f.read(3)
        return p and p[2] << 16 | p[1] << 8 | p[0]

    def shown(self, w, x, y, colour):
        return any(dx <= x < dx + dw and dy <= y < dy + dh for dx, dy, dw, dh in w.damage) and self.pixel(w, x, y) == colour

    # --- what guid says --------------------------------------------------------------------------------------------
    def key(self, w, keycode, press=True, state=0, x=5, y=5):
        self.send(KEYPRESS, w.id, struct.pack("<IiiII", 2 if press else 3, x, y, state, keycode))

    def button(self, w, button, press=True, x=5, y=5, state=0):
        self.send(BUTTON, w.id, struct.pack("<IiiII", 4 if press else 5, x, y, state, button))

    def motion(self, w, x, y, state=0):
        self.send(MOTION, w.id, struct.pack("<iiII", x, y, state, 0))

    def crossing(self, w, enter, x, y, mode=0):
        self.send(CROSSING, w.id, struct.pack("<IiiIIII", 7 if enter else 8, x, y, 0, mode, 0, 0))

    def focus(self, w, on=True):
        self.send(FOCUS, w.id, struct.pack("<III", 9 if on else 10, 0, 0))

    def keymap(self, keycodes=()):
        bits = bytearray(32)
        for k in keycodes:
            bits[k // 8] |= 1 << k % 8
        self.send(KEYMAP_NOTIFY, 0, bytes(bits))

    def configure(self, w, x, y, width, height):
        self.send(CONFIGURE, w.id, struct.pack("<iiIII", x, y, width, height, 0))

    def flags(self, w, on=0, off=0):
        self.send(FLAGS, w.id, struct.pack("<II", on, off))
