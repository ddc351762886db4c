# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole Tor network on one machine: a directory authority, relays that are exits, all by Debian's tor in its testing mode, and a name server and web server for what lies
behind it. Processes run in the namespace that the caller names, as the account `debian-tor`, and end with it."""
import os
import re
import shutil
import subprocess
import sys

from bh import check, wait_for

TOR, GENCERT, USER = "/usr/bin/tor", "/usr/bin/tor-gencert", "debian-tor"
OR_PORT, DIR_PORT = 5000, 7000

COMMON = """
TestingTorNetwork 1
RunAsDaemon 0
SafeLogging 0
AvoidDiskWrites 1
Log notice stdout
PidFile {dir}/pid
DataDirectory {dir}
ShutdownWaitLength 0
PathsNeededToBuildCircuits 0.67
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
V3AuthNIntervalsValid 2
DisableDebuggerAttachment 0
"""
RELAY = """
Nickname {name}
Address {addr}
ORPort {addr}:5000
SocksPort 0
AssumeReachable 1
ExitRelay 1
ExitPolicy accept *:*
ContactInfo test
OutboundBindAddress {addr}
ServerDNSResolvConfFile {resolv}
ServerDNSDetectHijacking 0
ServerDNSTestAddresses
"""
AUTHORITY = """
DirPort {addr}:7000
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
TestingV3AuthInitialVotingInterval 20
TestingV3AuthInitialVoteDelay 4
TestingV3AuthInitialDistDelay 4
"""

# Names: whatever is asked for as A is one address; the question is remembered in a file. The web: says who asks, for as long as the connection lasts.
SERVERS = r"""
import selectors, socket, sys
addr, answer, log = sys.argv[1:4]
sel = selectors.DefaultSelector()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind((addr, 53)); sel.register(u, 1, "dns")
for port in (443, 7777):
    t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind((answer, port)); t.listen(100); sel.register(t, 1, "tcp")
