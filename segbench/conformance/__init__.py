"""Named checks for each kind of part, chosen from what the part declares: what every plugin can rely on being told.

``check_part`` runs them all on one part with its default parameters and says for each whether it holds; nothing here
stops at the first fault. Networks and methods are the only ones for which torch is loaded.
"""

from __future__ import annotations

from segbench.conformance.common import Check, CheckResult, Subject, run_checks
from segbench.errors import UsageError, did_you_mean
from segbench.host import KINDS, Catalogue

__all__ = ["Check", "CheckResult", "check_part", "checks_for"]


def checks_for(kind: str) -> list[Check]:
    """Return the checks for a kind of part, each a function whose name says what it checks.

    Args:
        kind: "datasets", "networks", "methods", "decisions", "metrics", "studies", "priors", "figures" or
            "reporters".

    Raises:
        UsageError: if there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"There is no kind of part {kind!r}. {did_you_mean(kind, KINDS)}")
    from segbench.conformance import common

    checks = list(common.CHECKS)
    if kind == "datasets":
        from segbench.conformance import datasets

        checks += datasets.CHECKS
    elif kind == "networks":
        from segbench.conformance import networks

        checks += networks.CHECKS
    elif kind == "methods":
        from segbench.conformance import methods

        checks += methods.CHECKS
    elif kind == "decisions":
        from segbench.conformance import decisions

        checks += decisions.CHECKS
    elif kind == "metrics":
        from segbench.conformance import metrics

        checks += metrics.CHECKS
    elif kind == "priors":
        from segbench.conformance import priors

        checks += priors.CHECKS
    elif kind == "figures":
        from segbench.conformance import figures

        checks += figures.CHECKS
    elif kind == "reporters":
        from segbench.conformance import reporters

        checks += reporters.CHECKS
    elif kind == "studies":
        from segbench.conformance import studies

        checks += studies.CHECKS
    return checks


def check_part(catalogue: Catalogue, kind: str, name: str) -> list[CheckResult]:
    """Run every check on one part.

    Args:
        catalogue: where the part is.
        kind: as for ``checks_for``.
        name: of the part.

    Raises:
        UnknownName, PluginError: if there is no such part.
    """
    checks = checks_for(kind)
    return run_checks(Subject(kind, catalogue.entry(kind, name).cls, catalogue), checks)
