# SPDX-License-Identifier: GPL-3.0-or-later
"""What survives a restart, by class of qube (requirements B20, C+10)."""
import bh
from bh import check, equal

suite = bh.Suite("vm.persist")

PATHS = ["/home/user/x", "/rw/x", "/rw/config/x", "/usr/local/bin/x", "/usr/bin/x", "/etc/x", "/var/lib/x", "/var/log/x", "/opt/x",
         "/root/x", "/tmp/x", "/srv/x", "/boot/x"]
KEEPS_APP = {"/home/user/x", "/rw/x", "/rw/config/x", "/usr/local/bin/x"}
KEEPS_ALL = set(PATHS) - {"/tmp/x"}


def mark(inst, qube):
    inst.sh(qube, "for p in " + " ".join(PATHS) + "; do mkdir -p $(dirname $p); echo mark >$p; done; sync", user="root")


def survivors(inst, qube):
    out = inst.sh(qube, "for p in " + " ".join(PATHS) + "; do [ -e $p ] && echo $p; done; true", user="root").text.split()
    return set(out)


@suite.test
def app_qube_keeps_only_rw(inst):
    inst.good("qvm-create", "-l", "yellow", "-t", "debian-12-minimal", "keeper")
    inst.good("qvm-start", "keeper", timeout=900)
    mark(inst, "keeper")
    equal(survivors(inst, "keeper"), set(PATHS), "marks before the restart")
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)
    equal(inst.state("keeper"), "Halted", "state")
    inst.good("qvm-start", "keeper", timeout=900)
    equal(survivors(inst, "keeper"), KEEPS_APP, "marks after the restart of an AppVM")


@suite.test
def killed_qube_keeps_synced_data(inst):
    inst.sh("keeper", "echo synced >/home/user/synced; sync")
    inst.good("qvm-kill", "keeper")
    inst.good("qvm-start", "keeper", timeout=900)
    equal(inst.sh("keeper", "cat /home/user/synced").text.strip(), "synced", "data synced before qvm-kill")


@suite.test
def bind_dirs(inst):
    inst.sh("keeper", "mkdir -p /rw/config/qubes-bind-dirs.d && echo \"binds+=( '/var/lib/bound' '/etc/bound.conf' )\" >/rw/config/qubes-bind-dirs.d/50_t.conf; "
                      "mkdir -p /rw/bind-dirs/var/lib/bound /rw/bind-dirs/etc; echo c >/rw/bind-dirs/etc/bound.conf", user="root")
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)
    inst.good("qvm-start", "keeper", timeout=900)
    inst.sh("keeper", "echo 1 >/var/lib/bound/file; cat /etc/bound.conf", user="root", ok=False)
    equal(inst.sh("keeper", "cat /rw/bind-dirs/var/lib/bound/file", user="root").text.strip(), "1", "a bound directory is written through to /rw")


@suite.test
def rc_local_runs(inst):
    inst.sh("keeper", "printf '#!/bin/sh\\ntouch /run/rc-local-ran\\n' >/rw/config/rc.local; chmod 755 /rw/config/rc.local", user="root")
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)
    inst.good("qvm-start", "keeper", timeout=900)
    bh.wait_for(lambda: inst.sh("keeper", "test -e /run/rc-local-ran", ok=False).rc == 0, "rc.local", 300, 1)
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)


@suite.test
def custom_persist_keeps_what_is_listed(inst):
    """Neither /home nor /usr/local, but the paths that dom0 lists; what a session left in /rw to be run is not run."""
    inst.good("qvm-service", "keeper", "custom-persist", "on")
    inst.good("qvm-features", "keeper", "custom-persist.kept", "dir:user:user:0750:/home/user/kept")
    inst.good("qvm-features", "keeper", "custom-persist.data", "dir:root:root:0755:/var/lib/data")
    inst.good("qvm-start", "keeper", timeout=900)
    equal(inst.sh("keeper", "stat -c '%U %a' /home/user/kept /var/lib/data").text.split("\n")[:2], ["user 750", "root 755"], "what was listed is made")
    mark(inst, "keeper")
    inst.sh("keeper", "echo 1 >/home/user/kept/file; echo 2 >/var/lib/data/file; sync", user="root")
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)
    inst.good("qvm-start", "keeper", timeout=900)
    equal(inst.sh("keeper", "cat /home/user/kept/file /var/lib/data/file").text.split(), ["1", "2"], "what was listed")
    equal(survivors(inst, "keeper"), {"/rw/x", "/rw/config/x"}, "marks with custom-persist")
    equal(inst.sh("keeper", "test -e /run/rc-local-ran", ok=False).rc, 1, "rc.local was not run")
    inst.good("qvm-shutdown", "--wait", "keeper", timeout=300)
    inst.good("qvm-remove", "-f", "keeper")
    check("keeper" not in inst.states(), "keeper is removed")


