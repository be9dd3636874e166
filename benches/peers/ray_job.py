"""The job in Ray Data: read the files, map batches through actors that hold the model, write Parquet.

`decode` selects the decoder: `ray` for its `read_images`, or `pillow` in the actors, at a reduced scale where possible.
"""

from __future__ import annotations

import argparse
import os
import secrets
import tempfile

import job
import numpy as np
import ray
from classifier import Classifier
from PIL import Image


class Model:
    """The state of an actor: the loaded model."""

    def __init__(self, folder: str) -> None:
        self.classifier = Classifier(folder)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        """Classifies a batch of JPEGs, or of decoded images."""
        if "image" in batch:
            tensors = [self.classifier.prepare(Image.fromarray(image)) for image in batch["image"]]
        else:
            tensors = [self.classifier.open(image) for image in batch["bytes"]]
        predictions = self.classifier.predict(tensors)
        labels, numbers, confidences = zip(*predictions, strict=True)
        return {
            "path": batch["path"],
            "label": np.array(labels),
            "class": np.array(numbers),
            "confidence": np.array(confidences),
        }


def run(options: argparse.Namespace) -> None:
    """Classifies a folder."""
    if options.decode == "ray":
        photos = ray.data.read_images(options.photos, include_paths=True, mode="RGB")
    else:
        photos = ray.data.read_binary_files(options.photos, include_paths=True)
    predictions = photos.map_batches(
        Model,
        fn_constructor_args=[options.model],
        batch_size=options.batch,
        compute=ray.data.ActorPoolStrategy(size=options.concurrency),
        num_cpus=options.cpus,
    )
    predictions.write_parquet(options.results)


def main() -> None:
    """Starts Ray, which is not measured, runs the job, and stops Ray."""
    options = job.arguments(batch=16, concurrency=2, cpus=0.5, decode="ray")
    # With our own token Ray does not write one to the user's home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex())
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(include_dashboard=False, log_to_driver=False, _temp_dir=folder)
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            job.measure(run, options)
        finally:
            ray.shutdown()


if __name__ == "__main__":
    main()
