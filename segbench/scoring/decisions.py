"""A chain of decisions: the first makes labels of probabilities, each further one refines them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segbench.contracts import Decision
from segbench.errors import Incompatible, PluginError, UsageError
from segbench.host import Catalogue, Origin, blame
from segbench.params import changes, fingerprint, flattened
from segbench.types import Choice, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JOIN = "+"


@dataclass(frozen=True)
class Chain:
    """Decisions in the order in which they are applied.

    Attributes:
        decisions: at least one.
        origins: the plugin of each, named when it fails.
        text: as boards show it, e.g. ``one+another`` or ``one(value=0.3)``; "" for the default alone.
        key: digest of names, versions, parameters and edited code: another key is another prediction.
    """

    decisions: tuple[Decision, ...]
    origins: tuple[Origin, ...]
    text: str
    key: str

    @property
    def needs_probabilities(self) -> bool:
        """Whether label maps are not enough."""
        return any(decision.needs_probabilities for decision in self.decisions)

    @property
    def variant(self) -> str:
        """What the decision adds to a row's variant."""
        return f"decision={self.text}" if self.text else ""

    def decide(self, probabilities: NDArray[np.floating[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return the label map ``(*S)`` of probabilities ``(K, *S)``.

        Raises:
            PluginError: a decision failed, or gave something else than labels of this shape.
        """
        first, origin = self.decisions[0], self.origins[0]
        with blame(origin, f"deciding by {first.name}"):
            labels = _checked(first.decide(probabilities, task), probabilities.shape[1:], task, first)
        return self._refined(labels, task, self.decisions[1:], self.origins[1:])

    def refine(self, labels: NDArray[np.integer[Any]], task: Task) -> NDArray[np.integer[Any]]:
        """Return what the chain makes of a label map ``(*S)``.

        Raises:
            Incompatible: a decision needs probabilities.
            PluginError: as ``decide``.
        """
        if self.needs_probabilities:
            names = ", ".join(decision.name for decision in self.decisions if decision.needs_probabilities)
            raise Incompatible(f"Decision {names} needs probabilities, and there are only label maps.")
        return self._refined(labels, task, self.decisions, self.origins)

    @staticmethod
    def _refined(
        labels: NDArray[np.integer[Any]], task: Task, decisions: Sequence[Decision], origins: Sequence[Origin]
    ) -> NDArray[np.integer[Any]]:
        for decision, origin in zip(decisions, origins, strict=True):
            with blame(origin, f"refining by {decision.name}"):
                labels = _checked(decision.refine(labels, task), labels.shape, task, decision)
        return labels


def _checked(labels: Any, shape: tuple[int, ...], task: Task, decision: Decision) -> NDArray[np.integer[Any]]:
    import numpy as np

    array: NDArray[Any] = np.asarray(labels)
    count = len(task.labels)
    if array.dtype.kind not in "iu" or array.shape != shape:
        found = f"{array.dtype} of shape {array.shape}"
        raise PluginError(f"Decision {decision.name}: expected whole numbers of shape {shape}, found {found}.")
    if array.size and not (int(array.min()) >= 0 and int(array.max()) < count):
        found = f"{array.min()} to {array.max()}"
        raise PluginError(f"Decision {decision.name}: expected labels 0 to {count - 1}, found {found}.")
    return array


def chain_of(choices: Sequence[Choice], catalogue: Catalogue) -> Chain:
    """Return the chain that choices name; the default decision if there are none.

    Raises:
        UnknownName, UsageError: a decision or parameter that does not exist.
        Incompatible: a decision other than the first needs probabilities.
    """
    default = not choices
    chosen = [catalogue.settle("decisions", choice) for choice in choices] or [Choice(catalogue.default("decisions"))]
    decisions = tuple(catalogue.decision(choice) for choice in chosen)
    for decision in decisions[1:]:
        if decision.needs_probabilities:
            raise Incompatible(
                f"Decision {decision.name} needs probabilities, so it must come first; "
                f"{decisions[0].name} before it leaves labels only."
            )
    default |= chosen == [Choice(catalogue.default("decisions"))]
    entries = [catalogue.entry("decisions", choice.name) for choice in chosen]
    codes = [catalogue.code("decisions", choice.name) for choice in chosen]
    identity = [[one.name, one.version, changes(one)[0], code] for one, code in zip(decisions, codes, strict=True)]
    text = "" if default else JOIN.join(map(_text, decisions))
    return Chain(decisions, tuple(entry.origin for entry in entries), text, fingerprint(identity)[:12])


def _text(decision: Decision) -> str:
    """Return a decision in one word: name, version if it is not the first, changed parameters."""
    values = flattened(changes(decision)[0]).items()
    inside = ",".join(f"{key}={json.dumps(value, separators=(',', ':'))}" for key, value in values)
    version = "" if decision.version == "1" else f"@{decision.version}"
    return decision.name + version + (f"({inside})".replace(" ", "_") if inside else "")


def chain_named(names: str | Sequence[str] | None, parameters: dict[str, Any] | None = None) -> tuple[Choice, ...]:
    """Return the chain that ``--decision``, given once or several times, names; () if it is not given.

    Args:
        names: ``ONE+ANOTHER``, or such texts, whose decisions come one after the other.
        parameters: decision -> parameters, from ``--set decision.NAME.KEY=VALUE``.

    Raises:
        UsageError: parameters without a decision; see ``parse_chain``.
    """
    texts = [names] if isinstance(names, str) else list(names or ())
    if texts:
        return parse_chain(JOIN.join(texts), parameters)
    if parameters:
        raise UsageError("--set decision.…: of which decision? Name it with --decision.")
    return ()


def parse_chain(text: str, parameters: dict[str, Any] | None = None) -> tuple[Choice, ...]:
    """Return the choices of ``ONE+ANOTHER``, each with its parameters from ``--set decision.NAME.KEY=VALUE``.

    Raises:
        UsageError: an empty name, or parameters of a decision that is not in the chain.
    """
    names = [name.strip() for name in text.split(JOIN)]
    if not all(names):
        raise UsageError(f"--decision {text!r}: expected NAME or NAME{JOIN}NAME; `segbench list decisions`.")
    given = parameters or {}
    for name, values in given.items():
        if name not in names:
            raise UsageError(f"--set decision.{name}.…: {name} is not in the chain {text}.")
        if not isinstance(values, dict):
            raise UsageError(f"--set decision.{name}: expected parameters by name (decision.{name}.KEY=VALUE).")
    return tuple(Choice(name, given.get(name, {})) for name in names)
