# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, seeing and stopping qubes; what a qube sees of the world."""
import hashlib
import os

import bh
import xray
from bh import check, equal, wait_for

suite = bh.Suite("vm.basic")


@suite.test
def two_qubes_run(inst):
    equal(inst.state("alpha"), "Running", "state of alpha")
    equal(inst.state("beta"), "Running", "state of beta")


@suite.test
def hostname_user_home(inst):
    equal(inst.sh("alpha", "hostname; id -un; pwd").text.split(), ["alpha", "user", "/home/user"], "who and where")
    equal(inst.sh("beta", "id -u", user="root").text.strip(), "0", "root call")


@suite.test
def exit_codes(inst):
    for code in (0, 1, 7, 255):
        equal(inst.sh("alpha", f"exit {code}", ok=False).rc, code, "exit code")
    equal(inst.sh("alpha", "kill -TERM $$", ok=False).rc, 128 + 15, "death by signal")
    equal(inst.sh("alpha", "no-such-program-here", ok=False).rc, 127, "missing program")


@suite.test
def stdin_stdout_stderr_apart(inst):
    r = inst.sh("alpha", "cat; echo to-stderr >&2", stdin=b"through the qube\n")
    equal(r.out, b"through the qube\n", "stdout")
    check(b"to-stderr" in r.err, f"stderr has the line: {r.err!r}")


@suite.test
def big_stream_both_ways(inst):
    data = os.urandom(1 << 20) * 16
    r = inst.sh("alpha", "cat", stdin=data, timeout=600)
    equal(hashlib.sha256(r.out).hexdigest(), hashlib.sha256(data).hexdigest(), "16 MiB through cat in the qube")


@suite.test
def reader_that_stops_does_not_block_others(inst):
    """A call whose output nobody reads must not stop other calls of the same qube."""
    import subprocess
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "alpha", "yes | head -c 50000000"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=inst.env)
    try:
        p.stdout.read(1)
        equal(inst.sh("alpha", "echo alive").text.strip(), "alive", "second call while the first is stuck")
    finally:
        p.stdout.close()
        p.kill()
        p.wait()


@suite.test
def root_is_shared_and_read_only(inst):
    inst.sh("alpha", "touch /usr/bin/mark-alpha", user="root")
    r = inst.sh("beta", "test -e /usr/bin/mark-alpha", ok=False)
    equal(r.rc, 1, "a file of alpha's root seen in beta")
    r = inst.sh("alpha", "cat /sys/block/vda/ro", user="root")
    equal(r.text.strip(), "1", "xvda read-only")


@suite.test
def disks_have_their_names(inst):
    out = inst.sh("alpha", "for d in a b c d; do readlink -f /dev/xvd$d; done; stat -c %n /dev/mapper/dmroot", user="root").text.split()
    equal(len(out), 5, f"links of the disks {out}")
    check(inst.sh("alpha", "findmnt -no SOURCE /rw || mount | grep ' /rw '").text.strip() != "", "/rw is mounted")


@suite.test
def no_network_device(inst):
    equal(inst.sh("alpha", "ls /sys/class/net").text.split(), ["lo"], "network interfaces")


@suite.test
def kernel_random_differs(inst):
    a = inst.sh("alpha", "cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1").text
    b = inst.sh("beta", "cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1").text
    check(a != b, "boot ids and random bytes differ")


@suite.test
def qubesdb_answers(inst):
    equal(inst.sh("alpha", "qubesdb-read /name").text.strip(), "alpha", "/name")
    equal(inst.sh("alpha", "qubesdb-read /qubes-vm-type").text.strip(), "AppVM", "/qubes-vm-type")
    equal(inst.sh("alpha", "qubesdb-read /no-such-key", ok=False).rc, 2, "missing key")


@suite.test
def clock_is_set(inst):
    import time
    before = time.time()
    t = int(inst.sh("alpha", "date +%s").text)
    check(before - 60 < t < time.time() + 60, f"guest clock {t} and host clock differ by less than a minute")


