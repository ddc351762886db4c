# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy and move of files between qubes: byte for byte, and nothing lost when something goes wrong."""
import bh
from bh import check, equal

suite = bh.Suite("vm.copy")

# A digest of names, kinds, modes, times and contents of a tree, made the same way on both sides.
DIGEST = r"""cd "$1" && find . -mindepth 1 -printf '%P\0%y\0%m\0%T@\0%l\0' | sort -z | sha256sum; find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum"""


def digest(inst, qube, path, skip_link_times=True):
    script = DIGEST.replace("%T@", "%Ts") if skip_link_times else DIGEST
    # A link's own time is not sent by the format.
    script = script.replace("find . -mindepth 1 -printf", "find . -mindepth 1 ! -type l -printf") + \
        "; find . -type l -printf '%P\\0%l\\0' | sort -z | sha256sum"
    return inst.sh(qube, f"set -- '{path}'; {script}", timeout=600).text


@suite.test
def tree_arrives_identical(inst):
    inst.sh("alpha", r"""rm -rf t && mkdir -p t/dir/sub t/empty && cd t && echo one >a && printf '' >zero && head -c 3000000 /dev/urandom >dir/big
echo s >dir/sub/x && ln -s sub/x dir/link && chmod 751 dir && chmod 4600 a; chmod 400 dir/sub/x; touch -d '2001-02-03 04:05:06' a dir/sub; touch -d '1999-01-01' dir""")
    r = inst.sh("alpha", "qvm-copy-to-vm beta t", ok=False)
    equal(r.rc, 0, f"qvm-copy-to-vm: {r}")
    equal(digest(inst, "beta", "QubesIncoming/alpha/t"), digest(inst, "alpha", "t"), "digest of the tree")


@suite.test
def existing_name_is_not_overwritten(inst):
    inst.sh("alpha", "echo first >once && qvm-copy-to-vm beta once && echo second >once")
    r = inst.sh("alpha", "qvm-copy-to-vm beta once", ok=False)
    check(r.rc != 0 and "exist" in r.errtext.lower(), f"second copy of the same name fails and says why: {r}")
    equal(inst.sh("beta", "cat QubesIncoming/alpha/once").text.strip(), "first", "content")


@suite.test
def names_with_every_byte(inst):
    make = r"""rm -rf n && mkdir n && cd n && for i in $(seq 1 255); do [ $i = 47 ] || { f=$(printf "\\$(printf %o $i)x"; echo .); f=${f%.}; f=${f%?}; echo $i >"a$f"; }; done; ls | wc -l"""
    count = inst.sh("alpha", make).text.strip()
    r = inst.sh("alpha", "qvm-copy-to-vm beta n", ok=False)
    check(r.rc != 0, "names outside the safe set are refused")
    check("--allow-all-names" in r.errtext, f"and the message says what to do: {r.errtext}")
    equal(inst.sh("beta", "test -e QubesIncoming/alpha/n", ok=False).rc, 1, "nothing of it arrived")
    inst.sh("alpha", "qvm-copy-to-vm --allow-all-names beta n")
    equal(inst.sh("beta", "ls QubesIncoming/alpha/n | wc -l").text.strip(), count, "number of files")
    equal(digest(inst, "beta", "QubesIncoming/alpha/n"), digest(inst, "alpha", "n"), "digest")


@suite.test
def two_thousand_small_files(inst):
    inst.sh("alpha", "rm -rf many && mkdir many && cd many && for d in $(seq 20); do mkdir $d; for i in $(seq 100); do echo $d.$i >$d/$i; done; done", timeout=600)
    inst.sh("alpha", "qvm-copy-to-vm beta many", timeout=900)
    equal(inst.sh("beta", "find QubesIncoming/alpha/many -type f | wc -l").text.strip(), "2000", "files")
    equal(digest(inst, "beta", "QubesIncoming/alpha/many"), digest(inst, "alpha", "many"), "digest")


@suite.test
def sparse_64_mib(inst):
    inst.sh("alpha", "rm -f sparse && truncate -s 64M sparse && printf end | dd of=sparse bs=1 seek=67108861 conv=notrunc 2>/dev/null")
    inst.sh("alpha", "qvm-copy-to-vm beta sparse", timeout=900)
    equal(inst.sh("beta", "sha256sum <QubesIncoming/alpha/sparse").text, inst.sh("alpha", "sha256sum <sparse").text, "digest")
    kib = int(inst.sh("beta", "du -k QubesIncoming/alpha/sparse").text.split()[0])
    check(kib < 8192, f"holes stay holes: {kib} KiB of 65536 on disk")


