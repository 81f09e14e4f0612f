"""Questions of design, answered by runs that differ in one thing: those of studies.yaml.

python -m benchmarks.ablations run STUDY… --data FOLDER [--seeds 0 1] [--work FOLDER]
python -m benchmarks.ablations page

A run trains, exports and evaluates as a user does, on one thread. What is finished in the work
folder is not run again. Writes benchmarks/results/ablations/STUDY.json and docs/ablations.md.
"""

import argparse
from pathlib import Path

import yaml

from benchmarks.ablations.page import write_page
from benchmarks.ablations.study import run_study

STUDIES = Path(__file__).with_name("studies.yaml")


def main() -> None:
    content = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="Runs studies and writes their page.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train, export, evaluate; then write the page")
    run.add_argument("studies", nargs="+", choices=list(content["studies"]))
    run.add_argument("--data", type=Path, required=True, help="folder of the sets")
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    run.add_argument("--work", type=Path, default=Path("runs/ablations"), help="for the runs")
    commands.add_parser("page", help="write docs/ablations.md from the results")
    options = parser.parse_args()
    for name in options.studies if options.command == "run" else []:
        study = content["studies"][name]
        setup = content["setups"][study["setup"]]
        run_study(name, setup | study, options.data, options.work.absolute(), options.seeds)
    write_page(content["studies"])


if __name__ == "__main__":
    main()
