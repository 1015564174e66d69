"""Parts found by name; parts whose settings are told of before they are imported."""

import sys

import pytest

from vqa_gs.common.errors import UsageError
from vqa_gs.common.registry import Registry
from vqa_gs.models import LABEL_MODELS, MODELS, TEXT_MODELS
from vqa_gs.objectives import OBJECTIVES

REGISTRIES = {"terms": OBJECTIVES, "models": MODELS, "text models": TEXT_MODELS, "label models": LABEL_MODELS}


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of a package of two parts, of which one has its settings in another package."""
    files = {
        "parts/__init__.py": "from vqa_gs.common.registry import Registry\n"
        "PARTS = Registry('part', 'parts.heavy', 'parts.settings')",
        "parts/heavy/__init__.py": "",
        "parts/heavy/apart.py": "from parts import PARTS\nfrom parts.settings.apart import Settings\n"
        "@PARTS.register('apart')\nclass Apart:\n    Settings = Settings",
        "parts/heavy/whole.py": "from parts import PARTS\n"
        "@PARTS.register('whole')\nclass Whole:\n    class Settings: pass",
        "parts/settings/__init__.py": "",
        "parts/settings/apart.py": "from parts import PARTS\n"
        "@PARTS.settings('apart', 'parts.heavy.apart')\nclass Settings: pass",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    from parts import PARTS

    yield PARTS
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        del sys.modules[name]


def test_a_part_is_imported_when_it_is_asked_for_where_its_settings_are_apart(registry):
    assert registry.names() == ["apart", "whole"]
    assert registry.settings_of("apart").__module__ == "parts.settings.apart"
    assert registry.settings_of("whole").__qualname__ == "Whole.Settings"
    assert "parts.heavy.whole" in sys.modules
    assert "parts.heavy.apart" not in sys.modules
    assert registry["apart"].Settings is registry.settings_of("apart")


def test_a_name_that_is_taken_is_refused_before_the_part_that_has_it_is_imported(registry):
    registry.names()
    for taken in ("apart", "whole"):
        with pytest.raises(UsageError, match=f"two parts are called '{taken}'"):
            registry.register(taken)(type("Other", (), {}))
    with pytest.raises(UsageError, match="two parts are called 'apart'"):
        registry.settings("apart", "elsewhere")(type("Other", (), {}))


def test_a_module_that_does_not_register_what_its_settings_say_is_no_part(registry):
    registry.settings("promised", "parts.heavy.whole")(type("Settings", (), {}))
    assert "promised" in registry.names()
    with pytest.raises(UsageError, match="there is no part called 'promised'"):
        registry["promised"]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_settings_that_stand_apart_are_the_part_s_own(kind):
    found: Registry = REGISTRIES[kind]
    assert len(found.names()) >= 2
    for name in found:
        assert found[name].Settings is found.settings_of(name)
