# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones of one saved state, in real qubes: that they share nothing that must be a qube's own (docs/states.md §4)."""
import os
import re
import signal

from bh import Suite, check, equal, wait_for
from vm_setup import TEMPLATE

suite = Suite("vm.clones")
N = 8
NAMES = [f"clone{i}" for i in range(N)]
# The first thing that a clone runs: random bytes before everything else. The host key is made, as sshd's is at its first start.
PROBE = r"""
od -An -tx1 -N16 /dev/urandom | tr -d ' \n'; echo
od -An -tx1 -N16 /dev/urandom | tr -d ' \n'; echo
cat /proc/sys/kernel/random/uuid
mktemp -u /tmp/XXXXXXXXXXXX
cat /etc/machine-id
hostname
qubesdb-read /name
if command -v ssh-keygen >/dev/null; then ssh-keygen -q -t ed25519 -N '' -f /tmp/hk && cat /tmp/hk.pub; else od -An -tx1 -N32 /dev/random | tr -d ' \n'; echo; fi
awk '$2 == "/rw" {print $1}' /proc/mounts
df -k --output=size /rw | tail -1
grep 127.0.1.1 /etc/hosts
date +%s"""
FIELDS = "urandom1 urandom2 uuid mktemp machine_id hostname qubesdb hostkey rw_device rw_kib hosts time".split()


def start_kind(inst, name):
    r = inst.good("qubesd-query", "dom0", "admin.vm.CurrentState", name, "")
    m = re.search(r"start=(\w+)", r.text)
    return m.group(1) if m else "?"


def states(inst):
    return inst.good("qubesd-query", "dom0", "admin.state.List", "dom0", "").text


def saved(inst, name):
    """Builds the state of a qube's kind, if there is none."""
    inst.good("qubesd-query", "dom0", "admin.vm.state.Build", name, "", timeout=900)
    wait_for(lambda: re.search(r"[0-9a-f]{32}", states(inst)) and "building" not in states(inst), "a saved state", 900, 1)


def probe(inst, name):
    if inst.state(name) == "Halted":
        inst.good("qvm-start", name, timeout=600)
    lines = inst.sh(name, PROBE, user="root", timeout=300).text.strip().split("\n")
    equal(len(lines), len(FIELDS), f"lines of {name}: {lines}")
    return dict(zip(FIELDS, (x.strip() for x in lines)))


def prepare(inst):
    for i, n in enumerate(NAMES):
        if n not in inst.states():
            inst.good("qvm-create", "-l", "gray", "-t", TEMPLATE, n)
    saved(inst, NAMES[0])


@suite.test
def eight_clones_differ(inst):
    prepare(inst)
    inst.good("qvm-volume", "resize", "clone1:private", "3GiB")
    seen = {}
    for n in NAMES:
        began = __import__("time").time()
        seen[n] = probe(inst, n)
        equal(start_kind(inst, n), "clone", f"how {n} was started")
        seen[n]["host_time"] = began, __import__("time").time()
    for f in ("urandom1", "urandom2", "uuid", "mktemp", "machine_id", "hostkey"):
        values = {v[f] for v in seen.values()}
        equal(len(values), N, f"different values of {f}: {values}")
    for n, v in seen.items():
        equal((v["hostname"], v["qubesdb"]), (n, n), "names")
        check(v["hosts"].split()[1:] == [n], f"hosts of {n}: {v['hosts']}")
        check(re.fullmatch("[0-9a-f]{32}", v["machine_id"]), f"machine id {v['machine_id']}")
        equal(v["machine_id"], inst.prop(n, "uuid").replace("-", ""), "the machine id is the qube's")
        check(v["host_time"][0] - 60 < int(v["time"]) < v["host_time"][1] + 60, f"clock of {n}: {v['time']} at {v['host_time']}")
        check(v["rw_device"].startswith("/dev/"), f"/rw of {n}: {v['rw_device']}")
    # A private volume of another size than the others', and than the source's, is whole.
    check(int(seen["clone1"]["rw_kib"]) > 2500000 > int(seen["clone2"]["rw_kib"]), f"sizes: {[v['rw_kib'] for v in seen.values()]}")


@suite.test
def what_a_clone_writes_stays_its_own(inst):
    inst.sh("clone0", "echo of-clone0 > /rw/mark; echo of-clone0 > /etc/mark; sync", user="root")
    equal(inst.sh("clone2", "cat /rw/mark /etc/mark", user="root", ok=False).out, b"", "another clone of the same state")
    inst.good("qvm-kill", "clone0", "clone2", timeout=300)
    inst.good("qvm-start", "clone0", timeout=600)
    equal(start_kind(inst, "clone0"), "clone", "started again")
    equal(inst.sh("clone0", "cat /rw/mark; cat /etc/mark 2>/dev/null || echo gone", user="root").text.split(), ["of-clone0", "gone"], "private stays, root is thrown away")
    equal(probe(inst, "clone0")["machine_id"], inst.prop("clone0", "uuid").replace("-", ""), "the same machine at its next start")


@suite.test
def a_paused_clone_answers_after_it_goes_on(inst):
    import subprocess
    inst.good("qvm-pause", "clone3")
    wait_for(lambda: inst.state("clone3") == "Paused", "pause")
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "clone3", "echo through"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=inst.env)
    try:
        # The call itself makes a paused qube go on; whichever is first.
        r = inst.run("qvm-unpause", "clone3")
        check(r.rc == 0 or "is Running" in r.errtext, f"{r}")
        out, _ = p.communicate(timeout=300)
        equal(out, b"through\n", "the call that came in the pause")
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()


@suite.test
def the_system_goes_on(inst):
    """Root's programs waited while the clone woke (SCHED_IDLE is 5); a few seconds later they are as they were. Such priorities need a kernel without automatic groups."""
    wait_for(lambda: inst.sh("clone5", "cut -d' ' -f41 /proc/1/stat", user="root", timeout=300).text.strip() == "0", "systemd goes on", 300, 1)
    equal(inst.sh("clone5", "cat /proc/sys/kernel/sched_autogroup_enabled", user="root", timeout=300).text.strip(), "0", "automatic groups")


@suite.test
def killing_leaves_nothing(inst):
    """A clone hangs on its linkd like any qube; the state and its other clones go on without it."""
    for role in ("linkd", "qemu-system-x86_64"):
        if inst.state("clone4") == "Halted":
            inst.good("qvm-start", "clone4", timeout=600)
        pids = inst.role_pids(role, "clone4")
        check(pids, f"{role} of clone4")
        os.kill(pids[0], signal.SIGKILL)
        wait_for(lambda: inst.state("clone4") == "Halted", f"end of clone4 after {role}", 300)
        wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon", "qemu-system-x86_64") if inst.role_pids(r, "clone4")], "no role is left", 300)
    equal(inst.sh("clone5", "echo on").text.strip(), "on", "a sibling")


@suite.test
def tidy(inst):
    inst.good("qvm-kill", *[n for n in NAMES if inst.state(n) != "Halted"], timeout=300)
    for n in NAMES:
        inst.good("qvm-remove", "-f", n)
