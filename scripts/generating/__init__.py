"""The files of this repository that are made from the code: pages, the key chart, stored items.

Each module has `files()`, the text of its files by their path. ``__main__`` writes them.
"""
