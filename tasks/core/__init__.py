"""The nouns: frozen values and pure functions. Imports the standard library and ``packaging``, nothing else."""
