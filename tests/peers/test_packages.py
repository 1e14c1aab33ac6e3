"""The Debian packages as far as their source tells. WAYPOST_LONG=1, as root: they are built,
installed, upgraded and purged (tests/package/run)."""

import os
import re
import subprocess

import pytest

from relay import ROOT, program

DEBIAN = ROOT / "relay/packaging/debian"


@pytest.fixture
def default(tmp_path):
    """The configuration of the package, with places that any user has."""
    (tmp_path / "aliases").touch()
    (tmp_path / "mail").mkdir()
    text = (DEBIAN / "waypost.conf").read_text()
    for ours, there in (("/etc/aliases", "aliases"), ("/var/lib/waypost/queue.db", "queue.db"),
                        ("/run/waypost", ""), ("/var/lib/waypost/mail", "mail")):
        assert f'{ours}' in text
        text = text.replace(ours, str(tmp_path / there))
    path = tmp_path / "waypost.conf"
    path.write_text(text)
    return path


def waypost(*words):
    r = subprocess.run([program(), *words], capture_output=True, text=True, timeout=20)
    return r.returncode, r.stdout + r.stderr


def test_version_and_changelog_agree():
    version = re.search(r"version: '(.*?)'", (ROOT / "meson.build").read_text())[1]
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"waypost ({version}) ")


def test_the_default_configuration_is_good_and_without_warnings(default):
    code, said = waypost("check", "-c", str(default))
    assert code == 0 and "good" in said and "warning" not in said, said


@pytest.mark.parametrize("client, verdict", [
    ("127.0.0.1", "accepted"), ("::1", "accepted"), ("10.0.0.7", "REJECTED"),
    ("203.0.113.9", "REJECTED"), ("2001:db8::9", "REJECTED")])
def test_the_default_configuration_relays_for_this_machine_alone(default, client, verdict):
    code, said = waypost("explain", "-c", str(default), "--config-only", "--client", client,
                         "--from", "a@example.org", "--to", "b@example.net")
    assert code == 0 and re.search(rf"^Verdict +{verdict}", said, re.M), said


def test_the_default_configuration_listens_on_this_machine_alone(default):
    lines = [line for line in default.read_text().splitlines() if not line.startswith("#")]
    addresses = re.findall(r'(?:address|http) *= *"(.*?)"', "\n".join(lines))
    assert addresses == ["127.0.0.1:25"]


def test_what_is_proposed_in_comments_is_good_configuration(default):
    """Each commented setting alone, in place of what it would replace."""
    text = default.read_text()
    for setting in re.findall(r"^#((?:hostname|origin|postmaster|sendmail|listener|rule) .*)",
                              text, re.M):
        name = setting.split()[0]
        rest = re.sub(rf"^{name} +=.*\n", "", text, flags=re.M) if "=" == setting.split()[1] \
            else text
        default.write_text(rest + setting + "\n")
        code, said = waypost("check", "-c", str(default))
        assert code == 0, f"{setting}\n{said}"


@pytest.mark.parametrize("script", ["waypost.postinst", "waypost.postrm"])
def test_the_maintainers_scripts_are_shell(script):
    text = (DEBIAN / script).read_text()
    assert "\nset -e\n" in text and "\n#DEBHELPER#\n" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_what_the_package_installs_from_the_tree_is_there():
    lines = (DEBIAN / "waypost.install").read_text().splitlines()
    for source in (line.split()[0] for line in lines):
        if source.startswith(("relay/", "debian/")):
            assert (ROOT / source.replace("debian/", "relay/packaging/debian/", 1)
                    if source.startswith("debian/") else ROOT / source).is_file(), source


@pytest.mark.skipif("WAYPOST_LONG" not in os.environ or os.geteuid() != 0,
                    reason="boots a system: as root, with WAYPOST_LONG=1")
def test_installed_upgraded_removed_and_purged():
    subprocess.run([ROOT / "tests/package/run"], check=True, stdin=subprocess.DEVNULL,
                   timeout=1800)
