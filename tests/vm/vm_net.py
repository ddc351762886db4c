# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of real qubes: alpha and beta behind fw1 behind net1, links made and cut while everything runs. Packets go from QEMU to QEMU."""
import json
import os
import signal
import subprocess
import sys

import bh
import xray
from bh import check, equal, wait_for

suite = bh.Suite("vm.net")
PORT = 8080
WAIT = 300

# Answers every TCP connection with the address that it came from.
SERVER = ("setsid perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalPort => %d, Listen => 9, ReuseAddr => 1) or die; "
          "while (my $c = $s->accept) { print $c \"from \", $c->peerhost, \"\\n\"; close $c }' </dev/null >/dev/null 2>&1 &" % PORT)


def ip(inst, qube):
    return inst.good("qvm-prefs", qube, "ip").text.strip()


def reaches(inst, qube, addr, want, *tell_of):
    """Waits until the server at addr tells the qube what it should; what the qubes say of themselves when it does not."""
    try:
        wait_for(lambda: ask(inst, qube, addr) == want, f"{qube} to {addr}", WAIT)
    except bh.Failure as e:
        raise bh.Failure(f"{e}: {ask(inst, qube, addr)}; " + " | ".join(q + ": " + tell(inst, q) for q in tell_of))


def ask(inst, qube, addr, limit=20):
    """What a client in the qube is told by the server at addr, or why not."""
    r = inst.run("qvm-run", "-p", "-u", "user", qube,
                 f"timeout {limit} bash -c 'exec 3<>/dev/tcp/{addr}/{PORT} && cat <&3' 2>&1 || echo failed", timeout=limit + 60)
    text = r.text.strip()
    return text.splitlines()[-1] if text else "nothing"


def interfaces(inst, qube):
    return inst.sh(qube, "ls /sys/class/net", user="root").text.split()


def linked(inst, qube, name="eth0"):
    wait_for(lambda: name in interfaces(inst, qube), f"{name} in {qube}: {tell(inst, qube)}", WAIT)


def tell(inst, qube):
    return inst.run("qvm-run", "-p", "-u", "root", qube, "ip -br addr; ip route; ip neigh; nft list ruleset | grep -A3 'counter\\|elements\\|qbs-'; journalctl -b --no-pager -u bulkhead-netd -u qubes-firewall | tail -20; "
                    "qubesdb-multiread -f /net-port; qubesdb-multiread -f /qubes-firewall").text


@suite.test
def prepare(inst):
    for name, label, netvm in (("net1", "red", ""), ("fw1", "orange", "net1")):
        inst.good("qvm-create", "-l", label, "-t", "debian-12-minimal", "--property", "provides_network=True", name)
        inst.good("qvm-prefs", name, "netvm", netvm)
    inst.good("qvm-start", "fw1", timeout=900)
    check({"net1", "fw1"} <= {n for n, s in inst.states().items() if s == "Running"}, "the NetVM starts with its client")
    linked(inst, "fw1")
    # A NetVM's own tables come with its bulkhead-netd, which may start after the agent that answers us.
    wait_for(lambda: inst.sh("net1", "nft list chain ip qubes custom-input", user="root", ok=False).rc == 0, f"tables of net1: {tell(inst, 'net1')}", WAIT)
    inst.sh("net1", SERVER + f" nft add rule ip qubes custom-input tcp dport {PORT} accept", user="root")


@suite.test
def a_qube_without_a_netvm_has_no_device(inst):
    equal(interfaces(inst, "alpha"), ["lo"], "alpha")


@suite.test
def updates_of_templates(inst):
    """A NetVM answers qubes.UpdatesProxy, as a service that starts with the call; what is no package mirror it refuses. An app qube may not even ask."""
    def answer():
        r = inst.run("qvm-run", "-p", "--no-gui", "--service", "net1", "qubes.UpdatesProxy", stdin=b"GET http://not-a-mirror.invalid/x HTTP/1.1\r\nHost: x\r\n\r\n", timeout=300)
        return r.text
    wait_for(lambda: "HTTP/1.1 403" in answer(), "the proxy of net1", WAIT)
    r = inst.sh("alpha", "qrexec-client-vm net1 qubes.UpdatesProxy </dev/null", user="root", ok=False)
    check(r.rc != 0, "an app qube was let through")


@suite.test
def plugged_while_it_runs(inst):
    inst.good("qvm-prefs", "alpha", "netvm", "fw1")
    linked(inst, "alpha")
    wait_for(lambda: ask(inst, "alpha", ip(inst, "net1")) == f"from {ip(inst, 'fw1')}", f"alpha to net1 through fw1: {tell(inst, 'alpha')} {tell(inst, 'fw1')}", WAIT)
    check(inst.sh("alpha", "ip -4 -br addr show eth0", user="root").text.split()[2] == ip(inst, "alpha") + "/32", "alpha's address")


