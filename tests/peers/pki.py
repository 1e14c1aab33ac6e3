"""Certificates for a test: an authority of its own, and any certificate it is asked for.

Everything is made when it is asked for, with the openssl program, in the test's folder;
nothing expires in the tree.
"""

import datetime
import hashlib
import pathlib
import subprocess

CONFIG = """
[ca]
default_ca = here
[here]
dir = {folder}
new_certs_dir = {folder}
database = {folder}/index
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = optional
[req]
distinguished_name = name
[name]
"""

LEAF = "basicConstraints=CA:FALSE"


def openssl(*words, **kw):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True,
                          **kw)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace")[-600:])
    return done.stdout


def stamp(days):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


class Certificate:
    """path has the chain, key the private key; name is how a test calls it."""

    def __init__(self, folder, name):
        self.path, self.key = folder / f"{name}.pem", folder / f"{name}.key"

    @property
    def fingerprint(self):
        """As rules and logs have it: "sha256:HEX"."""
        said = openssl("x509", "-in", self.path, "-noout", "-fingerprint",
                       "-sha256").decode()
        return "sha256:" + said.split("=")[1].strip().replace(":", "").lower()


def digest(path, selector):
    """SHA-256 of the first certificate in a file (0) or of its public key (1), as a TLSA
    record has it."""
    if selector == 0:
        der = openssl("x509", "-in", path, "-outform", "DER")
    else:
        key = openssl("x509", "-in", path, "-noout", "-pubkey")
        der = openssl("pkey", "-pubin", "-outform", "DER", input=key)
    return hashlib.sha256(der).hexdigest()


class Authority:
    """by: an authority that vouches for this one, whose certificates then have it in their
    chain."""

    def __init__(self, folder, name="authority", by=None):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(parents=True)
        self.count = 0
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("1000\n")
        self.config = self.folder / "ca.conf"
        self.config.write_text(CONFIG.format(folder=self.folder))
        self.path, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        self.by = by
        if by:
            request = self.folder / "ca.csr"
            openssl("req", "-config", self.config, "-newkey", "ec",
                    "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    f"/CN=Test {name}", "-keyout", self.key, "-out", request,
                    "-addext", "basicConstraints=critical,CA:TRUE",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign")
            openssl("x509", "-req", "-in", request, "-CA", by.path, "-CAkey", by.key,
                    "-CAcreateserial", "-days", 3650, "-copy_extensions", "copyall",
                    "-out", self.path)
            return
        openssl("req", "-x509", "-config", self.config, "-newkey", "ec",
                "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650,
                "-subj", f"/CN=Test {name}", "-keyout", self.key, "-out",
                self.path, "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, *names, cn=None, usage="serverAuth,clientAuth", begins=-1,
              ends=365, kind="ec", san=None):
        """A certificate for DNS names and addresses; days from today. san="" leaves the
        subject alternative names out."""
        self.count += 1
        c = Certificate(self.folder, f"leaf{self.count}")
        request = self.folder / f"leaf{self.count}.csr"
        if san is None:
            san = ",".join(f"IP:{n}" if n.replace(".", "").isdigit() or ":" in n
                           else f"DNS:{n}" for n in names)
        key = (["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
               if kind == "ec" else ["-newkey", kind])
        extensions = ["-addext", LEAF, "-addext", f"extendedKeyUsage={usage}"]
        if san:
            extensions += ["-addext", f"subjectAltName={san}"]
        openssl("req", "-config", self.config, *key, "-nodes", "-subj",
                f"/CN={cn or names[0]}", "-keyout", c.key, "-out", request,
                *extensions)
        openssl("ca", "-batch", "-notext", "-config", self.config, "-cert",
                self.path, "-keyfile", self.key, "-startdate", stamp(begins),
                "-enddate", stamp(ends), "-in", request, "-out", c.path)
        if self.by:
            with open(c.path, "ab") as chain:
                chain.write(self.path.read_bytes())
        c.key.chmod(0o600)
        return c

    def self_signed(self, name):
        """By nobody but itself."""
        self.count += 1
        c = Certificate(self.folder, f"self{self.count}")
        openssl("req", "-x509", "-config", self.config, "-newkey", "ec",
                "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 30,
                "-subj", f"/CN={name}", "-keyout", c.key, "-out", c.path,
                "-addext", f"subjectAltName=DNS:{name}")
        c.key.chmod(0o600)
        return c
