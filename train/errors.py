"""The one error of `train`: something the user gave, or something that is not installed."""


class TrainError(Exception):
    """`str(error)` is the whole message for the user: what is wrong, where, and the next step. Exit status 2."""
