# SPDX-License-Identifier: GPL-3.0-or-later
"""Disposables: one call each, gone with its end however that comes, nothing left; files there and back; one that stays; RAM-only."""
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile

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


def nothing_left(inst, timeout=300):
    wait_for(lambda: not disposables(inst), "all disposables are gone", timeout, 0.02)
    wait_for(lambda: not traces(inst), f"nothing is left: {traces(inst)}", 300, 0.05)
    running = sum(1 for s in inst.states().values() if s not in ("Halted", "NA")) - 1
    # Numbers above those of qubes are machines that are booted to be saved.
    wait_for(lambda: sum(1 for n in os.listdir(os.path.join(inst.root, "run", "q")) if int(n) <= 10000) == running, "directories of running qubes only", 300, 0.05)


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
    wait_for(lambda: all(inst.run("qvm-run", "-p", d, "pgrep -x sleep", timeout=300).rc == 0 for d in disposables(inst)), "both calls run", 300, 0.5)
    p.send_signal(signal.SIGKILL)
    p.wait()
    wait_for(lambda: len(disposables(inst)) == 1, "dom0's disposable is gone", 300, 0.02)
    inst.sh("alpha", "kill -9 $(pgrep -f 'qrexec-client-vm.*@dispvm')")
    nothing_left(inst)


@suite.test
def daemon_is_killed(inst):
    """The call goes on over the end of the daemon; when both die, the next daemon finds that nobody came back."""
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "read x; exit $x"], env=inst.env, stdin=subprocess.PIPE)
    name = up(inst)[0]
    core = [pid for pid, argv in inst.processes() if b"--core" in argv]
    os.kill(core[0], signal.SIGKILL)
    wait_for(lambda: inst.state_or_none(name) == "Running", "the disposable is adopted", 300, 0.1)
    p.stdin.write(b"5\n")
    p.stdin.close()
    equal(p.wait(300), 5, "its call ends as ever")
    nothing_left(inst)
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--dispvm=disp-t", "sleep 3600"], env=inst.env, stdin=subprocess.DEVNULL)
    up(inst)
    core = [pid for pid, argv in inst.processes() if b"--core" in argv]
    p.send_signal(signal.SIGKILL)
    os.kill(core[0], signal.SIGKILL)
    p.wait()
    wait_for(lambda: inst.state_or_none("alpha") == "Running", "the daemon is back", 300, 0.1)
    nothing_left(inst)


@suite.test
def caller_qube_dies(inst):
    in_background(inst, "beta", "qvm-run-vm --dispvm sleep 3600")
    up(inst)
    inst.good("qvm-kill", "beta")
    nothing_left(inst)
    inst.good("qvm-start", "beta", timeout=900)


OPENER = """\
mkdir -p ~/.local/share/applications ~/.config
cat >~/.local/bin-open <<'X'
#!/bin/sh
%s
X
chmod 755 ~/.local/bin-open
printf '[Desktop Entry]\\nType=Application\\nName=t\\nExec=/home/user/.local/bin-open %%%%f\\nMimeType=text/plain;\\n' >~/.local/share/applications/t.desktop
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


# Spelled in pieces here and in the script, so that neither this file nor a command line holds it.
CANARY = b"".join([b"CaNaRy", b"-of-a-", b"disposable"])
SPREAD = ("c=CaNaRy; c=$c-of-a-; c=${c}disposable; for p in /home/user /rw /etc /usr /var/log /tmp; do echo $c >$p/c; done; echo $c >/dev/console; echo $c >/dev/kmsg; "
          "head -c 6000000 /dev/urandom | base64 | sed \"s/^/$c/\" | tee /home/user/big >/var/tmp/big; sync; echo 3 >/proc/sys/vm/drop_caches; head -c 6 /home/user/big")


def holds(path, what):
    """Does a file or an image hold these bytes anywhere? Holes are passed over."""
    with open(path, "rb") as f:
        end, at = os.fstat(f.fileno()).st_size, 0
        while at < end:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return False
            hole, last = os.lseek(f.fileno(), at, os.SEEK_HOLE), b""
            os.lseek(f.fileno(), at, os.SEEK_SET)
            while at < hole:
                b = os.read(f.fileno(), min(1 << 22, hole - at))
                if what in last + b:
                    return True
                last, at = b[-64:], at + len(b)
    return False


class Own:
    """An instance of its own on a file system of its own, whose image can be searched afterwards with all its free blocks."""

    def __init__(self, inst):
        self.dir = tempfile.mkdtemp(prefix="bh-ram-", dir=os.environ.get("BULKHEAD_TEST_DIR") or "/var/tmp")
        self.image, self.mnt = os.path.join(self.dir, "image"), os.path.join(self.dir, "m")
        os.mkdir(self.mnt)
        with open(self.image, "wb") as f:
            f.truncate(16 << 30)
        r = subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", self.image], capture_output=True)
        self.mounted = r.returncode == 0 and self.mount()
        if not self.mounted:
            shutil.rmtree(self.dir)
            raise bh.Skip("this machine cannot mount an image (loop devices, root)")
        self.inst = bh.Instance(build=inst.build, root=os.path.join(self.mnt, "r"))

    def mount(self):
        return subprocess.run(["mount", "-o", "loop", self.image, self.mnt], capture_output=True).returncode == 0

    def unmount(self):
        """Ends the instance: then all that it ever wrote is in the image, in files or in free blocks."""
        self.inst.close()
        self.inst.log.close()
        wait_for(lambda: subprocess.run(["umount", self.mnt], capture_output=True).returncode == 0, "the file system is free", 300, 0.2)
        self.mounted = False

    def close(self):
        if self.mounted:
            self.unmount()
        shutil.rmtree(self.dir, ignore_errors=True)


def secret_session(own, ram_only, qemu=None):
    """Starts the instance, spreads the canary in disposables for dom0 and for a qube, and gives what processes had open meanwhile."""
    own.inst.start()
    if TEMPLATE not in own.inst.states():
        own.inst.good("qvm-template", "build", TEMPLATE, timeout=3000)
        own.inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "dvm")
        own.inst.good("qvm-prefs", "dvm", "template_for_dispvms", "True")
    own.inst.good("qvm-features", "dvm", "ram-only", "1" if ram_only else "")
    p = subprocess.Popen([os.path.join(own.inst.bin, "qvm-run"), "-p", "-u", "root", "--dispvm=dvm", SPREAD + "; read x"], env=own.inst.env,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    equal(p.stdout.read(6), b"CaNaRy", "what was written is there")
    pid = own.inst.role_pids("qemu-system-x86_64")[0]
    files = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        mode = os.stat(f"/proc/{pid}/fd/{fd}")
        flags = int(re.search(r"flags:\s*(\d+)", open(f"/proc/{pid}/fdinfo/{fd}").read()).group(1), 8)
        if stat.S_ISREG(mode.st_mode) and flags & 3 != os.O_RDONLY:
            files.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    os.sync()  # what the host would write some day is written now, before the files are gone
    p.communicate(b"\n", timeout=300)
    wait_for(lambda: not [n for n in own.inst.states() if n.startswith("disp")], "the disposable is gone", 300)
    return files


@suite.test
def ram_only_leaves_no_byte(inst):
    """C+7: with the feature the canary is nowhere in the instance's files, logs and free blocks; without it the same search finds it."""
    own = Own(inst)
    try:
        files = secret_session(own, True)
        check(files and all(f.startswith("/memfd:") for f in files), f"what the machine could write to: {files}")
        equal([p for d, _, fs in os.walk(own.inst.root) for p in [os.path.join(d, f) for f in fs] if os.path.isfile(p) and holds(p, CANARY)], [], "files and logs with the canary")
        own.unmount()
        check(not holds(own.image, CANARY), "the image of the file system holds the canary")
        own.mounted = own.mount()
        check(own.mounted, "the image can be mounted again")
        files = secret_session(own, False)
        check(any(not f.startswith("/memfd:") for f in files), f"without the feature: {files}")
        own.unmount()
        check(holds(own.image, CANARY), "the search finds the canary when it is written to a disk")
    finally:
        own.close()


