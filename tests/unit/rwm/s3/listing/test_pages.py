"""Version listings as servers send them, and as broken or lying servers would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rwm.errors import BadResponse
from rwm.model import ObjectVersion
from rwm.s3.listing.entry_pattern import parse_timestamp
from rwm.s3.listing.pages import Page, UploadPage, parse_by_pattern, parse_by_xml, parse_page, parse_uploads
from rwm.times import iso

AWS = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>bucket1</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>
  <NextKeyMarker>my+second+image.jpg</NextKeyMarker>
  <NextVersionIdMarker>03jpff543dhffds434rfdsFDN943fdsFkdmqnh892</NextVersionIdMarker>
  <MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
  <Version>
    <Key>my-third-image.jpg</Key>
    <VersionId>3/L4kqtJl40Nr8X8gdRQBpUMLUo</VersionId>
    <IsLatest>true</IsLatest>
    <LastModified>2009-10-28T22:32:00.000Z</LastModified>
    <ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag>
    <ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>
    <Size>434234</Size>
    <StorageClass>STANDARD</StorageClass>
    <Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID></Owner>
  </Version>
  <DeleteMarker>
    <Key>my+second+image.jpg</Key>
    <VersionId>03jpff543dhffds434rfdsFDN943fdsFkdmqnh892</VersionId>
    <IsLatest>true</IsLatest>
    <LastModified>2009-11-12T17:50:30.500Z</LastModified>
    <Owner><ID>75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a</ID></Owner>
  </DeleteMarker>
  <CommonPrefixes><Prefix>photos/</Prefix></CommonPrefixes>
  <CommonPrefixes><Prefix>videos%2F2009/</Prefix></CommonPrefixes>
</ListVersionsResult>"""

RGW = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>bucket1</Name><Prefix></Prefix><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>"
    b"<IsTruncated>false</IsTruncated><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker>"
    b"<Version><Key>a%2Bb%20%25</Key><VersionId>7Jq0.A-_x</VersionId><IsLatest>true</IsLatest>"
    b"<LastModified>2026-11-20T12:00:00.123Z</LastModified><ETag>&quot;0cc175b9&quot;</ETag><Size>1</Size>"
    b"<StorageClass>STANDARD</StorageClass><Owner><ID>user1</ID><DisplayName>user1</DisplayName></Owner>"
    b"<Type>Normal</Type></Version>"
    b"<Version><Key>a%2Bb%20%25</Key><VersionId>null</VersionId><IsLatest>false</IsLatest>"
    b"<LastModified>2026-11-20T12:00:00.124Z</LastModified><ETag></ETag><Size>0</Size></Version>"
    b"<CommonPrefixes><Prefix>%D0%9F/</Prefix></CommonPrefixes></ListVersionsResult>"
)

SEAWEEDFS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket1</Name><Prefix></Prefix><IsTruncated>true</IsTruncated><MaxKeys>2</MaxKeys>"
    "<NextKeyMarker>p%20q+r &amp; Привет</NextKeyMarker><NextVersionIdMarker>3c8e</NextVersionIdMarker>"
    "<Version><Key>p%20q+r &amp; Привет</Key><VersionId>3c8e</VersionId><IsLatest>true</IsLatest>"
    '<LastModified>2026-11-20T12:00:00Z</LastModified><ETag>"0cc175b9"</ETag><Size>1</Size></Version>'
    "<CommonPrefixes><Prefix>x+y/</Prefix></CommonPrefixes></ListVersionsResult>"
).encode()

NOON = 1_795_176_000_000


def test_a_page_of_aws() -> None:
    assert parse_page(AWS) == Page(
        [
            ObjectVersion(
                "my-third-image.jpg",
                "3/L4kqtJl40Nr8X8gdRQBpUMLUo",
                True,
                False,
                434234,
                "fba9dede5f27731c9771645a39863328",
                1_256_769_120_000,
            ),
            ObjectVersion(
                "my second image.jpg", "03jpff543dhffds434rfdsFDN943fdsFkdmqnh892", True, True, 0, "", 1_258_048_230_500
            ),
        ],
        ["photos/", "videos/2009/"],
        "my second image.jpg",
        "03jpff543dhffds434rfdsFDN943fdsFkdmqnh892",
        encoded=True,
    )


