"""The command line: one command a stage, `run` for all of them, and `synthesize`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import App, Group, Parameter
from cyclopts.argument import ArgumentCollection

from lstm_adversarial_attack import __version__, kubeflow
from lstm_adversarial_attack.audit.settings import AuditSettings
from lstm_adversarial_attack.check_attack.settings import CheckAttackSettings
from lstm_adversarial_attack.cross_validate.settings import CrossValidateSettings
from lstm_adversarial_attack.errors import UserError, disk_is_full, refused_by_system
from lstm_adversarial_attack.fetch.options import FetchOptions
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.protocols import load_protocol, load_settings
from lstm_adversarial_attack.settings import (
    SEEDED,
    AttackSettings,
    AttackTuneSettings,
    CrossValidateExecution,
    EvaluateSettings,
    Execution,
    ExtractSettings,
    PreprocessSettings,
    TrainSettings,
    TuneExecution,
    TuneSettings,
    checked,
)
from lstm_adversarial_attack.stage import carry_out, load_stage, numbered
from lstm_adversarial_attack.tracking import Tracker

_STAGES = Group("Stages", sort_key=0)
_ALL = Group("All stages at once", sort_key=1)
_DATA = Group("Data", sort_key=2)
_CHECKS = Group("Checks", sort_key=3)
_PIPELINES = Group("Between the stages of a pipeline", sort_key=4)


def _layered_settings(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in options that were not given: from --settings, then --protocol, then (in `run`) --seed."""
    _refuse_fractions(arguments)
    given = {name: argument.tokens[-1].value for argument in arguments for name in argument.names if argument.tokens}
    layers: list[tuple[str, dict[str, Any]]] = []
    if "--settings" in given:
        layers.append((given["--settings"], load_settings(Path(given["--settings"]))))
    if any("--protocol" in argument.names for argument in arguments):
        name = given.get("--protocol", "clinical")
        layers.append((f"protocol {name}", load_protocol(name)))
    if commands == ("run",) and "--seed" in given:
        layers.append(("--seed", {stage: {"seed": given["--seed"]} for stage in SEEDED}))
    for source, sections in layers:
        content = sections if commands == ("run",) else sections.get(commands[-1], {})
        # Keyed by the command: else cyclopts would take sections for commands of the same name, and skip them.
        cyclopts.config.Dict({commands[-1]: content}, source=source)(app, commands, arguments)


def _refuse_fractions(arguments: ArgumentCollection) -> None:
    """Refuse what is no whole number where one is asked for; cyclopts would round it."""
    for argument in arguments:
        for token in argument.tokens if argument.hint in (int, int | None) else ():
            if not token.value.lstrip("+-").isdecimal():
                raise UserError(f"{argument.name} {token.value}: expected a whole number")


app = App(
    name="lstm-aa",
    help="""Predict in-hospital death from the first 48 hours of intensive care, and find out how little
    turns the prediction.

    `lstm-aa run` does everything, on a synthetic cohort unless --source names real data. Each stage is also
    a command of its own that reads and writes artifact folders. Every command explains itself with --help.
    """,
    version=__version__,
    config=[_layered_settings],
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # `main` says how to go on
)


