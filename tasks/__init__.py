"""spare-tire: a wheel factory. One module per stage; see ``docs/`` for how they fit together."""
