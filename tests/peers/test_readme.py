"""What README and the manual say is so: configurations, keys, verbs, log lines, links."""

import functools
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading

import pytest

from papers import BLOCKS, PAPERS, README, block, manual, prose, section
from pki import Authority
from relay import AS_STARTED, ROOT, Client, Sink, end, free_port, program, \
    wait_for, wait_for_port

SECTION = r"^(queue|admin|tls|users|listener|rule|route|account|fetch|webhook|log|limits|sendmail)\b.*\{"
RECIPES = [b for b in BLOCKS if re.search(SECTION, b.text, re.M)
           and not b.text.startswith("waypost")]
CONFIGURATIONS = [b.text for b in RECIPES]
HEADINGS = [b.heading for b in RECIPES]
# The lines that stand on top of all recipes.
TOP = next(b for b in CONFIGURATIONS if b.startswith("hostname"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("relay.example.org", "127.0.0.1")


@pytest.fixture
def dovecot():
    """Says hello as Dovecot's auth socket does, to whoever comes."""
    sockets = []

    def serve(path):
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        s.listen()
        sockets.append(s)

        def accept():
            while True:
                try:
                    c = s.accept()[0]
                except OSError:
                    return
                c.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\n"
                          b"SPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n")
                sockets.append(c)
        threading.Thread(target=accept, daemon=True).start()
    yield serve
    for s in sockets:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()


def make_files(text, folder, certificate, dovecot):
    """The configuration with every file in the folder, made as its key wants it."""
    def place(name):
        path = folder / name[1:].replace("/", "-")
        if path.exists():
            return path
        key = next(k for k, names in named if name in names)
        if key in ("certificate", "certificate-key", "key"):
            shutil.copy(certificate.path if key == "certificate"
                        else certificate.key, path)
        elif key in ("authorities", "client-authorities"):
            shutil.copy(certificate.path, path)
        elif key == "senders":
            path.write_text(block("printer-3"))
        elif key == "dovecot":
            dovecot(path)
        elif key not in ("path", "socket", "drop"):
            path.write_text("" if key in ("file", "cram", "certificates", "aliases")
                            else "secret\n")
            path.chmod(0o600)
        return path

    named = re.findall(r'([a-z-]+)\s*=\s*(\{[^}]*\}|"[^"]*")', text)
    return re.sub(r'"(/[^"]*)"', lambda m: f'"{place(m[1])}"', text)


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=HEADINGS)
def test_a_configuration_is_good(text, tmp_path, certificate, dovecot):
    if text != TOP:
        text = TOP + text
    if not re.search("^listener", text, re.M):
        text += 'listener { address = "127.0.0.1:2525" %s }\n' % (
            "auth = optional  auth-without-tls = true" if re.search("^users", text, re.M) else "")
    if not re.search("^rule", text, re.M):
        text += 'rule "us" { client = {"127.0.0.1"}  action = relay }\n'
    if not re.search("^route", text, re.M):
        text += 'route "*" { via = {"smtp://next.example"} }\n'
    path = tmp_path / "waypost.conf"
    path.write_text(AS_STARTED + make_files(text, tmp_path, certificate, dovecot))
    out = subprocess.run([program(), "check", "-c", path], capture_output=True,
                         text=True, timeout=30)
    assert out.returncode == 0 and not out.stderr, (out.stderr, path.read_text())


# ------------------------------------------------------------------- keys ----

TABLES = {"top_keys": "", "queue_keys": "queue", "admin_keys": "admin",
          "limits_keys": "limits", "retry_keys": "retry",
          "resolver_keys": "resolver", "log_keys": "log", "tls_keys": "tls",
          "users_keys": "users", "listener_keys": "listener",
          "rule_keys": "rule", "route_keys": "route", "account_keys": "account",
          "offline_keys": "offline", "fetch_keys": "fetch",
          "webhook_keys": "webhook", "sendmail_keys": "sendmail"}
def keys_of_the_program():
    """{section: {key: default, or None}}"""
    found = {}
    for path in (ROOT / "policy/config").glob("*.c"):
        for name, rows in re.findall(r"struct key (\w+)\[\] = \{\n(.*?)^\};",
                                     path.read_text(), re.S | re.M):
            keys = found.setdefault(TABLES[name], {})
            for row in re.split(r"^    \{ ", rows, flags=re.M)[1:]:
                default = re.search(r'\.normal = "([^"]*)"', row)
                keys[row.split('"')[1]] = default[1] if default else None
            times = re.search(r"SECTIONS_RETRY_KEYS\(\S+ (.*?)\)", rows)
            # a route has them too, which the table says once
            if times and name == "retry_keys":
                keys.update(zip(("first", "most", "expire", "expire-reports",
                                 "warn"),
                                re.findall(r'"([^"]*)"', times[1])))
    return found


