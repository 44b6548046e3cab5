"""Tokens as the bytes that they stand for, so that the tokens of two models can be compared."""

from datakit.tokens.answer import Answer, locate, row_of
from datakit.tokens.sampled import SampledReader
from datakit.tokens.vocabulary import Vocabulary, token_bytes

__all__ = ["Answer", "SampledReader", "Vocabulary", "locate", "row_of", "token_bytes"]
