# SPDX-License-Identifier: GPL-3.0-or-later
"""A second, slow evaluator of the qrexec policy language, for the differential test only.

It was written from the description of the language and not from the product's sources, keeps no index and no cache, and answers
the questions of qrexec-policy-eval. Where the description leaves a choice, the choice is said in a comment that begins "Choice".
"""
import re

SERVICE = re.compile(r"[A-Za-z0-9._-]+\Z")
ARGUMENT = re.compile(r"\+[A-Za-z0-9+._-]*\Z")
LEGACY_NAME = re.compile(r"[A-Za-z0-9+._-]+\Z")
POLICY_NAME = re.compile(r"[a-z0-9_.-]+\Z")
NIL = "uuid:00000000-0000-0000-0000-000000000000"
BLANK = " \t"
DEPTH = 32
# Which kinds of token may stand where.
PLACES = {
    "Source": {"name", "AdminVM", "WildcardVM", "AnyVM", "TypeVM", "TagVM", "DispVMTemplate", "DispVMTag"},
    "Target": {"name", "AdminVM", "WildcardVM", "AnyVM", "DefaultVM", "TypeVM", "TagVM", "DispVM", "DispVMTemplate", "DispVMTag"},
    "Redirect": {"name", "AdminVM", "DispVM", "DispVMTemplate"},
    "IntendedTarget": {"name", "AdminVM", "DefaultVM", "DispVM", "DispVMTemplate"},
}
PARAMS = {"allow": ("target", "user", "notify", "autostart", "keep"), "ask": ("target", "user", "notify", "autostart", "keep", "default_target"), "deny": ("notify",)}


class Syntax(Exception):
    pass


class Denied(Exception):
    pass


class BadRequest(Exception):
    pass


class Missing(Exception):
    """A directory of the policy is missing."""


def kind_of(text):
    if text == "" or any(c in " \t\r\n\v\f" for c in text):
        raise Syntax("empty token")
    if text in ("dom0", "@adminvm", NIL):
        return "AdminVM"
    if text == "*":
        return "WildcardVM"
    if not text.startswith("@"):
        return "name"
    fixed = {"@anyvm": "AnyVM", "@default": "DefaultVM", "@dispvm": "DispVM"}
    if text in fixed:
        return fixed[text]
    for prefix, kind in (("@dispvm:@tag:", "DispVMTag"), ("@dispvm:", "DispVMTemplate"), ("@type:", "TypeVM"), ("@tag:", "TagVM")):
        if text.startswith(prefix):
            rest = text[len(prefix):]
            if rest == "" or "@" in rest:
                raise Syntax("suffix")
            return kind
    raise Syntax("unknown token")


def token(text, place):
    kind = kind_of(text)
    if kind not in PLACES[place]:
        raise Syntax(f"{kind} as {place}")
    return "@adminvm" if kind == "AdminVM" else text


class System:
    def __init__(self, table):
        self.q = table["domains"]

    def find(self, text):
        """The name of the qube that TEXT (a name, or uuid:U) means, or None."""
        if text in ("dom0", "@adminvm", NIL):
            return "dom0" if "dom0" in self.q else None
        if text.startswith("uuid:"):
            for name, d in self.q.items():
                if d.get("uuid") and "uuid:" + d["uuid"] == text:
                    return name
            return None
        return text if text in self.q else None

    def same(self, a, b):
        if a == b:
            return True
        x = self.find(a)
        return x is not None and x == self.find(b)

    def template(self, text):
        """The name of the disposable template that TEXT means, if it is one."""
        name = self.find(text)
        return name if name and self.q[name].get("template_for_dispvms") else None

    def default_dispvm(self, source):
        name = self.find(source) if source else None
        return (self.q[name].get("default_dispvm") or None) if name else None


def is_dom0(text):
    return text in ("dom0", "@adminvm", NIL)


