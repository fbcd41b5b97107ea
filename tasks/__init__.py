"""spare-tire: a wheel factory. One module per stage; see ``docs/`` for how they fit together."""

import gc

gc.set_threshold(100_000)  # to look for garbage among what is imported takes a fifteenth of the time of a short stage
