"""A site whose mail is kept in maildirs: a relay with a maildir: route, and its folders."""

from relay import Relay, wait_for

SENDER = "sue@site.test"


class Mailboxes:
    """For bob, ann and sue @site.test below folder/mail, as %d/%u.

    env: for the relay; keys: further keys of the route.
    """

    def __init__(self, folder, env=None, template="%d/%u", **keys):
        self.folder = folder
        self.root = folder / "mail"
        self.via = f"maildir:{self.root}/{template}"
        for user in ("bob", "ann", "sue"):
            self.make(user)
        self.relay = Relay(folder / "relay",
                           {"*": {"via": self.via, **keys}}, env=env)

    def __enter__(self):
        self.relay.start()
        return self

    def __exit__(self, kind, *rest):
        self.relay.__exit__(kind, *rest)

    def box(self, user):
        return self.root / "site.test" / user

    def make(self, user):
        self.box(user).mkdir(parents=True, mode=0o700)

    def files(self, user, below="new"):
        folder = self.box(user) / below
        return sorted(folder.iterdir()) if folder.exists() else []

    def texts(self, user):
        return [f.read_bytes() for f in self.files(user)]

    def wait(self, user, count=1, seconds=20):
        wait_for(lambda: len(self.files(user)) >= count, seconds,
                 f"{count} in the maildir of {user}")
        return self.texts(user)

    def tree(self):
        """Every file and folder of the site but the relay's own."""
        own = self.folder / "relay"
        return {str(p.relative_to(self.folder))
                for p in self.folder.rglob("*") if own not in (p, *p.parents)}


def as_kept(content, to, sender=SENDER):
    """What is in the file of a message without our Received: line."""
    head = f"Return-Path: <{sender}>\nDelivered-To: {to}\n"
    return head.encode() + content.replace(b"\r\n", b"\n")


def without_received(text):
    """A kept message without the Received: line that the relay put in front."""
    lines = text.split(b"\n")
    at = next(i for i, line in enumerate(lines)
              if line.startswith(b"Received: "))
    end = at + 1
    while lines[end][:1] in (b" ", b"\t"):
        end += 1
    return b"\n".join(lines[:at] + lines[end:])
