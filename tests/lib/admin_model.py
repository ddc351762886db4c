# SPDX-License-Identifier: GPL-3.0-or-later
"""What qubesd must answer: the Admin API's state as plain Python, written from the specification and not from the daemon.

Owns: the rules of qubes, properties and their defaults, tags, features, notes, firewall, labels, pools and volumes of an instance in
which nothing runs. It never talks to the daemon: what only the daemon can know (identifiers that it draws) is told to it by learn().
"""
import copy
import ipaddress
import re

ADMIN, APP, DISP, REMOTE, ALONE, TEMPLATE = "AdminVM", "AppVM", "DispVM", "RemoteVM", "StandaloneVM", "TemplateVM"
HERE = (TEMPLATE, APP, ALONE, DISP)  # qubes that run on this machine
ALL = (ADMIN, REMOTE) + HERE
GIB = 1 << 30
ZERO = "00000000-0000-0000-0000-000000000000"
TAG = re.compile(r"[A-Za-z0-9_-]+")
VOLUMES = ("root", "private", "volatile", "kernel")


class Refused(Exception):
    def __init__(self, kind):
        super().__init__(kind)
        self.kind = kind


def no(kind):
    raise Refused(kind)


# --- values ----------------------------------------------------------------------------------------------------------
def integer(s):
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)", s) or abs(int(s)) >= 1 << 63:
        no("QubesValueError")
    return str(int(s))


def boolean(s):
    if s.lower() in ("1", "yes", "true", "on"):
        return "True"
    if s.lower() in ("0", "no", "false", "off"):
        return "False"
    no("QubesValueError")


def positive(m, q, v):
    return v if int(v) > 0 else no("QubesPropertyValueError")


def not_negative(m, q, v):
    return v if int(v) >= 0 else no("QubesPropertyValueError")


def vcpus(m, q, v):
    return v if 0 < int(v) <= 1024 else no("QubesPropertyValueError")


def matches(pattern):
    return lambda m, q, v: v if re.fullmatch(pattern, v) else no("QubesPropertyValueError")


def address(kind):
    def check(m, q, v):
        try:
            kind(v)
        except ValueError:
            no("QubesPropertyValueError")
        return v
    return check


def mac(m, q, v):
    return v.lower() if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", v) else no("QubesPropertyValueError")


def denied(m, q, v):
    codes = [v[i:i + 7] for i in range(0, len(v), 7)]
    if not all(re.fullmatch(r"[bump*][0-9a-f*]{6}", c) for c in codes):
        no("QubesPropertyValueError")
    return "".join(sorted(set(codes)))


def keyboard(m, q, v):
    if not re.fullmatch(r"[A-Za-z0-9_,:.()-]+(\+[A-Za-z0-9_,:.()-]*){0,2}", v) or len(v) > 100:
        no("QubesPropertyValueError")
    return v + "+" * (2 - v.count("+"))


def virt_mode(m, q, v):
    return v.lower() if v.lower() in ("pvh", "hvm", "pv") else no("QubesPropertyValueError")


def kernel(m, q, v):
    return v if v in ("", "not-installed") else no("QubesPropertyValueError")  # none is installed in a test


def disposable_template(m, q, v):
    return v if not v or m.is_dvm(m.q[v]) else no("QubesPropertyValueError")


def template_of(m, q, v):
    ok = m.q[v].klass == TEMPLATE if q.klass == APP else m.is_dvm(m.q[v])
    return v if ok else no("QubesPropertyValueError")


def a_template(m, q, v):
    return v if not v or m.q[v].klass == TEMPLATE else no("QubesPropertyValueError")


def netvm(m, q, v):
    if v:
        if m.get(m.q[v], "provides_network") != "True":
            no("QubesValueError")
        x, seen = v, {q.name}
        while x and x not in seen:
            seen.add(x)
            x = m.get(m.q[x], "netvm")
        if x:
            no("QubesValueError")
    return v


def default_netvm(m, q, v):
    if v:
        if m.get(m.q[v], "provides_network") != "True":
            no("QubesValueError")
        trial = copy.copy(m)
        trial.g = dict(m.g, default_netvm=v)
        for start in m.q.values():
            if start.klass in HERE:
                x, seen = start.name, set()
                while x and x not in seen:
                    seen.add(x)
                    x = trial.get(m.q[x], "netvm")
                if x:
                    no("QubesValueError")
    return v


def provides(m, q, v):
    if v == "False" and (m.g.get("default_netvm") == q.name or any(m.get(x, "netvm") == q.name for x in m.q.values() if x is not q and x.klass in HERE)):
        no("QubesVMInUseError")
    return v


def for_dispvms(m, q, v):
    if v == "False" and any(x.klass == DISP and x.p["template"] == q.name for x in m.q.values()):
        no("QubesVMInUseError")
    return v


