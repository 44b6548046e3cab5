"""Describe what is in a run or an export."""
