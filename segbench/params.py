"""Parameters of parts: dataclass fields <-> ``--set key=value`` <-> JSON.

Conversion and type checks are msgspec's; names, ranges and messages are ours. Text is parsed, never evaluated.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

from segbench.errors import UnknownName, UsageError, did_you_mean

T = TypeVar("T")


def parameter(
    default: Any,
    help: str,  # noqa: A002 - the word users see
    *,
    low: float | None = None,
    high: float | None = None,
    content: bool = True,
) -> Any:
    """Declare a parameter of a part: a dataclass field with a default, one sentence of help and an optional range.

    Args:
        default: immutable default value.
        help: one sentence with the unit.
        low: smallest value allowed (of each element for tuples).
        high: largest value allowed.
        content: False if the value does not change results (a path, a number of worker processes); such
            parameters stay out of a run's identity.
    """
    metadata = {"help": help, "low": low, "high": high, "content": content}
    return dataclasses.field(default=default, metadata=metadata)


def parse_assignments(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """Turn ``["dataset.cases=8", "recipe.augmentation.flip=true"]`` into nested dictionaries of texts.

    Raises:
        UsageError: if an assignment has no ``=`` or no dot.
    """
    nested: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        path = key.strip().split(".")
        if not equals or len(path) < 2 or not all(path):
            raise UsageError(
                f"--set {assignment!r}: expected PART.KEY=VALUE such as dataset.cases=8 "
                f"(PART is dataset, unlabelled, network, method, recipe or metric)."
            )
        branch: dict[str, Any] = nested
        for step in path[:-1]:
            inner = branch.setdefault(step, {})
            if not isinstance(inner, dict):
                raise UsageError(f"--set {assignment!r}: {step!r} was already given a value.")
            branch = inner
        if isinstance(branch.get(path[-1]), dict):
            raise UsageError(f"--set {assignment!r}: {path[-1]!r} was already given parameters of its own.")
        branch[path[-1]] = value.strip()
    return nested


def make(cls: type[T], values: Mapping[str, Any], owner: str) -> T:
    """Construct a dataclass from texts or JSON values.

    Args:
        cls: a dataclass whose init fields are its parameters.
        values: field name -> text (``"8"``, ``"1,1,2"``, ``"none"``) or JSON value; nested mappings for fields that
            are dataclasses themselves.
        owner: how messages call it, e.g. ``dataset heads``.

    Raises:
        UnknownName: for a key that is no field.
        UsageError: for a value of the wrong type or out of range, or values that the part itself refuses with a
            ValueError.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{owner}: expected parameters by name (KEY=VALUE), found {values!r}.")
    hints = _hints(cls)  # type: ignore[arg-type] # a class is hashable
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            raise UnknownName(f"{owner} has no parameter {key!r}. {did_you_mean(key, fields)}")
        arguments[key] = _convert(value, hints[key], fields[key], f"{owner}: {key}")
    try:
        return cls(**arguments)
    except TypeError as error:
        missing = sorted(
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
            and name not in arguments
        )
        if missing:
            raise UsageError(f"{owner} needs {', '.join(missing)}; set with --set.") from error
        raise
    except ValueError as error:
        raise UsageError(f"{owner}: {error}") from error


@functools.lru_cache(maxsize=1024)
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of a part's fields; finding them anew takes most of the time of a thousand cells."""
    return typing.get_type_hints(cls, include_extras=True)


def _convert(value: Any, hint: Any, field: dataclasses.Field[Any], where: str) -> Any:
    import msgspec

    options = [hint] if typing.get_origin(hint) not in (typing.Union, UnionType) else list(typing.get_args(hint))
    nested: list[Any] = [option for option in options if dataclasses.is_dataclass(option)]
    if nested and not isinstance(value, nested[0]) and (isinstance(value, Mapping) or len(options) == 1):
        return make(nested[0], value, where)
    try:
        prepared = _from_text(value, options) if isinstance(value, str) else value
        converted = msgspec.convert(prepared, hint, strict=False, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError, TypeError, NotImplementedError, RecursionError) as error:
        raise UsageError(f"{where}: expected {describe_type(hint)}, found {value!r}.") from error
    _check_range(converted, field, where)
    return converted


def _from_text(text: str, options: list[Any]) -> Any:
    """Prepare a command-line text for msgspec: ``none`` and comma lists; everything else stays text."""
    if text.lower() in ("none", "null", "") and type(None) in options:
        return None
    if sequences := [option for option in options if typing.get_origin(option) in (tuple, list)]:
        if text.startswith("["):
            import json

            return json.loads(text)
        if {int, float} & set(typing.get_args(sequences[0])):
            text = text.replace("x", ",")  # 64x64x32
        return [part.strip() for part in text.split(",") if part.strip()]
    if any(typing.get_origin(option) in (dict, Mapping) for option in options):
        import json

        return json.loads(text)
    if Path in options:
        return Path(text)
    return text


