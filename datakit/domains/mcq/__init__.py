"""Multiple choice: one of the choices is right, and an answer says which by its letter or its text."""