@suite.test
def denied_copy_changes_nothing(inst):
    inst.sh("beta", "echo keep >mine")
    for tool in ("qvm-copy-to-vm", "qvm-move-to-vm"):
        r = inst.sh("beta", f"{tool} alpha mine", ok=False)
        check(r.rc != 0 and r.errtext.strip(), f"{tool} under a policy that refuses fails with a message: {r}")
    equal(inst.sh("beta", "cat mine").text.strip(), "keep", "source")
    equal(inst.sh("alpha", "test -e QubesIncoming/beta", ok=False).rc, 1, "nothing arrived")


@suite.test
def move_deletes_after_success(inst):
    inst.sh("alpha", "rm -rf mv && mkdir -p mv/d && echo 1 >mv/a && echo 2 >mv/d/b")
    want = digest(inst, "alpha", "mv")
    inst.sh("alpha", "qvm-move-to-vm beta mv")
    equal(inst.sh("alpha", "test -e mv", ok=False).rc, 1, "source is gone")
    equal(digest(inst, "beta", "QubesIncoming/alpha/mv"), want, "digest at the target")


@suite.test
def failed_move_keeps_everything(inst):
    """The name exists at the target already, so the receiver refuses in the middle."""
    inst.sh("alpha", "rm -rf mv && mkdir -p mv/d && echo new >mv/a && echo new2 >mv/d/b")
    r = inst.sh("alpha", "qvm-move-to-vm beta mv", ok=False)
    check(r.rc != 0, "move onto an existing name fails")
    equal(inst.sh("alpha", "cat mv/a mv/d/b").text, "new\nnew2\n", "source is complete")


@suite.test
def cancelled_move_leaves_nothing_half(inst):
    """The file would take hours; the move is told to end as soon as the first bytes are under way."""
    r = inst.sh("alpha", r"""truncate -s 1T endless; rm -f log
PROGRESS_TYPE=console qvm-move-to-vm beta endless 2>log & p=$!
until [ -s log ]; do kill -0 $p || exit 99; sleep 0.1; done
kill -TERM $p; wait $p; rc=$?; tr '\r' '\n' <log | tail -n 3; ls .local/state/bulkhead/moves; exit $rc""", ok=False, timeout=600)
    check(r.rc == 130 and "cancelled" in r.text and "\nmove-" not in r.text, f"cancelled: {r}")
    equal(inst.sh("alpha", "stat -c %s endless && rm endless").text.strip(), str(1 << 40), "the source")
    equal(inst.sh("beta", "test -e QubesIncoming/alpha/endless", ok=False).rc, 1, "nothing of it at the target")


@suite.test
def move_is_taken_up_after_a_crash(inst):
    """The tool dies when the receiver has confirmed, before it deletes (the sender is followed by a SIGKILL)."""
    inst.sh("alpha", r"""rm -rf mv2 && mkdir -p mv2/d && echo 1 >mv2/a && echo 2 >mv2/d/b
mkdir -p crash && cp /usr/bin/qvm-copy crash/qvm-move-to-vm && cp /usr/lib/qubes/qfile-agent crash/
printf '#!/bin/sh\n/usr/bin/qrexec-client-vm "$@" && kill -9 $PPID\n' >crash/qrexec-client-vm && chmod 755 crash/qrexec-client-vm""")
    r = inst.sh("alpha", "crash/qvm-move-to-vm beta mv2", ok=False)
    check(r.rc == 137, f"the tool was killed: {r}")
    equal(inst.sh("alpha", "cat mv2/a mv2/d/b").text, "1\n2\n", "the originals after the crash")
    equal(inst.sh("beta", "cat QubesIncoming/alpha/mv2/a QubesIncoming/alpha/mv2/d/b").text, "1\n2\n", "the copy")
    inst.sh("alpha", "cd / && qvm-move --resume")
    equal(inst.sh("alpha", "test -e mv2", ok=False).rc, 1, "the originals after --resume")


@suite.test
def missing_source_is_named(inst):
    r = inst.sh("alpha", "qvm-copy-to-vm beta no-such-file", ok=False)
    check(r.rc != 0 and "no-such-file" in r.errtext, f"missing source is named: {r}")


@suite.test
def full_target_keeps_source(inst):
    """The target's disk is filled up first; the move must fail and leave the source whole."""
    inst.sh("beta", "f=$(df --output=avail -k /rw | tail -1); fallocate -l $((f - 2000))K /rw/fill", user="root")
    try:
        inst.sh("alpha", "rm -f fat && head -c 8000000 /dev/urandom >fat")
        r = inst.sh("alpha", "qvm-move-to-vm beta fat", ok=False, timeout=600)
        check(r.rc != 0 and r.errtext.strip(), f"move to a full disk fails with a message: {r}")
        equal(inst.sh("alpha", "stat -c %s fat").text.strip(), "8000000", "size of the source")
        equal(inst.sh("beta", "test -e QubesIncoming/alpha/fat", ok=False).rc, 1, "no half file under the final name")
    finally:
        inst.sh("beta", "rm -f /rw/fill", user="root")
    equal(inst.sh("beta", "echo ok").text.strip(), "ok", "beta works on")
