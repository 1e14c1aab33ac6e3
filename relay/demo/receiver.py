#!/usr/bin/python3
"""The receiving server of `relay/quickstart --demo`, for the domain demo.test.

receiver.py FOLDER PORT_FILE CERTIFICATE KEY: listens on a free port of 127.0.0.1, writes its
number into PORT_FILE, and stores each message as FOLDER/RECIPIENT/NUMBER.eml. It has
STARTTLS. busy@demo.test is asked to come again the first time, nobody@demo.test does not
exist.
"""

import asyncio
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP


class Mailboxes:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.was_busy = False

    async def handle_RCPT(self, server, session, envelope, address, options):
        name, _, domain = address.rpartition("@")
        if domain.lower() != "demo.test" or name == "nobody":
            return "550 5.1.1 No such user here"
        if name == "busy" and not self.was_busy:
            self.was_busy = True
            return "451 4.7.1 Busy, please come again"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            self.count += 1
            # The name comes from outside; it must stay inside the folder.
            box = self.folder / address.replace("/", "_").lstrip(".")
            box.mkdir(parents=True, exist_ok=True)
            part = self.folder / f".{self.count}.part"
            part.write_bytes(envelope.original_content)
            part.rename(box / f"{self.count}.eml")
        return "250 2.0.0 Ok: in the mailbox"


async def main(folder, port_file, certificate, key):
    folder.mkdir(parents=True, exist_ok=True)
    handler = Mailboxes(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="mail.demo.test", enable_SMTPUTF8=True,
                     tls_context=tls),
        "127.0.0.1", 0)
    part = port_file.with_suffix(".part")
    part.write_text(str(server.sockets[0].getsockname()[1]))
    part.rename(port_file)
    await server.serve_forever()


os.umask(0o077)
try:
    asyncio.run(main(*map(pathlib.Path, sys.argv[1:])))
except KeyboardInterrupt:
    pass