def test_a_page_of_ceph_rgw() -> None:
    assert parse_page(RGW) == Page(
        [
            ObjectVersion("a+b %", "7Jq0.A-_x", True, False, 1, "0cc175b9", NOON + 123),
            ObjectVersion("a+b %", "null", False, False, 0, "", NOON + 124),
        ],
        ["П/"],
        None,
        None,
        encoded=True,
    )


def test_a_page_of_seaweedfs_is_taken_literally() -> None:
    """It says no EncodingType, whatever was asked for: what looks encoded is the key's own."""
    key = "p%20q+r & Привет"
    assert parse_page(SEAWEEDFS) == Page(
        [ObjectVersion(key, "3c8e", True, False, 1, "0cc175b9", NOON)], ["x+y/"], key, "3c8e"
    )


def test_a_missing_version_id_is_null() -> None:
    body = RGW.replace(b"<VersionId>7Jq0.A-_x</VersionId>", b"<VersionId></VersionId>")
    assert parse_page(body).versions[0].version_id == "null"
    assert parse_page(RGW.replace(b"<VersionId>null</VersionId>", b"")).versions[1].version_id == "null"


def test_an_empty_listing_is_one_all_the_same() -> None:
    assert parse_page(page([], [])) == Page([], [], None, None)
    assert parse_page(b"<ListObjectVersionsResult><IsTruncated>False</IsTruncated></ListObjectVersionsResult>") == (
        Page([], [], None, None)
    )


def cut(marker: str, key: str, encoding: str = "<EncodingType>url</EncodingType>") -> bytes:
    """A page that ends at a key, with the marker as the server says it."""
    return (
        f"<ListVersionsResult><IsTruncated>true</IsTruncated>{encoding}<NextKeyMarker>{marker}</NextKeyMarker>"
        f"<Version><Key>{key}</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>1</Size>"
        "<LastModified>2026-11-20T12:00:00Z</LastModified></Version></ListVersionsResult>"
    ).encode()


@pytest.mark.parametrize(
    ("marker", "key", "name"),
    [
        ("a%2Bb", "a%2Bb", "a+b"),  # both encoded
        ("a+b", "a%2Bb", "a+b"),  # Ceph RGW: only names are
        ("%2541", "%2541", "%41"),
        ("%41", "%2541", "%41"),
        ("a&#x01;b", "a%01b", "a\x01b"),  # what XML cannot carry
        ("a&#x1f;b", "a%1Fb", "a\x1fb"),
        ("a\ufffeb", "a%EF%BF%BEb", "a\ufffeb"),
        ("a\ufffdb", "a%EF%BF%BDb", "a\ufffdb"),
    ],
)
def test_it_goes_on_after_what_was_listed_last_in_whichever_form_the_marker_comes(
    marker: str, key: str, name: str
) -> None:
    found = parse_page(cut(marker, key))
    assert [version.key for version in found.versions] == [name]
    assert found.next_key == name


def test_garbled_names_are_apart_where_nothing_is_encoded() -> None:
    """A key that XML cannot carry is lost on the way."""
    names = ["a", "a\ufffdb", "b"]
    entries = [ObjectVersion(name, "v1", True, False, 1, "e", 0) for name in names]
    found = parse_page(page(entries, ["d/", "\ufffd/"]))
    assert [version.key for version in found.versions] == ["a", "b"]
    assert [version.key for version in found.garbled] == ["a\ufffdb"]
    assert (found.prefixes, found.garbled_prefixes) == (["d/"], ["\ufffd/"])
    exact = parse_page(page(entries, ["d/", "\ufffd/"], "path"))
    assert [version.key for version in exact.versions] == names and not exact.garbled


# --- any history, rendered --------------------------------------------------------------------------------

Encode = Callable[[str], str]
ENCODINGS: dict[str, Encode] = {"path": quote, "form": quote_plus, "all": lambda text: quote(text, safe=""), "": str}


