import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spmat_nb

PACKAGE = Path(spmat_nb.__file__).parent
# Each module may import those before it.
ORDER = [
    "errors",
    "files",
    "settings",
    "progress",
    "vocabulary",
    "labels",
    "reading",
    "structure_files",
    "tables",
    "sources",
    "table_checks",
    "textbook",
    "mp_documents",
    "materials_project",
    "crystals",
    "leaks",
    "neighbours",
    "draws",
    "packing",
    "store",
    "graphs",
    "augment",
    "elements",
    "fused",
    "layers",
    "transformer",
    "encoders",
    "losses",
    "diagnostics",
    "judgements",
    "checkpoints",
    "depth",
    "models",
    "sampling",
    "distributed",
    "training",
    "pretrain",
    "embed",
    "property_models",
    "finetune",
    "ensembles",
    "regressor",
    "study",
    "plots",
    "plots_crystals",
    "plots_graphs",
    "plots_models",
    "plots_errors",
    "plots_maps",
    "plots_transfer",
    "plots_study",
    "feedback",
    "checks",
    "grading",
    "plots_live",
    "explorer_colours",
    "explorer_points",
    "explorer",
    "explorer_figure",
    "explorer_scope",
    "explorer_page",
    "widgets_base",
    "widgets_run",
    "widgets_noise",
    "widgets_study",
    "widgets_map",
    "widgets_explorer",
    "widgets",
    "arguments",
    "cli",
    "__main__",
]
MODULES = sorted(
    path.stem if path.suffix else path.name
    for path in PACKAGE.iterdir()
    if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").is_file())
)


def tree(module):
    """The source of a module, or of all files of a package in it as one."""
    path = PACKAGE / module
    files = sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return ast.parse("\n".join(file.read_text() for file in files))


def own_imports(nodes, nested=False):
    """Modules of the package named in an import, inside functions too; `nested`: one dot is a sibling in a folder."""
    for node in ast.walk(nodes):
        if isinstance(node, ast.ImportFrom) and (node.level > nested or (node.module or "").startswith("spmat_nb")):
            inside = (node.module or "").removeprefix("spmat_nb").lstrip(".")
            yield from [inside.split(".")[0]] if inside else [name.name for name in node.names]
        elif isinstance(node, ast.Import):
            yield from (n.name.split(".")[1] for n in node.names if n.name.startswith("spmat_nb."))


def environment_reads(nodes):
    for node in ast.walk(nodes):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for name in node.names if name.name in ("environ", "getenv", "environb"))


def test_every_module_has_its_place():
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_to_the_left(module):
    names = {name for name in own_imports(tree(module), (PACKAGE / module).is_dir()) if name != "__version__"}
    assert names <= set(ORDER[: ORDER.index(module)])


def test_the_check_sees_imports_of_every_form():
    forms = (
        "from . import a\nfrom .b import x\nimport spmat_nb.c\nfrom spmat_nb.d import y\ndef f():\n from .e import z"
    )
    assert set(own_imports(ast.parse(forms))) == set("abcde")
    assert set(own_imports(ast.parse("from .sibling import x\nfrom ..a import y\nfrom .. import b"), True)) == set("ab")


@pytest.mark.parametrize("module", [m for m in MODULES if m != "settings"])
def test_only_settings_reads_the_environment(module):
    assert list(environment_reads(tree(module))) == []


def test_settings_does_read_the_environment():
    assert list(environment_reads(tree("settings")))


def loaded_after(statement):
    code = f"import sys; {statement}; print(*(m for m in ('torch', 'pymatgen', 'umap', 'pandas') if m in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import spmat_nb") == []


def test_the_command_line_starts_without_torch():
    assert "torch" not in loaded_after("import spmat_nb.cli, spmat_nb.settings")
