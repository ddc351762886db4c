# SPDX-License-Identifier: GPL-3.0-or-later
"""The standard services in real qubes: opening files and addresses, time, menus, features, disks, backups, images."""
import hashlib
import io
import os
import struct
import subprocess
import tarfile
import time
import zlib

import bh
from bh import check, equal

suite = bh.Suite("vm.services")
POLICY = """\
qubes.OpenInVM     * alpha beta allow
qubes.OpenURL      * alpha beta allow
qubes.SetDateTime  * alpha beta allow user=root
qubes.Restore      * alpha beta allow
qubes.RestoreById  * alpha beta allow
qubes.Log          * alpha beta allow
"""
EDITOR = """#!/bin/sh
stat -c '%a %n' "$(dirname "$1")" > ~/seen
stat -c '%a %n' "$1" >> ~/seen
[ ! -e ~/edit ] || [ ! -w "$1" ] || cat ~/edit >> "$1"
"""


def service(inst, qube, name, stdin=b"", user=None, ok=True, timeout=300):
    args = ["-p", "--service"] + (["-u", user] if user else []) + ["--", qube, name]
    r = inst.run("qvm-run", *args, stdin=stdin, timeout=timeout)
    if ok:
        equal(r.rc, 0, f"{name} in {qube}: {r}")
    return r


def put(inst, qube, path, text, mode="644", user=None):
    inst.sh(qube, f"mkdir -p $(dirname {path}) && cat > {path} && chmod {mode} {path}", stdin=text.encode(), user=user)


@suite.test
def the_handlers_of_the_tests(inst):
    inst.write_policy("13-services.policy", POLICY)
    put(inst, "beta", "~/bin/fake-editor", EDITOR, "755")
    put(inst, "beta", "~/bin/fake-browser", "#!/bin/sh\nprintf '%s\\n' \"$@\" > ~/visited\n", "755")
    put(inst, "beta", "~/.local/share/applications/fake-editor.desktop",
        "[Desktop Entry]\nType=Application\nName=Fake Editor\nExec=/home/user/bin/fake-editor %f\nIcon=accessories-text-editor\nCategories=Utility;\n")
    put(inst, "beta", "~/.local/share/applications/fake-browser.desktop",
        "[Desktop Entry]\nType=Application\nName=Fake Browser\nExec=/home/user/bin/fake-browser -- %u\n")
    put(inst, "beta", "~/.local/share/applications/hidden.desktop", "[Desktop Entry]\nType=Application\nName=Hidden\nNoDisplay=true\nExec=/bin/true\n")
    put(inst, "beta", "~/.config/mimeapps.list",
        "[Default Applications]\ntext/plain=fake-editor.desktop;\nx-scheme-handler/https=fake-browser.desktop\n")


@suite.test
def open_and_edit(inst):
    put(inst, "beta", "~/edit", "two\n")
    put(inst, "alpha", "~/notes.txt", "one\n", "640")
    inst.sh("alpha", "qvm-open-in-vm beta ~/notes.txt")
    equal(inst.sh("alpha", "cat ~/notes.txt; stat -c %a ~/notes.txt; ls -A ~ | grep edited || true").text, "one\ntwo\n640\n", "the file after editing")
    seen = inst.sh("beta", "cat ~/seen").text.split()
    equal((seen[0], seen[2]), ("700", "600"), "modes of the folder and of the file")
    check(seen[3].endswith("/notes.txt"), f"name of the file: {seen[3]}")
    inst.sh("beta", f"test ! -e {seen[1]}")


@suite.test
def open_without_change(inst):
    inst.sh("beta", "rm ~/edit")
    before = inst.sh("alpha", "stat -c '%i %Y %Z' ~/notes.txt").text
    inst.sh("alpha", "qvm-open-in-vm beta ~/notes.txt")
    equal(inst.sh("alpha", "stat -c '%i %Y %Z' ~/notes.txt").text, before, "a file that was not edited")