def a_pool(m, q, v):
    return v if v in m.pools else no("QubesPoolNotFoundError")


# --- default rules ---------------------------------------------------------------------------------------------------
def const(v):
    return lambda m, q: v


def inherited(name, v):
    return lambda m, q: m.get(m.template(q), name) if m.template(q) else v


def of_system(name):
    return lambda m, q: m.getg(name)


def inherited_or_system(name, system):
    return lambda m, q: m.get(m.template(q), name) if m.template(q) else m.getg(system)


def d_icon(m, q):
    if q.klass == ADMIN:
        return "adminvm-black"
    kind = {APP: "appvm", DISP: "dispvm", REMOTE: "remotevm", ALONE: "standalonevm", TEMPLATE: "templatevm"}[q.klass]
    if m.is_dvm(q):
        kind = "templatevm"
    elif q.klass != TEMPLATE and q.features.get("servicevm"):
        kind = "servicevm"
    return f"{kind}-{q.p['label']}"


def d_ip(m, q):
    if not m.networked(q):
        return None
    n, net = (int(q.p["dispid"]), 138) if q.klass == DISP else (q.qid, 137)
    return f"10.{net}.{n >> 8}.{n & 255}" if n < 255 else f"10.{net}.{(n - 1) // 254}.{(n - 1) % 254 + 1}"


def d_ip6(m, q):
    x = q
    while x and "ipv6" not in x.features:
        x = m.q.get(m.get(x, "netvm") or "")
    if not x or not x.features["ipv6"] or not m.networked(q):
        return None
    return f"fd09:24ef:4179::a8a:{int(q.p['dispid']):x}" if q.klass == DISP else f"fd09:24ef:4179::a89:{q.qid:x}"


def fake(feature, rule):
    return lambda m, q: m.feature_along(q, feature) or rule(m, q)


def d_gateway(m, q):
    return m.get(q, "visible_ip") if m.get(q, "provides_network") == "True" else None


def d_gateway6(m, q):
    return m.get(q, "visible_ip6") if m.get(q, "provides_network") == "True" else None


def of_netvm(rule):
    return lambda m, q: rule(m, m.q[m.get(q, "netvm")]) if m.get(q, "netvm") else None


def d_keyboard(m, q):
    if q.klass != ADMIN and m.get(q, "guivm") == "dom0":
        return m.get(m.q["dom0"], "keyboard_layout")
    return "us++"


def d_dispvm(m, q):
    """docs/protocol/admin.md: a qube without a network gets no disposable that has one by default."""
    t = m.template(q) if q.klass == DISP else m.q.get(m.getg("default_dispvm") or "")
    if t and q.klass != ADMIN and not m.networked(q) and m.networked(t):
        t = m.q.get(m.q["dom0"].features.get("default-offline-dispvm", ""))
        if not t or not m.is_dvm(t) or m.networked(t):
            t = None
    return t.name if t else ""


def d_bootmode(m, q):
    t = m.template(q)
    while t and t.klass != TEMPLATE:
        t = m.template(t)
    return q.features.get("boot-mode.active") or (m.get(t, "appvm_default_bootmode") if t else "default")


def d_kernelopts(m, q):
    if not m.get(q, "kernel"):
        return ""
    return m.get(m.template(q), "kernelopts") if m.template(q) else "swiotlb=2048"


