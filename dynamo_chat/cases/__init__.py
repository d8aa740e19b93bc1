"""Example calls of every access pattern, with their result and cost.

Each method of the catalogue has a scenario: a function of the same name, with `_` for the dots, in
the module of its domain. It prepares the needed data, and yields a `Case` for each way of calling
the method that costs differently; it may prepare more in between. No list of scenarios is needed:

    def conversations_get(stage: Stage) -> Iterator[Case]:
        talk = stage.store.conversations.create(stage.fresh("user"))
        yield Case("", lambda: stage.store.conversations.get(talk.conversation_id))

Those of an application's own methods are in its own modules, which its store class names in
`cases`; ``stage.of(MyStore)`` is its store.

`stage` has their parts, `scenarios` finds them, `playing` runs and meters them and checks
each call against its method's declaration, and `words` describes results. The tests of the
catalogue, ``patterns --measure``, the demo, the fuzzing and the tests of policies all use them.
"""

from dynamo_chat.cases.stage import Case as Case, Stage as Stage