@suite.test
def host_crash(inst):
    """Everything of an instance dies at once with disposables running and starting: the next start finds no disposable and removes what is left of them."""
    own = bh.Instance(build=inst.build)
    try:
        own.start()
        own.good("qvm-template", "build", TEMPLATE, timeout=3000)
        own.good("qvm-create", "-l", "red", "-t", TEMPLATE, "dvm")
        own.good("qvm-prefs", "dvm", "template_for_dispvms", "True")
        own.good("qvm-create", "-C", "DispVM", "-l", "red", "-t", "dvm", "named")
        ps = [subprocess.Popen([os.path.join(own.bin, "qvm-run"), "-p", "--dispvm=dvm", "sleep 3600"], env=own.env, stdin=subprocess.DEVNULL)]
        up(own)
        ps += [subprocess.Popen([os.path.join(own.bin, "qvm-run"), "-p", "--dispvm=dvm", "sleep 3600"], env=own.env, stdin=subprocess.DEVNULL) for _ in range(2)]
        wait_for(lambda: len(disposables(own)) == 3, "one runs, two start", 300, 0.01)
        for p in ps:
            p.kill()
        while own.processes():
            for pid, _ in own.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            own.daemon.poll()
        for p in ps + [own.daemon]:
            p.wait()
        own.start()
        nothing_left(own)
        equal(own.state("named"), "Halted", "a named disposable stays")
        equal(own.run("qvm-run", "-p", "--dispvm=dvm", "echo again", timeout=900).out, b"again\n", "and the next one works")
        nothing_left(own)
    finally:
        own.close()


@suite.test
def memory_is_asked_for_first(inst):
    inst.good("qvm-prefs", "disp-t", "memory", "400000")
    r = inst.run("qvm-run", "-p", "--dispvm", "true", timeout=300)
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
            inst.run("qvm-kill", d, timeout=300)
        for p in ps:
            p.wait(600)
        nothing_left(inst)


@suite.test
def undo_of_a_move(inst):
    inst.sh("alpha", "rm -rf ~/un && mkdir -p ~/un/d && echo one >~/un/d/f && echo two >~/un/g")
    inst.sh("alpha", "cd ~/un && qvm-move-to-vm --undoable beta d g", timeout=300)
    equal(inst.sh("alpha", "ls -A ~/un").text, "", "they are gone")
    r = inst.sh("alpha", "qvm-move --undo")
    equal(inst.sh("alpha", "cat ~/un/d/f ~/un/g").text, "one\ntwo\n", f"they are back: {r}")
    equal(inst.sh("beta", "cat ~/QubesIncoming/alpha/d/f; rm -rf ~/QubesIncoming/alpha/d ~/QubesIncoming/alpha/g").text, "one\n", "the other qube keeps what it got")
    equal(inst.sh("alpha", "qvm-move --undo", ok=False).rc, 1, "nothing more to undo")
