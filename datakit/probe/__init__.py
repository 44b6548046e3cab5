"""The probe stage: how models read texts, as the likeliest tokens at each place."""
