"""A private nsd on loopback: the authority for the names a test makes up."""

import pathlib
import subprocess

from relay import end, find, free_port, wait_for_port

HEAD = """$ORIGIN {zone}.
$TTL {ttl}
@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 1
@ IN NS ns.{zone}.
ns IN A 127.0.0.1
"""


class NameServer:
    """zones: {name: records without SOA and NS; None: answered SERVFAIL}."""

    def __init__(self, folder, zones, port=0, ttl=300):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        lines = ["server:", '  username: ""', '  chroot: ""', '  database: ""',
                 f'  zonesdir: "{self.folder}"', "  server-count: 1",
                 f'  pidfile: "{self.folder}/nsd.pid"',
                 f'  zonelistfile: "{self.folder}/zone.list"',
                 f'  xfrdfile: "{self.folder}/xfrd.state"',
                 f'  xfrdir: "{self.folder}"', "  do-ip6: no",
                 f"  ip-address: 127.0.0.1@{self.port}",
                 "remote-control:", "  control-enable: no"]
        for name, records in zones.items():
            if records is not None:
                (self.folder / f"{name}.zone").write_text(
                    HEAD.format(zone=name, ttl=ttl) + records)
            lines += ["zone:", f"  name: {name}", f"  zonefile: {name}.zone"]
        (self.folder / "nsd.conf").write_text("\n".join(lines) + "\n")
        self.process = None
        self.start()

    def start(self):
        with open(self.folder / "nsd.log", "ab") as log:
            self.process = subprocess.Popen(
                [find("nsd"), "-d", "-c", self.folder / "nsd.conf"],
                stdout=log, stderr=log, start_new_session=True)
        wait_for_port(self.port, self.process)

    def stop(self):
        end(self.process)

    def pause(self):
        """Neither answers nor refuses from now on."""
        subprocess.run(["kill", "-STOP", "--", f"-{self.process.pid}"],
                       check=True)

    def go_on(self):
        subprocess.run(["kill", "-CONT", "--", f"-{self.process.pid}"],
                       check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        self.stop()

    @property
    def resolver(self):
        """The lines of a configuration that ask this server and no other."""
        return (f'resolver {{ mode = forward  server = "127.0.0.1@{self.port}"'
                '  insecure = {"example"} }\n')
