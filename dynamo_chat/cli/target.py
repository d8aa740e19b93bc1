"""The engine that a command works on: the embedded one, an endpoint, or AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import botocore.session
import typer

from dynamo_chat.cli.console import fail
from dynamo_chat.core.client import ConnectionOptions
from dynamo_chat.store import ChatStore, StoreFactory

EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        metavar="URL",
        help="Use DynamoDB, or an engine like it, at this address; AWS if only a table or a "
        "region is named.",
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
        help="The AWS region.",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="MODULE:CLASS",
        help="The application's own store, such as myapp.store:MyStore, with its own kinds.",
    ),
]
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


@dataclass(frozen=True, slots=True)
class Target:
    """The table, endpoint and region named by a command's options."""

    table: str
    endpoint_url: str | None = None
    region: str | None = None
    is_embedded: bool = False
    made: type[ChatStore] = ChatStore
    """The class of its stores: the package's, or an application's own."""

    def __str__(self) -> str:
        if self.is_embedded:
            return "an engine inside this process"
        return self.endpoint_url or f"AWS in {self.region or 'the configured region'}"

    @contextmanager
    def opened(self) -> Iterator[StoreFactory]:
        """Yield stores on this target. Exit if the engine is missing."""
        if not self.is_embedded:
            yield self.store
            return
        from dynamo_chat.testing.engine import EmbeddedEngine

        with ExitStack() as stack:
            try:
                engine = stack.enter_context(EmbeddedEngine())
            except ModuleNotFoundError as error:
                raise fail(
                    "the embedded engine is missing: pip install 'dynamo_chat[cli,testing]', or "
                    "name an --endpoint-url"
                ) from error
            yield lambda table_name=None, **options: self.made(
                table_name or self.table, region=engine.region, **options
            )

    def store(self, table_name: str | None = None, **options: Any) -> ChatStore:
        """Make a store for this target."""
        if _is_local(self.endpoint_url) and not _has_credentials():
            # Engines need signed requests, with any credentials.
            dummy = ConnectionOptions(aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106
            options.setdefault("options", dummy)
        return self.made(
            table_name or self.table,
            region=self.region,
            endpoint_url=self.endpoint_url,
            **options,
        )


def store_class(named: str | None) -> type[ChatStore]:
    """The class that --store names; without it, the package's own. BadParameter.

    Modules are also found in the working directory.
    """
    if named is None:
        return ChatStore
    module, _, name = named.partition(":")
    if not module or not name:
        raise typer.BadParameter(f"--store {named}: must be MODULE:CLASS, as myapp.store:MyStore")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise typer.BadParameter(f"--store {named}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, ChatStore):
        raise typer.BadParameter(f"--store {named}: must be a subclass of ChatStore")
    return found


def _is_local(endpoint_url: str | None) -> bool:
    if endpoint_url is None:
        return False
    try:
        host = urlsplit(endpoint_url).hostname or ""
    except ValueError:  # not an address: the store raises the error
        return False
    return not host.endswith(_AWS)


def _has_credentials() -> bool:
    """True if botocore finds credentials without asking a cloud service."""
    resolver = botocore.session.Session().get_component("credential_provider")
    resolver.remove("iam-role")
    return resolver.load_credentials() is not None
