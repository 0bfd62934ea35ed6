"""Help and lists: at once, and of every command."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["presets", "list"]])
def test_help_comes_without_the_heavy_imports(arguments):
    code = (
        "import sys\n"
        f"sys.argv = {['famus-ray', *arguments]!r}\n"
        "from famus_ray.cli import main\n"
        "try: main()\n"
        "finally: print({'torch', 'ray', 'pandas', 'plotly', 'optuna'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
