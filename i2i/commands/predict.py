"""`i2i predict`: files in, files out; a picture that fails does not stop the others."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from i2i.commands.inputs import find, kinds, output_paths, shared_stems
from i2i.commands.memory import needed_bytes
from i2i.commands.parser import EXIT_FAILED, EXIT_INTERRUPTED
from i2i.commands.stdout import give_up_stdout
from i2i.image import SUFFIXES, ImageError, Picture, darkness, decode, read_header
from i2i.image.decoding import check_pixels, naming
from i2i.image.encoding import check_profile
from i2i.model_folder import ModelError
from i2i.prediction import check_file, write_bands
from i2i.predictor import Predictor, load


class _Unfitting(ValueError):
    """A picture that the options rule out."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass
class _Outcome:
    """What became of one picture; width and height are its own, megapixels those that came in."""

    input: str
    output: str
    status: Literal["done", "skipped", "failed"] = "done"
    width: int | None = None
    height: int | None = None
    seconds: float = 0.0
    megapixels_per_s: float | None = None
    warning: str | None = None
    error: dict[str, str] | None = None


@dataclass(frozen=True)
class _Work:
    """What is to be done.

    Attributes:
        pairs: input and output of each picture.
        unread: files in the folders given, of kinds that are not read.
        sure: inputs whose output, where it is there, was not another's.
    """

    predictor: Predictor
    options: argparse.Namespace
    pairs: list[tuple[Path, Path]]
    unread: list[Path]
    sure: set[Path]


def run(options: argparse.Namespace) -> int:
    """Predicts all pictures; returns the exit status.

    Raises:
        ValueError: nothing was begun: the model, an option or an input is not what it should be.
    """
    work = _prepare(options)
    console = Console(stderr=options.json)
    outcomes: list[_Outcome] = []
    lost: list[OSError] = []
    began, interrupted = time.monotonic(), False
    with _progress(console) as bar:
        try:
            if work.unread:
                told = f"{len(work.unread)} files of kinds that are not read ({kinds(work.unread)})"
                with _outlasting(lost):
                    console.print(f"left out: {told}")
            for outcome in _each(work, bar):
                outcomes.append(outcome)
                with _outlasting(lost):
                    _tell(outcome, console)
        except KeyboardInterrupt:
            interrupted = True
    totals = _totals(outcomes, time.monotonic() - began)
    if interrupted:
        left = len(work.pairs) - len(outcomes)
        print(f"i2i: interrupted, {left} pictures left; --resume does them", file=sys.stderr)
    with _outlasting(lost):
        _tell_all(work, outcomes, totals, interrupted, console)
    status = give_up_stdout(lost[0]) if lost else 0
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if totals["failed"] else status


def _prepare(options: argparse.Namespace) -> _Work:
    """Opens the model, checks the options, finds the pictures, and makes the output folder."""
    predictor = load(
        options.model,
        engine=options.engine,
        precision=options.precision,
        threads=options.threads,
    )
    spec = predictor.spec
    check_file(spec, options.format, options.view, 1, 1, 16 if options.depth == "16" else 8)
    if options.profile == "keep" and spec.kind != "image":
        raise ValueError(f"--profile: expected convert, {spec.name} gives no picture, got keep")
    if options.depth == "16" and spec.kind != "image":
        raise ValueError(f"--depth: expected 8 or auto, {spec.name} gives no picture, got 16")
    if options.output.exists() and not options.output.is_dir():
        raise ValueError(f"--output: expected a folder, got the file {options.output}")
    found, unread = find(options.inputs, options.output)
    pairs = output_paths(found, options.output, SUFFIXES[options.format])
    # The number behind a shared name depends on what else is named: what is there may be another's.
    sure = {one.path for one in found} - shared_stems(found) if options.resume else set()
    options.output.mkdir(parents=True, exist_ok=True)
    return _Work(predictor, options, pairs, unread, sure)


@contextlib.contextmanager
def _outlasting(lost: list[OSError]) -> Iterator[None]:
    """What is told within may be lost, to a full disk under stdout; the work goes on."""
    try:
        yield
    except BrokenPipeError:  # nobody wants to know any more
        raise
    except OSError as error:
        lost.append(error)


def _each(work: _Work, bar: Progress) -> Iterator[_Outcome]:
    """Predicts one picture after the other, as they are asked for."""
    pictures = bar.add_task("pictures", total=len(work.pairs))
    windows = bar.add_task("windows", total=1)

    def progress(done: int, total: int) -> None:
        bar.update(windows, completed=done, total=total)

    for source, target in work.pairs:
        bar.update(windows, description=source.name, completed=0)
        yield _outcome(work, source, target, progress)
        bar.advance(pictures)