def match(system, policy, value, source=None, as_source=False):
    """Does the token of a rule match a value, which is a caller's name or a checked target of a request?"""
    kind = kind_of(policy)
    if kind == "WildcardVM":
        return True
    if kind == "AnyVM":
        return not is_dom0(value)
    if kind == "AdminVM":
        return is_dom0(value)
    if kind == "DefaultVM":
        return value == "@default"
    if kind == "DispVM":
        return value == "@dispvm"
    if kind == "name":
        return not value.startswith("@") and system.same(policy, value)
    if kind in ("TypeVM", "TagVM"):
        name = None if value.startswith("@") else system.find(value)
        if name is None or name == "dom0":  # Choice: dom0 is no qube; only its own token and * mean it
            return False
        want = policy.partition(":")[2]
        return system.q[name]["type"] == want if kind == "TypeVM" else want in system.q[name]["tags"]
    if as_source:
        return False
    if value == "@dispvm":
        default = system.default_dispvm(source)
        if default is None:
            return False
        value = "@dispvm:" + default
    if not value.startswith("@dispvm:"):
        return False
    value = value[len("@dispvm:"):]
    if kind == "DispVMTemplate":
        return system.same(policy[len("@dispvm:"):], value)
    name = system.template(value)
    return name is not None and policy[len("@dispvm:@tag:"):] in system.q[name]["tags"]


# --- rules ---------------------------------------------------------------------------------------------------------------------


def split(line):
    return [w for w in re.split("[" + BLANK + "]+", line) if w]


def service_argument(service, argument):
    if service != "*" and not SERVICE.match(service):
        raise Syntax("service")
    if argument != "*" and not ARGUMENT.match(argument):
        raise Syntax("argument")
    if service == "*" and argument != "*":
        raise Syntax("any service, one argument")
    return None if service == "*" else service, None if argument == "*" else argument


def rule(service, argument, source, target, action, params, line):
    service, argument = service_argument(service, argument)
    r = {"service": service, "argument": argument, "source": token(source, "Source"), "target": token(target, "Target"), "action": action,
         "user": None, "notify": action == "deny", "autostart": None if action == "deny" else True, "redirect": None, "default_target": None, "line": line}
    if action not in PARAMS:
        raise Syntax("action")
    seen = set()
    for p in params:
        key, eq, value = p.partition("=")
        if not eq or key not in PARAMS[action] or key in seen:
            raise Syntax("parameter")
        seen.add(key)
        if key in ("notify", "autostart", "keep"):
            if value not in ("yes", "no"):
                raise Syntax("yes or no")
            r[key] = value == "yes"
        elif key == "user":
            r["user"] = value  # Choice: an empty one is no error and means the default user
        else:
            r["redirect" if key == "target" else key] = token(value, "Redirect")
    if action == "allow" and r["target"] == "@default" and r["redirect"] is None:
        raise Syntax("allow for @default")
    return r


def rule_4x(text, line=None):
    w = split(text)
    if len(w) < 5:
        raise Syntax("too few words")
    return rule(w[0], w[1], w[2], w[3], w[4], w[5:], line)


def rule_40(text, service, argument, line=None):
    w = split(text.replace("$", "@").replace(",", " "))
    if len(w) < 3:
        raise Syntax("too few words")
    return rule(service, argument, w[0], w[1], w[2], w[3:], line)


class Tree:
    """The files below one directory: path -> text, and the legacy folder (None: missing)."""

    def __init__(self, files, legacy):
        self.files, self.legacy = files, legacy

    def read(self, path):
        if path not in self.files:
            raise Syntax("no such file")
        return self.files[path]

    def listing(self, folder):
        folder = folder.rstrip("/") + "/"
        inside = [p[len(folder):] for p in self.files if p.startswith(folder)]
        if not inside:
            raise Syntax("no such folder")
        return {n: folder + n for n in policy_names(n for n in inside if "/" not in n)}


