# SPDX-License-Identifier: GPL-3.0-or-later
"""qvm-update: a template and a standalone qube without a network are updated from a signed repository through qubes.UpdatesProxy; each package crosses once; a crash in the
middle leaves the state before; rollback."""
import glob
import json
import os
import signal
import subprocess
import threading

import bh
from aptrepo import Repo
from bh import check, equal

suite = bh.Suite("vm.updates")
TEMPLATE = "debian-12-minimal"
PROBE = "/usr/bin/less"  # of a package that every template has and nothing else needs
state = {}


def debugfs(image, *commands):
    script = "".join(c + "\n" for c in commands)
    r = subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", image], input=script.encode(), capture_output=True, check=True)
    return r.stdout.decode("utf-8", "replace")


def template_image(inst):
    """Root of the shared template as one raw file, with our repository as its only source."""
    copy = os.path.join(inst.root, "root-copy.img")
    src = glob.glob(os.path.join(os.path.expanduser("~/.cache/bulkhead/templates"), TEMPLATE, "root.img"))
    check(src, "the cached image of the template")
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", src[0], copy], check=True)
    repo = state["repo"]
    sources = os.path.join(repo.dir, "sources.list")
    with open(sources, "w") as f:
        f.write(repo.source("/etc/apt/test.gpg"))
    debugfs(copy, "rm /etc/apt/sources.list", "rm /etc/apt/sources.list.d/0000sources.list", f"write {sources} /etc/apt/sources.list", f"write {repo.key} /etc/apt/test.gpg",
            "sif /etc/apt/test.gpg mode 0100644", "sif /etc/apt/sources.list mode 0100644")
    return copy


def head_of(inst, qube):
    return inst.good("qvm-volume", "info", f"{qube}:root", "revisions").text


def update(inst, *args, rc=0, timeout=1500):
    r = inst.run("qvm-update", "--no-progress", "--json", *args, timeout=timeout)
    equal(r.rc, rc, f"exit status of qvm-update {args}: {r}")
    return json.loads(r.text)


def log_of(inst, qube):
    try:
        return open(os.path.join(inst.root, "log", "update", qube + ".log")).read()
    except FileNotFoundError:
        return ""


@suite.test
def prepare(inst):
    repo = state["repo"] = Repo()
    state["old"] = repo.package("less", "9990.1", {PROBE: "#!/bin/sh\necho probe-1\n"})
    repo.publish(state["old"])
    with open(os.path.join(inst.root, "etc", "updates-proxy.conf"), "w") as f:
        f.write(f"apt no\nproxy none\nallow localhost:{repo.port} private\n")
    check("85-session-uplink.policy" in os.listdir(os.path.join(inst.root, "etc", "policy.d")), "the rule of session mode")
    image = template_image(inst)
    inst.good("qvm-create", "--class", "TemplateVM", "-l", "black", "upd1")
    inst.good("qvm-volume", "import", "upd1:root", image, timeout=600)
    os.unlink(image)
    inst.good("qvm-clone", "--class", "StandaloneVM", "upd1", "upd2")
    inst.good("qvm-create", "-l", "yellow", "-t", "upd1", "updapp")
    equal(inst.good("qvm-update", "--dry-run", "--targets", "upd1,upd2").text.split(), ["upd1", "upd2"], "--dry-run")
    equal(inst.run("qvm-update", "nosuch").rc, 2, "a qube that is not there")
    equal(inst.run("qvm-update", "updapp").rc, 2, "an app qube")
    equal(inst.run("qvm-update", "rollback", "upd1").rc, 1, "nothing to take back")
    inst.good("qvm-start", "updapp", timeout=900)


@suite.test
def two_at_once(inst):
    """A template and a standalone qube, neither of which has a network."""
    repo = state["repo"]
    out = update(inst, "upd1", "upd2")
    equal([(x["name"], x["outcome"], x["code"], x["packages"]) for x in out["targets"]], [("upd1", "updated", 0, 1), ("upd2", "updated", 0, 1)], "outcomes")
    equal(repo.count(state["old"]), 1, "the package crossed the network")
    equal(out["restart"], ["updapp"], "who runs on the state before")
    equal({inst.state("upd1"), inst.state("upd2")}, {"Halted"}, "they did not run before")
    equal(inst.prop("upd2", "netvm"), "None", "the standalone qube has no network")
    for t in ("upd1", "upd2"):
        f = dict(line.split(None, 1) for line in inst.good("qvm-features", t).text.splitlines() if len(line.split(None, 1)) == 2)
        check(f.get("last-updates-check", "").startswith("20") and "update-before" in f and "update-unfinished" not in f, f"features of {t}: {f}")
        equal(f.get("updates-available", ""), "", "updates-available")
        check("less 551-2 9990.1" in log_of(inst, t) or " 9990.1" in log_of(inst, t), f"the log of {t} names the change")
    equal(inst.good("qvm-ls", "--raw-data", "-O", "NAME,OUTDATED", "updapp").text.strip(), "updapp|yes", "the mark of qvm-ls")
    check("updapp" not in inst.good("qvm-ls", "--pending-update", "--raw-list").text, "nothing is pending")
    log = open(os.path.join(inst.root, "log", "updates-proxy.log")).read()
    check("upd1: " in log and "upd2: " in log, "the proxy's log says for whom")


