# SPDX-License-Identifier: GPL-3.0-or-later
"""Disposables: one call each, gone with its end however that comes, nothing left; files there and back; one that stays; RAM-only."""
import glob
import os
import signal
import subprocess
import time

import bh
from bh import check, equal, wait_for
from vm_setup import TEMPLATE

suite = bh.Suite("vm.disp")
POLICY = """\
qubes.VMExec     *  alpha  @dispvm:disp-t  allow
qubes.VMShell    *  alpha  @dispvm:disp-t  allow
qubes.OpenInVM   *  alpha  @dispvm:disp-t  allow
qubes.Filecopy   +allow-all-names  alpha  @dispvm:disp-t  allow keep=no
qubes.Filecopy   *  alpha  @dispvm:disp-t  allow
qubes.VMExec     *  beta   @dispvm:disp-t  allow
"""


def disposables(inst):
    return {n: s for n, s in inst.states().items() if n.startswith("disp") and n != "disp-t"}


def traces(inst):
    """Whatever a disposable could leave on the host, by its name or its number."""
    found = [" ".join(a.decode("utf-8", "replace") for a in argv)[:200] for _, argv in inst.processes()
             if any(a.startswith(b"disp") and a != b"disp-t" or b"guest=disp" in a for a in argv)]
    for where in ("run", "log", os.path.join("lib", "appvms"), os.path.join("lib", "pool")):
        for d, dirs, files in os.walk(os.path.join(inst.root, where)):
            found += [os.path.join(d, x) for x in dirs + files if "disp" in x and "disp-t" not in x and "qubesd" not in x]
    return found


def nothing_left(inst, timeout=60):
    wait_for(lambda: not disposables(inst), "all disposables are gone", timeout, 0.02)
    wait_for(lambda: not traces(inst), f"nothing is left: {traces(inst)}", 20, 0.05)
    running = sum(1 for s in inst.states().values() if s not in ("Halted", "NA")) - 1
    wait_for(lambda: len(os.listdir(os.path.join(inst.root, "run", "q"))) == running, "directories of running qubes only", 20, 0.05)


def up(inst, n=1, timeout=900):
    """Names of n disposables that run."""
    def running():
        d = [k for k, s in disposables(inst).items() if s == "Running"]
        return d if len(d) >= n else None
    return wait_for(running, f"{n} disposables run", timeout, 0.1)


@suite.test
def setup(inst):
    inst.write_policy("05-disp.policy", POLICY)
    inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "disp-t")
    inst.good("qvm-prefs", "disp-t", "netvm", "")
    inst.good("qvm-prefs", "disp-t", "template_for_dispvms", "True")
    inst.good("qvm-features", "dom0", "default-offline-dispvm", "disp-t")
    inst.good("qubes-prefs", "default_dispvm", "disp-t")
    for q in ("alpha", "beta"):
        inst.good("qvm-prefs", q, "default_dispvm", "disp-t")
    inst.good("qvm-start", "disp-t", timeout=900)
    inst.sh("disp-t", "echo from-the-template >/home/user/mark; sync")
    inst.good("qvm-shutdown", "--wait", "disp-t", timeout=300)


@suite.test
def for_dom0(inst):
    r = inst.run("qvm-run", "-p", "--dispvm", "cat mark; hostname; echo lost >/rw/x; exit 7", timeout=900)
    mark, name = r.text.split()
    equal((r.rc, mark), (7, "from-the-template"), f"{r}")
    check(name.startswith("disp") and name[4:].isdigit(), f"its name is {name}")
    nothing_left(inst)


@suite.test
def for_a_qube(inst):
    r = inst.sh("alpha", "echo in | qvm-run-vm --dispvm=disp-t 'cat; hostname; ls /rw/x 2>&1 | head -c 3; exit 9'", ok=False, timeout=900)
    equal(r.rc, 9, f"{r}")
    words = r.text.split()
    check(words[0] == "in" and words[1].startswith("disp") and words[2] == "ls:", f"{r}")
    nothing_left(inst)


def in_background(inst, qube, line):
    inst.sh(qube, f"rm -f /tmp/pid; setsid sh -c 'echo $$ >/tmp/pid; exec {line}' </dev/null >/dev/null 2>&1 & while [ ! -s /tmp/pid ]; do :; done")


