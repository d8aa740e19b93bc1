"""The store behind the frameworks that agents are built with.

Each module has an extra of its name, and imports its own framework alone. What a framework stores
are ordinary conversations and messages wherever these can hold it: listed, exported, erased and
expired like all others. Whatever else it needs is a kind of its own, which an application adds to
its store. Every adapter is made for one user, or takes who asks with each call.
"""
