# SPDX-License-Identifier: GPL-3.0-or-later
"""A Tor gateway in network namespaces: what tests/host/run_tor and tests/machine/run_tor share. QubesDB, netd and packet filter are real; the workstation's and
the way out's links are watched frame by frame."""
import ipaddress
import os
import subprocess
import sys

from bh import check, equal, wait_for

ME, UP = "192.0.2.100", "192.0.2.1"
CLIENT, CLIENT2 = "10.137.0.5", "10.137.0.6"
VIRTUAL = "10.139.1.1"
CANARY_MAC = "02:ca:0a:51:77:0e"

# Writes every frame that an interface sees, with its direction (4 = sent by this side).
SNIFF = r"""
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind((sys.argv[1], 0))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
print("ready", flush=True)
with open(sys.argv[2], "ab", 0) as f:
    while True:
        d, a = s.recvfrom(65536); f.write(b"%d %s\n" % (a[2], d.hex().encode()))
"""

# Root in the workstation: every kind of packet to every kind of address, by sockets and as raw frames with true and false senders.
ATTACK = r"""
import ipaddress, os, socket, struct, sys
me, gateway, ifname, targets = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); raw.bind((ifname, 0))
mac = raw.getsockname()[4]
PEER = bytes.fromhex("feffffffffff")
n = 0
def csum(d):
    d += b"\0" * (len(d) % 2); s = sum(struct.unpack("!%dH" % (len(d) // 2), d)); s = (s >> 16) + (s & 65535); return 65535 - ((s + (s >> 16)) & 65535)
def ip4(src, dst, proto, body, ttl=64):
    h = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(body), 7, 0, ttl, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    return h[:10] + struct.pack("!H", csum(h)) + h[12:] + body
def frame(kind, body, to=PEER, vlan=None):
    global n
    head = to + mac + (struct.pack("!HH", 0x8100, vlan) if vlan is not None else b"") + struct.pack("!H", kind)
    try: raw.send((head + body).ljust(60, b"\0")); n += 1
    except OSError: pass
def l4(src, dst, proto, sport, dport, data=b"attack"):
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst)
    if proto == 17:
        u = struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data
        return u[:6] + struct.pack("!H", csum(pseudo + struct.pack("!HH", 17, len(u)) + u) or 65535) + u[8:]
    t = struct.pack("!HHIIBBHHH", sport, dport, 99, 0, 80, 2, 1024, 0, 0)
    return t[:16] + struct.pack("!H", csum(pseudo + struct.pack("!HH", 6, len(t)) + t)) + t[18:]
PORTS = (22, 53, 67, 68, 80, 123, 443, 500, 1900, 5000, 5300, 5353, 5355, 8082, 9040, 9050, 51820)
for dst in targets:
    for src in (me, "10.137.0.6", "10.137.0.99", "192.0.2.100", "127.0.0.1", "0.0.0.0", dst):
        for proto in (1, 2, 4, 6, 17, 33, 41, 47, 50, 51, 58, 89, 103, 112, 132, 136, 255):
            if proto in (6, 17):
                for port in PORTS: frame(0x800, ip4(src, dst, proto, l4(src, dst, proto, 1024 + port % 30000, port)))
            else:
                body = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"ping" if proto == 1 else b"attack of another kind"
                if proto == 1: body = body[:2] + struct.pack("!H", csum(body)) + body[4:]
                frame(0x800, ip4(src, dst, proto, body))
    frame(0x800, ip4(me, dst, 17, l4(me, dst, 17, 1, 9), ttl=1))
    frame(0x800, ip4(me, dst, 17, l4(me, dst, 17, 1, 9)), vlan=7)
    frame(0x800, ip4(me, dst, 17, l4(me, dst, 17, 1, 9)), to=b"\xff" * 6)
    # asking for its address, and claiming it
    a = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac, socket.inet_aton(me), b"\0" * 6, socket.inet_aton(dst)); frame(0x806, a, to=b"\xff" * 6)
    a = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, mac, socket.inet_aton(dst), PEER, socket.inet_aton(gateway)); frame(0x806, a)
for src in ("fe80::1", "fd09:24ef:4179::a89:5", "2001:db8::5", "::"):
    for dst, to in (("2001:db8::7", PEER), ("fd09:24ef:4179::a89:3", PEER), ("fe80::fcff:ffff:feff:ffff", PEER), ("ff02::1", bytes.fromhex("333300000001")), ("ff02::2", bytes.fromhex("333300000002")),
                    ("ff02::fb", bytes.fromhex("3333000000fb")), ("::1", PEER), ("::ffff:192.0.2.7", PEER), ("2002:c000:0207::1", PEER), ("64:ff9b::c000:207", PEER)):
        for nh in (6, 17, 58, 43, 44, 59):
            body = b"\x85\0\0\0\0\0\0\0attack-of-six" if nh == 58 else struct.pack("!HHHH", 1, 53, 8, 0) + b"attack-of-six"
            frame(0x86dd, struct.pack("!IHBB", 6 << 28, len(body), nh, 255) + socket.inet_pton(10, src) + socket.inet_pton(10, dst) + body, to=to)
for kind in (0x88cc, 0x888e, 0x8864, 0x8863, 0x88a8, 0x9000, 0x0842, 0x8906, 0x22f0):
    for to in (PEER, b"\xff" * 6, bytes.fromhex("0180c200000e")): frame(kind, b"attack of the wire", to=to)
print(n, flush=True)
"""


