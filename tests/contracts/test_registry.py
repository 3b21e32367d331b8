"""Names become classes: entry points, this process, module:Class; and what is said when they do not."""

# Long because the registry meets strangers' packages, and each way in which one can be wrong is a test of its own.

from __future__ import annotations

import json
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tokimp.chains.chain import TokenizedChain
from tokimp.contracts import discovery
from tokimp.contracts.analysis import Analysis, AnalysisInput
from tokimp.contracts.estimator import Importance, ImportanceEstimator
from tokimp.contracts.kinds import DESCRIPTIONS
from tokimp.contracts.objective import Joint, Objective
from tokimp.contracts.registry import (
    KINDS,
    Kind,
    load,
    load_analysis,
    load_estimator,
    load_objective,
    names,
    parse_specification,
    plugins,
    register_analysis,
    register_estimator,
    register_objective,
    register_scorer,
    singular,
)
from tokimp.contracts.scorer import Capability, Scorer
from tokimp.errors import PluginError
from tokimp.testing import AdditiveScorer


class Mine(ImportanceEstimator):
    """An estimator of this test's own."""

    name = "mine"

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def estimate(self, chain: TokenizedChain, scorer: Scorer, objective: Objective) -> Importance:
        """Return zeros."""
        return Importance(np.zeros(len(chain.units)))


class Other(Mine):
    """Another one."""


@pytest.fixture(autouse=True)
def _registered_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "registered", {kind: {} for kind in KINDS})


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that installs a package with entry points, as pip would lay it out."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, group: str, **entries: str) -> None:
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
        (info / "entry_points.txt").write_text(f"[tokimp.{group}]\n{lines}")
        assert PathDistribution(info).name == package

    return install


def module(tmp_path: Path, name: str, text: str) -> None:
    """Write a module that can be imported in this test."""
    (tmp_path / f"{name}.py").write_text(text)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("estimators", {"greedy", "leave_one_out", "attention", "gradient", "position"}),
        ("estimators", {"uniform", "surprisal", "h2o", "llmlingua", "attention_knockout"}),
        ("estimators", {"entropy", "first_token", "cts", "receiver_heads", "tova", "snapkv", "keydiff", "at2"}),
        ("estimators", {"suppression", "information_flow", "value_zeroing", "resample", "pivotal"}),
        ("estimators", {"expected_attention"}),
        ("objectives", {"joint", "answer", "reasoning", "contrast"}),
        ("scorers", {"transformer_lens", "nnsight"}),
        ("analyses", {"agreement", "faithfulness", "answer_recovery", "surrogate", "at2"}),
    ],
)
def test_the_built_in_names_are_entry_points(kind: Kind, expected: set[str]) -> None:
    """Everything the distribution brings is found by the way that a stranger's package uses."""
    assert expected <= set(names(kind))
    assert expected <= {plugin.name for plugin in plugins(kind) if plugin.package == "tokimp"}


def test_built_in_estimators_and_objectives_load_by_their_own_names() -> None:
    """A name gives an instance that calls itself so, with parameters as written."""
    baselines = ("position", "uniform", "surprisal", "h2o", "llmlingua")
    on_likelihood, on_attention = ("entropy", "first_token", "cts"), ("receiver_heads", "tova", "snapkv", "at2")
    flow = ("suppression", "information_flow", "value_zeroing")
    inside = ("keydiff", "expected_attention", *flow, *on_likelihood, *on_attention)
    on_texts = ("resample", "pivotal")
    first = ("greedy", "leave_one_out", "attention", "gradient", "attention_knockout")
    for name in (*first, *baselines, *inside, *on_texts):
        assert load_estimator(name).label == name
    for name in ("joint", "answer", "reasoning", "contrast"):
        assert load_objective(name).name == name
    assert load_estimator("greedy:keep_ratio=0.5").parameters()["keep_ratio"] == 0.5


def test_an_instance_is_passed_through() -> None:
    """What is no specification is used as it is."""
    estimator, objective = Mine(2.0), Joint()
    assert load_estimator(estimator) is estimator
    assert load_objective(objective) is objective


class MyObjective(Joint):
    """An objective of this test's own."""

    name = "mine"