def keys_of_the_manual():
    """The same, from the table; a row may have several keys and as many defaults."""
    text = section(manual("configuration.md"), "Every key")
    found, here = {"": {}}, ""
    for first, default in re.findall(r"^\| (.*?) \| (.*?) ?\| ", text, re.M)[1:]:
        heading = re.match(r"\*\*(\w+)", first)
        if heading:
            here = heading[1]
            found[here] = {}
            continue
        names = re.findall(r"`([a-z-]+)`", first)
        defaults = default.split(", ")
        for n, name in enumerate(names):
            assert name not in found[here], f"{here} {name} stands twice"
            found[here][name] = defaults[n if len(defaults) > 1 else 0]
    found[""].pop("---", None)
    return found


def test_every_key_stands_in_the_table_with_its_default():
    real, said = keys_of_the_program(), keys_of_the_manual()
    assert sum(map(len, real.values())) > 90
    pairs = {(s, k) for s, keys in real.items() for k in keys}
    told = {(s, k) for s, keys in said.items() for k in keys}
    assert told == pairs
    for section, key in told:
        if real[section][key] is not None:
            assert said[section][key] == real[section][key], (section, key)


# ------------------------------------------------------------- the papers ----

def anchors(text):
    titles = re.findall(r"^#+ (.*)$", prose(text), re.M)
    found = [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles]
    assert len(found) == len(set(found)), f"two headings of one name: {sorted(found)}"
    return found


@pytest.mark.parametrize("paper", PAPERS)
def test_every_link_leads_somewhere(paper):
    here, text = (ROOT / paper).parent, prose(PAPERS[paper])
    links = ["".join(to) for to in
             re.findall(r"\]\(([^)\s]+)\)|\bsrc=\"([^\"]+)\"", text)]
    assert len(links) > 30 or paper != "README.md"
    for to in links:
        if re.match("https?:", to):
            continue
        path, _, anchor = to.partition("#")
        target = (here / path).resolve() if path else ROOT / paper
        assert target.is_relative_to(ROOT) and target.is_file(), to
        if anchor:
            name = str(target.relative_to(ROOT))
            assert name in PAPERS and anchor in anchors(PAPERS[name]), to


def test_every_file_of_the_source_that_is_named_is_there():
    for paper, text in PAPERS.items():
        named = re.findall(r"`((?:policy|queue|relay|tests)/[\w./-]*)`", text)
        assert len(named) > 25 or paper != "README.md"
        assert not [n for n in named if not (ROOT / n).exists()], paper


@pytest.mark.parametrize("floor", ["policy", "queue", "relay"])
def test_the_page_of_a_floor_names_files_that_are_there(floor):
    text = (ROOT / floor / "README.md").read_text()
    named = set(re.findall(r"`([\w/]+\.[ch]|[\w/]+/|\w+\*)`", prose(text)))
    for line in re.findall(r"^\|.*\|$", text, re.M):
        named |= set(re.findall(r"`([^`]*)`", line.split("|")[2]))
    assert len(named) > 25
    for name in named - {"policy/", "queue/"}:
        assert [*(ROOT / floor).glob(name), *(ROOT / floor).glob(name + ".[ch]")], name


def test_the_manual_has_an_index_and_says_who_reads_it():
    index = manual("README.md")
    built = (ROOT / "relay/manual/meson.build").read_text()
    for paper, text in PAPERS.items():
        name = paper.rpartition("/")[2]
        if name == "README.md":
            continue
        assert f"]({name})" in index and f"'{name}'" in built, paper
        assert re.match(r"# \S.*\n\nRead this (when|to) \S", text), paper


def test_readme_is_read_at_one_go():
    assert README.count("\n") <= 460, "what is looked up stands in relay/manual"


# Places of figures that were measured.
FIGURES = {"README.md": section(README, "Figures"), "figures.md": manual("figures.md")}


