"""What a check is, and the checks that hold for every kind of part."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segbench.contracts import Part
from segbench.errors import SegbenchError, UsageError, safe_name
from segbench.host import Catalogue
from segbench.litter import temporary
from segbench.params import describe, make, to_json


class Broken(Exception):
    """A promise that the part does not keep, in words."""


class Skipped(Exception):
    """The check says nothing about this part, and why."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        name: of the check.
        ok: whether the part keeps the promise.
        message: what was expected and found, or why the check did not apply; "" if it simply holds.
    """

    name: str
    ok: bool
    message: str = ""


@dataclass
class Subject:
    """The part under examination.

    Attributes:
        kind: "datasets", "networks", "methods", "decisions", "metrics", "studies", "priors", "figures" or
            "reporters".
        cls: its class.
        catalogue: where it is, with the parts that it may speak of.
        folder: a temporary folder of this examination.
        memo: what several checks share.
    """

    kind: str
    cls: type[Part]
    catalogue: Catalogue = field(default_factory=Catalogue, repr=False)
    folder: Path = Path()
    memo: dict[str, Any] = field(default_factory=dict)

    def make(self, parameters: Mapping[str, Any] | None = None) -> Any:
        """Construct the part, with its defaults unless parameters are given."""
        return make(self.cls, parameters or {}, self.cls.name)


Check = Callable[[Subject], None]


def expect(holds: bool, otherwise: str) -> None:
    """Raise ``Broken`` with a sentence unless something holds."""
    if not holds:
        raise Broken(otherwise)


def run_checks(subject: Subject, checks: Iterable[Check]) -> list[CheckResult]:
    """Run checks on a part in a temporary folder; each gives a result, whatever the part does."""
    with temporary("check") as folder:
        subject.folder = folder
        return [_run(check, subject) for check in checks]


def _run(check: Check, subject: Subject) -> CheckResult:
    name = check.__name__
    try:
        check(subject)
    except Skipped as reason:
        return CheckResult(name, True, f"does not apply: {reason}")
    except (Broken, SegbenchError) as error:
        return CheckResult(name, False, str(error))
    except (Exception, SystemExit) as error:
        return CheckResult(name, False, f"{type(error).__name__}: {error}{_place(error)}")
    return CheckResult(name, True)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""


def attributes_describe_the_part(subject: Subject) -> None:
    """Name, one-line summary, version, and a source that is a link."""
    cls = subject.cls
    safe_name(cls.name, "name")
    expect(bool(cls.summary) and "\n" not in cls.summary, "summary must be one line for `segbench list`; found none")
    expect(isinstance(cls.version, str) and bool(cls.version), f"version must be text; found {cls.version!r}")
    linked = not cls.source or cls.source.startswith(("https://", "http://", "10.", "doi:"))
    expect(linked, f"source must be a URL or a DOI, or empty; found {cls.source!r}")


def parameters_are_explained(subject: Subject) -> None:
    """Every parameter has a sentence of help."""
    silent = [key for key, _, _, text in describe(subject.cls) if not text]
    expect(not silent, f"declare {', '.join(silent)} with segbench.parameter(default, help)")


def constructs_with_defaults(subject: Subject) -> None:
    """The part can be constructed without being told anything."""
    subject.make()


def parameters_survive_json(subject: Subject) -> None:
    """Parameters written as JSON and read back make the same part."""
    values = to_json(subject.make())
    again = to_json(subject.make(json.loads(json.dumps(values))))
    expect(again == values, f"parameters {values} came back as {again}")


def unknown_parameters_are_refused(subject: Subject) -> None:
    """A misspelt parameter is an error."""
    try:
        subject.make({"no_such_parameter": 1})
    except UsageError:
        return
    raise Broken("a parameter that does not exist was accepted")


def constructing_does_no_work(subject: Subject) -> None:
    """Constructing opens no file and learns nothing."""
    subject.make()  # lazy imports happen here, not below
    with _files_opened() as opened:
        part = subject.make()
    expect(not opened, f"the constructor opened {', '.join(opened[:3])}; do that in prepare()")
    parameters = {one.name for one in dataclasses.fields(subject.cls)}  # type: ignore[arg-type]
    fitted = [name for name in vars(part) if name.endswith("_") and not name.startswith("_") and name not in parameters]
    learnt = [name for name in fitted if getattr(part, name) is not None]
    expect(not learnt, f"{', '.join(learnt)} has a value before prepare()")


_recording: list[list[str]] = []
_hooked: list[bool] = []


@contextmanager
def _files_opened() -> Iterator[list[str]]:
    """Collect the paths that are opened meanwhile; an audit hook stays for good, so there is one only."""
    if not _hooked:
        sys.addaudithook(_hear)
        _hooked.append(True)
    opened: list[str] = []
    _recording.append(opened)
    try:
        yield opened
    finally:
        _recording.remove(opened)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _recording and event == "open":
        _recording[-1].append(str(arguments[0]))


CHECKS: tuple[Check, ...] = (
    attributes_describe_the_part,
    parameters_are_explained,
    constructs_with_defaults,
    parameters_survive_json,
    unknown_parameters_are_refused,
    constructing_does_no_work,
)
