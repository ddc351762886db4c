# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of running qubes: disks that grow, disks that are full, throw-away disks in memory, revisions over real file systems."""
import hashlib
import os
import subprocess

import bh
from bh import check, equal

suite = bh.Suite("vm.storage")
TEMPLATE = "debian-12-minimal"


def info(inst, ref, key):
    return inst.good("qvm-volume", "info", ref, key).text.strip()


def kib_of_rw(inst, qube):
    return int(inst.sh(qube, "df -k --output=size /rw | tail -1").text)


@suite.test
def grows_while_it_runs(inst):
    before = kib_of_rw(inst, "alpha")
    inst.sh("alpha", "echo kept >/home/user/before-growing; sync")
    inst.good("qvm-volume", "resize", "alpha:private", "3GiB", timeout=300)
    after = kib_of_rw(inst, "alpha")
    check(after > before * 1.4, f"/rw grew from {before} to {after} KiB")
    equal(inst.sh("alpha", "blockdev --getsize64 /dev/xvdb", user="root").text.strip(), str(3 << 30), "size of the disk")
    equal(info(inst, "alpha:private", "size"), str(3 << 30), "size that dom0 shows")
    equal(inst.sh("alpha", "cat /home/user/before-growing").text.strip(), "kept", "data")
    r = inst.run("qvm-volume", "resize", "alpha:private", "2GiB")
    check(r.rc != 0 and "shrink" in r.errtext or "smaller" in r.errtext, f"shrinking: {r}")
    r = inst.run("qvm-volume", "resize", "alpha:root", "20GiB")
    check(r.rc != 0, f"the root of the template: {r}")
    # Swap and throw-away space: the disk grows, what is in it is the qube's business.
    inst.good("qvm-volume", "resize", "alpha:volatile", "11GiB", timeout=300)
    equal(inst.sh("alpha", "blockdev --getsize64 /dev/xvdc", user="root").text.strip(), str(11 << 30), "size of the throw-away disk")


@suite.test
def a_guest_that_cannot_grow_is_told_of(inst):
    inst.sh("alpha", "mkdir -p /usr/local/etc/qubes-rpc; printf '#!/bin/sh\\necho no tool >&2; exit 3\\n' >/usr/local/etc/qubes-rpc/qubes.ResizeDisk; "
                     "chmod 755 /usr/local/etc/qubes-rpc/qubes.ResizeDisk", user="root")
    r = inst.run("qvm-volume", "resize", "alpha:private", "4GiB", timeout=300)
    check(r.rc != 0 and "no tool" in r.errtext, f"the guest's reason: {r}")
    equal(info(inst, "alpha:private", "size"), str(4 << 30), "the volume has its size nevertheless")
    inst.sh("alpha", "rm /usr/local/etc/qubes-rpc/qubes.ResizeDisk", user="root")
    before = kib_of_rw(inst, "alpha")
    inst.good("qvm-volume", "resize", "alpha:private", "4GiB", timeout=300)
    check(kib_of_rw(inst, "alpha") > before, "asked again, the file system grows")


def start_with_a_drive(inst):
    """alpha with one more disk; gives the file."""
    path = os.path.join(inst.root, "drive.img")
    with open(path, "wb") as f:
        f.truncate(1 << 20)
        f.write(b"drive of dom0")
    inst.good("qvm-start", "--hddisk", path, "alpha", timeout=900)
    return path


@suite.test
def grown_disk_survives(inst):
    inst.good("qvm-shutdown", "--wait", "alpha", timeout=300)
    equal(info(inst, "alpha:private", "size"), str(4 << 30), "size after the stop")
    start_with_a_drive(inst)
    check(kib_of_rw(inst, "alpha") > 3 << 20, "size of /rw after the restart")
    equal(inst.sh("alpha", "cat /home/user/before-growing").text.strip(), "kept", "data")


def small_pool(inst, size):
    """A pool on a file system of its own, or None."""
    where = os.path.join(inst.root, "lib", "small")
    os.makedirs(where, exist_ok=True)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "bh-small", where], stderr=subprocess.PIPE)
    return where if r.returncode == 0 else None


