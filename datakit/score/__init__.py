"""The inside of the score stage: a judge's scores of what it has not scored yet."""
