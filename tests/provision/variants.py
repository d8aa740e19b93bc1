"""Definitions that, between them, use every option of a table."""

from dynamo_chat.provision.table import Capacity, TableDefinition

KEY = "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-1234-1234-123456789012"
MULTI_REGION_KEY = "arn:aws:kms:eu-west-1:123456789012:key/mrk-12345678123412341234123456789012"

VARIANTS = {
    "default": TableDefinition(),
    "tagged": TableDefinition(tags={"team": "chat", "stage": "prod"}),
    "aws-owned": TableDefinition(encryption_managed=False),
    "customer": TableDefinition(kms_key=KEY),
    "provisioned": TableDefinition(provisioned=Capacity((2, 20), (3, 30), 60), kms_key=KEY),
    "observed": TableDefinition(stream=True, contributor_insights=True, kms_key=KEY),
    "bare": TableDefinition(point_in_time_recovery=False, deletion_protection=False),
    "global": TableDefinition(replicas=("eu-central-1", "us-east-1"), contributor_insights=True),
    "global-provisioned": TableDefinition(
        replicas=("eu-central-1",),
        provisioned=Capacity(),
        kms_key=MULTI_REGION_KEY,
        tags={"team": "chat"},
    ),
    "global-fixed": TableDefinition(
        replicas=("eu-central-1", "us-east-1"),
        provisioned=Capacity((5, 5), (7, 7)),
        kms_key=MULTI_REGION_KEY,
    ),
}
