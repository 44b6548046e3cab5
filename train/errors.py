"""The one error of `train`: bad input, or a missing package."""


class TrainError(Exception):
    """An error whose text is the whole message for the user: what is wrong, where, and the next step. Exit status 2."""
