"""Rows of cases.tsv that run inside a network of their own (island.py).

The file that has them is also a script: FILE ROW FOLDER runs one row inside.
"""

import pathlib
import sys
import traceback

import island
from cases import case


class IslandRows:
    """script: the file's name; tail: how much of each log a failure shows."""

    def __init__(self, script, network, tail=2500):
        self.script, self.network, self.tail = script, network, tail
        self.inside = {}

    def row(self, name):
        """Registers a function that runs inside the network as a row."""
        def register(function):
            self.inside[name] = function
            case(name)(lambda w: island.run(self.script, name, w.folder))
            return function
        return register

    def main(self, name, folder):
        island.enter(self.network)
        try:
            self.inside[name](pathlib.Path(folder))
        except BaseException:
            traceback.print_exc()
            for log in pathlib.Path(folder).glob("*/*.log"):
                print(f"--- {log}\n{log.read_text(errors='replace')[-self.tail:]}")
            sys.exit(1)
