"""The pages by which content networks and firewalls turn a visitor away, told by their marks. Pure.

A block page says nothing about the server behind it: the network that stands before it answers, and took us for a robot.
So it is named, and is no outage. Errors that these networks report *of* a server (Cloudflare's 520 to 526, for one) are
no block pages; nor are marks that they leave on every page which they pass on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LOOKED_AT = 16_384  # bytes of a body


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What gives one such page away: all that is set must be there. Texts are in lower case."""

    vendor: str
    page: str
    header: str = ""  # its name ...
    value: str = ""  # ... and what stands in its value
    statuses: tuple[int, ...] = ()
    phrases: tuple[str, ...] = ()  # any one of them in the body ...
    beside: tuple[str, ...] = ()  # ... and any one of these

    def fits(self, status: int, headers: Mapping[str, str], body: str) -> bool:
        """Whether an answer bears this mark."""
        if self.statuses and status not in self.statuses:
            return False
        if self.header and (self.header not in headers or self.value not in headers[self.header]):
            return False
        return all(not some or any(phrase in body for phrase in some) for some in (self.phrases, self.beside))


_DENIED = (403, 405, 406, 429, 503)
_CHALLENGE, _BLOCK, _CAPTCHA = "challenge page", "block page", "captcha"

# The first that fits names the page, so that what is more precise stands first.
MARKS = (
    Mark(vendor="Cloudflare", page=_CHALLENGE, header="cf-mitigated", value="challenge"),
    Mark(
        vendor="Cloudflare",
        page="rate limit, error 1015",
        header="server",
        value="cloudflare",
        statuses=(403, 429),
        phrases=("error code: 1015", 'cf-error-code">1015<'),
    ),
    Mark(
        vendor="Cloudflare",
        page="access denied, error 1020",
        header="server",
        value="cloudflare",
        statuses=(403,),
        phrases=("error code: 1020", 'cf-error-code">1020<'),
    ),
    Mark(
        vendor="Cloudflare",
        page=_CHALLENGE,
        header="server",
        value="cloudflare",
        statuses=_DENIED,
        phrases=("<title>just a moment...</title>", "cf-chl-", "cf_chl_"),
    ),
    Mark(
        vendor="Cloudflare",
        page=_BLOCK,
        header="server",
        value="cloudflare",
        statuses=_DENIED,
        phrases=(
            "attention required! | cloudflare",
            "sorry, you have been blocked",
            *(f"error code: {code}" for code in (1006, 1007, 1008, 1009, 1010, 1012)),
        ),
    ),
    Mark(vendor="AWS WAF", page=_CHALLENGE, header="x-amzn-waf-action", value="challenge"),
    Mark(vendor="AWS WAF", page=_CAPTCHA, header="x-amzn-waf-action", value="captcha"),
    Mark(
        vendor="AWS WAF",
        page=_BLOCK,
        statuses=(403,),
        phrases=("request blocked.",),
        beside=("we can't connect to the server for this app or website",),
    ),
    Mark(
        vendor="AWS WAF", page=_BLOCK, header="server", value="awselb/", statuses=(403,), phrases=("<h1>403 forbidden",)
    ),
    Mark(
        vendor="Akamai",
        page=_BLOCK,
        statuses=_DENIED,
        phrases=("you don't have permission to access",),
        beside=("errors.edgesuite.net", "reference&#32;&#35;", "reference #"),
    ),
    Mark(vendor="Akamai", page=_CHALLENGE, phrases=("sec-if-cpt-container", "/_sec/cp_challenge/")),
    Mark(
        vendor="Imperva",
        page=_BLOCK,
        phrases=("incapsula incident id", 'id="main-iframe" src="/_incapsula_resource', "powered by imperva"),
    ),
    Mark(vendor="Sucuri", page=_BLOCK, header="x-sucuri-block"),
    Mark(
        vendor="Sucuri",
        page=_BLOCK,
        statuses=_DENIED,
        phrases=("sucuri website firewall - access denied", "access denied - sucuri website firewall"),
    ),
    Mark(vendor="DataDome", page=_CAPTCHA, statuses=_DENIED, phrases=("captcha-delivery.com",)),
    Mark(vendor="DataDome", page=_BLOCK, header="server", value="datadome", statuses=_DENIED),
    Mark(
        vendor="PerimeterX",
        page=_CAPTCHA,
        statuses=_DENIED,
        phrases=("px-captcha", "_pxappid", "captcha.px-cdn.net"),
    ),
    Mark(vendor="Fastly", page=_CHALLENGE, phrases=("/_fs-ch-",)),
    Mark(vendor="Fastly", page=_BLOCK, header="x-sigsci-agentresponse", value="406"),
    Mark(
        vendor="Azure Front Door",
        page=_BLOCK,
        header="x-azure-ref",
        statuses=(403, 429),
        phrases=("the request is blocked", "access denied"),
    ),
    Mark(
        vendor="Azure Application Gateway",
        page=_BLOCK,
        header="server",
        value="microsoft-azure-application-gateway",
        statuses=(403,),
    ),
    Mark(vendor="Vercel", page=_CHALLENGE, header="x-vercel-mitigated", value="challenge"),
    Mark(vendor="Vercel", page=_BLOCK, header="x-vercel-mitigated", value="deny"),
    Mark(vendor="Kasada", page=_CHALLENGE, header="x-kpsdk-ct", statuses=(429,)),
    Mark(
        vendor="DDoS-Guard",
        page=_CHALLENGE,
        header="server",
        value="ddos-guard",
        statuses=_DENIED,
        phrases=("<title>ddos-guard</title>",),
    ),
    Mark(
        vendor="F5 BIG-IP",
        page=_BLOCK,
        phrases=("the requested url was rejected. please consult with your administrator",),
    ),
    Mark(vendor="Wordfence", page=_BLOCK, statuses=_DENIED, phrases=("generated by wordfence",)),
    Mark(
        vendor="ModSecurity",
        page=_BLOCK,
        statuses=_DENIED,
        phrases=("this error was generated by mod_security", "mod_security rules triggered"),
    ),
)


def recognise(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | None) -> str:
    """Whose page an answer is, as in `Cloudflare (challenge page)`; empty where it bears no mark that is known."""
    if status < 200 or status in range(300, 400):
        return ""
    named = {name.decode("latin-1").lower(): value.decode("latin-1").lower() for name, value in headers}
    text = (body or b"")[:LOOKED_AT].decode("utf-8", "replace").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    found = next((mark for mark in MARKS if mark.fits(status, named, text)), None)
    return f"{found.vendor} ({found.page})" if found else ""


def of(facts: Mapping[str, Any]) -> str:
    """`recognise` for the facts of a probe; empty where they are of no web answer."""
    status, headers = facts.get("status"), facts.get("headers")
    if not isinstance(status, int) or headers is None:
        return ""
    return recognise(status, headers, facts.get("body"))
