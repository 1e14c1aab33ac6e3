"""What would the disk have kept? Replays the journal of shim.c.

The rule is the strictest a file system may follow: data is durable when its file was
fsynced after the write, a name when its folder was; after a failed fsync what it should
have covered is lost for good, whatever later ones say. `partial` makes the other extreme:
of what was not synced any part may be there, in any order, torn at sectors.
"""

import os
import pathlib
import struct

RECORD = struct.Struct("<IIQQqQ")
MAGIC = 0x4A524E4C
(CREATE, WRITE, SIZE, SYNC_BEGIN, SYNC_END, SYNC_FAIL, UNLINK,
 RENAME, LINK) = range(1, 10)
CONTROL = struct.Struct("<qqqQQQ")
SECTOR = 512


class Control:
    """The shared file through which things are made to fail."""

    names = ("sync_fails_in", "budget", "statvfs_tells", "syncs",
             "sync_failures", "refusals")

    def __init__(self, path):
        import mmap
        path.write_bytes(CONTROL.pack(0, -1, 0, 0, 0, 0).ljust(4096, b"\0"))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)

    def __getitem__(self, name):
        return CONTROL.unpack_from(self.map)[self.names.index(name)]

    def __setitem__(self, name, value):
        struct.pack_into("<q", self.map, 8 * self.names.index(name), value)


def records(path):
    """(op, time, file, offset, payload). A record that the process's end cut off is
    left out, at the end or, where it was started again, before what follows."""
    raw = pathlib.Path(path).read_bytes()
    data, mark, at = memoryview(raw), struct.pack("<I", MAGIC), 0
    while at + RECORD.size <= len(data):
        magic, op, when, file, offset, length = RECORD.unpack_from(data, at)
        assert magic == MAGIC, f"a torn journal at {at}"
        begin, end = at + RECORD.size, at + RECORD.size + length
        if end == len(data) or data[end:end + 4] == mark[:len(data) - end]:
            yield op, when, file, offset, data[begin:end]
            at = end
            continue
        at = raw.find(mark, at + 4)
        if at < 0:
            return


class _File:
    """Bytes that are durable, changes that are not yet."""

    def __init__(self):
        self.durable, self.pending = bytearray(), []

    @staticmethod
    def change(content, offset, data):
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
            return
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data

    def settle(self, changes):
        for _serial, offset, data in changes:
            self.change(self.durable, offset, data)

    def image(self, chance):
        content = bytearray(self.durable)
        if chance:
            for _serial, offset, data in self.pending:
                fate = chance.random()
                if fate < 0.4:
                    continue
                if fate < 0.6 and data is not None and len(data) > SECTOR:
                    data = data[:SECTOR * chance.randrange(
                        len(data) // SECTOR)]
                self.change(content, offset, data)
        return content


class _Folder:
    """Names that are durable: nothing here, all in Disk.durable."""

    def __init__(self, disk):
        self.disk, self.pending = disk, []

    def settle(self, changes):
        self.disk.apply_names(self.disk.durable, changes)


class Disk:
    def __init__(self, lies=False):
        self.lies = lies        # syncs that say yes and do nothing
        self.serial = 0
        self.files, self.now, self.durable = {}, {}, {}
        self.folders, self.syncs, self.failed = {}, {}, []

    def step(self, op, file, offset, payload):
        self.serial += 1
        if op in (WRITE, SIZE):
            # what was open before the journal began is none of ours
            if file in self.files:
                self.files[file].pending.append(
                    (self.serial, offset,
                     bytes(payload) if op == WRITE else None))
        elif op == CREATE:
            name = bytes(payload).decode()
            self.files[file] = self.now[name] = _File()
            self.rename(name, self.files[file])
        elif op == UNLINK:
            name = bytes(payload).decode()
            gone = self.now.pop(name, None)
            self.rename(name, None)
            # its number may come back as a folder's
            if all(f is not gone for f in self.now.values()):
                self.files.pop(file, None)
        elif op == LINK:
            name = bytes(payload).decode()
            self.now[name] = self.files[file]
            self.rename(name, self.files[file])
        elif op == RENAME:
            old, new = bytes(payload).decode().split("\0")
            self.now[new] = self.now.pop(old)
            self.rename(new, self.now[new])
            self.rename(old, None)
        elif op == SYNC_BEGIN:
            name = bytes(payload).decode()
            what = self.files.get(file) or self.folder(name)
            self.syncs[offset] = what, self.serial, name
        else:
            self.sync_ended(op, *self.syncs.pop(offset))

    def folder(self, name):
        return self.folders.setdefault(name, _Folder(self))

    def rename(self, name, file):
        self.folder(os.path.dirname(name)).pending.append(
            (self.serial, name, file))

    def sync_ended(self, op, what, begun, name):
        """What was there when it began is durable now; or, failed, never."""
        if op == SYNC_FAIL:
            self.failed.append(name)
        elif self.lies:
            return
        else:
            what.settle([c for c in what.pending if c[0] < begun])
        what.pending = [c for c in what.pending if c[0] >= begun]

    @staticmethod
    def apply_names(names, changes):
        for _serial, name, file in changes:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file

    def write_image(self, source, target, chance=None):
        """The folder `source` as it would be found, written to `target`."""
        names = dict(self.durable)
        if chance:
            for folder in self.folders.values():
                self.apply_names(names, [c for c in folder.pending
                                         if chance.random() < 0.5])
        for name, file in names.items():
            if name.endswith("-shm"):
                continue
            path = pathlib.Path(target, os.path.relpath(name, source))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.image(chance))


def images(journal, source, cuts, lies=False):
    """For each of the sorted times the disk at that moment."""
    disk, cuts = Disk(lies), list(cuts)
    for op, when, file, offset, payload in records(journal):
        while cuts and when > cuts[0]:
            yield cuts.pop(0), disk
        if not cuts:
            return
        disk.step(op, file, offset, payload)
    for cut in cuts:
        yield cut, disk