@suite.test
def a_drive_for_one_start(inst):
    """The qube reads and writes it, and it alone of the qube's disks could go on to others: dom0 learns of that by the qube's own word."""
    path = os.path.join(inst.root, "drive.img")
    if not os.path.exists(path):
        inst.good("qvm-shutdown", "--wait", "alpha", timeout=300)
        start_with_a_drive(inst)
    dev = inst.sh("alpha", "cd /sys/block; for d in vd*; do [ \"$(cat $d/serial)\" != hddisk ] || echo $d; done").text.strip()
    check(dev.startswith("vd"), f"the disk in the qube: {dev!r}")
    equal(inst.sh("alpha", f"head -c 13 /dev/{dev}", user="root").text, "drive of dom0", "what the qube reads")
    inst.sh("alpha", f"printf 'written by alpha' | dd of=/dev/{dev} bs=512 seek=16 conv=fsync 2>/dev/null", user="root")
    with open(path, "rb") as f:
        f.seek(8192)
        equal(f.read(16), b"written by alpha", "what dom0's file has then")
    bh.wait_for(lambda: f"alpha:{dev}" in inst.good("qvm-block", "list", "alpha").text, "the drive among the devices of alpha", 300)
    equal(len(inst.good("qvm-block", "list", "alpha").text.splitlines()), 1, "devices of alpha")


@suite.test
def full_disk_pauses(inst):
    where = small_pool(inst, "96m")
    if not where:
        raise bh.Skip("no right to mount a small file system")
    try:
        fill_and_go_on(inst, where)
    finally:
        inst.run("qvm-kill", "filler")
        inst.run("qvm-remove", "-f", "filler")
        inst.run("qvm-pool", "remove", "small")
        bh.wait_for(lambda: subprocess.run(["umount", where], stderr=subprocess.DEVNULL).returncode == 0, "the small pool to be free", 300, 0.5)


def fill_and_go_on(inst, where):
    inst.good("qvm-pool", "add", "small", "file-qcow2", "-o", "dir_path=" + where)
    inst.good("qvm-create", "-l", "red", "-t", TEMPLATE, "-p", "private=small", "filler")
    inst.good("qvm-start", "filler", timeout=900)
    # The sums are known to the guest before it writes: what arrives on the disk is compared with them afterwards.
    job = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "filler", "cd /home/user; head -c 8388608 /dev/urandom >/tmp/r; for i in $(seq 14); do "
                            "{ echo $i; cat /tmp/r; } >/tmp/b; md5sum </tmp/b >>sums; cp /tmp/b f$i; sync f$i sums; done; echo done"],
                           env=inst.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        bh.wait_for(lambda: inst.state("filler") == "Paused", "the full disk to pause its qube", 600, 0.5)
        check(job.poll() is None, "the writer waits")
        line = [x for x in inst.good("qvm-ls", "--raw-data", "-O", "name,state").text.split("\n") if x.startswith("filler")]
        check(line and "Paused" in line[0], f"qvm-ls: {line}")
        r = inst.run("qvm-unpause", "filler")
        check(r.rc != 0 and "full" in r.errtext, f"unpaused without room: {r}")
        equal(inst.state("filler"), "Paused", "state after a refused unpause")
        check("No room in pool small" in inst.tail("qubesd.out", 200000) or "is paused: pool small is full" in inst.tail("qubesd.out", 200000), "the log tells")
        r = inst.good("qvm-ls", "filler")
        check("full" in r.text + r.errtext, f"qvm-ls says why: {r}")
        subprocess.run(["mount", "-o", "remount,size=600m", where], check=True)
        inst.good("qvm-unpause", "filler")
        out, _ = job.communicate(timeout=600)
        check(b"done" in out, f"the writer goes on: {out}")
    finally:
        job.kill()
    equal(inst.state("filler"), "Running", "state")
    inst.sh("filler", "cd /home/user; for i in $(seq 14); do md5sum <f$i; done | cmp - sums")
    check("error" not in inst.sh("filler", "dmesg | grep -iE 'ext4|I/O error' | grep -i error; true", user="root").text.lower(), "the guest saw no error")
    inst.good("qvm-shutdown", "--wait", "filler", timeout=300)
    inst.good("qvm-start", "filler", timeout=900)
    inst.sh("filler", "cd /home/user; for i in $(seq 14); do md5sum <f$i; done | cmp - sums")


@suite.test
def ephemeral_is_in_memory(inst):
    """What a qube writes to an ephemeral disk is found nowhere in the instance's files, while it runs and afterwards."""
    mark = hashlib.sha256(os.urandom(16)).hexdigest()
    inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
    inst.good("qvm-volume", "config", "beta:volatile", "ephemeral", "True")
    inst.good("qvm-start", "beta", timeout=900)
    inst.sh("beta", f"for i in $(seq 2000); do echo {mark}; done >/var/tmp/canary; sync; echo 3 >/proc/sys/vm/drop_caches; grep -c {mark} /var/tmp/canary", user="root")
    files = open_images(inst, "beta")
    check(any("memfd:" in f for f in files), f"a disk in memory: {files}")
    check(not any("(deleted)" in f and "memfd:" not in f and "/lib/" in f for f in files), f"no throw-away file on the disk: {files}")
    equal(found(inst, mark), [], "files that hold the canary while it runs")
    inst.good("qvm-kill", "beta")
    equal(found(inst, mark), [], "files that hold the canary afterwards")
    inst.good("qvm-volume", "config", "beta:volatile", "ephemeral", "False")
    inst.good("qvm-start", "beta", timeout=900)


