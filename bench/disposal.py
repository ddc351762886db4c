# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a disposable lives on after its call: from the end of the service to the last process gone, all files removed, and the name unknown."""
import os
import re
import subprocess
import time

import bh


def gone(pids, paths):
    return not any(os.path.exists(f"/proc/{p}") and open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX" for p in pids) and not any(map(os.path.exists, paths))


def safe_gone(pids, paths):
    try:
        return gone(pids, paths)
    except OSError:
        return False  # it ended while it was looked at


def one(inst, template):
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", f"--dispvm={template}", "hostname; read x"], env=inst.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    name = p.stdout.readline().decode().strip()
    qid = inst.prop(name, "qid")
    run = os.path.join(inst.root, "run", "q", qid)
    pids = re.findall(r"^\S+ (\d+) ", open(os.path.join(run, "pids")).read(), re.M)
    bh.check(len(pids) >= 4, f"processes of {name}: {pids}")
    logs = [os.path.join(inst.root, "log", f"{role}.{name}.log") for role in ("guest", "qemu", "linkd")]
    p.stdin.write(b"\n")
    t = time.monotonic()
    p.stdin.close()
    while not safe_gone(pids, [run] + logs):
        bh.check(time.monotonic() - t < 60, f"{name} stays")
        time.sleep(0.002)
    took = time.monotonic() - t
    p.wait()
    bh.wait_for(lambda: name not in inst.states(), f"{name} is unknown", 60, 0.01)
    return took * 1000


def disposal_figures(inst, n, figure, template="debian-12-minimal"):
    inst.good("qvm-create", "-l", "red", "-t", template, "bench-dvm")
    inst.good("qvm-prefs", "bench-dvm", "template_for_dispvms", "True")
    inst.good("qvm-prefs", "bench-dvm", "netvm", "")
    figure("disposable-gone", [one(inst, "bench-dvm") for _ in range(n)], "ms", "end of the call's input → service ended, all processes gone, files and logs removed")
    inst.good("qvm-remove", "-f", "bench-dvm")