@suite.test
def view_only(inst):
    put(inst, "beta", "~/edit", "three\n")
    inst.sh("alpha", "qvm-open-in-vm --view-only beta ~/notes.txt")
    equal(inst.sh("alpha", "cat ~/notes.txt").text, "one\ntwo\n", "a file that was only shown")
    equal(inst.sh("beta", "sed -n 2p ~/seen | cut -d ' ' -f 1").text, "400\n", "its mode there")


@suite.test
def no_program_for_it(inst):
    inst.sh("alpha", "head -c 100 /dev/urandom > ~/thing.bin")
    r = inst.sh("alpha", "qvm-open-in-vm beta ~/thing.bin", ok=False)
    equal(r.rc, 1, f"a file that nothing opens: {r}")
    check("no program of this qube opens" in r.errtext, f"the reason comes across: {r}")


@suite.test
def open_url(inst):
    inst.sh("alpha", "qvm-open-in-vm beta 'https://example.org/a?b=c&d'")
    equal(inst.sh("beta", "cat ~/visited").text, "--\nhttps://example.org/a?b=c&d\n", "the address")
    for bad in ("file:///etc/passwd", "https://a b/", "javascript:1", "-h", "https://x/\\$(id)\\`id\\`", "http:///", "https://x/\\n--y"):
        r = inst.sh("alpha", f"rm -f ~/x; printf \"{bad}\\n\" | qrexec-client-vm beta qubes.OpenURL", ok=False)
        check(r.rc not in (0, 126), f"address {bad!r}: {r}")
    equal(inst.sh("beta", "cat ~/visited").text, "--\nhttps://example.org/a?b=c&d\n", "nothing else was opened")


@suite.test
def root_shell_is_denied(inst):
    for name in ("qubes.VMRootShell", "qubes.VMRootExec+id", "qubes.VMExec+id", "qubes.ConnectTCP+22", "qubes.UpdatesProxy"):
        equal(inst.sh("alpha", f"qrexec-client-vm beta {name} </dev/null", ok=False).rc, 126, name)


@suite.test
def set_date(inst):
    inst.sh("beta", "date -s @1800000000", user="root")
    inst.good("qvm-sync-clock", "beta")
    now = int(inst.sh("beta", "date +%s").text)
    check(abs(now - time.time()) < 300, f"the clock of beta: {now}")
    for bad in (b"", b"1999-01-01T00:00:00+00:00\n", b"2200-01-01T00:00:00+00:00\n", b"now\n", b"2027-02-30T00:00:00+00:00\n", b"$(id)\n"):
        equal(service(inst, "beta", "qubes.SetDateTime", bad, ok=False).rc, 1, f"date {bad!r}")
    r = inst.sh("alpha", "echo 2027-01-01T00:00:00+00:00 | qrexec-client-vm beta qubes.SetDateTime", ok=False)
    equal(r.rc, 1, f"even when policy allows it another qube sets no clock: {r}")
    check(abs(int(inst.sh("beta", "date +%s").text) - time.time()) < 300, "the clock of beta stayed")


@suite.test
def sync_clock_of_a_qube(inst):
    inst.sh("alpha", "date -s @1800000000; qvm-sync-clock", user="root")
    check(abs(int(inst.sh("alpha", "date +%s").text) - time.time()) < 300, "the clock of alpha")
    t = inst.sh("alpha", "qrexec-client-vm dom0 qubes.GetRandomizedTime </dev/null").text.strip()
    equal((len(t), t[10]), (25, "T"), "a date")