def d_maxmem(m, q):
    if q.klass == ADMIN:
        return "4096"
    if m.template(q):
        return m.get(m.template(q), "maxmem")
    limit = 10 * int(m.get(q, "memory")) if m.feature_along(q, "os") == "Linux" else 4000
    return str(min(limit, m.host_mib // 2))


def row(kind, classes, default, check=None, **flags):
    return dict(kind=kind, classes=classes, default=default, check=check, **flags)


BASED = (APP, DISP)
PROPS = {
    "audiovm": row("vm", HERE, of_system("default_audiovm"), empty=True),
    "auto_cleanup": row("bool", (DISP,), const("False")),
    "autostart": row("bool", HERE, const("False")),
    "backup_timestamp": row("int", HERE, const(None), not_negative),
    "debug": row("bool", HERE, const("False")),
    "default_user": row("str", HERE, inherited("default_user", "user"), matches(r"[A-Za-z0-9_+,.-]{1,63}")),
    "devices_denied": row("str", ALL, const(""), denied),
    "dns": row("str", HERE, lambda m, q: "10.139.1.1 10.139.1.2" if m.networked(q) else "", ro=True),
    "gateway": row("str", HERE, d_gateway, ro=True),
    "gateway6": row("str", HERE, d_gateway6, ro=True),
    "icon": row("str", ALL, d_icon, ro=True),
    "include_in_backups": row("bool", ALL, lambda m, q: str(m.get(q, "auto_cleanup") != "True" if q.klass == DISP else q.klass != REMOTE)),
    "installed_by_rpm": row("bool", HERE, const("False")),
    "ip": row("str", HERE, d_ip, address(ipaddress.IPv4Address)),
    "ip6": row("str", HERE, d_ip6, address(ipaddress.IPv6Address)),
    "keyboard_layout": row("str", HERE + (ADMIN,), d_keyboard, keyboard),
    "klass": row("str", ALL, lambda m, q: q.klass, ro=True),
    "label": row("label", ALL, lambda m, q: "black" if q.klass == ADMIN else None, noreset=True),
    "mac": row("str", HERE, const("00:16:3e:5e:6c:00"), mac),
    "management_dispvm": row("vm", HERE, inherited_or_system("management_dispvm", "management_dispvm"), disposable_template, empty=True),
    "name": row("str", ALL, lambda m, q: q.name, once=True),
    "provides_network": row("bool", HERE, const("False"), provides),
    "qid": row("int", ALL, lambda m, q: str(q.qid), once=True),
    "qrexec_timeout": row("int", HERE, inherited_or_system("qrexec_timeout", "default_qrexec_timeout"), positive),
    "relayvm": row("vm", (REMOTE,), const(""), empty=True),
    "remote_name": row("str", (REMOTE,), const(None)),
    "shutdown_timeout": row("int", HERE, inherited_or_system("shutdown_timeout", "default_shutdown_timeout"), positive),
    "start_time": row("str", HERE, const(""), ro=True),
    "stubdom_mem": row("int", HERE, const(None), positive),
    "stubdom_xid": row("int", HERE, const("-1"), ro=True),
    "template_for_dispvms": row("bool", (APP, ALONE), const("False"), for_dispvms),
    "transport_rpc": row("str", (REMOTE,), const(None)),
    "updateable": row("bool", HERE + (ADMIN,), lambda m, q: str(q.klass not in BASED), ro=True),
    "uuid": row("str", ALL, lambda m, q: q.uuid, once=True),
    "vcpus": row("int", HERE, inherited("vcpus", "2"), vcpus),
    "virt_mode": row("str", HERE, inherited("virt_mode", "pvh"), virt_mode),
    "visible_gateway": row("str", HERE, fake("net.fake-gateway", of_netvm(d_gateway)), ro=True),
    "visible_gateway6": row("str", HERE, of_netvm(d_gateway6), ro=True),
    "visible_ip": row("str", HERE, fake("net.fake-ip", lambda m, q: m.get(q, "ip")), ro=True),
    "visible_ip6": row("str", HERE, lambda m, q: m.get(q, "ip6"), ro=True),
    "visible_netmask": row("str", HERE, fake("net.fake-netmask", lambda m, q: "255.255.255.255" if m.networked(q) else None), ro=True),
    "xid": row("int", HERE, const("-1"), ro=True),
    "appvm_default_bootmode": row("str", (TEMPLATE,), lambda m, q: q.features.get("boot-mode.appvm-default") or "default", matches(r"[A-Za-z0-9_.-]+")),
    "bootmode": row("str", HERE, d_bootmode, matches(r"[A-Za-z0-9_.-]+")),
    "default_dispvm": row("vm", HERE + (ADMIN,), d_dispvm, disposable_template, empty=True),
    "guivm": row("vm", HERE, of_system("default_guivm"), empty=True),
    "kernel": row("str", HERE, inherited_or_system("kernel", "default_kernel"), kernel),
    "kernelopts": row("str", HERE, d_kernelopts, matches(r".{0,512}")),
    "maxmem": row("int", HERE + (ADMIN,), d_maxmem, not_negative),
    "memory": row("int", HERE, inherited("memory", "400"), positive),
    "netvm": row("vm", HERE, lambda m, q: "" if q.klass == TEMPLATE else m.getg("default_netvm"), netvm, empty=True),
    "template": row("vm", BASED, const(None), template_of, noreset=True),
}
GLOBALS = {
    "check_updates_vm": row("bool", (), const("True")),
    "clockvm": row("vm", (), const(""), empty=True),
    "default_audiovm": row("vm", (), const("dom0"), empty=True),
    "default_dispvm": row("vm", (), const(""), disposable_template, empty=True),
    "default_guivm": row("vm", (), const("dom0"), empty=True),
    "default_kernel": row("str", (), const("not-installed"), kernel),
    "default_netvm": row("vm", (), const(""), default_netvm, empty=True),
    "default_pool": row("str", (), const("default"), a_pool),
    "default_pool_kernel": row("str", (), const("linux-kernel"), a_pool),
    "default_pool_private": row("str", (), lambda m, q: m.getg("default_pool"), a_pool),
    "default_pool_root": row("str", (), lambda m, q: m.getg("default_pool"), a_pool),
    "default_pool_volatile": row("str", (), lambda m, q: m.getg("default_pool"), a_pool),
    "default_qrexec_timeout": row("int", (), const("60"), positive),
    "default_shutdown_timeout": row("int", (), const("60"), positive),
    "default_template": row("vm", (), const(""), a_template, empty=True),
    "management_dispvm": row("vm", (), const(""), disposable_template, empty=True),
    "stats_interval": row("int", (), const("3"), positive),
    "updatevm": row("vm", (), const(""), empty=True),
}
# What a new disposable does not take over from the qube that it is made from.
NOT_COPIED = ("template", "label", "default_dispvm", "include_in_backups", "installed_by_rpm", "autostart", "backup_timestamp", "ip", "ip6", "mac")
SYSTEM_FEATURES = ("deferred-netvm-original", "preload-dispvm", "preload-dispvm-completed", "preload-dispvm-in-progress")
COLOURS = "red cc0000 orange f57900 yellow edd400 green 73d216 gray 555555 blue 3465a4 purple 75507b black 000000".split()


class Qube:
    def __init__(self, name, klass, qid, uuid):
        self.name, self.klass, self.qid, self.uuid = name, klass, qid, uuid
        self.p, self.features, self.tags, self.notes, self.firewall, self.vols = {}, {}, set(), "", ["action=accept"], {}


class Volume:
    def __init__(self, pool, size, snap=False, save=False, rw=True):
        self.pool, self.size, self.snap, self.save, self.rw, self.keep, self.ephemeral = pool, size, snap, save, rw, None, None


class Model:
    def __init__(self, host_mib, pool_driver):
        self.host_mib = host_mib
        self.q = {"dom0": Qube("dom0", ADMIN, 0, ZERO)}
        self.g = {}
        self.labels = {n: [i + 1, "0x" + v] for i, (n, v) in enumerate(zip(COLOURS[::2], COLOURS[1::2]))}
        self.pools = {"default": {"driver": pool_driver}, "linux-kernel": {"driver": "linux-kernel"}}
        self.tokens = {}

    # --- reading ------------------------------------------------------------------------------------------------------
    def template(self, q):
        return self.q.get(q.p.get("template", ""))

    def is_dvm(self, q):
        return q.klass in (APP, ALONE) and q.p.get("template_for_dispvms", "False") == "True"

    def networked(self, q):
        return q.klass in HERE and (self.get(q, "provides_network") == "True" or bool(self.get(q, "netvm")))

    def feature_along(self, q, name):
        while q:
            if name in q.features:
                return q.features[name]
            q = self.template(q)
        return None

    def get(self, q, name):
        return q.p[name] if name in q.p else PROPS[name]["default"](self, q)

    def getg(self, name):
        return self.g[name] if name in self.g else GLOBALS[name]["default"](self, None)

    def shown(self, q, name):
        """The answer of property.Get."""
        r = PROPS[name] if q else GLOBALS[name]
        v = self.get(q, name) if q else self.getg(name)
        is_set = r.get("once") or name in (q.p if q else self.g)
        return f"default={not is_set} type={r['kind']} {v if v is not None else ''}"

    def volume_source(self, q, vol):
        t = q
        while t and t.vols[vol].snap:
            t = self.template(t)
        return t

    def volume_shown(self, q, vol):
        v, pool = q.vols[vol], None
        src = self.volume_source(q, vol)
        pool = self.pools[src.vols[vol].pool]
        keep = v.keep if v.keep is not None else 0 if vol == "kernel" else int(self.pools[v.pool].get("revisions_to_keep", 1)) if not v.snap else int(pool.get("revisions_to_keep", 1))
        volatile = not v.snap and not v.save and v.rw
        eph = volatile and (v.ephemeral if v.ephemeral is not None else self.pools[v.pool].get("ephemeral_volatile") == "True")
        return {"pool": src.vols[vol].pool if v.snap else v.pool, "size": str(src.vols[vol].size), "rw": str(v.rw), "save_on_stop": str(v.save), "snap_on_start": str(v.snap),
                "revisions_to_keep": str(keep), "ephemeral": str(bool(eph))}

    # --- a call ---------------------------------------------------------------------------------------------------------
    def apply(self, method, arg, dest, payload, src="dom0"):
        """The answer's text (None: the model does not know it), or Refused. The state is changed only if it is not refused."""
        for name in (src, dest):
            if name not in self.q:
                no("QubesVMNotFoundError")
        q = self.q[dest]
        for prefix, f in (("admin.vm.CreateInPool.", self.create), ("admin.vm.Create.", self.create)):
            if method.startswith(prefix):
                return f(method[len(prefix):], arg, payload, src, prefix == "admin.vm.CreateInPool.")
        f = getattr(self, "do_" + method.replace("admin.", "").replace(".", "_"))
        return f(q, arg or "", payload, src)

    def typed(self, r, v):
        if r["kind"] == "int":
            return integer(v)
        if r["kind"] == "bool":
            return boolean(v)
        if r["kind"] == "label":
            return v if v in self.labels else no("QubesLabelNotFoundError")
        if r["kind"] == "vm":
            if v in ("", "None"):
                return "" if r.get("empty") else no("QubesPropertyValueError")
            return v if v in self.q else no("QubesVMNotFoundError")
        return v if all(" " <= c <= "~" for c in v) else no("QubesValueError")

    def follow(self, q, prop):
        """Tags guivm-NAME and audiovm-NAME."""
        want = f"{prop}-{self.get(q, prop)}"
        q.tags = {t for t in q.tags if not t.startswith(prop + "-")}
        if want != prop + "-" and TAG.fullmatch(want):
            q.tags.add(want)

    def changed(self, q, name):
        if q and name in ("guivm", "audiovm"):
            self.follow(q, name)
        if not q and name in ("default_guivm", "default_audiovm"):
            for x in self.q.values():
                if x.klass in HERE and name[8:] not in x.p:
                    self.follow(x, name[8:])
        if q and name == "provides_network":
            on = self.get(q, name) == "True"
            if on and not q.features.get("servicevm"):
                q.features["servicevm"] = "1"
            elif not on and q.features.get("servicevm"):
                del q.features["servicevm"]

    def row(self, q, name):
        r = PROPS.get(name) if q else GLOBALS.get(name)
        if not r or (q and q.klass not in r["classes"]):
            no("QubesNoSuchPropertyError")
        return r

    def prop_set(self, q, name, v):
        r = self.row(q, name)
        if r.get("ro") or r.get("once"):
            no("QubesValueError")
        v = self.typed(r, v)
        if r["check"]:
            v = r["check"](self, q, v)
        (q.p if q else self.g)[name] = v
        self.changed(q, name)
        return ""

    def prop_reset(self, q, name):
        r = self.row(q, name)
        if r.get("ro") or r.get("once") or r.get("noreset"):
            no("QubesValueError")
        v = r["default"](self, q)
        if r["check"] and v is not None:
            r["check"](self, q, v)
        (q.p if q else self.g).pop(name, None)
        self.changed(q, name)
        return ""

    def do_vm_property_Set(self, q, arg, payload, src):
        return self.prop_set(q, arg, payload)

    def do_vm_property_Reset(self, q, arg, payload, src):
        return self.prop_reset(q, arg)

    def do_vm_property_Get(self, q, arg, payload, src):
        self.row(q, arg)
        return self.shown(q, arg)

    def do_property_Set(self, q, arg, payload, src):
        return self.prop_set(None, arg, payload)

    def do_property_Reset(self, q, arg, payload, src):
        return self.prop_reset(None, arg)

    def do_property_Get(self, q, arg, payload, src):
        self.row(None, arg)
        return self.shown(None, arg)

    # --- creation and removal ---------------------------------------------------------------------------------------------
    def new(self, name, klass, src, label, t=None, pools=None, dispid="?"):
        used = {x.qid for x in self.q.values()}
        q = Qube(name, klass, min(i for i in range(1, 10001) if i not in used), "?")
        q.p["label"] = label
        if t:
            q.p["template"] = t.name
        if klass in HERE:
            based, disp = klass in BASED, klass == DISP
            for v in VOLUMES:
                snap = (v == "root" and based) or (v == "private" and disp)
                save = v in ("root", "private") and not snap
                size = {"root": 10, "private": 2, "volatile": 12 if disp else 10, "kernel": 0}[v] * GIB
                q.vols[v] = Volume((pools or {}).get(v) or self.getg("default_pool_" + v), size, snap, save, v != "kernel")
                if snap:
                    q.vols[v].pool = self.volume_source(t, v).vols[v].pool
                elif disp:
                    q.vols[v].pool = t.vols[v].pool
                if disp and v != "kernel":
                    q.vols[v].ephemeral = t.vols[v].ephemeral
        if klass == DISP:
            q.p["dispid"] = dispid
            q.features = {k: v for k, v in t.features.items() if not k.startswith("preload-dispvm")}
            q.tags = {x for x in t.tags if not x.startswith("created-by-")}
            q.p.update({k: v for k, v in t.p.items() if k not in NOT_COPIED and DISP in PROPS[k]["classes"]})
            q.firewall = list(t.firewall)
        extra = ["created-by-" + src] + self.q[src].features.get("tag-created-vm-with", "").split(" ")
        self.q[name] = q
        if klass in HERE:
            for prop in ("guivm", "audiovm"):
                if self.get(q, prop):
                    extra.append(f"{prop}-{self.get(q, prop)}")
        q.tags.update(x for x in extra if TAG.fullmatch(x))  # names of qubes may have dots, tags may not
        return q

    def create(self, klass, arg, payload, src, in_pool):
        keys = {}
        for word in payload.split(" "):
            k, eq, v = word.partition("=")
            if not eq or not v or k in keys or not (k in ("name", "label") or (in_pool and (k == "pool" or k in ["pool:" + x for x in VOLUMES]))):
                no("ProtocolError")
            keys[k] = v
        if "name" not in keys or "label" not in keys or ("pool" in keys and any(k.startswith("pool:") for k in keys)):
            no("ProtocolError")
        name = keys["name"]
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,30}", name) or name in ("Domain-0", "none", "default") or name.endswith("-dm"):
            no("QubesValueError")
        if name in self.q:
            no("QubesVMAlreadyExistsError")
        t = None
        if klass in BASED:
            tname = arg or self.getg("default_template" if klass == APP else "default_dispvm")
            if not tname:
                no("QubesNoTemplateError")
            t = self.q.get(tname) or no("QubesVMNotFoundError")
            if not (t.klass == TEMPLATE if klass == APP else self.is_dvm(t)):
                no("QubesPropertyValueError")
        elif arg:
            no("ProtocolError")
        if keys["label"] not in self.labels:
            no("QubesLabelNotFoundError")
        pools = {v: keys.get("pool:" + v) or (keys.get("pool") if v != "kernel" else None) for v in VOLUMES}
        if any(p and p not in self.pools for p in pools.values()):
            no("QubesPoolNotFoundError")
        self.places(klass, pools)
        self.new(name, klass, src, keys["label"], t, pools)
        return ""

    def places(self, klass, pools):
        """A pool of kernels has no room for disks. What shows another volume lies where that one lies."""
        own = {TEMPLATE: VOLUMES[:3], ALONE: VOLUMES[:3], APP: VOLUMES[1:3]}.get(klass, ())
        if any(self.pools[pools.get(v) or self.getg("default_pool_" + v)]["driver"] == "linux-kernel" for v in own):
            no("StoragePoolException")

    def do_vm_CreateDisposable(self, q, arg, payload, src):
        if arg or payload not in ("", "uuid"):
            no("ProtocolError")
        if q.klass == ADMIN:
            s = self.q[src]
            name = self.get(s, "default_dispvm") if s.klass != REMOTE else ""
            q = self.q.get(name) or no("QubesException")
        if not self.is_dvm(q):
            no("QubesException")
        d = self.new("?", DISP, src, q.p["label"], q)
        d.p["auto_cleanup"] = "True"
        d.tags.update(x for x in ["disp-created-by-" + src] if TAG.fullmatch(x))
        return None

    def learn(self, old, **facts):
        """What the daemon drew by lot: name=, uuid=, dispid=."""
        q = self.q.pop(old)
        q.name = facts.get("name", q.name)
        q.uuid = facts.get("uuid", q.uuid)
        if "dispid" in facts:
            q.p["dispid"] = facts["dispid"]
        self.q[q.name] = q

    def do_vm_Remove(self, q, arg, payload, src):
        if q.klass == ADMIN or (q.klass in HERE and self.get(q, "installed_by_rpm") == "True"):
            no("QubesVMInUseError")
        for x in self.q.values():
            if x is not q and any(PROPS.get(k, {}).get("kind") == "vm" and v == q.name for k, v in x.p.items()):
                no("QubesVMInUseError")
        if any(GLOBALS[k]["kind"] == "vm" and v == q.name for k, v in self.g.items()):
            no("QubesVMInUseError")
        del self.q[q.name]
        return ""

    # --- small families -----------------------------------------------------------------------------------------------------
    def tag(self, tag, src="dom0", change=False):
        if not TAG.fullmatch(tag):
            no("QubesInvalidTagError" if tag else "ProtocolError")
        if change and tag.startswith("created-by-") and src != "dom0":
            no("PermissionDenied")

    def do_vm_tag_Set(self, q, arg, payload, src):
        self.tag(arg, src, True)
        q.tags.add(arg)
        return ""

    def do_vm_tag_Remove(self, q, arg, payload, src):
        self.tag(arg, src, True)
        if arg not in q.tags:
            no("QubesTagNotFoundError")
        q.tags.discard(arg)
        return ""

    def do_vm_tag_Get(self, q, arg, payload, src):
        self.tag(arg)
        return str(int(arg in q.tags))

    def feature(self, name, change):
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            no("ProtocolError")
        if change and name in SYSTEM_FEATURES:
            no("PermissionDenied")

    def do_vm_feature_Set(self, q, arg, payload, src):
        self.feature(arg, True)
        if not all(" " <= c <= "~" for c in payload):
            no("ProtocolError")
        m = re.fullmatch(r"service\.(.*)", arg)
        if m and not m.group(1).startswith("app-dispvm.") and (not 1 <= len(m.group(1)) <= 48 or m.group(1) in (".", "..")):
            no("QubesValueError")
        if q.klass == ADMIN and arg == "default-offline-dispvm" and payload:
            t = self.q.get(payload)
            if not t or not self.is_dvm(t) or self.networked(t):
                no("QubesValueError")
        q.features[arg] = payload
        return ""

    def do_vm_feature_Remove(self, q, arg, payload, src):
        self.feature(arg, True)
        if arg not in q.features:
            no("QubesFeatureNotFoundError")
        del q.features[arg]
        return ""

    def do_vm_feature_Get(self, q, arg, payload, src):
        self.feature(arg, False)
        return q.features[arg] if arg in q.features else no("QubesFeatureNotFoundError")

    def check_feature(self, q, arg, template=False, net=False, admin=False):
        self.feature(arg, False)
        v = self.feature_along(q, arg) if template else q.features.get(arg)
        x = q
        while net and v is None and x and x.klass in HERE:
            x = self.q.get(self.get(x, "netvm") or "")
            v = x.features.get(arg) if x else None
        if admin and v is None:
            v = self.q["dom0"].features.get(arg)
        return v if v is not None else no("QubesFeatureNotFoundError")

    def do_vm_feature_CheckWithTemplate(self, q, arg, payload, src):
        return self.check_feature(q, arg, template=True)

    def do_vm_feature_CheckWithNetvm(self, q, arg, payload, src):
        return self.check_feature(q, arg, net=True)

    def do_vm_feature_CheckWithTemplateAndAdminVM(self, q, arg, payload, src):
        return self.check_feature(q, arg, template=True, admin=True)

    def do_vm_notes_Set(self, q, arg, payload, src):
        if q.klass == ADMIN:
            no("ProtocolError")
        # The generator draws from a set where "unsafe" is beyond doubt: controls, and bytes that are not UTF-8.
        q.notes = "".join("_" if (c < " " and c not in "\n\t") or c == "\x7f" or "\udc80" <= c <= "\udcff" or c == "\u202e" else c for c in payload)
        return ""

    def do_vm_firewall_Set(self, q, arg, payload, src):
        if q.klass in (ADMIN, REMOTE):
            no("ProtocolError")
        q.firewall = [firewall_rule(line) for line in payload.splitlines()]
        return ""

    def do_label_Create(self, q, arg, payload, src):
        if not arg or not payload:
            no("ProtocolError")
        if q.klass != ADMIN or len(payload) > 16:
            no("ProtocolError")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,31}", arg) or arg.isdigit():
            no("QubesInvalidLabelError")
        if arg in self.labels:
            no("QubesValueError")
        if not re.fullmatch(r"0x[0-9a-fA-F]{6}", payload):
            no("QubesInvalidLabelValueError")
        self.labels[arg] = [max([8] + [i for i, _ in self.labels.values()]) + 1, payload]
        return ""

    def do_label_Remove(self, q, arg, payload, src):
        if arg not in self.labels:
            no("QubesLabelNotFoundError")
        if self.labels[arg][0] <= 8 or any(x.p.get("label") == arg for x in self.q.values()):
            no("QubesLabelInUseError")
        del self.labels[arg]
        return ""

    # --- pools and volumes --------------------------------------------------------------------------------------------------
    def do_pool_Add(self, q, arg, payload, src):
        keys = dict(line.split("=", 1) for line in payload.splitlines())
        if arg != "file-qcow2":
            no("QubesValueError")
        if "revisions_to_keep" in keys and not re.fullmatch(r"-1|0|[1-9][0-9]{0,8}", keys["revisions_to_keep"]):
            no("QubesValueError")
        if keys["name"] in self.pools:
            no("QubesPoolInUseError")
        self.pools[keys.pop("name")] = dict(keys, driver=arg)
        return ""

    def pool(self, name):
        return self.pools[name] if name in self.pools else no("QubesPoolNotFoundError")

    def do_pool_Remove(self, q, arg, payload, src):
        self.pool(arg)
        if any(self.getg(g) == arg for g in GLOBALS if g.startswith("default_pool")):
            no("QubesPoolInUseError")
        if any((v.pool if not v.snap else self.volume_source(x, n).vols[n].pool) == arg for x in self.q.values() for n, v in x.vols.items()):
            no("QubesPoolInUseError")
        del self.pools[arg]
        return ""

    def do_pool_Set_revisions_to_keep(self, q, arg, payload, src):
        n = int(number(payload))
        p = self.pool(arg)
        p["revisions_to_keep"] = str(n) if n >= -1 else no("QubesValueError")
        return ""

    def do_pool_Set_ephemeral_volatile(self, q, arg, payload, src):
        v = boolean(payload)
        self.pool(arg)["ephemeral_volatile"] = v
        return ""

    def vol(self, q, name):
        return q.vols[name] if name in q.vols else no("PermissionDenied")

    def do_vm_volume_Set_revisions_to_keep(self, q, arg, payload, src):
        if payload == "default":
            self.vol(q, arg).keep = None
            return ""
        n = int(number(payload))
        v = self.vol(q, arg)
        v.keep = n if n >= -1 else no("QubesValueError")
        return ""

    def do_vm_volume_Set_rw(self, q, arg, payload, src):
        b = boolean(payload)
        self.vol(q, arg).rw = b == "True"
        return ""

    def do_vm_volume_Set_ephemeral(self, q, arg, payload, src):
        b = payload if payload == "default" else boolean(payload)
        v = self.vol(q, arg)
        v.ephemeral = {"True": True, "False": False, "default": None}[b] if not v.save and not v.snap and v.rw else no("StoragePoolException")
        return ""

    def do_vm_volume_Resize(self, q, arg, payload, src):
        n = number(payload)
        if n.startswith("-"):
            no("ProtocolError")
        v = self.vol(q, arg)
        if not v.rw or v.snap or int(n) < v.size:
            no("StoragePoolException")
        v.size = int(n)
        return ""

    def do_vm_volume_Revert(self, q, arg, payload, src):
        v = self.vol(q, arg)
        if not v.save:
            no("StoragePoolException")
        if not re.fullmatch(r"[A-Za-z0-9:_.@-]+", payload):
            no("ProtocolError")
        no("QubesVolumeRevisionNotFoundError")  # the generator names none that exists

    def do_vm_volume_CloneFrom(self, q, arg, payload, src):
        return None if self.vol(q, arg).save else no("StoragePoolException")

    def do_vm_volume_CloneTo(self, q, arg, payload, src):
        v = self.vol(q, arg)
        source = self.tokens.pop(payload, None) or no("QubesVolumeCopyTokenNotFoundError")
        s = self.q[source[0]].vols[source[1]] if source[0] in self.q and self.q[source[0]].uuid == source[2] else no("QubesVMNotFoundError")
        if not v.save or s.pool != v.pool or s is v:
            no("StoragePoolException")
        v.size = s.size
        return ""


