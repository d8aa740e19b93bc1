"""Messages in the formats of model APIs, both ways. Pure functions: nothing is requested.

    openai_messages(stored)              for OpenAI's chat completions, and what is compatible
    from_openai_messages(theirs)         -> NewMessage values to append
    openai_items / from_openai_items     for OpenAI's responses API
    anthropic_messages / from_anthropic_messages
    message_dicts / from_message_dicts   everything a message says, as plain JSON

What a format says and a message has no field for is kept in its `metadata`, under the names of
`shared`, so that it comes back in the same format exactly, and in the others as they say it.
"""
