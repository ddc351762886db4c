# SPDX-License-Identifier: GPL-3.0-or-later
"""A VPN qube in network namespaces: servers of WireGuard and OpenVPN in the world, a client that tries everything, and a raw socket on the cable outside.

The qube's way out is its eth0; all that the world receives from it is looked at, packet by packet."""
import json
import os
import subprocess
import sys

import bh
from bh import check, equal

# In the world: every frame that comes out of the qube. Commands on standard input, one JSON line as the answer to each.
SNIFFER = r"""
import json, select, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
try: s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
except OSError: pass
s.bind((sys.argv[1], 0)); s.setblocking(False)
allowed, good, leaks = set(), 0, []
def judge(f):
    kind = struct.unpack(">H", f[12:14])[0]
    if kind == 0x0800:
        n = (f[14] & 15) * 4; proto = f[23]; dst = socket.inet_ntoa(f[30:34]); p = f[14 + n:]
        frag = struct.unpack(">H", f[20:22])[0] & 0x1fff
        if frag and any(a.split("/")[1] == dst for a in allowed): return None
        if proto in (6, 17) and len(p) >= 4:
            port = struct.unpack(">H", p[2:4])[0]
            if f"{proto}/{dst}/{port}" in allowed: return None
            # A question, but only for the one name.
            if proto == 17 and port == 53 and f"ask/{dst}" in allowed and b"\x03vpn\x07example\x03org\x00" in p: return None
        return f"IPv4 proto {proto} to {dst} {p[:40].hex()}"
    if kind == 0x86dd:
        return f"IPv6 next {f[20]} to {socket.inet_ntop(socket.AF_INET6, f[38:54])}"
    # Where its gateway is, which is the server too, the qube may ask on the cable to its NetVM when its way out is set up anew.
    if kind == 0x0806 and f[38:42] == socket.inet_aton("192.0.2.1"):
        return None
    return f"ethertype {kind:04x} {f[14:42].hex()}"
def drain():
    global good
    while True:
        try: f, a = s.recvfrom(65535)
        except BlockingIOError: return
        if a[2] == 4: continue  # our own
        v = judge(f)
        if v is None: good += 1
        elif len(leaks) < 500: leaks.append(v)
print("ready", flush=True)
while True:
    r = select.select([s, sys.stdin], [], [])[0]
    if s in r: drain()
    if sys.stdin in r:
        line = sys.stdin.readline().split()
        if not line: break
        drain()
        if line[0] == "allow": allowed.update(line[1:])
        if line[0] == "forbid": allowed.clear()
        lost = struct.unpack("II", s.getsockopt(263, 6, 8))[1]
        if lost: leaks.append(f"{lost} frames were not looked at")
        print(json.dumps([good, leaks]), flush=True)
"""

# Whoever sends, he does it in rounds until he is ended, and says after each one how many packets he has given to the kernel.
ATTACKER = r"""
import errno, os, random, socket, struct, sys, time
world, inside, world6, dev, spoof = sys.argv[1:6]
sent = 0
def attempt(fn):
    global sent
    try: fn(); sent += 1
    except OSError: pass
def udp(addr, port, src=None, data=b"x"):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM); s.setblocking(False)
    try:
        if src: s.setsockopt(socket.SOL_IP, 19, 1); s.bind((src, 0))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(data, (addr, port))
    finally: s.close()
def tcp(addr, port):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET); s.setblocking(False)
    try: s.connect((addr, port))
    except BlockingIOError: pass
    finally: held.append(s); del held[:-20]
def raw(addr, proto, data=b"\0" * 20):
    s = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_RAW, proto); s.setblocking(False)
    try: s.sendto(data, (addr, 0))
    finally: s.close()
echo = lambda v6: struct.pack(">BBHHH", 128 if v6 else 8, 0, 0xf7ff if not v6 else 0, 0, 0)
question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4leak\7example\3org\0\0\1\0\1"
held = []
n = 0
while True:
    for a in (world, inside, "8.8.8.8", world6):
        attempt(lambda: udp(a, 81)); attempt(lambda: udp(a, 123, data=b"\x1b" + b"\0" * 47)); attempt(lambda: tcp(a, 80)); attempt(lambda: udp(a, 53, data=question))
    for a in ("10.139.1.1", "10.139.1.2", "192.0.2.1", "192.0.2.53"):
        attempt(lambda: udp(a, 53, data=question)); attempt(lambda: tcp(a, 53))
    for a in ("224.0.0.251", "239.1.2.3", "255.255.255.255", "ff02::fb%" + dev, "ff0e::1"):
        attempt(lambda: udp(a, 5353))
    attempt(lambda: udp("255.255.255.255", 67))
    attempt(lambda: udp(world, 81, src=spoof))
    for proto in (2, 4, 41, 47, 50, 132, 253):
        attempt(lambda: raw(world, proto))
    attempt(lambda: raw(world, 1, echo(False))); attempt(lambda: raw(world6, 58, echo(True)))
    n += 1
    print(n, sent, flush=True)
    time.sleep(0.05)
"""