@pytest.mark.parametrize("place", FIGURES)
def test_each_figure_has_its_date_and_machine(place):
    told, before = 0, ""
    for part in re.split(r"\n\n+", FIGURES[place].strip()):
        about = before if part.startswith("|") else part
        before = part
        plain = re.sub(r"`[^`]*`|\]\([^)]*\)", "", part)
        if re.match(r"#|\*\*Machine", part) or not re.search(r"\d", plain):
            continue
        assert re.search(r"\b20\d\d-\d\d-\d\d\b", about), part
        assert re.search(r"[Mm]achine", about), part
        told += 1
    assert told >= 2


# ------------------------------------------------------------------ verbs ----

@functools.cache
def help_of(*verb):
    return subprocess.run([program(), "help", *verb], capture_output=True, text=True,
                          check=True).stdout


def verbs():
    return re.findall(r"^  ([a-z]+) ", help_of(), re.M)


def test_every_verb_is_told_of():
    table = block("waypost run")
    assert verbs() == list(dict.fromkeys(re.findall(r"^waypost ([a-z]+)", table, re.M)))
    for verb in ("queue", "dest", "user", "token"):
        words = re.findall(r"(?<![-a-z])[a-z]+(?![-a-z])", " ".join(
            re.findall(rf"^waypost {verb} +(.*?)(?:  |$)", table, re.M)))
        assert words_of(verb) <= set(words), verb


def words_of(verb):
    """What may stand behind a verb: list, add ..."""
    usage = help_of(verb).partition("\n\n")[0].split(verb, 1)[1]
    usage = re.sub(r"\[.*?\]|--[a-z]+( [a-z|]+)?", "", usage.rpartition("\n")[0] or usage)
    return set(re.findall(r"(?:^|[|\s])([a-z]+)(?=[|\s]|$)", usage))


def commands():
    """(place, command) of each that begins with waypost, in blocks and in the text."""
    for b in BLOCKS:
        for line in re.findall(r"^(?:[$#] )?(waypost .*)", b.text, re.M):
            yield f"{b.paper}, {b.heading}", line
    for paper, text in PAPERS.items():
        for code in re.findall(r"`([^`]+)`", prose(text)):
            for call in re.findall(r"(?:^|&& |\\\| )(waypost [^|&]*)", " ".join(code.split())):
                yield paper, call


def test_every_command_has_verbs_and_options_that_there_are():
    seen = 0
    for place, command in commands():
        _, verb, *more = re.sub("[(),'\"]", " ", command).split()
        if verb in ("VERB", "--version") or verb.startswith("/"):
            continue
        assert verb in verbs(), (place, command)
        if verb in ("queue", "dest", "user", "token", "completion") and more:
            assert set(re.split("[|]", more[0])) <= words_of(verb), (place, command)
        for option in re.findall(r"(?<!\S)--[a-z-]+", " ".join(more)):
            assert option == "--help" or \
                re.search(rf"(?<![\w-]){option}(?![\w-])", help_of(verb)), (place, command)
        seen += 1
    assert seen > 80


# ----------------------------------------------------- the recipe with logins ----

class Running:
    """A recipe as it stands there, but for ports, folders and other hosts."""

    def __init__(self, folder, certificate, text, ports=(), others=None):
        folder.mkdir(exist_ok=True)
        self.ports = {n: free_port() for n in ports}
        text = make_files(TOP + text, folder, certificate, None)
        text = re.sub(r"\[::\]:(\d+)",
                      lambda m: f"127.0.0.1:{self.ports[int(m[1])]}", text)
        for host, other in (others or {}).items():
            assert host in text
            text = text.replace(host, other)
        self.config, self.log_path = folder / "waypost.conf", folder / "log"
        self.config.write_text(AS_STARTED + text)

    def add_user(self, name, password, *more):
        subprocess.run([program(), "user", "add", *more, name, "-c", self.config],
                       input=password + "\n", text=True, check=True, timeout=30,
                       capture_output=True)

    def verb(self, *words):
        return subprocess.run([program(), *words, "-c", self.config], text=True,
                              capture_output=True, timeout=60)

    def log(self):
        return self.log_path.read_text()

    def __enter__(self):
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program(), "run", "-c", self.config],
                                            stdout=log, stderr=log)
        for port in self.ports.values():
            wait_for_port(port, self.process)
        return self

    def __exit__(self, *_):
        end(self.process)


def trusting(text, authority):
    """tls { } trusts the test's authority."""
    return re.sub(r"^(tls +\{)", rf'\1 authorities = "{authority.path}"  ', text,
                  flags=re.M)