@suite.test
def template_keeps_everything(inst):
    """A template of its own: a clone, so that the shared one stays as it is."""
    inst.good("qvm-clone", "debian-12-minimal", "deb-other", timeout=600)
    equal(inst.good("qvm-prefs", "deb-other", "klass").text.strip(), "TemplateVM", "class of the clone")
    inst.good("qvm-start", "deb-other", timeout=900)
    mark(inst, "deb-other")
    inst.good("qvm-shutdown", "--wait", "deb-other", timeout=300)
    inst.good("qvm-start", "deb-other", timeout=900)
    equal(survivors(inst, "deb-other"), KEEPS_ALL, "marks after the restart of a TemplateVM")
    inst.good("qvm-kill", "deb-other")


@suite.test
def home_of_a_template_is_not_that_of_its_qubes(inst):
    """Its root and nothing else is shared: /home and /usr/local of a new qube come from the root's skeletons, not from its /rw."""
    inst.good("qvm-create", "-l", "orange", "-t", "deb-other", "child")
    inst.good("qvm-start", "child", timeout=900)
    equal(survivors(inst, "child"), KEEPS_ALL - KEEPS_APP, "what a qube sees of its template")
    inst.good("qvm-prefs", "child", "template_for_dispvms", "True")
    mark(inst, "child")
    inst.good("qvm-shutdown", "--wait", "child", timeout=300)


@suite.test
def disposable_keeps_nothing(inst):
    inst.good("qvm-create", "-C", "DispVM", "-l", "red", "-t", "child", "throw")
    inst.good("qvm-start", "throw", timeout=900)
    equal(survivors(inst, "throw"), KEEPS_ALL, "what a disposable sees of its template's root and of its template's /rw")
    inst.sh("throw", "for p in " + " ".join(PATHS) + "; do echo own >>$p; done; sync", user="root")
    inst.good("qvm-shutdown", "--wait", "throw", timeout=300)
    inst.good("qvm-start", "throw", timeout=900)
    out = inst.sh("throw", "grep -l own " + " ".join(PATHS) + "; true", user="root").text
    equal(out, "", "own marks after the restart of a DispVM")
    inst.good("qvm-kill", "throw")
    inst.good("qvm-remove", "-f", "throw", "child", "deb-other")


@suite.test
def standalone_keeps_everything(inst):
    inst.good("qvm-create", "-C", "StandaloneVM", "-l", "gray", "-t", "debian-12-minimal", "alone", timeout=600)
    inst.good("qvm-start", "alone", timeout=900)
    mark(inst, "alone")
    inst.good("qvm-shutdown", "--wait", "alone", timeout=300)
    inst.good("qvm-start", "alone", timeout=900)
    equal(survivors(inst, "alone"), KEEPS_ALL, "marks after the restart of a StandaloneVM")
    inst.good("qvm-kill", "alone")
    inst.good("qvm-remove", "-f", "alone")


@suite.test
def clone_has_the_data(inst):
    inst.good("qvm-create", "-l", "purple", "-t", "debian-12-minimal", "orig")
    inst.good("qvm-start", "orig", timeout=900)
    inst.sh("orig", "echo dna >/home/user/dna; sync")
    inst.good("qvm-shutdown", "--wait", "orig", timeout=300)
    inst.good("qvm-tags", "orig", "add", "seen")
    inst.good("qvm-clone", "orig", "copy", timeout=300)
    inst.good("qvm-start", "copy", timeout=900)
    equal(inst.sh("copy", "cat dna; hostname").text.split(), ["dna", "copy"], "data and name of the clone")
    equal(inst.good("qvm-tags", "copy", "list", "seen").rc, 0, "tag")
    inst.good("qvm-kill", "copy")
    inst.good("qvm-remove", "-f", "orig", "copy")
