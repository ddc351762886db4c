# SPDX-License-Identifier: GPL-3.0-or-later
"""One template, many qubes (A3, A14)."""
import os

import bh
from bh import check, equal

suite = bh.Suite("vm.template")


def allocated_kib(path):
    total = 0
    for d, _, files in os.walk(path):
        for f in files:
            try:
                total += os.lstat(os.path.join(d, f)).st_blocks // 2
            except FileNotFoundError:
                pass
    return total


@suite.test
def twenty_more_qubes_cost_nothing(inst):
    lib = os.path.join(inst.root, "lib")
    before = allocated_kib(lib)
    names = [f"many{i}" for i in range(20)]
    for n in names:
        inst.good("qvm-create", "-l", "orange", "-t", "debian-12-minimal", n)
    grown = allocated_kib(lib) - before
    check(grown < 20 * 1024, f"20 qubes cost {grown} KiB, allowed are 1024 each")
    inst.good("qvm-remove", "-f", *names)
    check(not [n for n in inst.states() if n.startswith("many")], "removed again")
    left = [d for d in os.listdir(os.path.join(lib, "appvms")) if d.startswith("many")]
    equal(left, [], "directories of removed qubes")


def says_what_it_is(inst, tpl):
    """What a template tells by itself at its first start, and qubes.PostInstall: features, its list of programs, the number of its updates."""
    bh.wait_for(lambda: inst.sh(tpl, "cat /var/lib/qubes/post-install", user="root", ok=False).text.strip(), "the report of the first start", timeout=900, step=1)
    equal(inst.good("qvm-features", tpl, "os").text.strip(), "Linux", "feature os after the first start")
    inst.good("qvm-features", "--unset", tpl, "os")
    equal(inst.run("qvm-run", "-p", "--service", "--", tpl, "qubes.PostInstall", timeout=600).rc, 0, "qubes.PostInstall")
    for name, value in (("os", "Linux"), ("os-distribution", "debian"), ("os-version", "12"), ("vmexec", "1"), ("supported-rpc.qubes.OpenInVM", "1")):
        equal(inst.good("qvm-features", tpl, name).text.strip(), value, f"feature {name}")
    check(inst.good("qvm-features", tpl, "last-updates-check").text.startswith("20"), "its updates were counted")
    check(os.path.exists(os.path.join(inst.root, "lib", "appmenus", tpl, "list")), "its list of programs")
    equal(inst.good("qvm-appmenus", "--update", "alpha").rc, 0, "alpha has the menu of its template")
    check(os.path.isdir(os.path.join(inst.root, "lib", "appmenus", "alpha", "apps")), "entries of alpha")


@suite.test
def change_of_template_appears_after_restart(inst):
    tpl = "debian-12-minimal"
    flags = inst.good("qvm-ls", "--raw-data", "-O", "NAME,FLAGS").text
    inst.good("qvm-start", tpl, timeout=900)
    # A package made here, installed by the template's own dpkg.
    inst.sh(tpl, """rm -rf /tmp/p && mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin && printf 'Package: bh-probe\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.org>\\nDescription: probe\\n' >/tmp/p/DEBIAN/control &&
printf '#!/bin/sh\\necho probe-1\\n' >/tmp/p/usr/bin/bh-probe && chmod 755 /tmp/p/usr/bin/bh-probe && dpkg-deb -b /tmp/p /tmp/p.deb && dpkg -i /tmp/p.deb && sync""", user="root", timeout=600)
    says_what_it_is(inst, tpl)
    inst.good("qvm-shutdown", "--wait", tpl, timeout=300)
    equal(inst.sh("alpha", "command -v bh-probe", ok=False).rc, 1, "the package in a qube that runs on")
    out = inst.good("qvm-volume", "info", "alpha:root", "is_outdated").text.strip()
    equal(out, "True", "is_outdated of alpha:root")
    r = inst.good("qvm-ls")
    check("alpha is outdated" in r.errtext and "alpha is outdated" not in r.text, f"qvm-ls says it on stderr: {r}")
    equal(sorted(inst.good("qvm-ls", "--raw-data", "-O", "NAME,OUTDATED", "alpha", tpl).text.split()), ["alpha|yes", f"{tpl}|-"], "column OUTDATED")
    inst.good("qvm-shutdown", "--wait", "alpha", timeout=300)
    inst.good("qvm-start", "alpha", timeout=900)
    equal(inst.sh("alpha", "bh-probe").text.strip(), "probe-1", "the package after the restart")
    equal(inst.good("qvm-volume", "info", "alpha:root", "is_outdated").text.strip(), "False", "is_outdated after the restart")
    check("alpha is outdated" not in inst.good("qvm-ls").errtext, "qvm-ls after the restart")
    equal(inst.sh("beta", "command -v bh-probe", ok=False).rc, 1, "beta still runs on the old root")


@suite.test
def template_in_use_cannot_be_removed(inst):
    r = inst.run("qvm-remove", "-f", "debian-12-minimal")
    check(r.rc != 0 and r.errtext.strip(), f"a template with qubes is not removed: {r}")
    check("debian-12-minimal" in inst.states(), "it is still there")
