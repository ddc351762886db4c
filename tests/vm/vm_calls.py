# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls between qubes: what policy allows runs, everything else is refused and logged."""
import bh
from bh import check, equal
from vm_setup import install_service

suite = bh.Suite("vm.calls")


@suite.test
def services_of_the_tests(inst):
    install_service(inst, "beta", "test.Echo", "#!/bin/sh\necho \"$QREXEC_REMOTE_DOMAIN:$1\"\nexec cat\n")
    install_service(inst, "beta", "test.Env", "#!/bin/sh\nenv | grep ^QREXEC_ | sort\n")
    install_service(inst, "beta", "test.Redirect", "#!/bin/sh\necho redirected to $(hostname)\n")
    install_service(inst, "beta", "test.Asked", "#!/bin/sh\necho must not run; touch /tmp/asked-ran\n")
    install_service(inst, "beta", "test.Denied", "#!/bin/sh\ntouch /tmp/denied-ran\n")


@suite.test
def allowed_call(inst):
    r = inst.sh("alpha", "echo hello | qrexec-client-vm beta test.Echo+some.arg")
    equal(r.text, "alpha:some.arg\nhello\n", "answer of test.Echo")
    log = [e for e in inst.policy_log() if e.get("service", "").startswith("test.Echo")]
    check(log and log[-1]["decision"] == "allow", f"the decision is logged: {log}")
    check("10-tests.policy:1" in str(log[-1]), f"with file and line: {log[-1]}")


@suite.test
def source_name_is_the_hosts(inst):
    r = inst.sh("alpha", "QREXEC_REMOTE_DOMAIN=dom0 qrexec-client-vm beta test.Env+x </dev/null")
    check("QREXEC_REMOTE_DOMAIN=alpha" in r.text.splitlines(), f"environment of the service: {r.text}")


@suite.test
def unknown_service_is_refused(inst):
    r = inst.sh("alpha", "qrexec-client-vm beta test.NoRule </dev/null", ok=False)
    equal(r.rc, 126, f"exit status of a refused call ({r})")
    log = [e for e in inst.policy_log() if e.get("service") == "test.NoRule"]
    check(log and log[-1]["decision"] == "deny", f"the refusal is logged: {log}")


@suite.test
def default_deny_for_shell(inst):
    r = inst.sh("beta", "qrexec-client-vm alpha qubes.VMShell </dev/null", ok=False)
    equal(r.rc, 126, f"beta asks for a shell in alpha ({r})")


@suite.test
def ask_without_prompt_is_deny(inst):
    equal(inst.sh("alpha", "qrexec-client-vm beta test.Asked </dev/null", ok=False).rc, 126, "ask")
    equal(inst.sh("beta", "test -e /tmp/asked-ran", ok=False).rc, 1, "the service did not run")


@suite.test
def redirected_target(inst):
    equal(inst.sh("alpha", "qrexec-client-vm @default test.Redirect </dev/null").text.strip(), "redirected to beta", "target= of the rule")


@suite.test
def dom0_service(inst):
    r = inst.sh("alpha", "qrexec-client-vm dom0 qubes.GetDate </dev/null")
    check(r.text.startswith("20") and "+00:00" in r.text, f"a date in UTC: {r.text!r}")
    equal(inst.sh("alpha", "qrexec-client-vm dom0 qubes.VMShell </dev/null", ok=False).rc, 126, "a shell in dom0")


@suite.test
def missing_service_is_127(inst):
    inst.write_policy("11-more.policy", "test.Missing * alpha beta allow\n")
    equal(inst.sh("alpha", "qrexec-client-vm beta test.Missing </dev/null", ok=False).rc, 127, "exit status")


@suite.test
def policy_change_works_at_once(inst):
    inst.write_policy("12-late.policy", "test.Denied * alpha beta deny\n")
    equal(inst.sh("alpha", "qrexec-client-vm beta test.Denied </dev/null", ok=False).rc, 126, "denied")
    inst.write_policy("12-late.policy", "test.Denied * alpha beta allow\n")
    equal(inst.sh("alpha", "qrexec-client-vm beta test.Denied </dev/null").rc, 0, "allowed after the change")


@suite.test
def broken_policy_denies_everything(inst):
    import os
    inst.write_policy("05-broken.policy", "this is not a rule\n")
    try:
        equal(inst.sh("alpha", "echo x | qrexec-client-vm beta test.Echo+a", ok=False).rc, 126, "call under a broken policy")
    finally:
        os.unlink(os.path.join(inst.root, "etc", "policy.d", "05-broken.policy"))
    equal(inst.sh("alpha", "echo x | qrexec-client-vm beta test.Echo+a").rc, 0, "call after the repair")


@suite.test
def autostart_rule(inst):
    inst.good("qvm-create", "-l", "red", "-t", "debian-12-minimal", "gamma")
    r = inst.sh("alpha", "qrexec-client-vm gamma test.NoAuto </dev/null", ok=False)
    equal(r.rc, 126, "autostart=no for a halted qube")
    equal(inst.state("gamma"), "Halted", "gamma stays halted")
    r = inst.sh("alpha", "qrexec-client-vm gamma test.Auto </dev/null", ok=False, timeout=900)
    equal(r.rc, 127, "the call started gamma, which has no such service")
    equal(inst.state("gamma"), "Running", "gamma was started by the call")


@suite.test
def hostile_names(inst):
    """Q38: nothing between policy and exec interprets a byte of a name."""
    for bad in ("beta;id", "$(id)", "`id`", "-h", "..", "be%ta"):
        r = inst.sh("alpha", f"qrexec-client-vm -- '{bad}' test.Echo </dev/null", ok=False)
        check(r.rc in (126, 125, 2), f"target {bad!r}: {r}")
    for bad in ("test.Echo;id", "../test.Echo", "+x"):
        r = inst.sh("alpha", f"qrexec-client-vm -- beta '{bad}' </dev/null", ok=False)
        check(r.rc in (126, 125, 127, 2), f"service {bad!r}: {r}")
    # In an argument the reference replaces foreign bytes before the policy sees it; what was evaluated is what is executed.
    for bad, clean in (("$(id)", "__id_"), ("a b", "a_b")):
        r = inst.sh("alpha", f"qrexec-client-vm -- beta 'test.Echo+{bad}' </dev/null", ok=False)
        log = [e for e in inst.policy_log() if e.get("service") == "test.Echo"][-1]
        equal((r.text, log["argument"]), (f"alpha:{clean}\n", "+" + clean), f"argument {bad!r}")
    equal(inst.state("beta"), "Running", "beta")


@suite.test
def many_calls_at_once(inst):
    r = inst.sh("alpha", "for i in $(seq 40); do (echo $i | qrexec-client-vm beta test.Echo+n$i | tail -1) & done; wait", timeout=600)
    equal(sorted(int(x) for x in r.text.split()), list(range(1, 41)), "40 calls at once, each with its own answer")
