"""The table as a CDK app."""

from __future__ import annotations

from typing import Final

from dynamo_chat.core.errors import InvalidArgument
from dynamo_chat.provision.definition import TableDefinition
from dynamo_chat.provision.naming import logical_name

_CDK_APP: Final = '''\
"""The table {name} in a stack. Needs: pip install 'dynamo_chat[cdk]'."""

from aws_cdk import App, CfnOutput, Stack

from dynamo_chat.provision.cdk import ChatTable
from dynamo_chat.provision.table import {names}

app = App()
stack = Stack(app, "{stack}")
chat = ChatTable(
    stack,
    "Chat",
    table_name="{name}",
    definition={definition!r},
)
CfnOutput(stack, "TableName", value=chat.table.table_name)
CfnOutput(stack, "TableArn", value=chat.table.table_arn)
app.synth()
'''


def cdk_app(definition: TableDefinition, table_name: str) -> str:
    """The program, with the construct of the extra `cdk`; a dataclass's repr is how it is made."""
    used = ["TableDefinition"] + (["Capacity"] if definition.provisioned else [])
    stack = logical_name(table_name)
    if not stack[:1].isalpha():
        raise InvalidArgument(
            "table name", "must begin with a letter, because the stack is named after it"
        )
    return _CDK_APP.format(
        names=", ".join(sorted(used)), definition=definition, name=table_name, stack=stack
    )
