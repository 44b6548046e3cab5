"""Reward models on this machine; torch is imported only here."""
