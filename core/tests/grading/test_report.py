"""What a report says: grades, contradictions, and its three forms."""

import json
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from pegboard.grading import RULES, GradeRule, Outcome, Report, Tier, Verdict
from pegboard.grading.options import Options
from pegboard.grading.rendering import render_badge, render_json, render_text
from pegboard.grading.report import _judge
from pegboard.grading.rule import Exemption, failed, passed, unknown
from pegboard.grading.started import Event, Route, Started

REASON = "It has none of that."
FINE = tuple(Verdict(rule, Outcome.PASSED, ("fine",)) for rule in RULES)


def report(
    *failing: str, claim: Tier | None = None, done: tuple[str, ...] = (), outcome: str = "failed"
) -> Report:
    """A report in which some rules are not passed."""
    verdicts = tuple(
        replace(one, outcome=Outcome(outcome), details=("here",)) if one.rule.id in failing else one
        for one in FINE
    )
    return Report(
        "notes",
        "acme-notes",
        "1.0",
        has_source=True,
        verdicts=verdicts,
        claim=claim,
        done=frozenset(done),
    )


@pytest.mark.parametrize(
    "failing,expected",
    [
        ((), Tier.PLATINUM),
        (("strict-types",), Tier.GOLD),
        (("budgets", "strict-types"), Tier.SILVER),
        (("typed",), Tier.BRONZE),
        (("starts",), Tier.NONE),
    ],
)
def test_the_grade_is_the_highest_of_which_no_rule_is_left(
    failing: tuple[str, ...], expected: Tier
) -> None:
    """Nor of a tier below it."""
    assert expected == report(*failing).grade


@pytest.mark.parametrize(
    "outcome,expected",
    [
        ("exempt", Tier.PLATINUM),
        ("not applicable", Tier.PLATINUM),
        ("unknown", Tier.SILVER),
        ("failed", Tier.SILVER),
    ],
)
def test_what_is_exempt_counts_and_what_is_unknown_does_not(outcome: str, expected: Tier) -> None:
    """A rule that could not be checked is not passed."""
    assert expected == report("budgets", outcome=outcome).grade


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_a_false_claim_is_a_contradiction(outcome: str) -> None:
    """For each rule of the tier and below; not for those above."""
    found = report("typed", "budgets", claim=Tier.SILVER, outcome=outcome)
    assert (f"it claims silver, and typed is {outcome}",) == found.contradictions
    assert not report("budgets", claim=Tier.SILVER).contradictions


def test_a_false_done_is_a_contradiction() -> None:
    """Also above the tier that is claimed."""
    found = report("budgets", claim=Tier.BRONZE, done=("budgets", "typed"))
    assert ("it says that budgets is done, and that is failed",) == found.contradictions


@pytest.mark.parametrize(
    "finding,outcome,is_needless",
    [
        (failed("here"), Outcome.EXEMPT, False),
        (unknown("needs the source"), Outcome.UNKNOWN, False),
        (passed("fine"), Outcome.PASSED, True),
    ],
)
def test_an_exemption_counts_only_where_it_is_needed(finding, outcome, is_needless) -> None:
    """Its reason is shown; where the plugin passes, it is told, and what is unknown remains so."""
    rule = replace(RULES[1], check=lambda _: finding, exemption=Exemption("always", lambda *_: []))
    verdict = _judge(rule, None, Options(exempt={rule.id: REASON}))  # type: ignore[arg-type]
    assert (outcome, is_needless) == (verdict.outcome, verdict.is_needless)
    expected = (REASON,) if outcome == Outcome.EXEMPT else finding.details
    assert expected == verdict.details


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.exemption is None])
def test_most_rules_allow_no_exemption(rule: GradeRule) -> None:
    """Also if options say one that was not checked."""
    broken = replace(rule, check=lambda _: failed("here"))
    verdict = _judge(broken, None, Options(exempt={rule.id: REASON}))  # type: ignore[arg-type]
    assert (Outcome.FAILED, ("here",)) == (verdict.outcome, verdict.details)


def exempted(rule: str, reason: str, started: Started) -> Verdict:
    """What becomes of a rule by the reason that a plugin gives."""
    (found,) = [one for one in RULES if one.id == rule]
    evidence = SimpleNamespace(started=started, subject=SimpleNamespace(package="acme_notes"))
    return _judge(found, evidence, Options(exempt={rule: reason}))  # type: ignore[arg-type]


LIBRARY = Event("a warning", "pandas")
OWN = Event("another warning", "acme_notes")


