"""TLS to a target: certificates are evidence first and verdicts second."""

from __future__ import annotations

from typing import Annotated

from cryptography import x509
from pydantic import AfterValidator, Field

from checks.spec import Text


def _are_certificates(pem: str) -> str:
    if pem:
        try:
            x509.load_pem_x509_certificates(pem.encode())
        except ValueError as exc:
            message = (
                "holds no certificate that can be read; expected PEM, which begins with -----BEGIN CERTIFICATE-----"
            )
            raise ValueError(message) from exc
    return pem


CaBundle = Annotated[Text, AfterValidator(_are_certificates), Field(max_length=65536)]
