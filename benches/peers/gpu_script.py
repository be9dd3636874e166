"""The same script for an NVIDIA GPU: the pool decodes, and one session runs batches in float32, as Seequel does."""

from __future__ import annotations

import argparse
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import job
import pyarrow as pa
import pyarrow.parquet as pq
from classifier import Classifier

CUDA = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})


def run(options: argparse.Namespace) -> None:
    """Classifies a folder, with a task of the pool for each photo and a run of the model for each batch."""
    classifier = Classifier(options.model, providers=(CUDA,))
    paths = sorted(str(path) for path in Path(options.photos).glob("*.jpg"))
    rows = []
    with ThreadPoolExecutor(options.workers) as pool:
        decoded = zip(paths, pool.map(classifier.open, paths), strict=True)
        while batch := list(itertools.islice(decoded, options.batch)):
            names, tensors = zip(*batch, strict=True)
            predictions = classifier.predict(list(tensors))
            rows.extend((name, *prediction) for name, prediction in zip(names, predictions, strict=True))
    columns = zip(*rows, strict=True)
    table = pa.table(dict(zip(("path", "label", "class", "confidence"), columns, strict=True)))
    pq.write_table(table, options.results)


if __name__ == "__main__":
    job.measure(run, job.arguments(batch=32, workers=16))
