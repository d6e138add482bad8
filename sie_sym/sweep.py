"""Many tasks over any `concurrent.futures.Executor`, their rows streamed to a file that survives every interruption.

The file is JSON lines: a header that names the grid, then one row a finished task, in the order of finishing.  Rows
are appended and synced before the next ones are awaited, so that a sweep killed at any moment goes on where it
stopped: at most a torn last line is lost, and its task runs again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from sie_sym.errors import MissingExtra, SieSymError
from sie_sym.files import write_atomically
from sie_sym.task import Row, Task, grid, run_task

_FORMAT = 1
_IN_FLIGHT = 1024  # tasks that an executor of unknown size holds at once


@dataclass(frozen=True)
class Summary:
    """Of the tasks of a sweep: `done` now, `skipped` (their rows were there before), `failed` now with an error row."""

    done: int
    skipped: int
    failed: int


def run_sweep(
    tasks: Iterable[Task],
    output_path: str | os.PathLike[str],
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    retry_failed: bool = False,
    in_flight: int | None = None,
) -> Summary:
    """Run the tasks that have no row in the file yet; the rows do not depend on the executor, nor on interruptions.

    Without an executor, `workers` processes of this machine (default: one a core) are started afresh, which needs
    `if __name__ == "__main__":` in a script.  `in_flight` bounds the tasks submitted at once (default: four a worker;
    1024 for a given executor, more than it has workers).  `progress(finished, tasks)` is called after every write;
    what it raises stops the sweep.  Tasks that failed keep their error rows unless `retry_failed`.

    Raises `SieSymError` for a task given twice, a file that belongs to another grid or that another sweep is writing,
    and workers that died: rows written stay, and the same call goes on.  Ctrl-C cancels what has not begun and ends
    the processes started here.

    >>> import tempfile
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> tasks = grid("sie", target=["z1*z2", "He(3, z1)"])
    >>> with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
    ...     run_sweep(tasks, f"{folder}/sie.jsonl", pool)
    ...     [row["result"]["sie"] for row in read_rows(f"{folder}/sie.jsonl")]
    Summary(done=2, skipped=0, failed=0)
    [2, 3]
    """
    tasks, path = list(tasks), Path(output_path)
    if workers is not None and (workers < 1 or executor is not None):
        raise SieSymError(f"workers = {workers}: give 1 or more, and none beside an executor")
    if in_flight is not None and in_flight < 1:
        raise SieSymError(f"in_flight = {in_flight}: give 1 or more")
    header = _header(tasks)
    with contextlib.ExitStack() as stack:
        stream, finished = _resume(stack, path, header, retry_failed)
        todo = [task for task in tasks if task.id not in finished]
        skipped = len(tasks) - len(todo)
        if not todo:
            return Summary(0, skipped, 0)
        processes = min(workers or os.cpu_count() or 1, len(todo))
        pool = executor or stack.enter_context(local_processes(processes))
        limit = in_flight or (_IN_FLIGHT if executor else 4 * processes)
        failed = count = 0
        batches = stack.enter_context(contextlib.closing(_batches(pool, todo, limit, path)))
        for rows in batches:
            _append(stream, path, b"".join(map(_line, rows)))
            count += len(rows)
            failed += sum(row["status"] == "error" for row in rows)
            if progress is not None:
                progress(skipped + count, len(tasks))
    return Summary(count - failed, skipped, failed)


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a sweep's file, in the order of finishing; those of a sweep still running as far as they are.

    Raises `SieSymError` for a file that is not a sweep's, cannot be read or is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            _check_header(path, stream.readline())
            return [row for row, _ in _complete_rows(path, stream)]
    except OSError as error:
        raise SieSymError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


# ---- the tasks on their way --------------------------------------------------------------------


def _batches(pool: Executor, tasks: Sequence[Task], limit: int, path: Path) -> Generator[list[Row]]:
    """The rows of the tasks as they come in, those that came in meanwhile together."""
    waiting = iter(tasks)
    running: dict[Future[Row], Task] = {}
    arrived: SimpleQueue[Future[Row]] = SimpleQueue()
    try:
        while True:
            for task in itertools.islice(waiting, limit - len(running)):
                future = pool.submit(run_task, task)
                running[future] = task
                future.add_done_callback(arrived.put)
            if not running:
                return
            futures = [arrived.get()]
            while not arrived.empty():
                futures.append(arrived.get())
            # What came in before the workers died is kept.
            whole = [future for future in futures if not _is_lost(future)]
            if whole:
                yield [_row(running.pop(future), future) for future in whole]
            if len(whole) < len(futures):
                raise BrokenExecutor
    except (BrokenExecutor, CancelledError):
        suspects = ", ".join(task.id for task in itertools.islice(running.values(), 4))
        raise SieSymError(
            f"workers died while {len(running)} tasks were on their way ({suspects}...), out of memory or because the "
            f'script that starts them has no `if __name__ == "__main__":`; the rows in {path} are whole: run the same '
            "sweep again to go on, with fewer workers if it happens again"
        ) from None
    finally:
        for future in running:
            future.cancel()


def _is_lost(future: Future[Row]) -> bool:
    return future.cancelled() or isinstance(future.exception(), BrokenExecutor)


def _row(task: Task, future: Future[Row]) -> Row:
    """The row, also for a task that the executor gave up on (dask: a task whose workers kept dying)."""
    error = future.exception()
    if error is None:
        return future.result()
    told = {"type": type(error).__name__, "message": str(error)}
    return {"id": task.id, "task": task.data, "status": "error", "error": told}


# ---- the file ----------------------------------------------------------------------------------


def _header(tasks: Sequence[Task]) -> bytes:
    """The first line: the format, the number of tasks and a digest of their ids in any order."""
    ids = sorted(task.id for task in tasks)
    twice = [a for a, b in itertools.pairwise(ids) if a == b]
    if twice:
        task = next(task for task in tasks if task.id == twice[0])
        raise SieSymError(f"{len(twice)} tasks are given twice, as {json.dumps(task.data)}: give each task once")
    digest = hashlib.sha256("".join(ids).encode()).hexdigest()
    return _line({"sweep": _FORMAT, "tasks": len(ids), "grid": digest})


def _line(entry: Row) -> bytes:
    return json.dumps(entry, allow_nan=False).encode() + b"\n"


def _check_header(path: Path, line: bytes) -> Row:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and found.get("sweep") == _FORMAT:
            return found
    raise SieSymError(f"{path} is not the file of a sweep (of format {_FORMAT}): choose another file")


def _complete_rows(path: Path, stream: BinaryIO) -> Iterator[tuple[Row, bytes]]:
    """The rows after the header with their lines; a last line without its end was torn and is left out."""
    for number, line in enumerate(stream, start=2):
        if not line.endswith(b"\n"):
            return
        try:
            row = json.loads(line)
            row["id"], row["status"]
        except (ValueError, KeyError, TypeError):
            raise SieSymError(f"line {number} of {path} is damaged: delete it, and its task runs again") from None
        yield row, line


def _resume(stack: contextlib.ExitStack, path: Path, header: bytes, retry_failed: bool) -> tuple[io.FileIO, set[str]]:
    """The file, locked and ready for more rows, and the ids of the tasks that have theirs."""
    stream = _open_locked(stack, path)
    reader = stack.enter_context(path.open("rb"))
    first = reader.readline()
    if not first.endswith(b"\n") and header.startswith(first):  # new, or torn before any row
        stream.truncate(0)
        _append(stream, path, header)
        return stream, set()
    found = _check_header(path, first)
    if first != header:
        raise SieSymError(
            f"{path} holds another grid (of {found.get('tasks')} tasks, not these {json.loads(header)['tasks']}): "
            "choose another file, or delete it to start again"
        )
    finished: set[str] = set()
    kept, failed, end = [first], 0, len(first)
    for row, line in _complete_rows(path, reader):
        end += len(line)
        if retry_failed and row["status"] == "error":
            failed += 1
            continue
        if retry_failed:
            kept.append(line)
        finished.add(row["id"])
    if failed:
        write_atomically(path, b"".join(kept))
        stream = _open_locked(stack, path)
    else:
        stream.truncate(end)
    return stream, finished


def _open_locked(stack: contextlib.ExitStack, path: Path) -> io.FileIO:
    """Open for appending; a second sweep on the same file is refused, and a dead one holds no lock."""
    if path.exists() and not path.is_file():
        raise SieSymError(f"{path} is not a file that rows can be read back from: name another")
    try:
        # Unbuffered: a row is one write.
        stream = stack.enter_context(io.FileIO(path, "a"))
    except OSError as error:
        raise SieSymError(f"cannot write {path}: {(error.strerror or str(error)).lower()}; name another") from None
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SieSymError(f"another sweep is writing {path}: wait for it, or choose another file") from None
        except OSError:
            pass  # a file system without locks
    return stream


def _append(stream: io.FileIO, path: Path, data: bytes) -> None:
    try:
        written = stream.write(data)
        os.fsync(stream.fileno())
    except OSError as error:
        raise SieSymError(f"cannot write {path}: {(error.strerror or str(error)).lower()}; then resume") from None
    if written != len(data):
        raise SieSymError(f"cannot write {path}: only {written} of {len(data)} bytes fitted; make room, then resume")


# ---- executors ---------------------------------------------------------------------------------


@contextlib.contextmanager
def local_processes(workers: int) -> Iterator[Executor]:
    """Processes that end with this one, however it ends, and at once when the sweep stops early.

    They hold one end of a pipe whose other end this process holds: killed or not, its end closes with it.
    Started afresh rather than forked: a fork copies the locks of threads that it does not copy.
    """
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    with watched, held:
        pool = ProcessPoolExecutor(workers, context, _live_with, (watched,))
        try:
            yield pool
        except BaseException:
            held.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _live_with(watched: Connection) -> None:
    """In a new worker: end when the pipe closes, and leave Ctrl-C to the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            watched.recv()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def dask_executor(address: str | None = None) -> Iterator[Executor]:
    """The executor of a dask cluster: of the scheduler at `address`, or of dask's configuration (this machine).

    Its workers need this package installed.  Raises `MissingExtra` without dask.distributed and `SieSymError` when
    no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("parallel", "dask.distributed") from None
    connect: Any = Client  # distributed has no types
    try:
        client = connect(address)
    except (OSError, ValueError) as error:
        raise SieSymError(f"no dask scheduler answers at {address}: {error}; start one, or check the address") from None
    with client:
        yield client.get_executor()


__all__ = ["Summary", "Task", "dask_executor", "grid", "local_processes", "read_rows", "run_sweep", "run_task"]
