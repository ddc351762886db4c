# SPDX-License-Identifier: GPL-3.0-or-later
"""A player of a qube's GUI agent and of clipd, with a real guid between it and a real X server; and the look at what guid draws around windows."""
import fcntl
import os
import select
import socket
import struct
import subprocess
import tempfile
import time

from bh import Failure, check, equal, wait_for
from xplay import DEADLINE

LABELS = {1: 0xcc0000, 2: 0xf57900, 3: 0xedd400, 4: 0x73d216, 5: 0x555555, 6: 0x3465a4, 7: 0x75507b, 8: 0x000000}
T = dict(KEYPRESS=124, BUTTON=125, MOTION=126, CROSSING=127, FOCUS=128, CREATE=130, DESTROY=131, MAP=132, UNMAP=133, CONFIGURE=134, MFNDUMP=135, SHMIMAGE=136,
         CLOSE=137, CLIPBOARD_REQ=139, CLIPBOARD_DATA=140, WMNAME=141, KEYMAP_NOTIFY=142, DOCK=143, WINDOW_HINTS=144, WINDOW_FLAGS=145, WMCLASS=146,
         WINDOW_DUMP=147, CURSOR=148, WINDOW_DUMP_ACK=149, HOST_HELLO=0x42480001, FRAME_ACK=0x42480002, PIXELS=0x42480003, HOST_SCREEN=0x42480004,
         ICON=0x42480005)
NAME = {v: k for k, v in T.items()}
BODY = dict(KEYPRESS="<IiiII", BUTTON="<IiiII", MOTION="<iiII", CROSSING="<IiiIIII", FOCUS="<III", CONFIGURE="<iiIII", MAP="<II", WINDOW_FLAGS="<II", HOST_HELLO="<IIII", HOST_SCREEN="<II")
DESK = dict(READY=1, COPY=2, PASTE=3, DATA=4, NOTICE=5, GIVE=6, REFUSED=7)
DESK_NAME = {v: k for k, v in DESK.items()}
NOTICE = dict(REQUEST=1, OVERRIDE=2, WINDOWS=3, ATTENTION=4, PASTE_EARLY=5, FULLSCREEN=6, CLIPBOARD=7, TRAY=8, PIXELS=9)
SOLID, PATTERN, STRIP = 3, 2, 16
FULLSCREEN, ATTENTION, MINIMIZE = 1, 2, 4
MIB = 16


def pattern(label, x, y):
    a = (x + y) % 24
    return {2: a % 4 == 0, 3: a % 8 < 2, 4: a % 12 < 6, 5: a % 2 == 0, 6: a < 4, 7: a in (0, 1, 4, 5), 8: a < 8 or 12 <= a < 16}.get(label, False)


def contrast(rgb):
    return 0 if 299 * (rgb >> 16) + 587 * (rgb >> 8 & 255) + 114 * (rgb & 255) > 128000 else 0xffffff