Flat = Parameter(name="*")
Source = Annotated[
    str,
    Parameter(
        help="""csv:FOLDER with the MIMIC-III tables as CSV or CSV.gz files, postgresql://USER@HOST:PORT/DATABASE
        (with ?schema=NAME where it is not mimiciii; the password comes from PGPASSWORD or a password file),
        challenge2012:PATH[,PATH...] with sets of the PhysioNet Challenge 2012 (a folder, .tar.gz or .zip each, its
        Outcomes file beside it), or synthetic:STAYS[,SEED]."""
    ),
]
SnapshotId = Annotated[
    str,
    Parameter(
        help="""Name of the state of a PostgreSQL database, such as its load date. Events read under the same name
        count as up to date; without a name they are always read again."""
    ),
]
Protocol = Annotated[
    str,
    Parameter(
        help="""Named settings: clinical (honest, the default), reference (the published reference system's, for
        comparison only: it looks into the future), or a YAML file of your own."""
    ),
]
SettingsFile = Annotated[
    Path | None,
    Parameter(
        name="--settings",
        help="""YAML file with a section for each stage; options on the command line come first, then this file, then
        the protocol.""",
    ),
]
Out = Annotated[str, Parameter(help="Folder of the new artifact.")]
Force = Annotated[bool, Parameter(help="Do it again even if the artifact is up to date.", negative="")]
Events = Annotated[str, Parameter(help="Artifact of extract.")]
Dataset = Annotated[str, Parameter(help="Artifact of preprocess.")]
Model = Annotated[str, Parameter(help="Artifact of train.")]
Examples = Annotated[str, Parameter(help="Artifact of attack.")]
Shards = Annotated[
    list[str],
    Parameter(help="Artifacts of attack --shard, all of one attack, in any order.", consume_multiple=True, negative=""),
]
Searches = Annotated[
    list[str],
    Parameter(help="Artifacts of tune, all of one study, in any order.", consume_multiple=True, negative=""),
]
Found = "what it found takes the place of options of the same name that have their default."
Hyperparameters = Annotated[str | None, Parameter(help=f"Artifact of tune; {Found}")]
ShownSearch = Parameter(help="Artifact of tune that the model was trained with, to show its trials in the report.")
ShownAttackSearch = Parameter(help="Artifact of attack-tune that the attack was made with, to show its trials.")
OtherExamples = Annotated[
    list[str],
    Parameter(
        help="Artifacts of attack on the same dataset, made in other ways or on other models, to compare with.",
        consume_multiple=True,
        negative="",
    ),
]
Transfers = Annotated[
    list[str],
    Parameter(
        help="Artifacts of transfer: examples that were given, as another model judges them.",
        consume_multiple=True,
        negative="",
    ),
]
EnforceGate = Annotated[
    bool, Parameter(help="Exit with 3 where the gate is not passed; the report is written all the same.", negative="")
]
FoundAttackSettings = Annotated[
    str | None, Parameter(name="--attack-settings", help=f"Artifact of attack-tune; {Found}")
]


def _carry_out(
    name: str,
    inputs: Mapping[str, str | Path | None],
    out: str,
    options: Any,
    execution: Execution | None = None,
    *,
    force: bool,
    source: Any = None,
) -> None:
    options, execution = checked(options), checked(execution or Execution())
    with Tracker() as tracker:
        carry_out(
            load_stage(name),
            settings=options,
            inputs={kind: address for kind, address in inputs.items() if address is not None},
            out=out,
            execution=execution,
            reporter=Reporter(),
            source=source,
            force=force,
            tracker=tracker,
        )


