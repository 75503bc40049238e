"""Sample images of the suite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from robustbench_zosam.report import text
from robustbench_zosam.report.charts.png import data_url, png
from robustbench_zosam.report.panel import Block, Panel
from robustbench_zosam.report.run import Run
from robustbench_zosam.report.stored_images import Gallery

_BUDGET = 300_000  # bytes of PNG in the page
_CHOICES = ((2, 96), (1, 96), (1, 64), (1, 48))  # samples and largest side, the best first


def sample_gallery(run: Run) -> Block | None:
    """Shows the same images under every corruption and severity; None where none were stored."""
    gallery = run.gallery
    if gallery is None or gallery.images.size == 0:
        return None
    severities = run.results["suite"]["severities"]
    strips = _strips(gallery)
    panels = tuple(
        Panel(
            text.plain(name),
            image=data_url(strip),
            alt=f"Sample image clean, then under {text.plain(name)} at severity "
            f"{text.listed([str(s) for s in severities])}.",
            corruption=run.corruption_index.get(name),
        )
        for name, strip in strips.items()
    )
    return Block(
        "samples",
        "What the models were shown",
        "From left to right: the clean image, then increasing severity. A network cannot be "
        "expected to recognise what a person no longer can.",
        f"Test images of {run.results['data']['title']} under {run.results['suite']['name']}.",
        panels,
    )


def worst_failures(run: Run) -> Block | None:
    """Shows the images that misled the most models; None where there are none."""
    if run.gallery is None or not run.gallery.worst:
        return None
    classes = run.results["data"]["classes"]
    panels = []
    for found in run.gallery.worst:
        name = classes[found.label] if found.label < len(classes) else str(found.label)
        title = f"{text.plain(found.corruption)}, severity {found.severity}"
        taken = ""
        if 0 <= found.predicted < len(classes):
            taken = f", taken for {classes[found.predicted]} by {found.agreed} of them"
        said = (
            f"True class {name}; {found.wrong} of {text.count(found.models, 'training run')} "
            f"wrong, on average {text.percent(found.confidence, 0)} % confident in another class"
            f"{taken}"
        )
        image = _shrink(found.image[None, None, None], 96)[0, 0, 0]
        number = run.corruption_index.get(found.corruption)
        alt = (
            f"{name} under {title}, which {found.wrong} of {found.models} training runs got wrong."
        )
        url = data_url(png(image))
        panels.append(Panel(title, image=url, alt=alt, corruption=number, note=said))
    return Block(
        "worst",
        "Worst failures",
        "The test images on which the models were most confidently wrong, at most one for each "
        "corruption. If a person recognises the class at once, the network is at fault.",
        "Ranked by how many training runs are wrong times their mean confidence, over all methods "
        "and seeds.",
        tuple(panels),
    )


def _strips(gallery: Gallery) -> dict[str, bytes]:
    """Returns a PNG per corruption, as many and as large as the budget allows."""
    for samples, largest in _CHOICES:
        images = _shrink(gallery.images[:samples], largest)
        strips = {
            name: png(_strip(images, row))
            for row, name in enumerate(gallery.rows)
            if name != "clean" or len(gallery.rows) == 1
        }
        if sum(map(len, strips.values())) <= _BUDGET:
            break
    return strips


def _shrink(images: NDArray[np.uint8], largest: int) -> NDArray[np.uint8]:
    height, width = images.shape[3:5]
    factor = max(height, width) / largest
    if factor <= 1:
        return images
    size = (round(width / factor), round(height / factor))
    flat = images.reshape(-1, *images.shape[3:])
    small = np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in flat])
    return small.reshape(*images.shape[:3], size[1], size[0], 3)


def _strip(images: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
    clean = images[:, :1, :1] if row else images[:, :1, :0]
    columns = np.concatenate([clean, images[:, row : row + 1]], axis=2)[:, 0]
    samples, count, height, width, _ = columns.shape
    gap = max(width // 16, 1)
    tall, wide = height + gap, width + gap
    grid = np.zeros((samples * tall - gap, count * wide - gap, 4), np.uint8)  # clear gaps
    for sample in range(samples):
        for place in range(count):
            top, left = sample * tall, place * wide
            grid[top : top + height, left : left + width, :3] = columns[sample, place]
            grid[top : top + height, left : left + width, 3] = 255
    return grid
