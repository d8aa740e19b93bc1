"""Fuzzing: foreign bytes of every sort, changed at random, given to whatever reads them.

``mutation`` changes values, ``parsers`` lists what reads text and data, ``image`` and ``methods``
put damaged items under the methods of a store, ``__main__`` runs and counts.
"""
