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
 RENAME) = range(1, 9)
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
    """(op, time, file, offset, payload); a record cut off ends it."""
    data = memoryview(pathlib.Path(path).read_bytes())
    at = 0
    while at + RECORD.size <= len(data):
        magic, op, when, file, offset, length = RECORD.unpack_from(data, at)
        assert magic == MAGIC, f"a torn journal at {at}"
        at += RECORD.size
        if at + length > len(data):
            return
        yield op, when, file, offset, data[at:at + length]
        at += length


class _File:
    """Bytes that are durable, changes that are not yet."""

    def __init__(self):
        self.durable, self.pending, self.marks = bytearray(), [], []

    @staticmethod
    def change(content, offset, data):
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
            return
        if len(content) < offset:
            content.extend(bytes(offset - len(content)))
        content[offset:offset + len(data)] = data

    def settle(self, keep):
        """A sync has ended: what its begin saw is durable, or lost."""
        if not self.marks:
            return
        mark = self.marks.pop(0)
        if keep:
            for offset, data in self.pending[:mark]:
                self.change(self.durable, offset, data)
        del self.pending[:mark]
        self.marks = [m - mark for m in self.marks]

    def image(self, chance):
        content = bytearray(self.durable)
        if chance:
            for offset, data in self.pending:
                fate = chance.random()
                if fate < 0.4:
                    continue
                if fate < 0.6 and data is not None and len(data) > SECTOR:
                    data = data[:SECTOR * chance.randrange(
                        len(data) // SECTOR)]
                self.change(content, offset, data)
        return content


class Disk:
    def __init__(self, lies=False):
        self.lies = lies        # syncs that say yes and do nothing
        self.files, self.now, self.durable = {}, {}, {}
        self.names, self.marks = {}, {}   # by folder: changes, syncs begun
        self.synced_folder, self.failed = {}, []

    def step(self, op, file, offset, payload):
        if op in (WRITE, SIZE):
            # what was open before the journal began is none of ours
            if file in self.files:
                self.files[file].pending.append(
                    (offset, bytes(payload) if op == WRITE else None))
        elif op == CREATE:
            name = bytes(payload).decode()
            self.files[file] = self.now[name] = _File()
            self.rename(name, self.files[file])
        elif op == UNLINK:
            name = bytes(payload).decode()
            self.now.pop(name, None)
            self.rename(name, None)
        elif op == RENAME:
            old, new = bytes(payload).decode().split("\0")
            self.now[new] = self.now.pop(old)
            self.rename(new, self.now[new])
            self.rename(old, None)
        else:
            self.sync(op, file, bytes(payload).decode())

    def rename(self, name, file):
        self.names.setdefault(os.path.dirname(name), []).append((name, file))

    def sync(self, op, file, name):
        if op == SYNC_BEGIN:
            self.synced_folder[file] = None
            if name in self.now:
                f = self.now[name]
                self.files[file] = f
                f.marks.append(len(f.pending))
            elif file not in self.files or name in self.names:
                self.synced_folder[file] = name
                self.marks.setdefault(name, []).append(
                    len(self.names.get(name, [])))
            self.last_begun = name
            return
        keep = op == SYNC_END and not self.lies
        if op == SYNC_FAIL:
            self.failed.append(self.last_begun)
        if op == SYNC_END and self.lies:
            keep = None
        folder = self.synced_folder.get(file)
        if folder is not None:
            self.settle_names(folder, keep)
        elif file in self.files:
            if keep is None:
                self.files[file].marks[:1] = []
            else:
                self.files[file].settle(keep)

    def settle_names(self, folder, keep):
        if not self.marks.get(folder):
            return
        mark = self.marks[folder].pop(0)
        if keep is None:
            return
        changes = self.names.get(folder, [])
        if keep:
            self.apply_names(self.durable, changes[:mark])
            del changes[:mark]
            self.marks[folder] = [m - mark for m in self.marks[folder]]

    @staticmethod
    def apply_names(names, changes):
        for name, file in changes:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file

    def write_image(self, source, target, chance=None):
        """The folder `source` as it would be found, written to `target`."""
        names = dict(self.durable)
        if chance:
            for changes in self.names.values():
                self.apply_names(names, [c for c in changes
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
