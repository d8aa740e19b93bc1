"""Every table, index and query of the e-mail service's document has a method that replaces it.

The list is the document's own, in its order. What a method `replaces` goes into the generated page
of access patterns, where somebody who has those tables looks it up.
"""

import pytest

from dynamo_chat.catalogue import catalogue

DOCUMENTED = [
    ("users.create", "Users", "PutItem"),
    ("users.get", "Users", "id-index"),
    ("users.get_by_response_email", "Users", "responseEmail-index"),
    ("activity.list_by_user", "Users", "userId-createdAt-index"),
    ("emails.add", "Conversations", ""),
    ("emails.list_by_account", "Conversations", "associated_account-index"),
    ("emails.list_by_first_email", "Conversations", "associated_account-is_first_email-index"),
    ("emails.list_by_conversation", "Conversations", "conversation_id-index"),
    ("emails.get", "Conversations", "PK + SK"),
    ("emails.get_by_message_id", "Conversations", "message_id-index"),
    ("emails.get_by_response_id", "Conversations", "response_id-index"),
    ("emails.move", "Conversations", "status"),
    ("threads.get", "Threads", "conversation_id-index"),
    ("threads.update", "Threads", "PK"),
    ("threads.list_by_account", "Threads", "associated_account index"),
    ("organizations.create", "Organizations", "PutItem"),
    ("organizations.get", "Organizations", "partition key"),
    ("organizations.update_settings", "Organizations", "settings"),
    ("organizations.update_billing", "Organizations", "billing"),
    ("organizations.count_usage", "Organizations", "billing.usage"),
    ("members.add", "OrganizationMembers", "PutItem"),
    ("members.get", "OrganizationMembers", "partition and sort key"),
    ("members.list_by_organization", "OrganizationMembers", "partition key"),
    ("members.list_by_user", "OrganizationMembers", "user_id-index"),
    ("invites.create", "OrganizationInvites", "PutItem"),
    ("invites.get", "OrganizationInvites", "partition key"),
    ("invites.list_by_address", "OrganizationInvites", "email-index"),
    ("invites.get_by_token", "OrganizationInvites", "invite_token-index"),
    ("invites.list_by_organization", "OrganizationInvites", "organization_id-index"),
    ("invites.accept", "OrganizationInvites", "accepted_at"),
    ("logins.create", "Sessions", "ttl"),
    ("logins.get", "Sessions", "partition key"),
    ("logins.touch", "Sessions", "last_activity"),
    ("logins.list_active", "find active sessions", "is_active"),
    ("rate_limits.count", "RL_AI", "RL_AWS"),
    ("rate_limits.get", "RL_AI, RL_AWS", "associated_account-index"),
    ("rate_limits.block", "RL_AI", "blocked_until"),
    ("rate_limits.record_throttle", "RL_AWS", "throttled_requests"),
    ("scores.record", "EVDataCollection", "PK"),
    ("scores.latest", "EVDataCollection", "conversation_id-index"),
    ("llm.record", "LLMDataCollection", ""),
    ("llm.list_by_conversation", "LLMDataCollection", "conversation_id-index"),
    ("reports.build", "LLMReportData", ""),
    ("reports.get", "LLMReportData", "report_id-index"),
    ("invocations.record", "Invocations", ""),
    ("invocations.list_by_account", "Invocations", "associated_account-index"),
    ("invocations.get", "Invocations", "id-index"),
    ("users.get_by_email", "user authentication", "find user by email"),
    ("emails.list_by_conversation", "get all messages in a conversation", ""),
    ("emails.list_by_account", "get all conversations for an account", ""),
]


@pytest.mark.parametrize(("method", "table", "what"), DOCUMENTED)
def test_a_documented_index_or_query_has_its_method(method: str, table: str, what: str) -> None:
    (entry,) = [each for each in catalogue() if each.method == method]
    assert table in entry.replaces
    assert what in entry.replaces
