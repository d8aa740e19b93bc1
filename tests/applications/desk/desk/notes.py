"""Notes of users, in a partition of their own that `users.delete` finds by the user's id."""

from typing import ClassVar

from dynamo_chat.entities import (
    TABLE,
    UNCHANGED,
    USER,
    Entity,
    Id,
    Layout,
    Page,
    PageRequest,
    Repository,
    Slot,
    Text,
    Time,
    Unchanged,
    access_pattern,
    partition,
    requires_user,
    sort,
    text,
)

NOTE = Layout(
    "note", table=Slot(partition("NOTE", text("user_id")), sort("NOTE", text("note_id"))), of=USER
)


class Note(Entity):
    """A note that a user wrote."""

    layout: ClassVar[Layout] = NOTE

    user_id: Id
    note_id: Id
    written_at: Time
    content: Text


class Notes(Repository):
    """Write, read, change and delete notes."""

    kinds = (Note,)

    @access_pattern("NO1", "TransactWriteItems", "1", owner="argument")
    def write(self, user_id: str, content: str, *, note_id: str | None = None) -> Note:
        """Write a note and return it. Conflict if there is no such user."""
        note = Note(
            user_id=user_id,
            note_id=note_id or self.items.new_id(),
            written_at=self.items.now(),
            content=content,
        )
        return self.items.create(note, requires_user(user_id))

    @access_pattern("NO2", "GetItem", "1", owner="key", reads="late")
    def get(self, user_id: str, note_id: str) -> Note:
        """A user's note with this id. NotFound."""
        return self.items.get(Note, user_id=user_id, note_id=note_id)

    @access_pattern("NO3", "Query", "1", owner="argument", reads="late")
    def list(self, user_id: str, *, page_size: int = 20, cursor: str | None = None) -> Page[Note]:
        """A user's notes, in the order of their ids."""
        asked = PageRequest((user_id,), False, page_size, cursor)
        return self.items.page(asked, Note, NOTE.collection(TABLE, user_id)())

    @access_pattern("NO4", "UpdateItem", "1", owner="key")
    def edit(self, user_id: str, note_id: str, *, content: str | Unchanged = UNCHANGED) -> Note:
        """Change a note and return it. NotFound."""
        return self.items.update(Note, {"content": content}, user_id=user_id, note_id=note_id)

    @access_pattern("NO5", "DeleteItem", "1", owner="key")
    def delete(self, user_id: str, note_id: str) -> None:
        """Delete a note; no error if there is none."""
        self.items.delete(Note, user_id=user_id, note_id=note_id)
