# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed Debian repository of a test's own, served on loopback. Counts what was fetched."""
import gzip
import hashlib
import http.server
import os
import shutil
import subprocess
import tempfile
import threading


class Repo:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="bh-repo-", dir="/var/tmp")
        self.www = os.path.join(self.dir, "www")
        os.makedirs(os.path.join(self.www, "debian", "pool"))
        self.home = os.path.join(self.dir, "gpg")
        os.makedirs(self.home, 0o700)
        self.gpg("--batch", "--passphrase", "", "--quick-gen-key", "test@bulkhead.invalid", "rsa2048", "sign", "never")
        self.key = os.path.join(self.dir, "key.gpg")
        self.gpg("--output", self.key, "--export", "test@bulkhead.invalid")
        self.seen, self.lock = [], threading.Lock()
        repo = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *args):
                super().__init__(*args, directory=repo.www)

            def do_GET(self):
                with repo.lock:
                    repo.seen.append(self.path)
                super().do_GET()

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def gpg(self, *args):
        subprocess.run(["gpg", "--homedir", self.home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", *args], check=True, stdin=subprocess.DEVNULL,
                       capture_output=True)

    def source(self, key):
        return f"deb [signed-by={key}] http://localhost:{self.port}/debian stable main\n"

    def package(self, name, version, files, postinst=None):
        """Builds NAME_VERSION_all.deb into the pool: files is {path: text}, programs."""
        tree = tempfile.mkdtemp(dir=self.dir)
        os.makedirs(os.path.join(tree, "DEBIAN"))
        with open(os.path.join(tree, "DEBIAN", "control"), "w") as f:
            f.write(f"Package: {name}\nVersion: {version}\nArchitecture: all\nMulti-Arch: foreign\nMaintainer: t <t@bulkhead.invalid>\nDescription: test\n")
        for path, text in files.items():
            full = os.path.join(tree, path.lstrip("/"))
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w") as f:
                f.write(text)
            os.chmod(full, 0o755)
        if postinst:
            with open(os.path.join(tree, "DEBIAN", "postinst"), "w") as f:
                f.write(postinst)
            os.chmod(f.name, 0o755)
        os.chmod(tree, 0o755)
        out = f"/debian/pool/{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, self.www + out], check=True, capture_output=True)
        shutil.rmtree(tree)
        return out

    def publish(self, *debs):
        """Makes the index hold exactly these packages, and signs it."""
        text = ""
        for deb in debs:
            data = open(self.www + deb, "rb").read()
            control = subprocess.run(["dpkg-deb", "-f", self.www + deb], check=True, capture_output=True, text=True).stdout
            text += control + f"Filename: {deb[len('/debian/'):]}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        top = os.path.join(self.www, "debian", "dists", "stable")
        os.makedirs(os.path.join(top, "main", "binary-amd64"), exist_ok=True)
        release = "Origin: test\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\nDate: Sun, 01 Nov 2026 00:00:00 UTC\nSHA256:\n"
        for name, data in (("Packages", text.encode()), ("Packages.gz", gzip.compress(text.encode(), mtime=0))):
            with open(os.path.join(top, "main", "binary-amd64", name), "wb") as f:
                f.write(data)
            release += f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}\n"
        with open(os.path.join(top, "Release"), "w") as f:
            f.write(release)
        self.gpg("--digest-algo", "SHA256", "--clearsign", "--output", os.path.join(top, "InRelease"), os.path.join(top, "Release"))

    def count(self, path):
        with self.lock:
            return self.seen.count(path)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], capture_output=True, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