class Player:
    """As the agent: create(), map() … send; wait() gets messages. As clipd: desk(), desk_send()."""

    def __init__(self, screen, build, name="work", label=1, stream=False, options=(), version=0x10008, greet=True, args=(), memory=None):
        self.screen, self.name, self.label, self.colour = screen, name, label, LABELS[label]
        self.stream, self.got, self.notes, self.next_off, self.version = stream, [], [], 0, version
        self.s, theirs = socket.socketpair()
        self.d, desk = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.mem = os.memfd_create("pixels", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.mem, MIB << 20)
        if memory != "unsealed":
            fcntl.fcntl(self.mem, 1033, 1 | 2 | 4)  # F_ADD_SEALS: SEAL, SHRINK, GROW
        ro = os.open(f"/proc/self/fd/{self.mem}", (os.O_RDWR if memory == "writable" else os.O_RDONLY) | os.O_CLOEXEC)
        high = [fcntl.fcntl(f, fcntl.F_DUPFD_CLOEXEC, 60) for f in (theirs.fileno(), ro, desk.fileno())]

        def place():
            for want, have in zip((3, 4, 5), high):
                os.dup2(have, want)
        argv = os.environ.get("GUID_WRAP", "").split() + [os.path.join(build, "bin", "guid"), "--qid", "7", "--name", name, "--label-index", str(label), "--colour", "0x%06x" % self.colour,
                "--icon", "appvm-x", *args]
        if not stream:
            argv += ["--bar-mib", str(MIB)]
        for o in options:
            argv += ["--option", o]
        self.log = tempfile.TemporaryFile("w+")
        self.p = subprocess.Popen(argv, env=dict(screen.env), stderr=self.log, preexec_fn=place, close_fds=False)
        for f in high + [ro]:
            os.close(f)
        theirs.close()
        desk.close()
        self.s.setblocking(False)
        self.d.setblocking(False)
        self.buf = b""
        if greet:
            self.greet()

    # --- life
    def greet(self):
        self.s.sendall(struct.pack("<I", self.version))
        while len(self.buf) < 20 and select.select([self.s], [], [], DEADLINE)[0]:
            data = self.s.recv(1 << 16)
            if not data:
                break
            self.buf += data
        check(len(self.buf) >= 20, f"no greeting: {self.text()}")
        self.agreed, self.w, self.h, depth, self.mem_kib = struct.unpack("<5I", self.buf[:20])
        self.buf = self.buf[20:]
        self._parse()
        self.hello = self.wait("HOST_HELLO")[2]

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def alive(self):
        return self.p.poll() is None

    def end(self, want=0):
        """Closes the stream; guid must end by itself with this code."""
        self.s.close()
        self.done(want)

    def done(self, want):
        try:
            rc = self.p.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("guid does not end: " + self.text())
        self.close()
        equal(rc, want, "exit code of guid: " + self.text()[-2000:])

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()

    def close(self):
        self.kill()
        self.s.close()
        self.d.close()
        if self.mem is not None:
            os.close(self.mem)
        self.mem = None

    def __enter__(self):
        return self

    def __exit__(self, *a):
        if self.mem is None:
            return
        if a[0] is None and self.p.poll() is None:
            self.end(0)
        else:
            rc = self.p.poll()
            text = self.text()
            self.close()
            check(a[0] is not None or rc == 0, f"guid ended with {rc}: {text[-2000:]}")

    # --- bytes
    def raw(self, data):
        """Sends; a guid that has closed the connection is for the caller to see. Reads meanwhile, so that neither side waits for ever."""
        view = memoryview(data)
        end = time.monotonic() + DEADLINE
        while view:
            r, w, _ = select.select([self.s], [self.s], [], DEADLINE)
            check(time.monotonic() < end, "guid does not read")
            try:
                if r and not self._pull():
                    return False
                if w:
                    view = view[self.s.send(view[:1 << 16]):]
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def _pull(self):
        """Takes what is there; False at the end of the stream."""
        try:
            data = self.s.recv(1 << 18)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        if not data:
            return False
        self.buf += data
        self._parse()
        return True

    def _parse(self):
        while len(self.buf) >= 12:
            t, win, n = struct.unpack("<III", self.buf[:12])
            if len(self.buf) < 12 + n:
                break
            body, self.buf = self.buf[12:12 + n], self.buf[12 + n:]
            name = NAME[t]
            self.got.append((name, win, struct.unpack(BODY[name], body) if name in BODY else body))

    def send(self, kind, window, body=b"", length=None):
        return self.raw(struct.pack("<III", T[kind] if isinstance(kind, str) else kind, window, len(body) if length is None else length) + body)

    def wait(self, kind, window=None, cond=None, what=None):
        """The first message of this kind that was not taken yet."""
        end = time.monotonic() + DEADLINE
        while True:
            for i, m in enumerate(self.got):
                if m[0] == kind and (window is None or m[1] == window) and (cond is None or cond(m[2])):
                    return self.got.pop(i)
            left = end - time.monotonic()
            if left <= 0 or self.s.fileno() < 0:
                raise Failure(f"no {what or kind} for {window}; there are {self.got[-10:]}; {self.text()[-1500:]}")
            if select.select([self.s], [], [], left)[0] and not self._pull():
                raise Failure(f"guid closed the connection instead of {what or kind}: {self.text()[-1500:]}")

    def take(self, kind):
        """All of a kind that have arrived until guid has answered a question sent now."""
        self.sync()
        out = [m for m in self.got if m[0] == kind]
        self.got = [m for m in self.got if m[0] != kind]
        return out

    def sync(self):
        """Everything sent before has been handled: a window is made and unmade."""
        self.create(0x7fff0001, 0, 0, 10, 10)
        self.send("DESTROY", 0x7fff0001)
        self.wait("DESTROY", 0x7fff0001)

    def settle(self):
        """As sync(), and the X server has done what guid asked of it before: requests of one client are never done out of order, those of two are."""
        x = self.screen.x
        self.create(0x7fff0002, 0, 0, 10, 10)
        wait_for(lambda: any(x.prop(k, "_QUBES_VMWINDOWID") == [0x7fff0002] and x.prop(k, "_QUBES_VMNAME") == self.name.encode() for k in reversed(x.children(x.root))),
                 "a window of guid", DEADLINE, step=0.005)
        self.send("DESTROY", 0x7fff0002)
        self.wait("DESTROY", 0x7fff0002)

    # --- the agent's messages
    def create(self, win, x, y, w, h, override=0, parent=0):
        return self.send("CREATE", win, struct.pack("<iiIIII", x, y, w & 0xffffffff, h & 0xffffffff, parent, override))

    def map(self, win, override=0, transient=0):
        return self.send("MAP", win, struct.pack("<II", transient, override))

    def unmap(self, win):
        return self.send("UNMAP", win)

    def configure(self, win, x, y, w, h, override=0):
        return self.send("CONFIGURE", win, struct.pack("<iiIII", x, y, w & 0xffffffff, h & 0xffffffff, override))

    def title(self, win, text):
        raw = text if isinstance(text, bytes) else text.encode()
        return self.send("WMNAME", win, raw[:128].ljust(128, b"\0"))

    def wmclass(self, win, cls, name):
        return self.send("WMCLASS", win, cls.encode().ljust(64, b"\0") + name.encode().ljust(64, b"\0"))

    def flags(self, win, set_=0, unset=0):
        return self.send("WINDOW_FLAGS", win, struct.pack("<II", set_, unset))

    def hints(self, win, flags, *v):
        return self.send("WINDOW_HINTS", win, struct.pack("<9I", flags, *(list(v) + [0] * 8)[:8]))

    def icon(self, win, w, h, *argb):
        return self.send("ICON", win, struct.pack("<II", w, h) + b"".join(struct.pack("<I", v) for v in argb))

    def dump(self, win, w, h, off=None, kind=None):
        """Room for pixels; the offset is returned."""
        if off is None:
            off = self.next_off
            self.next_off += (w * h * 4 + 4095) // 4096 * 4096
        kind = (2 if self.stream else 1) if kind is None else kind
        self.send("WINDOW_DUMP", win, struct.pack("<IIII", kind, w & 0xffffffff, h & 0xffffffff, 24) + (b"" if kind == 2 else struct.pack("<Q", off)))
        return off

    def damage(self, win, x, y, w, h):
        return self.send("SHMIMAGE", win, struct.pack("<iiII", x, y, w & 0xffffffff, h & 0xffffffff))

    def paint(self, win, w, h, rgb, dump=True):
        """Fills a window of w x h with one colour (or the bytes of rgb) and waits until it is shown."""
        pixels = rgb if isinstance(rgb, bytes) else struct.pack("<I", rgb) * (w * h)
        if dump:
            off = self.dump(win, w, h)
            self.wait("WINDOW_DUMP_ACK", win)
            self.offs = dict(getattr(self, "offs", {}), **{str(win): off})
        if self.stream:
            self.send("PIXELS", win, struct.pack("<iiII", 0, 0, w, h) + pixels)
        else:
            os.pwrite(self.mem, pixels, self.offs[str(win)])
            self.damage(win, 0, 0, w, h)
        self.wait("FRAME_ACK", win)

    def show(self, win, x, y, w, h, override=0, rgb=0x123456, title=None, transient=0):
        """A whole window, on the screen."""
        self.create(win, x, y, w, h, override)
        if title is not None:
            self.title(win, title)
        self.map(win, override, transient)
        out = self.outer(win)
        wait_for(lambda: self.screen.x.visible(out), "the window on the screen", DEADLINE, step=0.01)
        self.paint(win, w, h, rgb)
        return out

    # --- what is on the screen
    def find(self, win):
        x = self.screen.x
        for w in x.walk():
            if x.prop(w, "_QUBES_VMNAME") == self.name.encode() and x.prop(w, "_QUBES_VMWINDOWID") == [win]:
                return w
        return None

    def outer(self, win):
        return wait_for(lambda: self.find(win), f"window {win} of {self.name}", DEADLINE, step=0.01)

    def place(self, win):
        return self.screen.x.place(self.outer(win))

    def inner(self, win):
        """Place of the qube's own pixels: the child that is not the strip."""
        x = self.screen.x
        kids = x.children(self.outer(win))
        return x.place(kids[-1]) if kids else None

    # --- clipd
    def desk(self, kind, cond=None, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while True:
            for i, m in enumerate(self.notes):
                if m[0] == kind and (cond is None or cond(m[1])):
                    return self.notes.pop(i)[1]
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"clipd: no {kind}; there are {self.notes[-10:]}")
            if select.select([self.d], [], [], left)[0]:
                self.desk_pull()

    def desk_pull(self):
        while True:
            try:
                data = self.d.recv(70000)
            except BlockingIOError:
                return
            check(data, "guid closed clipd's socket")
            t, _, n, _ = struct.unpack("<IIII", data[:16])
            body = data[16:16 + n]
            self.notes.append((DESK_NAME[t], body if DESK_NAME[t] == "DATA" else struct.unpack(f"<{n // 4}I", body)))

    def desk_send(self, kind, body=b""):
        self.d.send(struct.pack("<IIII", DESK[kind], 0, len(body), 0) + body)

    def notice(self, kind):
        return self.desk("NOTICE", lambda m: m[0] == NOTICE[kind])