def row(inst, qube):
    return next(d for d in json.loads(inst.good("qvm-net", "--json").text) if d["name"] == qube)


@suite.test
def it_can_be_seen(inst):
    """qvm-net: the link, and that packets of a moment ago were counted by the NetVM."""
    equal([row(inst, q)["link"] for q in ("alpha", "fw1")], ["up", "up"], "links")
    before = row(inst, "alpha")
    ask(inst, "alpha", ip(inst, "net1"))
    wait_for(lambda: row(inst, "alpha").get("sent_packets", 0) > before.get("sent_packets", 0) + 3, f"counted packets: {before}", WAIT)
    r = inst.run("qvm-net", "trace", "alpha", "net1")
    check(r.rc == 3 and "rule 0 of alpha lets it through" in r.text and "net1  is the destination" in r.text, r.text)


@suite.test
def open_for_a_while(inst):
    net1 = ip(inst, "net1")
    # Long enough for a first answer on a busy machine; the flow of that answer is cut with the rule.
    inst.good("qvm-firewall", "alpha", "open", "60s", "--then-nothing")
    reaches(inst, "alpha", net1, f"from {ip(inst, 'fw1')}", "fw1")
    wait_for(lambda: ask(inst, "alpha", net1, 5).startswith("failed"), "the end of the time", 60 + WAIT)
    inst.good("qvm-firewall", "alpha", "reset")


@suite.test
def a_hidden_address(inst):
    real = ip(inst, "alpha")
    for k, v in (("net.fake-ip", "192.168.1.5"), ("net.fake-gateway", "192.168.1.1")):
        inst.good("qvm-features", "alpha", k, v)
    inst.good("qvm-prefs", "alpha", "netvm", "")
    wait_for(lambda: interfaces(inst, "alpha") == ["lo"], "the device is gone", WAIT)
    inst.good("qvm-prefs", "alpha", "netvm", "fw1")
    linked(inst, "alpha")
    reaches(inst, "alpha", ip(inst, "net1"), f"from {ip(inst, 'fw1')}", "alpha", "fw1")
    text = inst.sh("alpha", "ip addr; ip route; ip neigh; qubesdb-multiread -f /", user="root").text
    check("192.168.1.5" in text and real not in text, f"the real address {real} is known in alpha: " + " ".join(x for x in text.splitlines() if real in x))
    for k in ("net.fake-ip", "net.fake-gateway"):
        inst.good("qvm-features", "--unset", "alpha", k)
    inst.good("qvm-prefs", "alpha", "netvm", "")
    wait_for(lambda: interfaces(inst, "alpha") == ["lo"], "the device is gone", WAIT)
    inst.good("qvm-prefs", "alpha", "netvm", "fw1")
    linked(inst, "alpha")
    reaches(inst, "alpha", ip(inst, "net1"), f"from {ip(inst, 'fw1')}", "alpha", "fw1")


@suite.test
def rules_change_at_once(inst):
    net1 = ip(inst, "net1")
    inst.good("qvm-firewall", "alpha", "reset")
    inst.good("qvm-firewall", "alpha", "del", "--rule-no", "0")
    inst.good("qvm-firewall", "alpha", "add", "accept", "dsthost=192.0.2.1")
    wait_for(lambda: ask(inst, "alpha", net1, 5).startswith("failed"), "the rule that lets nothing through to net1", WAIT)
    inst.good("qvm-firewall", "alpha", "add", "accept", f"dsthost={net1}", "proto=tcp", f"dstports={PORT}")
    wait_for(lambda: ask(inst, "alpha", net1) == f"from {ip(inst, 'fw1')}", "the rule that lets it through", WAIT)
    inst.good("qvm-firewall", "alpha", "reset")


# The world behind the host: answers TCP as SERVER does, UDP with the same words.
WORLD, BESIDE = "198.51.100.7", "198.51.100.1"
WORLD_SERVER = """
import selectors, socket, sys
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind((sys.argv[1], %d)); t.listen(50)
u = socket.socket(type=socket.SOCK_DGRAM); u.bind((sys.argv[1], %d))
sel = selectors.DefaultSelector(); sel.register(t, 1, "tcp"); sel.register(u, 1, "udp")
print("ready", flush=True)
while True:
    for k, _ in sel.select():
        if k.data == "tcp":
            c, a = t.accept(); c.sendall(("from " + a[0] + "\\n").encode()); c.close()
        else:
            d, a = u.recvfrom(100); u.sendto(("from " + a[0] + "\\n").encode(), a)
""" % (PORT, PORT)


