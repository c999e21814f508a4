"""Entries read by a pattern: the same as an XML parser sees, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rwm.errors import BadResponse
from rwm.model import ObjectVersion, VersionBatch
from rwm.s3.listing.entry_pattern import NotPlain, read_run, split
from rwm.s3.listing.pages import Page, parse_by_pattern, parse_by_xml, parse_page

SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
URL = "<EncodingType>url</EncodingType>"
RGW_VERSION = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{time}"
    "</LastModified><ETag>{etag}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass><Owner><ID>{owner}</ID>"
    "<DisplayName>admin</DisplayName></Owner><Type>Normal</Type></Version>"
)
RGW_MARKER = (
    "<DeleteMarker><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{time}"
    "</LastModified><Owner><ID>{owner}</ID><DisplayName>admin</DisplayName></Owner><Type>Normal</Type></DeleteMarker>"
)
SEAWEEDFS_VERSION = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><ETag>{etag}</ETag>"
    "<Size>{size}</Size><Owner><ID>{owner}</ID><DisplayName>admin</DisplayName></Owner><StorageClass>STANDARD"
    "</StorageClass><LastModified>{time}</LastModified></Version>"
)
SEAWEEDFS_MARKER = (
    "<DeleteMarker><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><Owner><ID>{owner}</ID>"
    "<DisplayName>admin</DisplayName></Owner><LastModified>{time}</LastModified></DeleteMarker>"
)
MOTO_VERSION = (
    "<Version><ETag>{etag}</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass><Key>{key}</Key><VersionId>"
    "{version}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{time}</LastModified><Owner><DisplayName>webfile"
    "</DisplayName><ID>{owner}</ID></Owner></Version>"
)
AWS_VERSION = (
    "<Version><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{time}"
    "</LastModified><ETag>{etag}</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT"
    "</ChecksumType><Size>{size}</Size><Owner><ID>{owner}</ID></Owner><StorageClass>STANDARD</StorageClass></Version>"
)
AWS_MARKER = (
    "<DeleteMarker><Key>{key}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest><LastModified>{time}"
    "</LastModified><Owner><ID>{owner}</ID></Owner></DeleteMarker>"
)
STYLES = {
    "AWS": (AWS_VERSION, AWS_MARKER, URL, "&quot;e&quot;", "2026-11-20T12:00:00.123Z"),
    "Ceph RGW": (RGW_VERSION, RGW_MARKER, URL, "&quot;e&quot;", "2026-11-20T12:00:00.123Z"),
    "SeaweedFS": (SEAWEEDFS_VERSION, SEAWEEDFS_MARKER, "", "&#34;e&#34;", "2026-11-20T12:00:00Z"),
    "moto": (MOTO_VERSION, RGW_MARKER, "", '"e"', "2026-11-20T12:00:00.123Z"),
}


def render(template: str, **values: str) -> str:
    usual = {"key": "k", "version": "v", "latest": "true", "size": "1", "owner": "user1", "etag": "e"}
    return template.format(**{**usual, "time": "2026-11-20T12:00:00.123Z", **values})


def page(entries: str, head: str = URL, tail: str = "", start: str = "") -> bytes:
    truncated = "<IsTruncated>false</IsTruncated>"
    return f"{start}<ListVersionsResult{SPACE}>{head}{truncated}{entries}{tail}</ListVersionsResult>".encode()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kinds", ["V", "M", "VVV", "VMV", "MVM", "MMM"])
def test_the_pages_of_real_servers_are_read_by_a_pattern(style: str, kinds: str) -> None:
    version, marker, head, etag, time = STYLES[style]
    entries = "".join(
        render(version if kind == "V" else marker, key=f"data/{n}", version=f"v{n}", size=str(n), etag=etag, time=time)
        for n, kind in enumerate(kinds)
    )
    common = "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
    body = page(entries, head, common, start='<?xml version="1.0" encoding="UTF-8"?>\n')
    found = parse_by_pattern(body)
    assert found is not None and found == parse_by_xml(body) == parse_page(body)
    ms = 1_795_176_000_000 + (0 if style == "SeaweedFS" else 123)
    assert found.versions == [
        ObjectVersion(f"data/{n}", f"v{n}", True, kind == "M", 0 if kind == "M" else n, "" if kind == "M" else "e", ms)
        for n, kind in enumerate(kinds)
    ]
    assert found.prefixes == ["p/"]


@pytest.mark.parametrize("style", STYLES)
def test_every_storage_class_but_standard_is_kept(style: str) -> None:
    version, marker, head, etag, time = STYLES[style]
    classes = ["STANDARD", "GLACIER", "", "STANDARD_IA", "STANDARD", "x y"]
    entries = [
        render(version, key=str(n), etag=etag, time=time).replace(">STANDARD<", f">{name}<")
        for n, name in enumerate(classes)
    ]
    body = page("".join([*entries[:3], render(marker, key="m", time=time), *entries[3:]]), head)
    found = parse_by_pattern(body)
    assert found is not None and found == parse_by_xml(body)
    assert [entry.storage_class for entry in found.versions] == [
        None,
        "GLACIER",
        *[None] * 2,
        "STANDARD_IA",
        None,
        "x y",
    ]


def test_a_server_may_name_no_storage_class() -> None:
    body = page(render(RGW_VERSION).replace("<StorageClass>STANDARD</StorageClass>", ""))
    found = parse_by_pattern(body)
    assert found is not None and found == parse_by_xml(body)
    assert [entry.storage_class for entry in found.versions] == [None]


def test_a_page_of_standard_entries_has_no_column_of_classes() -> None:
    found = parse_by_pattern(page(render(RGW_VERSION) * 3))
    assert found is not None and isinstance(found.versions, VersionBatch)
    assert found.versions.storage_classes is None


@pytest.mark.parametrize("head", ["", URL])
@pytest.mark.parametrize(
    "key",
    ["a&amp;b", "&lt;&gt;&quot;&apos;", "&#x41;&#66;&#13;", "&amp;amp;", "a%2Fb", "%252F", "%%2F", "%2%2F", "+%2B",
     "%D0%B6", "ж", "a%00b", " a ", "a>b", "a\tb\nc", "%0A", "\ue000", "\ufffd", "%C3%A9", "&#xe9;%C3"],
)  # fmt: skip
def test_a_key_is_what_an_xml_parser_makes_of_it(head: str, key: str) -> None:
    body = page(render(RGW_VERSION, key=key) + render(RGW_VERSION, key="other"), head)
    assert same(body)


def same(body: bytes) -> bool:
    """Whether the pattern gives what the XML parser gives, or nothing. Where the parser refuses, it must be nothing."""
    found = parse_by_pattern(body)
    try:
        expected: Page | None = parse_by_xml(body)
    except BadResponse:
        expected = None
    return found is None or found == expected


ONE, TWO = render(RGW_VERSION), render(RGW_VERSION, key="k2")


@pytest.mark.parametrize(
    "body",
    {
        "white space between entries": page(f"{ONE}\n{TWO}"),
        "white space in an entry": page(ONE.replace("<Size>", " <Size>") + TWO),
        "something between entries": page(f"{ONE}<X>1</X>{TWO}"),
        "a prefix between entries": page(f"{ONE}<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>{TWO}"),
        "another order": page(ONE + render(SEAWEEDFS_VERSION, key="k2")),
        "one without a time": page(ONE + TWO.replace("<LastModified>2026-11-20T12:00:00.123Z</LastModified>", "")),
        "one without an id": page(ONE + TWO.replace("<VersionId>v</VersionId>", "")),
        "a key twice": page(ONE.replace("<Key>k</Key>", "<Key>k</Key><Key>l</Key>")),
        "a key of the owner": page(ONE.replace("<ID>user1</ID>", "<Key>user1</Key>")),
        "no key but the owner's": page(ONE.replace("<Key>k</Key>", "").replace("<ID>user1</ID>", "<Key>k</Key>")),
        "an empty key": page(ONE + render(RGW_VERSION, key="")),
        "an empty id": page(ONE + render(RGW_VERSION, version="")),
        "a comment around all": page(f"<!--{ONE}-->"),
        "a comment around one": page(f"{ONE}<!--{TWO}-->"),
        "a comment in a key": page(ONE + render(RGW_VERSION, key="a<!--b-->c")),
        "a comment that ends in a key": page(f"<!-- {render(RGW_VERSION, key='-->')}"),
        "a comment over the border": page(f"<!-- {render(RGW_VERSION, key='--')}", tail="-->"),
        "CDATA around all": page(f"<![CDATA[{ONE}]]>"),
        "CDATA in a key": page(ONE + render(RGW_VERSION, key="<![CDATA[<b>]]>")),
        "the end of CDATA in a key": page(ONE + render(RGW_VERSION, key="]]>")),
        "an instruction around all": page(f"<?{ONE}?>"),
        "an element around all": page(f"<X>{ONE}</X>"),
        "an element that ends in between": page(f"<X>{ONE}</X>{TWO}"),
        "an empty entry beside": page(ONE, tail="<Version/>"),
        "an entry with an attribute": page(ONE + TWO.replace("<Key>", '<Key x="1">')),
        "entries of another namespace": page(ONE + ONE.replace("<Version>", '<Version xmlns="urn:x">')),
        "a prefixed root": page(ONE).replace(b"ListVersionsResult xmlns=", b"a:ListVersionsResult xmlns:a=").replace(
            b"</ListV", b"</a:ListV"
        ),
        "a prefixed entry beside": page(
            ONE, tail=f'<a:Version xmlns:a="http://s3.amazonaws.com/doc/2006-03-01/">{TWO[9:-10]}</a:Version>'
        ),
        "an unknown entity": page(render(RGW_VERSION, key="&nbsp;")),
        "a reference cut off": page(render(RGW_VERSION, key="a&amp")),
        "a reference to a control character": page(render(RGW_VERSION, key="a&#1;")),
        "a reference to NUL": page(render(RGW_VERSION, key="a&#0;")),
        "a reference to a surrogate": page(render(RGW_VERSION, key="&#xD800;")),
        "a reference to U+FFFF": page(render(RGW_VERSION, key="&#xFFFF;")),
        "a reference in an owner": page(render(RGW_VERSION, owner="a&amp;b")),
        "a control character": page(render(RGW_VERSION, key="a\x01b")),
        "NUL": page(render(RGW_VERSION, key="a\0b")),
        "a carriage return": page(render(RGW_VERSION, key="a\rb")),
        "U+FFFE": page(render(RGW_VERSION, key="a\ufffeb")),
        "invalid UTF-8": page(ONE + TWO).replace(b"k2", b"\xff"),
        "a surrogate in UTF-8": page(ONE + TWO).replace(b"k2", b"\xed\xa0\x80"),
        "a key that is not UTF-8": page(ONE + render(RGW_VERSION, key="%FF")),
        "two halves of a character": page(render(RGW_VERSION, key="%C3") + render(RGW_VERSION, key="%A9")),
        "digits of another script": page(render(RGW_VERSION, size="٣")),
        "a size with a sign": page(render(RGW_VERSION, size="+1")),
        "a size that is too large": page(render(RGW_VERSION, size="9" * 19)),
        "a time with a comma": page(render(RGW_VERSION, time="2026-11-20T12:00:00,5Z")),
        "a time of no day": page(render(RGW_VERSION, time="2026-02-30T12:00:00.000Z")),
        "a time of no hour": page(render(RGW_VERSION, time="2026-02-20T24:00:00.000Z")),
        "a time with a control character": page(ONE + render(RGW_VERSION, time="2026-11-\x0b1T12:00:00.123Z")),
        "a time with a carriage return": page(ONE + render(RGW_VERSION, time="2026-11-\r1T12:00:00.123Z")),
        "a time of six digits": page(render(RGW_VERSION, time="2026-02-20T23:00:00.123456Z")),
        "a time of one digit": page(render(RGW_VERSION, time="2026-02-20T23:00:00.1Z")),
        "neither true nor false": page(render(RGW_VERSION, latest="TRUE")),
        "a reference in an id": page(ONE + render(RGW_VERSION, version="a&amp;b")),
        "a control character in an id": page(ONE + render(RGW_VERSION, version="a\x01b")),
        "quotes around the first ETag only": page(render(RGW_VERSION, etag="&quot;e&quot;") + ONE),
        "quotes around the second ETag only": page(ONE + render(RGW_VERSION, etag="&quot;e&quot;")),
        "quotes of another form": page(render(RGW_VERSION, etag='"e"') + render(RGW_VERSION, etag="&#34;e&#34;")),
        "a quote on one side": page(render(RGW_VERSION, etag="&quot;e") + render(RGW_VERSION, etag="&quot;e")),
        "nothing in quotes": page(render(RGW_VERSION, etag="&quot;&quot;")),
        "an ETag of the owner in quotes": page(render(MOTO_VERSION).replace("<ETag>e</ETag>", "").replace(
            "<DisplayName>webfile</DisplayName>", "<ETag>&quot;x&quot;</ETag>"
        ).replace("</Version>", "<ETag>&quot;e&quot;</ETag></Version>")),
        "quotes within an ETag": page(render(RGW_VERSION, etag='"a"b"')),
        "quotes twice": page(render(RGW_VERSION, etag='""a""')),
        "a byte order mark": b"\xef\xbb\xbf" + page(ONE),
        "Latin-1, as it says": page(ONE, start='<?xml version="1.0" encoding="ISO-8859-1"?>'),
        "cut off": page(ONE)[:-5],
        "something after the root": page(ONE) + ONE.encode(),
        "deep in an owner": page(ONE.replace("<ID>user1</ID>", "<a>" * 50 + "</a>" * 50)),
        "a long first entry": page(render(RGW_VERSION, owner="x" * 5000) + TWO),
    }.items(),
    ids=lambda item: item[0],
)  # fmt: skip
def test_what_needs_an_xml_parser_is_left_to_it(body: tuple[str, bytes]) -> None:
    assert same(body[1])


@pytest.mark.parametrize("run", ["", ONE, "<Version></Version>", f"{ONE}x", f"x{ONE}"])
def test_a_gap_is_never_read_over(run: str) -> None:
    if run == ONE:
        assert [version.key for version in read_run(run, encoded=True)] == ["k"]
    else:
        with pytest.raises(NotPlain):
            read_run(run, encoded=True)


def test_a_page_without_entries_has_no_run() -> None:
    for body in (page(""), b"", b"</Version><Version>"):
        with pytest.raises(NotPlain):
            split(body)


# --- anything at all -----------------------------------------------------------------------------------------

hostile = st.sampled_from(
    ["<", ">", "&", ";", "&amp;", "&#1;", "&#x41;", "&quot;", '"', "]]>", "<![CDATA[", "<!--", "-->", "<?", "?>",
     "<Key>", "</Key>", "<Version>", "</Version>", "<DeleteMarker>", "</DeleteMarker>", "<Version/>", "%", "%2F", "+",
     "%C3", "%00", "\0", "\r", "\n", " ", "a", "1", "ж", "\ufffe", "\ue000", "</ListVersionsResult>", "<X>", "</X>"]
)  # fmt: skip
texts = st.lists(hostile, max_size=4).map("".join)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A page of which any text may be hostile, in any place."""
    version, marker, _, etag, time = STYLES[draw(st.sampled_from(sorted(STYLES)))]
    entries = []
    for _ in range(draw(st.integers(1, 3))):
        values = {"etag": etag, "time": time, "key": draw(st.sampled_from(["a/b", "data%2Fx", "ж"]))}
        if draw(st.booleans()):
            values[draw(st.sampled_from(["key", "version", "latest", "size", "owner", "etag", "time"]))] = draw(texts)
        entries.append(render(draw(st.sampled_from([version, marker])), **values))
        if not draw(st.integers(0, 5)):
            entries.append(draw(texts))
    head = draw(st.sampled_from(["", URL, "<EncodingType>URL</EncodingType>", "<!--", "<X>"]))
    return page("".join(entries), head, draw(st.sampled_from(["", "", "-->", "</X>", "<Version/>"])))


@settings(max_examples=600)
@given(body=bodies())
@example(body=page(f"<!--{ONE}", "", "-->"))
def test_whatever_a_page_holds_both_ways_agree(body: bytes) -> None:
    assert same(body)


@settings(max_examples=300)
@given(body=bodies(), cut=st.floats(0, 1), junk=st.binary(max_size=3))
def test_they_agree_on_damaged_pages(body: bytes, cut: float, junk: bytes) -> None:
    at = int(len(body) * cut)
    assert same(body[:at] + junk + body[at:]) and same(body[:at] + junk)
