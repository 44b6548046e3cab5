"""How one build is run beside its recipe, and the names of the stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from datakit.signals import Signals

Stage = Literal["collect", "sample", "verify", "score", "select", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Options:
    """How one build is run, beside its recipe."""

    until: Stage = "export"
    limit: int | None = None
    """Keep only the first so many prompts; those that are dropped do not count."""
    resample: bool = False
    """Go on in a run whose sampled settings differ; its old rows stay."""
    retry_failures: bool = False
    """Ask again also for what failed for good."""
    keep_going: bool = False
    """A source that cannot be used, or a spent budget, ends its own sampling only; what there is goes through all stages."""
    grace_s: float = 20.0
    """How long answers on their way are waited for when the build is to end."""
    recipe_select: bool = False
    """Select by the recipe's own rule, where `datakit select --set` has changed that of the run."""
    selfcheck: bool = False
    """Check the reward models first, on the devices that they will run on."""
    signals: Signals = field(default_factory=Signals)
    report: bool = False
    """At the end also count what the report's plots are drawn of."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are to run, in order."""
        return STAGES[: STAGES.index(self.until) + 1]
