"""LangGraph over the store: `DynamoCheckpointSaver` for threads, `DynamoMemoryStore` for memories.

Each is used with a store whose class has its repository, `Checkpoints` or `Memories`.
"""

from dynamo_chat.integrations.langgraph.checkpoints import Checkpoints as Checkpoints
from dynamo_chat.integrations.langgraph.memories import Memories as Memories
from dynamo_chat.integrations.langgraph.memory_store import DynamoMemoryStore as DynamoMemoryStore
from dynamo_chat.integrations.langgraph.saver import DynamoCheckpointSaver as DynamoCheckpointSaver
