"""Answers as a MinIO server does where it differs from the S3 gateway that serves these tests.

It stands in front of the gateway and passes everything on, except: lifecycle rules (each needs an
expiration, a transition or a rule for noncurrent versions, else the whole is refused), deleting a
version under object lock (400 instead of 403), signatures (of its users and of its administrator, whose
password it reads from a file at its start and when it is told to start again), and MinIO's admin API
(users and policies, which it then holds requests to). What it takes it passes on under the gateway's own
key. What a MinIO server does was
looked up in its source: `internal/bucket/lifecycle`, `cmd/api-errors.go`, `cmd/admin-handlers-users.go`.
"""

from __future__ import annotations

import fnmatch
import http.client
import io
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from minio.crypto import decrypt, encrypt

_ADMIN = "/minio/admin/v3/"
_ACTIONS = (
    "Expiration",
    "Transition",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransition",
)
_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class MinioStandIn:
    """The server's memory: users with their secrets and policies, lifecycle rules by bucket."""

    upstream: str
    root: Credentials
    region: str
    #: Where its administrator's password is; the gateway's own where there is none.
    password_file: Path | None = None
    password: str = ""
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    lifecycles: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        """What its administrator's password is, is read now and not before the next start."""
        self.password = (
            self.password_file.read_text().strip() if self.password_file else self.root.secret_key
        )

    def secret_of(self, user: str) -> str | None:
        if user == self.root.access_key:
            return self.password
        return self.users.get(user, {}).get("secret")

    def allows(
        self, user: str, action: str, bucket: str, key: str, query: Mapping[str, str]
    ) -> bool:
        document = self.policies.get(self.users.get(user, {}).get("policy", ""), {"Statement": []})
        resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
        for statement in document["Statement"]:
            prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
            if (
                any(fnmatch.fnmatchcase(action, pattern) for pattern in statement["Action"])
                and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
                and any(fnmatch.fnmatchcase(query.get("prefix", ""), one) for one in prefixes)
            ):
                return True
        return False


@contextmanager
def minio_stand_in(
    upstream: str,
    access_key: str,
    secret_key: str,
    region: str,
    password_file: Path | None = None,
) -> Iterator[str]:
    """The address of a stand-in before the gateway at ``upstream``, while it is up."""
    state = MinioStandIn(upstream, Credentials(access_key, secret_key), region, password_file)
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: MinioStandIn

    def _answer_any(self) -> None:
        url = urlsplit(self.path)
        query = {
            name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        user = _user(self.headers.get("Authorization", ""))
        is_root = user in (None, self.state.root.access_key)
        if user is not None and not self._is_signed(user):
            self._refuse(403, "SignatureDoesNotMatch", "The signature is another one.")
        elif url.path.startswith(_ADMIN):
            self._administer(url.path.removeprefix(_ADMIN), query, body, is_root)
        elif not is_root and not self.state.allows(
            str(user), _action(self.command, key, query), bucket, key, query
        ):
            self._refuse(403, "AccessDenied", "Access Denied.")
        elif "lifecycle" in query and not key:
            self._age(bucket, body)
        else:
            self._pass_on(body, resign=user is not None)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer_any  # noqa: N815 - what http.server calls

    def _is_signed(self, user: str) -> bool:
        """Whether the request was signed (Signature Version 4) with the secret that is known of the user."""
        secret, authorization = self.state.secret_of(user), self.headers["Authorization"]
        if secret is None:
            return False
        url = urlsplit(self.path)
        request = AWSRequest(self.command, f"http://{self.headers['Host']}{url.path}")
        request.params = dict(parse_qsl(url.query, keep_blank_values=True))
        for name in authorization.split("SignedHeaders=")[1].split(",")[0].split(";"):
            request.headers[name] = self.headers[name]
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = S3SigV4Auth(Credentials(user, secret), "s3", self.state.region)
        to_sign = signer.string_to_sign(request, signer.canonical_request(request))
        return authorization.endswith(f"Signature={signer.signature(to_sign, request)}")

    def _age(self, bucket: str, body: bytes) -> None:
        if self.command == "PUT":
            rules = ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", body)).findall("Rule")
            if not all(any(rule.find(name) is not None for name in _ACTIONS) for rule in rules):
                reason = "Rule must have at least one of Expiration, Transition, NoncurrentVersion…"
                self._refuse(400, "InvalidArgument", reason)
                return
            self.state.lifecycles[bucket] = body
            self._say(200, b"")
        elif bucket in self.state.lifecycles:
            self._say(200, self.state.lifecycles[bucket])
        else:
            self._refuse(404, "NoSuchLifecycleConfiguration", "There is none.")

    def _administer(
        self, command: str, query: Mapping[str, str], body: bytes, is_root: bool
    ) -> None:
        state, secret = self.state, self.state.password
        if not is_root:
            self._say(403, json.dumps({"Code": "AccessDenied"}).encode())
            return
        match command:
            case "add-canned-policy":
                state.policies[query["name"]] = json.loads(body)
            case "remove-canned-policy":
                del state.policies[query["name"]]
            case "add-user":
                given = json.loads(decrypt(_Response(body), secret))
                state.users.setdefault(query["accessKey"], {})["secret"] = given["secretKey"]
            case "remove-user":
                del state.users[query["accessKey"]]
            case "set-user-or-group-policy":
                user = state.users[query["userOrGroup"]]
                if user.get("policy") == query["policyName"]:
                    told = {
                        "Code": "XMinioAdminPolicyChangeAlreadyApplied",
                        "Message": "already applied",
                    }
                    self._say(400, json.dumps(told).encode())
                    return
                user["policy"] = query["policyName"]
            case "list-users":
                self._say(200, encrypt(json.dumps(state.users).encode(), secret))
                return
            case "service":
                state.start_again()
            case "list-canned-policies":
                self._say(200, json.dumps(state.policies).encode())
                return
            case _:
                self._say(404, b"{}")
                return
        self._say(200, b"")

    def _pass_on(self, body: bytes, *, resign: bool) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if resign:
            headers = {n: v for n, v in headers.items() if n.lower() != "authorization"}
            request = AWSRequest(
                self.command,
                f"http://{self.headers['Host']}{self.path}",
                data=body,
                headers=headers,
            )
            S3SigV4Auth(self.state.root, "s3", self.state.region).add_auth(request)
            headers = dict(request.headers.items())
        connection = http.client.HTTPConnection(urlsplit(self.state.upstream).netloc, timeout=60)
        try:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        status = answer.status
        if (
            self.command == "DELETE" and status == 403
        ):  # the root key may delete all but what is locked
            content = _error("InvalidRequest", "Object is WORM protected and cannot be overwritten")
            status = 400
        self._say(status, content, dict(answer.getheaders()))

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._say(status, _error(code, message), {"Content-Type": "application/xml"})

    def _say(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            is_length = name.lower() == "content-length"
            if name.lower() not in _HOP and (not is_length or self.command == "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: what was asked is in the test."""


class _Response(io.BytesIO):
    """Bytes in the shape of the response that minio's own decryption reads."""

    def release_conn(self) -> None:
        """There is no connection."""


def _user(authorization: str) -> str | None:
    found = re.search(r"Credential=([^/]+)/", authorization)
    return found[1] if found else None


def _action(method: str, key: str, query: Mapping[str, str]) -> str:
    if not key:
        return "s3:GetBucketLocation" if "location" in query else "s3:ListBucket"
    if method == "DELETE":
        return "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    return "s3:PutObject" if method in ("PUT", "POST") else "s3:GetObject"


def _error(code: str, message: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
