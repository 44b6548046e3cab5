"""How one build is run beside its recipe, and the names of the stages."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple, get_args

from datakit.errors import BadInput
from datakit.signals import Signals

Stage = Literal["collect", "sample", "verify", "score", "select", "probe", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Shard(NamedTuple):
    """One of n parts of the prompts, by a hash of their messages: prompts that ask the same are in one."""

    number: int
    """From 0 to n - 1."""
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of "0/4". BadInput for what is none."""
        number, _, n = text.partition("/")
        if not (number.isdecimal() and n.isdecimal() and int(number) < int(n)):
            raise BadInput(f"--shard {text}: write it as I/N, the first of four as 0/4 and the last as 3/4")
        return cls(int(number), int(n))


@dataclass(frozen=True)
class Options:
    """How one build is run, beside its recipe."""

    until: Stage = "export"
    _: KW_ONLY
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
    shard: Shard | None = None
    """Ask only the prompts of this one; the others stand in the run as dropped."""

    cluster: str | None = None
    """The address of a Ray cluster that verifies and scores, where it is not that of the recipe."""

    mirror: str | None = None
    """The URL to which the run is copied while it is built, where it is not that of the recipe."""

    def __post_init__(self) -> None:
        if self.shard is not None and self.until in ("select", "export"):
            raise BadInput(
                "--shard: pairs are selected over all prompts; give --until sample (verify, score), datakit merge the shards, "
                "and build on in the merged run"
            )

    def mirror_url(self, of_recipe: str | None) -> str | None:
        """Where the run is mirrored; shards that share a recipe have places of their own."""
        if self.mirror is not None or of_recipe is None or self.shard is None:
            return self.mirror or of_recipe
        return f"{of_recipe.rstrip('/')}/shards/{self.shard.number}"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that are to run, in order."""
        return STAGES[: STAGES.index(self.until) + 1]
