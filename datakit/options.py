"""The options of one build, which its recipe does not hold, and the names of the stages."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple, get_args

from datakit.errors import BadInput
from datakit.signals import Signals

Stage = Literal["collect", "sample", "verify", "score", "select", "probe", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Shard(NamedTuple):
    """One of n parts of the prompts, chosen by a hash of their messages: equal prompts are in the same part."""

    number: int
    """From 0 to n - 1."""
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse "0/4". Raise BadInput if `text` is not of that form."""
        number, _, n = text.partition("/")
        if not (number.isdecimal() and n.isdecimal() and int(number) < int(n)):
            raise BadInput(f"--shard {text}: write it as I/N, the first of four as 0/4 and the last as 3/4")
        return cls(int(number), int(n))


@dataclass(frozen=True)
class Options:
    """The options of one build, which its recipe does not hold."""

    until: Stage = "export"
    _: KW_ONLY
    limit: int | None = None
    """Keep only this many prompts, the first ones; dropped prompts do not count."""
    resample: bool = False
    """Go on in a run whose sampling settings differ; its old rows stay."""
    retry_failures: bool = False
    """Also retry what failed for good."""
    keep_going: bool = False
    """Let an unusable source or a spent budget end only its own sampling; the rows so far go through all stages."""
    grace_s: float = 20.0
    """Seconds to wait for answers in flight when the build is to end."""
    recipe_select: bool = False
    """Select by the recipe's own rule if `datakit select --set` has changed the rule of the run."""
    selfcheck: bool = False
    """First check the reward models, on the devices that they will run on."""
    signals: Signals = field(default_factory=Signals)
    report: bool = False
    """At the end, also compute the data of the report's plots."""
    shard: Shard | None = None
    """Ask only the prompts of this shard; the others are in the run as dropped."""

    cluster: str | None = None
    """The address of the Ray cluster that verifies and scores; None for the one of the recipe."""

    mirror: str | None = None
    """The URL to which the run is copied while it is built; None for the one of the recipe."""

    def __post_init__(self) -> None:
        if self.shard is not None and self.until in ("select", "export"):
            raise BadInput(
                "--shard: pairs are selected over all prompts; give --until sample (verify, score), datakit merge the shards, "
                "and build on in the merged run"
            )

    def mirror_url(self, of_recipe: str | None) -> str | None:
        """Return the URL of the run's mirror; shards that share a recipe get one folder each."""
        if self.mirror is not None or of_recipe is None or self.shard is None:
            return self.mirror or of_recipe
        return f"{of_recipe.rstrip('/')}/shards/{self.shard.number}"

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages to run, in order."""
        return STAGES[: STAGES.index(self.until) + 1]