class MyAnalysis(Analysis):
    """An analysis of this test's own."""

    name = "mine"

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def compute(self, given: AnalysisInput) -> xr.Dataset:
        """Return the share."""
        return xr.Dataset({"share": self.share})


@pytest.mark.parametrize(
    ("kind", "register", "mine"),
    [
        ("scorers", register_scorer, AdditiveScorer),
        ("objectives", register_objective, MyObjective),
        ("estimators", register_estimator, Mine),
        ("analyses", register_analysis, MyAnalysis),
    ],
)
def test_a_decorator_registers_in_this_process(kind: Kind, register: Any, mine: Any) -> None:
    """What is registered can be loaded and is listed, and the decorator leaves it as it is."""
    assert register("mine")(mine) is mine
    assert load(kind, "mine") is mine
    (plugin,) = [plugin for plugin in plugins(kind) if plugin.name == "mine"]
    assert (plugin.package, plugin.loaded, plugin.error) == ("(this process)", mine, "")
    assert plugin.target.endswith(f":{mine.__qualname__}")


def test_a_class_defined_again_takes_its_name_again() -> None:
    """Running a notebook's cell twice registers the newer class; another class of that name is refused."""
    again = type("Mine", (Mine,), {"__module__": Mine.__module__, "__qualname__": Mine.__qualname__})
    register_estimator("mine")(Mine)
    register_estimator("mine")(again)
    assert load("estimators", "mine") is again
    with pytest.raises(PluginError, match=r"estimator 'mine' is already registered, for .*:Mine"):
        register_estimator("mine")(Other)


def test_a_stranger_is_found_by_name(packages: Any, tmp_path: Path) -> None:
    """A package that is installed is used like a built-in one."""
    module(
        tmp_path,
        "stranger_a",
        "from tokimp.contracts.objective import Answer\nclass Strange(Answer):\n    name = 'strange'\n",
    )
    packages("stranger-a", "objectives", strange="stranger_a:Strange")
    assert load_objective("strange").name == "strange"
    (plugin,) = [plugin for plugin in plugins("objectives") if plugin.name == "strange"]
    assert (plugin.package, plugin.target, plugin.error) == ("stranger-a", "stranger_a:Strange", "")


def test_two_packages_with_one_name_are_both_named(packages: Any, tmp_path: Path) -> None:
    """A name that two packages claim is an error naming both, even with one target; other names go on."""
    module(
        tmp_path, "stranger_b", "from tokimp.contracts.objective import Joint\nclass Fine(Joint):\n    name = 'fine'\n"
    )
    packages("stranger-b", "objectives", twice="tokimp.contracts.objective:Joint", fine="stranger_b:Fine")
    packages("stranger-c", "objectives", twice="tokimp.contracts.objective:Joint")
    with pytest.raises(PluginError, match=r"objective 'twice' is claimed by stranger-[bc] .* and stranger-[bc] "):
        load_objective("twice")
    claims = [plugin for plugin in plugins("objectives") if plugin.name == "twice"]
    assert {plugin.package for plugin in claims} == {"stranger-b", "stranger-c"}
    assert all("is claimed by" in plugin.error and plugin.loaded is None for plugin in claims)
    assert load_objective("fine").name == "fine"


def test_a_class_cannot_take_a_packages_name(packages: Any) -> None:
    """A class registered in this process under an installed name is an error naming both, not a silent change."""
    register_estimator("greedy")(Mine)
    with pytest.raises(PluginError, match=r"'greedy' is claimed by tokimp \(.*\) and this process \(.*:Mine\)"):
        load_estimator("greedy")
    assert all(plugin.error for plugin in plugins("estimators") if plugin.name == "greedy")


