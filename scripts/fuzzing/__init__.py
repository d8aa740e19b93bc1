"""Fuzzing: random changes of data from outside, given to everything that reads it.

``mutation`` changes values, ``parsers`` lists what reads text and data, ``image`` and ``methods``
run the methods of a store on damaged items, ``__main__`` runs and counts.
"""