class World:
    """A namespace beyond the host with one server; another one on the host itself. Takes both away again."""

    def __enter__(self):
        self.procs = []
        if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
            raise bh.Skip("a world beside the host needs the right to make network namespaces")
        if not subprocess.run(["ip", "route", "show", "default"], capture_output=True, text=True).stdout.strip():
            raise bh.Skip("passt needs a host with a default route")
        try:
            space = subprocess.Popen(["unshare", "-n", "sleep", "100000"])
            self.procs.append(space)
            wait_for(lambda: os.readlink(f"/proc/{space.pid}/ns/net") != os.readlink("/proc/self/ns/net"), "a network namespace", WAIT)
            inside = ["nsenter", "-t", str(space.pid), "-n"]
            for line in ("link add bhw0 type veth peer name bhw1", f"link set bhw1 netns {space.pid}", "link set bhw0 up", f"addr add {BESIDE}/24 dev bhw0"):
                subprocess.run(["ip", *line.split()], check=True)
            for line in ("link set lo up", "link set bhw1 up", f"addr add {WORLD}/24 dev bhw1"):
                subprocess.run([*inside, "ip", *line.split()], check=True)
            for where, addr in ((inside, WORLD), ([], BESIDE), ([], "127.0.0.1")):
                p = subprocess.Popen([*where, sys.executable, "-c", WORLD_SERVER, addr], stdout=subprocess.PIPE)
                self.procs.append(p)
                equal(p.stdout.readline(), b"ready\n", "server")
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *a):
        subprocess.run(["ip", "link", "del", "bhw0"], capture_output=True)
        for p in self.procs:
            p.kill()
            p.wait()


def on_uplink(inst, name):
    return [(p, a) for p, a in inst.processes() if a and os.path.basename(a[0]).decode("utf-8", "replace") in (name, name + ".avx2")]


@suite.test
def the_way_outside(inst):
    """From alpha through fw1 and net1 to a server beyond the host, by passt; nothing of the host itself is reached on the way."""
    with World():
        inst.good("qvm-features", "net1", "uplink", "passt")
        linked(inst, "net1", "ext0")
        reaches(inst, "alpha", WORLD, f"from {BESIDE}", "alpha", "fw1", "net1")
        udp = inst.sh("alpha", f"exec 3<>/dev/udp/{WORLD}/{PORT}; for i in 1 2 3 4 5 6; do echo x >&3; timeout 10 head -n 1 <&3 && break; done", user="user")
        equal(udp.text.strip(), f"from {BESIDE}", "UDP")
        check(ask(inst, "net1", BESIDE, 5).startswith("failed"), "the host's address")
        # Root of a NetVM that was taken over: no route of its own stands in the way of frames to the host's loopback.
        inst.sh("net1", "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.ext0.route_localnet=1; ip route del table local 127.0.0.1 dev lo; "
                        "ip route add 127.0.0.1 via 10.0.2.2 dev ext0", user="root", ok=False)
        check(ask(inst, "net1", "127.0.0.1", 5).startswith("failed"), "the host's loopback")
        reaches(inst, "net1", WORLD, f"from {BESIDE}", "net1")
        inst.sh("net1", "ip route del 127.0.0.1 via 10.0.2.2; ip route add local 127.0.0.1 dev lo table local src 127.0.0.1", user="root", ok=False)
        rows = [xray.look(p, a) for p, a in on_uplink(inst, "uplink-filter")]
        equal(len(rows), 1, "filters")
        xray.judge(rows, False, seccomp="asan" not in inst.build)
        equal(len(on_uplink(inst, "passt")), 1, "passts")
        # Its end is not the end of the way out.
        os.kill(on_uplink(inst, "passt")[0][0], signal.SIGKILL)
        reaches(inst, "alpha", WORLD, f"from {BESIDE}", "alpha", "fw1", "net1")
        inst.good("qvm-features", "--unset", "net1", "uplink")
        wait_for(lambda: "ext0" not in interfaces(inst, "net1"), "the device is gone", WAIT)
        wait_for(lambda: not on_uplink(inst, "passt") and not on_uplink(inst, "uplink-filter"), "its programs too", WAIT)
        check(ask(inst, "alpha", WORLD, 5).startswith("failed"), "nothing is reached any more")


