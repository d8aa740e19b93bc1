"""Every scenario, by the method's name in the catalogue. A new domain adds its module here."""

from __future__ import annotations

from typing import Final

from dynamo_chat.cases.backups import BACKUPS
from dynamo_chat.cases.calls import CALLS
from dynamo_chat.cases.chat import CHAT
from dynamo_chat.cases.identity import IDENTITY
from dynamo_chat.cases.limits import LIMITS
from dynamo_chat.cases.mail import MAIL
from dynamo_chat.cases.messages import MESSAGES
from dynamo_chat.cases.orgs import ORGS
from dynamo_chat.cases.stage import Scenarios
from dynamo_chat.cases.table import TABLE
from dynamo_chat.cases.telemetry import TELEMETRY

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
