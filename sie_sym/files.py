"""Files that are either complete or not there: written beside their destination, then moved over it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sie_sym.errors import SieSymError


def write_atomically(path: str | Path, content: str | bytes) -> Path:
    """Write text (UTF-8) or bytes to `path`; an interrupted or failed write leaves what was there before.

    Raises `SieSymError` when the file cannot be written, with the system's reason.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", "R = 4").read_text()
    'R = 4'
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    # Through a link to the file itself; a device or a pipe is written to, never replaced.
    target = path.resolve() if path.is_symlink() else path
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            target.write_bytes(data)
            return path
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # the name must not reach the disk before the content
        if target.is_file():
            os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SieSymError(f"cannot write {path}: {reason}; choose another file") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path


__all__ = ["write_atomically"]
