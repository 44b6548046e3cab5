"""Curation: which prompts are left out, and why. It sets `prompts.dropped` and nothing else."""

from datakit.curate.decide import Curated, Curator, curator

__all__ = ["Curated", "Curator", "curator"]