def check_frame(shot, place, label, what, strip=None, docked=False):
    """All four edges of an outer window, where they are on the screen: label's colour, then its pattern; and the strip is not empty."""
    x, y, w, h = place
    colour = LABELS[label]
    bad = []

    def want(px, py, colours):
        if 0 <= px < shot.w and 0 <= py < shot.h and shot.at(px, py) not in colours:
            bad.append((px - x, py - y, "%06x" % shot.at(px, py)))
    for d in range(min(SOLID, (w + 1) // 2, (h + 1) // 2)):
        for px in range(x, x + w):
            want(px, y + d, (colour,))
            want(px, y + h - 1 - d, (colour,))
        for py in range(y, y + h):
            want(x + d, py, (colour,))
            want(x + w - 1 - d, py, (colour,))
    check(not bad, f"{what}: {len(bad)} pixels of the frame are wrong: {bad[:5]} (window {place})")
    if docked or w <= 2 * (SOLID + PATTERN) or h <= 2 * (SOLID + PATTERN):
        return
    if strip is None:
        strip = w - 2 * (SOLID + PATTERN) >= 48 and shot_has_strip(shot, place, colour)
    top = SOLID + PATTERN + (STRIP if strip else 0)
    ox, oy = x + SOLID + PATTERN, y + top

    def dash(px, py):
        want(px, py, (contrast(colour) if pattern(label, px - ox, py - oy) else colour,))
    for d in range(1, PATTERN + 1):
        for px in range(ox - d, x + w - SOLID):
            dash(px, oy - d)
            dash(px, y + h - SOLID - d)
        for py in range(oy - d, y + h - SOLID):
            dash(ox - d, py)
            dash(x + w - SOLID - d, py)
    check(not bad, f"{what}: {len(bad)} pixels of the pattern are wrong: {bad[:5]} (window {place}, strip {strip})")


def shot_has_strip(shot, place, colour):
    """The strip holds text in the contrast colour where a frame without strip would have the qube's pixels."""
    x, y, w, _ = place
    return any(shot.at(px, py) == contrast(colour) for py in range(y + SOLID + 3, y + SOLID + STRIP - 3) for px in range(x + SOLID + 4, x + SOLID + 10)
               if 0 <= px < shot.w and 0 <= py < shot.h)
