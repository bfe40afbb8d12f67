"""The door: entry points (and single files) -> one catalogue of parts. Built-ins enter exactly as strangers do."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import pluggy

from segbench import hookspecs, plugin_code
from segbench.contracts import Dataset, Decision, Figure, Method, Metric, Network, Part, Prior, Reporter, Study
from segbench.errors import PluginError, SegbenchError, UnknownName, UsageError, did_you_mean, safe_name
from segbench.failures import MACHINE, is_out_of_memory, os_words
from segbench.hookspecs import GROUP
from segbench.params import changes, make
from segbench.types import Choice

P = TypeVar("P", bound=Part)

KINDS: Mapping[str, type[Part]] = {
    "datasets": Dataset,
    "networks": Network,
    "methods": Method,
    "decisions": Decision,
    "metrics": Metric,
    "studies": Study,
    "priors": Prior,
    "figures": Figure,
    "reporters": Reporter,
}
"""Kind of part -> its contract; the hook of a kind is ``segbench_<kind>``."""


@dataclass(frozen=True)
class Origin:
    """Where a part comes from: the plugin's name, its distribution (or file) and version.

    Attributes:
        plugin, distribution, version: see above; the version of a single file is "file".
        code: digest of a single file's source as it was loaded, "" for an installed plugin (see ``Catalogue.code``).
    """

    plugin: str
    distribution: str
    version: str
    code: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is a single file that was asked for."""
        return self.version == "file"

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Entry:
    """A part on offer."""

    cls: type[Part]
    origin: Origin


@dataclass(frozen=True)
class Problem:
    """Something a plugin could not do, in words; the others go on."""

    origin: Origin
    reason: str


@dataclass
class Catalogue:
    """All parts on offer, by kind and name.

    Attributes:
        entries: kind -> name -> entry.
        problems: what failed to load, is misspelt or clashes.
        origins: every plugin that was found.
    """

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    problems: list[Problem] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    clashes: dict[tuple[str, str], str] = field(default_factory=dict)
    _settled: dict[Any, Choice] = field(default_factory=dict, init=False, repr=False, compare=False)
    _waiting: dict[Any, Part] = field(default_factory=dict, init=False, repr=False, compare=False)

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of a kind."""
        return sorted(self.entries[kind])

    def entry(self, kind: str, name: str) -> Entry:
        """Return one entry.

        Raises:
            PluginError: if two plugins claim the name.
            UnknownName: if nobody offers it; says what is close, and what failed to load.
        """
        if (kind, name) in self.clashes:
            raise PluginError(self.clashes[kind, name])
        if name not in self.entries[kind]:
            hint = self._hint()
            raise UnknownName(
                f"No {_singular(kind)} is called {name!r}. {did_you_mean(name, self.entries[kind])}{hint}"
            )
        return self.entries[kind][name]

    def _hint(self) -> str:
        """Return what failed to load, in brackets: of single files why, of installed plugins where to read it."""
        files = [f"{one.origin.distribution}: {one.reason}" for one in self.problems if one.origin.is_file]
        others = sorted({one.origin.plugin for one in self.problems if not one.origin.is_file})
        words = [*files, *([f"Plugins with problems: {', '.join(others)}; see `segbench list`."] if others else [])]
        return f" ({' '.join(words)})" if words else ""

    def code(self, kind: str, name: str) -> str:
        """Return the digest of a part's source where no release fixes it: a single file, or an editable install.

        Returns:
            12 hexadecimal digits; "" for a part of an installed release, whose version stands for its code.
        """
        entry = self.entry(kind, name)
        return entry.origin.code or plugin_code.editable_code(entry.origin.distribution, entry.cls.__module__)

    def make(self, kind: str, choice: Choice) -> Part:
        """Construct the part a choice names, with its parameters checked; nobody else is given the same one."""
        entry = self.entry(kind, choice.name)
        if (waiting := self._waiting.pop(_key(entry, choice), None)) is not None:
            return waiting
        with blame(entry.origin, f"constructing {choice.name}"):
            return make(entry.cls, {**choice.parameters, **choice.local}, f"{_singular(kind)} {choice.name}")

    def settle(self, kind: str, choice: Choice) -> Choice:
        """Return the same choice in canonical form: checked, without defaults, and what is local to a machine apart."""
        entry = self.entry(kind, choice.name)
        if (known := self._settled.get(_key(entry, choice))) is not None:
            return known
        part = self.make(kind, choice)
        with blame(entry.origin, f"reading the parameters of {choice.name}"):
            settled = Choice(choice.name, *changes(part))
        self._waiting[_key(entry, settled)] = part  # whoever makes it next need not construct it again
        if not _names_files(part):  # which may change meanwhile
            self._settled |= {_key(entry, choice): settled, _key(entry, settled): settled}
        return settled

    def dataset(self, choice: Choice) -> Dataset:
        """Construct a dataset."""
        return cast("Dataset", self.make("datasets", choice))

    def network(self, choice: Choice) -> Network:
        """Construct a network."""
        return cast("Network", self.make("networks", choice))

    def method(self, choice: Choice) -> Method:
        """Construct a method."""
        return cast("Method", self.make("methods", choice))

    def decision(self, choice: Choice) -> Decision:
        """Construct a decision."""
        return cast("Decision", self.make("decisions", choice))

    def metric(self, choice: Choice) -> Metric:
        """Construct a metric."""
        return cast("Metric", self.make("metrics", choice))

    def study(self, choice: Choice) -> Study:
        """Construct a study."""
        return cast("Study", self.make("studies", choice))

    def prior(self, choice: Choice) -> Prior:
        """Construct a prior."""
        return cast("Prior", self.make("priors", choice))

    def figure(self, choice: Choice) -> Figure:
        """Construct a figure."""
        return cast("Figure", self.make("figures", choice))

    def reporter(self, choice: Choice) -> Reporter:
        """Construct a reporter."""
        return cast("Reporter", self.make("reporters", choice))

    def arms(self, method: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the arms of a method besides itself: arm -> the parameters it overrides."""
        return cast("type[Method]", self.entry("methods", method).cls).arms

    def defaults(self, kind: str) -> list[str]:
        """Return the sorted names of the parts of a kind that are taken when none is named."""
        return [name for name in self.names(kind) if self.entries[kind][name].cls.default]

    def default(self, kind: str) -> str:
        """Return the one part of a kind that is taken when none is named.

        Raises:
            UsageError: if none, or more than one, declares itself the default.
        """
        names = self.defaults(kind)
        if len(names) != 1:
            found = f"found {', '.join(names)}" if names else "found none"
            raise UsageError(f"Name a {_singular(kind)}: expected one default among the plugins, {found}.")
        return names[0]