def nft(*args):
    return subprocess.run(["nft", *args], capture_output=True, text=True, check=True).stdout


def gateway_class(base):
    """base: World of run_net_guest."""

    class Gateway(base.World):
        def __init__(self, tor_user="root", role="tor-gateway"):
            super().__init__({"/qubes-ip": ME, "/qubes-gateway": UP, "/qubes-mac": "00:16:3e:5e:6c:00", "/qubes-primary-dns": VIRTUAL, "/qubes-ip6": "2001:db8::100", "/qubes-gateway6": "2001:db8::1",
                              "/qubes-netvm-gateway6": "fd09:24ef:4179::a89:3", "/name": "sys-whonix"})
            self.tor_user, self.role = tor_user, role

        def __enter__(self):
            super().__enter__()
            os.makedirs(self.path("roles"))
            if self.role:
                open(self.path("roles/" + self.role), "w").close()
            self.world.ip(f"link set w1 address {CANARY_MAC}")
            self.world.ip(f"neigh replace {ME} lladdr 00:16:3e:5e:6c:00 dev w1 nud permanent")
            self.seen = {}
            for name, space, ifname in (("out", self.world, "w1"), ("in", self.clients[0], "c0g")):
                self.seen[name] = self.path("frames." + name)
                p = subprocess.Popen(space.cmd(sys.executable, "-c", SNIFF, ifname, self.seen[name]), stdout=subprocess.PIPE)
                self.procs.append(p)
                equal(p.stdout.readline(), b"ready\n", "eyes")
            return self

        def netd(self):
            return self.daemon([base.NETD, "--socket", self.sock, "--sys-net", self.path("net"), "--resolv-conf", self.resolv, "--modprobe", "/bin/true", "--hooks", self.path("rw/network-hooks.d"),
                                "--roles", self.path("roles"), "--tor-user", self.tor_user])

        def up(self):
            self.netd()
            self.plug("10.0", "w0", "uplink", "eth0")
            for i, a in enumerate((CLIENT, CLIENT2)):
                self.plug(f"10.{i + 1}", f"c{i}h", f"client {5 + i} 00:16:3e:5e:6c:00 {a} fd09:24ef:4179::a89:{5 + i}", f"vif{5 + i}.0")
            for slot, name in (("10.0", "eth0"), ("10.1", "vif5.0"), ("10.2", "vif6.0")):
                wait_for(lambda s=slot, n=name: self.read(f"/net-port-ready/{s}") == n, f"{name}: " + self.log()[-1500:], base.DEADLINE)
            # The other end of this cable is a NetVM's, with the address that all of them have.
            subprocess.run(["ip", "neigh", "replace", UP, "lladdr", CANARY_MAC, "dev", "eth0", "nud", "permanent"], check=True)
            return self

        def frames(self, name, sent=None):
            """(sent by that side, bytes) of each whole frame seen so far."""
            with open(self.seen[name]) as f:
                lines = f.read().split("\n")[:-1]
            out = [(line[0] == "4", bytes.fromhex(line[2:])) for line in lines]
            return [d for s, d in out if sent is None or s == sent]

        def attack(self, *more):
            """Everything at once; the number of frames. All of them have been judged when this returns."""
            targets = [*more, UP, "192.0.2.7", "192.0.2.8", ME, base.GATEWAY, CLIENT2, "10.137.0.1", "10.137.255.254", "10.139.1.1", "10.139.1.2", "10.192.0.1", "10.0.2.2", "127.0.0.1", "169.254.1.1",
                       "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1", "224.0.0.1", "224.0.0.251", "239.255.255.250", "255.255.255.255", "192.0.2.255", "0.0.0.0", "8.8.8.8"]
            n = int(self.clients[0].run(sys.executable, "-c", ATTACK, CLIENT, base.GATEWAY, "c0g", *targets))
            check(n > 3000, f"{n} frames were sent")
            # A cable delivers in order: once an answer to a last question came, all before it was handled.
            check(self.clients[0].probe("tcp", base.GATEWAY, 9107) != "silence", "an answer after the attack")
            self.mark()
            return n

        def mark(self):
            """Returns when everything that went out before was seen: a packet that Tor's own account may send."""
            self.marks += 1
            self.as_tor(sys.executable, "-c", "import socket, sys; s = socket.socket(); s.settimeout(0.01); s.connect_ex((sys.argv[1], int(sys.argv[2])))", UP, str(20000 + self.marks))
            wait_for(lambda: any((outside(d) or [0] * 5)[3] == 20000 + self.marks for d in self.frames("out", False)), "the mark to be seen", base.DEADLINE)

        def as_tor(self, *args):
            as_user = [] if self.tor_user == "root" else ["setpriv", f"--reuid={self.tor_user}", "--clear-groups"]
            return subprocess.run([*as_user, *args], capture_output=True, text=True, timeout=base.DEADLINE)

        marks = 0

    return Gateway


def outside(frame):
    """What a frame of the way out is: (kind, protocol, from, to, destination port); None for one that is not IPv4."""
    if frame[12:14] != b"\x08\x00":
        return None
    h = frame[14:]
    body = h[(h[0] & 15) * 4:]
    return h[9], str(ipaddress.ip_address(h[12:16])), str(ipaddress.ip_address(h[16:20])), int.from_bytes(body[2:4], "big"), int.from_bytes(body[:2], "big")
