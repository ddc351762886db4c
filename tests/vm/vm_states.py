# SPDX-License-Identifier: GPL-3.0-or-later
"""Saved states and preloaded disposables with real machines (docs/states.md): what is a clone's own, what invalidates, what is left when something breaks."""
import json
import os
import signal

import bh
from bh import check, equal, wait_for
from vm_setup import TEMPLATE

suite = bh.Suite("vm.states")
IDS = "cat /proc/sys/kernel/random/uuid /etc/machine-id; od -An -tx1 -N16 /dev/urandom; hostname"


def states(inst):
    return json.loads(inst.good("qvm-state", "--json").text)


def how(inst, qube):
    """clone or cold"""
    text = inst.good("qubesd-query", "-e", "dom0", "admin.vm.CurrentState", qube).text
    return text.split("start=")[1].split()[0].strip("\0") if "start=" in text else None


def app(inst):
    """The app qube of these tests, halted, with its state built."""
    if "saved" not in inst.states():
        inst.good("qvm-create", "-l", "orange", "-t", TEMPLATE, "--prop", "netvm=none", "saved")
    if inst.state("saved") != "Halted":
        inst.good("qvm-shutdown", "--wait", "saved", timeout=300)
    return inst.good("qvm-state", "build", "saved", timeout=1200).text.strip()


def template(inst):
    if "saved-dvm" not in inst.states():
        inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "--prop", "netvm=none", "--prop", "template_for_dispvms=True", "saved-dvm")
    return inst.good("qvm-state", "build", "saved-dvm", timeout=1200).text.strip()


def ready(inst, n):
    def full():
        pools = [p for p in json.loads(inst.good("qvm-state", "--json", "pool").text) if p["template"] == "saved-dvm"]
        names = [q["name"] for p in pools for q in p["preloaded"] if q["completed"]]
        return (names or True) if len(names) == n and sum(len(p["preloaded"]) for p in pools) == n else None
    return wait_for(full, f"{n} preloaded disposables: {inst.tail('qubesd.out', 2000)}", 600, 0.2)


@suite.test
def an_app_qube_continues_from_a_state(inst):
    app(inst)
    seen = []
    for i in range(2):
        inst.good("qvm-start", "saved", timeout=900)
        equal(how(inst, "saved"), "clone", f"start {i}")
        seen.append(inst.sh("saved", IDS).text.split("\n"))
        equal(seen[-1][3], "saved", "host name")
        if i == 0:
            inst.sh("saved", "echo kept > ~/kept; sync")
        else:
            equal(inst.sh("saved", "cat ~/kept").text, "kept\n", "a file in its home after a shutdown")
        equal(inst.sh("saved", "qubesdb-read /name; findmnt -no SOURCE /rw").text.split(), ["saved", "/dev/xvdb"], "QubesDB and private volume")
        import time
        before = time.time()
        check(before - 60 < int(inst.sh("saved", "date +%s").text) < time.time() + 60, "the clock is set")
        inst.good("qvm-shutdown", "--wait", "saved", timeout=300)
    check(seen[0][0] != seen[1][0] and seen[0][2] != seen[1][2], f"two clones differ in everything random: {seen}")
    equal(seen[0][1], seen[1][1], "the machine-id of an app qube stays its own")


@suite.test
def memory_changes_the_kind(inst):
    old = app(inst)
    inst.good("qvm-prefs", "saved", "memory", "432")
    inst.good("qvm-start", "saved", timeout=900)
    equal(how(inst, "saved"), "cold", "start with other memory")
    kib = int(inst.sh("saved", "grep MemTotal /proc/meminfo").text.split()[1])
    inst.good("qvm-kill", "saved")
    new = app(inst)
    check(new != old, "another key")
    inst.good("qvm-start", "saved", timeout=900)
    equal(how(inst, "saved"), "clone", "start after the build")
    equal(int(inst.sh("saved", "grep MemTotal /proc/meminfo").text.split()[1]), kib, "memory of the clone")
    inst.good("qvm-kill", "saved")
    inst.good("qvm-prefs", "-D", "saved", "memory")


@suite.test
def a_damaged_state_boots(inst):
    key = app(inst)
    wait_for(lambda: next(s for s in states(inst) if s["key"] == key)["disk"], "the state on the disk", 300)
    for pid in inst.role_pids("state-holder"):
        os.kill(pid, signal.SIGKILL)
    path = os.path.join(inst.root, "lib", "states", key, "device")
    with open(path, "r+b") as f:
        f.truncate(os.path.getsize(path) // 2)
    inst.good("qvm-start", "saved", timeout=900)
    equal(how(inst, "saved"), "cold", "start with half a state")
    equal(inst.sh("saved", "echo works").text, "works\n", "a call")
    inst.good("qvm-kill", "saved")


@suite.test
def disposables_from_a_state(inst):
    key = template(inst)
    inst.good("qvm-state", "preload", "saved-dvm", "0")
    ready(inst, 0)
    clones = next(s for s in states(inst) if s["key"] == key)["clones"]
    one, two = (inst.good("qvm-run", "-p", "--dispvm=saved-dvm", IDS, timeout=900).text.split("\n") for _ in range(2))
    check(one[0] != two[0] and one[1] != two[1] and one[2] != two[2], f"two disposables differ: {one} {two}")
    check(one[3] != two[3] and one[3].startswith("disp"), "their names")
    row = next(s for s in states(inst) if s["key"] == key)
    equal((row["status"], row["clones"]), ("ready", clones + 2), "their state")


@suite.test
def preloaded_disposables(inst):
    template(inst)
    inst.good("qvm-state", "preload", "saved-dvm", "2")
    names = ready(inst, 2)
    for n in names:
        equal(inst.state(n), "Paused", n)
        equal(how(inst, n), "clone", n)
    got = [inst.good("qvm-run", "-p", "--dispvm=saved-dvm", IDS, timeout=900).text.split("\n") for _ in range(2)]
    check({g[3] for g in got} & set(names), f"preloaded ones were used: {got} {names}")
    check(got[0][0] != got[1][0] and got[0][1] != got[1][1] and got[0][2] != got[1][2], f"they differ: {got}")
    new = ready(inst, 2)
    inst.good("qvm-kill", new[0])
    check(new[0] not in ready(inst, 2), "a killed one is replaced")


@suite.test
def a_core_that_dies_keeps_preloaded_ones(inst):
    inst.good("qvm-state", "preload", "saved-dvm", "2")
    names = ready(inst, 2)
    for p, argv in inst.processes():
        if argv and b"--core" in argv:
            os.kill(p, signal.SIGKILL)
    wait_for(lambda: inst.state_or_none(names[0]) == "Paused", "the core to come back", 300)
    equal(ready(inst, 2), names, "what was ready is ready")
    equal(inst.good("qvm-run", "-p", "--dispvm=saved-dvm", "hostname", timeout=900).text.strip(), names[0], "who answers")


@suite.test
def a_changed_template_discards(inst):
    names = ready(inst, 2)
    inst.good("qvm-start", TEMPLATE, timeout=900)
    inst.good("qvm-shutdown", "--wait", TEMPLATE, timeout=300)
    wait_for(lambda: not set(names) & set(inst.states()), "the old ones to go", 300)
    inst.good("qvm-state", "preload", "saved-dvm", "1")
    check(ready(inst, 1)[0] not in names, "a new one")
    inst.good("qvm-state", "preload", "saved-dvm", "0")
    ready(inst, 0)