@suite.test
def the_qube_has_it_after_a_restart(inst):
    inst.good("qvm-shutdown", "--wait", "updapp", timeout=300)
    inst.good("qvm-start", "updapp", timeout=900)
    equal(inst.sh("updapp", "less").text.strip(), "probe-1", "the new package")
    r = inst.sh("updapp", "/usr/lib/qubes/apt-proxy; ss -ltn 2>/dev/null | grep -c 8082; true")
    equal(r.text.split(), ["DIRECT", "0"], "an app qube has no way out")


@suite.test
def interrupted(inst):
    """Ctrl-C: the qube is shut down, and is what it was."""
    before, text = head_of(inst, "upd1"), log_of(inst, "upd1")
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-update"), "--no-progress", "upd1"], env=inst.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    bh.wait_for(lambda: "update-unfinished" in inst.good("qvm-features", "upd1").text, "the update to begin", timeout=900, step=0.5)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=600)
    equal(p.returncode, 130, f"status: {out!r} {err!r}")
    check(b"interrupted" in out, f"it is told: {out!r}")
    equal((inst.state("upd1"), head_of(inst, "upd1")), ("Halted", before), "upd1")
    check("update-unfinished" not in inst.good("qvm-features", "upd1").text, "no mark is left")
    check(len(log_of(inst, "upd1")) > len(text), "its log")


@suite.test
def killed_in_the_middle(inst):
    """kill -9 of the machine while dpkg works: the template is what it was; so is what runs on it."""
    repo = state["repo"]
    new = repo.package("less", "9990.2", {PROBE: "#!/bin/sh\necho probe-2\n"}, postinst="#!/bin/sh\necho waiting-for-the-end\nwhile :; do sleep 1; done\n")
    repo.publish(new)
    before = head_of(inst, "upd1")
    result = {}
    t = threading.Thread(target=lambda: result.update(r=inst.run("qvm-update", "--no-progress", "upd1", timeout=1500)))
    t.start()
    bh.wait_for(lambda: "waiting-for-the-end" in log_of(inst, "upd1"), "dpkg at work", timeout=900, step=0.5)
    equal(inst.good("qvm-features", "upd1", "update-unfinished").text.strip(), "1", "the mark")
    pids = [p for p, argv in inst.processes() if b"qemu-system" in (argv[0] if argv else b"") and any(b"upd1" in a for a in argv)]
    check(pids, "the machine of upd1")
    os.kill(pids[0], signal.SIGKILL)
    t.join(600)
    check(not t.is_alive(), "qvm-update ended")
    r = result["r"]
    check(r.rc >= 20 and "failed" in r.text, f"the failure is told: {r}")
    bh.wait_for(lambda: inst.state("upd1") == "Halted", "the end of upd1", timeout=300)
    equal(head_of(inst, "upd1"), before, "no new state was kept")
    check("update-unfinished" not in inst.good("qvm-features", "upd1").text, "the mark is gone")
    equal(inst.good("qvm-volume", "info", "updapp:root", "is_outdated").text.strip(), "False", "the app qube runs on the present state")
    check(not glob.glob(os.path.join(inst.root, "lib", "vm-templates", "upd1", "root-dirty*")), "nothing is left in use")


@suite.test
def back_and_forth(inst):
    inst.good("qvm-shutdown", "--wait", "updapp", timeout=300)
    r = inst.good("qvm-update", "rollback", "upd1", timeout=300)
    check("as it was before" in r.errtext, f"{r}")
    heads = sorted(glob.glob(os.path.join(inst.root, "lib", "vm-templates", "upd1", "root*.img")), key=lambda f: os.stat(f).st_mtime)
    text = subprocess.run(["debugfs", "-R", f"cat {PROBE}", heads[-1]], capture_output=True, check=True).stdout
    check(b"probe-1" not in text and len(text) > 10000, "less is the program that it was before the update")
    inst.good("qvm-update", "rollback", "upd1", timeout=300)
    inst.good("qvm-start", "updapp", timeout=900)
    equal(inst.sh("updapp", "less").text.strip(), "probe-1", "forth again")


@suite.test
def clean(inst):
    inst.good("qvm-kill", "updapp")
    inst.good("qvm-remove", "-f", "updapp", "upd1", "upd2")
    state["repo"].close()
