"""The table as a construct for AWS CDK. Needs the extra: ``pip install 'dynamo_chat[cdk]'``.

    chat = ChatTable(stack, "Chat", table_name="chat-prod")
    chat.table.grant_stream_read(function)

The construct has the resources of the CloudFormation template, so the two can't differ.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from aws_cdk import CfnResource, aws_dynamodb as dynamodb
from aws_cdk.cloudformation_include import CfnInclude
from constructs import Construct

from dynamo_chat.core.layout import GSI1, GSI2
from dynamo_chat.provision.cloudformation import TABLE, cloudformation
from dynamo_chat.provision.definition import TableDefinition


class ChatTable(Construct):
    """The table, its indexes and its settings, in a stack."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        table_name: str,
        definition: TableDefinition | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        wanted = definition or TableDefinition()
        template = cloudformation(wanted, table_name)
        del template["Outputs"], template["Description"]  # the stack defines those
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "table.json")
            file.write_text(json.dumps(template), encoding="utf-8")
            # Logical ids are renamed, so that a stack may hold several tables.
            included = CfnInclude(
                self, "Template", template_file=str(file), preserve_logical_ids=False
            )
        self.resource: CfnResource = included.get_resource(TABLE)
        """The table as CloudFormation has it."""
        self.table: dynamodb.ITable = dynamodb.Table.from_table_attributes(
            self,
            "Table",
            table_arn=self.resource.get_att("Arn").to_string(),
            table_stream_arn=(
                self.resource.get_att("StreamArn").to_string() if wanted.has_stream else None
            ),
            global_indexes=[GSI1.index, GSI2.index],
        )
        """The table to grant access to, to read the stream of, to make metrics of."""
