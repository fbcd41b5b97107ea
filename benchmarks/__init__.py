"""What spare-tire costs, beside its peers in one run. ``nox -s bench`` runs them; a bench is a module with ``main``."""