def page(
    versions: Iterable[ObjectVersion],
    prefixes: Iterable[str],
    encoding: str = "",
    *,
    more: tuple[str, str] | None = None,
    namespace: bool = True,
) -> bytes:
    """The XML that a server sends for these entries."""

    def name(text: str) -> str:
        return escape(ENCODINGS[encoding](text))

    space = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"' if namespace else ""
    parts = [f"<ListVersionsResult{space}><IsTruncated>{str(more is not None).lower()}</IsTruncated>"]
    if encoding:
        parts.append("<EncodingType>url</EncodingType>")
    if more:
        parts.append(f"<NextKeyMarker>{name(more[0])}</NextKeyMarker>")
        parts.append(f"<NextVersionIdMarker>{more[1]}</NextVersionIdMarker>")
    for version in versions:
        kind = "DeleteMarker" if version.is_marker else "Version"
        parts.append(f"<{kind}><Key>{name(version.key)}</Key><VersionId>{version.version_id}</VersionId>")
        parts.append(f"<IsLatest>{str(version.is_latest).lower()}</IsLatest>")
        parts.append(f"<LastModified>{iso(version.last_modified)}</LastModified>")
        if not version.is_marker:
            parts.append(f'<ETag>"{version.etag}"</ETag><Size>{version.size}</Size>')
        parts.append(f"</{kind}>")
    parts += [f"<CommonPrefixes><Prefix>{name(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes]
    return "".join([*parts, "</ListVersionsResult>"]).encode()


names = st.text(alphabet="a%+/ &<2BП\U0001f600", min_size=1, max_size=4)
times = st.integers(0, 2_000_000_000_000)


def _version(key: str, version_id: str, latest: bool, time: int, body: tuple[int, str] | None) -> ObjectVersion:
    size, etag = body or (0, "")
    return ObjectVersion(key, version_id, latest, body is None, size, etag, time)


versions = st.builds(
    _version,
    names,
    st.sampled_from(["null", "v1", "v.2-_"]),
    st.booleans(),
    times,
    st.none() | st.tuples(st.integers(0, 1 << 45), st.sampled_from(["", "0cc175b9-2"])),
)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("namespace", [True, False])
@given(entries=st.lists(versions, max_size=5), prefixes=st.lists(names, max_size=3))
def test_whatever_is_in_a_bucket_is_read_as_it_is(
    encoding: str, namespace: bool, entries: list[ObjectVersion], prefixes: list[str]
) -> None:
    assert parse_page(page(entries, prefixes, encoding, namespace=namespace)) == Page(
        entries, prefixes, None, None, bool(encoding)
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(entries=st.lists(versions, min_size=1, max_size=5))
def test_it_goes_on_after_the_last_entry(encoding: str, entries: list[ObjectVersion]) -> None:
    last = entries[-1]
    found = parse_page(page(entries, [], encoding, more=(last.key, last.version_id)))
    assert found == Page(entries, [], last.key, last.version_id, bool(encoding))


@given(entries=st.lists(versions, min_size=1, max_size=4), cut=st.floats(0, 1, exclude_max=True))
@example(entries=[ObjectVersion("k", "v", True, True, 0, "", 0)], cut=0.0)
def test_a_body_that_is_cut_off_anywhere_is_never_a_page(entries: list[ObjectVersion], cut: float) -> None:
    body = page(entries, [], "path")
    with pytest.raises(BadResponse):
        parse_page(body[: int(len(body) * cut)])


@given(garbage=st.binary(max_size=40))
def test_garbage_is_a_bad_response(garbage: bytes) -> None:
    with pytest.raises(BadResponse):
        parse_page(garbage)


ENTITY = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ListVersionsResult><IsTruncated>false</IsTruncated><Name>&b;</Name></ListVersionsResult>"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (ENTITY, "document type"),
        (b"", "not well-formed"),
        (b"<html><body>502</body></html>", "got <html>"),
        (b"<Error><Code>SlowDown</Code></Error>", "got <Error>"),
        (b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", "got <ListBucketResult>"),
        (b"<ListVersionsResult></ListVersionsResult>", "IsTruncated"),
        (b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>", "no next marker"),
        (AWS.replace(b"<NextKeyMarker>my+second+image.jpg</NextKeyMarker>", b""), "no next marker"),
        (AWS.replace(b"<NextKeyMarker>my+second+image.jpg<", b"<NextKeyMarker>my+other+image.jpg<"), "did not list"),
        (RGW.replace(b"<Key>a%2Bb%20%25</Key>", b"<Key></Key>"), "without a key"),
        (RGW.replace(b"<Key>a%2Bb%20%25</Key>", b""), "Key"),
        (RGW.replace(b"<Key>a%2Bb%20%25</Key>", b"<Key>%FF%FE</Key>"), "not UTF-8"),
        (RGW.replace(b"<IsLatest>true</IsLatest>", b""), "IsLatest"),
        (RGW.replace(b"<Size>1</Size>", b""), "Size"),
        (RGW.replace(b"<Size>1</Size>", b"<Size></Size>"), "malformed entry"),
        (RGW.replace(b"<Size>1</Size>", b"<Size>many</Size>"), "malformed entry"),
        (RGW.replace(b"<Size>1</Size>", b"<Size>-1</Size>"), "malformed entry"),
        (RGW.replace(b"<Size>1</Size>", b"<Size>9223372036854775808</Size>"), "malformed entry"),
        (RGW.replace(b"<LastModified>2026-11-20T12:00:00.123Z</LastModified>", b""), "LastModified"),
        (RGW.replace(b"2026-11-20T12:00:00.123Z", b"yesterday"), "malformed entry"),
        (RGW.replace(b"2026-11-20T12:00:00.123Z", b"2026-11-20T12:00:00.123+01:00"), "UTC"),
        (RGW.replace(b"2026-11-20T12:00:00.123Z", b"9999-12-99T12:00:00.123Z"), "malformed entry"),
        (RGW.replace(b"2026-11-20T12:00:00.123Z", b"2026-11-20T99:99:99.123Z"), "malformed entry"),
        (RGW.replace(b"2026-11-20T12:00:00.123Z", b"0000-11-20T12:00:00.123Z"), "malformed entry"),
    ],
)
def test_what_is_not_a_whole_listing_is_a_bad_response(body: bytes, words: str) -> None:
    with pytest.raises(BadResponse) as error:
        parse_page(body)
    assert words in error.value.message
    assert "\n" not in error.value.message


def test_the_largest_size() -> None:
    body = RGW.replace(b"<Size>1</Size>", b"<Size>9223372036854775807</Size>")
    assert parse_page(body).versions[0].size == 2**63 - 1


def test_a_marker_without_a_size_is_whole() -> None:
    (marker,) = parse_page(page([ObjectVersion("k", "v", True, True, 0, "", 5)], [])).versions
    assert (marker.size, marker.etag, marker.is_marker) == (0, "", True)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-20T12:00:00Z", NOON),
        ("2026-11-20T12:00:00.5Z", NOON + 500),
        ("2026-11-20T12:00:00.123456789Z", NOON + 123),
        ("1970-01-01T00:00:00.000Z", 0),
    ],
)
def test_timestamps(text: str, time: int) -> None:
    assert parse_timestamp(text) == time
    assert parse_timestamp(text) == time  # from the cache


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20",
        "2026-11-20T12:00:00",
        "2026-11-20T12:00:00.Q",
        "2026-11-20T12:00:00.xZ",
        "99999-01-01T00:00:00Z",
    ],
)
def test_what_is_no_timestamp(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


@given(time=st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_any_timestamp(time: int) -> None:
    assert parse_timestamp(iso(time)) == time


# --- unfinished uploads -------------------------------------------------------------------------------------

RGW_UPLOADS = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>bucket1</Bucket>'
    b"<NextKeyMarker>&#x01;up</NextKeyMarker><NextUploadIdMarker>2~6nFZ_</NextUploadIdMarker>"
    b"<MaxUploads>1</MaxUploads><IsTruncated>true</IsTruncated><Upload><Key>&#x01;up</Key><UploadId>2~6nFZ_</UploadId>"
    b"<Initiator><ID>user1</ID><DisplayName>user1</DisplayName></Initiator><StorageClass>STANDARD</StorageClass>"
    b"<Initiated>2026-11-20T12:00:00.123Z</Initiated></Upload></ListMultipartUploadsResult>"
)
SEAWEEDFS_UPLOADS = (
    b"<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><KeyMarker></KeyMarker>"
    b"<NextUploadIdMarker>7dbd_cc33</NextUploadIdMarker><Upload><Initiated>2026-11-20T12:00:00Z</Initiated>"
    b"<Key>a%2Bb+c</Key><UploadId>7dbd_cc33</UploadId></Upload></ListMultipartUploadsResult>"
)


def test_a_page_of_uploads_of_ceph_rgw() -> None:
    assert parse_uploads(RGW_UPLOADS) == UploadPage([("\x01up", "2~6nFZ_", NOON + 123)], "\x01up", "2~6nFZ_", ["user1"])
    last = RGW_UPLOADS.replace(b"true", b"false")
    assert parse_uploads(last) == UploadPage([("\x01up", "2~6nFZ_", NOON + 123)], "", "", ["user1"])


def test_a_page_of_uploads_of_seaweedfs_goes_on_without_a_key() -> None:
    assert parse_uploads(SEAWEEDFS_UPLOADS) == UploadPage([("a%2Bb+c", "7dbd_cc33", NOON)], "", "7dbd_cc33", [""])


@given(
    keys=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1), max_size=4),
    decimal=st.booleans(),
)
@example(keys=["\x01", "\ue0001;", "\ufffe", "&#x01;", "\x00", "a\nb\t"], decimal=False)
def test_any_key_of_an_upload_is_read_as_it_is(keys: list[str], decimal: bool) -> None:
    def spelled(key: str) -> str:
        refer = "&#{};" if decimal else "&#x{:02x};"
        return "".join(refer.format(ord(c)) if ord(c) < 0x20 else escape(c) for c in key)

    uploads = "".join(
        f"<Upload><Key>{spelled(key)}</Key><UploadId>u</UploadId><Initiated>2026-11-20T12:00:00Z</Initiated></Upload>"
        for key in keys
    )
    body = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{uploads}</ListMultipartUploadsResult>"
    assert parse_uploads(body.encode()).uploads == [(key, "u", NOON) for key in keys]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not well-formed"),
        (RGW_UPLOADS[:300], "not well-formed"),
        (RGW, "got <ListVersionsResult>"),
        (ENTITY, "document type"),
        (RGW_UPLOADS.replace(b"<IsTruncated>true</IsTruncated>", b""), "IsTruncated"),
        (SEAWEEDFS_UPLOADS.replace(b"<NextUploadIdMarker>7dbd_cc33<", b"<NextUploadIdMarker><"), "no next marker"),
        (RGW_UPLOADS.replace(b"<UploadId>2~6nFZ_</UploadId>", b""), "UploadId"),
        (RGW_UPLOADS.replace(b"<Key>&#x01;up<", b"<Key><"), "without a key"),
        (RGW_UPLOADS.replace(b"&#x01;", b"&#xd800;"), "malformed entry"),
        (RGW_UPLOADS.replace(b"&#x01;", b"&#xffffff;"), "malformed entry"),
        (RGW_UPLOADS.replace(b"&#x01;", b"&#xffffffff;"), "not well-formed"),
        (RGW_UPLOADS.replace(b"2026-11-20T12", b"yesterday"), "malformed entry"),
    ],
)
def test_what_is_not_a_whole_listing_of_uploads_is_a_bad_response(body: bytes, words: str) -> None:
    with pytest.raises(BadResponse) as error:
        parse_uploads(body)
    assert words in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_document_type_does_not_hide_in_another_encoding(encoding: str) -> None:
    """It is read as UTF-8 whatever it says of itself, so that the look at its bytes sees what the parser sees."""
    declared = ENTITY.decode().replace('version="1.0"', f'version="1.0" encoding="{encoding}"')
    for parse in (parse_page, parse_uploads, parse_by_xml):
        with pytest.raises(BadResponse):
            parse(declared.encode(encoding))
    plain = page([], []).decode()
    with pytest.raises(BadResponse):
        parse_page(f'<?xml version="1.0" encoding="{encoding}"?>{plain}'.encode(encoding))
    assert parse_by_pattern(declared.encode(encoding)) is None
