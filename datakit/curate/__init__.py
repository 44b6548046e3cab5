"""The inside of curation: which prompts are left out, and what each of them met. It sets `prompts.dropped` and nothing else."""

from datakit.curate.decide import Curated, Curator, curator

__all__ = ["Curated", "Curator", "curator"]