class blame:  # noqa: N801 - reads as a verb: `with blame(origin, "loading"):`
    """Context manager that turns any unexpected error of a plugin into a PluginError naming it.

    Memory or a disk that ran out are the machine's: such errors pass, with a note of what was being done.
    """

    def __init__(self, origin: Origin | str, doing: str) -> None:
        self.origin, self.doing = origin, doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception | SystemExit) or isinstance(error, SegbenchError | BrokenPipeError):
            return
        if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in MACHINE):
            error.add_note(f"plugin {self.origin} was {self.doing}")
            return
        where = _last_line(error)
        if isinstance(error, OSError):
            raise PluginError(
                f"Plugin {self.origin} failed while {self.doing}: {os_words(error)}{where}. Check that the files it "
                f"needs are there and may be read; else report it to the plugin's authors."
            ) from error
        raise PluginError(
            f"Plugin {self.origin} failed while {self.doing}: {type(error).__name__}: {error}{where}. "
            f"Report it to the plugin's authors; set SEGBENCH_DEBUG=1 for the traceback."
        ) from error


def load_catalogue(files: Sequence[Path | str] = ()) -> Catalogue:
    """Find every plugin of the entry-point group ``segbench`` and build the catalogue.

    Args:
        files: single Python files to load as plugins too (``--plugin FILE.py``).

    Raises:
        PluginError: if a file that was asked for explicitly cannot be loaded or one of its hooks raises; plugins that
            were merely found become ``problems`` instead.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    catalogue = Catalogue()
    loaded: dict[str, Origin] = {}
    for origin, load in _found():
        catalogue.origins.append(origin)
        try:
            _register(manager, origin, load, loaded)
        except (Exception, SystemExit) as error:
            catalogue.problems.append(Problem(origin, _reason(error)))
    for file in files:
        code = plugin_code.file_code(Path(file)) if Path(file).is_file() else ""
        origin = Origin(Path(file).stem, str(file), "file", code)
        catalogue.origins.append(origin)
        with blame(origin, "loading"):
            _register(manager, origin, functools.partial(_load_file, Path(file)), loaded)
    for kind in KINDS:
        _collect(manager, kind, loaded, catalogue)
    return catalogue


def _found() -> Iterator[tuple[Origin, Callable[[], Any]]]:
    """Yield the installed plugins sorted by name, each with the call that loads it."""
    seen = set()
    points = importlib.metadata.entry_points(group=GROUP)
    named: dict[int, tuple[str, str]] = {}
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        distribution = point.dist
        if distribution and id(distribution) not in named:  # which parses its metadata whenever it is asked
            named[id(distribution)] = (distribution.name, distribution.version)
        name, version = named.get(id(distribution), ("", ""))
        if (point.name, point.value) in seen:  # the same distribution seen twice on sys.path
            continue
        seen.add((point.name, point.value))
        yield Origin(point.name, name or "unknown", version or "?"), point.load


def _register(
    manager: pluggy.PluginManager, origin: Origin, load: Callable[[], Any], loaded: dict[str, Origin]
) -> None:
    """Load one plugin and put it into the manager and among the loaded; if it is refused, leave no trace of it."""
    if origin.plugin in loaded:
        raise PluginError(f"two plugins are called {origin.plugin!r}: {loaded[origin.plugin]} and {origin}. Rename one")
    plugin = load()
    _check_hooks(plugin)
    try:
        manager.register(plugin, name=origin.plugin)
    except Exception:
        if manager.get_plugin(origin.plugin) is plugin:  # pluggy before 1.7 stops half-way
            manager.unregister(plugin)
        raise
    loaded[origin.plugin] = origin


def _check_hooks(plugin: Any) -> None:
    """Refuse hooks that nobody would ever call: misspelt ones, and ones without the marker."""
    hooks = {f"{GROUP}_{kind}" for kind in KINDS}
    for name, member in inspect.getmembers(plugin, inspect.isroutine):
        marks = getattr(member, f"{GROUP}_impl", None)
        called = (marks or {}).get("specname") or name
        if marks is not None and called not in hooks:
            raise PluginError(f"there is no hook {called!r}. {did_you_mean(called, hooks)}")
        own = getattr(member, "__module__", None) == getattr(plugin, "__name__", None)
        if marks is None and own and name.startswith(f"{GROUP}_"):
            close = "" if name in hooks else f"; and there is no hook of this name. {did_you_mean(name, hooks)}"
            raise PluginError(f"function {name!r} lacks the marker @segbench.hookimpl{close}")


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: expected a Python file, found none. Check the path.")
    spec = importlib.util.spec_from_file_location(f"segbench_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: expected a file ending in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and torch look modules up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _collect(manager: pluggy.PluginManager, kind: str, loaded: Mapping[str, Origin], catalogue: Catalogue) -> None:
    """Call one kind's hook plugin by plugin, so that one that raises does not stop the others."""
    caller = getattr(manager.hook, f"{GROUP}_{kind}")
    for implementation in sorted(caller.get_hookimpls(), key=lambda found: found.plugin_name):
        origin = loaded[implementation.plugin_name]
        try:
            found = implementation.function()
            if not isinstance(found, list | tuple):
                raise PluginError(f"expected a list of classes, found {found!r}")
            for cls in found:
                _admit(kind, cls, origin, catalogue)
        except (Exception, SystemExit) as error:
            reason = f"hook {GROUP}_{kind}: {_reason(error)}"
            if origin.is_file:
                raise PluginError(f"--plugin {origin.distribution}: {reason}. Correct the file.") from error
            catalogue.problems.append(Problem(origin, reason))