# One name, and nothing else.
DNS = r"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    d, a = s.recvfrom(1500)
    name = d[12:d.index(b"\0", 12) + 5]
    ok = name == b"\x03vpn\x07example\x03org\0\0\1\0\1"
    s.sendto(d[:2] + (b"\x81\x80" if ok else b"\x81\x83") + b"\0\1" + (b"\0\1" if ok else b"\0\0") + b"\0\0\0\0" + name +
             (b"\xc0\x0c\0\1\0\1\0\0\0\x05\0\4" + socket.inet_aton(sys.argv[2]) if ok else b""), a)
"""

# The name server inside the tunnel, which only tells who asked (TCP is answered by the world's other server).
ECHO = r"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    d, a = s.recvfrom(1500)
    s.sendto(b"from " + a[0].encode(), a)
"""

SERVER_ADDR, UPLINK_DNS, INSIDE, TUNNEL_ME, INSIDE6, TUNNEL_ME6 = "192.0.2.1", "192.0.2.53", "10.99.0.1", "10.99.0.2", "fd99::1", "fd99::2"
WG_PORT, OVPN_PORT = 51820, 1194
DEADLINE = float(os.environ.get("BULKHEAD_DEADLINE") or 180)


def wait_for(cond, what, timeout=None):
    """As bh.wait_for; what may be a function, which is asked at the end."""
    try:
        bh.wait_for(cond, "", timeout or DEADLINE)
    except bh.Failure:
        raise bh.Failure(f"waited for {what() if callable(what) else what}") from None