def _decode(hint: type, value: Any) -> Any:
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise NotImplementedError


def _check_range(value: Any, field: dataclasses.Field[Any], where: str) -> None:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    elements = value if isinstance(value, tuple | list) else [value]
    for element in elements:
        if not isinstance(element, int | float) or isinstance(element, bool):
            continue
        finite = isinstance(element, int) or math.isfinite(element)
        if not finite or (low is not None and element < low) or (high is not None and element > high):
            bounds = f"from {low}" if high is None else f"up to {high}" if low is None else f"between {low} and {high}"
            bounds = bounds if (low, high) != (None, None) else "that is finite"
            raise UsageError(f"{where}: expected a value {bounds}, found {element}.")


def describe_type(hint: Any) -> str:
    """Return a type hint in a user's words, e.g. ``three numbers such as 1,1,2.5``."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return " or ".join(describe_type(option) for option in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(option) for option in arguments)
    if origin in (tuple, list):
        element = describe_type(arguments[0]) if arguments else "values"
        count = "comma-separated" if not arguments or arguments[-1] is ... or origin is list else str(len(arguments))
        return f"{count} values, each {element}"
    if hint is type(None):
        return "none"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return plain.get(hint, str(getattr(hint, "__name__", hint)))


def describe(cls: type[Any]) -> list[tuple[str, str, Any, str]]:
    """Return ``(key, type in words, default, help)`` for each parameter of a part, nested ones with dotted keys."""
    hints = typing.get_type_hints(cls, include_extras=True)
    rows = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            rows += [
                (f"{field.name}.{key}", kind, default, text)
                for key, kind, default, text in describe(typing.cast("type[Any]", hint))
            ]
            continue
        default = "required" if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        rows.append((field.name, describe_type(hint), default, field.metadata.get("help", "")))
    return rows


def to_json(part: Any, *, content_only: bool = False) -> dict[str, Any]:
    """Return the parameters of a part as JSON values.

    Args:
        part: a dataclass instance.
        content_only: leave out parameters declared with ``content=False``.
    """
    return {
        field.name: _jsonable(getattr(part, field.name), content_only)
        for field in dataclasses.fields(part)
        if field.init and (not content_only or field.metadata.get("content", True))
    }


def _jsonable(value: Any, content_only: bool) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value, content_only=content_only)
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item, content_only) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_jsonable(item, content_only) for item in value]
    return str(value) if isinstance(value, Path) else value


def changes(part: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters that differ from their defaults, as JSON values: those that can change results, the others.

    A parameter declared with ``content=False`` is among the others. So is a file, which counts with the digest of its
    bytes instead: where it lies does not matter, what it holds does. Of parameters within a parameter likewise only
    those that differ.
    """
    content: dict[str, Any] = {}
    local: dict[str, Any] = {}
    for field in sorted(dataclasses.fields(part), key=lambda field: field.name):
        value = getattr(part, field.name, None)
        if not field.init or _is_default(value, field):
            continue
        if _is_part(value, field):
            inner = changes(value)
            content |= {field.name: inner[0]} if inner[0] else {}
            local |= {field.name: {**inner[0], **inner[1]}} if inner[1] else {}
            continue
        full, reduced = _jsonable(value, False), _jsonable(value, True)
        if isinstance(value, Path):  # for another day, from another folder
            full = str(value.expanduser().absolute())
        if isinstance(value, Path) and value.is_file():
            reduced = f"sha256:{hashlib.sha256(value.read_bytes()).hexdigest()[:16]}"
        if not field.metadata.get("content", True):
            local[field.name] = full
            continue
        content[field.name] = reduced
        if full != reduced:
            local[field.name] = full
    return content, local


def _is_part(value: Any, field: dataclasses.Field[Any]) -> bool:
    """Say whether a value holds parameters of its own whose defaults are those of its class."""
    made: Any = field.default_factory
    return dataclasses.is_dataclass(value) and made is type(value)


def _is_default(value: Any, field: dataclasses.Field[Any]) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(_jsonable(value, False) == _jsonable(field.default_factory(), False))
    return field.default is not dataclasses.MISSING and bool(_jsonable(value, False) == _jsonable(field.default, False))


def has_parameter(part: Any, name: str) -> bool:
    """Say whether a part declares a parameter of this name."""
    return any(field.init and field.name == name for field in dataclasses.fields(part))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested values with those of ``over`` in place of ``base``'s, key by key."""
    both = dict(base)
    for key, value in over.items():
        inner = both.get(key)
        both[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values with dotted keys, in their order."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def fingerprint(value: Any) -> str:
    """Return the SHA-256 hex digest of the canonical JSON (sorted keys, no spaces) of a JSON value."""
    import json

    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
