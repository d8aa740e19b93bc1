"""What the scripts share: environments, the installed Pythons, the project's own rules.

Standard library only. This one file also runs on older Pythons, so that it can say what is missing.
"""

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NAMES = ("python3.13", "python3.12", "python3.11")


def require_python():  # type: () -> None
    """Continue on Python 3.11 or newer: this one, or one found on PATH; else say what to do."""
    if sys.version_info >= OLDEST:
        return
    for name in NAMES:
        path = shutil.which(name)
        # A version manager's shim may be on PATH although its Python cannot be run from here.
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, *sys.argv])
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(
        f"{sys.argv[0]} needs Python 3.11 or newer; {sys.executable} is {version} and no newer one "
        f"is on PATH. Install one, then run: python3.11 {sys.argv[0]}"
    )
