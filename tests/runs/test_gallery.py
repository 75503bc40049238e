import numpy as np

from robustbench_zosam.runs.gallery import Misclassified, worst_misclassified


def predictions(correct, confidence):
    conditions = np.array(["clean/0", "fog/1", "fog/2", "snow/1"])
    return {
        "conditions": conditions,
        "correct": np.array(correct),
        "confidence": np.array(confidence),
    }


def test_the_most_confident_common_mistake_of_each_corruption_comes_first():
    models = [
        predictions(
            [[1, 0, 0], [0, 0, 1], [1, 1, 1]],
            [[0.9, 0.4, 0.8], [0.9, 0.6, 0.9], [0.9, 0.9, 0.9]],
        ),
        predictions(
            [[1, 1, 0], [1, 0, 1], [1, 0, 1]],
            [[0.9, 0.9, 0.8], [0.9, 1.0, 0.9], [0.9, 0.5, 0.9]],
        ),
    ]
    # fog/1, image 2: 0.8 + 0.8; fog/2, image 1: 0.6 + 1.0, the same but less mild.
    assert worst_misclassified(models) == [
        Misclassified("fog", 1, 2, 2, 2, 0.8),
        Misclassified("snow", 1, 1, 1, 2, 0.5),
    ]


def test_without_mistakes_there_are_none():
    right = predictions(np.ones((3, 2), int), np.full((3, 2), 0.9))
    assert worst_misclassified([right]) == []
    assert worst_misclassified([]) == []


def test_the_class_that_most_of_the_wrong_models_predicted_is_told():
    made = []
    for taken, right in ((3, 0), (5, 0), (5, 0), (1, 1)):
        found = predictions([[1, 1], [right, 1], [1, 1]], [[0.9, 0.9], [0.8, 0.9], [0.9, 0.9]])
        made.append(found | {"predicted": np.array([[0, 0], [taken, 0], [0, 0]], np.uint8)})
    (worst,) = worst_misclassified(made)
    assert (worst.wrong, worst.predicted, worst.agreed) == (3, 5, 2)
    (unknown,) = worst_misclassified(
        {k: v for k, v in each.items() if k != "predicted"} for each in made
    )
    assert (unknown.predicted, unknown.agreed) == (-1, 0)
