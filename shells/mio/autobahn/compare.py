"""Compares two servers case by case: the first of the specification must not come out worse than the
second.

Runs under the interpreter of the suite, CPython 2.7, because the suite knows which cases there are.
Exits with 1 if a case is worse, or is missing from either report.
"""

from __future__ import print_function

import collections
import json
import os
import sys

from autobahntestsuite.case import Cases, CaseBasename, CaseCategories, CaseSubCategories
from autobahntestsuite.caseset import CaseSet

# From the best to the worst. INFORMATIONAL and NON-STRICT conform to the protocol: the one is about
# what it leaves open, the other about a SHOULD. What is not listed is as bad as FAILED.
RANKS = {"OK": 0, "INFORMATIONAL": 1, "NON-STRICT": 1, "UNIMPLEMENTED": 2, "WRONG CODE": 3, "UNCLEAN": 4}
FAILED = 5

# A case has two results: what came of it, and how the connection was closed.
RESULTS = ("behavior", "behaviorClose")


def rank(outcome):
    return RANKS.get(outcome, FAILED)


def main(path):
    with open(path) as file:
        specification = json.load(file)
    with open(os.path.join(specification["outdir"], "index.json")) as file:
        index = json.load(file)
    ours, reference = [server["agent"] for server in specification["servers"]]
    cases = CaseSet("", CaseBasename, Cases, CaseCategories, CaseSubCategories)
    expected = cases.parseSpecCases(specification)

    complaints = []
    table = collections.Counter()
    for case in expected:
        missing = [agent for agent in (ours, reference) if case not in index.get(agent, {})]
        if missing:
            complaints.append("%s: no result of %s" % (case, " and ".join(missing)))
            continue
        for result in RESULTS:
            got, wanted = index[ours][case][result], index[reference][case][result]
            table[result, got, ours] += 1
            table[result, wanted, reference] += 1
            if rank(got) > rank(wanted):
                complaints.append("%s: %s is %s, with %s %s" % (case, result, got, reference, wanted))
            elif got != "OK":
                print("%s: %s is %s, with %s %s" % (case, result, got, reference, wanted))

    print("\n%-14s %-14s %12s %12s" % ("", "", ours, reference))
    for result, outcome in sorted({key[:2] for key in table}, key=lambda key: (key[0], rank(key[1]), key[1])):
        counts = table[result, outcome, ours], table[result, outcome, reference]
        print("%-14s %-14s %12d %12d" % ((result, outcome) + counts))
    print("%d cases, %d worse or missing" % (len(expected), len(complaints)))
    for complaint in complaints:
        print("WORSE " + complaint)
    return 1 if complaints or not expected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
