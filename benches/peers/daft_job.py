"""The job in Daft: list, download, a class that holds the model, write Parquet.

`decode` selects the decoder: `daft` for its own function, or `pillow` in the class, at a reduced scale where
possible. `process` runs each instance of the class in its own process.
"""

from __future__ import annotations

import argparse

import daft
import job
from classifier import Classifier
from daft import DataType, Series, col
from PIL import Image

PREDICTION = DataType.struct({"label": DataType.string(), "class": DataType.int64(), "confidence": DataType.float64()})


class Model:
    """The state that Daft keeps for the whole job: the loaded model."""

    def __init__(self, folder: str) -> None:
        self.classifier = Classifier(folder)

    def predict_images(self, images: Series) -> list[dict]:
        """Classifies a batch of JPEGs, or of decoded images."""
        tensors = [self.tensor(image) for image in images.to_pylist()]
        return [{"label": a.label, "class": a.number, "confidence": a.confidence} for a in self.predict(tensors)]

    def tensor(self, image: object):
        """Prepares one image, decoding it first if necessary."""
        if isinstance(image, bytes):
            return self.classifier.open(image)
        return self.classifier.prepare(Image.fromarray(image))

    def predict(self, tensors: list) -> list:
        """Runs the model on a batch, which Daft may send empty."""
        return self.classifier.predict(tensors) if tensors else []


def run(options: argparse.Namespace) -> None:
    """Classifies a folder."""
    method = daft.method.batch(return_dtype=PREDICTION, batch_size=options.batch)
    members = {**vars(Model), "predict_images": method(Model.predict_images)}
    made = daft.cls(type("Model", (), members), max_concurrency=options.concurrency, use_process=bool(options.process))
    model = made(options.model)
    image = daft.functions.download(col("path"))
    if options.decode == "daft":
        image = daft.functions.decode_image(image)
    predictions = daft.from_glob_path(f"{options.photos}/*.jpg").with_column("prediction", model.predict_images(image))
    fields = [col("prediction")[name].alias(name) for name in ("label", "class", "confidence")]
    predictions.select("path", *fields).write_parquet(options.results)


if __name__ == "__main__":
    job.measure(run, job.arguments(batch=16, concurrency=2, process=0, decode="daft"))
