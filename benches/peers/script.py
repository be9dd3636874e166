"""A typical first script: a thread pool around Pillow and one onnxruntime session, pyarrow for the results."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import job
import pyarrow as pa
import pyarrow.parquet as pq
from classifier import Classifier


def run(options: argparse.Namespace) -> None:
    """Classifies a folder, with a task of the pool for each photo."""
    classifier = Classifier(options.model, options.threads)
    paths = sorted(str(path) for path in Path(options.photos).glob("*.jpg"))

    def classify(path: str) -> tuple:
        (prediction,) = classifier.predict([classifier.open(path)])
        return path, *prediction

    with ThreadPoolExecutor(options.workers) as pool:
        columns = zip(*pool.map(classify, paths), strict=True)
        table = pa.table(dict(zip(("path", "label", "class", "confidence"), columns, strict=True)))
    pq.write_table(table, options.results)


if __name__ == "__main__":
    job.measure(run, job.arguments(threads=1, workers=2))