@pytest.mark.parametrize(
    "reason,events,refused",
    [
        ("Nothing can keep pandas from it.", (LIBRARY,), ""),
        ("Nothing can keep pandas2 from it.", (LIBRARY,), "pandas, which the reason does not name"),
        ("That is what pandas does.", (LIBRARY, OWN), "that is acme_notes, and no library"),
        ("That pegboard and acme_notes do.", (OWN,), "that is acme_notes, and no library"),
        ("That is what pegboard does.", (Event("x", "pegboard"),), "pegboard, and no library"),
    ],
)
@pytest.mark.parametrize("rule,field", [("quiet-start", "warnings"), ("quiet-import", "effects")])
def test_only_what_libraries_do_is_exempt(
    rule: str, field: str, reason: str, events: tuple[Event, ...], refused: str
) -> None:
    """Those that the reason names."""
    verdict = exempted(rule, reason, replace(Started(()), **{field: events}))  # type: ignore[arg-type]
    assert (Outcome.FAILED if refused else Outcome.EXEMPT) == verdict.outcome
    assert refused in verdict.details[-1]


PAGE = Route("/notes/<int:note_id>", ("GET",))


@pytest.mark.parametrize(
    "reason,route,summary,refused",
    [
        ("People see /notes/<int:note_id>.", PAGE, "All.", ""),
        ("People see all of /notes.", PAGE, "All.", "does not name /notes/<int:note_id>"),
        ("People see /send there.", Route("/send", ("POST",)), "All.", "no page: it is for POST"),
        ("People see /notes/<int:note_id>.", PAGE, "List notes.", "is not described"),
    ],
)
def test_only_pages_need_not_be_in_the_document(
    reason: str, route: Route, summary: str, refused: str
) -> None:
    """Those that the reason names; a call that is there has still to be described."""
    call = {"operationId": "list_notes", "summary": summary, "description": summary}
    started = Started(
        (),
        routes=(Route("/api/notes/", ("GET",)), route),
        document={"paths": {"/api/notes/": {"get": call}}},
    )
    verdict = exempted("routes-documented", reason, started)
    assert (Outcome.FAILED if refused else Outcome.EXEMPT) == verdict.outcome
    assert refused in verdict.details[-1]


@pytest.mark.parametrize(
    "line,expected",
    [
        ("pip install acme-notes", Outcome.PASSED),
        ("Try `uv pip install --upgrade 'Acme_Notes[mail]>=1'`.", Outcome.PASSED),
        ("poetry add pegboard acme-notes.", Outcome.PASSED),
        ("Never run: uninstall acme-notes", Outcome.FAILED),
        ("Never run pip uninstall acme-notes, but install another", Outcome.FAILED),
        ("pip install acme-notes-mail my-acme-notes", Outcome.FAILED),
        ("It installs acme-notes.", Outcome.FAILED),
    ],
)
def test_the_readme_has_the_command_that_installs_it(line: str, expected: Outcome) -> None:
    """With its name among the arguments, however it is spelled."""
    (rule,) = [one for one in RULES if one.id == "readme"]
    subject = SimpleNamespace(distribution="acme.notes", description=f"# Notes\n\n{line}\n")
    verdict = _judge(rule, SimpleNamespace(subject=subject), Options())  # type: ignore[arg-type]
    assert expected == verdict.outcome


def test_the_text_names_each_rule_and_its_section() -> None:
    """And ends with what is not so."""
    text = render_text(report("typed", claim=Tier.PLATINUM))
    assert "notes (acme-notes 1.0): bronze" == text.splitlines()[0]
    for rule in RULES:
        assert f" {rule.id} " in text
    assert "FAILED   typed" in text
    assert "how-to/grade.md#typed" in text
    assert "it claims platinum, and typed is failed" == text.splitlines()[-1].strip()


def test_the_json_is_one_document() -> None:
    """With all that the text has."""
    found = json.loads(render_json(report("typed", claim=Tier.GOLD)))
    assert ("notes", "bronze", "gold") == (found["plugin"], found["grade"], found["claim"])
    assert ["it claims gold, and typed is failed"] == found["contradictions"]
    assert [rule.id for rule in RULES] == [one["id"] for one in found["rules"]]
    (typed,) = [one for one in found["rules"] if one["id"] == "typed"]
    assert ("silver", "failed", ["here"]) == (typed["tier"], typed["outcome"], typed["details"])


@pytest.mark.parametrize("failing", ["starts", "typed", "budgets", "strict-types", "none"])
def test_the_badge_is_a_picture_that_screen_readers_can_tell(failing: str) -> None:
    """In well-formed SVG, wide enough for its texts; a name is escaped."""
    graded = replace(report(failing), plugin='notes"<&')
    root = ET.fromstring(render_badge(graded))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert f"{space}svg" == root.tag
    title = f'pegboard notes"<&: {graded.grade.label}'
    assert title == root.findtext(f"{space}title")
    assert title == root.get("aria-label")
    *_, last = root.iter(f"{space}text")
    assert int(last.get("x", 0)) + int(last.get("textLength", 0)) < int(root.get("width", 0))


def test_every_rule_is_on_its_page() -> None:
    """Each has a name of its own, a tier, a sentence and a section."""
    assert len(RULES) == len({rule.id for rule in RULES})
    assert 32 == len(RULES)
    assert sorted(RULES, key=lambda rule: rule.tier) == list(RULES)
    assert all(rule.sentence.endswith(".") and rule.advice.endswith(".") for rule in RULES)
