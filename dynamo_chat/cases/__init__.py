"""One worked call of every access pattern: what it shows, what it gives, and what it costs.

Each method of the catalogue has a scenario: a function of the same name, with `_` for the dots, in
the module of its domain. It prepares what the method needs, and yields a `Case` for each way of
calling it that costs differently; it may prepare more in between. Nothing lists the scenarios:

    def conversations_get(stage: Stage) -> Iterator[Case]:
        talk = stage.store.conversations.create(stage.fresh("user"))
        yield Case("", lambda: stage.store.conversations.get(talk.conversation_id))

`stage` has what scenarios are made of, `scenarios` finds them, `playing` meters them and holds each
call to what its method declares, and `words` says what a call gave. The tests of the catalogue,
``patterns --measure``, the demo, the fuzzing and the tests of policies all play these.
"""