@app.command(group=_STAGES)
def extract(
    *,
    source: Source,
    out: Out,
    options: Annotated[ExtractSettings, Flat] = ExtractSettings(),
    snapshot_id: SnapshotId = "",
    protocol: Protocol = "clinical",
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Read stays and measurements from an ICU database into an `events` artifact.

    Example: `lstm-aa extract --source csv:/data/mimic-iii --out runs/1/events`
    """
    from lstm_adversarial_attack.sources import open_source

    checked(options)
    with closing(open_source(source, snapshot_id=snapshot_id)) as opened:
        _carry_out("extract", {}, out, options, force=force, source=opened)


@app.command(group=_STAGES)
def preprocess(
    *,
    events: Events,
    out: Out,
    options: Annotated[PreprocessSettings, Flat] = PreprocessSettings(),
    protocol: Protocol = "clinical",
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Turn events into tensors, scaled and split by patient: a `dataset` artifact."""
    _carry_out("preprocess", {"events": events}, out, options, force=force)


@app.command(group=_STAGES)
def tune(
    *,
    dataset: Dataset,
    out: Out,
    options: Annotated[TuneSettings, Flat] = TuneSettings(),
    execution: Annotated[TuneExecution, Flat] = TuneExecution(),
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Search the classifier's hyperparameters, without test patients: a `hyperparameters` artifact.

    A search that is killed goes on with its finished trials when it is started again. The same command on other
    machines, with the same --storage, helps: each ends when the study has its trials, and each writes the same result.
    """
    _carry_out("tune", {"dataset": dataset}, out, options, execution, force=force)


@app.command(group=_STAGES)
def train(
    *,
    dataset: Dataset,
    out: Out,
    hyperparameters: Hyperparameters = None,
    options: Annotated[TrainSettings, Flat] = TrainSettings(),
    execution: Annotated[Execution, Flat] = Execution(),
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Train the classifier, choose its threshold on validation, judge it on held-out patients: a `model`.

    Training that is killed goes on from its last epoch when it is started again.
    """
    inputs = {"dataset": dataset, "hyperparameters": hyperparameters}
    _carry_out("train", inputs, out, options, execution, force=force)


@app.command(group=_STAGES)
def attack_tune(
    *,
    dataset: Dataset,
    model: Model,
    out: Out,
    options: Annotated[AttackTuneSettings, Flat] = AttackTuneSettings(),
    execution: Annotated[TuneExecution, Flat] = TuneExecution(),
    protocol: Protocol = "clinical",
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Search the attack's settings on validation patients: an `attack-settings` artifact.

    Example: `lstm-aa attack-tune --dataset runs/1/dataset --model runs/1/model --out runs/1/attack-settings
    --trials 40 --workers 4`

    A search that is killed goes on with its finished trials when it is started again. The same command on other
    machines, with the same --storage, helps: each ends when the study has its trials, and each writes the same result.
    """
    inputs = {"dataset": dataset, "model": model}
    _carry_out("attack-tune", inputs, out, options, execution, force=force)


@app.command(group=_STAGES)
def attack(
    *,
    dataset: Dataset,
    model: Model,
    out: Out,
    attack_settings: FoundAttackSettings = None,
    options: Annotated[AttackSettings, Flat] = AttackSettings(),
    execution: Annotated[Execution, Flat] = Execution(),
    protocol: Protocol = "clinical",
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Attack the samples that the model gets right, in both directions: an `examples` artifact.

    Example: `lstm-aa attack --dataset runs/1/dataset --model runs/1/model --attack-settings runs/1/attack-settings
    --out runs/1/examples`

    An attack that is killed goes on with its finished chunks when it is started again; on another machine, with the
    same --checkpoints. With --shard 1/4 to 4/4, four machines or GPUs share the work, and `lstm-aa merge-examples`
    joins what they made.
    """
    inputs = {"dataset": dataset, "model": model, "attack-settings": attack_settings}
    _carry_out("attack", inputs, out, options, execution, force=force)


@app.command(group=_PIPELINES)
def merge_examples(*, examples: Shards, out: Out, force: Force = False) -> None:
    """Join the shards of an attack to the `examples` that one attack on all samples would have made, digest and all.

    Example: `lstm-aa merge-examples --examples runs/1/shard-1 runs/1/shard-2 runs/1/shard-3 --out runs/1/examples`
    """
    from lstm_adversarial_attack.attack.merge import merge_examples as merge

    merge(examples, out, Reporter(), force=force)


@app.command(group=_PIPELINES)
def merge_hyperparameters(*, hyperparameters: Searches, out: Out) -> None:
    """Keep one of the artifacts that several `tune` of one study have made: the one that knows most trials.

    Each `tune` of a study that is shared through --storage writes the whole study's result, so they differ by what was
    finished after the first of them ended, if at all.

    Example: `lstm-aa merge-hyperparameters --hyperparameters runs/1/tune-1 runs/1/tune-2 --out runs/1/hyperparameters`
    """
    from lstm_adversarial_attack.tune.merge import merge_hyperparameters as merge

    merge(hyperparameters, out, Reporter())


@app.command(group=_STAGES)
def evaluate(
    *,
    dataset: Dataset,
    model: Model,
    examples: Examples,
    out: Out,
    hyperparameters: Annotated[str | None, ShownSearch] = None,
    attack_settings: Annotated[str | None, ShownAttackSearch] = None,
    other_examples: OtherExamples = [],  # noqa: B006 - read, never written
    transfers: Transfers = [],  # noqa: B006
    options: Annotated[EvaluateSettings, Flat] = EvaluateSettings(),
    settings: SettingsFile = None,
    enforce_gate: EnforceGate = False,
    force: Force = False,
) -> None:
    """Write the report on prediction and susceptibility: `report.html`, tables and `metrics.json`.

    Example: `lstm-aa evaluate --dataset runs/1/dataset --model runs/1/model --examples runs/1/examples
    --out runs/1/report --min-auroc 0.8 --gate-cells 2 --max-turned 0.5 --enforce-gate`

    The gate holds named thresholds against the figures. Its verdict stands in the report and in `metrics.json`; in
    MLflow the alias champion goes to a model that passes.
    """
    inputs: dict[str, str | Path | None] = {"dataset": dataset, "model": model, "examples": examples}
    inputs |= {"hyperparameters": hyperparameters, "attack-settings": attack_settings}
    inputs |= {**numbered("other-examples", other_examples), **numbered("transfers", transfers)}
    _carry_out("evaluate", inputs, out, options, force=force)
    if enforce_gate:
        _enforce_gate(Path(out))


@app.command(group=_ALL)
def run(
    *,
    source: Source = "synthetic:5000",
    out: Path = Path("runs/default"),
    features: str | None = None,
    seed: int | None = None,
    protocol: Protocol = "clinical",
    settings: SettingsFile = None,
    snapshot_id: SnapshotId = "",
    extract: ExtractSettings = ExtractSettings(),
    preprocess: PreprocessSettings = PreprocessSettings(),
    tune: TuneSettings = TuneSettings(),
    train: TrainSettings = TrainSettings(),
    attack_tune: AttackTuneSettings = AttackTuneSettings(),
    attack: AttackSettings = AttackSettings(),
    evaluate: EvaluateSettings = EvaluateSettings(),
    execution: Annotated[TuneExecution, Flat] = TuneExecution(),
    enforce_gate: EnforceGate = False,
) -> None:
    """Run all seven stages, from an ICU database to a report.

    Stages whose artifact is up to date are skipped, and a run that was killed goes on where it stopped.
    Example: `lstm-aa run --source csv:/data/mimic-iii --out runs/mimic --train.max-epochs 60`

    Parameters
    ----------
    out: Path
        Folder for the artifacts, one folder each: events, dataset, hyperparameters, model, attack-settings,
        examples and report.
    features: str
        Short for --extract.features.
    seed: int
        Seed of every stage that has none of its own on the command line, in --settings or in the protocol.
    """
    from lstm_adversarial_attack.local_run import run_all

    if features is not None:
        extract = replace(extract, features=features)
    stages = {
        "extract": extract,
        "preprocess": preprocess,
        "tune": tune,
        "train": train,
        "attack-tune": attack_tune,
        "attack": attack,
        "evaluate": evaluate,
    }
    options = {name: checked(given, prefix=f"--{name}.") for name, given in stages.items()}
    report, headline = run_all(source, out, options, checked(execution), Reporter(), snapshot_id=snapshot_id)
    print(*headline, report, sep="\n")
    if enforce_gate:
        _enforce_gate(report.parent)


def _enforce_gate(report: Path) -> None:
    """Exit with 3 where the gate of a report is not passed."""
    gate(report=str(report), enforce=True)


@app.command(group=_PIPELINES)
def gate(
    *,
    report: Annotated[str, Parameter(help="Artifact of evaluate.")],
    enforce: Annotated[bool, Parameter(help="Exit with 3 where the gate is not passed.", negative="")] = False,
) -> None:
    """Print the verdict of a report's gate.

    A pipeline asks for it in a task of its own, after the report is stored: a task that fails stores nothing.

    Example: `lstm-aa gate --report runs/1/report --enforce`
    """
    from lstm_adversarial_attack.artifacts import open_artifact
    from lstm_adversarial_attack.artifacts.contents import Verdict

    verdict = open_artifact(report, "report").json("metrics.json", Verdict).gate
    if verdict.passed:
        print("gate passed")
        return
    print(f"lstm-aa: gate not passed: {'; '.join(verdict.reasons)}", file=sys.stderr)
    if enforce:
        sys.exit(3)


@app.command(group=_PIPELINES)
def notify(
    *,
    status: Annotated[str, Parameter(help="Final status, as Kubeflow gives it to an exit task: a JSON object.")],
    run: Annotated[str, Parameter(help="Name of the run.")] = "",
) -> None:
    """Tell a webhook how a pipeline has ended: state, run and, where it failed, the error.

    A JSON object is posted to the address in LSTM_AA_WEBHOOK_URL, with a line of text under `text` that chat services
    show. Without an address it prints that line alone. It exits with 0 even where the webhook cannot be reached, and
    says so on stderr: the run keeps its own state.

    Example: `lstm-aa notify --run nightly --status '{"state": "SUCCEEDED"}'`
    """
    from lstm_adversarial_attack.notify import tell

    tell(status, run)


@app.command(group=_CHECKS)
def transfer(
    *,
    dataset: Dataset,
    model: Annotated[str, Parameter(help="Artifact of train: the model that judges.")],
    examples: Annotated[str, Parameter(help="Artifact of attack on another model of the same dataset.")],
    out: Out,
    execution: Annotated[Execution, Flat] = Execution(),
    force: Force = False,
) -> None:
    """Show the examples found on one model to another: a `transfer` artifact, for --transfers of `evaluate`.

    Example: `lstm-aa transfer --dataset runs/1/dataset --model runs/2/model --examples runs/1/examples
    --out runs/2/transfer`
    """
    from lstm_adversarial_attack.attack.transfer import STAGE, TransferSettings

    carry_out(
        STAGE,
        settings=TransferSettings(),
        inputs={"dataset": dataset, "model": model, "examples": examples},
        out=out,
        execution=checked(execution),
        reporter=Reporter(),
        force=force,
    )


@app.command(group=_CHECKS)
def check_attack(
    run: Path,
    /,
    *,
    out: Path | None = None,
    options: Annotated[CheckAttackSettings, Flat] = CheckAttackSettings(),
    evaluate: EvaluateSettings = EvaluateSettings(),
    execution: Annotated[Execution, Flat] = Execution(),
) -> None:
    """Attack a run's samples again in other ways and on other models, and report on all together.

    Twice the steps should find nothing better; chance and an attack without gradients should do worse; other methods
    should agree. Models of other seeds and of a plain architecture are trained and attacked, and the examples of each
    are shown to the other: what transfers, and whether the same measurements come out on top.

    Example: `lstm-aa check-attack runs/default`

    What is up to date is left alone, so that a check that was killed goes on where it stopped.

    Parameters
    ----------
    run: Path
        Folder of a finished run.
    out: Path
        Folder for the new artifacts, the report among them; `checks` in the run's folder if not given.
    """
    from lstm_adversarial_attack.check_attack.command import check_attack as check

    evaluate = checked(evaluate, prefix="--evaluate.")
    print(check(run, out, checked(options), evaluate, checked(execution), Reporter()))


@app.command(group=_CHECKS)
def cross_validate(
    *,
    dataset: Dataset,
    out: Out,
    hyperparameters: Annotated[str | None, Parameter(help=f"Artifact of tune on other patients; {Found}")] = None,
    options: Annotated[CrossValidateSettings, Flat] = CrossValidateSettings(),
    execution: Annotated[CrossValidateExecution, Flat] = CrossValidateExecution(),
    settings: SettingsFile = None,
    force: Force = False,
) -> None:
    """Repeat the training over folds of patients and seeds, and judge it beside the baselines: a `cross-validation`.

    Every patient of the dataset is held out once, whatever split the dataset has. Each fold standardises by its own
    training patients, and stops its networks and chooses its threshold by parts of them. It prints a table; the figures
    of every fold stand in `metrics.json`, the held-out predictions in `predictions.parquet`. When it is killed, it goes
    on with its finished fits when it is started again.

    Example: `lstm-aa cross-validate --dataset runs/1/dataset --out runs/1/cross-validation --workers 4 --train.lr 1e-3`
    """
    inputs = {"dataset": dataset, "hyperparameters": hyperparameters}
    _carry_out("cross-validate", inputs, out, options, execution, force=force)
    print((Path(out) / "table.txt").read_text(encoding="utf-8"), end="")


@app.command(group=_CHECKS)
def audit(
    *,
    out: Path,
    source: Source | None = None,
    dataset: Dataset | None = None,
    options: Annotated[AuditSettings, Flat] = AuditSettings(),
    execution: Annotated[Execution, Flat] = Execution(),
    snapshot_id: SnapshotId = "",
    force: Force = False,
) -> None:
    """Train the published reference system's recipe, and print its score beside the honest one of the same weights.

    The reference system publishes an F1 above 0.96. It was taken on the patients that the network had learned from,
    seen through a sampler that shows as many deaths as survivors. The audit makes that score anew, then asks the same
    weights about patients they have not seen, and says what each trick adds and what F1 the ranking of these patients
    allows at best. `docs/audit.md` explains it.

    From a source, which is read under protocol `reference`:
    `lstm-aa audit --source synthetic:8000 --out runs/audit`

    From a dataset that was made under that protocol:
    `lstm-aa audit --dataset runs/1/dataset --out runs/audit`

    What is up to date is left alone, and an audit that was killed goes on from its last epoch.

    Parameters
    ----------
    out: Path
        Folder for the artifacts, one folder each: events and dataset, where --source is given, and audit, which holds
        audit.html, audit.json and the weights.
    dataset: str
        Artifact of preprocess, made with --protocol reference: takes the place of --source.
    """
    from lstm_adversarial_attack.audit.command import run_audit

    page, summary = run_audit(
        out,
        checked(options),
        checked(execution),
        Reporter(),
        source=source,
        dataset=dataset,
        snapshot_id=snapshot_id,
        force=force,
    )
    print(summary, page, sep="\n")


@app.command(group=_CHECKS)
def compare(
    *runs: str,
    out: str,
    labels: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
) -> None:
    """Set two or more runs side by side: what differs between them, and what came of it.

    It reads their reports, and what lies beside these: settings that differ, figures of prediction (with paired
    differences and p-values where the test patients are the same), success curves, susceptibility with rank
    correlations, and the verdicts of the gate.

    Example: `lstm-aa compare runs/1 runs/2 --out runs/comparison --labels before after`

    Parameters
    ----------
    runs: str
        Folders of the runs, or of their reports.
    out: str
        Folder for comparison.html, comparison.json and the tables as Parquet and CSV, new or of an older comparison; or
        a file whose name ends in .html, for the page alone.
    labels: list[str]
        What to call the runs, in their order; the names of the folders by default.
    """
    from lstm_adversarial_attack.compare.command import compare_runs

    page, comparison = compare_runs(runs, out, labels)
    print(*(f"{run.label}: {run.headline[1]}" for run in comparison.runs), page, sep="\n")


@app.command(group=_DATA)
def synthesize(*, stays: int = 5000, seed: int = 0, out: Path) -> None:
    """Write a synthetic cohort in the form of MIMIC-III tables (CSV.gz).

    Example: `lstm-aa synthesize --stays 5000 --seed 1 --out data/synthetic`

    Parameters
    ----------
    stays: int
        Number of ICU stays.
    seed: int
        The same seed gives the same bytes.
    out: Path
        Folder for the tables: new or empty.
    """
    from lstm_adversarial_attack.sources.synthetic_files import write_tables

    counts = write_tables(stays, seed, out, Reporter())
    print(f"{out}: {', '.join(f'{rows:,} {table}' for table, rows in counts.items())}")


@app.command(group=_DATA)
def fetch(
    dataset: Literal["mimic-iii-demo", "challenge-2012"],
    /,
    *,
    out: Path,
    options: Annotated[FetchOptions, Flat] = FetchOptions(),
) -> None:
    """Download an open data set from PhysioNet, which asks for no account, and check it against its checksums.

    Only https:// is used. What was cut off goes on where it stopped, also when the command is started again; files
    that are there with the right checksum are kept. A file appears under its name when its checksum holds, not before.

    The 100 patients of the MIMIC-III demo (27 files, 97 MB):
    `lstm-aa fetch mimic-iii-demo --out data/mimic-iii-demo`

    The first two of the three sets of 4,000 ICU stays of Challenge 2012 (7 MB each):
    `lstm-aa fetch challenge-2012 --sets a,b --out data/challenge-2012`

    From a server inside the hospital, whose certificate an authority of its own has signed:
    `SSL_CERT_FILE=hospital-ca.pem lstm-aa fetch mimic-iii-demo --mirror https://mirror.example/mimiciii-demo/1.4/
    --out data/mimic-iii-demo`

    Certificates are checked against SSL_CERT_FILE, else the system's authorities, else those of certifi; https_proxy
    and no_proxy are heeded.

    Parameters
    ----------
    dataset: str
        mimic-iii-demo: the MIMIC-III Clinical Database Demo 1.4. challenge-2012: the PhysioNet/Computing in Cardiology
        Challenge 2012, version 1.0.0.
    out: Path
        Folder for the files. It may hold others: none is overwritten, unless --replace is given.
    """
    try:
        from lstm_adversarial_attack.fetch.core import fetch_release
    except ModuleNotFoundError as error:
        if error.name != "urllib3":
            raise
        raise UserError("fetch needs urllib3; install it, or this package with its extra 'fetch'") from error

    print(*fetch_release(dataset, out, options, Reporter()), sep="\n")


@app.command(group=_DATA)
def load_database(
    *,
    csv: Path,
    database: str,
    tables: str = "all",
    release: Literal["auto", "full", "demo", "other"] = "auto",
    jobs: int = 2,
    replace: Annotated[bool, Parameter(negative="")] = False,
    reader_role: str | None = None,
) -> None:
    """Build MIMIC-III in PostgreSQL from the CSV or CSV.gz files of the release.

    Each table is loaded in one transaction, and its rows are counted: after an error or a kill, nothing of it is
    there. Start it again to go on: tables that are finished are skipped. Column names and types are those of the
    public MIMIC-III v1.4 schema.

    Example: `lstm-aa load-database --csv /data/mimic-iii --database postgresql://admin@localhost:5432/mimic
    --reader-role mimic_reader`, then `psql -c '\\password mimic_reader'`, then
    `lstm-aa extract --source postgresql://mimic_reader@localhost:5432/mimic --out runs/1/events`.

    Parameters
    ----------
    csv: Path
        Folder of the files, .csv or .csv.gz, names and headers in upper or lower case. Column order does not matter.
    database: str
        postgresql://USER@HOST:PORT/DATABASE, with ?schema=NAME where it is not to be mimiciii. The schema is made if
        it is missing. The password comes from PGPASSWORD or a password file.
    tables: str
        all: the 26 tables; pipeline: those that extract reads; or names, as in ICUSTAYS,PATIENTS. A synthetic cohort
        has but a few.
    release: str
        Which row counts are expected: full or demo, those published of MIMIC-III v1.4; other: none. auto tells by the
        row counts of PATIENTS, ADMISSIONS and ICUSTAYS. With other, rows that are there twice are looked for by their
        ROW_ID, which takes a tenth more time, and where a table has more than ten million rows, disk to sort them.
    jobs: int
        Tables loaded at once, each over a connection of its own; the biggest come first.
    replace: bool
        Drop tables that are there already, and load them again.
    reader_role: str
        Role that may read the loaded tables and nothing else; it is made if it is missing, with LOGIN and without a
        password, which an admin has to set.
    """
    from lstm_adversarial_attack.database import NotLoaded, load_database

    try:
        result = load_database(
            csv,
            database,
            tables=tables,
            release=release,
            jobs=jobs,
            replace=replace,
            reader_role=reader_role,
            reporter=Reporter(),
        )
    except NotLoaded as error:
        print(error.result.shown())
        raise
    print(result.shown())


def _defaults(command: str) -> dict[str, Any]:
    """Return the defaults of a command's options by their names; none where there is no such command."""
    if command not in app:
        return {}
    arguments = app[command].assemble_argument_collection()
    return {name: argument.field_info.default for argument in arguments for name in argument.names}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for a defect, 2 for what the user can mend, 3 for a gate not passed."""
    if os.getpid() == 1:  # of a container, where a signal to stop is ignored unless somebody takes it
        signal.signal(signal.SIGTERM, _stop)
    try:
        kubeflow.take_own_store(os.environ)
        line, task = kubeflow.as_task(sys.argv[1:] if arguments is None else arguments, _defaults)
        app(line, exit_on_error=False, print_error=False, result_action="return_none")
        if task is not None:
            task.finish()
    except cyclopts.CycloptsError as error:
        command = " ".join(("lstm-aa", *(error.command_chain or ())))
        _fail(f"{' '.join(str(error).split()).rstrip('.')}; see {command} --help")
    except UserError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        print("lstm-aa: interrupted; start it again to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        refusal = refused_by_system(error)
        if refusal is not None:
            _fail(refusal)
        if not disk_is_full(error):
            raise
        _fail(f"the disk is full ({error}); free some space and start again: nothing was half-written")


def _stop(_signal: int, _frame: Any) -> None:
    print("lstm-aa: stopped; start it again to go on", file=sys.stderr)
    sys.exit(128 + signal.SIGTERM)


def _fail(message: str) -> None:
    print(f"lstm-aa: error: {message}", file=sys.stderr)
    sys.exit(2)