def test_the_recipe_with_logins_does_what_it_says(tmp_path, authority, certificate):
    trusts = ssl.create_default_context(cafile=authority.path)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(certificate.path, certificate.key)
    recipe = next(b for b in CONFIGURATIONS if 'account "provider"' in b)
    with Sink(tls=serves, logins={"example-org": "pr0vider"}) as provider, \
            Running(tmp_path, certificate, trusting(recipe, authority), (587, 465),
                    {"smtp://smtp.provider.example:587": provider.hop}) as relay:
        (tmp_path / "etc-waypost-provider.password").write_text("pr0vider\n")
        relay.add_user("printer-3", "toner")
        relay.add_user("joe@example.org", "coffee")
        with Client(relay.ports[587], name="relay.example.org") as c:
            assert c.command("MAIL FROM:<scans@example.org>").code == 530
            c.starttls(trusts, "relay.example.org")
            assert c.command("MAIL FROM:<scans@example.org>").code == 530
            assert c.login("printer-3", "ink").code == 535
            assert c.login("printer-3", "toner").code == 235
            assert c.command("MAIL FROM:<joe@example.org>").code == 553
            assert c.mail(b"Subject: scan\r\n\r\nx\r\n", "scans@example.org",
                          ("joe@example.net",)).code == 250
        with smtplib.SMTP_SSL("127.0.0.1", relay.ports[465], context=trusts) as s:
            s.login("joe@example.org", "coffee")
            s.sendmail("sales@example.org", ["a@example.net"],
                       b"Subject: offer\r\n\r\nx\r\n")
        got = sorted(provider.wait(2, 20), key=lambda m: m.sender)
        assert [m.sender for m in got] == ["sales@example.org", "scans@example.org"]
        assert all(m.login == "example-org" and m.tls for m in got)
        scan = got[1].content
        for field in (b"Date: ", b"Message-ID: <", b"From: scans@example.org"):
            assert b"\r\n" + field in scan
        wait_for(lambda: relay.log().count("removed") == 2, 10, "the end")
        log = relay.log()
    for line in block("waypost/smtpd[812]: Anonymous").splitlines():
        # names, numbers and what the session agreed on are another's
        shape = re.sub(r"\\\[812\\\]", r"\\[\\d+\\]", re.escape(line))
        for old, new in ((r"unknown\\\[[\d\\.]+\\\]", r"\\S+\\[127.0.0.1\\]"),
                         (r"smtp\\\.provider\\\.example\\\[.*?\\\]:587",
                          r"127.0.0.1\\[127.0.0.1\\]:\\d+"),
                         ("0CR6P6NNHNE00", r"\\w{13}"),
                         (r"/etc/waypost/waypost.*?:\d+", r"\\S+:\\d+"),
                         ("SCRAM\\\\-SHA\\\\-256$", r"\\S+"),
                         (r"TLS_AES.*$", r".*")):
            shape = re.sub(old, new, shape)
        assert re.search(shape, log), (shape, log)
    for secret in ("toner", "coffee", "pr0vider", "ink"):
        assert secret not in log
    rules = (ROOT / "relay/packaging/fail2ban/filter.d/waypost.conf").read_text()
    filter_text = re.search(r"^mdre-normal = (.*)", rules, re.M)[1]
    banned = filter_text.replace("%(__prefix_line)s", r".* waypost/smtpd\[\d+\]: ")
    assert re.findall(banned.replace("<HOST>", r"([\d.]+)"), log, re.M) == \
        ["127.0.0.1"]


# ----------------------------------------------- the recipes for who is away ----

def shaped(table):
    """A table's words, numbers and times left out."""
    return [re.sub(r"\d+", "0", line).split() for line in table.splitlines()]


