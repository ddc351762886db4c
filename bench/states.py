# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of saved states and preloaded disposables. A call is what a qube asks of a new disposable: qubes.VMExec+true to @dispvm. The rows are named as the reference's:
vm-dispvm (a new one; here from a saved state), vm-dispvm-preload (a warm one), with -concurrent for four at once; dom0-dispvm is qvm-run --dispvm. Without a suffix the time is
that at the host, from the request's arrival to the end of the call as the trace log has it (clean-up excluded); -seen is measured in the calling qube; -cleanup ends when the
disposable is removed (clean-up included)."""
import json
import os
import threading
import time

import bh

DVM, APP, COLD = "bench-dvm", "bench-app", "bench-cold"
CALL = "qrexec-client-vm @dispvm:%s qubes.VMExec+true </dev/null" % DVM


def pool(inst):
    for p in json.loads(inst.good("qvm-state", "--json", "pool").text):
        if p["template"] == DVM:
            return [q["name"] for q in p["preloaded"] if q["completed"]], [q["name"] for q in p["preloaded"]]
    return [], []


def full(inst, n):
    def look():
        done, all_of_them = pool(inst)
        return (done or True) if len(done) == n == len(all_of_them) else None
    return bh.wait_for(look, f"{n} preloaded disposables", 3600, 0.5)


def preload(inst, n):
    inst.good("qvm-state", "preload", DVM, str(n))
    return full(inst, n)


def traces(inst):
    with open(os.path.join(inst.root, "log", "qrexec-trace.log")) as f:
        return [t for t in map(json.loads, f) if t["service"].startswith("qubes.VMExec") and not t.get("failed")]


def prepare(inst, tpl):
    inst.good("qvm-create", "-l", "red", "-t", tpl, "--prop", "netvm=none", "--prop", "template_for_dispvms=True", DVM)
    for q in (APP, COLD):
        inst.good("qvm-create", "-l", "red", "-t", tpl, "--prop", "netvm=none", q)
    inst.good("qvm-features", COLD, "fast-start", "")
    inst.write_policy("12-bench.policy", f"qubes.VMExec * alpha @dispvm:{DVM} allow\n")
    inst.good("qvm-start", "--skip-if-running", "alpha", timeout=900)
    inst.sh("alpha", "/usr/lib/bulkhead/boot wait", user="root", timeout=900)
    inst.sh("alpha", CALL, ok=False, timeout=900)
    for q in (APP, DVM):
        t = time.monotonic()
        inst.good("qvm-state", "build", q, timeout=1800)
        yield time.monotonic() - t


def one(inst):
    """(ms at the host, ms seen in the calling qube, ms until the disposable is gone) of one call."""
    n, begin = len(traces(inst)), time.monotonic()
    out = inst.sh("alpha", "a=$(date +%s%N); " + CALL + "; b=$(date +%s%N); echo $(((b-a)/1000))", timeout=900).text
    line = bh.wait_for(lambda: (traces(inst)[n:] or None), "the line of the trace", 60, 0.005)[0]
    bh.wait_for(lambda: line["target"] not in inst.states(), "the disposable to go", 120, 0.005)
    gone = time.monotonic() - begin
    return line["total"], int(out) / 1000, gone * 1000


def calls(inst, name, n, ready, figure, bar=""):
    got = []
    for _ in range(n):
        if ready:
            full(inst, ready)
        got.append(one(inst))
    for i, (suffix, note) in enumerate((("", "at the host" + bar), ("-seen", "seen in the calling qube"), ("-cleanup", "clean-up included: until it is removed; the caller's shell included"))):
        figure(name + suffix, [g[i] for g in got], "ms", note)


def together(inst, name, n, ready, figure):
    """Four calls at once: each by itself at the host, and all four until the last disposable is removed."""
    cleaned = []
    got = []
    for _ in range(max(3, n // 4)):
        if ready:
            full(inst, ready)
        before, begin = len(traces(inst)), time.monotonic()
        ts = [threading.Thread(target=inst.sh, args=("alpha", CALL), kwargs={"timeout": 900}) for _ in range(4)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()
        lines = bh.wait_for(lambda: traces(inst)[before:] if len(traces(inst)) >= before + 4 else None, "four lines of the trace", 60)
        got += [t["total"] for t in lines]
        bh.wait_for(lambda: not {t["target"] for t in lines} & set(inst.states()), "the four disposables to go", 300, 0.005)
        cleaned.append((time.monotonic() - begin) * 1000)
    figure(name, got, "ms", "four at once, at the host")
    figure(name + "-cleanup", cleaned, "ms", "clean-up included: until all four are removed; the callers' shells included")


def from_dom0(inst, name, n, ready, figure):
    """qvm-run --dispvm: the tool's start, the disposable, one program, and its removal."""
    got, cleaned = [], []
    for _ in range(n):
        if ready:
            full(inst, ready)
        begin = time.monotonic()
        inst.good("qvm-run", "-p", "--no-shell", "--dispvm=" + DVM, "true", timeout=900)
        got.append((time.monotonic() - begin) * 1000)
        # the filler may make another one meanwhile, which is in the queue from the moment that it exists
        bh.wait_for(lambda: not [q for q in inst.states() if q.startswith("disp") and q not in pool(inst)[1]], "the disposable to go", 120, 0.005)
        cleaned.append((time.monotonic() - begin) * 1000)
    figure(name, got, "ms", "qvm-run -p --no-shell --dispvm=… true, from its start to its end")
    figure(name + "-cleanup", cleaned, "ms", "clean-up included")


