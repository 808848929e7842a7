"""Joining the shards of an attack (``attack --shard``) to what one attack on all samples would have made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lstm_adversarial_attack.artifacts import Artifact, Identity, local_folder, occupant, open_artifact, write_artifact
from lstm_adversarial_attack.artifacts.contents import AttackCard
from lstm_adversarial_attack.attack.tables import CARD_FILE, TABLES, schema_of, summary, write_tables
from lstm_adversarial_attack.errors import UserError
from lstm_adversarial_attack.progress import Reporter
from lstm_adversarial_attack.settings import shard_of

_KIND, _STAGE = "examples", "attack"
#: A table whose columns tell the features.
_CELLS = "perturbations.parquet"


def merge_examples(
    shards: Sequence[str | Path], out: str | Path, reporter: Reporter, *, force: bool = False
) -> Artifact:
    """Join the shards at the addresses ``shards``, in any order, to the artifact of all samples at ``out``.

    What is up to date there is left alone unless ``force`` is set.

    Raises:
        UserError: a shard is missing, there twice, or not of the same attack as the others; or ``out`` holds
            something else.
    """
    shown, out = out, local_folder(out)
    with reporter.stage("merge-examples") as progress:
        opened = [open_artifact(address, _KIND) for address in shards]
        if any(artifact.path.resolve() == out.resolve() for artifact in opened):
            raise UserError(f"{shown}: is one of the shards; give --out another address")
        parts = _in_order(opened)
        one = parts[0].manifest
        identity = Identity(kind=_KIND, settings=one.settings | {"shard": ""}, seed=one.seed, inputs=one.inputs)
        there = occupant(out, _KIND)
        if there.damage:
            progress.say(f"{there.damage}: done again")
        made = there.artifact and (there.artifact.manifest.identity, there.artifact.manifest.environment.get("code"))
        if there.artifact and made == (identity, one.environment.get("code")) and not force:
            progress.say(f"up to date, left as it is: {shown}")
            return there.artifact
        features = _features(parts[0])
        tables = [{name: part.frame(name, schema_of(name, features)) for name in TABLES} for part in parts]
        card = parts[0].json(CARD_FILE, AttackCard)
        card = AttackCard(card.settings | {"shard": ""}, card.model)
        _check_samples(parts, [own["examples.parquet"] for own in tables], card.settings["chunk_size"])
        with write_artifact(out, identity, stage=_STAGE) as draft:
            whole = write_tables(draft, tables, features, card)
            draft.environment |= {
                "code": one.environment.get("code"),
                "device": one.environment.get("device"),
                "threads": one.environment.get("threads"),
                "seconds": round(sum(part.manifest.environment.get("seconds", 0.0) for part in parts), 1),
                "shards": len(parts),
                "source": None,
            }
        progress.say(summary(whole))
        progress.say(f"done: {shown}")
    return open_artifact(out, _KIND)


def _in_order(shards: Sequence[Artifact]) -> list[Artifact]:
    """Return the shards by their number, after a check that they are all of one attack.

    Raises:
        UserError: they are not.
    """
    found: dict[int, Artifact] = {}
    for artifact in shards:
        text = artifact.manifest.settings.get("shard", "")
        if not text:
            raise UserError(f"{artifact.path}: holds all samples of an attack, not a shard of them")
        number, of = shard_of(text)
        if number in found and shard_of(found[number].manifest.settings["shard"])[1] == of:
            raise UserError(f"{found[number].path} and {artifact.path}: both are shard {text}; give each shard once")
        _check_alike(shards[0], artifact)
        found[number] = artifact
    if not found:
        raise UserError("no shards given; name each with --examples")
    _, of = shard_of(shards[0].manifest.settings["shard"])
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in found]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UserError(f"{len(missing)} of {of} shards missing: {shown}; make them with attack --shard")
    return [found[number] for number in range(1, of + 1)]


def _check_alike(one: Artifact, other: Artifact) -> None:
    """See that two shards differ in their number alone."""

    def refuse(what: str, here: object, there: object) -> UserError:
        return UserError(
            f"{other.path}: made with {what} {here}, but {one.path} with {there}; give shards of one attack"
        )

    of = [shard_of(artifact.manifest.settings["shard"])[1] for artifact in (other, one)]
    if of[0] != of[1]:
        raise refuse("a number of shards of", *of)
    for kind in sorted(one.manifest.inputs.keys() | other.manifest.inputs.keys()):
        here, there = (str(artifact.manifest.inputs.get(kind, "none"))[:12] for artifact in (other, one))
        if here != there:
            raise refuse(kind, here, there)
    for settings in (
        [artifact.manifest.settings for artifact in (other, one)],
        [artifact.json(CARD_FILE, AttackCard).settings for artifact in (other, one)],
    ):
        for name in sorted(settings[0].keys() | settings[1].keys()):
            values = [part.get(name) for part in settings]
            if name != "shard" and values[0] != values[1]:
                raise refuse(name, *values)
    for what in ("code", "libraries", "device", "threads"):  # on which the last bits depend
        values = [artifact.manifest.environment.get(what) for artifact in (other, one)]
        if values[0] != values[1]:
            raise refuse(what, *values)


def _check_samples(parts: Sequence[Artifact], examples: Sequence[pl.DataFrame], size: int) -> None:
    """See that the samples of every shard are the chunks that are its own.

    Shards made on devices of different arithmetic may disagree on which samples the model gets right.
    """
    samples = [frame["sample"].unique().sort() for frame in examples]
    everybody = pl.concat(samples).sort()
    place = pl.Series(range(len(everybody)), dtype=pl.Int64) // size % len(parts)
    for number, (part, own) in enumerate(zip(parts, samples, strict=True)):
        if not own.equals(everybody.filter(place == number)):
            raise UserError(
                f"{part.path}: its samples are not the chunks of shard {part.manifest.settings['shard']}, so the "
                "shards do not agree on what there is to attack; make all of them on devices of one kind"
            )


def _features(shard: Artifact) -> tuple[str, ...]:
    """Return the names of the features, in column order."""
    kind = pl.read_parquet_schema(shard.file(_CELLS)).get("feature")
    if not isinstance(kind, pl.Enum):
        raise UserError(f"{shard.path}: {_CELLS} is not the table expected; make the shard again")
    return tuple(kind.categories)