def test_a_branch_office_fetches_as_the_recipes_say(tmp_path, authority, certificate):
    tls = ('tls { certificate = "/etc/waypost/cert.pem"  '
           'key = "/etc/waypost/key.pem"  authorities = "/etc/waypost/ca.pem" }\n')
    here = 'listener { address = "[::]:25" }\n'
    from_inside = 'rule "us" { client = {"127.0.0.1"}  action = relay }\n'
    provider = next(b for b in CONFIGURATIONS if 'listener "odmr"' in b)
    customer = next(b for b in CONFIGURATIONS if b.startswith('fetch "isp"'))
    isp = Running(tmp_path / "isp", certificate,
                  tls + here + provider + from_inside, (25, 366))
    isp.add_user("branch", "pencil")
    with Sink(lmtp=True) as dovecot, isp:
        with Client(isp.ports[25]) as c:
            for n in range(3):
                assert c.mail(b"Subject: %d\r\n\r\nx\r\n" % n,
                              to=("joe@branch.example",)).code == 250
        sample = block("$ waypost dest list").split("\n", 1)[1]
        listed = isp.verb("dest", "list").stdout
        assert shaped(listed) == shaped(sample), listed
        branch = Running(tmp_path / "branch", certificate, tls + here + customer, (25,),
                         {"odmr.isp.example": f"127.0.0.1:{isp.ports[366]}",
                          "lmtp:/run/dovecot/lmtp": dovecot.hop})
        (tmp_path / "branch/etc-waypost-isp.password").write_text("pencil\n")
        with branch:
            said = branch.verb("fetch", "isp")
            assert re.fullmatch(r"isp: (3 messages|no mail)\n", said.stdout), said
            got = dovecot.wait(3)
            assert [m.recipients for m in got] == [["joe@branch.example"]] * 3
            assert branch.verb("fetch", "isp").stdout == "isp: no mail\n"
            wait_for(lambda: "removed" in isp.log())
            assert "Verified TLS connection established to" in branch.log()


# ------------------------------------------- policy at the edge, step by step ----

EDGE = next(b for b in CONFIGURATIONS if b.startswith('listener "edge"')
            and "knock twice" in b)
PROGRAM = (b'MIME-Version: 1.0\r\nContent-Type: application/octet-stream; '
           b'name="setup.exe"\r\n\r\nMZ\r\n')


def edge_steps():
    """(rules so far, client, from, to, verdict), as the manual's table has them."""
    table = section(manual("rules.md"), "A policy that grows")
    table = table[table.index("| with | client | from"):].split("\n\n")[0]
    rules = []
    for line in table.splitlines()[2:]:
        cells = [c.strip() for c in line.strip("|").split(" | ")]
        named = re.fullmatch('"(.*)"', cells[0].strip("| "))
        rules = rules + [named[1]] if named else rules
        yield (tuple(rules), *cells[-4:])


def edge_with(rules, folder):
    """The recipe with these rules of it alone."""
    everything = re.findall(r'^rule "(.*?)"', EDGE, re.M)
    text = TOP + EDGE
    for name in set(everything) - set(rules):
        text = re.sub(rf'^rule "{name}".*?\}}\n(?=rule|\n)', "", text,
                      flags=re.S | re.M)
    assert re.findall(r'^rule "(.*?)"', text, re.M) == [
        n for n in everything if n in rules]
    path = folder / "waypost.conf"
    path.write_text(make_files(text, folder, None, None))
    return path


@pytest.mark.parametrize("rules, client, sender, to, verdict", list(edge_steps()))
def test_each_step_at_the_edge_is_explained_so(rules, client, sender, to, verdict,
                                               tmp_path):
    command = [program(), "explain", "--config-only", "-c", edge_with(rules, tmp_path),
               "--client", client, "--from", sender, "--to", to]
    if "programs" in verdict:
        (tmp_path / "message").write_bytes(PROGRAM)
        command += ["--message", tmp_path / "message"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    assert re.search(f"^Verdict +{re.escape(verdict)}(,|$)", out, re.M), out


def test_the_last_step_in_full(tmp_path):
    rules = re.findall(r'^rule "(.*?)"', EDGE, re.M)
    config = edge_with(rules, tmp_path)
    text = config.read_text().replace("[::]:25", f"127.0.0.1:{free_port()}")
    config.write_text(AS_STARTED + text)
    command, _, sample = block("$ waypost explain --client 198").partition("\n")
    relay = subprocess.Popen([program(), "run", "-c", config],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        words = [program(), *command.split()[2:], "-c", config]
        said = wait_for(lambda: "running relay says" in
                        (o := subprocess.run(words, capture_output=True, text=True,
                                             timeout=30).stdout) and o)
    finally:
        end(relay)
    # the lines of README's file begin elsewhere, and so does the relay's own
    without = [re.sub(r"\S*waypost\.conf(:\d+)?", "waypost.conf", t).split()
               for t in (said, sample)]
    assert without[0] == without[1], said
