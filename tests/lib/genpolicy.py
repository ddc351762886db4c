# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tables of qubes, policies and calls for the differential test of the policy. Everything follows from the seed."""
import random

SERVICES = ["qubes.A", "qubes.B", "x-y_z"]
ARGUMENTS = ["+", "+x", "+x+y", "+a.b-c_d"]
TAGS = ["red", "blue", "guivm-dom0"]
CLASSES = ["AppVM", "TemplateVM", "StandaloneVM", "DispVM"]
NAMES = ["work", "vault", "dvm", "dvm2", "net", "far", "far2", "tmpl"]


class Gen:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def one(self, *weighted):
        """one((weight, value), …)"""
        return self.r.choices([v for _, v in weighted], [w for w, _ in weighted])[0]

    def uuid(self):
        h = "%032x" % self.r.getrandbits(128)
        return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))

    def system(self):
        r = self.r
        names = r.sample(NAMES, r.randint(2, len(NAMES)))
        q = {"dom0": {"type": "AdminVM", "tags": r.sample(TAGS, r.randint(0, 1)), "default_dispvm": None, "template_for_dispvms": False,
                      "power_state": "Running", "uuid": "00000000-0000-0000-0000-000000000000"}}
        for n in names:
            d = {"tags": r.sample(TAGS, r.randint(0, 2)), "type": r.choice(CLASSES), "power_state": r.choice(["Running", "Running", "Halted", "Paused", "Transient"]),
                 "default_dispvm": r.choice([None] + names + ["dvm", "gone"]), "template_for_dispvms": n.startswith("dvm") or r.random() < 0.1, "uuid": self.uuid()}
            if n.startswith("far"):
                d["type"] = "RemoteVM"
                if r.random() < 0.9:
                    d["relayvm"] = r.choice(names + ["gone"])
                if r.random() < 0.9:
                    d["transport_rpc"] = "qubes.Relay"
            if r.random() < 0.15:
                d["internal"] = True
            if r.random() < 0.5:
                d["guivm"] = "dom0"
            q[n] = d
        return {"domains": q}

    def name(self, system):
        """A qube in one of its spellings, or one that does not exist."""
        n = self.r.choice(list(system["domains"]) + ["gone"])
        if n in system["domains"] and self.r.random() < 0.2:
            return "uuid:" + system["domains"][n]["uuid"]
        if self.r.random() < 0.03:
            return "uuid:" + self.uuid()
        return n

    def target(self, system, place):
        """A token that is legal in that place (mostly)."""
        r = self.r
        pick = self.one((45, "name"), (10, "@adminvm"), (9, "@dispvm"), (12, "@dispvm:"), (9, "*"), (9, "@anyvm"), (6, "@default"), (7, "@type:"), (8, "@tag:"),
                        (6, "@dispvm:@tag:"), (0.4, "bad"))
        if place in ("Redirect", "IntendedTarget") and pick in ("*", "@anyvm", "@type:", "@tag:", "@dispvm:@tag:") and r.random() < 0.98:
            pick = "name"
        if (place == "Redirect" and pick == "@default" or place == "Source" and pick in ("@default", "@dispvm")) and r.random() < 0.98:
            pick = "name"
        if place == "Source" and pick != "bad" and r.random() < 0.55:
            pick = r.choice(["*", "*", "@anyvm"])
        if pick == "name":
            return self.name(system)
        if pick == "@dispvm:":
            return pick + (r.choice(["dvm", "dvm2"]) if r.random() < 0.5 else self.name(system))
        if pick == "@type:":
            return pick + r.choice(CLASSES + ["RemoteVM", "AdminVM", "Nothing"])
        if pick in ("@tag:", "@dispvm:@tag:"):
            return pick + r.choice(TAGS)
        if pick == "bad":
            return r.choice(["@", "@foo", "@type:", "@tag:", "@dispvm:", "@dispvm:@tag:", "@dispvm:@adminvm", "@tag:@x", "@anyvm:x", "@adminvm:x", "@tag:a@b",
                             "@Anyvm", "@dispvm:@type:AppVM", "@dispvm:@dispvm", "@dispvm:@tag:@x", "@default:", "@dispvm:a@b"])
        return pick

    def params(self, action, system):
        r = self.r
        out = []
        for key, chance in (("target", 0.25), ("user", 0.2), ("notify", 0.25), ("autostart", 0.25), ("default_target", 0.3 if action == "ask" else 0.004)):
            if action == "deny" and key != "notify":
                chance = 0.004
            if r.random() < chance:
                value = {"target": lambda: self.target(system, "Redirect"), "default_target": lambda: self.target(system, "Redirect"),
                         "user": lambda: r.choice(["root", "user", "a=b"]), "notify": lambda: r.choice(["yes", "no"]), "autostart": lambda: r.choice(["yes", "no"])}[key]()
                out.append(key + "=" + value)
        if r.random() < 0.006:
            out.append(r.choice(["notify=maybe", "notify", "x=y", "autostart=", "target=", "=", "user", "notify=yes notify=yes", "default_target=work", "Notify=yes", "user="]))
        r.shuffle(out)
        return out

    def blanks(self):
        return self.one((20, " "), (1, "\t"), (1, "  "), (1, " \t "))

    def rule(self, system, form="4.x", safe=True):
        """The text of one rule; safe: a rule that would be an error by accident (allow for @default) gets a redirect."""
        r = self.r
        action = self.one((5, "allow"), (4, "ask"), (3, "deny"), (0.03, r.choice(["Allow", "permit", "allow,", "", "denyx"])))
        source, target, params = self.target(system, "Source"), self.target(system, "Target"), self.params(action, system)
        if safe and action == "allow" and target == "@default" and not any(p.startswith("target=") for p in params) and r.random() < 0.97:
            params.append("target=" + r.choice(["dom0", "work", "@dispvm"]))
        if form == "4.0":
            text = source + self.blanks() + target + self.blanks() + action + "".join(r.choice([",", " ", ", "]) + p for p in params)
            return text.replace("@", "$") if r.random() < 0.6 else text
        service = self.one((4, r.choice(SERVICES)), (6, "*"))
        argument = "*" if service == "*" and r.random() < 0.99 else self.one((7, "*"), (3, r.choice(ARGUMENTS)), (0.02, r.choice(["x", "+a/b", "**", "+ä"])))
        if r.random() < 0.004:
            service = r.choice(["qubes.A+x", "a/b", "**", "é", "a:b"])
        words = [service, argument, source, target, action] + params
        if r.random() < 0.003:
            words = words[:r.randint(1, 4)]
        return "".join(w + self.blanks() for w in words).rstrip() if r.random() < 0.9 else self.blanks() + " ".join(words) + self.blanks()

    def text(self, system, form="4.x", most=6, extra=()):
        lines = []
        for _ in range(self.r.randint(0, most)):
            lines.append(self.one((1, "# text"), (1, ""), (1, "   "), (24, None)))
            if lines[-1] is None:
                lines[-1] = self.rule(system, form)
        for e in extra:
            lines.insert(self.r.randint(0, len(lines)), e)
        end = self.one((10, "\n"), (1, ""), (1, "\n\n"), (1, "\r\n"))
        return ("\r\n" if end == "\r\n" else "\n").join(lines) + end

    def extras(self, system, files, legacy=False):
        """Directives, with the files that they name."""
        r = self.r
        out = []
        if r.random() < 0.2:
            files["inc"] = self.text(system, most=3, extra=["!include inc2"] if r.random() < 0.3 else [])
            files["inc2"] = self.text(system, most=2)
            out.append("!include inc")
        if r.random() < 0.12:
            for n in r.sample(["b.policy", "a.policy", "z", ".h.policy", "c.policyx"], 3) + (["A.policy"] if r.random() < 0.02 else []):
                files["d/" + n] = self.text(system, most=2)
            out.append("!include-dir " + r.choice(["d", "d/"]))
        if r.random() < 0.15:
            files["old"] = self.text(system, "4.0", 3, [r.choice(["$include:old2", "!include old2"])] if r.random() < 0.3 else [])
            files["old2"] = self.text(system, "4.0", 2)
            service = r.choice(SERVICES + ["*"])
            out.append("!include-service %s %s old" % (service, "*" if service == "*" or r.random() < 0.5 else r.choice(ARGUMENTS)))
        if r.random() < 0.02:
            out.append(r.choice(["!include gone", "!include", "!include inc inc", "!include-dir gone", "!include-dir", "!compat-4.0 x", "!include-service qubes.A * gone",
                                 "!include-service qubes.A old", "!include-service a/b * old", "!include-service * +x old", "!foo", "!", "!includeinc", "!include main.policy",
                                 "!INCLUDE inc", "! include inc"]))
        if legacy and r.random() < 0.4:
            out.append("!compat-4.0")
        return out

    def legacy(self, system):
        out = {}
        for n in self.r.sample(["qubes.A", "qubes.A+x", "qubes.A+x+y", "qubes.A+", "qubes.B", "x-y_z+x", ".hid", "qubes.B.rpmsave", "qubes.B.rpmnew", "qubes.A.swp", "a~", "qubes.A.x"], 6):
            bad = n in ("qubes.B.rpmsave", "qubes.B.rpmnew", "qubes.A.swp", ".hid", "a~")
            out[n] = "junk\n" if bad else self.text(system, "4.0", 3)
        return out

    def files(self, system, legacy=False):
        files = {}
        files["main.policy"] = self.text(system, most=8, extra=self.extras(system, files, legacy))
        if self.r.random() < 0.5:
            files["main.policy"] += "\n* * * %s %s" % (self.r.choice(["*", "@anyvm", "@dispvm"]), " ".join([self.r.choice(["allow", "ask"])] + self.params("allow", system)))
        return files

    def dirs(self, system):
        r = self.r
        out = {"run": {}, "etc": {}, "legacy": self.legacy(system) if r.random() < 0.9 else None}
        for d in ("run", "etc"):
            for n in r.sample(["10-a.policy", "20-b.policy", "30_c.policy", "a.b.policy", "README", ".x.policy", "y.policy.bak"], r.randint(1, 4)):
                out[d][n] = self.text(system, most=3, extra=self.extras(system, out[d], d == "etc") if n.endswith(".policy") and not n.startswith(".") else ())
            if r.random() < 0.01:
                out[d]["Bad Name.policy"] = ""
            if r.random() < 0.01:
                out[d] = None
        return out

    def query(self, system):
        r = self.r
        q = {"service": r.choice(SERVICES + SERVICES + ["other"]), "argument": r.choice(ARGUMENTS + ["+"]), "source": r.choice(list(system["domains"])),
             "target": "" if r.random() < 0.04 else self.target(system, "IntendedTarget")}
        if r.random() < 0.12:
            far = [n for n in system["domains"] if n.startswith("far")]
            q["requested_source"] = r.choice(far + ["gone", "work", ""])
            if far and r.random() < 0.7:
                relay = system["domains"][far[0]].get("relayvm")
                if relay in system["domains"]:
                    q["requested_source"], q["source"] = far[0], relay
        return q

    def questions(self, system_name, system, n):
        """n questions about one table; a policy is asked about several times."""
        r = self.r
        out = []
        while len(out) < n:
            op = self.one((40, "evaluate"), (20, "evaluate-dirs"), (14, "ask-choices"), (4, "rule"), (6, "rule-match"), (3, "token"), (5, "token-match"), (4, "load"), (4, "request"))
            q = {"op": op, "system": system_name}
            if op in ("evaluate", "ask-choices"):
                files = self.files(system)
                out += [dict(q, files=files, query=self.query(system)) for _ in range(6)]
            elif op == "evaluate-dirs":
                dirs = self.dirs(system)
                out += [dict(q, dirs=dirs, query=self.query(system)) for _ in range(6)]
            elif op == "rule":
                q["form"] = r.choice(["4.x", "4.0"])
                q["line"] = self.rule(system, q["form"], safe=False)
                if q["form"] == "4.0":
                    q["service"], q["argument"] = r.choice(SERVICES), r.choice(["*"] + ARGUMENTS)
                out.append(q)
            elif op == "rule-match":
                out.append(dict(q, rule=self.rule(system).strip(), query=self.query(system)))
            elif op == "token":
                out.append(dict(q, context=r.choice(["Source", "Target", "Redirect", "IntendedTarget"]), text=r.choice([self.target(system, "Target"), self.target(system, "any"), "", "a@b"])))
            elif op == "token-match":
                # The value is a target of a call, or a caller.
                out.append(dict(q, policy_token=self.target(system, "Target"), value=self.target(system, "IntendedTarget"), for_source=r.choice([None] + list(system["domains"]))))
            elif op == "load":
                files = self.files(system, legacy=True)
                out.append(dict(q, files=files, legacy_files=self.legacy(system)))
            else:
                out.append(dict(q, query=self.query(system)))
        return out
