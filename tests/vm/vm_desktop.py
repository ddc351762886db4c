# SPDX-License-Identifier: GPL-3.0-or-later
"""From a program of a real qube to the pixels of a real X server and back: bulkhead-desktop, guid, linkd, QEMU, the agent and the qube's X server."""
import json
import os
import signal
import subprocess

import bh
from bh import check, equal, wait_for
from screen import MISSING, Screen
from vm_windows import QUBE, TEMPLATE

suite = bh.Suite("vm.desktop")
DEADLINE = 300
RED = "cc0000"
TERMINAL = ("xterm -T hello -geometry 60x10 -e sh -c 'read l; echo \"$l\" > /tmp/seen.new; mv /tmp/seen.new /tmp/seen; read l' "
            "</dev/null >/dev/null 2>&1 & true")


def qube(inst):
    """The qube of vm_windows.py, running."""
    if TEMPLATE not in inst.states():
        inst.good("qvm-template", "build", TEMPLATE, timeout=3000)
    if QUBE not in inst.states():
        inst.good("qvm-features", TEMPLATE, "gui", "1")
        inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, QUBE)
        inst.good("qvm-prefs", QUBE, "memory", "500")
    if inst.state(QUBE) == "Halted":
        inst.good("qvm-start", QUBE, timeout=900)


class Desk:
    def __init__(self, inst):
        if MISSING:
            raise bh.Skip("needs " + ", ".join(MISSING))
        self.inst, self.screen = inst, Screen()
        self.log = os.path.join(inst.root, "log", "desktop.log")
        with open(self.log, "wb") as f:
            self.p = subprocess.Popen([os.path.join(inst.bin, "bulkhead-desktop"), "--all", "--watch"], env=dict(inst.env, DISPLAY=self.screen.name), stdout=f, stderr=f)

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def guid(self):
        """The guid of the qube, a child of bulkhead-desktop."""
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children") as f:
            for pid in f.read().split():
                with open(f"/proc/{pid}/cmdline", "rb") as c:
                    if c.read().split(b"\0")[0] == b"guid":
                        return int(pid)
        return None

    def window(self, title):
        return wait_for(lambda: self.screen.windows(title), f"a window '{title}': {self.text()[-1500:]}", DEADLINE, 0.1)[0]

    def close(self):
        if self.p.poll() is None:
            self.p.terminate()
            self.p.wait(300)
        self.screen.close()


def shown(desk, win):
    """The frame is in the label's colour, and the terminal's own white has come through the memory."""
    c = desk.screen.colours(win)
    return c.get(RED, 0) > 0.002 and c.get("ffffff", 0) > 0.2


@suite.test
def a_program_of_a_qube_on_a_display(inst):
    qube(inst)
    desk = Desk(inst)
    try:
        wait_for(desk.guid, f"guid: {desk.text()}", DEADLINE, 0.1)
        check("memory=256 MiB" in desk.text(), "guid has the memory for pixels: " + desk.text())
        inst.sh(QUBE, "/usr/lib/qubes/qubes-wait-path /run/user/1000/bulkhead-session", timeout=600)
        inst.sh(QUBE, "rm -f /tmp/seen; " + TERMINAL)
        title = rf"\[{QUBE}\].*hello"
        win = desk.window(title)
        wait_for(lambda: shown(desk, win), "the frame and the terminal in a picture of the screen", DEADLINE, 0.2)
        desk.screen.focus(win)
        desk.screen.type("from dom0")
        desk.screen.key("Return")
        inst.sh(QUBE, "/usr/lib/qubes/qubes-wait-path /tmp/seen", timeout=DEADLINE)
        equal(inst.sh(QUBE, "cat /tmp/seen").text, "from dom0\n", "what was typed on the display")
        # Its daemon dies: the window comes again, of the same program.
        old = desk.guid()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: desk.guid() not in (None, old), "another guid", DEADLINE, 0.1)
        again = desk.window(title)
        wait_for(lambda: shown(desk, again), "the same window by another guid", DEADLINE, 0.2)
        inst.good("qvm-kill", QUBE)
        wait_for(lambda: not desk.screen.windows(title) and desk.guid() is None, "the end of the windows", DEADLINE, 0.1)
    finally:
        desk.close()


@suite.test
def a_program_is_open_before_it_is_asked_for(inst):
    """A preloaded disposable has a terminal open, which nobody sees; the call for it shows that one, and the disposable ends with it."""
    desk = Desk(inst)
    try:
        inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "--prop", "netvm=none", "--prop", "memory=500", "--prop", "template_for_dispvms=True", "ahead")
        # One that boots is as good here as a clone, and spares the building of another state.
        inst.good("qvm-features", "ahead", "fast-start", "")
        inst.good("qvm-features", "ahead", "preload-app", "debian-xterm")
        inst.good("qvm-state", "preload", "ahead", "1")

        def ready():
            v = [q for p in json.loads(inst.good("qvm-state", "--json", "pool").text) if p["template"] == "ahead" for q in p["preloaded"]]
            return v[0] if v and v[0]["completed"] else None
        q = wait_for(ready, f"a preloaded disposable: {inst.tail('qubesd.out', 2000)}", 900, 0.5)
        equal((q["state"], q["open"]), ("Paused", "debian-xterm"), "it has the program open")
        check(not desk.screen.windows(r"\[disp"), "a window that nobody asked for")
        call = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-q", "--service", "--dispvm=ahead", "qubes.StartApp+debian-xterm"], env=inst.env, stdin=subprocess.DEVNULL)
        title = rf"\[{q['name']}\]"
        win = desk.window(title)
        inst.good("qvm-features", "ahead", "preload-dispvm-max", "0")  # no other one is wanted
        wait_for(lambda: shown(desk, win), "the terminal in a picture of the screen", DEADLINE, 0.2)
        check(call.poll() is None, "the call lasts as long as the window")
        desk.screen.focus(win)
        desk.screen.type("exit")
        desk.screen.key("Return")
        equal(call.wait(DEADLINE), 0, "the call ends with the last window")
        wait_for(lambda: q["name"] not in inst.states(), "the disposable is gone", DEADLINE, 0.1)
        wait_for(lambda: not [n for n in inst.states() if n.startswith("disp") and inst.run("qvm-prefs", n, "template").text.strip() == "ahead"],
                 "no other one", DEADLINE, 0.5)
        inst.good("qvm-remove", "-f", "ahead")
    finally:
        desk.close()
