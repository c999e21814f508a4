"""Buckets: existence, creation, deletion and settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from rwm.errors import BadResponse, NotFound, NotSupported
from rwm.s3.error_mapping import mapped

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


Policy = dict[str, Any]
"""A bucket policy as parsed JSON."""


def _is_created_by_retry(error: ClientError) -> bool:
    """Whether the bucket exists because an earlier attempt of the same request created it and its response was lost."""
    retried = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
    return retried and error.response.get("Error", {}).get("Code") == "BucketAlreadyOwnedByYou"


class Buckets:
    """Operations on buckets. A part of :class:`rwm.s3.S3`."""

    client: S3Client
    endpoint_url: str
    region: str

    def list_buckets(self) -> list[str]:
        """Names of the account's own buckets."""
        with mapped("ListBuckets", self.endpoint_url):
            return [bucket["Name"] for bucket in self.client.list_buckets().get("Buckets", [])]

    def owner_id(self) -> str:
        """The server's id of this account (``admin``, with a tenant ``t1$admin``; on AWS a canonical id)."""
        with mapped("ListBuckets", self.endpoint_url):
            return self.client.list_buckets().get("Owner", {}).get("ID", "")

    def bucket_exists(self, bucket: str) -> bool:
        """False on 404 only. Raises AccessDenied when the bucket is another account's."""
        try:
            with mapped("HeadBucket", bucket):
                self.client.head_bucket(Bucket=bucket)
        except NotFound:
            return False
        return True

    def create_bucket(self, bucket: str, *, object_lock: bool = False) -> None:
        """Create the bucket. Only AWS requires the region in the request. A server may ignore ``object_lock``."""
        request: dict[str, Any] = {"Bucket": bucket}
        if object_lock:
            request["ObjectLockEnabledForBucket"] = True
        if ".amazonaws.com" in self.endpoint_url and self.region != "us-east-1":
            request["CreateBucketConfiguration"] = {"LocationConstraint": self.region}
        with mapped("CreateBucket", bucket):
            try:
                self.client.create_bucket(**request)
            except ClientError as error:
                if not _is_created_by_retry(error):
                    raise

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket."""
        with mapped("DeleteBucket", bucket):
            self.client.delete_bucket(Bucket=bucket)

    def versioning(self, bucket: str) -> str:
        """``Enabled``, ``Suspended``, or ``""`` where it was never enabled."""
        with mapped("GetBucketVersioning", bucket):
            return self.client.get_bucket_versioning(Bucket=bucket).get("Status", "")

    def enable_versioning(self, bucket: str) -> None:
        """Keep overwritten and deleted objects from now on."""
        with mapped("PutBucketVersioning", bucket):
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def policy(self, bucket: str) -> Policy | None:
        """The bucket's policy document, or None where it has none. BadResponse when it is not JSON."""
        with _empty_if_absent("NoSuchBucketPolicy") as found, mapped("GetBucketPolicy", bucket):
            found.append(self.client.get_bucket_policy(Bucket=bucket)["Policy"])
        if not found:
            return None
        text = found[0]
        try:
            policy = json.loads(text)
        except ValueError as error:
            raise BadResponse(f"GetBucketPolicy {bucket}: the policy is not JSON ({error})") from error
        return policy if isinstance(policy, dict) else {"Statement": policy}

    def put_policy(self, bucket: str, policy: Policy) -> None:
        """Replace the bucket's policy. AWS limits its text to 20 KB."""
        with mapped("PutBucketPolicy", bucket):
            self.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy, separators=(",", ":")))

    def delete_policy(self, bucket: str) -> None:
        """Remove the bucket's policy."""
        with mapped("DeleteBucketPolicy", bucket):
            self.client.delete_bucket_policy(Bucket=bucket)

    def acl(self, bucket: str) -> tuple[str, list[tuple[str, str]]]:
        """(owner id, grants) of the bucket; a grant is (grantee id or group URI, permission)."""
        with mapped("GetBucketAcl", bucket):
            return _parse_acl(self.client.get_bucket_acl(Bucket=bucket))

    def version_acl(self, bucket: str, key: str, version_id: str) -> tuple[str, list[tuple[str, str]]]:
        """(owner id, grants) of a version of an object, as :meth:`acl`."""
        with mapped("GetObjectAcl", f"{bucket}/{key} version {version_id}"):
            return _parse_acl(self.client.get_object_acl(Bucket=bucket, Key=key, VersionId=version_id))

    def lifecycle_rules(self, bucket: str) -> list[dict[str, Any]]:
        """The bucket's lifecycle rules, empty where it has none."""
        with (
            _empty_if_absent("NoSuchLifecycleConfiguration") as found,
            mapped("GetBucketLifecycleConfiguration", bucket),
        ):
            found.extend(self.client.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", []))
        return [dict(rule) for rule in found]

    def put_lifecycle_rules(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        """Replace the bucket's lifecycle rules."""
        configuration: Any = {"Rules": rules}
        with mapped("PutBucketLifecycleConfiguration", bucket):
            self.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=configuration)

    def make_private(self, bucket: str) -> None:
        """Take all grants but the owner's from the bucket's ACL."""
        with mapped("PutBucketAcl", bucket):
            self.client.put_bucket_acl(Bucket=bucket, ACL="private")

    def has_object_lock(self, bucket: str) -> bool:
        """Whether Object Lock is enabled for the bucket. A server that does not have it locks nothing."""
        absent = _empty_if_absent("ObjectLockConfigurationNotFoundError")
        with suppress(NotSupported), absent, mapped("GetObjectLockConfiguration", bucket):
            response = self.client.get_object_lock_configuration(Bucket=bucket)
            return response.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        return False


def _parse_acl(response: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """(owner id, grants); a grant is (grantee id or group URI, permission)."""
    grants = [
        (
            str(grantee.get("ID") or grantee.get("URI") or grantee.get("EmailAddress")),
            grant.get("Permission", ""),
        )
        for grant in response.get("Grants", [])
        for grantee in [grant.get("Grantee", {})]
    ]
    return response.get("Owner", {}).get("ID", ""), grants


@contextmanager
def _empty_if_absent(code: str) -> Iterator[list[Any]]:
    """Yield a list for a setting; it stays empty when the server answers 404 with this code.

    Other codes are raised: a missing bucket is a 404 too.
    """
    try:
        yield []
    except NotFound as error:
        if error.code != code:
            raise