@suite.test
def another_netvm_while_it_runs(inst):
    inst.good("qvm-prefs", "alpha", "netvm", "net1")
    wait_for(lambda: ask(inst, "alpha", ip(inst, "net1")) == f"from {ip(inst, 'alpha')}", f"alpha straight to net1: {tell(inst, 'alpha')}", WAIT)
    check("vif" + inst.good("qvm-prefs", "alpha", "qid").text.strip() + ".0" not in interfaces(inst, "fw1"), "fw1 has lost its client")


@suite.test
def none_cuts_the_cable(inst):
    net1 = ip(inst, "net1")
    # A stream of datagrams; the count of what arrives must stand still from the moment of the answer.
    inst.sh("net1", f"nft add rule ip qubes custom-input udp dport 9 counter drop", user="root")
    inst.sh("alpha", f"setsid bash -c 'while echo x >/dev/udp/{net1}/9; do :; done' </dev/null >/dev/null 2>&1 & echo $! >/tmp/flood", user="user")

    def arrived():
        out = inst.sh("net1", "nft list chain ip qubes custom-input | grep 'dport 9'", user="root").text
        return int(out.split("packets ")[1].split()[0])
    first = arrived()
    wait_for(lambda: arrived() > first, "datagrams of alpha", WAIT)
    inst.good("qvm-prefs", "alpha", "netvm", "")
    # What had come over the cable before it was cut may still be counted; then the count stands still.
    counts = []
    wait_for(lambda: counts.append(arrived()) or counts[-3:].count(counts[-1]) == 3, "the count to stand still", WAIT)
    at_answer = counts[-1]
    check(ask(inst, "alpha", net1, 5).startswith("failed"), "nothing answers")
    equal(arrived(), at_answer, "packets after the answer")
    wait_for(lambda: interfaces(inst, "alpha") == ["lo"], f"the device is gone: {interfaces(inst, 'alpha')}", WAIT)


@suite.test
def a_netvm_that_comes_again_has_its_clients(inst):
    inst.good("qvm-prefs", "alpha", "netvm", "fw1")
    linked(inst, "alpha")
    inst.good("qvm-kill", "fw1")
    wait_for(lambda: "eth0" not in interfaces(inst, "alpha"), "alpha's device goes with its NetVM", WAIT)
    inst.good("qvm-start", "fw1", timeout=900)
    linked(inst, "alpha")
    reaches(inst, "alpha", ip(inst, "net1"), f"from {ip(inst, 'fw1')}", "alpha", "fw1", "net1")


@suite.test
def the_core_comes_again_and_knows_the_links(inst):
    for pid in inst.role_pids("qubesd"):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if b"--core" in f.read().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
    wait_for(lambda: inst.run("qvm-ls", timeout=300).rc == 0, "the core", WAIT)
    reaches(inst, "alpha", ip(inst, "net1"), f"from {ip(inst, 'fw1')}", "alpha", "fw1", "net1")  # nobody has touched the link
    inst.good("qvm-prefs", "alpha", "netvm", "")
    wait_for(lambda: interfaces(inst, "alpha") == ["lo"], "a link of an earlier core is cut", WAIT)


@suite.test
def the_host_has_no_part_in_it(inst):
    """No program of the instance but an uplink holds an internet socket, and no interface of the host belongs to a qube."""
    for pid, argv in inst.processes():
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                check("socket:" not in os.readlink(f"/proc/{pid}/fd/{fd}") or not inet(pid, os.readlink(f"/proc/{pid}/fd/{fd}")), f"{argv} has an internet socket")
        except FileNotFoundError:
            continue
    check(not [n for n in os.listdir("/sys/class/net") if n.startswith(("vif", "tap"))], "interfaces of the host")


def inet(pid, link):
    inode = link[link.index("[") + 1:-1]
    for proto in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"):
        try:
            with open(f"/proc/{pid}/net/{proto}") as f:
                if any(line.split()[9:10] == [inode] or line.split()[-1:] == [inode] for line in f.readlines()[1:]):
                    return True
        except FileNotFoundError:
            continue
    return False


@suite.test
def a_link_ends_with_its_qube(inst):
    inst.good("qvm-prefs", "beta", "netvm", "fw1")
    linked(inst, "beta")
    inst.good("qvm-kill", "beta")
    vif = "vif" + inst.good("qvm-prefs", "beta", "qid").text.strip() + ".0"
    wait_for(lambda: vif not in interfaces(inst, "fw1"), f"{vif} is gone: {interfaces(inst, 'fw1')}", WAIT)
    inst.good("qvm-prefs", "beta", "netvm", "")
    inst.good("qvm-start", "beta", timeout=900)
    inst.good("qvm-kill", "fw1", "net1")
