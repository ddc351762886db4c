# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of a real qube that the policy asks about, answered in a terminal."""
import json
import os
import threading

import bh
from bh import check, equal, wait_for
from terminal import Terminal

suite = bh.Suite("vm.ask")


class Copy(threading.Thread):
    """qvm-copy in beta: a call without a target, for which the default policy says ask."""

    def __init__(self, inst, name):
        super().__init__(daemon=True)
        self.inst, self.name_, self.r = inst, name, None
        self.start()

    def run(self):
        self.r = self.inst.sh("beta", f"echo text of {self.name_} >{self.name_} && qvm-copy {self.name_}", ok=False, timeout=600)

    def result(self):
        self.join(600)
        check(self.r, "qvm-copy did not end")
        return self.r


def last_log(inst):
    with open(os.path.join(inst.root, "log", "policy.log")) as f:
        return [x for x in map(json.loads, f) if x["service"] == "qubes.Filecopy"][-1]


@suite.test
def asked_and_allowed(inst):
    equal(json.loads(inst.run("bulkhead", "status", "--json").text)["prompt"], "none", "prompt")
    r = Copy(inst, "f0").result()
    equal((r.rc, last_log(inst)["reason"]), (126, "ask, but no prompt is running"), f"without a prompt: {r}")
    t = Terminal(inst.build, inst.root)
    try:
        t.expect("Questions of the policy")
        equal(json.loads(inst.run("bulkhead", "status", "--json").text)["prompt"], "terminal", "prompt")
        c = Copy(inst, "f1")
        t.expect("Qube beta wants to copy files to another qube.")
        at = t.expect("Number of the qube")
        number = next(line.split()[0] for line in t.out.decode().splitlines() if line.split()[1:2] == ["alpha"])
        t.type(number + "\n")
        t.expect("Let beta copy files to alpha?", 0)
        t.type("yes\n")
        r = c.result()
        equal(r.rc, 0, f"qvm-copy: {r}")
        equal(inst.sh("alpha", "cat QubesIncoming/beta/f1").text.strip(), "text of f1", "the file")
        equal((last_log(inst)["decision"], last_log(inst)["action"], last_log(inst)["effective_target"]), ("allow", "ask", "alpha"), "log")
        c = Copy(inst, "f2")
        at = t.expect("Number of the qube", at)
        t.type("n\n")
        equal(c.result().rc, 126, "refused")
        # The qube is killed with its question open.
        c = Copy(inst, "f3")
        at = t.expect("Number of the qube", at)
        inst.good("qvm-kill", "beta")
        t.expect("The question was taken back.", at)
        c.result()
    finally:
        t.end()
        inst.good("qvm-start", "beta", timeout=900)
    wait_for(lambda: json.loads(inst.run("bulkhead", "status", "--json").text)["prompt"] == "none", "end of the prompt", 300)