def policy_names(names):
    out = [n for n in names if n.endswith(".policy") and not n.startswith(".")]
    if any(not POLICY_NAME.match(n) for n in out):
        raise Syntax("file name")
    return sorted(out, key=lambda n: n.encode())


def lines_of(text):
    for n, line in enumerate(text.split("\n"), 1):
        line = line.strip(BLANK + "\r")
        if line and not line.startswith("#"):
            yield n, line


def load(tree, text, depth=0):
    out = []
    if depth > DEPTH:
        raise Syntax("included too deep")
    for n, line in lines_of(text):
        if not line.startswith("!"):
            out.append(rule_4x(line, n))
            continue
        w = split(line)
        args = w[1:]
        if w[0] == "!include" and len(args) == 1:
            out += load(tree, tree.read(args[0]), depth + 1)
        elif w[0] == "!include-dir" and len(args) == 1:
            for path in tree.listing(args[0]).values():
                out += load(tree, tree.read(path), depth + 1)
        elif w[0] == "!include-service" and len(args) == 3:
            service_argument(args[0], args[1])
            out += load_40(tree, tree.read(args[2]), args[0], args[1], depth + 1)
        elif w[0] == "!compat-4.0" and not args:
            out += load_legacy(tree, depth + 1)
        else:
            raise Syntax("directive")
    return out


def load_40(tree, text, service, argument, depth):
    out = []
    if depth > DEPTH:
        raise Syntax("included too deep")
    for n, line in lines_of(text):
        w = split(line)
        if line.startswith("$include:"):
            out += load_40(tree, tree.read(line[len("$include:"):].strip(BLANK)), service, argument, depth + 1)
        elif w[0] == "!include" and len(w) == 2:
            out += load_40(tree, tree.read(w[1]), service, argument, depth + 1)
        elif line.startswith("!"):
            raise Syntax("directive in an old file")
        else:
            out.append(rule_40(line, service, argument, n))
    return out


def load_legacy(tree, depth):
    if tree.legacy is None:
        raise Syntax("no legacy folder")
    names = [n for n in tree.legacy if not n.startswith(".") and not n.endswith((".rpmsave", ".rpmnew", ".swp")) and LEGACY_NAME.match(n)]
    out = []
    # By service; the files for one argument before the general one.
    for name in sorted(names, key=lambda n: (n.partition("+")[0], "+" not in n, n)):
        service, plus, argument = name.partition("+")
        argument = plus + argument if plus else "*"
        out += load_40(tree, tree.legacy[name], service, argument, depth)
        if plus:
            for target in ("@anyvm", "@adminvm"):
                out.append(rule(service, argument, "@anyvm", target, "deny", [], None))
    return out


def load_dirs(dirs):
    if dirs["run"] is None or dirs["etc"] is None:
        raise Missing()
    where = {}
    for d in ("etc", "run"):
        for n in policy_names(n for n in dirs[d] if "/" not in n):
            where[n] = d
    out = []
    for n in sorted(where, key=lambda n: n.encode()):
        tree = Tree(dirs[where[n]], dirs["legacy"])
        out += load(tree, tree.files[n])
    return out


# --- a call --------------------------------------------------------------------------------------------------------------------


class Request:
    def __init__(self, system, query):
        self.service, self.argument, self.source = query["service"], query["argument"], query["source"]
        self.real_source, self.relayed = self.source, False
        if not self.service or not self.argument.startswith("+") or not self.source:
            raise BadRequest()
        if query.get("requested_source"):
            name = query["requested_source"]
            d = system.q.get(name)
            if not d or d["type"] != "RemoteVM" or d.get("relayvm") != self.source:
                raise BadRequest()
            self.source, self.relayed = name, True
        target = query["target"] or "@default"
        self.target = token(target, "IntendedTarget") if target.startswith("@") or is_dom0(target) or target == "*" else target
        if self.target == "*":
            raise Syntax("any target asked for")
        if target.startswith("@dispvm:"):
            if system.template(target[len("@dispvm:"):]) is None:
                raise Denied()
        elif not target.startswith("@") and system.find(target) is None:
            self.target = "@default"

    def selects(self, system, r, target=True):
        if r["service"] not in (None, self.service) or r["argument"] not in (None, self.argument):
            return False
        if not match(system, r["source"], self.source, as_source=True):
            return False
        return not target or match(system, r["target"], self.target, self.source)


