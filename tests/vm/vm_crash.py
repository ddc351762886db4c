# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of every host process: only what must end ends, nothing is left behind, nothing committed is lost."""
import os
import signal

import bh
from bh import check, equal, wait_for

suite = bh.Suite("vm.crash")


def kill9(pid):
    os.kill(pid, signal.SIGKILL)


def one(inst, role, qube=None):
    pids = inst.role_pids(role, qube)
    check(len(pids) == 1, f"one {role} of {qube}: {pids}")
    return pids[0]


@suite.test
def qrexec_daemon_is_repaired(inst):
    old = one(inst, "qrexec-daemon", "beta")
    kill9(old)
    wait_for(lambda: [p for p in inst.role_pids("qrexec-daemon", "beta") if p != old], "a new qrexec-daemon", 300)
    wait_for(lambda: inst.run("qvm-run", "-p", "beta", "echo again", timeout=300).out == b"again\n", "a call after the repair", 300, 0.5)
    equal(inst.state("beta"), "Running", "beta")
    equal(inst.sh("alpha", "echo x | qrexec-client-vm beta test.Echo+r").text, "alpha:r\nx\n", "a call through the new daemon")


@suite.test
def qubesdb_daemon_is_repaired(inst):
    old = one(inst, "qubesdb-daemon", "beta")
    kill9(old)
    wait_for(lambda: [p for p in inst.role_pids("qubesdb-daemon", "beta") if p != old], "a new qubesdb-daemon", 300)
    wait_for(lambda: inst.sh("beta", "qubesdb-read /name", ok=False).out == b"beta\n", "QubesDB answers again", 300, 0.5)
    equal(inst.state("beta"), "Running", "beta")


@suite.test
def policyd_is_repaired_and_denies_meanwhile(inst):
    old = one(inst, "policyd")
    kill9(old)
    wait_for(lambda: [p for p in inst.role_pids("policyd") if p != old], "a new policyd", 300)
    wait_for(lambda: inst.sh("alpha", "echo x | qrexec-client-vm beta test.Echo+p", ok=False).out == b"alpha:p\nx\n", "an allowed call", 300, 0.5)
    equal(inst.sh("alpha", "qrexec-client-vm beta test.NoRule </dev/null", ok=False).rc, 126, "a refused call")


def same_qubes_after(inst, kill):
    """Runs kill(), waits for the daemon, and checks that the running qubes are the same processes as before."""
    before = {r: inst.role_pids(r) for r in ("linkd", "qemu-system-x86_64")}
    check(all(before.values()), f"processes of the qubes {before}")
    inst.sh("alpha", "echo before >/tmp/before")
    kill()
    wait_for(lambda: inst.run("qvm-ls", "--raw-data", "-O", "NAME,STATE", timeout=300).rc == 0, "qubesd answers", 300, 0.2)
    wait_for(lambda: inst.state_or_none("alpha") == "Running" and inst.state_or_none("beta") == "Running", "the qubes are found again", 300, 0.2)
    equal({r: inst.role_pids(r) for r in before}, before, "processes of the qubes")
    wait_for(lambda: inst.sh("alpha", "cat /tmp/before", ok=False).out == b"before\n", "alpha is the same machine", 300, 0.5)
    wait_for(lambda: inst.sh("alpha", "echo x | qrexec-client-vm beta test.Echo+q", ok=False).out == b"alpha:q\nx\n", "an allowed call", 300, 0.5)


@suite.test
def core_is_restarted_and_finds_its_qubes(inst):
    def kill():
        for pid in inst.role_pids("qubesd"):
            if b"--core" in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0"):
                kill9(pid)
                return wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its end")
        raise bh.Failure("no core")
    same_qubes_after(inst, kill)


@suite.test
def spawner_is_restarted(inst):
    def kill():
        old = one(inst, "spawner")
        kill9(old)
        wait_for(lambda: [p for p in inst.role_pids("spawner") if p != old], "a new spawner", 300)
    same_qubes_after(inst, kill)