def test_a_package_may_register_what_it_also_offers(packages: Any) -> None:
    """One class with a decorator and an entry point makes one claim, and is listed once."""
    packages("stranger-d", "objectives", mine=f"{MyObjective.__module__}:MyObjective")
    register_objective("mine")(MyObjective)
    assert load("objectives", "mine") is MyObjective
    assert [plugin.package for plugin in plugins("objectives") if plugin.name == "mine"] == ["stranger-d"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: .*a_module_that_is_not_there"),
        ("x = 1", "AttributeError: .*Broken"),
        ("def", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise ImportError('one\\n  two\\n')", "ImportError: one two$"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason(packages: Any, tmp_path: Path, text: str, reason: str) -> None:
    """A plugin that fails to load says why and by whom; listing goes on, and so do the others."""
    name = f"stranger_{abs(hash(text))}"
    module(tmp_path, name, text)
    packages("stranger-e", "objectives", broken=f"{name}:Broken")
    with pytest.raises(PluginError, match=f"objective 'broken' of package stranger-e failed to load .*{reason}"):
        load_objective("broken")
    found = {plugin.name: plugin for plugin in plugins("objectives")}
    assert "stranger-e" in found["broken"].error
    assert found["broken"].loaded is None
    assert found["joint"].loaded is Joint


HEAD = """
from tokimp import Capability, Importance, ImportanceEstimator
from tokimp.contracts.objective import Joint

class Base(ImportanceEstimator):
    def estimate(self, chain, scorer, objective):
        return Importance([0.0] * len(chain.units))
"""
NOT_OF_A_KIND: list[tuple[Kind, str, str]] = [
    ("estimators", "def Broken(): pass", ":Broken is not a subclass of ImportanceEstimator"),
    ("estimators", "Broken = Joint", "is not a subclass of ImportanceEstimator"),
    ("objectives", "class Broken: pass", "is not a subclass of Objective"),
    ("scorers", "Broken = Base", "is not a subclass of Scorer"),
    (
        "estimators",
        "class Broken(Base):\n    name = 'broken'\n    requires = Capability.DELETIONS",
        r"requires must be a frozenset of members of Capability, such as frozenset\(\{Capability.LOGPROBS\}\), not <",
    ),
    (
        "estimators",
        "class Broken(Base):\n    name = 'broken'\n    requires = {'deletions'}",
        "requires must be a frozenset",
    ),
    (
        "estimators",
        "class Broken(Base):\n    name = 'borken'",
        "its name is 'borken'; it must be the one it is offered",
    ),
    ("estimators", "class Broken(Base): pass", "its name is None; it must be the one it is offered under"),
    ("objectives", "class Broken(Joint): pass", "its name is 'joint'; it must be the one it is offered under"),
]


@pytest.mark.parametrize(("kind", "text", "reason"), NOT_OF_A_KIND)
def test_what_is_not_of_its_kind_does_not_load(
    packages: Any, tmp_path: Path, kind: Kind, text: str, reason: str
) -> None:
    """A function, another class, a false description or another name is said when loading, and listed in one line."""
    name = f"stranger_{abs(hash(text))}"
    module(tmp_path, name, HEAD + text)
    packages("stranger-h", kind, broken=f"{name}:Broken")
    with pytest.raises(PluginError, match=f"^{kind[:-1]} 'broken' of package stranger-h.*{reason}"):
        load(kind, "broken")
    (plugin,) = [plugin for plugin in plugins(kind) if plugin.name == "broken"]
    assert plugin.loaded is None
    assert "stranger-h" in plugin.error
    assert "\n" not in plugin.error


def test_what_is_registered_here_is_checked_too() -> None:
    """A class of this process that is not of its kind, or not of its name, is an error when loading and is listed."""
    register_estimator("function")(parse_specification)
    register_estimator("other_name")(Mine)
    for name, reason in (("function", "not a subclass of ImportanceEstimator"), ("other_name", "its name is 'mine'")):
        with pytest.raises(PluginError, match=reason):
            load_estimator(name)
        (plugin,) = [plugin for plugin in plugins("estimators") if plugin.name == name]
        assert plugin.loaded is None
        assert reason in plugin.error


def test_an_instance_is_checked_as_its_class_would_be() -> None:
    """An estimator passed as an instance is refused where its class says wrongly what it requires."""
    careless = type("Careless", (Mine,), {"requires": Capability.DELETIONS})
    with pytest.raises(PluginError, match=r"'Careless'.*requires must be a frozenset"):
        load_estimator(careless())


def test_nothing_is_loaded_before_it_is_asked_for(packages: Any, tmp_path: Path) -> None:
    """Listing names, and loading another plugin, import no plugin."""
    module(tmp_path, "stranger_f", "raise RuntimeError('imported')")
    packages("stranger-f", "estimators", lazy="stranger_f:Lazy")
    assert "lazy" in names("estimators")
    load_estimator("greedy")
    with pytest.raises(PluginError, match="imported"):
        load_estimator("lazy")


@pytest.fixture
def _importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(
        tmp_path,
        "stranger_g",
        "from tokimp.contracts.objective import Joint\nclass Outer:\n    class Inner(Joint): pass\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("_importable")
def test_a_class_can_be_named_by_its_module() -> None:
    """``module:Class`` is accepted wherever a name is, with dotted modules, nested classes and parameters."""
    assert load_objective("stranger_g:Outer.Inner").name == "joint"
    assert load_objective("tokimp.contracts.objective:Answer").name == "answer"
    assert load_estimator("tokimp_greedy:GreedyPruning:keep_ratio=0.5").label == "greedy:keep_ratio=0.5"


def test_a_file_that_is_no_python_file_is_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of another ending is not looked for among installed modules without a word about the file."""
    monkeypatch.chdir(tmp_path)
    Path("method.txt").write_text("class Method: ...", encoding="utf-8")
    with pytest.raises(PluginError, match=r"method\.txt is a file, and a plugin's file has a name that ends in \.py"):
        load_estimator("method.txt:Method")


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("gredy", "there is no estimator named 'gredy'; known are .*greedy"),
        ("greedy:", "there is no estimator named 'greedy:'"),
        ("no_such_module:Class", "failed to load from no_such_module:Class: ModuleNotFoundError"),
        ("tokimp_greedy:Gredy", "AttributeError"),
        ("no_such_file.py:Class", r"failed to load from no_such_file\.py:Class: the file .* cannot be read"),
        ("greedy:keep=0.5", "estimator 'greedy' has no parameter 'keep'; it has keep_ratio"),
        ("position:power=2", "no parameter 'power'; it has none"),
        ("greedy:keep_ratio=0.5,keep_ratio=0.6", "'keep_ratio' is given twice"),
        ("greedy:keep_ratio=0.5,more", "'more' is not of the form parameter=value"),
        ("greedy:keep_ratio=0.5,", "'' is not of the form parameter=value"),
        ("greedy:keep ratio=0.5", "'keep ratio=0.5' is not of the form parameter=value"),
        ("tokimp.contracts.objective:Joint", "is not a subclass of ImportanceEstimator"),
        ("tokimp.contracts.estimator:sum_over_units", "is not a subclass of ImportanceEstimator"),
        ("tokimp.contracts.estimator:ImportanceEstimator", "abstract"),
    ],
)
def test_what_cannot_be_loaded_is_said_plainly(specification: str, message: str) -> None:
    """Every wrong specification is one error that quotes it and says what is wrong."""
    with pytest.raises(PluginError, match=message):
        load_estimator(specification)


def test_an_unknown_analysis_is_called_one() -> None:
    """The message uses the singular of the kind."""
    with pytest.raises(PluginError, match=r"there is no analysis named 'agrement'; known are .*agreement"):
        load("analyses", "agrement")


@pytest.mark.parametrize(
    ("specification", "expected"),
    [
        ("greedy", ("greedy", {})),
        ("a.b:C", ("a.b:C", {})),
        ("m:x=1", ("m", {"x": 1})),
        ("m:x=0.5,y=true,z=null", ("m", {"x": 0.5, "y": True, "z": None})),
        ("m:x=last,y=first word", ("m", {"x": "last", "y": "first word"})),
        ("m:x=[[0,1],[2,3]],y=[]", ("m", {"x": [[0, 1], [2, 3]], "y": []})),
        ('m:x="5",y="a,b=c"', ("m", {"x": "5", "y": "a,b=c"})),
        ('m:x={"a":[1,2]},y=1', ("m", {"x": {"a": [1, 2]}, "y": 1})),
        ("m: x = 1, y = z ", ("m", {"x": 1, "y": "z"})),
        ("m:x=C:/data,y=1", ("m", {"x": "C:/data", "y": 1})),
        ("m:x=1e-3,y=2nd", ("m", {"x": 0.001, "y": "2nd"})),
        ("m:x=", ("m", {"x": ""})),
        ("a.b:C:x=a:b", ("a.b:C", {"x": "a:b"})),
    ],
)
def test_specifications_are_split(specification: str, expected: tuple[str, dict[str, Any]]) -> None:
    """The name ends before the first ``:key=``; values are JSON where they are JSON, else text to the next comma."""
    assert parse_specification(specification) == expected


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,4}", fullmatch=True),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=4
        ),
        max_size=3,
    )
)
def test_json_values_come_back(parameters: dict[str, Any]) -> None:
    """Whatever JSON can write is read back, commas, brackets, quotes and colons within it included."""
    written = ",".join(f"{name}={json.dumps(value)}" for name, value in parameters.items())
    assert parse_specification(f"a.b:C:{written}" if written else "a.b:C") == ("a.b:C", parameters)


def test_analyses_load_by_name_with_their_parameters() -> None:
    """A specification, keywords beside it, and an instance all give an analysis; a parameter is given once."""
    assert load_analysis("agreement").label == "agreement"
    assert load_analysis("agreement:top_k=10", seed=3).label == "agreement:top_k=10,seed=3"
    mine = MyAnalysis(0.2)
    assert load_analysis(mine) is mine
    for specification, parameters, said in (
        ("agreement:top=10", {}, "no parameter 'top'; it has top_k"),
        ("agreement:top_k=10", {"top_k": 5}, "'top_k' is given twice"),
        (mine, {"share": 0.5}, "leave out share"),
    ):
        with pytest.raises(PluginError, match=said):
            load_analysis(specification, **parameters)


def test_an_analysis_of_another_package_is_found(packages: Any, tmp_path: Path) -> None:
    """An entry point in the group of the analyses is all that it takes."""
    module(
        tmp_path,
        "their_analysis",
        "import tokimp\nclass Theirs(tokimp.Analysis):\n    name = 'theirs'\n    def compute(self, given): pass\n",
    )
    packages("their-package", "analyses", theirs="their_analysis:Theirs")
    assert load_analysis("theirs").label == "theirs"
    (plugin,) = [plugin for plugin in plugins("analyses") if plugin.name == "theirs"]
    assert (plugin.package, plugin.error) == ("their-package", "")


def test_the_page_for_authors_names_every_group() -> None:
    """Whoever packages a plugin finds the group of its kind where the package is described."""
    page = (Path(__file__).parents[2] / "docs" / "write-a-plugin.md").read_text(encoding="utf-8")
    section = page.partition("## 4. ")[2].partition("## 5. ")[0]
    assert [kind for kind in KINDS if f"`tokimp.{kind}`" not in section] == []


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (register_estimator, r"@register_estimator was used without a name; write @register_estimator\('mine'\)"),
        (register_analysis, r"@register_analysis was used without a name; write @register_analysis\('mine'\)"),
    ],
)
def test_a_decorator_without_a_name_says_how_it_is_written(register: Any, message: str) -> None:
    """``@register_estimator`` directly on a class is an error with the line to write, not a class that is lost."""
    with pytest.raises(PluginError, match=message):
        register(Mine)


@pytest.mark.parametrize("wrong", [Mine, 3, Joint(), None])
def test_what_is_neither_a_name_nor_an_instance_is_refused(wrong: Any) -> None:
    """A class, or an instance of another kind, is shown with what may be given instead."""
    with pytest.raises(
        PluginError, match=r"is no estimator; give a name, such as .*instance of a subclass of Importan"
    ):
        load_estimator(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_described_once(kind: Kind) -> None:
    """A kind's description has its name, its group of entry points and a contract; every built-in keeps to it."""
    description = DESCRIPTIONS[kind]
    assert (description.kind, description.group, description.singular) == (kind, f"tokimp.{kind}", singular(kind))
    offered = [plugin for plugin in plugins(kind) if plugin.package == "tokimp"]
    assert offered
    assert all(plugin.error == "" and issubclass(plugin.loaded, description.base) for plugin in offered)