def open_images(inst, qube):
    pids = [p for p, a in inst.processes() if a and b"qemu-system" in os.path.basename(a[0]) and any(qube.encode() in x for x in a)]
    check(pids, f"QEMU of {qube}")
    out = []
    for fd in os.listdir(f"/proc/{pids[-1]}/fd"):
        try:
            out.append(os.readlink(f"/proc/{pids[-1]}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return out


def holds(path, text):
    """Looks only at what is allocated: images are large and mostly empty."""
    with open(path, "rb") as f:
        size, at = os.fstat(f.fileno()).st_size, 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
                end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            except OSError:
                return False
            tail = b""
            while at < end:
                b = os.pread(f.fileno(), min(1 << 22, end - at), at)
                if not b:
                    break
                if text in tail + b:
                    return True
                at, tail = at + len(b), b[-len(text):]
    return False


def found(inst, text):
    out = []
    for top, _, files in os.walk(inst.root):
        for name in files:
            path = os.path.join(top, name)
            try:
                if os.path.isfile(path) and not os.path.islink(path) and holds(path, text.encode()):
                    out.append(path)
            except FileNotFoundError:
                pass
    return out


@suite.test
def revisions_undo_a_deletion(inst):
    """Requirement B19: a file that was deleted by accident comes back with the revision before."""
    inst.good("qvm-volume", "config", "beta:private", "revisions_to_keep", "2")
    inst.sh("beta", "echo precious >/home/user/precious; sync")
    inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
    inst.good("qvm-start", "beta", timeout=900)
    r = inst.run("qvm-volume", "revert", "beta:private")
    check(r.rc != 0, f"reverted while it runs: {r}")
    inst.sh("beta", "rm /home/user/precious; sync")
    inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
    inst.good("qvm-volume", "revert", "beta:private")
    inst.good("qvm-start", "beta", timeout=900)
    equal(inst.sh("beta", "cat /home/user/precious").text.strip(), "precious", "the file after the revert")


@suite.test
def clone_of_a_running_qube_is_its_state_before(inst):
    if inst.sh("beta", "test -e /home/user/precious", ok=False).rc:
        inst.sh("beta", "echo precious >/home/user/precious; sync")
        inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
        inst.good("qvm-start", "beta", timeout=900)
    inst.sh("beta", "echo running >/home/user/while-running; sync")
    inst.good("qvm-clone", "beta", "twin", timeout=300)
    inst.good("qvm-start", "twin", timeout=900)
    equal(inst.sh("twin", "cat /home/user/precious; ls /home/user").text.split()[0], "precious", "what was committed")
    check("while-running" not in inst.sh("twin", "ls /home/user").text, "what runs is not copied")
    inst.good("qvm-kill", "twin")
    inst.good("qvm-remove", "-f", "twin")
    equal(inst.sh("beta", "cat /home/user/precious").text.strip(), "precious", "the source is not touched by its clone")


@suite.test
def without_snapshots(inst):
    """revisions_to_keep -1: nothing shows a running qube's volume, a crash loses nothing."""
    r = inst.run("qvm-volume", "config", "beta:private", "revisions_to_keep", "-1")
    check(r.rc != 0 and "halted" in r.errtext.lower(), f"while it runs: {r}")
    inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
    inst.good("qvm-volume", "config", "beta:private", "revisions_to_keep", "-1")
    inst.good("qvm-start", "beta", timeout=900)
    inst.sh("beta", "echo alone >/home/user/alone; sync")
    r = inst.run("qvm-clone", "beta", "never", timeout=300)
    check(r.rc != 0 and "snapshots" in r.errtext, f"a clone of it: {r}")
    check("never" not in inst.states(), "the unfinished clone is gone")
    inst.good("qvm-kill", "beta")
    inst.good("qvm-start", "beta", timeout=900)
    equal(inst.sh("beta", "cat /home/user/alone").text.strip(), "alone", "data after a kill")
    inst.good("qvm-shutdown", "--wait", "beta", timeout=300)
    inst.good("qvm-volume", "config", "beta:private", "revisions_to_keep", "1")
    inst.good("qvm-clone", "beta", "later", timeout=300)
    inst.good("qvm-remove", "-f", "later")
    inst.good("qvm-start", "beta", timeout=900)
