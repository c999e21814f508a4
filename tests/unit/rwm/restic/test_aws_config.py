"""The configuration file of aws with an addressing style."""

from __future__ import annotations

import pytest

from rwm.restic.aws_config import config_with_addressing

OTHERS = "[default]\noutput = json\ns3 =\n  max_concurrent_requests = 20\n{}\n[profile x]\nregion = eu\n"


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("", "path"),
        (OTHERS.format(""), "path"),
        (OTHERS.format("  addressing_style = auto"), "path"),  # auto is path at an endpoint of its own
        (OTHERS.format("  addressing_style = virtual"), "virtual"),
        ("not a file of aws", "path"),
    ],
)
def test_a_file_that_leads_to_the_style_is_left_alone(text: str, style: str) -> None:
    assert config_with_addressing(text, style) is None


@pytest.mark.parametrize("text", ["", "not a file of aws", "[profile x]\nregion = eu\n"])
def test_the_style_is_set_in_the_default_profile(text: str) -> None:
    assert "[default]\ns3 = \n\taddressing_style = virtual\n" in (config_with_addressing(text, "virtual") or "")


@pytest.mark.parametrize(("found", "style"), [("", "virtual"), ("  addressing_style = virtual", "path")])
def test_all_other_settings_are_kept(found: str, style: str) -> None:
    assert config_with_addressing(OTHERS.format(found), style) == (
        f"[default]\noutput = json\ns3 = \n\tmax_concurrent_requests = 20\n\taddressing_style = {style}\n\n"
        "[profile x]\nregion = eu\n\n"
    )
