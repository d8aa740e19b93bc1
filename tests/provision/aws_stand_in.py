"""A stand-in for the ``aws`` command: tells what it was asked, and asks an engine if there is one.

It is run as a program of its own. ``AWS_STAND_IN_LOG`` names the file that it writes each call to,
as a line of JSON; ``AWS_STAND_IN_ANSWERS`` one with answers by ``service operation``. With
``AWS_ENDPOINT_URL``, calls of DynamoDB go there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import jmespath


def main(arguments: list[str]) -> int:
    """Answer one call of ``aws SERVICE OPERATION …``."""
    service, operation, *rest = arguments
    waiter = rest.pop(0) if operation == "wait" else None
    options = dict(zip(rest[::2], rest[1::2], strict=True))
    query, form = options.pop("--query", None), options.pop("--output", "json")
    request = _request(options)
    told = {"call": f"{service} {waiter or operation}", "request": request}
    with Path(os.environ["AWS_STAND_IN_LOG"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(told) + "\n")
    answers = json.loads(Path(os.environ["AWS_STAND_IN_ANSWERS"]).read_text("utf-8"))
    answer: Any = answers.get(told["call"], {})
    if service == "dynamodb" and "AWS_ENDPOINT_URL" in os.environ:
        import botocore.session  # takes longer than all the rest, and is seldom needed

        client: Any = botocore.session.Session().create_client("dynamodb")
        try:
            if waiter is not None:
                client.get_waiter(waiter.replace("-", "_")).wait(**request)
            else:
                answer = getattr(client, operation.replace("-", "_"))(**request)
        except client.exceptions.ClientError as error:
            sys.stderr.write(f"{error}\n")
            return 254
    if answer == "fails":
        return 254
    found = jmespath.search(query, answer) if query else answer
    sys.stdout.write(f"{_shown(found, form)}\n")
    return 0


def _request(options: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {}
    for name, value in options.items():
        content = Path(value[7:]).read_text("utf-8") if value.startswith("file://") else value
        if name == "--cli-input-json":
            request |= json.loads(content)
        else:
            words = name.removeprefix("--").split("-")
            request["".join(word.capitalize() for word in words)] = content
    return request


def _shown(found: Any, form: str) -> str:
    if form == "json":
        return json.dumps(found, default=str)
    if isinstance(found, list):
        return "\t".join(map(str, found))
    return str(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
