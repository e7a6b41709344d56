# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates for gateways, made by openssl for one run of the lab."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Identity:
    """A gateway's key and certificate, and the certificate of the authority (PEM)."""

    key: bytes
    cert: bytes
    ca_cert: bytes
    between: tuple[bytes, ...] = ()  # certificates of intermediate authorities

    @property
    def certs(self) -> tuple[bytes, ...]:
        """Return the gateway's own certificate and the intermediate ones."""
        return self.cert, *self.between


def _openssl(*arguments: str) -> None:
    done = subprocess.run(
        ("/usr/bin/openssl", *arguments), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)} failed:\n{done.stderr}")


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._ca = folder / "ca.pem"
        self._ca_key = folder / "ca.key"
        self._make("qcd lab", self._ca_key, self._ca)

    @staticmethod
    def _make(name: str, key: Path, cert: Path, *signer: str) -> None:
        """Make the key and the certificate of an authority."""
        _openssl(
            *("req", "-x509", "-days", "2", "-subj", f"/CN={name}"),
            *(*_CURVE, "-keyout", str(key), "-out", str(cert)),
            *("-addext", "keyUsage=critical,keyCertSign", *signer),
        )

    def issue_chain(self, name: str) -> Identity:
        """Make a key and a certificate, with a separate intermediate authority."""
        below = Authority(self._folder / name)
        signer = ("-CA", str(self._ca), "-CAkey", str(self._ca_key))
        self._make(f"qcd lab for {name}", below._ca_key, below._ca, *signer)
        leaf = below.issue(name)
        between = (leaf.ca_cert,)
        return Identity(leaf.key, leaf.cert, self._ca.read_bytes(), between)

    def issue(self, name: str) -> Identity:
        """Make the key and the certificate of one gateway."""
        key, cert = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        _openssl(
            *("req", "-x509", "-days", "2", "-subj", f"/CN={name}.lab"),
            *(*_CURVE, "-keyout", str(key), "-out", str(cert)),
            *("-addext", f"subjectAltName=DNS:{name}.lab"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", str(self._ca), "-CAkey", str(self._ca_key)),
        )
        return Identity(key.read_bytes(), cert.read_bytes(), self._ca.read_bytes())
