"""The options of a kind that asks over HTTP as whoever the user says: who we are, which version, which redirects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from checks.address import Url
from checks.network import Tls, spec_tls
from checks.network.request import Request, basic
from checks.network.route import ProxiedSpec, SecuredSpec
from checks.spec import AsWritten, Line, Secret
from checks.web import HTTP_1, HTTP_2, HTTP_ANY, Answer, Authentication, fetch
from checks.web.authentication import Client, ClientCredentials, Digest
from checks.web.options import WebUrl

_ALPN = {"1.1": HTTP_1, "2": HTTP_2, "any": HTTP_ANY}


class WebSpec(ProxiedSpec, SecuredSpec):
    """Options of the kinds that ask over HTTP and may say who they are."""

    username: Annotated[Line, Field(max_length=200)] = ""
    """The user name for basic or digest authentication."""
    password: Secret = ""
    """The password for basic or digest authentication."""
    digest: bool = False
    """Prove the password by digest authentication, which never sends it; the target is asked once more for a challenge."""
    bearer: Secret = ""
    """The token for bearer authentication."""
    token_url: WebUrl | Literal[""] = ""
    """Who gives a bearer token, by OAuth 2 client credentials. The token is kept until it expires or is refused."""
    client_id: Annotated[Line, Field(max_length=500)] = ""
    """Who we are to whoever gives the token."""
    client_secret: Secret = ""
    """What proves it."""
    scope: Annotated[Line, Field(max_length=1000)] = ""
    """What the token is to allow, separated by spaces."""
    audience: Annotated[Line, Field(max_length=1000)] = ""
    """Whom the token is for, where its giver wants to know."""
    secret_in_body: bool = False
    """Send client_id and client_secret in the body, to a giver of tokens that reads no basic authentication."""
    follow_redirects: bool = True
    """Ask again where a redirect points to, and judge that answer. Cookies are kept on the way."""
    max_redirects: Annotated[int, Field(strict=True, ge=1, le=20)] = 5
    """How many redirects are followed: 1 to 20."""
    follow_to_http: bool = False
    """Follow a redirect from https to http, too."""
    block_page: Literal["degraded", "down"] = "degraded"
    """What it is when the block page of a content network or firewall answers where something else was expected."""
    http_version: Annotated[Literal["1.1", "2", "any"], AsWritten] = "1.1"
    """The version of HTTP: 1.1, 2, or any for the one that the target chooses in the TLS handshake, 2 where it can."""
    accept_encoding: Annotated[tuple[Literal["gzip", "deflate", "br", "zstd"], ...], Field(max_length=4)] = ()
    """How the body may be encoded, in the order of preference. By default not at all, so that its size is that of the text."""

    @model_validator(mode="after")
    def _has_one_authentication(self) -> Self:
        if self.password and not self.username:
            raise ValueError("password: needs a username")
        if self.digest and not self.username:
            raise ValueError("digest: needs a username and a password")
        if ":" in self.username and not self.digest:
            raise ValueError("username: basic authentication allows no colon in it")
        if bool(self.token_url) != bool(self.client_id) or bool(self.token_url) != bool(self.client_secret):
            raise ValueError("token_url: token_url, client_id and client_secret belong together")
        given = self.ways_to_authenticate()
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are ways to authenticate; keep one")
        return self

    def ways_to_authenticate(self) -> list[str]:
        """The options that say who we are."""
        return [name for name in ("username", "bearer", "token_url") if getattr(self, name)]

    @cached_property
    def secured(self) -> Tls:
        """How its connections are secured, and which versions of HTTP they offer."""
        return spec_tls(self, _ALPN[self.http_version])

    @cached_property
    def authentication(self) -> Authentication | None:
        """How it says who we are in more than one step; None where a header is enough."""
        if self.digest:
            return Digest(self.username, self.password)
        if not self.token_url:
            return None
        client = Client(
            token_url=self.token_url,
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=self.scope,
            audience=self.audience,
            secret_in_body=self.secret_in_body,
        )
        return ClientCredentials(client, self.secured, self.route)

    def write(self, url: Url, method: str, headers: Mapping[str, str], body: bytes = b"") -> Request:
        """The request that says who we are where a header is enough; `headers` of the user's own come first."""
        fields: dict[str, str] = {}
        if self.username and not self.digest:
            fields["authorization"] = basic(self.username, self.password)
        elif self.bearer:
            fields["authorization"] = f"Bearer {self.bearer}"
        if self.accept_encoding:
            fields["accept-encoding"] = ", ".join(self.accept_encoding)
        fields.update({name.lower(): value for name, value in headers.items()})
        return Request(url=url, method=method, headers=fields, body=body)

    @cached_property
    def ask(self) -> Callable[..., Awaitable[Answer]]:
        """`fetch` with what the options say of how to reach and to follow; takes the rest."""
        return partial(
            fetch,
            tls=self.secured,
            route=self.route,
            follow=self.max_redirects if self.follow_redirects else 0,
            downgrade=self.follow_to_http,
            authentication=self.authentication,
        )
