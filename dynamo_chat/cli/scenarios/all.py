"""Every scenario, by the method's name in the catalogue. A new domain adds its module here."""

from __future__ import annotations

from typing import Final

from dynamo_chat.cli.scenarios.backups import BACKUPS
from dynamo_chat.cli.scenarios.calls import CALLS
from dynamo_chat.cli.scenarios.chat import CHAT
from dynamo_chat.cli.scenarios.identity import IDENTITY
from dynamo_chat.cli.scenarios.limits import LIMITS
from dynamo_chat.cli.scenarios.mail import MAIL
from dynamo_chat.cli.scenarios.messages import MESSAGES
from dynamo_chat.cli.scenarios.orgs import ORGS
from dynamo_chat.cli.scenarios.stage import Scenarios
from dynamo_chat.cli.scenarios.table import TABLE
from dynamo_chat.cli.scenarios.telemetry import TELEMETRY

SCENARIOS: Final[Scenarios] = {
    **CHAT,
    **MESSAGES,
    **IDENTITY,
    **ORGS,
    **MAIL,
    **LIMITS,
    **TELEMETRY,
    **CALLS,
    **TABLE,
    **BACKUPS,
}