def _admit(kind: str, cls: Any, origin: Origin, catalogue: Catalogue) -> None:
    """Put one class into the catalogue, or note why not."""
    reason = _unfit(kind, cls)
    if reason is not None:
        catalogue.problems.append(Problem(origin, reason))
        return
    names = catalogue.entries[kind]
    if (kind, cls.name) in catalogue.clashes:
        catalogue.problems.append(Problem(origin, f"{_singular(kind)} {cls.name!r} is claimed by others too"))
    elif cls.name in names:
        other = names[cls.name]
        if other.cls is cls:
            return
        message = (
            f"{_singular(kind).capitalize()} {cls.name!r} is claimed by {other.cls.__qualname__} of {other.origin} and "
            f"by {cls.__qualname__} of {origin}; neither is used. Uninstall one or rename its part."
        )
        del names[cls.name]
        catalogue.clashes[kind, cls.name] = message
        catalogue.problems += [Problem(one, message) for one in dict.fromkeys((other.origin, origin))]
    else:
        names[cls.name] = Entry(cls, origin)


def _key(entry: Entry, choice: Choice) -> tuple[type[Part], str]:
    """Return what tells choices of a part apart."""
    return entry.cls, repr((choice.parameters, choice.local))


def _names_files(value: Any) -> bool:
    """Say whether a part's parameters name files or folders."""
    if dataclasses.is_dataclass(value):
        return any(_names_files(getattr(value, one.name, None)) for one in dataclasses.fields(value) if one.init)
    if isinstance(value, Mapping):
        return any(map(_names_files, value.values()))
    return isinstance(value, Path) or (isinstance(value, list | tuple) and any(map(_names_files, value)))


def _unfit(kind: str, cls: Any) -> str | None:
    contract = KINDS[kind]
    if not inspect.isclass(cls) or not issubclass(cls, contract):
        return f"hook {GROUP}_{kind} returned {cls!r}; expected subclasses of segbench.{contract.__name__}"
    if not isinstance(getattr(cls, "name", None), str):
        return f"{cls.__qualname__} has no class attribute `name`"
    try:
        safe_name(cls.name, f"{_singular(kind)} of {cls.__qualname__}")
    except SegbenchError as error:
        return str(error)
    if "__dataclass_fields__" not in vars(cls):
        return f"{cls.__qualname__} is not a dataclass; its fields are its parameters, so decorate it with @dataclass"
    return None


def _singular(kind: str) -> str:
    return "study" if kind == "studies" else kind[:-1]


def _reason(error: BaseException) -> str:
    text = str(error) if isinstance(error, SegbenchError) else f"{type(error).__name__}: {error}"
    return text + _last_line(error)


def _last_line(error: BaseException) -> str:
    """Return `` (file:line)`` of the innermost frame, without a traceback."""
    if isinstance(error, SegbenchError | SyntaxError):  # a syntax error says itself where it is
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
