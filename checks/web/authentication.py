"""Ways to say who we are that take more than one request: digest, and OAuth 2 client credentials."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx

from checks import clock
from checks.address import parse_url
from checks.expect.jsonpath import NotJson, parse_json
from checks.network import Tls
from checks.network.http1 import Exchange
from checks.network.request import Request, basic
from checks.network.route import Route
from checks.network.tokens import Token
from checks.probe import ProbeContext, ProbeFailure, from_os_error
from checks.result import Failure, Reason
from checks.web import Answer, fetch

LIFETIME = 300.0  # seconds, of a token whose giver does not say
MAX_LIFETIME = 86400.0
MAX_TOKEN = 16 * 1024  # characters
_REFUSED = 401


class Digest:
    """Digest authentication (RFC 7616). A challenge is answered again and again until the target wants another."""

    def __init__(self, username: str, password: str) -> None:
        self._user = username, password
        self._flow = httpx.DigestAuth(*self._user)

    async def prove(self, _context: ProbeContext, request: Request) -> Request:
        """The request with the answer to the last challenge, where there was one."""
        asked = httpx.Request(request.method, request.url.text)
        next(self._flow.sync_auth_flow(asked))
        proof = asked.headers.get("authorization")
        return request if proof is None else request.having(authorization=proof)

    def refused(self, _context: ProbeContext, request: Request, answer: Exchange) -> bool:
        """Whether the target wants another answer to a challenge. Raises ProbeFailure for one that can't be read."""
        if answer.status != _REFUSED:
            return False
        asked = httpx.Request(request.method, request.url.text)
        challenges = [(name, value) for name, value in answer.headers if name.lower() == b"www-authenticate"]
        flow = self._flow.sync_auth_flow(asked)
        next(flow)
        try:
            flow.send(httpx.Response(_REFUSED, headers=challenges, request=asked))
        except StopIteration:  # it wants something else than digest
            return False
        # httpx knows no protection of bodies (qop=auth-int), which a target hardly ever wants alone.
        except (httpx.ProtocolError, NotImplementedError, KeyError, ValueError) as exc:
            self._flow = httpx.DigestAuth(*self._user)  # it keeps the challenge, and would try to answer it for ever
            message = "the target's challenge for digest authentication can't be answered"
            raise ProbeFailure(Failure(reason=Reason.AUTHENTICATION, message=message, phase="first_byte")) from exc
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who we are to one who gives tokens, and what the token is to be for."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    audience: str = ""
    secret_in_body: bool = False

    def request(self) -> Request:
        """The request for a token (RFC 6749, 4.4)."""
        form = {"grant_type": "client_credentials", "scope": self.scope, "audience": self.audience}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if self.secret_in_body:
            form |= {"client_id": self.client_id, "client_secret": self.client_secret}
        else:
            headers["authorization"] = basic(quote_plus(self.client_id), quote_plus(self.client_secret))
        body = urlencode({name: value for name, value in form.items() if value}).encode()
        return Request(url=parse_url(self.token_url), method="POST", headers=headers, body=body)


class ClientCredentials:
    """Bearer tokens by OAuth 2 client credentials, fetched in the phase `other` and kept while they are good."""

    def __init__(self, client: Client, tls: Tls, route: Route) -> None:
        self._client, self._tls, self._route = client, replace(tls, server_name="", certificate="", key=""), route
        self._host = parse_url(client.token_url).host

    async def prove(self, context: ProbeContext, request: Request) -> Request:
        """The request with a token. Raises ProbeFailure where there is none to be had."""
        watch, seen, tokens = context.stopwatch, context.seen, context.resources.tokens
        token = tokens.kept(self._key)
        if token is None:
            watch.phase, seen.waiting_for = "other", f"a token of {self._host}"
            token = await tokens.get(self._key, lambda: self._fetched(context))
            watch.mark("other", "dns")
            seen.waiting_for = ""
        seen.secrets.append(token)
        return request.having(authorization=f"Bearer {token}")

    def refused(self, context: ProbeContext, _request: Request, answer: Exchange) -> bool:
        """Whether the token is not good any more, and another is to be had."""
        return answer.status == _REFUSED and bool(context.resources.tokens.drop(self._key))

    @property
    def _key(self) -> tuple[Client, Tls, Route]:
        return self._client, self._tls, self._route

    async def _fetched(self, context: ProbeContext) -> Token:
        apart = ProbeContext(resources=context.resources, lag=context.lag)  # its evidence would hold the token
        try:
            answer = await fetch(apart, self._client.request(), tls=self._tls, route=self._route, follow=0)
        except (ProbeFailure, OSError) as exc:
            failure = exc.failure if isinstance(exc, ProbeFailure) else from_os_error(exc, apart.stopwatch.phase)
            message = f"no token could be had from {self._host}: {failure.message}"
            raise ProbeFailure(replace(failure, message=message, phase="other")) from exc
        return self._read(answer)

    def _read(self, answer: Answer) -> Token:
        try:
            data = parse_json(answer.body or b"")
        except NotJson:
            data = None
        data = data if isinstance(data, dict) else {}
        value, lifetime = data.get("access_token"), data.get("expires_in")
        if (
            answer.status != 200
            or not isinstance(value, str)
            or not 0 < len(value) <= MAX_TOKEN
            or not _is_token(value)
        ):
            raise self._failure(answer.status, data)
        seconds = float(lifetime) if isinstance(lifetime, int | float | str) and _is_number(lifetime) else LIFETIME
        return Token(value=value, fetched_at=clock.monotonic_ns() / 1e9, lifetime=min(max(seconds, 1.0), MAX_LIFETIME))

    def _failure(self, status: int, data: dict[str, Any]) -> ProbeFailure:
        said = data.get("error")
        words = f": {json.dumps(said)[:100]}" if isinstance(said, str) else ""
        what = f"status {status}{words}" if status != 200 else "its answer holds none"
        message = f"no token could be had from {self._host}: {what}"
        return ProbeFailure(Failure(reason=Reason.AUTHENTICATION, message=message, phase="other"))


def _is_token(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value


def _is_number(value: float | str) -> bool:
    try:
        return float(value) > 0
    except (ValueError, OverflowError):
        return False