def qemu(inst, name):
    return next(p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0]) and any(name.encode() in x for x in a))


def app(inst, n, figure):
    """Start to first answer: clone and boot in turn."""
    out = {"clone": [], "cold": []}
    cpu = {"clone": [], "cold": []}
    for _ in range(n):
        for how, q in (("clone", APP), ("cold", COLD)):
            t = time.monotonic()
            inst.good("qvm-start", q, timeout=900)
            inst.good("qvm-run", "-p", "--no-shell", q, "true", timeout=900)
            out[how].append(time.monotonic() - t)
            cpu[how].append(bh.cpu_seconds(qemu(inst, q)))
            text = inst.good("qubesd-query", "-e", "dom0", "admin.vm.CurrentState", q).text
            bh.check("start=" + how in text, f"{q} was not started as {how}: {text}")
            inst.good("qvm-kill", q, timeout=300)
    figure("app-saved", out["clone"], "s", "qvm-start and the first call, from a saved state; bar: 1.2")
    figure("app-saved-cpu", cpu["clone"], "s", "CPU seconds of QEMU until then")
    figure("app-cold", out["cold"], "s", "a qube like it booted, in turn")
    figure("app-cold-cpu", cpu["cold"], "s", "CPU seconds of QEMU until then")


def new_disposable(inst):
    return inst.good("qubesd-query", "-e", "dom0", "admin.vm.CreateDisposable", DVM).text.split("\0")[1].strip()


def by_hand(inst, n, ready, name, figure):
    """CPU seconds of a disposable's QEMU from being asked for to the end of its first program."""
    got = []
    for _ in range(max(3, n // 3)):
        before = {}
        if ready:
            before = {q: bh.cpu_seconds(qemu(inst, q)) for q in full(inst, ready)}
        q = new_disposable(inst)
        inst.good("qvm-run", "-p", "--no-shell", q, "true", timeout=900)
        got.append(bh.cpu_seconds(qemu(inst, q)) - before.get(q, 0))
        inst.good("qvm-kill", q, timeout=300)
    figure(name, got, "s", "CPU seconds of its QEMU")


def memory(inst, n, figure):
    names = preload(inst, n)
    ms = [bh.memory_kib(qemu(inst, q)) for q in names]
    figure("warm-private", [(m["Private_Dirty"] + m["Private_Clean"]) / 1024 for m in ms], "MiB", f"of each of {n} idle warm clones; bar: 60")
    figure("warm-pss", [m["Pss"] / 1024 for m in ms], "MiB", f"of each of {n} idle warm clones")


def many(inst, n, figure):
    """So many disposables that run at once, four at a time."""
    names, lock, failed = [], threading.Lock(), []

    def work():
        while True:
            with lock:
                if len(names) >= n:
                    return
                q = new_disposable(inst)
                names.append(q)
            if inst.run("qvm-run", "-p", q, "true", timeout=1800).rc:
                failed.append(q)
    t = time.monotonic()
    ts = [threading.Thread(target=work) for _ in range(4)]
    for x in ts:
        x.start()
    for x in ts:
        x.join()
    bh.check(not failed, f"disposables that did not answer: {failed}")
    running = sum(1 for q, s in inst.states().items() if q in names and s == "Running")
    bh.check(running == n, f"{running} of {n} disposables run at once")
    figure("disposables-at-once", [n], "qubes", f"started and answered in {time.monotonic() - t:.0f} s")
    ms = [bh.memory_kib(qemu(inst, q)) for q in names]
    figure("disposables-at-once-private", [sum(m["Private_Dirty"] + m["Private_Clean"] for m in ms) / 1024], "MiB", "all their QEMUs together")
    inst.good("qvm-kill", *names, timeout=600)


def state_figures(inst, figure, n, tpl, with_many=False):
    figure("state-build", list(prepare(inst, tpl)), "s", "a machine booted and saved, in the background")
    app(inst, n, figure)
    calls(inst, "vm-dispvm", n, 0, figure, "; from a saved state with nothing running; bar: 700")
    together(inst, "vm-dispvm-concurrent", n, 0, figure)
    from_dom0(inst, "dom0-dispvm", n, 0, figure)
    by_hand(inst, n, 0, "vm-dispvm-cpu", figure)
    preload(inst, 4)
    calls(inst, "vm-dispvm-preload", n, 4, figure, "; a preloaded one; bar: 60, seen in the calling qube 250")
    together(inst, "vm-dispvm-preload-concurrent", n, 4, figure)
    from_dom0(inst, "dom0-dispvm-preload", n, 4, figure)
    by_hand(inst, n, 4, "vm-dispvm-preload-cpu", figure)
    memory(inst, 12, figure)
    preload(inst, 0)
    if with_many:
        many(inst, 60, figure)
    inst.good("qvm-features", DVM, "fast-start", "")
    calls(inst, "vm-dispvm-cold", max(3, n // 4), 0, figure, "; booted")
