# SPDX-License-Identifier: GPL-3.0-or-later
"""As whom and in which surroundings calls run in a real qube: the PAM session, the fork server of a session, the wait for one; remote qubes."""
import threading

import bh
from bh import check, equal, wait_for
from vm_setup import install_service

suite = bh.Suite("vm.qrexec")


def fields(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


SHOW = ("echo uid=$(id -u); echo name=$(id -un); echo groups=$(id -Gn); echo cwd=$PWD; echo umask=$(umask); echo nofile=$(ulimit -Sn); "
        "echo login=$(cat /proc/self/loginuid 2>/dev/null); echo session=$(ps -o sid= -p $$); echo runtime=$(stat -c %u:%a \"$XDG_RUNTIME_DIR\" 2>/dev/null); "
        "echo login_env=$HOME USER=$USER LOGNAME=$LOGNAME SHELL=$SHELL; env")


@suite.test
def session_of_the_user(inst):
    r = inst.sh("alpha", SHOW)
    f = fields(r.text)
    equal((f["uid"], f["name"], f["cwd"]), ("1000", "user", "/home/user"), "the account")
    check({"user", "qubes", "audio"} <= set(f["groups"].split()) and "root" not in f["groups"].split(), f"groups: {f['groups']}")
    equal(f["login_env"], "/home/user USER=user LOGNAME=user SHELL=/bin/bash", "what every login sets")
    equal(f["runtime"], "1000:700", f"the runtime directory {f.get('XDG_RUNTIME_DIR')}")
    check(f["login"] in ("1000", ""), f"login uid {f['login']}: the user's, or none in a kernel without auditing")
    check("QREXEC_AGENT_PID" in f and "SUDO_USER" not in f, "variables")
    holders = inst.sh("alpha", "ps -e -o user=,args= | grep '[q]rexec-session user'", user="root").text.splitlines()
    equal(len(holders), 1, f"one session of the user is held open, by root: {holders}")
    check(holders[0].startswith("root"), holders[0])


@suite.test
def session_of_root(inst):
    f = fields(inst.sh("alpha", SHOW, user="root").text)
    equal((f["uid"], f["cwd"], f["HOME"]), ("0", "/root", "/root"), "root")
    check(f["login"] in ("0", ""), f"login uid {f['login']}")


@suite.test
def limits_and_environment_of_pam(inst):
    """The stack's modules decide; a session opened anew (as after a boot) shows what the administrator wrote."""
    before = fields(inst.sh("alpha", SHOW).text)["nofile"]
    inst.sh("alpha", "echo 'user soft nofile 333' > /etc/security/limits.d/50-test.conf; echo FROM_PAM=yes >> /etc/environment; "
                     "pkill -f 'qrexec-session user'; rm /run/bulkhead/session/1000", user="root")
    f = fields(inst.sh("alpha", SHOW).text)
    equal((f["nofile"], f.get("FROM_PAM")), ("333", "yes"), f"limit (was {before}) and variable")
    inst.sh("alpha", "rm /etc/security/limits.d/50-test.conf; sed -i /FROM_PAM/d /etc/environment; pkill -f 'qrexec-session user'; rm /run/bulkhead/session/1000", user="root")
    equal(fields(inst.sh("alpha", SHOW).text)["nofile"], before, "limit afterwards")


@suite.test
def calls_run_in_the_session(inst):
    inst.sh("alpha", "MARK=session qrexec-fork-server </dev/null >/dev/null 2>&1")
    install_service(inst, "alpha", "test.Mark", "#!/bin/sh\necho ${MARK-none} $QREXEC_REMOTE_DOMAIN $(id -un)\n")
    inst.write_policy("09-qrexec.policy", "test.Mark * beta alpha allow\n")
    equal(inst.sh("beta", "qrexec-client-vm alpha test.Mark </dev/null").text, "session beta user\n", "a call of another qube")
    equal(inst.sh("alpha", "echo ${MARK-none}").text, "session\n", "a command of dom0")
    equal(inst.sh("alpha", "echo ${MARK-none}", user="root").text, "none\n", "another user's command")
    equal(inst.sh("alpha", "exit 7", ok=False).rc, 7, "status")
    inst.sh("alpha", "pkill -f '^qrexec-fork-server'", user="root")
    equal(inst.sh("alpha", "echo ${MARK-none}").text, "none\n", "without a session")


@suite.test
def no_session_is_expected_without_gui(inst):
    inst.sh("beta", "mkdir -p /usr/local/etc/qubes/rpc-config; echo 'wait-for-session = true' > /usr/local/etc/qubes/rpc-config/test.Waits", user="root")
    install_service(inst, "beta", "test.Waits", "#!/bin/sh\necho ran\n")
    inst.write_policy("09-qrexec.policy", "test.Mark * beta alpha allow\ntest.Waits * alpha beta allow\n")
    equal(inst.sh("alpha", "qrexec-client-vm beta test.Waits </dev/null", timeout=300).text, "ran\n", "answer")


@suite.test
def an_expected_session_is_waited_for(inst):
    inst.sh("beta", "mkdir -p /usr/lib/xorg; printf '#!/bin/sh\\n' > /usr/lib/xorg/Xorg; chmod 755 /usr/lib/xorg/Xorg; rm -f /run/user/1000/bulkhead-session; "
                    "qubesdb-write /qubes-gui-enabled True", user="root")
    got = []
    t = threading.Thread(target=lambda: got.append(inst.sh("alpha", "qrexec-client-vm beta test.Waits </dev/null", ok=False)))
    t.start()
    wait_for(lambda: inst.sh("beta", "pgrep -f qubes-wait-path", user="root", ok=False).rc == 0, "the wait for the session", timeout=300)
    check(t.is_alive() and not got, f"the call waits: {got}")
    inst.sh("beta", "touch /run/user/1000/bulkhead-session", user="root")
    t.join(300)
    check(got and got[0].text == "ran\n", f"the call after the session came: {got}")
    inst.sh("beta", "rm -f /usr/lib/xorg/Xorg /run/user/1000/bulkhead-session", user="root")


@suite.test
def remote_qubes(inst):
    inst.good("qvm-create", "-C", "RemoteVM", "-l", "red", "--prop", "relayvm=beta", "--prop", "transport_rpc=test.Transport", "far")
    inst.write_policy("09-qrexec.policy", "test.Remote * alpha far allow\ntest.Local * far alpha allow\n")
    install_service(inst, "beta", "test.Transport", "#!/bin/sh\necho \"transport $1 for $QREXEC_REMOTE_DOMAIN\"\ncat\n")
    install_service(inst, "alpha", "test.Local", "#!/bin/sh\necho \"from $QREXEC_REMOTE_DOMAIN\"\n")
    r = inst.sh("alpha", "echo data | qrexec-client-vm far test.Remote+x")
    equal(r.text, "transport far+test.Remote+x for alpha\ndata\n", "a call to the remote qube goes to its relay")
    r = inst.sh("beta", "qrexec-client-vm --source-qube=far alpha test.Local </dev/null")
    equal(r.text, "from far\n", "the relay speaks for the remote qube")
    equal(inst.sh("beta", "qrexec-client-vm alpha test.Local </dev/null", ok=False).rc, 126, "the relay as itself")
    equal(inst.sh("alpha", "qrexec-client-vm -s far alpha test.Local </dev/null", ok=False).rc, 126, "another qube in its name")
    inst.good("qvm-remove", "-f", "far")
