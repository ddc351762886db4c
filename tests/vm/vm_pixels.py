# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory for pixels in real machines (docs/gui.md §3): a guest writes it, a GUI client reads it and can do nothing else with it; in a booted machine and in a clone."""
import mmap
import os
import socket
import struct

import bh
from bh import check, equal
from vm_setup import TEMPLATE
from vm_states import how

suite = bh.Suite("vm.pixels")
LC_LISTEN, LC_OPEN, LC_GUI = 0x601, 0x603, 0x605
EBUSY = 16

# The agent's part: listens on (0, 6000), says what came, finds the device, and writes WORD at its beginning and before its end. Perl has no mmap of its own.
AGENT = r"""use strict; use Socket;
my $word = "WORD";
socket(my $s, AF_UNIX, SOCK_SEQPACKET, 0) or die; connect($s, sockaddr_un("/run/bulkhead/link.sock")) or die "link: $!";
send($s, pack("V6", 0x601, 1, 8, 0, 0, 6000), 0); my $b = ""; recv($s, $b, 4096, 0);
printf "%x\n", unpack("V", $b);
my ($dir) = grep { my $d = $_; my $id = ""; for my $n ("vendor", "device") { open my $f, "<", "$d/$n" or next; $id .= <$f> } $id eq "0x1af4\n0x1110\n" }
            glob("/sys/bus/pci/devices/*");
die "no device among " . join(" ", glob("/sys/bus/pci/devices/*")) unless $dir;
open my $e, ">", "$dir/enable" or die "enable: $!"; print $e "1\n"; close $e;
open my $f, "+<", (-e "$dir/resource2_wc" ? "$dir/resource2_wc" : "$dir/resource2") or die "resource2: $!";
my $size = -s $f; print "$size\n$dir\n";
my $at = syscall(9, 0, $size, 3, 1, fileno($f), 0); die "mmap: $!" if $at == -1;
pipe(my $r, my $w) or die; syswrite($w, $word . $word);
for my $to ($at, $at + $size - length($word)) { syscall(0, fileno($r), $to, length($word)) == length($word) or die "copy: $!" }
"""


class Client:
    """A GUI client of a qube."""

    def __init__(self, inst, qube):
        qid = inst.good("qvm-prefs", qube, "xid").text.strip()
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(300)
        self.s.connect(os.path.join(inst.root, "run", "q", qid, "chan.sock"))
        self.s.send(struct.pack("<IIIIII", LC_GUI, 1, 8, 0, 0, 6000))
        self.fds = []

    def answer(self):
        b, self.fds, _, _ = socket.recv_fds(self.s, 4096, 4)
        kind, _, _, flags = struct.unpack_from("<IIII", b)
        return struct.unpack_from("<I", b, 16)[0] if flags & 2 else (kind, len(self.fds))

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.s.close()


def pixels(inst, start):
    """The qube of these tests, running."""
    if "pixels" not in inst.states():
        inst.good("qvm-create", "-l", "green", "-t", TEMPLATE, "--prop", "netvm=none", "pixels")
        inst.good("qvm-features", "pixels", "gui", "1")
    if inst.state("pixels") != "Halted":
        inst.good("qvm-kill", "pixels")
    if start == "cold":
        inst.good("qvm-features", "pixels", "fast-start", "")
    else:
        inst.good("qvm-features", "--unset", "pixels", "fast-start")
        inst.good("qvm-state", "build", "pixels", timeout=1200)
    inst.good("qvm-start", "pixels", timeout=900)
    equal(how(inst, "pixels"), start, "how it started")


def write_and_read(inst, word):
    check("0x1110" not in inst.sh("pixels", "cat /sys/bus/pci/devices/*/device").text, "the device before anybody asked")
    c = Client(inst, "pixels")
    try:
        lines = inst.sh("pixels", "perl -", stdin=AGENT.replace("WORD", word).encode(), user="root", timeout=300).text.split("\n")
        equal(c.answer(), (LC_OPEN, 2), "the client's answer")
        equal(lines[:2], ["%x" % LC_OPEN, str(256 << 20)], "what the agent got, and the size of the device")
        check(lines[2].startswith("/sys/bus/pci/devices/0000:"), f"place: {lines}")
        stream, memory = c.fds
        equal(os.fstat(memory).st_size, 256 << 20, "size")
        with mmap.mmap(memory, 256 << 20, prot=mmap.PROT_READ) as m:
            equal((m[:len(word)], m[-len(word):]), (word.encode(), word.encode()), "what the guest wrote")
            check(not any(m[4096:8192]), "what nobody wrote")
        for what, attempt in (("map for writing", lambda: mmap.mmap(memory, 4096)), ("write", lambda: os.pwrite(memory, b"x", 0)), ("resize", lambda: os.ftruncate(memory, 4096))):
            try:
                attempt()
            except OSError:
                continue
            raise bh.Failure(f"{what}: a GUI client may not do that")
        # The guest's program has gone, and with it its end of the stream.
        equal(os.read(stream, 10), b"", "the end of the stream")
        check(os.stat(f"/proc/self/fd/{memory}").st_blocks * 512 < 1 << 20, "memory that nobody touched costs nothing")
    finally:
        c.close()


@suite.test
def a_booted_machine(inst):
    pixels(inst, "cold")
    write_and_read(inst, "cold pixels")
    # A second client while the first waits; and one after it finds the device there.
    a = Client(inst, "pixels")
    b = Client(inst, "pixels")
    equal(b.answer(), EBUSY, "a second client")
    b.close()
    a.close()
    inst.sh("pixels", "grep -l 0x1110 /sys/bus/pci/devices/*/device")


@suite.test
def clones_of_a_state(inst):
    for word in ("first clone", "second clone"):
        pixels(inst, "clone")
        write_and_read(inst, word)
    inst.good("qvm-kill", "pixels")