@suite.test
def caller_is_killed(inst):
    """kill -9 of the calling program, in a qube and in dom0, while the service would run for an hour."""
    in_background(inst, "alpha", "qvm-run-vm --dispvm sleep 3600")
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "sleep 3600"], env=inst.env, stdin=subprocess.DEVNULL)
    up(inst, 2)
    wait_for(lambda: all(inst.run("qvm-run", "-p", d, "pgrep -x sleep", timeout=60).rc == 0 for d in disposables(inst)), "both calls run", 120, 0.5)
    p.send_signal(signal.SIGKILL)
    p.wait()
    wait_for(lambda: len(disposables(inst)) == 1, "dom0's disposable is gone", 30, 0.02)
    inst.sh("alpha", "kill -9 $(pgrep -f 'qrexec-client-vm.*@dispvm')")
    nothing_left(inst, 30)


@suite.test
def daemon_is_killed(inst):
    """The call goes on over the end of the daemon; when both die, the next daemon finds that nobody came back."""
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "read x; exit $x"], env=inst.env, stdin=subprocess.PIPE)
    name = up(inst)[0]
    core = [pid for pid, argv in inst.processes() if b"--core" in argv]
    os.kill(core[0], signal.SIGKILL)
    wait_for(lambda: inst.state_or_none(name) == "Running", "the disposable is adopted", 60, 0.1)
    p.stdin.write(b"5\n")
    p.stdin.close()
    equal(p.wait(120), 5, "its call ends as ever")
    nothing_left(inst)
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "sleep 3600"], env=inst.env, stdin=subprocess.DEVNULL)
    up(inst)
    core = [pid for pid, argv in inst.processes() if b"--core" in argv]
    p.send_signal(signal.SIGKILL)
    os.kill(core[0], signal.SIGKILL)
    p.wait()
    wait_for(lambda: inst.state_or_none("alpha") == "Running", "the daemon is back", 60, 0.1)
    nothing_left(inst)


@suite.test
def caller_qube_dies(inst):
    in_background(inst, "beta", "qvm-run-vm --dispvm sleep 3600")
    up(inst)
    inst.good("qvm-kill", "beta")
    nothing_left(inst, 30)
    inst.good("qvm-start", "beta", timeout=900)


OPENER = """\
mkdir -p ~/.local/share/applications ~/.config
cat >~/.local/bin-open <<'X'
#!/bin/sh
%s
X
chmod 755 ~/.local/bin-open
printf '[Desktop Entry]\\nType=Application\\nName=t\\nExec=/home/user/.local/bin-open %%f\\nMimeType=text/plain;\\n' >~/.local/share/applications/t.desktop
printf '[Default Applications]\\ntext/plain=t.desktop\\n' >~/.config/mimeapps.list
"""


def opener(inst, script):
    """What opens text files in disposables from now on."""
    inst.good("qvm-start", "disp-t", timeout=900)
    inst.sh("disp-t", "mkdir -p ~/.local; " + OPENER % script + "sync")
    inst.good("qvm-shutdown", "--wait", "disp-t", timeout=300)


@suite.test
def edit_and_view(inst):
    opener(inst, """case $(cat "$1") in
edit*) echo edited >"$1" ;;
same*) ;;
huge*) head -c 3000000 /dev/zero >"$1" ;;
fail*) echo bad >"$1"; exit 3 ;;
slow*) echo new >"$1"; read x </tmp/never ;;
view*) chmod 600 "$1"; echo changed >"$1" ;;
esac""")
    inst.sh("alpha", "mkdir -p ~/d && cd ~/d && for x in edit same huge fail view; do echo $x >$x.txt; done; chmod 640 edit.txt; stat -c %i same.txt >~/inode")
    inst.sh("alpha", "cd ~/d && qvm-open-in-dvm edit.txt && qvm-open-in-dvm --edit same.txt && qvm-open-in-dvm --view-only view.txt", timeout=900)
    equal(inst.sh("alpha", "cd ~/d && cat edit.txt same.txt view.txt; stat -c %a edit.txt; stat -c %i same.txt | cmp - ~/inode").text, "edited\nsame\nview\n640\n", "files")
    r = inst.sh("alpha", "cd ~/d && qvm-open-in-vm --max-size 1 @dispvm huge.txt", ok=False, timeout=900)
    check(r.rc == 1 and "larger than 1 MiB" in r.errtext, f"too much: {r}")
    r = inst.sh("alpha", "cd ~/d && qvm-open-in-dvm fail.txt", ok=False, timeout=900)
    equal(r.rc, 1, f"a program that fails: {r}")
    equal(inst.sh("alpha", "cd ~/d && cat huge.txt fail.txt; ls -A | grep -v txt; true").text, "huge\nfail\n", "originals stay, and nothing else is there")
    nothing_left(inst)