@suite.test
def menus(inst):
    r = service(inst, "beta", "qubes.GetAppmenus")
    lines = r.text.splitlines()
    check("fake-editor.desktop:Name=Fake Editor" in lines, f"the list: {r.text[:600]}")
    check("fake-editor.desktop:Exec=qubes-desktop-run /home/user/.local/share/applications/fake-editor.desktop" in lines, "Exec is replaced")
    check(not any(x.startswith("hidden.desktop") for x in lines), "hidden programs are left out")
    inst.sh("beta", "qvm-sync-appmenus")
    apps = os.path.join(inst.root, "lib", "appmenus", "beta", "apps")
    with open(os.path.join(apps, "bulkhead.beta.fake-editor.desktop")) as f:
        entry = f.read().splitlines()
    check("Name=beta: Fake Editor" in entry and "Exec=qvm-run -q -a --service -- beta qubes.StartApp+fake-editor" in entry, f"the entry: {entry}")
    inst.sh("beta", "rm -f ~/visited; qubes-desktop-run ~/.local/share/applications/fake-browser.desktop")
    bh.wait_for(lambda: inst.sh("beta", "cat ~/visited", ok=False).text == "--\n", "the program of a line of the list", timeout=300)
    inst.sh("beta", "printf 'evil/../x.desktop:Name=x\\n\\nok.desktop:Name=OK\\n' | "
            "qrexec-client-vm dom0 qubes.SyncAppMenus")
    equal(sorted(os.listdir(apps)), ["bulkhead.beta.ok.desktop", "bulkhead.beta.ok.png"], "what is acceptable of a bad list")
    equal(inst.good("qvm-sync-appmenus", "beta").rc, 0, "dom0 asks for the list")
    check("bulkhead.beta.fake-editor.desktop" in os.listdir(apps), "the list that dom0 asked for")


@suite.test
def features(inst):
    inst.sh("alpha", "/usr/lib/qubes/post-install", user="root", timeout=600)
    equal(inst.good("qvm-features", "alpha", "supported-rpc.qubes.OpenInVM").text.strip(), "1", "what a template-based qube may say")
    equal(inst.run("qvm-features", "alpha", "os").rc, 1, "what only its template may say")
    n = inst.sh("alpha", "/usr/lib/qubes/upgrades-status-notify --count").text.strip()
    check(n.isdigit(), f"the number of updates: {n!r}")
    r = inst.sh("alpha", "echo many | qrexec-client-vm dom0 qubes.NotifyUpdates", ok=False)
    equal(r.rc, 1, f"a number that is none: {r}")
    r = inst.sh("alpha", "qvm-features-request 'os-version=a;b'", user="root", ok=False)
    equal(r.rc, 1, f"a value that dom0 would refuse: {r}")


@suite.test
def resize_disk(inst):
    equal(service(inst, "beta", "qubes.ResizeDisk", b"private\n").rc, 0, "the private disk")
    r = service(inst, "beta", "qubes.ResizeDisk", b"root\n", ok=False)
    check(r.rc == 1 and "template" in r.errtext, f"the root of the template: {r}")
    for bad in (b"", b"/dev/xvdb\n", b"private;id\n", b"volatile\n"):
        equal(service(inst, "beta", "qubes.ResizeDisk", bad, ok=False).rc, 1, f"disk {bad!r}")


@suite.test
def pci(inst):
    r = service(inst, "beta", "qubes.DetachPciDevice", b"1f:1f.7\n", ok=False)
    check(r.rc == 1 and "no PCI device" in r.errtext, f"a device that is not there: {r}")
    equal(service(inst, "beta", "qubes.DetachPciDevice", b"../../x\n", ok=False).rc, 1, "no device")


@suite.test
def suspend_hooks(inst):
    put(inst, "beta", "/etc/qubes/suspend-pre.d/10-test", "#!/bin/sh\nid -u > /tmp/suspended\n", "755", user="root")
    service(inst, "beta", "qubes.SuspendPre")
    equal(inst.sh("beta", "cat /tmp/suspended").text, "0\n", "the hook ran as root")
    put(inst, "beta", "/etc/qubes/suspend-pre.d/05-bad", "#!/bin/sh\nexit 3\n", "755", user="root")
    inst.sh("beta", "rm /tmp/suspended", user="root")
    equal(service(inst, "beta", "qubes.SuspendPre", ok=False).rc, 1, "a hook that fails is told")
    inst.sh("beta", "test -e /tmp/suspended; rm /etc/qubes/suspend-pre.d/*", user="root")
    service(inst, "beta", "qubes.SuspendPostAll")