print("ready", flush=True)
f = open(log, "ab", 0)
while True:
    for k, _ in sel.select():
        if k.data == "tcp":
            c, a = k.fileobj.accept(); sel.register(c, 1, "conn"); f.write(("tcp %s\n" % a[0]).encode())
        elif k.data == "dns":
            d, a = u.recvfrom(512)
            end = d.index(b"\0", 12) + 5
            f.write(b"dns " + d[12:end - 5].hex().encode() + b"\n")
            is_a = d[end - 4:end] == b"\0\1\0\1"
            u.sendto(d[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0" + d[12:end] + (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(answer) if is_a else b""), a)
        else:
            try:
                d = k.fileobj.recv(1000)
                if d: k.fileobj.sendall(("from " + k.fileobj.getpeername()[0]).encode())
            except OSError: d = b""
            if not d: sel.unregister(k.fileobj); k.fileobj.close()
"""


def missing():
    """What this machine lacks, or None."""
    if os.geteuid() != 0:
        return "a second account is needed: run as root"
    return next((f"{p} is missing (package tor)" for p in (TOR, GENCERT) if not os.access(p, os.X_OK)), None)


class TorNet:
    """addrs: one a relay, the first is the authority as well; all in the namespace of cmd (a function that wraps an argument list)."""

    def __init__(self, directory, addrs, cmd, procs, web):
        self.dir, self.addrs, self.cmd, self.procs, self.web = directory, addrs, cmd, procs, web
        os.makedirs(directory, exist_ok=True)
        for d in (os.path.dirname(directory), directory):
            os.chmod(d, 0o755)
        self.resolv = os.path.join(directory, "resolv.conf")
        with open(self.resolv, "w") as f:
            f.write(f"nameserver {addrs[0]}\n")
        self.log = os.path.join(directory, "servers.log")
        open(self.log, "w").close()

    def torrc(self, name, text):
        d = os.path.join(self.dir, name)
        os.makedirs(d, exist_ok=True)
        path = os.path.join(self.dir, name + ".torrc")
        with open(path, "w") as f:
            f.write(COMMON.format(dir=d) + text)
        shutil.chown(d, USER, USER)
        os.chmod(d, 0o700)
        return path

    def as_tor(self, *args):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *args]

    def run(self, *args, **kw):
        r = subprocess.run(self.as_tor(*args), capture_output=True, text=True, timeout=120, **kw)
        check(r.returncode == 0, f"{args}: {r.stdout[-500:]}{r.stderr[-500:]}")
        return r.stdout

    def start(self):
        names = [f"relay{i}" for i in range(len(self.addrs))]
        text = [RELAY.format(name=n, addr=a, resolv=self.resolv) + (AUTHORITY.format(addr=a) if not i else "") for i, (n, a) in enumerate(zip(names, self.addrs))]
        d = os.path.join(self.dir, names[0])
        self.torrc(names[0], "")
        keys = os.path.join(d, "keys")
        os.makedirs(keys, mode=0o700)
        shutil.chown(keys, USER, USER)
        self.run(GENCERT, "--create-identity-key", "-m", "12", "-a", f"{self.addrs[0]}:{DIR_PORT}", "--passphrase-fd", "0", "-i", f"{keys}/authority_identity_key", "-s", f"{keys}/authority_signing_key",
                 "-c", f"{keys}/authority_certificate", input="secret\n")
        with open(f"{keys}/authority_certificate") as f:
            v3 = re.search(r"^fingerprint ([0-9A-F]{40})", f.read(), re.M).group(1)
        empty = self.torrc("empty", "")
        out = self.run(TOR, "-f", empty, "--list-fingerprint", "--DataDirectory", d, "--DirAuthority", f"x orport=1 no-v2 v3ident={v3} 192.0.2.1:1 " + "0" * 40, "--Nickname", names[0], "--ORPort",
                       f"{self.addrs[0]}:{OR_PORT}", "--Address", self.addrs[0], "--AssumeReachable", "1", "--ContactInfo", "test")
        fingerprint = re.search(rf"^{names[0]} ([0-9A-F ]+)$", out, re.M).group(1).replace(" ", "")
        self.authority = f"DirAuthority {names[0]} orport={OR_PORT} no-v2 v3ident={v3} {self.addrs[0]}:{DIR_PORT} {fingerprint}\n"
        server = subprocess.Popen(self.cmd(sys.executable, "-c", SERVERS, self.addrs[0], self.web, self.log), stdout=subprocess.PIPE)
        self.procs.append(server)
        check(server.stdout.readline() == b"ready\n", "servers")
        for n, t in zip(names, text):
            self.daemon(self.torrc(n, self.authority + t), n)

    def daemon(self, torrc, name, inside=None):
        out = open(os.path.join(self.dir, name + ".log"), "ab")
        p = subprocess.Popen((inside or self.cmd)(*self.as_tor(TOR, "-f", torrc)), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        out.close()
        self.procs.append(p)
        return p

    def said(self, name):
        with open(os.path.join(self.dir, name + ".log"), errors="replace") as f:
            return f.read()

    def client(self, torrc_file, me):
        """Starts the gateway's Tor with the settings that gateways get; gives the process once it has circuits. me: the gateway's address, which is not one of a qube here."""
        d = os.path.join(self.dir, "client")
        with open(torrc_file) as f:
            text = f.read().replace("/run/bulkhead-tor", d).replace("/var/lib/tor", d).replace("SocksPolicy reject", f"SocksPolicy accept {me}\nSocksPolicy reject")
        path = self.torrc("client", text + self.authority + "CookieAuthentication 0\n")
        p = self.daemon(path, "client", lambda *a: list(a))
        wait_for(lambda: p.poll() is not None or "Bootstrapped 100%" in self.said("client"), "Tor to be ready: " + self.said("client")[-600:], 420)
        check(p.poll() is None, "Tor has ended: " + self.said("client")[-1500:])
        return p

    def ask(self, *lines):
        """The control socket of the gateway's Tor: everything it says to these commands."""
        import socket
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(self.dir, "client", "control"))
        s.sendall("".join(x + "\r\n" for x in ("AUTHENTICATE", *lines, "QUIT")).encode())
        out = b""
        while True:
            d = s.recv(65536)
            if not d:
                return out.decode()
            out += d
