"""What a person sees in a terminal. Files here get data, and ask no run anything."""