@suite.test
def copied_file_keeps_its_disposable(inst):
    """qubes-issues #10012: what is moved into a new disposable is there until its user shuts it down; policy may say otherwise."""
    inst.sh("alpha", "mkdir -p ~/m && cd ~/m && echo canary >f && echo two >g && qvm-move-to-vm @dispvm f", timeout=900)
    equal(inst.sh("alpha", "ls ~/m").text, "g\n", "the file was moved")
    d = up(inst)[0]
    equal(inst.sh(d, "cat ~/QubesIncoming/alpha/f").text, "canary\n", "it is in the disposable")
    equal(inst.prop(d, "auto_cleanup"), "True", "which goes when it is shut down")
    inst.good("qvm-shutdown", "--wait", d, timeout=300)
    nothing_left(inst)
    inst.sh("alpha", "cd ~/m && qvm-copy-to-vm --allow-all-names @dispvm g", timeout=900)
    nothing_left(inst)
    r = inst.run("qvm-copy-to-vm", "@dispvm:disp-t", "/etc/hostname", timeout=900)
    d = up(inst)[0]
    check(r.rc == 0 and d in r.errtext, f"dom0 is told which one: {r}")
    equal(inst.sh(d, "ls ~/QubesIncoming/dom0").text, "hostname\n", "a file of dom0")
    inst.good("qvm-shutdown", "--wait", d, timeout=300)
    nothing_left(inst)


CANARY = ("CaNaRy" + "-of-a-" + "disposable").encode()


def canary_found(inst):
    """Files of the instance that hold the canary, and the same for its file system's image once it is not mounted any more."""
    found = []
    for d, _, files in os.walk(inst.root):
        for f in files:
            p = os.path.join(d, f)
            if os.path.isfile(p) and not os.path.islink(p):
                with open(p, "rb") as x:
                    last = b""
                    while True:
                        b = x.read(1 << 22)
                        if not b:
                            break
                        if CANARY in last + b:
                            found.append(os.path.relpath(p, inst.root))
                            break
                        last = b[-64:]
    return found


SPREAD = ("c=CaNaRy; c=$c-of-a-; c=${c}disposable; for p in /home/user /rw /etc /usr /var/log /tmp; do for i in 1 2 3 4 5 6 7 8; do echo $c; done >$p/c; done; "
          "echo $c >/dev/console; echo $c >/dev/kmsg; logger $c; head -c 4000000 /dev/urandom | base64 | sed \"s/^/$c/\" >/home/user/big; sync; sleep 1; cat /home/user/c | head -1")


@suite.test
def memory_is_asked_for_first(inst):
    inst.good("qvm-prefs", "disp-t", "memory", "400000")
    r = inst.run("qvm-run", "-p", "--dispvm", "true", timeout=120)
    check(r.rc == 255 and "not enough memory" in r.errtext and "400064 MiB" in r.errtext, f"{r}")
    nothing_left(inst)
    inst.good("qvm-prefs", "--default", "disp-t", "memory")


@suite.test
def kill_storm(inst):
    """Starts that are killed at any moment, by the tool and by qvm-kill."""
    for delay in (0, 1, 2):
        ps = [subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "true"], env=inst.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
              for _ in range(3)]
        wait_for(lambda: len(disposables(inst)) == 3 and (delay == 0 or "Running" in disposables(inst).values() or delay == 1 and "Transient" in disposables(inst).values()),
                 "three disposables", 300, 0.02)
        for d in disposables(inst):
            inst.run("qvm-kill", d, timeout=120)
        for p in ps:
            p.wait(600)
        nothing_left(inst)
