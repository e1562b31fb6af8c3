"""Where shipped notebooks, dashboards, the Voila template and service files lie.

In a checkout they are beside the package; an installed wheel puts them below ``share/`` of the
environment (or of the user's base, for ``pip install --user``). A checkout wins, so that an
editable install shows what is being edited.
"""

from __future__ import annotations

import site
import sysconfig
from functools import cache
from pathlib import Path

from lifelog_lake.errors import Terminal

_PACKAGE = Path(__file__).resolve().parent

_IN_CHECKOUT = {
    "deploy": _PACKAGE.parent / "deploy",
    "dashboards": _PACKAGE.parent / "dashboards",
    "notebooks": _PACKAGE.parent / "notebooks",
    "voila_template": _PACKAGE / "server" / "voila_template",
}
_IN_SHARE = {
    "deploy": Path("share", "lifelog_lake", "deploy"),
    "dashboards": Path("share", "lifelog_lake", "dashboards"),
    "notebooks": Path("share", "lifelog_lake", "notebooks"),
    "voila_template": Path("share", "jupyter", "voila", "templates", "lifelog"),
}


@cache
def shipped(name: str) -> Path:
    """Directory of ``dashboards``, ``deploy``, ``notebooks`` or ``voila_template``.

    Raises :class:`Terminal` if the installation lacks it.
    """
    checkout = _IN_CHECKOUT[name]
    # A stranger's directory beside site-packages must not pass for a checkout.
    if (_PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    bases = [sysconfig.get_path("data"), site.getuserbase(), str(_PACKAGE.parent)]
    for base in bases:
        directory = Path(base) / _IN_SHARE[name]
        if directory.is_dir():
            return directory
    raise Terminal(
        f"The installation has no {name} directory.",
        hint="Install it again: pip install --force-reinstall lifelog-lake",
        looked_in=bases,
    )