def backup_bytes():
    out = b""
    for name, data in (("qubes.xml", b"<q/>\n"), ("vm7/private.img.000.enc", os.urandom(200000)), ("vm7/firewall.xml", b"<f/>")):
        b = io.BytesIO()
        with tarfile.open(fileobj=b, mode="w", format=tarfile.USTAR_FORMAT, bufsize=512) as t:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        out += b.getvalue()
    return out


@suite.test
def backup_and_restore(inst):
    data = backup_bytes()
    inst.sh("beta", "mkdir -p ~/backups")
    service(inst, "beta", "qubes.Backup", b"/home/user/backups\n" + data)
    r = inst.sh("beta", "cd ~/backups && ls && sha256sum * | cut -c 1-64 && stat -c %a *").text.split()
    equal(r[1:], [hashlib.sha256(data).hexdigest(), "600"], "the backup in the qube")
    check(r[0].startswith("qubes-backup-20"), f"its name: {r[0]}")
    service(inst, "beta", "qubes.Backup", b"cat > ~/by-command\n" + data)
    equal(inst.sh("beta", "sha256sum < ~/by-command").text[:64], hashlib.sha256(data).hexdigest(), "through a command")
    equal(service(inst, "beta", "qubes.Backup", b"/nowhere\nx", ok=False).rc, 1, "no such folder")
    script = ("rm -rf ~/r && mkdir ~/r && qrexec-client-vm beta qubes.Restore /bin/sh -c '"
              "printf \"/home/user/backups/%s\\nvm7/firewall.xml qubes.xml\\n\"; exec /usr/lib/qubes/qfile-unpacker --allow-all-names 1000 /home/user/r'" % r[0])
    inst.sh("alpha", script)
    equal(inst.sh("alpha", "cd ~/r && find . -type f | sort && cat vm7/firewall.xml").text, "./qubes.xml\n./vm7/firewall.xml\n<f/>", "what was asked for")


@suite.test
def restore_by_id(inst):
    # the registration lives as long as the input of the call is open
    p = subprocess.Popen([os.path.join(inst.bin, "qvm-run"), "-p", "--service", "--", "beta", "qubes.RegisterBackupLocation"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inst.env)
    try:
        p.stdin.write(b"/home/user/by-command\n")
        p.stdin.flush()
        ident = p.stdout.readline().decode().strip()
        equal(len(ident), 32, "an id")
        call = ("rm -rf ~/r && mkdir ~/r && qrexec-client-vm beta qubes.RestoreById+%s /bin/sh -c '"
                "printf \"qubes.xml\\n\"; exec /usr/lib/qubes/qfile-unpacker --allow-all-names 1000 /home/user/r'" % ident)
        inst.sh("alpha", call)
        equal(inst.sh("alpha", "cat ~/r/qubes.xml").text, "<q/>\n", "restored by id")
    finally:
        p.stdin.close()
        p.wait(300)
        p.stdout.close()
    check(inst.sh("alpha", call, ok=False).rc != 0, "the id ends with the connection")
    equal(inst.sh("beta", "ls /run/qubes/backup-location").text, "", "nothing is left of it")


def png(w, h, pixel):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixel * w for _ in range(h))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 6, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@suite.test
def image(inst):
    p = png(3, 2, b"\x01\x02\x03\x80")
    equal(service(inst, "beta", "qubes.GetImageRGBA", b"-\n" + p).out, b"3 2\n" + b"\x01\x02\x03\x80" * 6, "an image that follows the line")
    equal(service(inst, "beta", "qubes.GetImageRGBA", b"png:-\n" + p).out[:4], b"3 2\n", "with its format")
    r = service(inst, "beta", "qubes.GetImageRGBA", b"-\n" + p[:-20], ok=False)
    check(r.rc != 0, f"a cut image: {r}")
    r = service(inst, "beta", "qubes.GetImageRGBA", b"jpeg:-\nJFIF", ok=False)
    check(r.rc == 1 and "PNG" in r.errtext, f"a format without converter: {r}")
    equal(service(inst, "beta", "qubes.GetImageRGBA", b"/nowhere.png\n", ok=False).rc, 1, "no such file")


