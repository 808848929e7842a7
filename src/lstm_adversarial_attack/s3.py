"""S3, through the MinIO client: endpoint, credentials, region and certificates come from the environment.

The names are those of the AWS tools: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION, AWS_CA_BUNDLE or SSL_CERT_FILE.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.credentials.providers import AWSConfigProvider, ChainedProvider, EnvAWSProvider, IamAwsProvider, Provider
from minio.error import MinioException, S3Error

from lstm_adversarial_attack.checkpoints import CopyError
from lstm_adversarial_attack.fetch.trust import load_authorities, trusting_context

_AWS = "https://s3.amazonaws.com"
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
#: Of a request; only on errors of the connection and on those of the server that pass.
_RETRIES = urllib3.Retry(total=1, backoff_factor=0.5, status_forcelist=[500, 502, 503, 504])
_WORDS = {
    "NoSuchBucket": "there is no such bucket; make it first",
    "AccessDenied": "no permission; see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and the bucket's policy",
    "InvalidAccessKeyId": "the server does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is wrong",
}


class BucketCopies:
    """Copies below a prefix of a bucket (`checkpoints.Copies`)."""

    def __init__(self, address: str, key: str) -> None:
        """Use ``s3://bucket/prefix`` and, below it, ``key``."""
        if "@" in address:
            raise CopyError(
                "not of the form s3://BUCKET/PREFIX; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/{key}/".lstrip("/")
        with _explained():
            self._client = client()
            if not self._client.bucket_exists(bucket):
                raise CopyError(_WORDS["NoSuchBucket"])

    def names(self) -> dict[str, datetime]:
        """See `checkpoints.Copies`."""
        with _explained():
            found = list(self._client.list_objects(self._bucket, prefix=self._prefix))
        return {
            item.object_name.removeprefix(self._prefix): item.last_modified
            for item in found
            if item.object_name and item.last_modified and not item.is_dir
        }

    def put(self, name: str, file: Path) -> None:
        """See `checkpoints.Copies`."""
        with _explained(), file.open("rb") as opened:  # once: another may take its place while this one is sent
            size = os.fstat(opened.fileno()).st_size
            self._client.put_object(self._bucket, self._prefix + name, opened, size)

    def get(self, name: str, file: Path) -> None:
        """See `checkpoints.Copies`."""
        with _explained():
            self._client.fget_object(self._bucket, self._prefix + name, str(file))

    def delete(self, name: str) -> None:
        """See `checkpoints.Copies`."""
        with _explained():
            self._client.remove_object(self._bucket, self._prefix + name)


def client() -> Minio:
    """Return a client for the server that the environment names, AWS by default.

    Raises:
        CopyError: no credentials, or an endpoint that is no address.
        UserError: a file of certificates that is named cannot be used.
        ValueError: of the MinIO client, about endpoint or region.
    """
    environ = os.environ
    endpoint = urlsplit(environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or _AWS)
    if endpoint.scheme not in ("http", "https") or not endpoint.hostname:
        raise CopyError("AWS_ENDPOINT_URL is not an address as in https://s3.example:9000")
    if endpoint.username or endpoint.password:
        raise CopyError("AWS_ENDPOINT_URL holds a user; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    providers: list[Provider] = [EnvAWSProvider(), AWSConfigProvider()]
    if any(name.startswith(("AWS_CONTAINER_", "AWS_WEB_IDENTITY_")) for name in environ):
        providers.append(IamAwsProvider())  # asks a server, which is not everywhere
    provider = ChainedProvider(providers)
    try:
        provider.retrieve()
    except Exception as error:  # of any kind: files and answers of any form are read
        raise CopyError("no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    trusted = trusting_context()
    if environ.get("AWS_CA_BUNDLE"):
        load_authorities(trusted, "AWS_CA_BUNDLE", environ["AWS_CA_BUNDLE"])
    return Minio(
        endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
        credentials=provider,
        http_client=urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES, ssl_context=trusted),
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the client raises into `CopyError`, in words of our own: its own may show requests."""
    try:
        yield
    except S3Error as error:
        raise CopyError(_WORDS.get(error.code or "", f"the server refuses ({error.code})")) from error
    except (MinioException, ParseError) as error:
        raise CopyError(f"the server does not answer as S3 does ({type(error).__name__})") from error
    except urllib3.exceptions.HTTPError as error:
        host = getattr(getattr(error, "pool", None), "host", "the server")
        raise CopyError(f"{host} cannot be reached ({_reason(error)})") from error
    except ssl.SSLError as error:
        raise CopyError("no secured connection; see SSL_CERT_FILE and AWS_CA_BUNDLE") from error
    except ValueError:  # its words hold names as they were given, which may be secrets in the wrong place
        raise CopyError(
            "not an address of S3, or AWS_ENDPOINT_URL, AWS_REGION or credentials are not of the form it takes"
        ) from None
    except OSError as error:
        raise CopyError(f"the file cannot be copied ({error.strerror})") from error


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = getattr(error, "reason", None) or error
    words = {
        urllib3.exceptions.ConnectTimeoutError: "no connection in time",
        urllib3.exceptions.ReadTimeoutError: "no answer in time",
        urllib3.exceptions.SSLError: "its certificate is not trusted; see SSL_CERT_FILE",
        urllib3.exceptions.NewConnectionError: "no connection",
    }
    return next((text for kind, text in words.items() if isinstance(cause, kind)), type(cause).__name__)
