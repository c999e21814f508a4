"""Bring versions back in place: copies over what is current, and delete markers, each with its new version id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rwm.errors import S3Error
from rwm.model import ObjectVersion
from rwm.s3.error_mapping import mapped
from rwm.s3.objects import NOT_CONFIRMED, DeleteFailure, Objects
from rwm.s3.part_copy import COPY_LIMIT, copy_in_parts


class Rollback(Objects):
    """A part of :class:`rwm.s3.S3`."""

    def copy_back(
        self,
        bucket: str,
        key: str,
        version_id: str,
        size: int,
        storage_class: str = "",
        over: ObjectVersion | None = None,
    ) -> str:
        """Copy a version over the current one of its key, with its metadata; returns the id of the copy.

        Empty where the server does not tell it (Ceph RGW 16). With ``over``, servers that know conditional writes copy
        only while that entry is the current one: S3Error with the code PreconditionFailed else.
        ``storage_class`` is empty for STANDARD. Larger ones than 5 GiB are copied in parts. Raises NotFound for a
        version that is gone, Archived, and the errors of :func:`mapped`.
        """
        source: Any = {"Bucket": bucket, "Key": key, "VersionId": version_id}
        options: Any = {"StorageClass": storage_class} if storage_class else {}
        with mapped("CopyObject", f"{bucket}/{key} version {version_id}"):
            if size > COPY_LIMIT:
                place = {"Bucket": bucket, "Key": key}
                return copy_in_parts(self.patient, source, place, size, options, _condition(over))
            options |= _condition(over)
            copied = self.patient.copy_object(Bucket=bucket, Key=key, CopySource=source, **options)
            return copied.get("VersionId", "")

    def put_markers(self, bucket: str, keys: Sequence[str]) -> tuple[dict[str, str], list[DeleteFailure]]:
        """Put a delete marker on each of at most 1,000 keys: (marker ids by key, what failed).

        An id is empty if the server does not tell it. A key that XML cannot represent takes a request of its own.
        """
        markers: dict[str, str] = {}
        failures: list[DeleteFailure] = []
        for key in keys:
            if not key.isprintable():
                self._put_marker(bucket, key, markers, failures)
        in_xml = [key for key in keys if key.isprintable()]
        if in_xml:
            with mapped("DeleteObjects", bucket):
                objects: list[Any] = [{"Key": key} for key in in_xml]
                response = self.client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
            for item in response.get("Deleted", []):
                markers[item.get("Key", "")] = item.get("DeleteMarkerVersionId", "")
            codes = {error.get("Key", ""): error.get("Code", "Unknown") for error in response.get("Errors", [])}
            failures += [
                DeleteFailure(key, "", codes.get(key, NOT_CONFIRMED))
                for key in in_xml
                if key in codes or key not in markers
            ]
        return markers, failures

    def put_marker_over(self, bucket: str, entry: ObjectVersion) -> str:
        """Put a delete marker on the key of its current version, as ``over`` of :meth:`copy_back`; returns its id."""
        with mapped("DeleteObject", f"{bucket}/{entry.key!r}"):
            response = self.client.delete_object(Bucket=bucket, Key=entry.key, **_condition(entry))
        return response.get("VersionId", "")

    def _put_marker(self, bucket: str, key: str, markers: dict[str, str], failures: list[DeleteFailure]) -> None:
        try:
            with mapped("DeleteObject", f"{bucket}/{key!r}"):
                markers[key] = self.client.delete_object(Bucket=bucket, Key=key).get("VersionId", "")
        except S3Error as error:
            failures.append(DeleteFailure(key, "", error.code or type(error).__name__))


def _condition(over: ObjectVersion | None) -> dict[str, Any]:
    """What a request says of the entry that it expects to be the current one. Ceph RGW 16 takes no notice."""
    if over is None:
        return {}
    return {"IfNoneMatch": "*"} if over.is_marker else {"IfMatch": f'"{over.etag}"'}