@suite.test
def dialogs_without_a_program(inst):
    for name in ("qubes.SelectFile", "qubes.SelectDirectory", "qubes.InstallUpdatesGUI", "qubes.ShowInTerminal"):
        r = service(inst, "beta", name, ok=False)
        check(r.rc == 1 and name in r.errtext, f"{name} says what is missing: {r}")


@suite.test
def waiting(inst):
    service(inst, "beta", "qubes.WaitForRunningSystem", timeout=900)
    service(inst, "beta", "qubes.WaitForNetworkUplink")


@suite.test
def log_of_another_qube(inst):
    inst.sh("alpha", "printf 'a line\\n\\033[31mred\\n' | qrexec-client-vm beta qubes.Log")
    lines = inst.sh("beta", "cut -d ' ' -f 2- ~/QubesLogs/alpha.log").text.splitlines()
    equal(lines, ["a line", "\\x1b[31mred"], "the log")


@suite.test
def offline_qubes_get_no_networked_disposable(inst):
    """N47: neither a vault nor its disposables find a way to the network by asking for a disposable."""
    for q in ("alpha", "beta"):
        inst.good("qvm-prefs", q, "netvm", "")
    for q in ("n47-net", "n47-dvm", "n47-off"):
        inst.good("qvm-create", "-l", "red", "-t", "debian-12-minimal", q)
    inst.good("qvm-prefs", "n47-net", "provides_network", "True")
    inst.good("qvm-prefs", "n47-dvm", "netvm", "n47-net")
    inst.good("qvm-prefs", "n47-off", "netvm", "")
    for q in ("n47-dvm", "n47-off"):
        inst.good("qvm-prefs", q, "template_for_dispvms", "True")
    inst.good("qubes-prefs", "default_dispvm", "n47-dvm")
    menu = os.path.join(inst.root, "lib", "appmenus", "n47-net")
    os.makedirs(os.path.join(menu, "apps"))
    try:
        equal(inst.prop("alpha", "default_dispvm"), "None", "default disposable of alpha")
        equal(inst.sh("alpha", "qrexec-client-vm @dispvm qubes.VMShell </dev/null", ok=False).rc, 126, "a disposable for alpha")
        log = [e for e in inst.policy_log() if e.get("source") == "alpha" and e.get("service") == "qubes.VMShell"][-1]
        check(log["decision"] == "deny" and "default-offline-dispvm" in str(log), f"the reason: {log}")
        equal(inst.sh("alpha", "qrexec-client-vm @dispvm:n47-dvm qubes.VMShell </dev/null", ok=False).rc, 126, "the networked one by its name")
        inst.good("qvm-features", "dom0", "default-offline-dispvm", "n47-off")
        equal(inst.prop("alpha", "default_dispvm"), "n47-off", "with the offline template")
    finally:
        inst.run("qvm-features", "--unset", "dom0", "default-offline-dispvm")
        inst.run("qubes-prefs", "default_dispvm", "")
        inst.run("qvm-remove", "-f", "n47-dvm", "n47-off", "n47-net")
        check(not os.path.exists(menu), "the menu of a qube goes with it")
        for q in ("alpha", "beta"):
            inst.run("qvm-prefs", "--default", q, "netvm")