@suite.test
def whole_qubesd_killed_and_started_again(inst):
    def kill():
        kill9(inst.daemon.pid)
        inst.daemon.wait()
        wait_for(lambda: not inst.role_pids("qubesd") and not inst.role_pids("spawner"), "the core and the spawner end with it", 300)
        inst.start()
    same_qubes_after(inst, kill)


@suite.test
def linkd_death_ends_only_its_qube(inst):
    qemu_before = {p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0])}
    kill9(one(inst, "linkd", "beta"))
    wait_for(lambda: inst.state_or_none("beta") == "Halted", "beta halted", 300)
    wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon") if inst.role_pids(r, "beta")], "beta's roles are gone", 300)
    qemu = {p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0])}
    equal(len(qemu), len(qemu_before) - 1, "one QEMU less")
    equal(inst.state("alpha"), "Running", "alpha")
    equal(inst.sh("alpha", "echo still").text.strip(), "still", "alpha answers")
    inst.good("qvm-start", "beta", timeout=900)


@suite.test
def qemu_death_is_a_clean_end(inst):
    shims = inst.role_pids("qube-shim")
    qemus = [p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0]) and any(b"beta" in x for x in a)]
    check(len(qemus) >= 1, f"QEMU of beta: {qemus}, shims {shims}")
    kill9(qemus[-1])
    wait_for(lambda: inst.state_or_none("beta") == "Halted", "beta halted", 300)
    wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon") if inst.role_pids(r, "beta")], "beta's roles are gone", 300)