@suite.test
def listing_and_properties(inst):
    out = inst.good("qvm-ls", "--raw-data", "-O", "NAME,STATE,CLASS,LABEL,TEMPLATE").text.splitlines()
    check("alpha|Running|AppVM|blue|debian-12-minimal" in out, f"qvm-ls line of alpha in {out}")
    equal(inst.prop("alpha", "label"), "blue", "label")
    r = inst.run("qvm-prefs", "alpha", "template", "beta")
    check(r.rc != 0 and len(r.errtext.strip().splitlines()) == 1, f"template change of a running qube is refused in one line: {r}")
    equal(inst.run("qvm-check", "--running", "alpha").rc, 0, "qvm-check --running alpha")
    equal(inst.run("qvm-check", "--paused", "alpha").rc, 1, "qvm-check --paused alpha")


@suite.test
def pause_and_unpause(inst):
    inst.good("qvm-pause", "beta")
    equal(inst.state("beta"), "Paused", "state")
    inst.good("qvm-unpause", "beta")
    equal(inst.state("beta"), "Running", "state")
    equal(inst.sh("beta", "echo back").text.strip(), "back", "a call after unpause")


@suite.test
def start_twice_is_fine(inst):
    r = inst.run("qvm-start", "--skip-if-running", "alpha")
    equal(r.rc, 0, "qvm-start --skip-if-running")


@suite.test
def emulation_is_said(inst):
    r = inst.run("qvm-doctor")
    if "tcg" in r.text.lower() or "emulat" in r.text.lower():
        check("not isolated" in r.text.lower(), f"qvm-doctor says that emulation does not isolate: {r.text}")
    check("accelerator" in r.text.lower(), f"qvm-doctor names the accelerator: {r.text}")


@suite.test
def qemu_is_confined(inst):
    pids = [p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0])]
    check(len(pids) >= 2, f"QEMU processes found: {pids}")
    for pid in pids:
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
        equal(status["Seccomp"].strip(), "2", f"seccomp of QEMU {pid}")
        equal(status["NoNewPrivs"].strip(), "1", f"no_new_privs of QEMU {pid}")
        equal(int(status["CapEff"], 16), 0, f"capabilities of QEMU {pid}")
        for ns in ("net", "mnt", "pid", "user", "ipc"):
            check(os.readlink(f"/proc/{pid}/ns/{ns}") != os.readlink(f"/proc/self/ns/{ns}"), f"QEMU {pid} has its own {ns} namespace")
        limit = next(line for line in open(f"/proc/{pid}/limits") if line.startswith("Max address space")).split()[3]
        equal(int(limit), (400 + 2048) << 20, f"address space of QEMU {pid} for 400 MiB of guest memory")
        check(not os.path.exists(f"/proc/{pid}/root/home") and not os.path.exists(f"/proc/{pid}/root/root"), "QEMU sees no home directory")


@suite.test
def xray_of_all(inst):
    """Every process of the instance against the table of docs/trust.md (user ids: tests/host/run_system)."""
    # It starts with the first state that is saved, after the first qubes were up.
    wait_for(lambda: inst.role_pids("state-holder"), "the holder of saved states", 900)
    rows = [xray.look(p, a) for p, a in inst.processes() if xray.role_of(a)]
    missing = {n for n, role in xray.ROLES.items() if not role.get("optional")} - {r["role"] for r in rows}
    check(not missing, f"no process of {missing}")
    print("   " + xray.table(rows).replace("\n", "\n   "))
    xray.judge(rows, False, seccomp="asan" not in inst.build)


@suite.test
def console_answers(inst):
    import pty
    import select
    import subprocess
    m, s = pty.openpty()
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-console"), "alpha"], stdin=s, stdout=s, stderr=s, env=inst.env)
    os.close(s)
    got = b""
    try:
        import time
        end = time.monotonic() + 300
        os.write(m, b"\r")
        while b"login:" not in got and time.monotonic() < end:
            r, _, _ = select.select([m], [], [], 5)
            if r:
                got += os.read(m, 4096)
            else:
                os.write(m, b"\r")
        check(b"login:" in got, f"a login prompt on the console, got {got[-300:]!r}")
    finally:
        os.write(m, b"\x1d")
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
        os.close(m)
