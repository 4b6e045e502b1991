"""`gpr items`: from raw items to the table `embeddings` of the lake."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gpr_core.data.days import parse_day
from gpr_core.data.parquet import write_parquet
from gpr_core.embeddings.bundle import load_encoder, save_encoder
from gpr_core.embeddings.columns import load_roles, roles_by_type
from gpr_core.embeddings.item_encoder import fit_item_encoder
from gpr_core.embeddings.landing import embedding_table, item_rows
from gpr_core.embeddings.raw_items import items_of_table, read_raw_table
from gpr_core.support.errors import ConfigError
from gpr_core.support.progress import Progress

items_app = typer.Typer(help="Make vectors from raw items.", no_args_is_help=True)


@items_app.callback()
def items() -> None:
    """Make vectors from raw items."""


@items_app.command("embed")
def embed(
    path: Annotated[
        Path, typer.Argument(metavar="ITEMS", help=".parquet, .jsonl or .jsonl.gz file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for embeddings.parquet and encoder/.")],
    encoder: Annotated[
        Literal["hashed", "sentence"],
        typer.Option(help="How texts are read: n-grams, or a small language model."),
    ] = "hashed",
    dim: Annotated[
        int, typer.Option(help="Most numbers for each part of an item: texts, attributes, ...")
    ] = 64,
    columns: Annotated[
        Path | None, typer.Option(help="YAML that says which columns are what; else by type.")
    ] = None,
    fitted: Annotated[
        Path | None, typer.Option(help="Encoder folder to use as it is; then nothing is fitted.")
    ] = None,
    day: Annotated[
        str, typer.Option(help="Landing day of the vectors, on or before that of the items.")
    ] = "1970-01-01",
) -> None:
    """Encode ads and content; fit the encoder on them, unless a fitted one is given.

    Writes embeddings.parquet (table `embeddings` of the lake), item_rows.parquet (which emb_row an
    item has) and the encoder.
    """
    landing_day = parse_day(day)
    if fitted is not None and columns is not None:
        raise ConfigError(
            "both --fitted and --columns are given",
            where="options",
            fix="leave --columns out: a fitted encoder knows its columns",
        )
    progress = Progress("items")
    progress.phase(f"reading {path}")
    table = read_raw_table(path)
    if fitted is not None:
        used = load_encoder(fitted)
        raw = items_of_table(table, used.roles, where=str(path))
        encoded = used.encode(raw, progress)
    else:
        roles = load_roles(columns) if columns is not None else roles_by_type(table)
        raw = items_of_table(table, roles, where=str(path))
        used, encoded = fit_item_encoder(raw, roles, encoder, dim, progress)
    rows = item_rows(raw)
    write_parquet(
        out / "embeddings.parquet", embedding_table(rows, encoded, used.version, landing_day)
    )
    write_parquet(out / "item_rows.parquet", rows)
    save_encoder(out / "encoder", used)
    widths = f"{encoded.text_ND.shape[1]} + {encoded.image_ND.shape[1]} numbers"
    typer.echo(f"{out}: {len(raw):,} items, {widths}, encoder version {used.version[:12]}")