@suite.test
def kill_during_start_leaves_nothing(inst):
    """The core dies at several moments of a start; afterwards the qube either runs or is halted without a trace, and can be started."""
    for delay in (0, 1, 2, 4):
        import subprocess
        p = subprocess.Popen([os.path.join(inst.bin, "qvm-start", ), "beta"], env=inst.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if delay:
            wait_for(lambda: len([1 for r in ("linkd", "qrexec-daemon", "qubesdb-daemon", "qube-shim") if inst.role_pids(r, "beta")]) >= delay - 1, "the start going on", 300, 0.01)
        for pid in inst.role_pids("qubesd"):
            if b"--core" in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0"):
                kill9(pid)
        p.wait(300)
        wait_for(lambda: inst.run("qvm-ls", "--raw-data", "-O", "NAME,STATE", timeout=300).rc == 0, "qubesd answers", 300, 0.2)
        wait_for(lambda: inst.state_or_none("beta") in ("Halted", "Running"), "a definite state", 900, 0.5)
        if inst.state("beta") == "Halted":
            equal([r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon") if inst.role_pids(r, "beta")], [], f"roles of a halted qube (moment {delay})")
        else:
            inst.good("qvm-kill", "beta")
            wait_for(lambda: inst.state_or_none("beta") == "Halted", "beta halted", 300)
    inst.good("qvm-start", "beta", timeout=900)
    equal(inst.sh("beta", "echo fine").text.strip(), "fine", "beta after all that")


@suite.test
def kill_of_each_process_during_start(inst):
    """Every host process of the start dies once, as soon as it is there: the qube then runs or is halted without a trace, and starts again."""
    if inst.state("beta") != "Halted":
        inst.good("qvm-kill", "beta")
    for role, whose in (("linkd", "beta"), ("qube-shim", None), ("qemu-system-x86_64", "beta"), ("qrexec-daemon", "beta"), ("qubesdb-daemon", "beta"),
                        ("policyd", None), ("spawner", None)):
        wait_for(lambda: inst.state_or_none("beta") == "Halted", "beta halted", 300)
        shared = role in ("policyd", "spawner")
        others = set() if shared else set(inst.role_pids(role, whose))
        import subprocess
        p = subprocess.Popen([os.path.join(inst.bin, "qvm-start"), "beta"], env=inst.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # the shared ones die when the qube's first process is there
        if shared:
            wait_for(lambda: inst.role_pids("qrexec-daemon", "beta") or p.poll() is not None, "the start going on", 300, 0.01)
        pids = wait_for(lambda: set(inst.role_pids(role, whose)) - others or p.poll() is not None, f"{role} of the start", 300, 0.01)
        check(pids is not True, f"{role} was seen before the start ended")
        kill9(sorted(pids)[-1])
        err = p.communicate(timeout=600)[1]
        wait_for(lambda: inst.state_or_none("beta") in ("Halted", "Running"), f"a definite state after {role} died", 900, 0.2)
        if inst.state("beta") == "Running":
            wait_for(lambda: inst.run("qvm-run", "-p", "beta", "echo lives", timeout=300).out == b"lives\n", f"a call after {role} died", 300, 0.5)
            inst.good("qvm-kill", "beta")
        else:
            check(p.returncode != 0 and len(err.strip().splitlines()) >= 1, f"qvm-start fails with a message after {role} died: {p.returncode} {err!r}")
        wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon", "qemu-system-x86_64") if inst.role_pids(r, "beta")],
                 f"beta's processes are gone after {role} died", 300)
        print(f"    {role} killed: qvm-start ended with {p.returncode}")
    inst.good("qvm-start", "beta", timeout=900)
    equal(inst.sh("beta", "echo fine").text.strip(), "fine", "beta after all that")


def parent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rsplit(")", 1)[1].split()[1])


@suite.test
def kill_during_shutdown_loses_nothing(inst):
    """Every host process dies once while a qube shuts down: the qube ends up halted and what it had synced is there at the next start. (Workers
    that commit images are too short-lived to be met here: tests/unit/storage/test_crash.c kills them at each system call.)"""
    import subprocess
    for n, (role, whose) in enumerate((("qubesd", None), ("spawner", None), ("policyd", None), ("linkd", "beta"), ("qube-shim", None),
                                       ("qemu-system-x86_64", "beta"), ("qrexec-daemon", "beta"), ("qubesdb-daemon", "beta"))):
        if inst.state("beta") != "Running":
            inst.good("qvm-start", "beta", timeout=900)
        shim = parent(one(inst, "qemu-system-x86_64", "beta"))
        inst.sh("beta", f"echo {n} >/home/user/kept; sync")
        p = subprocess.Popen([os.path.join(inst.bin, "qvm-shutdown"), "--wait", "beta"], env=inst.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        log = os.path.join(inst.root, "log", "guest.beta.log")
        if role in ("qubesd", "spawner", "policyd"):
            wait_for(lambda: b"power off" in open(log, "rb").read()[-4000:] or p.poll() is not None, "the shutdown going on", 300)
        else:
            wait_for(lambda: inst.state_or_none("beta") in ("Halting", "Halted") or p.poll() is not None, "the shutdown has begun", 300, 0.01)
        victims = [shim] if role == "qube-shim" else inst.role_pids(role, whose)
        for pid in victims:
            try:
                if role != "qubesd" or b"--core" in open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0"):
                    kill9(pid)
            except (ProcessLookupError, FileNotFoundError):
                pass  # it has ended by itself
        p.wait(300)
        wait_for(lambda: inst.state_or_none("beta") == "Halted", f"beta halted after {role} died", 300, 0.5)
        wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon", "qemu-system-x86_64") if inst.role_pids(r, "beta")],
                 "beta's processes are gone", 300)
        inst.good("qvm-start", "beta", timeout=900)
        equal(inst.sh("beta", "cat /home/user/kept").text.strip(), str(n), f"data after {role} died in a shutdown")


@suite.test
def kill_of_all_leaves_no_process(inst):
    inst.good("qvm-kill", "alpha", "beta")
    for name, state in inst.states().items():
        if state != "Halted" and name != "dom0":
            inst.good("qvm-kill", name)
    wait_for(lambda: not [r for r in ("linkd", "qrexec-daemon", "qubesdb-daemon", "qube-shim") if inst.role_pids(r)], "no role is left", 300)
    left = os.listdir(os.path.join(inst.root, "run", "q"))
    equal(left, [], "run directories of qubes")
    inst.stop()
    holders = inst.role_pids("state-holder")
    equal([p for p in inst.processes() if p[0] not in holders], [], "processes of the instance after its end")
    # The holder of saved states outlives a daemon that is started again at once; alone it ends by itself after a minute.
    wait_for(lambda: not inst.processes(), "the end of the holder", 180)
