"""Reward models behind URLs."""
