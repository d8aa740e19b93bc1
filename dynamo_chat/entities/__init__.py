"""What an application's own entities are made of: kinds of items that it keeps in the same table.

    NOTE = Layout("note", table=Slot(partition("NOTE", text("user_id")),
                                     sort("NOTE", text("note_id"))))

    class Note(Entity):
        layout: ClassVar[Layout] = NOTE
        user_id: Id
        note_id: Id
        content: Text

    class Notes(Repository):
        kinds = (Note,)
        ...                                   methods with `access_pattern`

    class MyStore(ChatStore):
        notes = repository(Notes)             checked here: LayoutError says what is wrong

The names of this module are stable, like those of `dynamo_chat`.
"""

from dynamo_chat.chat.beside import OwnItem as OwnItem
from dynamo_chat.core.entity import (
    UNCHANGED as UNCHANGED,
    Bytes as Bytes,
    Count as Count,
    Counters as Counters,
    ExpiresAt as ExpiresAt,
    Id as Id,
    Json as Json,
    JsonObject as JsonObject,
    Many as Many,
    Model as Model,
    Number as Number,
    Text as Text,
    TextSet as TextSet,
    Time as Time,
    Unchanged as Unchanged,
)
from dynamo_chat.core.errors import (
    AlreadyExists as AlreadyExists,
    Conflict as Conflict,
    CorruptItem as CorruptItem,
    DynamoChatError as DynamoChatError,
    IllegalTransition as IllegalTransition,
    InvalidArgument as InvalidArgument,
    ItemTooLarge as ItemTooLarge,
    LimitExceeded as LimitExceeded,
    NotFound as NotFound,
    RevisionConflict as RevisionConflict,
)
from dynamo_chat.core.keys import (
    Shape as Shape,
    flag as flag,
    integer as integer,
    partition as partition,
    sort as sort,
    text as text,
    time as time,
)
from dynamo_chat.core.layout import (
    GSI1 as GSI1,
    GSI2 as GSI2,
    TABLE as TABLE,
    Collection as Collection,
    Layout as Layout,
    Place as Place,
    Slot as Slot,
    Whose as Whose,
)
from dynamo_chat.core.own import repository as repository
from dynamo_chat.core.page import (
    DEFAULT_PAGE_SIZE as DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE as MAX_PAGE_SIZE,
    Items as Items,
    Page as Page,
)
from dynamo_chat.core.patterns import (
    BEARER as BEARER,
    OPERATOR as OPERATOR,
    STAFF as STAFF,
    NoOwner as NoOwner,
    access_pattern as access_pattern,
)
from dynamo_chat.core.repository import PageRequest as PageRequest, time_range as time_range
from dynamo_chat.core.sharding import shard_of as shard_of
from dynamo_chat.core.transaction import (
    Check as Check,
    Delete as Delete,
    Put as Put,
    Update as Update,
    Write as Write,
    absent as absent,
    live as live,
)
from dynamo_chat.entities.base import Repository as Repository
from dynamo_chat.entities.checks import (
    HotSpotWarning as HotSpotWarning,
    LayoutError as LayoutError,
)
from dynamo_chat.entities.entity import Entity as Entity, fields as fields
from dynamo_chat.entities.items import OwnItems as OwnItems, requires_user as requires_user
from dynamo_chat.entities.of_conversations import (
    ConversationItems as ConversationItems,
    Talk as Talk,
)
from dynamo_chat.entities.own_fields import OwnFields as OwnFields
from dynamo_chat.keyspace import (
    CONVERSATION as CONVERSATION,
    CONVERSATION_PARTITION as CONVERSATION_PARTITION,
    EMAIL_THREAD as EMAIL_THREAD,
    MAIL_PARTITION as MAIL_PARTITION,
    ORGANIZATION as ORGANIZATION,
    ORGANIZATION_PARTITION as ORGANIZATION_PARTITION,
    USER as USER,
    USER_PARTITION as USER_PARTITION,
    digest_of as digest_of,
)
