"""The modules that become the one script of a page."""

import re
from importlib.resources import files

from robustbench_zosam.report import page

SCRIPTS = files("robustbench_zosam.report").joinpath("templates", "scripts")
IMPORT = r'^import \{([^}]*)\} from "\./(\w+)\.js";'


def source(name):
    return SCRIPTS.joinpath(f"{name}.js").read_text(encoding="utf-8")


def exports(name):
    return set(re.findall(r"^export (?:async )?(?:function|const) (\w+)", source(name), re.M))


def test_every_module_is_in_the_page():
    found = {file.name for file in SCRIPTS.iterdir()}
    assert found == {f"{name}.js" for name in page._MODULES}


def test_imports_name_what_an_earlier_module_exports():
    for place, name in enumerate(page._MODULES):
        lines = [line for line in source(name).splitlines() if line.startswith("import")]
        found = re.findall(IMPORT, source(name), re.M)
        assert len(found) == len(lines)
        for names, module in found:
            assert module in page._MODULES[:place]
            assert {word.strip() for word in names.split(",")} <= exports(module)


def test_the_joined_script_has_no_module_syntax_left_and_cannot_end_early():
    script = page._script()
    assert not re.search(r"^(import|export) ", script, re.M)
    assert "</script" not in script
    assert script.count("modules.main = ") == 1
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", script)