def resolve(system, target, source):
    """What a rule's destination becomes: dom0, a qube, @dispvm:NAME; None if there is no such thing."""
    if is_dom0(target):
        return "dom0"
    if target == "@default":
        return None
    if target == "@dispvm":
        default = system.default_dispvm(source)
        return "@dispvm:" + default if default and system.find(default) else None
    if target.startswith("@dispvm:"):
        return target if system.template(target[len("@dispvm:"):]) else None
    return target if system.find(target) else None


def canonical(system, target):
    """The spelling by name, as choices are shown."""
    if target.startswith("@dispvm:"):
        return "@dispvm:" + (system.find(target[len("@dispvm:"):]) or "")
    return system.find(target)


def startable(system, target, autostart):
    if autostart or target == "dom0":
        return True
    return not target.startswith("@") and system.q[system.find(target)].get("power_state") == "Running"


def expand(system, text):
    """Everything that a target of a rule stands for when the user may choose."""
    kind = kind_of(text)
    qubes = [n for n in system.q if n != "dom0"]
    templates = [n for n in qubes if system.q[n].get("template_for_dispvms")]
    if kind in ("WildcardVM", "AnyVM"):
        return qubes + ["@dispvm:" + n for n in templates] + ["@dispvm"] + (["@adminvm"] if kind == "WildcardVM" else [])
    if kind == "AdminVM":
        return ["@adminvm"]
    if kind == "name":
        return [system.find(text)] if system.find(text) else []
    if kind == "TypeVM":
        found = [n for n in system.q if system.q[n]["type"] == text[len("@type:"):]]
        return ["@adminvm" if n == "dom0" else n for n in found]  # Choice: members of a class or a tag, dom0 too
    if kind == "TagVM":
        found = [n for n in system.q if text[len("@tag:"):] in system.q[n]["tags"]]
        return ["@adminvm" if n == "dom0" else n for n in found]
    if kind == "DispVM":
        return ["@dispvm"]
    if kind == "DispVMTemplate":
        name = system.template(text[len("@dispvm:"):])
        return ["@dispvm:" + name] if name else []
    if kind == "DispVMTag":
        return ["@dispvm:" + n for n in templates if text[len("@dispvm:@tag:"):] in system.q[n]["tags"]]
    return []


def ask_choices(system, rules, req):
    chosen = set()
    for r in reversed(rules):
        if req.selects(system, r, target=False):
            if r["action"] == "deny":
                chosen -= set(expand(system, r["target"]))
            else:
                chosen |= set(expand(system, r["redirect"] or r["target"]))
    if "@dispvm" in chosen:
        chosen.discard("@dispvm")
        default = resolve(system, "@dispvm", req.source)
        if default:
            chosen.add(default)
    if "@adminvm" in chosen:
        chosen.discard("@adminvm")
        chosen.add("dom0")
    chosen.discard(req.source)
    return sorted(c for c in chosen if c.startswith("@") or not system.q[c].get("internal"))


