"""Organizations, members and invites behave as a few dictionaries would."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dynamo_chat import Invite, IssuedInvite
from dynamo_chat.core.errors import (
    AlreadyExists,
    IllegalTransition,
    LimitExceeded,
    NotFound,
)
from dynamo_chat.testing import Engine
from tests.machines import walks
from tests.scene import Scene

ROLES = ["owner", "admin", "member", "viewer"]
STATUSES = ["active", "active", "inactive", "pending"]
orgs = st.sampled_from(["1", "2"])
people = st.sampled_from(["ann", "bob", "carl", "dora"])
roles = st.sampled_from(ROLES)
statuses = st.sampled_from(STATUSES)


@dataclass
class Team:
    """What the model knows of one organization: members by user, invites by id."""

    members: dict[str, tuple[str, str]]
    """Role and status."""
    max_users: int | None = None
    invites: dict[str, str] = field(default_factory=dict)
    """Status as last written."""

    def refuses(self, user: str, after: tuple[str, str] | None) -> type[Exception] | None:
        """Why this user cannot become that, if so."""
        members = {**self.members, user: after}
        kept = {u: m for u, m in members.items() if m is not None}
        grows = self.seats(kept) > self.seats(self.members)
        if grows and self.max_users is not None and self.seats(kept) > self.max_users:
            return LimitExceeded
        shrinks = self.owners(kept) < self.owners(self.members)
        return IllegalTransition if shrinks and self.owners(kept) < 1 else None

    @staticmethod
    def seats(members: dict[str, tuple[str, str]]) -> int:
        return sum(status != "inactive" for _, status in members.values())

    @staticmethod
    def owners(members: dict[str, tuple[str, str]]) -> int:
        return sum(member == ("owner", "active") for member in members.values())


class OrganizationMachine(RuleBasedStateMachine):
    """Random calls on the store and on the model, compared after each."""

    issued = Bundle("issued")

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene, self.store = scene, scene.store
        self.run = uuid4().hex[:8]
        self.model: dict[str, Team] = {}
        for person in ("ann", "bob", "carl", "dora"):
            self.store.users.create(f"{person}@{self.run}.example", user_id=self.named(person))

    def named(self, name: str) -> str:
        return f"{self.run}-{name}"

    def expect(self, error: type[Exception] | None, call: Any) -> Any:
        """What the call returns, if the model expects it to; the error otherwise."""
        if error is None:
            return call()
        with pytest.raises(error):
            call()
        return None

    @rule(org=orgs, person=people)
    def create(self, org: str, person: str) -> None:
        error = AlreadyExists if org in self.model else None
        if org in self.model and self.model[org].members.get(person, ("",))[0] == "owner":
            error = None  # the same owner gets what is there
            if self.model[org].max_users is not None:
                error = AlreadyExists  # it says something else by now
        self.expect(
            error,
            lambda: self.store.organizations.create(
                "Acme", self.named(person), organization_id=self.named(org)
            ),
        )
        if error is None:
            self.model.setdefault(org, Team({person: ("owner", "active")}))

    @rule(org=orgs, limit=st.none() | st.integers(1, 4))
    def limit(self, org: str, limit: int | None) -> None:
        team = self.model.get(org)
        error: type[Exception] | None = NotFound
        if team is not None:
            fits = limit is None or team.seats(team.members) <= limit
            error = None if fits else LimitExceeded
        self.expect(
            error,
            lambda: self.store.organizations.update_settings(self.named(org), max_users=limit),
        )
        if team is not None and error is None:
            team.max_users = limit

    @rule(org=orgs, person=people, role=roles, status=statuses)
    def add(self, org: str, person: str, role: str, status: str) -> None:
        team = self.model.get(org)
        error: type[Exception] | None = NotFound
        if team is not None and person in team.members:
            same = team.members[person] == (role, status)
            error = None if same else AlreadyExists
            if same:
                return  # permissions or inviter may differ: not what is modelled
        elif team is not None:
            error = team.refuses(person, (role, status))
        self.expect(
            error,
            lambda: self.store.members.add(
                self.named(org),
                self.named(person),
                role=role,  # type: ignore[arg-type]
                status=status,  # type: ignore[arg-type]
            ),
        )
        if team is not None and error is None:
            team.members[person] = (role, status)

    @rule(org=orgs, person=people, role=roles, status=statuses)
    def change(self, org: str, person: str, role: str, status: str) -> None:
        team = self.model.get(org)
        is_there = team is not None and person in team.members
        error = NotFound if team is None or not is_there else team.refuses(person, (role, status))
        self.expect(
            error,
            lambda: self.store.members.update(
                self.named(org),
                self.named(person),
                role=role,  # type: ignore[arg-type]
                status=status,  # type: ignore[arg-type]
            ),
        )
        if team is not None and error is None:
            team.members[person] = (role, status)

    @rule(org=orgs, person=people)
    def remove(self, org: str, person: str) -> None:
        team = self.model.get(org)
        is_there = team is not None and person in team.members
        error = NotFound if team is None or not is_there else team.refuses(person, None)
        call = self.store.members.remove
        self.expect(error, lambda: call(self.named(org), self.named(person)))
        if team is not None and error is None:
            del team.members[person]

    @rule(org=orgs, person=people, heir=people)
    def replace(self, org: str, person: str, heir: str) -> None:
        team = self.model.get(org)
        if person == heir:
            return
        after: dict[str, tuple[str, str]] = {}
        if team is None or person not in team.members:
            error: type[Exception] | None = NotFound
        else:
            role = min(
                team.members[person][0], team.members.get(heir, ("viewer",))[0], key=ROLES.index
            )
            after = {**team.members, heir: (role, "active")}
            del after[person]
            grows = team.seats(after) > team.seats(team.members)
            full = team.max_users is not None and team.seats(after) > team.max_users
            error = LimitExceeded if grows and full else None
        self.expect(
            error,
            lambda: self.store.members.replace(
                self.named(org), self.named(person), heir_id=self.named(heir)
            ),
        )
        if team is not None and error is None:
            team.members = after

    @rule(target=issued, org=orgs, person=people, hours=st.integers(1, 5))
    def invite(self, org: str, person: str, hours: int) -> object:
        error = None if org in self.model else NotFound
        made: IssuedInvite | None = self.expect(
            error,
            lambda: self.store.invites.create(
                self.named(org),
                f"{person}@{self.run}.example",
                invited_by=self.named("ann"),
                lifetime=timedelta(hours=hours),
            ),
        )
        if made is None:
            return multiple()
        self.model[org].invites[made.invite.invite_id] = "pending"
        return org, person, made

    def status_of(self, org: str, invite: Invite) -> str | None:
        """What the invite should read as; None when it is gone."""
        team = self.model.get(org)
        status = None if team is None else team.invites.get(invite.invite_id)
        ended = invite.expires_at <= self.scene.clock()
        return "expired" if status == "pending" and ended else status

    @rule(given=issued)
    def read_invite(self, given: tuple[str, str, IssuedInvite]) -> None:
        org, _, made = given
        status = self.status_of(org, made.invite)
        for call in (
            lambda: self.store.invites.get(made.invite.invite_id),
            lambda: self.store.invites.get_by_token(made.token),
        ):
            found = self.expect(NotFound if status is None else None, call)
            assert status is None or found.status == status

    @rule(given=issued, how=st.sampled_from(["cancelled", "expired"]))
    def end_invite(self, given: tuple[str, str, IssuedInvite], how: str) -> None:
        org, _, made = given
        status = self.status_of(org, made.invite)
        call = self.store.invites.cancel if how == "cancelled" else self.store.invites.expire
        error: type[Exception] | None = NotFound if status is None else None
        if status not in {None, "pending", how}:
            error = IllegalTransition
        self.expect(error, lambda: call(made.invite.invite_id))
        if error is None and status == "pending":
            self.model[org].invites[made.invite.invite_id] = how

    @rule(given=issued, person=people)
    def accept(self, given: tuple[str, str, IssuedInvite], person: str) -> None:
        org, invited, made = given
        status, team = self.status_of(org, made.invite), self.model.get(org)
        error: type[Exception] | None = None
        accepted_before = False
        if team is None or status is None or person != invited:
            error = NotFound
        elif status == "accepted":
            accepted_before = True
            error = None if person in team.members else IllegalTransition
        elif status != "pending":
            error = IllegalTransition
        elif team.members.get(person, ("", "pending"))[1] != "pending":
            error = AlreadyExists
        else:
            error = team.refuses(person, ("member", "active"))
        self.expect(error, lambda: self.store.invites.accept(made.token, self.named(person)))
        if team is not None and error is None and not accepted_before:
            team.members[person] = ("member", "active")
            team.invites[made.invite.invite_id] = "accepted"

    @rule(org=orgs)
    def delete(self, org: str) -> None:
        error = None if org in self.model else NotFound
        self.expect(error, lambda: self.store.organizations.delete(self.named(org)))
        self.model.pop(org, None)

    @rule(hours=st.integers(1, 3))
    def wait(self, hours: int) -> None:
        self.scene.clock.advance(timedelta(hours=hours))

    @invariant()
    def members_are_as_modelled(self) -> None:
        for org, team in self.model.items():
            found = self.store.members.list_by_organization(self.named(org), consistent=True)
            assert {
                each.user_id.removeprefix(f"{self.run}-"): (each.role, each.status)
                for each in found
            } == team.members
            counted = self.store.organizations.get(self.named(org), consistent=True)
            assert counted.member_count == team.seats(team.members)
            assert counted.owner_count == team.owners(team.members) >= 1

    def teardown(self) -> None:
        """Users who are deleted leave their organizations, or say why they cannot."""
        delete = self.store.users.delete
        for person in ("ann", "bob", "carl", "dora"):
            owned = [
                team
                for team in self.model.values()
                if team.members.get(person) == ("owner", "active")
                and team.owners(team.members) == 1
            ]
            user_id = self.named(person)
            self.expect(IllegalTransition if owned else None, lambda: delete(user_id))  # noqa: B023
            for team in self.model.values():
                if not owned:
                    team.members.pop(person, None)
        self.members_are_as_modelled()


@pytest.mark.once
@pytest.mark.engine
def test_organizations_behave_like_their_model(scene: Scene, dynamo_chat_engine: Engine) -> None:
    class Machine(OrganizationMachine):
        def __init__(self) -> None:
            super().__init__(scene)

    run_state_machine_as_test(Machine, settings=walks(dynamo_chat_engine))