def number(s):
    return s if re.fullmatch(r"-?(0|[1-9][0-9]{0,18})", s) else no("ProtocolError")


def firewall_rule(line):
    """The normal form of one rule (section 6)."""
    line, sep, comment = line.partition("comment=") if re.search(r"(^| )comment=", line) else (line, "", "")
    f = {}
    for word in line.rstrip(" ").split(" ") if line.strip() else []:
        k, eq, v = word.partition("=")
        if not eq or k in f:
            no("QubesValueError")
        f[k] = v
    if sep and not re.fullmatch(r"[A-Za-z0-9:;,./\-_\[\] ]*", comment):
        no("QubesValueError")
    bad = set(f) - {"action", "dst4", "dsthost", "proto", "specialtarget", "dstports", "icmptype"}
    if bad or f.get("action") not in ("accept", "drop") or f.get("proto", "tcp") not in ("tcp", "udp", "icmp") or f.get("specialtarget", "dns") != "dns":
        no("QubesValueError")
    if "dst4" in f and "dsthost" in f:
        no("QubesValueError")
    out = ["action=" + f["action"]]
    if "dst4" in f or "dsthost" in f:
        v = f.get("dst4", f.get("dsthost"))
        try:
            addr, slash, prefix = v.partition("/")
            shown = str(ipaddress.IPv4Address(addr))
            if slash and not (prefix.isdigit() and 0 <= int(prefix) <= 32):
                no("QubesValueError")
            out.append(f"dst4={shown}/{prefix or 32}")
        except ValueError:
            if "dst4" in f or not re.fullmatch(r"[a-z0-9._][a-z0-9._-]*", v):
                no("QubesValueError")
            out.append("dsthost=" + v)
    if "proto" in f:
        out.append("proto=" + f["proto"])
    if "specialtarget" in f:
        out.append("specialtarget=dns")
    if "dstports" in f:
        a, dash, b = f["dstports"].partition("-")
        b = b if dash else a
        if f.get("proto") not in ("tcp", "udp") or not (a.isdigit() and b.isdigit()) or not int(a) <= int(b) <= 65535:
            no("QubesValueError")
        out.append(f"dstports={int(a)}-{int(b)}")
    if "icmptype" in f:
        if f.get("proto") != "icmp" or not f["icmptype"].isdigit() or int(f["icmptype"]) > 255:
            no("QubesValueError")
        out.append("icmptype=" + f["icmptype"])
    return " ".join(out) + (" comment=" + comment if comment else "")
