"""What the wheel holds beside the packages: the examples, which commands need where no checkout is."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["cluster*", "judge_serve*", "optimize_workers*"]), "cluster.examples"],
    package_dir={"cluster.examples": "examples"},
)