def evaluate(system, rules, req):
    for r in rules:
        if req.selects(system, r):
            break
    else:
        return {"outcome": "deny", "notify": True}
    if r["action"] == "deny":
        return {"outcome": "deny", "notify": r["notify"]}
    refused = {"outcome": "deny", "notify": True}  # Choice: the user is told when an allowing rule leads nowhere
    if r["action"] == "ask":
        if r["redirect"] is not None:
            choices = [c for c in [resolve(system, r["redirect"], req.source)] if c]
        else:
            choices = ask_choices(system, rules, req)
        choices = [c for c in choices if startable(system, c, r["autostart"])]
        if not choices:
            return refused
        choices = [canonical(system, c) for c in choices]
        default = r["default_target"]
        if default == "@dispvm":
            default = resolve(system, default, req.source)
        default = canonical(system, default) if default else None
        return {"outcome": "ask", "choices": choices, "default_target": default if default in choices else None, "user": r["user"],
                "notify": r["notify"], "autostart": r["autostart"], "rule_line": r["line"]}
    target = resolve(system, r["redirect"] or req.target, req.source)
    if target is None or not startable(system, target, r["autostart"]):
        return refused
    if system.same(target, req.source):
        return refused
    user = r["user"]
    reply = {"result": "allow", "user": r["user"] or "DEFAULT", "target": target, "autostart": "True" if r["autostart"] else "False",
             "requested_target": req.target}
    if target.startswith("@dispvm:"):
        reply["target_uuid"] = "@dispvm:uuid:" + system.q[system.find(target[len("@dispvm:"):])]["uuid"]
    elif target != "dom0":
        d = system.q[system.find(target)]
        if d["type"] == "RemoteVM":
            relay = system.find(d.get("relayvm") or "")
            if relay is None or not d.get("transport_rpc"):
                return refused
            user = None
            reply.update(target=d["relayvm"], user="DEFAULT", service=d["transport_rpc"] + "+" + system.find(target) + "+" + req.service + req.argument)
            d = system.q[relay]
        reply["target_uuid"] = "uuid:" + d["uuid"]
    if req.relayed:
        reply["policy_source"] = req.source
    return {"outcome": "allow", "target": target, "user": user, "autostart": r["autostart"], "notify": r["notify"], "rule_line": r["line"], "reply": reply}


# --- the questions of qrexec-policy-eval ---------------------------------------------------------------------------------------


def strip_line(r, line):
    return {k: v for k, v in r.items() if line or k != "line"}


def answer(q, systems):
    op = q["op"]
    system = System(systems[q["system"]]) if "system" in q else None
    if op == "token":
        try:
            token(q["text"], q["context"])
            return {"valid": True, "kind": kind_of(q["text"])}
        except Syntax:
            return {"valid": False, "kind": None}
    try:
        if op == "token-match":
            policy = token(q["policy_token"], "Target")
            try:
                token(q["value"], "IntendedTarget")
            except Syntax:
                return {"match": False}  # Choice: what nobody may ask for matches nothing
            return {"match": match(system, policy, q["value"], q["for_source"])}
        if op == "rule":
            r = rule_4x(q["line"].strip(BLANK)) if q["form"] == "4.x" else rule_40(q["line"].strip(BLANK), q["service"], q["argument"])
            return {"outcome": "ok", "rule": strip_line(r, False)}
        if op == "load":
            rules = load(Tree(q["files"], q.get("legacy_files")), q["files"]["main.policy"])
            return {"outcome": "ok", "rules": [strip_line(r, True) for r in rules]}
        if op == "evaluate":
            rules = load(Tree(q["files"], None), q["files"]["main.policy"])
            return evaluate(system, rules, Request(system, q["query"]))
        if op == "evaluate-dirs":
            rules = load_dirs(q["dirs"])
            return evaluate(system, rules, Request(system, q["query"]))
        if op == "ask-choices":
            rules = load(Tree(q["files"], None), q["files"]["main.policy"])
            return {"choices": ask_choices(system, rules, Request(system, q["query"]))}
        if op == "rule-match":
            r = rule_4x(q["rule"])
            return {"match": Request(system, q["query"]).selects(system, r)}
        if op == "request":
            req = Request(system, q["query"])
            return {"outcome": "ok", "effective_source": req.source, "effective_target": req.target}
    except Syntax:
        return {"outcome": "syntax-error"}
    except BadRequest:
        return {"outcome": "bad-request"}
    except (Denied, Missing):
        return {"outcome": "deny"}
    raise ValueError(op)
