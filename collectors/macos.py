"""macOS: whether this program may record the screen.

Without the permission macOS gives pictures of the desktop without its windows, and no error; so it
is asked for beforehand. It belongs to the program that launchd or the terminal started, and a
change counts from that program's next start.
"""

from __future__ import annotations

import ctypes
from functools import cache

CORE_GRAPHICS = "/System/Library/Frameworks/CoreGraphics.framework/CoreGraphics"


@cache
def may_record_screen() -> bool:
    """Ask macOS, which asks the person if nobody has before. Apple documents both calls under
    ``CGPreflightScreenCaptureAccess``; before macOS 10.15 there is neither them nor a permission.
    """
    graphics = ctypes.CDLL(CORE_GRAPHICS)
    try:
        preflight, request = (
            graphics.CGPreflightScreenCaptureAccess,
            graphics.CGRequestScreenCaptureAccess,
        )
    except AttributeError:
        return True
    preflight.restype = request.restype = ctypes.c_bool
    return bool(preflight()) or bool(request())
