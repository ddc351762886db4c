# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows of a real qube: its X server and agent, started by its own units, told to a played guid over the link, pixels in the memory that QEMU shares."""
import os
import socket
import struct
import time

import bh
import guidplayer as g
from bh import check, equal
from vm_states import how

TEMPLATE = "debian-12-x11"
QUBE = "screen"
suite = bh.Suite("vm.windows")
LC_GUI, LC_OPEN, REPLY, ERROR = 0x605, 0x603, 1, 2


def ask_gui(inst, qube, timeout=300):
    """The stream to a qube's agent and a descriptor of the memory for pixels, from its linkd."""
    end = time.monotonic() + timeout
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(timeout)
        s.connect(os.path.join(inst.root, "run", "q", inst.prop(qube, "xid"), "chan.sock"))
        s.send(struct.pack("<IIIIII", LC_GUI, 1, 8, 0, 0, 6000))
        data, fds, _, _ = socket.recv_fds(s, 65536, 4)
        s.close()
        kind, _, _, flags = struct.unpack_from("<IIII", data)
        if kind == LC_OPEN and flags & REPLY and not flags & ERROR:
            return socket.socket(fileno=fds[0]), fds[1] if len(fds) > 1 else None
        # the one before may not be quite gone
        check(time.monotonic() < end, f"linkd refuses the GUI: {data[16:]!r}")
        time.sleep(0.2)


def connect(inst, qube=QUBE):
    s, memory = ask_gui(inst, qube)
    check(memory is not None, "no memory for pixels")
    s.settimeout(None)
    size = os.fstat(memory).st_size
    return g.Player(None, sock=s, bar=f"/proc/{os.getpid()}/fd/{memory}", bar_mib=size >> 20), memory


def a_window(p, cls, timeout=300):
    return p.until(f"a window of {cls}", lambda: next((v for v in p.windows.values() if v.cls == cls and v.mapped and v.damage), None), timeout=timeout)


def colours(p, w):
    d = p.picture(w)
    return {d[i:i + 3] for i in range(0, len(d), 4)}


def say(p, w, keys):
    for code, state in keys:
        p.key(w, code, True, state)
        p.key(w, code, False, state)


@suite.test
def windows_of_a_qube_come_to_the_host(inst):
    if TEMPLATE not in inst.states():
        inst.good("qvm-template", "build", TEMPLATE, timeout=3000)
    inst.good("qvm-features", TEMPLATE, "gui", "1")
    inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, QUBE)
    inst.good("qvm-prefs", QUBE, "memory", "500")
    # The X server, the agent and the session are part of the saved state; the memory for pixels comes to the clone.
    inst.good("qvm-state", "build", QUBE, timeout=1200)
    inst.good("qvm-start", QUBE, timeout=900)
    equal(how(inst, QUBE), "clone", "how it started")
    p, memory = connect(inst)
    try:
        inst.sh(QUBE, "/usr/lib/qubes/qubes-wait-path /run/user/1000/bulkhead-session", timeout=600)
        equal(inst.sh(QUBE, "ps -o user= -C Xorg,qubes-gui | sort | uniq -c | tr -s ' '").text, " 2 user\n", "nothing of X is root's")
        # a command of dom0 runs in the session: it knows display, key and bus
        inst.sh(QUBE, "test -S \"$XDG_RUNTIME_DIR/bus\" || exit 1; "
                      "xterm -e sh -c 'read l; echo \"$l\" > /tmp/typed.new; mv /tmp/typed.new /tmp/typed; read l' </dev/null >/dev/null 2>&1 & true")
        w = a_window(p, "XTerm")
        check(w.w > 100 and w.h > 100 and w.hints[0] & 64, f"a terminal: {w.w}x{w.h} {w.hints}")
        p.until("black and white in the memory", lambda: {b"\xff\xff\xff", b"\0\0\0"} <= colours(p, w), timeout=300)
        p.focus(w)
        say(p, w, ((43, 1), (31, 0), (36, 0)))  # H, i, Return
        inst.sh(QUBE, "/usr/lib/qubes/qubes-wait-path /tmp/typed", timeout=300)
        equal(inst.sh(QUBE, "cat /tmp/typed").text, "Hi\n", "typed")
        # pixels change only in the memory: the stream carries where they are, not them
        n = len(w.damage)
        p.key(w, 38)
        p.key(w, 38, False)
        p.until("an echo on the screen", lambda: len(w.damage) > n, timeout=300)
    finally:
        p.close()
        os.close(memory)


@suite.test
def a_guid_that_comes_again_learns_the_windows(inst):
    p, memory = connect(inst)
    try:
        w = a_window(p, "XTerm")
        p.send(g.CLIPBOARD_DATA, 0, "Grüße".encode())
        p.sync()
        equal(inst.sh(QUBE, "xclip -o -selection clipboard").text, "Grüße", "clipboard")
        inst.sh(QUBE, "printf copied | xclip -i -selection clipboard >/dev/null 2>&1")
        # xclip has gone to the background before the X server knows that it owns the selection: asked until it does.
        end = time.monotonic() + 300
        while not p.clipboards or p.clipboards[-1] != b"copied":
            check(time.monotonic() < end, f"the clipboard of the qube: {p.clipboards[-3:]}")
            n = len(p.clipboards)
            p.send(g.CLIPBOARD_REQ, 0)
            p.until("an answer about the clipboard", lambda: len(p.clipboards) > n, timeout=300)
        r = inst.run("qvm-run", "-p", "--", QUBE, "/etc/qubes-rpc/qubes.SetMonitorLayout", stdin=b"1024 768 0 0\n800 600 1024 0\n", ok=True)
        equal(r.text, "ok\n", "layout")
        check("1824x768" in inst.sh(QUBE, "xdpyinfo | grep dimensions").text, "two monitors")
        # the user's keyboard, with the numbers that keys have on the host (the arrow up is 111)
        inst.sh(QUBE, "qubesdb-write /keyboard-layout fr++ctrl:nocaps", user="root")
        inst.sh(QUBE, "until setxkbmap -query | grep -q 'layout: *fr'; do sleep 1; done; xmodmap -pke > /tmp/keys", timeout=300)
        keys = inst.sh(QUBE, "cat /tmp/keys").text
        check("keycode 111 = Up" in keys and "keycode  24 = a A" in keys, keys[:3000])
        p.send(g.CLOSE, w.id)
        p.until("the end of the terminal", lambda: w.id not in p.windows, timeout=300)
    finally:
        p.close()
        os.close(memory)
    inst.good("qvm-shutdown", "--wait", QUBE, timeout=300)
