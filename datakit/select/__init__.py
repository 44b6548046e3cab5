"""The inside of the select stage: which answers become pairs and demos."""
