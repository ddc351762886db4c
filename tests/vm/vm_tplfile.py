# SPDX-License-Identifier: GPL-3.0-or-later
"""A template that travels: exported into a signed file, fetched from a repository through an update qube, installed under another name, booted."""
import glob
import os

import bh
from bh import check, equal

suite = bh.Suite("vm.tplfile")
TEMPLATE = "debian-12-minimal"


@suite.test
def export_install_and_boot(inst):
    path = os.path.join(inst.root, "travel.template")
    # A file that only this template's root has.
    inst.good("qvm-template", "export", "--yes", TEMPLATE, path, "--name", "travelled", timeout=1200)
    print(f"# template file: {os.path.getsize(path) >> 20} MiB")
    inst.good("qvm-template", "verify", path, timeout=600)
    inst.good("qvm-template", "install", "--yes", path, timeout=1200)
    row = [r for r in inst.good("qvm-template", "list", "--installed", "--machine-readable").text.split("\n") if r.startswith("installed|travelled|")]
    equal(len(row), 1, "it is listed")
    inst.good("qvm-create", "-l", "purple", "-t", "travelled", "tourist")
    inst.good("qvm-start", "tourist", timeout=900)
    equal(inst.sh("tourist", "dpkg -l bulkhead-guest | grep -c ^ii").text.strip(), "1", "the guest package in it")
    equal(inst.sh("tourist", "sha256sum /bin/bash | cut -c1-64").text, inst.sh("alpha", "sha256sum /bin/bash | cut -c1-64").text, "a program of it")
    inst.good("qvm-kill", "tourist", timeout=300)
    inst.good("qvm-remove", "-f", "tourist")
    inst.good("qvm-template", "remove", "--yes", "travelled")
    os.unlink(path)


@suite.test
def an_archive_of_a_root_file_system_boots(inst):
    """Debian as it comes from mmdebstrap, without anything of ours: the guest package installs itself at the first start, and qubes of it take calls."""
    bases = sorted(glob.glob(os.path.expanduser("~/.cache/bulkhead/base/debian-12-minimal-*.tar")), key=os.path.getmtime)
    check(bases, "the archive of packages from which the template was built")
    inst.good("qvm-template", "import", "brought", bases[-1], timeout=1200)
    check("brought" in inst.good("qvm-template", "list", "--installed").text, "it is listed")
    inst.good("qvm-start", "brought", timeout=900)
    bh.wait_for(lambda: inst.sh("brought", "dpkg-query -W -f '${Status}' bulkhead-guest", ok=False).text.endswith("ok installed"), "the guest package", 300, 1)
    bh.wait_for(lambda: inst.sh("brought", "test -e /var/cache/bulkhead/bulkhead-guest.deb", ok=False).rc == 1, "the place where it came from to be gone", 300, 1)
    inst.good("qvm-shutdown", "--wait", "brought", timeout=300)
    inst.good("qvm-create", "-l", "purple", "-t", "brought", "guest-of-it")
    inst.good("qvm-start", "guest-of-it", timeout=900)
    equal(inst.sh("guest-of-it", "hostname; id -un; cat /etc/debian_version | cut -d. -f1").text.split(), ["guest-of-it", "user", "12"], "a command in a qube of it")
    equal(inst.sh("guest-of-it", "test -e /etc/systemd/system/bulkhead-place.service", ok=False).rc, 1, "what installed the package is gone")
    inst.good("qvm-kill", "guest-of-it")
    inst.good("qvm-remove", "-f", "guest-of-it")
    inst.good("qvm-template", "remove", "--yes", "brought")


@suite.test
def services_of_an_update_qube(inst):
    """dom0 asks a real qube; the repository is a directory of that qube."""
    if inst.sh("beta", "command -v curl", ok=False).rc != 0:
        # The minimal template has none: a stand-in that knows what the service needs of it.
        inst.sh("beta", """cat >/usr/bin/curl && chmod 755 /usr/bin/curl""", user="root", stdin=b"""#!/bin/sh
at=0
while [ $# -gt 0 ]; do
	case $1 in
	--url) url=$2; shift ;;
	--continue-at) at=$2; shift ;;
	esac
	shift
done
exec tail -c +$((at + 1)) "${url#file://}"
""")
    repo = os.path.join(inst.root, "served")
    os.mkdir(repo)
    small = os.path.join(repo, "small.template")
    inst.good("qvm-create", "--class", "TemplateVM", "-l", "black", "small")
    with open(os.path.join(inst.root, "small.img"), "wb") as f:
        f.truncate(8 << 20)
        f.write(os.urandom(300000))
    inst.good("qvm-volume", "import", "small:root", f.name)
    inst.good("qvm-template", "export", "small", small)
    inst.good("qvm-template", "remove", "--yes", "small")
    inst.good("qvm-template", "publish", "--repository", "served", repo)
    inst.sh("beta", "mkdir -p /tmp/served")
    for name in os.listdir(repo):
        with open(os.path.join(repo, name), "rb") as f:
            inst.sh("beta", f"cat >/tmp/served/{name}", stdin=f.read())
    conf = os.path.join(inst.root, "served.repo")
    with open(conf, "w") as f:
        f.write("[served]\nname = in a qube\nbaseurl = https://nowhere.invalid/ file:///tmp/served\nkey = this-machine\nqube = beta\n")
    env = {"XDG_CACHE_HOME": os.path.join(inst.root, "cache")}
    r = inst.good("qvm-template", "--repo-files", conf, "list", "--available", "--machine-readable", env=env, timeout=300)
    check(r.text.startswith("available|small|"), f"{r}")
    inst.good("qvm-template", "--repo-files", conf, "install", "--yes", "small", env=env, timeout=300)
    equal(inst.good("qvm-features", "small", "template-reponame").text.strip(), "served", "template-reponame")
    inst.good("qvm-template", "remove", "--yes", "small")
