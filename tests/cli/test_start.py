from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class Interrupted:
    def find_spec(self, name, path, target=None):
        if name == "tickwire.server.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
from tickwire.__main__ import main
main()
"""


def test_ctrl_c_while_it_is_loaded_leaves_nothing_but_the_code() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_the_package_runs_as_the_command_does() -> None:
    ended = subprocess.run([sys.executable, "-m", "tickwire", "--version"], capture_output=True, text=True, check=True)

    assert ended.stdout.startswith("tickwire")
