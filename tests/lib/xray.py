# SPDX-License-Identifier: GPL-3.0-or-later
"""The privilege X-ray: for each process of an instance what the kernel says of its rights, against the table of docs/trust.md."""
import ctypes
import os
import socket

import bh

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_pidfd_getfd = 438

# Roles in one table. root: may have the uid of the instance's owner in system mode. caps: may hold capabilities. seccomp, nnp: as /proc/PID/status
# says. ns: namespaces of its own. families: of the sockets that it holds. optional: not every instance has one.
NS = ("user", "net", "ipc", "uts", "mnt")
ROLES = {
    "supervisor": dict(uid="root", caps=True, seccomp=0, nnp=0, ns=()),
    "spawner": dict(uid="root", caps=True, seccomp=0, nnp=0, ns=()),
    "core": dict(uid="core", caps=False, seccomp=2, nnp=1, ns=NS),
    "policyd": dict(uid="policyd", caps=False, seccomp=2, nnp=1, ns=NS),
    "linkd": dict(uid="qube", caps=False, seccomp=2, nnp=1, ns=NS),
    "qrexec-daemon": dict(uid="qube", caps=False, seccomp=2, nnp=1, ns=NS),
    "qubesdb-daemon": dict(uid="qube", caps=False, seccomp=2, nnp=1, ns=NS),
    "qube-shim": dict(uid="qube", caps=False, seccomp=0, nnp=1, ns=NS + ("pid",)),
    "state-holder": dict(uid="states", caps=False, seccomp=2, nnp=1, ns=NS),
    "uplink-filter": dict(uid="session", caps=False, seccomp=2, nnp=1, ns=NS, families={"AF_UNIX", "AF_NETLINK"}, optional=True),
    "qemu": dict(uid="qube", caps=False, seccomp=2, nnp=1, ns=NS + ("pid",)),
}
ID_QUBE = 0x70000000
IDS = {"root": 0, "core": 0x70100001, "policyd": 0x70100002, "images": 0x70100003, "states": 0x70100004}


def role_of(argv):
    """None: not one of the long-lived roles (a tool, a worker, a service)."""
    name = os.path.basename(argv[0].decode("utf-8", "replace")) if argv else ""
    if name == "qubesd":
        return "core" if b"--core" in argv else "supervisor"
    if name.startswith("qemu-system"):
        return "qemu"
    return name if name in ROLES else None


def families(pid):
    """Address families of the sockets of a process, asked from the sockets themselves. None: only root may look into a process that cannot
    be dumped."""
    if os.geteuid() != 0:
        return None
    found = set()
    pidfd = os.pidfd_open(pid)
    try:
        for n in os.listdir(f"/proc/{pid}/fd"):
            try:
                if not os.readlink(f"/proc/{pid}/fd/{n}").startswith("socket:"):
                    continue
            except OSError:
                continue
            fd = LIBC.syscall(SYS_pidfd_getfd, pidfd, int(n), 0)
            if fd < 0:
                if ctypes.get_errno() == 9:  # closed meanwhile
                    continue
                raise OSError(ctypes.get_errno(), f"descriptor {n} of {pid}")
            s = socket.socket(fileno=fd)
            found.add(socket.AddressFamily(s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)).name)
            s.close()
    finally:
        os.close(pidfd)
    return found


def namespaces(pid):
    """Those that are not ours; None as above."""
    if os.geteuid() != 0:
        return None
    return {n for n in NS + ("pid",) if os.readlink(f"/proc/{pid}/ns/{n}") != os.readlink(f"/proc/self/ns/{n}")}


def look(pid, argv):
    with open(f"/proc/{pid}/status") as f:
        st = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    return dict(pid=pid, role=role_of(argv), argv=argv, uids=set(map(int, st["Uid"].split())), gids=set(map(int, st["Gid"].split())),
                groups=set(map(int, st["Groups"].split())), caps=int(st["CapEff"], 16), bounding=int(st["CapBnd"], 16), seccomp=int(st["Seccomp"]), nnp=int(st["NoNewPrivs"]),
                ns=namespaces(pid),
                families=families(pid))


def words(found):
    return "?" if found is None else " ".join(sorted(found)) or "-"


def table(rows):
    out = [f"{'role':16}{'uid':>12} {'CapEff':>16} {'seccomp':>8} {'nnp':>4}  sockets   own namespaces"]
    for r in sorted(rows, key=lambda r: (r["role"] or "", r["pid"])):
        out.append(f"{r['role']:16}{min(r['uids']):>12} {r['caps']:>16x} {r['seccomp']:>8} {r['nnp']:>4}  {words(r['families']):9} {words(r['ns'])}")
    return "\n".join(out)


def judge(rows, system, qids=None, seccomp=True, mount_ns=()):
    """Every row against ROLES. system: uids are those of system mode, qids then maps a role's pid to its qube; seccomp=False: a build with the
    address sanitizer; mount_ns: namespaces that the whole instance has of its own."""
    for r in rows:
        want, who = ROLES[r["role"]], f"{r['role']} (pid {r['pid']})"
        ours = not seccomp and r["role"] != "qemu"
        bh.equal(r["seccomp"], 0 if ours else want["seccomp"], f"seccomp of {who}")
        bh.equal(r["nnp"], want["nnp"], f"no_new_privs of {who}")
        if r["ns"] is not None:
            bh.equal(r["ns"] - set(mount_ns), set(want["ns"]) - set(mount_ns), f"namespaces of {who}")
            bh.check(r["families"] <= want.get("families", {"AF_UNIX"}), f"sockets of {who}: {r['families']}")
        if not want["caps"]:
            bh.check(r["caps"] == 0 and r["bounding"] == 0, f"capabilities of {who}: {r['caps']:x}, bounding set {r['bounding']:x}")
        if system:
            uid = ID_QUBE + qids[r["pid"]] if want["uid"] == "qube" else IDS[want["uid"]]
            bh.equal(r["uids"], {uid}, f"uid of {who}")
            bh.equal(r["gids"], {uid}, f"gid of {who}")
            if uid:
                bh.equal(r["groups"], set(), f"groups of {who}")
