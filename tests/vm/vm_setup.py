# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared qubes: template tpl, app qubes alpha (blue) and beta (green), both running."""
import os

import bh

TEMPLATE = "debian-12-minimal"


def prepare(inst):
    if TEMPLATE not in inst.states():
        r = inst.run("qvm-template", "build", TEMPLATE, timeout=3000)
        bh.check(r.rc == 0, f"building the template: {r}")
    for name, label in (("alpha", "blue"), ("beta", "green")):
        if name not in inst.states():
            inst.good("qvm-create", "-l", label, "-t", TEMPLATE, name)
    # The tests' own rules, before the default ones. Services of the tests live in /usr/local/etc/qubes-rpc of the qubes.
    inst.write_policy("10-tests.policy", """\
test.Echo     *   alpha  beta   allow
test.Env      *   alpha  beta   allow
test.Auto     *   alpha  gamma  allow
test.NoAuto   *   alpha  gamma  allow autostart=no
test.Redirect *   alpha  @default allow target=beta
test.Asked    *   alpha  beta   ask
test.Flood    *   alpha  beta   allow
qubes.Filecopy *  alpha  beta   allow
qubes.VMShell *   alpha  beta   allow user=root
""")
    inst.good("qvm-start", "alpha", "beta", timeout=900)


def install_service(inst, qube, name, text):
    """A service script in the persistent place of a qube."""
    inst.sh(qube, f"mkdir -p /usr/local/etc/qubes-rpc && cat > /usr/local/etc/qubes-rpc/{name} && chmod 755 /usr/local/etc/qubes-rpc/{name}",
            user="root", stdin=text.encode())