class Sniffer:
    def __init__(self, world):
        self.p = subprocess.Popen(world.world.cmd(sys.executable, "-c", SNIFFER, "w1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        world.procs.append(self.p)
        equal(self.p.stdout.readline(), "ready\n", "the sniffer")

    def tell(self, *words):
        self.p.stdin.write(" ".join(words) + "\n")
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def clean(self, what):
        good, leaks = self.tell("report")
        equal(leaks, [], f"packets outside the tunnel, {what}")
        return good


class Attacker:
    """cmd: how to run a program where it sits."""

    def __init__(self, world, cmd, world_addr, world6, dev, spoof):
        self.p = subprocess.Popen(cmd(sys.executable, "-u", "-c", ATTACKER, world_addr, INSIDE, world6, dev, spoof), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        world.procs.append(self.p)
        os.set_blocking(self.p.stdout.fileno(), False)
        self.rounds = self.sent = 0
        self.buf = ""
        self.goes_on(3)

    def take(self):
        try:
            data = os.read(self.p.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        check(data, "the attacker has ended")
        lines = (self.buf + data.decode()).split("\n")
        self.buf = lines.pop()
        if lines:
            self.rounds, self.sent = map(int, lines[-1].split())

    def goes_on(self, rounds=2):
        """Waits until so many whole rounds were made from now on."""
        self.take()
        until = self.rounds + rounds + 1

        def there():
            self.take()
            return self.rounds >= until
        wait_for(there, "rounds of the attacker", DEADLINE)


def make(base, build):
    """The class of a VPN qube on top of World of run_net_guest (base)."""
    vpn = os.path.join(build, "guest", "bulkhead-vpn")

    class VpnWorld(base.World):
        def __init__(self):
            super().__init__({"/qubes-ip": "192.0.2.100", "/qubes-gateway": SERVER_ADDR, "/qubes-mac": "00:16:3e:5e:6c:00", "/qubes-primary-dns": UPLINK_DNS,
                              "/qubes-ip6": base.ME6, "/qubes-gateway6": base.UP6, "/qubes-netvm-gateway6": base.ME6}, (base.UP6, base.WORLD6))
            self.vpn_proc = self.netd_proc = None

        def __enter__(self):
            super().__enter__()
            try:
                return self.prepare()
            except BaseException:
                self.__exit__()
                raise

        def prepare(self):
            # What an earlier qube in this namespace left.
            for family in ("-4", "-6"):
                for what in (("rule", "del", "pref", "4246"), ("rule", "del", "pref", "4247"), ("route", "flush", "table", "4248")):
                    subprocess.run(["ip", family, *what], capture_output=True)
            for d in ("services", "vpn", "run"):
                os.makedirs(self.path(d))
            open(self.path("services/bulkhead-vpn"), "w").close()
            self.world.ip("link set w1 address fe:ff:ff:ff:ff:ff", f"route add {base.ME6}/128 dev w1", f"addr add {UPLINK_DNS}/24 dev w1",
                          f"neigh replace {base.ME6} lladdr 00:16:3e:5e:6c:00 dev w1 nud permanent",
                          "neigh replace 192.0.2.100 lladdr 00:16:3e:5e:6c:00 dev w1 nud permanent")
            dns = subprocess.Popen(self.world.cmd(sys.executable, "-c", DNS, UPLINK_DNS, SERVER_ADDR), stdout=subprocess.PIPE)
            self.procs.append(dns)
            equal(dns.stdout.readline(), b"ready\n", "DNS")
            # As systemd has it in a qube: an answer must come from where a packet there would go.
            for name in ("all", "default"):
                with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as f:
                    f.write("2")
            with open("/proc/sys/net/ipv4/icmp_ratelimit", "w") as f:
                f.write("0")
            self.sniffer = Sniffer(self)
            c = self.clients[0]
            c.ip(*(f"addr add {a}/128 dev c0g nodad" for a in (base.CLIENT6, base.SPOOF6)), f"neigh replace {base.ME6} lladdr fe:ff:ff:ff:ff:ff dev c0g nud permanent",
                 f"route add {base.ME6} dev c0g", f"route add default via {base.ME6} dev c0g onlink src {base.CLIENT6}", f"addr add {base.SPOOF}/32 dev c0g")
            return self

        def netd(self):
            self.netd_proc = self.daemon([base.NETD, "--socket", self.sock, "--sys-net", self.path("net"), "--resolv-conf", self.path("resolv.conf"), "--modprobe", "/bin/true",
                                          "--hooks", self.path("rw/network-hooks.d"), "--vpn-services", self.path("services"), "--vpn-resolv", self.path("uplink-resolv"),
                                          "--vpn-run", self.path("run")])
            return self.netd_proc

        def start_vpn(self):
            self.vpn_proc = self.daemon([vpn, "--run", self.path("run"), "--conf", self.path("vpn/vpn.conf"), "--resolv", self.path("resolv.conf"),
                                         "--uplink-resolv", self.path("uplink-resolv"), "--qubesdb", self.sock])

        def up(self):
            """Everything but a configuration."""
            self.firewall()
            self.netd()
            self.start_vpn()
            self.plug("10.0", "w0", "uplink", "eth0")
            self.write({"/connected-ips": base.CLIENT, "/connected-ips6": base.CLIENT6})
            self.plug("10.1", "c0h", f"client 5 00:16:3e:5e:6c:00 {base.CLIENT} {base.CLIENT6}", "vif5.0")
            for slot, name in (("10.0", "eth0"), ("10.1", "vif5.0")):
                wait_for(lambda s=slot, n=name: self.read(f"/net-port-ready/{s}") == n, lambda: f"{name}: {self.tail()}")
            self.rules(base.CLIENT, "action=accept")
            self.rules(base.CLIENT6, "action=accept")

        def tail(self):
            return self.log()[-4000:]

        def state(self):
            return self.read("/vpn-state")

        def service(self, what, data=b""):
            return subprocess.run([vpn, "service", what, self.path("vpn"), self.path("run")], input=data, capture_output=True, timeout=DEADLINE)

        def give(self, conf, **files):
            data = b"".join(b"%d %s\n%s" % (len(v), k.encode(), v) for k, v in {"configuration": conf.encode(), **files}.items())
            r = self.service("import", data)
            check(r.returncode == 0, f"import: {r.stdout} {r.stderr}")
            return r.stdout.decode()

        def is_up(self):
            wait_for(lambda: self.state() == "up", lambda: f"the tunnel: {self.state()} {self.tail()}")

        def works(self, proto="udp", addr=None, port=81, asker=""):
            """From the client through the tunnel; the server's answer says from where the question came. A datagram may be lost."""
            def ask():
                got = self.clients[0].probe(proto, addr or base.WORLD, port, limit=3)
                check("192.0.2.100" not in got and base.ME6 not in got, f"the world was asked outside the tunnel: {got}")
                check(not got.startswith("from ") or not asker or got == "from " + asker, f"who asked: {got}")
                return got.startswith("from ")
            wait_for(ask, lambda: f"an answer through the tunnel: {self.state()} {self.tail()}")

        # --- servers in the world ---

        def wg_server(self):
            def key(*args, data=b""):
                return subprocess.run(["wg", *args], input=data, capture_output=True, check=True).stdout.decode().strip()
            mine, theirs = key("genkey"), key("genkey")
            if os.path.exists("/run/wireguard/wgs0.sock"):
                os.remove("/run/wireguard/wgs0.sock")
            self.wg_proc = subprocess.Popen(self.world.cmd("wireguard-go", "-f", "wgs0"), stdout=self.log_file, stderr=self.log_file, env=dict(os.environ, LOG_LEVEL="error"))
            self.procs.append(self.wg_proc)
            wait_for(lambda: "wgs0" in self.world.run("wg", "show", "wgs0", ok=False), "the server")
            conf = f"[Interface]\nPrivateKey={mine}\nListenPort={WG_PORT}\n[Peer]\nPublicKey={key('pubkey', data=theirs.encode())}\nAllowedIPs={TUNNEL_ME}/32,{TUNNEL_ME6}/128\n"
            with open(self.path("wgs.conf"), "w") as f:
                f.write(conf)
            self.world.run("wg", "setconf", "wgs0", self.path("wgs.conf"))
            self.inside("wgs0")
            return (f"[Interface]\nPrivateKey = {theirs}\nAddress = {TUNNEL_ME}/32, {TUNNEL_ME6}/128\nDNS = {INSIDE}\nPostUp = touch {self.path('pwned')}\n"
                    f"[Peer]\nPublicKey = {key('pubkey', data=mine.encode())}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = {{end}}:{WG_PORT}\nPersistentKeepalive = 1\n")

        def inside(self, dev):
            """Who answers behind the server's end of the tunnel. Answers of 192.0.2.7 and of the others go back into it too."""
            self.world.ip(f"addr replace {INSIDE}/32 dev {dev}", f"addr replace {INSIDE6}/128 dev {dev} nodad", f"link set {dev} up",
                          f"route replace {TUNNEL_ME}/32 dev {dev}", f"route replace {TUNNEL_ME6}/128 dev {dev}")
            self.echo()

        def echo(self):
            p = subprocess.Popen(self.world.cmd(sys.executable, "-c", ECHO, INSIDE), stdout=subprocess.PIPE, stderr=self.log_file)
            self.procs.append(p)
            equal(p.stdout.readline(), b"ready\n", "who answers inside")

        def ovpn_server(self):
            d = self.path("pki")
            os.makedirs(d)
            prints = {}
            for who in ("server", "client"):
                subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", f"/CN={who}",
                                "-keyout", f"{d}/{who}.key", "-out", f"{d}/{who}.crt"], check=True, capture_output=True)
                out = subprocess.run(["openssl", "x509", "-in", f"{d}/{who}.crt", "-noout", "-fingerprint", "-sha256"], check=True, capture_output=True, text=True).stdout
                prints[who] = out.split("=")[1].strip()
            with open(f"{d}/server.conf", "w") as f:
                f.write(f"dev ovs0\ndev-type tun\nlocal {SERVER_ADDR}\nport {OVPN_PORT}\nproto udp4\nserver 10.99.0.0 255.255.255.0\ntopology subnet\ndh none\nkeepalive 1 5\n"
                        f"cert {d}/server.crt\nkey {d}/server.key\npeer-fingerprint {prints['client']}\npush \"dhcp-option DNS {INSIDE}\"\npush \"redirect-gateway def1\"\n"
                        f"push \"route 192.0.2.0 255.255.255.0 net_gateway\"\nverb 1\n")
            self.ovpn_proc = subprocess.Popen(self.world.cmd("openvpn", "--config", f"{d}/server.conf"), stdout=self.log_file, stderr=self.log_file)
            self.procs.append(self.ovpn_proc)
            wait_for(lambda: "ovs0" in self.world.run("ip", "-br", "link"), lambda: f"the server: {self.tail()}")
            wait_for(lambda: INSIDE in self.world.run("ip", "-br", "addr"), lambda: f"the server's address: {self.tail()}")
            self.echo()
            with open(f"{d}/client.key", "rb") as k, open(f"{d}/client.crt") as c:
                return (f"client\ndev tun\nproto udp\nremote {{end}} {OVPN_PORT}\nup /usr/bin/touch\nscript-security 2\npeer-fingerprint {prints['server']}\n"
                        f"ping 1\nping-restart 5\nserver-poll-timeout 5\n<cert>\n{c.read()}</cert>\nkey my.key\n"), {"my.key": k.read()}

    return VpnWorld
