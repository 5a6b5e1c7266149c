"""What is wrong with a live module or another project file, in a form that a terminal and a page can show."""

from __future__ import annotations

import linecache
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.wire.jsoncodec import EncodeError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["LoadProblem", "problem_from"]

EXCERPT_LINES = 4  # shown on each side of the line in question


@dataclass(slots=True, frozen=True)
class LoadProblem:
    """One mistake: `file` is relative to the project, `traceback` shows the user's frames only."""

    file: str
    line: int | None
    kind: str
    message: str
    hint: str = ""
    column: int | None = None
    excerpt: list[tuple[int, str]] = field(default_factory=list)
    traceback: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.kind}: {self.message}"
        return f"{text}\n  {self.hint}" if self.hint else text


def problem_from(
    error: BaseException, project: Path, file: Path, *, hint: str = "", line: int | None = None
) -> LoadProblem:
    """Describe an exception that came up while `file` was loaded.

    The place is where the user's own code failed last: the innermost frame inside `project`, or the line of a
    syntax error. Frames outside the project are left out of the traceback when any is inside. Without a `hint` there
    is one for what imports fail of most.
    """
    column = None
    place = file
    if isinstance(error, SyntaxError) and error.filename:
        place, line, column = Path(error.filename), error.lineno, error.offset
        message = error.msg
    else:
        frames = _project_frames(error.__traceback__, project)
        if line is None and frames:
            place, line = Path(frames[-1].filename), frames[-1].lineno
        message = _text(error)
    return LoadProblem(
        file=relative(place, project),
        line=line,
        kind=type(error).__name__,
        message=message,
        hint=hint or _hint(error),
        column=column,
        excerpt=excerpt(place, line),
        traceback=user_traceback(error, project),
    )


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install the package, or check the spelling: project modules are imported by their path from its root"
    if isinstance(error, SystemExit):
        return "raise an exception instead"
    return ""


def user_traceback(error: BaseException, project: Path) -> str:
    """Return the traceback with the frames of the user's project only.

    Where none is theirs all are shown, but for errors whose text says it all: a file that cannot be read, a value
    that cannot be sent.
    """
    frames = _project_frames(error.__traceback__, project)
    head = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    if not frames and not isinstance(error, SyntaxError | OSError | EncodeError):
        return "".join(traceback.format_exception(error))
    return "".join([*head, *traceback.format_exception_only(error)])


def _text(error: BaseException) -> str:
    """Return the message of an exception, whose own `__str__` may fail."""
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def excerpt(file: Path, line: int | None) -> list[tuple[int, str]]:
    """Return the numbered source lines around `line`."""
    if line is None:
        return []
    linecache.checkcache(str(file))
    numbers = range(max(1, line - EXCERPT_LINES), line + EXCERPT_LINES + 1)
    lines = [(number, linecache.getline(str(file), number)) for number in numbers]
    return [(number, text.rstrip("\n")) for number, text in lines if text]


def relative(file: Path, project: Path) -> str:
    """Return `file` as seen from `project`, with forward slashes; the file's own path when it lies outside."""
    for one, root in ((file.resolve(), project.resolve()), (file.absolute(), project.absolute())):
        if one.is_relative_to(root):  # as it is written where a link in the project leads out of it
            return one.relative_to(root).as_posix()
    return file.as_posix()


def _project_frames(trace: TracebackType | None, project: Path) -> list[traceback.FrameSummary]:
    root = project.resolve()
    kept = []
    for frame in traceback.extract_tb(trace):
        path = Path(frame.filename)
        inside = path.is_absolute() and path.resolve().is_relative_to(root)
        if inside and not any(part in {"site-packages", ".venv", "venv"} for part in path.parts):
            kept.append(frame)
    return kept