def _outcome(
    work: _Work, source: Path, target: Path, progress: Callable[[int, int], None]
) -> _Outcome:
    """Predicts one picture into its file, or says why not."""
    options = work.options
    outcome = _Outcome(str(source), str(target))
    began = time.monotonic()
    try:
        if source in work.sure and target.is_file():
            outcome.status = "skipped"
            return outcome
        picture = _read(work.predictor, source, options)
        outcome.height, outcome.width = picture.height, picture.width
        outcome.warning = darkness(picture.pixels)
        target.parent.mkdir(parents=True, exist_ok=True)
        with naming(source):
            bands = work.predictor.bands(picture, progress=progress)
            write_bands(target, options.format, bands, picture, options.view)
    except (ImageError, _Unfitting, OSError, MemoryError, ModelError, RuntimeError) as error:
        outcome.status = "failed"
        outcome.error = {"code": _code(error), "detail": _detail(error, source)}
    outcome.seconds = round(time.monotonic() - began, 3)
    if outcome.status == "done" and outcome.seconds:
        rate = picture.height * picture.width / 1e6 / outcome.seconds
        outcome.megapixels_per_s = round(rate, 3)
    return outcome


def _read(predictor: Predictor, source: Path, options: argparse.Namespace) -> Picture:
    """The picture as the options want it, once it is clear that it can be done.

    Raises:
        ImageError: it cannot be read, or its prediction not be held by the format.
        _Unfitting: it would need more than --max-memory, or another background.
        OSError: the file cannot be read.
    """
    format, spec = options.format, predictor.spec
    size = source.stat().st_size
    if size > options.max_memory:
        raise _Unfitting(
            "too_little_memory",
            f"{source}: expected a file of at most {_told(options.max_memory)}, got {_told(size)}; "
            "raise --max-memory",
        )
    data = source.read_bytes()
    with naming(source):
        header = read_header(data)
        check_pixels((header.width, header.height), options.max_pixels)
        deep = options.depth == "auto" and header.depth == 16 and format in ("png", "tiff")
        depth: Literal[8, 16] = 16 if deep or options.depth == "16" else 8
        check_file(spec, format, options.view, header.height, header.width, depth)
        needed = needed_bytes(predictor, header, len(data), format, depth)
        if needed > options.max_memory:
            remedy = "raise --max-memory"
            if format in ("jpeg", "webp"):
                remedy += ", or choose png or tiff, which are written in strips"
            raise _Unfitting(
                "too_little_memory",
                f"{source}: expected a picture that needs at most {_told(options.max_memory)}, got "
                f"{header.width} x {header.height} with about {_told(needed)}; {remedy}",
            )
        picture = decode(data, max_pixels=options.max_pixels, depth=depth, profile=options.profile)
        check_profile(format, picture)
    if options.background is not None:
        try:
            picture = picture.over(options.background)
        except ValueError as error:
            raise _Unfitting("unfitting_background", f"{source}: {error}") from error
    return picture.to_16_bit() if options.depth == "16" else picture


def _told(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _code(error: Exception) -> str:
    if isinstance(error, ImageError | _Unfitting):
        return error.code
    if isinstance(error, MemoryError):
        return "too_little_memory"
    return "file_error" if isinstance(error, OSError) else "model_failed"


def _detail(error: Exception, source: Path) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or source}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"{source}: the memory of this machine is full; give fewer pixels"
    return str(error) if isinstance(error, ImageError | _Unfitting) else f"{source}: {error}"


def _tell(outcome: _Outcome, console: Console) -> None:
    """A line about a picture: of a failure on stderr."""
    if outcome.error:
        print(f"i2i: {outcome.error['detail']}", file=sys.stderr)
        return
    if outcome.warning:
        print(f"i2i: {outcome.input} is nearly black: {outcome.warning}", file=sys.stderr)
    there = " (there already)" if outcome.status == "skipped" else ""
    line = f"{outcome.input} → {outcome.output}{there}"
    # As it is: a name may hold what rich takes for markup or emoji.
    console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _tell_all(
    work: _Work,
    outcomes: list[_Outcome],
    totals: dict[str, Any],
    interrupted: bool,
    console: Console,
) -> None:
    """The summary: JSON, if it was asked for, or a line about several pictures."""
    if work.options.json:
        spec, engine = work.predictor.spec, work.predictor.engine
        summary = {
            "model": spec.address,
            "engine": engine.name,
            "precision": engine.precision,
            "interrupted": interrupted,
            "pictures": [asdict(outcome) for outcome in outcomes],
            "totals": totals,
        }
        print(json.dumps(summary), flush=True)
    elif len(work.pairs) > 1:
        counts = ", ".join(f"{totals[name]} {name}" for name in ("done", "skipped", "failed"))
        console.print(f"{counts} in {totals['seconds']:.1f} s", highlight=False)


def _progress(console: Console) -> Progress:
    """Two bars, pictures and windows of the one in hand; only on a terminal."""
    name = Column(max_width=32, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _totals(outcomes: list[_Outcome], seconds: float) -> dict[str, Any]:
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in ("done", "skipped", "failed")
    }
    pixels = sum(
        (outcome.width or 0) * (outcome.height or 0)
        for outcome in outcomes
        if outcome.status == "done"
    )
    rate = round(pixels / 1e6 / seconds, 3) if seconds and pixels else None
    return {**counts, "seconds": round(seconds, 3), "megapixels_per_s": rate}
